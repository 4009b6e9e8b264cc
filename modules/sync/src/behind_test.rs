//! What is acknowledged before it is carried out, over a truth in memory that fails as it is told to.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nubo_core::{
    Error,
    bus::NoBus,
    caller::Caller,
    id::Id,
    queue::BUSY,
    store::Store,
    write::{Guard, Operation, Outcome, Target},
};
use serde_json::json;

use crate::{
    Applying, Behind, BehindSettings, Tiers,
    fake::{Counting, Reversing, World, somebody},
};

/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A world whose writes are carried out behind their acknowledgement.
struct Later {
    world: World,
    tiers: Tiers,
    behind: Arc<Behind>,
}

impl Later {
    fn new(is_shared: bool) -> Self {
        let world = World::new();
        let settings = BehindSettings {
            is_shared,
            most: 10,
            patience: PATIENCE,
        };
        let behind = Behind::new(
            world.catalog.clone(),
            world.truth.clone(),
            world.clock.clone(),
            settings,
        );
        let behind = behind.unwrap();
        let tiers = Tiers::new(
            world.catalog.clone(),
            world.truth.clone(),
            Arc::new(NoBus),
            Arc::new(Reversing),
            world.clock.clone(),
            Arc::new(Counting::default()),
        );
        let tiers = tiers.with_behind(behind.clone());
        Self {
            world,
            tiers,
            behind,
        }
    }

    async fn write(&self, caller: &Caller, operation: Operation) -> Result<Outcome, Error> {
        let outcomes = self.tiers.write(caller, vec![operation]).await?;
        Ok(outcomes.into_iter().next().unwrap())
    }

    /// A visit that is accepted.
    async fn visit(&self) -> Id {
        let create = self.world.create("visits", json!({ "text": "hello" }));
        match self.write(&somebody(), create).await.unwrap() {
            Outcome::Accepted(document) => document.id().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn sees(&self, id: Id) -> Result<bool, Error> {
        let visits = self.world.id("visits");
        let found = self.tiers.get(&Caller::Anonymous, visits, id).await?;
        Ok(found.is_some())
    }

    fn fail(&self, failures: &[fn() -> Error]) {
        self.world
            .truth
            .queue
            .failures
            .lock()
            .unwrap()
            .extend(failures);
    }

    fn dead(&self) -> usize {
        self.world.truth.queue.dead.lock().unwrap().len()
    }

    fn looks(&self) -> usize {
        self.world.truth.queue.looks.load(Ordering::Relaxed)
    }
}

fn busy() -> Error {
    Error::unavailable(BUSY, "another one is at work")
}

fn away() -> Error {
    Error::unavailable("truth_unavailable", "the database is not there")
}

fn broken() -> Error {
    Error::internal("a disk that cannot be read")
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_that_anything_is_behind() {
    for is_shared in [false, true] {
        let later = Later::new(is_shared);
        let applying = Applying::start(later.behind.clone()).await;
        for _ in 0..20 {
            let id = later.visit().await;
            assert!(later.sees(id).await.unwrap());
        }
        let id = later.visit().await;
        let target = Target::One {
            id,
            guard: Guard::default(),
        };
        let collection = later.world.id("visits");
        let delete = Operation::Delete { collection, target };
        let deleted = later.write(&somebody(), delete).await.unwrap();
        assert_eq!(deleted, Outcome::Deleted);
        applying.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_who_cannot_be_told_now_is_written_at_once() {
    let later = Later::new(false);
    let _applying = Applying::start(later.behind.clone()).await;
    let named = json!({ "id": "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a22" });
    let named = later.world.create("visits", named);
    let created = later.write(&somebody(), named).await.unwrap();
    assert!(matches!(created, Outcome::Created(_)), "{created:?}");
    // What the server does itself.
    let own = later.world.create("visits", json!({}));
    let created = later.write(&Caller::Server, own).await.unwrap();
    assert!(matches!(created, Outcome::Created(_)), "{created:?}");
    let lost = json!({ "post": "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a33" });
    let lost = later.world.create("visits", lost);
    let refused = later.write(&somebody(), lost).await.unwrap_err();
    assert_eq!(refused.errors()[0].path, "/post");
    assert_eq!(refused.errors()[0].code, "unknown_reference");
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_not_asked_by_who_writes_alone() {
    let later = Later::new(false);
    let _applying = Applying::start(later.behind.clone()).await;
    let id = later.visit().await;
    assert!(later.sees(id).await.unwrap());
    // Until it was seen empty.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = later.looks();
    for _ in 0..10 {
        assert!(later.sees(id).await.unwrap());
    }
    assert_eq!(later.looks(), before);
    // Where others append nobody knows without asking.
    let later = Later::new(true);
    let _applying = Applying::start(later.behind.clone()).await;
    let before = later.looks();
    assert!(!later.sees(id).await.unwrap());
    assert_eq!(later.looks(), before + 1);
    // What has nothing to do with it costs nothing.
    let posts = later.world.query("posts", &json!({}), 1);
    later
        .tiers
        .list(&Caller::Anonymous, posts, &[])
        .await
        .unwrap();
    assert_eq!(later.looks(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_away_is_waited_for_and_nothing_is_set_aside() {
    let later = Later::new(false);
    let _applying = Applying::start(later.behind.clone()).await;
    later.fail(&[away, busy, away, busy, away]);
    let id = later.visit().await;
    assert!(later.sees(id).await.unwrap());
    assert_eq!(later.dead(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_an_end() {
    let later = Later::new(true);
    let _applying = Applying::start(later.behind.clone()).await;
    later.fail(&[busy as fn() -> Error; 10_000]);
    let id = later.visit().await;
    let error = later.sees(id).await.unwrap_err();
    assert_eq!(error.code(), "writes_pending");
    for _ in 0..9 {
        later.visit().await;
    }
    let more = later.world.create("visits", json!({}));
    let full = later.write(&somebody(), more).await.unwrap_err();
    assert_eq!(full.code(), "queue_full");
    later.world.truth.queue.failures.lock().unwrap().clear();
    assert!(later.sees(id).await.unwrap());
    later.visit().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_no_reason_is_tried_again_before_it_is_set_aside() {
    let later = Later::new(false);
    let _applying = Applying::start(later.behind.clone()).await;
    later.fail(&[broken, broken]);
    let id = later.visit().await;
    assert!(later.sees(id).await.unwrap());
    assert_eq!(later.dead(), 0);
    later.fail(&[broken, broken, broken]);
    let id = later.visit().await;
    assert!(!later.sees(id).await.unwrap());
    assert_eq!(later.dead(), 1);
    let problem = later.world.truth.queue.dead.lock().unwrap()[0]
        .problem
        .clone();
    assert!(
        problem.contains("\"internal\"") && !problem.contains("disk"),
        "{problem}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_carried_out_before_anybody_asks_and_before_the_end() {
    let later = Later::new(false);
    let ids = [later.visit().await, later.visit().await];
    let applying = Applying::start(later.behind.clone()).await;
    let visits = later.world.id("visits");
    for id in ids {
        assert!(later.world.truth.document(visits, id).is_some());
    }
    let last = later.visit().await;
    applying.stop().await;
    assert!(later.world.truth.document(visits, last).is_some());
}
