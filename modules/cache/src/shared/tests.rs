//! What a keeper makes of what it sees, step by step. That nothing old is answered whatever befalls is
//! for the simulation to show.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    clock::{Clock, Random},
    coordination::{Coordination, Epoch, Gate, Incarnation, Look, Peer},
    id::Id,
    observe::BatchId,
    recent::Condition,
};
use uuid::Uuid;

use super::{Shared, Steps, accepted, issued};
use crate::{
    Claims, Memory,
    claims::NOBODY,
    storage::{DocumentKey, Remote, Storage},
    storage_tests::{RECENT, catalog},
};

struct At(AtomicI64);

impl Clock for At {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Same;

impl Random for Same {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// A server that is always there.
struct There(Arc<At>);

impl Remote for There {
    type Storage = Memory;

    async fn reach(&self) -> Result<Incarnation> {
        Ok(incarnation())
    }

    async fn prepare(&self, _: Epoch, _: &Incarnation) -> Result<()> {
        Ok(())
    }

    fn at(&self, _: Epoch, _: &Incarnation, _: Id) -> Memory {
        Memory::new(&catalog(), self.0.clone(), usize::MAX)
    }

    async fn take_back(&self, _: Epoch, _: &Incarnation, _: Id) -> Result<()> {
        Ok(())
    }

    async fn sweep(&self, _: Epoch, _: &Incarnation) -> Result<()> {
        Ok(())
    }
}

/// A gate that stands as it is set, and whoever has joined.
struct Agreed {
    gate: Mutex<Gate>,
    instances: Mutex<Vec<Id>>,
    /// Whether it can be moved.
    moves: bool,
}

#[async_trait]
impl Coordination for Agreed {
    async fn join(&self, instance: Id) -> Result<()> {
        self.instances.lock().unwrap().push(instance);
        Ok(())
    }

    async fn look(&self, _: Id, _: Option<&Incarnation>) -> Result<Look> {
        let peers = self.instances.lock().unwrap().clone().into_iter();
        let peers = peers.map(|instance| Peer {
            instance,
            silent: 0,
            reaches: Some(incarnation()),
            fenced: false,
        });
        Ok(Look {
            gate: self.gate.lock().unwrap().clone(),
            peers: peers.collect(),
        })
    }

    async fn shift(&self, from: &Gate, to: &Gate) -> Result<bool> {
        let mut gate = self.gate.lock().unwrap();
        let moved = self.moves && *gate == *from;
        if moved {
            *gate = to.clone();
        }
        Ok(moved)
    }

    async fn fence(&self, _: Id) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: Id) -> Result<()> {
        Ok(())
    }
}

fn incarnation() -> Incarnation {
    Incarnation::new("the server")
}

fn epoch(number: u64) -> Epoch {
    Epoch { number, nonce: 7 }
}

/// An instance that finds the gate open for the fifth epoch, with another instance or without.
fn open(with_another: bool, moves: bool) -> (Arc<Shared<There>>, Arc<Agreed>) {
    let clock = Arc::new(At(AtomicI64::new(0)));
    let other = Id::from_uuid(Uuid::from_u128(1));
    let gate = Gate::Open {
        epoch: epoch(5),
        incarnation: incarnation(),
        owner: None,
    };
    let agreed = Arc::new(Agreed {
        gate: Mutex::new(gate),
        instances: Mutex::new(with_another.then_some(other).into_iter().collect()),
        moves,
    });
    let remote = Arc::new(There(clock.clone()));
    let shared = Shared::new(remote, agreed.clone(), clock, Arc::new(Same));
    shared.watched(0);
    (Arc::new(shared), agreed)
}

#[tokio::test]
async fn an_epoch_that_is_condemned_ends_although_another_is_condemned_after_it() {
    let (shared, agreed) = open(true, true);
    let mut steps = Steps::new(shared.clone());
    steps.step().await.unwrap();
    assert!(shared.is_usable());
    shared.condemn(epoch(5));
    // Something from the epoch before has come to nothing only now.
    shared.condemn(epoch(4));
    steps.step().await.unwrap();
    assert_eq!(*agreed.gate.lock().unwrap(), Gate::Closing(epoch(5)));
    assert!(!shared.is_usable());
}

#[tokio::test]
async fn who_finds_nobody_reads_nothing_that_was_held_before() {
    for with_another in [true, false] {
        // Whatever becomes of the attempt to begin anew.
        let (shared, _agreed) = open(with_another, false);
        Steps::new(shared.clone()).step().await.unwrap();
        assert_eq!(shared.is_usable(), with_another);
    }
}

#[tokio::test]
async fn where_somebody_else_has_written_nothing_is_read_that_was_held_before() {
    let (shared, agreed) = open(true, false);
    let mut steps = Steps::new(shared.clone());
    steps.step().await.unwrap();
    shared.distrust().await.unwrap();
    assert!(!shared.is_usable());
    steps.step().await.unwrap();
    assert!(!shared.is_usable());
    // The next epoch is another matter.
    *agreed.gate.lock().unwrap() = Gate::Open {
        epoch: epoch(6),
        incarnation: incarnation(),
        owner: None,
    };
    steps.step().await.unwrap();
    assert!(shared.is_usable());
}

#[tokio::test]
async fn who_has_not_looked_for_long_what_others_write_reads_nothing() {
    let (shared, _agreed) = open(true, true);
    let mut steps = Steps::new(shared.clone());
    for (at, watched, is_usable) in [
        (890_000, 0, true),
        (900_000, 0, false),
        (1_000_000, 200_000, true),
        // A look that took long changes nothing.
        (1_000_000, 100_000, true),
    ] {
        shared.remote().0.0.store(at, Ordering::Relaxed);
        shared.watched(watched);
        steps.step().await.unwrap();
        assert_eq!(shared.is_usable(), is_usable, "at {at}");
    }
}

#[tokio::test]
async fn what_is_pending_is_known_while_there_is_a_lease() {
    let (shared, agreed) = open(true, true);
    let catalog = catalog();
    let key = DocumentKey {
        collection: catalog.collections()[0].id,
        id: Id::from_uuid(Uuid::from_u128(1)),
    };
    let pending = async || {
        let list = shared.pending(RECENT, key.collection, 9).await.unwrap();
        let ids = [key.id];
        let among = shared.pending_among(RECENT, key.collection, &ids);
        let among = among.await.unwrap();
        assert_eq!(list.is_some(), among.is_some());
        list
    };
    // It has not looked yet.
    assert_eq!(shared.condition().await.unwrap(), Condition::Away);
    assert_eq!(shared.begin_lists(RECENT).await.unwrap(), None);
    shared.arrived(RECENT, &[]).await.unwrap();
    let mut steps = Steps::new(shared.clone());
    steps.step().await.unwrap();
    assert_eq!(shared.condition().await.unwrap(), Condition::Closed);
    let beginning = shared.begin_lists(RECENT).await.unwrap().unwrap();
    assert!(shared.open_lists(&beginning).await.unwrap());
    let batch = BatchId(1);
    shared.announce(batch, &[], &[key]).await.unwrap();
    assert_eq!(pending().await, Some(vec![key.id]));
    let claimed_by = shared.claimed_by(batch);
    assert_eq!(
        Some(claimed_by),
        shared.terms(batch).map(|own| own.instance)
    );
    shared.settle(batch, Vec::new()).await.unwrap();
    assert_eq!(shared.claimed_by(batch), NOBODY);
    // The lease has run out.
    shared.remote().0.0.store(10_000_000, Ordering::Relaxed);
    assert_eq!(pending().await, None);
    shared.watched(10_000_000);
    assert_eq!(pending().await, None);
    steps.step().await.unwrap();
    assert_eq!(pending().await, Some(vec![key.id]));

    // What was begun in one epoch does not open what is begun in the next.
    let before = shared.begin_lists(RECENT).await.unwrap().unwrap();
    *agreed.gate.lock().unwrap() = Gate::Open {
        epoch: epoch(6),
        incarnation: incarnation(),
        owner: None,
    };
    steps.step().await.unwrap();
    assert_eq!(shared.condition().await.unwrap(), Condition::Closed);
    let mut now = shared.begin_lists(RECENT).await.unwrap().unwrap();
    while accepted(now.nonce, 2) < accepted(before.nonce, 1) {
        now = shared.begin_lists(RECENT).await.unwrap().unwrap();
    }
    assert_ne!(now.nonce, before.nonce);
    assert!(!shared.open_lists(&before).await.unwrap());
    assert!(shared.open_lists(&now).await.unwrap());
}

#[tokio::test]
async fn a_batch_has_an_instance_where_the_gate_is_closed() {
    let (shared, agreed) = open(true, false);
    *agreed.gate.lock().unwrap() = Gate::Closed(epoch(5));
    Steps::new(shared.clone()).step().await.unwrap();
    let batch = BatchId(1);
    shared.announce(batch, &[], &[]).await.unwrap();
    assert_eq!(shared.claimed_by(batch), shared.known().1);
    assert_ne!(shared.claimed_by(batch), NOBODY);
}

#[test]
fn a_token_counts_in_its_own_turn_alone() {
    let token = issued(5, 1);
    assert_eq!(accepted(token, 1), Some(5));
    assert_eq!(accepted(token, 2), None);
    assert_ne!(issued(5, 2), token);
}
