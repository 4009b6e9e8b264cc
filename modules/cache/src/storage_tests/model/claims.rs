//! The pending lists of two storages, held against one another.

use nubo_core::{coordination::Epoch, id::Id, observe::BatchId, recent::Beginning};

use super::{DocumentKey, Model, Storage, World, forget_some};

/// What is under way to the recent tier.
#[derive(Default)]
pub(super) struct Lists {
    /// The batches that have been committed, and what they have claimed.
    committed: Vec<(BatchId, Vec<DocumentKey>)>,
    /// As each of the two storages knows them.
    beginnings: Vec<[Beginning; 2]>,
}

fn epoch(number: u64) -> Epoch {
    Epoch { number, nonce: 7 }
}

/// What is known of these documents.
async fn known<S: Storage>(
    world: &World<S>,
    epoch: Epoch,
    ids: &[Id],
) -> (Option<Vec<Id>>, Option<Vec<bool>>) {
    let collection = world.things().id;
    let all = world.storage.pending(epoch, collection, usize::MAX).await;
    let mut all = all.unwrap();
    if let Some(ids) = &mut all {
        ids.sort_unstable();
    }
    let among = world.storage.pending_among(epoch, collection, ids).await;
    (all, among.unwrap())
}

impl<A: Storage, B: Storage> Model<'_, A, B> {
    /// Some of what a batch changes, or nothing of it.
    pub(super) fn claimed(
        &mut self,
        documents: impl Iterator<Item = DocumentKey>,
    ) -> Vec<DocumentKey> {
        let most = if self.random.bool() { usize::MAX } else { 0 };
        documents.take(most).collect()
    }

    /// Notes a batch that was committed.
    pub(super) fn committed(&mut self, batch: BatchId, claimed: Vec<DocumentKey>) {
        self.lists.committed.push((batch, claimed));
    }

    /// Does something with the lists of both, and compares them.
    pub(super) async fn change_lists(&mut self) {
        let epoch = epoch(self.random.u64(1..=2));
        match self.random.u8(0..10) {
            0 => {
                let begun = self.one.storage.begin_lists(epoch).await.unwrap();
                let also = self.other.storage.begin_lists(epoch).await.unwrap();
                let begun = [begun.unwrap(), also.unwrap()];
                self.same([begun[0].nonce, begun[1].nonce]);
                self.lists.beginnings.push(begun);
                forget_some(&mut self.lists.beginnings);
            }
            1..4 => {
                if let Some([one, other]) = self.lists.beginnings.last() {
                    let opened = self.one.storage.open_lists(one).await.unwrap();
                    let also = self.other.storage.open_lists(other).await;
                    assert_eq!(opened, also.unwrap());
                }
            }
            4..8 => self.arrive(epoch).await,
            _ => {}
        }
        self.compare_lists(epoch).await;
    }

    /// What some batch has claimed arrives, or cannot.
    async fn arrive(&mut self, epoch: Epoch) {
        if self.lists.committed.is_empty() {
            return;
        }
        let at = self.random.usize(..self.lists.committed.len());
        let (batch, claimed) = self.lists.committed.swap_remove(at);
        let claims = |instance| claimed.iter().map(move |key| key.claim(instance, batch));
        let one: Vec<_> = claims(self.one.storage.claimed_by(batch)).collect();
        let other: Vec<_> = claims(self.other.storage.claimed_by(batch)).collect();
        self.one.storage.arrived(epoch, &one).await.unwrap();
        self.other.storage.arrived(epoch, &other).await.unwrap();
        if self.random.u8(0..4) == 0 {
            self.one.storage.claim(epoch, &one).await.unwrap();
            self.other.storage.claim(epoch, &other).await.unwrap();
            self.lists.committed.push((batch, claimed));
        }
    }

    async fn compare_lists(&mut self, epoch: Epoch) {
        let condition = self.one.storage.condition().await.unwrap();
        assert_eq!(condition, self.other.storage.condition().await.unwrap());
        let ids: Vec<Id> = (0..self.random.usize(1..9))
            .map(|_| self.key().id)
            .collect();
        let found = known(self.one, epoch, &ids).await;
        assert_eq!(found, known(self.other, epoch, &ids).await);
        if let Some([one, other]) = self.random.choice(&self.lists.beginnings) {
            let under_way = self.one.storage.is_under_way(one).await.unwrap();
            let also = self.other.storage.is_under_way(other).await;
            assert_eq!(under_way, also.unwrap());
        }
    }
}
