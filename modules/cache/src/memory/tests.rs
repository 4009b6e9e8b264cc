//! What is special to the cache in this process, and what every storage must do, of it.

use std::sync::{Arc, atomic::AtomicI64};

use nubo_core::clock::Clock;

use super::*;
use crate::storage_tests::{BATCH, World, catalog, test_behaviours, there};

struct At(AtomicI64);

impl Clock for At {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One shard, so that what goes first is known.
async fn world() -> (World<Memory>, Arc<At>) {
    let clock = Arc::new(At(AtomicI64::new(0)));
    let catalog = Arc::new(catalog());
    let memory = Memory::divided(1, &catalog, clock.clone(), usize::MAX);
    (World::new(catalog, memory), clock)
}

test_behaviours!(world);

#[tokio::test]
async fn sets_that_nobody_has_built_do_not_stay() {
    let (world, _) = world().await;
    assert!(!world.announce(BATCH, 1, &[1]).await, "nobody reads it");
    assert_eq!(world.storage.keys().1.len(), 1);
    world
        .settle(BATCH, world.settled(1, there(10), &[1], &[]))
        .await;
    assert_eq!(world.storage.keys().1.len(), 0);
}

#[tokio::test]
async fn the_least_recently_used_go_first_and_none_that_is_about_to_change() {
    let (world, _) = world().await;
    for number in 1..=10 {
        let token = world.miss(number).await;
        world.fill(number, token, 5).await;
    }
    let each = world.storage.bytes() / 10;
    world.read(1).await;
    world.announce(BATCH, 2, &[]).await;
    world.storage.set_budget(each * 5);
    assert!(world.storage.bytes() <= each * 5);
    let (kept, _) = world.storage.keys();
    for (number, stays) in [(1, true), (2, true), (3, false), (4, false), (10, true)] {
        assert_eq!(kept.contains(&world.key(number)), stays, "{number}");
    }
    world.storage.set_budget(0);
    assert_eq!(world.storage.keys().0, [world.key(2)]);
    let statistics = world.storage.statistics().collections[0].unwrap();
    assert_eq!((statistics.documents, statistics.evictions), (1, 9));
    assert_eq!(statistics.bytes, world.storage.bytes() as u64);
}

#[tokio::test]
async fn what_is_kept_beyond_its_time_is_missing() {
    let (world, clock) = world().await;
    let token = world.miss(1).await;
    let fill = (world.key(1), token, world.held(1, 5));
    world.storage.fill(vec![fill], Some(1_000)).await.unwrap();
    clock.0.store(999_000, Ordering::Relaxed);
    assert_eq!(world.revision(1).await, Some(5));
    clock.0.store(1_000_000, Ordering::Relaxed);
    world.miss(1).await;
    assert_eq!(
        world.storage.statistics().collections[0].unwrap().documents,
        0
    );
}

#[tokio::test]
async fn what_is_said_to_be_taken_is_about_what_is_taken() {
    // What the allocator would say, without asking it: the sum of what was put there.
    let (world, _) = world().await;
    let mut payload = 0;
    for number in 1..=1000 {
        let token = world.miss(number).await;
        let held = world.held(number, 5);
        payload += held.json.len() + held.excerpt.size();
        world
            .storage
            .fill(vec![(world.key(number), token, held)], None)
            .await
            .unwrap();
    }
    let said = world.storage.bytes();
    assert!(said > payload, "{said} {payload}");
    assert!(said < payload + 1000 * 512, "{said} {payload}");
}

#[tokio::test]
async fn what_is_distrusted_does_not_come_back_with_a_batch_under_way() {
    let (world, _) = world().await;
    world.hold(1, 5).await;
    world.hold(2, 5).await;
    world.build(vec![world.member(1, 1)], true).await;
    world.announce(BATCH, 1, &[2]).await;
    world.storage.distrust().await.unwrap();
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
    world
        .settle(BATCH, world.settled(1, there(10), &[2], &[1]))
        .await;
    for number in [1, 2] {
        let token = world.miss(number).await;
        assert!(
            world.fill(number, token, 3).await,
            "what is read from now on"
        );
    }
}
