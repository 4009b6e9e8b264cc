//! Observers who are far away, so that announcing takes its time or comes to nothing.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    coordination::Terms,
    observe::{BatchId, Fate, Observer, Touched},
    schema::CollectionId,
    write::{Outcome, Sequence},
};
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;
use world::{Driver, World};

fn declarations() -> Json {
    json!([{ "name": "things", "fields": { "name": { "type": "text", "unique": true } } }])
}

/// Answers when it is let, and remembers what has become of what it was told.
struct Far {
    asked: Semaphore,
    leave: Semaphore,
    refuses: AtomicBool,
    fates: Mutex<Vec<Fate>>,
}

impl Far {
    /// One that answers so many.
    fn letting(count: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: Semaphore::new(0),
            leave: Semaphore::new(count),
            refuses: AtomicBool::new(false),
            fates: Mutex::default(),
        })
    }

    fn fates(&self) -> Vec<Fate> {
        self.fates.lock().unwrap().clone()
    }
}

#[async_trait]
impl Observer for Far {
    fn observes(&self, _: CollectionId) -> bool {
        true
    }

    async fn announce(&self, _: BatchId, _: &[Arc<Touched>]) -> Result<Option<Terms>> {
        self.asked.add_permits(1);
        self.leave.acquire().await.unwrap().forget();
        // As whoever has to ask somebody else.
        tokio::time::sleep(Duration::from_millis(1)).await;
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("away", "nobody answers")),
            false => Ok(None),
        }
    }

    async fn settle(&self, _: BatchId, fate: Fate) {
        self.fates.lock().unwrap().push(fate);
    }
}

async fn world(on: Driver, far: &Arc<Far>) -> Arc<World> {
    let world = World::closed(declarations(), on.home());
    let observers: Vec<Arc<dyn Observer>> = vec![far.clone()];
    world.truth.start(observers).await.unwrap();
    Arc::new(world)
}

/// Creates things under ids that nobody had before.
async fn create(world: &World, names: &[&str]) -> Vec<Result<Vec<Outcome>>> {
    let transactions = names.iter().map(|name| {
        let creation = world.creation("things", &json!({ "name": name }));
        let mut transaction = world.transaction(vec![creation]);
        transaction.new_ids = true;
        transaction
    });
    let transactions = transactions.collect();
    world
        .truth
        .transact(transactions, Sequence::Independent)
        .await
}

on_each_truth!(nothing_is_committed_before_it_is_announced);
async fn nothing_is_committed_before_it_is_announced(on: Driver) {
    let far = Far::letting(0);
    let world = world(on, &far).await;
    let creating = tokio::spawn({
        let world = Arc::clone(&world);
        async move { create(&world, &["a", "b"]).await }
    });
    far.asked.acquire().await.unwrap().forget();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.count("things", json!({})).await, 0);
    assert!(!creating.is_finished());
    far.leave.add_permits(1);
    for created in creating.await.unwrap() {
        created.unwrap();
    }
    assert_eq!(world.count("things", json!({})).await, 2);
    world.truth.stop().await;
    assert_eq!(far.fates(), [Fate::Committed]);
}

on_each_truth!(what_cannot_be_announced_is_not_there_and_in_nobodys_way);
async fn what_cannot_be_announced_is_not_there_and_in_nobodys_way(on: Driver) {
    let far = Far::letting(usize::MAX >> 4);
    let world = world(on, &far).await;
    far.refuses.store(true, Ordering::SeqCst);
    for created in create(&world, &["a", "b"]).await {
        assert_eq!(created.unwrap_err().code(), "away");
    }
    assert_eq!(world.count("things", json!({})).await, 0);
    assert!(far.fates().iter().all(|fate| *fate == Fate::Aborted));
    far.refuses.store(false, Ordering::SeqCst);
    for created in create(&world, &["a", "b"]).await {
        created.unwrap();
    }
    assert_eq!(world.count("things", json!({})).await, 2);
    world.truth.stop().await;
    assert_eq!(far.fates().last(), Some(&Fate::Committed));
}

on_each_truth!(one_that_is_refused_fails_alone);
async fn one_that_is_refused_fails_alone(on: Driver) {
    let far = Far::letting(usize::MAX >> 4);
    let world = world(on, &far).await;
    create(&world, &["b"]).await.remove(0).unwrap();
    let created = create(&world, &["a", "b", "c"]).await;
    let codes = created
        .iter()
        .map(|fate| fate.as_ref().err().map(Error::code));
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes, [None, Some("duplicate"), None]);
    assert_eq!(world.count("things", json!({})).await, 3);
    world.truth.stop().await;
    assert_eq!(
        far.fates(),
        [Fate::Committed, Fate::Aborted, Fate::Committed]
    );
}

on_each_truth!(one_that_is_both_refused_and_not_announced_is_not_there);
async fn one_that_is_both_refused_and_not_announced_is_not_there(on: Driver) {
    let far = Far::letting(usize::MAX >> 4);
    let world = world(on, &far).await;
    create(&world, &["b"]).await.remove(0).unwrap();
    far.refuses.store(true, Ordering::SeqCst);
    for created in create(&world, &["a", "b"]).await {
        assert!(["away", "duplicate"].contains(&created.unwrap_err().code()));
    }
    far.refuses.store(false, Ordering::SeqCst);
    create(&world, &["a"]).await.remove(0).unwrap();
    assert_eq!(world.count("things", json!({})).await, 2);
    world.truth.stop().await;
}
