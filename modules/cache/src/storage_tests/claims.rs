//! What every storage must do with the pending lists.

use nubo_core::{
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    recent::{Beginning, Claim, Condition},
};

use super::{BATCH, OTHER, World, there};
use crate::{
    claims::{MOST_CLAIMS, MOST_PENDING},
    storage::{DocumentKey, Storage},
};

/// Epochs of the recent tier.
pub(crate) const RECENT: Epoch = Epoch {
    number: 5,
    nonce: u32::MAX,
};
const NEXT: Epoch = Epoch {
    number: 6,
    nonce: 1,
};

impl<S: Storage> World<S> {
    /// Begins the lists and opens them.
    pub async fn open_lists(&self) {
        let beginning = self.begin_lists(RECENT).await;
        assert!(self.storage.open_lists(&beginning).await.unwrap());
    }

    pub async fn begin_lists(&self, epoch: Epoch) -> Beginning {
        self.storage.begin_lists(epoch).await.unwrap().unwrap()
    }

    /// Announces documents that are not held here.
    pub async fn announce_claims(&self, batch: BatchId, numbers: impl IntoIterator<Item = u128>) {
        let claimed = self.keys(numbers);
        let worth = self.storage.announce(batch, &[], &claimed).await;
        assert!(worth.unwrap().is_empty());
    }

    pub fn claims(&self, batch: BatchId, numbers: impl IntoIterator<Item = u128>) -> Vec<Claim> {
        let instance = self.storage.claimed_by(batch);
        let keys = self.keys(numbers).into_iter();
        keys.map(|key| key.claim(instance, batch)).collect()
    }

    pub async fn arrived(&self, batch: BatchId, numbers: impl IntoIterator<Item = u128>) {
        let claims = self.claims(batch, numbers);
        self.storage.arrived(RECENT, &claims).await.unwrap();
    }

    /// The documents that are pending, if that is known.
    pub async fn pending(&self) -> Option<Vec<u128>> {
        let collection = self.things().id;
        let pending = self.storage.pending(RECENT, collection, 100).await;
        let mut numbers: Vec<u128> = pending.unwrap()?.into_iter().map(number).collect();
        numbers.sort_unstable();
        Some(numbers)
    }

    pub async fn condition(&self) -> Condition {
        self.storage.condition().await.unwrap()
    }

    fn keys(&self, numbers: impl IntoIterator<Item = u128>) -> Vec<DocumentKey> {
        numbers.into_iter().map(|number| self.key(number)).collect()
    }
}

fn number(id: Id) -> u128 {
    id.uuid().as_u128()
}

pub(crate) async fn what_is_announced_is_pending_until_it_has_arrived(world: &World<impl Storage>) {
    let things = world.things().id;
    let storage = &world.storage;
    assert_eq!(world.condition().await, Condition::Closed);
    world.announce_claims(BATCH, [1]).await;
    let beginning = world.begin_lists(RECENT).await;
    assert_eq!(world.condition().await, Condition::Begun(RECENT));
    // One is held here, too, and one is elsewhere.
    let mut claimed = world.keys([2, 3, 4]);
    let other = world.catalog.collections().iter();
    claimed[2].collection = other.map(|own| own.id).find(|own| *own != things).unwrap();
    let announced = [world.announced(2, &[2])];
    let announced = storage.announce(OTHER, &announced, &claimed).await;
    assert_eq!(announced.unwrap().len(), 1);
    assert_eq!(world.pending().await, None, "they are not complete");
    let ids = world.keys([1, 3, 2, 3]).into_iter().map(|key| key.id);
    let ids: Vec<Id> = ids.collect();
    let among = storage.pending_among(RECENT, things, &ids).await;
    assert_eq!(among.unwrap(), None);

    assert!(storage.open_lists(&beginning).await.unwrap());
    assert_eq!(world.condition().await, Condition::Open(RECENT));
    assert_eq!(world.pending().await, Some(vec![2, 3]));
    let too_many = storage.pending(RECENT, things, 1).await;
    assert_eq!(too_many.unwrap(), None);
    let all = storage.pending(RECENT, things, usize::MAX).await;
    assert_eq!(all.unwrap().map(|all| all.len()), Some(2));
    let elsewhere = storage.pending(RECENT, claimed[2].collection, 1).await;
    assert_eq!(elsewhere.unwrap(), Some(vec![claimed[2].id]));
    let among = storage.pending_among(RECENT, things, &ids).await;
    assert_eq!(among.unwrap(), Some(vec![false, true, true, true]));
    let none = storage.pending_among(RECENT, things, &[]).await;
    assert_eq!(none.unwrap(), Some(Vec::new()));
    let many: Vec<Id> = world.keys(0..2500).iter().map(|key| key.id).collect();
    let among = storage.pending_among(RECENT, things, &many).await;
    let among = among.unwrap().unwrap();
    let pending: Vec<usize> = (0..2500).filter(|at| among[*at]).collect();
    assert_eq!(pending, [2, 3]);
    for ids in [&ids[..], &[]] {
        let among = storage.pending_among(NEXT, things, ids).await;
        assert_eq!(among.unwrap(), None, "of another epoch");
    }
    let pending = storage.pending(NEXT, things, 9).await;
    assert_eq!(pending.unwrap(), None, "of another epoch");

    // It is committed before it is there.
    let settled = world.settled(2, there(10), &[2], &[]);
    world.settle(OTHER, settled).await;
    assert_eq!(world.pending().await, Some(vec![2, 3]));
    let claims = world.claims(OTHER, [2, 3]);
    storage.arrived(NEXT, &claims).await.unwrap();
    assert_eq!(world.pending().await, Some(vec![2, 3]));
    world.arrived(OTHER, [2]).await;
    assert_eq!(world.pending().await, Some(vec![3]));
    world.arrived(OTHER, 0..300).await;
    assert_eq!(world.pending().await, Some(Vec::new()));
}

pub(crate) async fn a_document_is_pending_until_all_of_its_claims_are_gone(
    world: &World<impl Storage>,
) {
    world.open_lists().await;
    for batch in [BATCH, OTHER, OTHER] {
        world.announce_claims(batch, [1]).await;
    }
    world.arrived(BatchId(9), [1]).await;
    let mut others = world.claims(BATCH, [1]);
    others[0].instance = Id::from_uuid(uuid::Uuid::from_u128(77));
    world.storage.arrived(RECENT, &others).await.unwrap();
    world.arrived(OTHER, [1]).await;
    assert_eq!(world.pending().await, Some(vec![1]));
    world.arrived(OTHER, [1]).await;
    assert_eq!(world.pending().await, Some(vec![1]));
    world.arrived(BATCH, [1]).await;
    assert_eq!(world.pending().await, Some(Vec::new()));
}

pub(crate) async fn what_was_taken_back_is_not_pending(world: &World<impl Storage>) {
    world.open_lists().await;
    let claimed = world.keys(1..=250);
    for batch in [BATCH, OTHER] {
        let announced = [world.announced(1, &[])];
        let announced = world.storage.announce(batch, &announced, &claimed).await;
        announced.unwrap();
    }
    let announced = [world.announced(1, &[])];
    let aborted = world.storage.abort(BATCH, &announced, &claimed).await;
    aborted.unwrap();
    assert!(world.is_busy(1).await);
    world.arrived(OTHER, 2..=250).await;
    assert_eq!(world.pending().await, Some(vec![1]));
    world
        .storage
        .abort(OTHER, &announced, &claimed)
        .await
        .unwrap();
    assert!(!world.is_busy(1).await);
    assert_eq!(world.pending().await, Some(Vec::new()));
}

pub(crate) async fn what_is_claimed_later_is_pending_in_its_own_epoch_alone(
    world: &World<impl Storage>,
) {
    let claims = world.claims(BATCH, 1..=150);
    world.storage.claim(RECENT, &claims).await.unwrap();
    let beginning = world.begin_lists(RECENT).await;
    world.storage.claim(NEXT, &claims).await.unwrap();
    assert!(world.storage.open_lists(&beginning).await.unwrap());
    assert_eq!(world.pending().await, Some(Vec::new()));
    world.storage.claim(RECENT, &claims).await.unwrap();
    world.arrived(BATCH, 10..=150).await;
    assert_eq!(world.pending().await, Some((1..10).collect()));
}

pub(crate) async fn lists_that_are_too_long_are_closed(world: &World<impl Storage>) {
    let most = MOST_PENDING as u128;
    for by_a_batch in [true, false] {
        world.open_lists().await;
        world.announce_claims(BATCH, 1..=most).await;
        // They are no more by that.
        world.announce_claims(OTHER, [1, most]).await;
        assert_eq!(world.condition().await, Condition::Open(RECENT));
        match by_a_batch {
            true => world.announce_claims(OTHER, [most + 1]).await,
            false => {
                let claims = world.claims(OTHER, [most + 1]);
                world.storage.claim(RECENT, &claims).await.unwrap();
            }
        }
        assert_eq!(world.condition().await, Condition::Closed);
        world.announce_claims(OTHER, [1]).await;
        world.arrived(BATCH, [1]).await;
        assert_eq!(world.pending().await, None);
    }
    world.open_lists().await;
    assert_eq!(world.pending().await, Some(Vec::new()));
    // Those of all collections are.
    world.announce_claims(BATCH, 1..=most + 500).await;
    assert_eq!(world.condition().await, Condition::Closed);
    for collection in world.catalog.collections() {
        let pending = world.storage.pending(RECENT, collection.id, 9).await;
        assert_eq!(pending.unwrap(), None);
    }
}

pub(crate) async fn a_document_that_too_many_claim_closes_the_lists(world: &World<impl Storage>) {
    world.open_lists().await;
    for batch in 1..=MOST_CLAIMS as u64 {
        world.announce_claims(BatchId(batch), [1]).await;
    }
    assert_eq!(world.pending().await, Some(vec![1]));
    world.announce_claims(BatchId(5_000), [1]).await;
    assert_eq!(world.condition().await, Condition::Closed);
}

pub(crate) async fn lists_are_opened_as_they_were_begun_and_once(world: &World<impl Storage>) {
    let storage = &world.storage;
    let first = world.begin_lists(RECENT).await;
    world.announce_claims(BATCH, [1]).await;
    let second = world.begin_lists(RECENT).await;
    assert_ne!(first.nonce, second.nonce);
    assert!(!storage.open_lists(&first).await.unwrap());
    let of_another_epoch = Beginning {
        epoch: NEXT,
        ..second.clone()
    };
    assert!(!storage.open_lists(&of_another_epoch).await.unwrap());
    assert_eq!(world.condition().await, Condition::Begun(RECENT));
    assert!(storage.open_lists(&second).await.unwrap());
    assert!(!storage.open_lists(&second).await.unwrap());
    assert_eq!(world.pending().await, Some(Vec::new()), "it was before");
    let third = world.begin_lists(NEXT).await;
    assert_eq!(world.condition().await, Condition::Begun(NEXT));
    assert_eq!(world.pending().await, None);
    storage.distrust().await.unwrap();
    assert!(!storage.open_lists(&third).await.unwrap());
    assert_eq!(world.condition().await, Condition::Closed);
}

pub(crate) async fn who_begins_the_lists_knows_the_batches_that_are_under_way(
    world: &World<impl Storage>,
) {
    let nobody = world.begin_lists(RECENT).await;
    assert_eq!(nobody.under_way, Vec::<Vec<u8>>::new());
    let settled = BatchId(3);
    world.announce_claims(settled, [1]).await;
    world.storage.settle(settled, Vec::new()).await.unwrap();
    world.announce_claims(BATCH, 1..=150).await;
    world.announce(OTHER, 2, &[2]).await;
    let beginning = world.begin_lists(RECENT).await;
    world.announce_claims(BatchId(4), [1]).await;
    assert!(!world.storage.is_under_way(&nobody).await.unwrap());
    assert!(world.storage.is_under_way(&beginning).await.unwrap());
    world.storage.settle(BATCH, Vec::new()).await.unwrap();
    assert!(world.storage.is_under_way(&beginning).await.unwrap());
    world.abort(OTHER, 2, &[2]).await;
    assert!(!world.storage.is_under_way(&beginning).await.unwrap());
    assert!(world.storage.open_lists(&beginning).await.unwrap());
    assert_eq!(world.pending().await, Some(vec![1]), "of the last one");
}

pub(crate) async fn lists_stay_when_the_cache_is_cleared_and_are_closed_when_it_is_distrusted(
    world: &World<impl Storage>,
) {
    world.open_lists().await;
    world.announce_claims(BATCH, [1]).await;
    world.storage.clear().await.unwrap();
    assert_eq!(world.pending().await, Some(vec![1]));
    world.storage.distrust().await.unwrap();
    assert_eq!(world.condition().await, Condition::Closed);
    world.open_lists().await;
    assert_eq!(world.pending().await, Some(Vec::new()));
}
