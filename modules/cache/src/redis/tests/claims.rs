//! What becomes of the pending lists when several instances use them, and die.

use nubo_core::{observe::BatchId, recent::Condition};

use super::*;
use crate::{
    Claims, Storage,
    storage_tests::{BATCH, OTHER, RECENT},
};

/// The text of what a fenced instance is told.
fn refusal<T: std::fmt::Debug>(result: nubo_core::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn claims_of_two_instances_are_two_although_their_batches_have_one_number() {
    let Test {
        world,
        other,
        server: _server,
        ..
    } = Test::new().await;
    world.open_lists().await;
    for instance in [&world, &other] {
        instance.announce_claims(BATCH, [1]).await;
    }
    world.arrived(BATCH, [1]).await;
    assert_eq!(other.pending().await, Some(vec![1]));
    other.arrived(BATCH, [1]).await;
    assert_eq!(world.pending().await, Some(Vec::new()));
}

#[tokio::test]
async fn what_one_has_claimed_who_is_taken_back_is_pending_until_others_have_brought_it() {
    let Test {
        redis,
        incarnation,
        world,
        other,
        server: _server,
        ..
    } = Test::new().await;
    let begun = world.begin_lists(RECENT).await;
    world.announce_claims(BATCH, [1]).await;
    let beginning = other.begin_lists(RECENT).await;
    world.announce_claims(OTHER, [2]).await;
    assert!(other.storage.is_under_way(&beginning).await.unwrap());
    redis
        .take_back(EPOCH, &incarnation, instance(1))
        .await
        .unwrap();
    // Whether it was committed is known from now on.
    assert!(!other.storage.is_under_way(&beginning).await.unwrap());
    let claims = world.claims(OTHER, [2, 3]);
    let storage = &world.storage;
    let key = [world.key(4)];
    for refused in [
        refusal(storage.announce(BatchId(3), &[], &key).await),
        refusal(storage.claim(RECENT, &claims).await),
        refusal(storage.arrived(RECENT, &claims).await),
        refusal(storage.begin_lists(RECENT).await),
        refusal(storage.open_lists(&begun).await),
    ] {
        assert!(refused.contains("fenced"), "{refused}");
    }
    assert!(other.storage.open_lists(&beginning).await.unwrap());
    assert_eq!(other.pending().await, Some(vec![2]));
    other.storage.arrived(RECENT, &claims).await.unwrap();
    assert_eq!(other.pending().await, Some(Vec::new()));
    // What did not happen is not pending either.
    other.announce_claims(BATCH, [5]).await;
    other
        .storage
        .abort(BATCH, &[], &[other.key(5)])
        .await
        .unwrap();
    assert_eq!(other.pending().await, Some(Vec::new()));
}

#[tokio::test]
async fn each_batch_is_claimed_or_known_to_be_under_way_whenever_the_lists_are_begun() {
    const BATCHES: u64 = 40;
    let Test {
        world,
        other,
        server: _server,
        ..
    } = Test::new().await;
    for round in 0..30 {
        let announce = async {
            for number in 0..BATCHES {
                let batch = BatchId(round * BATCHES + number);
                world.announce_claims(batch, [u128::from(number)]).await;
            }
        };
        let begin = async {
            for _ in 0..round {
                other.condition().await;
            }
            other.begin_lists(RECENT).await
        };
        let ((), beginning) = tokio::join!(announce, begin);
        assert!(other.storage.open_lists(&beginning).await.unwrap());
        let claimed = other.pending().await.unwrap().len();
        let under_way = beginning.under_way.len();
        assert!(claimed + under_way >= BATCHES as usize);
        for number in 0..BATCHES {
            let batch = BatchId(round * BATCHES + number);
            world.storage.settle(batch, Vec::new()).await.unwrap();
        }
        assert!(!other.storage.is_under_way(&beginning).await.unwrap());
    }
}

#[tokio::test]
async fn lists_begin_closed_in_every_epoch_of_the_cache() {
    let test = Test::new().await;
    test.world.open_lists().await;
    test.world.announce_claims(BATCH, [1]).await;
    let next = Epoch {
        number: EPOCH.number + 1,
        nonce: 1,
    };
    test.redis.prepare(next, &test.incarnation).await.unwrap();
    let storage = test.redis.at(next, &test.incarnation, instance(1));
    assert_eq!(storage.condition().await.unwrap(), Condition::Closed);
    test.redis.sweep(next, &test.incarnation).await.unwrap();
    assert_eq!(test.server.keys().len(), 1, "all of the first is gone");
}
