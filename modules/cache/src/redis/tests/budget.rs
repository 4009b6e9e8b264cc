//! What goes when the server holds too much.

use super::*;
use crate::{
    RedisWatch, Storage,
    redis::{budget::Eviction, keys::Keys, partitions::Partitions},
    storage_tests::{BATCH, OTHER, there},
};

/// How many documents are held.
const MANY: u128 = 4000;

/// A server that holds many documents, the first half of which nobody has used for long, a set that
/// is about to change, and one that is not.
async fn full() -> Test {
    let test = Test::alone().await;
    let world = &test.world;
    for number in 1..=MANY {
        world.hold(number, 5).await;
    }
    world.build(vec![world.member(1, 1)], true).await;
    let other = world.set_of("b");
    let token = world.storage.begin(&other).await.unwrap().unwrap();
    let nothing = nubo_core::cache::Members {
        after: None,
        members: vec![world.member(2, 2)],
        to_the_end: true,
    };
    assert!(world.storage.build(&other, token, nothing).await.unwrap());
    world.announce(BATCH, MANY + 1, &[7]).await;
    let keys = Keys::new(&test.server.prefix, EPOCH, Partitions::ONE);
    let old = (1..=MANY / 2).map(|number| keys.document(world.key(number)));
    let sets = [world.set(), other]
        .into_iter()
        .flat_map(|set| keys.contents(&set));
    test.server.age(old.chain(sets));
    test
}

fn used(server: &Server) -> u64 {
    let info: String = server.ask(&["INFO", "memory"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().parse().unwrap()
}

/// How many of these are held.
async fn held(world: &World<RedisStorage>, numbers: impl Iterator<Item = u128>) -> u128 {
    let keys: Vec<_> = numbers.map(|number| world.key(number)).collect();
    let found = world.storage.read(&keys).await.unwrap();
    let held = found
        .iter()
        .filter(|lookup| matches!(lookup, nubo_core::cache::Lookup::Held(_)));
    held.count() as u128
}

#[tokio::test]
async fn without_a_limit_everything_stays() {
    let test = full().await;
    Eviction::new(&test.redis).make_room().await.unwrap();
    let statistics = test.world.storage.statistics();
    assert_eq!(statistics.budget, 0);
    assert!(statistics.bytes > 0);
    assert_eq!(held(&test.world, 1..=MANY).await, MANY);
}

#[tokio::test]
async fn the_least_recently_used_go_first() {
    let test = full().await;
    // Some hundred documents too many.
    let budget = used(&test.server) - 100_000;
    let test = test.limited(budget).await;
    Eviction::new(&test.redis).make_room().await.unwrap();
    let world = &test.world;
    let old = held(world, 1..=MANY / 2).await;
    assert!((1..MANY / 2).contains(&old), "{old}");
    assert_eq!(held(world, MANY / 2 + 1..=MANY).await, MANY - MANY / 2);
    let statistics = world.storage.statistics();
    let evictions = u128::from(statistics.collections[0].unwrap().evictions);
    assert!(evictions >= MANY / 2 - old, "{evictions} {old}");
    assert_eq!(statistics.budget, budget);
    assert!(statistics.bytes <= budget, "{statistics:?}");
}

#[tokio::test]
async fn what_is_about_to_change_stays_whatever_the_budget() {
    let test = full().await;
    test.world.open_lists().await;
    test.world.announce_claims(OTHER, [1]).await;
    let test = test.limited(1).await;
    Eviction::new(&test.redis).make_room().await.unwrap();
    let world = &test.world;
    assert_eq!(held(world, 1..=MANY).await, 0);
    assert_eq!(world.pending().await, Some(vec![1]));
    assert!(world.is_busy(MANY + 1).await);
    assert_eq!(world.scan(9).await.1, nubo_core::cache::Reach::Nowhere);
    let other = world
        .storage
        .scan(&[world.set_of("b")], None, 9)
        .await
        .unwrap();
    assert_eq!(other.reach, nubo_core::cache::Reach::Nowhere);
    let settled = world.settled(MANY + 1, there(10), &[7], &[]);
    world.settle(BATCH, settled).await;
    assert_eq!(world.revision(MANY + 1).await, Some(10));
}

#[tokio::test]
async fn somebody_looks_from_time_to_time() {
    let test = full().await;
    let test = test.limited(1).await;
    let watch = RedisWatch::start(&test.redis);
    while held(&test.world, 1..=MANY).await > 0 {}
    watch.stop().await;
}
