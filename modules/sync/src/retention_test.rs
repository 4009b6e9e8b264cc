use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nubo_core::throttle::{LocalBuckets, TokenBuckets};
use serde_json::json;

use crate::{Retention, Sweep, fake::World};

const HOUR: i64 = 3_600_000_000;

async fn logs(world: &World) -> u64 {
    world.count("logs", &json!({})).await
}

#[tokio::test]
async fn only_what_has_expired_goes() {
    let world = World::new();
    let user = world.add("users", json!({ "name": "Ada" })).await;
    for number in 0..1100 {
        world
            .add("logs", json!({ "line": number.to_string() }))
            .await;
    }
    // The first was written at second 2 after the start; now is second 1101.
    world.clock.advance(HOUR - 99 * 1_000_000);
    let sweep = world.tiers.sweep().await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            deleted: 1000,
            kept: 0
        }
    );
    assert_eq!(logs(&world).await, 100);
    assert_eq!(world.tiers.sweep().await.unwrap(), Sweep::default());
    assert!(world.truth.document(world.id("users"), user).is_some());
}

#[tokio::test]
async fn a_document_that_is_still_needed_does_not_hold_up_the_others() {
    let world = World::new();
    let needed = world.add("logs", json!({ "line": "needed" })).await;
    for number in 0..600 {
        world
            .add("logs", json!({ "line": number.to_string() }))
            .await;
    }
    world.truth.needed.lock().unwrap().push(needed);
    world.clock.advance(2 * HOUR);
    let sweep = world.tiers.sweep().await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            deleted: 600,
            kept: 1
        }
    );
    assert_eq!(logs(&world).await, 1);
}

fn buckets(world: &World) -> Arc<dyn TokenBuckets> {
    Arc::new(LocalBuckets::new(10, world.clock.clone()))
}

#[tokio::test(start_paused = true)]
async fn the_task_sweeps_again_and_again_until_it_is_stopped() {
    let world = World::new();
    let buckets = buckets(&world);
    let retention = Retention::start(world.tiers.clone(), buckets, Duration::from_secs(60));
    for _ in 0..2 {
        world.add("logs", json!({ "line": "x" })).await;
        world.clock.advance(2 * HOUR);
        while logs(&world).await > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    retention.stop().await;
    world.add("logs", json!({ "line": "x" })).await;
    world.clock.advance(2 * HOUR);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(logs(&world).await, 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_count_together_one_sweeps_in_each_period() {
    let world = World::new();
    let buckets = buckets(&world);
    let period = Duration::from_secs(60);
    let start = || Retention::start(world.tiers.clone(), buckets.clone(), period);
    let (first, second) = (start(), start());
    // The clock of the buckets stands still, so there is one turn for both, however often they come.
    tokio::time::sleep(10 * period).await;
    let swept = world.truth.asked.load(Ordering::Relaxed);
    assert_eq!(swept, 1, "one question for expired documents");
    world.clock.advance(60_000_000);
    tokio::time::sleep(10 * period).await;
    assert_eq!(world.truth.asked.load(Ordering::Relaxed), 2);
    first.stop().await;
    second.stop().await;
}
