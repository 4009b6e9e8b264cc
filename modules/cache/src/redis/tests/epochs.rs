//! What an epoch is, and what becomes of what its instances leave behind.

use std::cell::Cell;

use nubo_core::{
    cache::{Lookup, Members, Reach},
    observe::BatchId,
    recent::Beginning,
};

use super::*;
use crate::{
    Claims, Storage,
    redis::keys::{Found, Kind},
    storage::{Announced, DocumentKey},
    storage_tests::{BATCH, OTHER, RECENT, there},
};

fn epoch(number: u64) -> Epoch {
    Epoch { number, nonce: 1 }
}

/// How many keys of these kinds there are.
fn count(server: &Server, kinds: &[Kind]) -> usize {
    let keys = server.keys();
    let found = keys
        .iter()
        .filter_map(|key| Found::parse(&server.prefix, key)?.part);
    found.filter(|(kind, _)| kinds.contains(kind)).count()
}

/// Everything that a storage does, none of which may be done where the epoch is not there.
async fn assert_all_refused(world: &World<RedisStorage>) {
    let storage = &world.storage;
    let held = world.held(1, 5);
    let announced = [world.announced(1, &[1])];
    let stretch = Members {
        after: None,
        members: vec![world.member(1, 1)],
        to_the_end: true,
    };
    let set = world.set();
    let settled = vec![world.settled(1, there(10), &[1], &[2])];
    let fill = vec![(world.key(1), 1, held)];
    let claims = world.claims(BATCH, [1]);
    let beginning = Beginning {
        epoch: RECENT,
        nonce: 1,
        under_way: vec![vec![0; 28]],
    };
    let things = world.things().id;
    let results = [
        storage.read(&[world.key(1)]).await.map(drop),
        storage.fill(fill, None).await.map(drop),
        storage.announce(BATCH, &announced, &[]).await.map(drop),
        storage.settle(BATCH, settled).await,
        storage.abort(BATCH, &announced, &[]).await,
        storage
            .scan(std::slice::from_ref(&set), None, 9)
            .await
            .map(drop),
        storage.begin(&set).await.map(drop),
        storage.build(&set, 1, stretch).await.map(drop),
        storage.take_back().await,
        storage
            .announce(BATCH, &[], &[world.key(1)])
            .await
            .map(drop),
        storage.pending(RECENT, things, 9).await.map(drop),
        storage
            .pending_among(RECENT, things, &[world.key(1).id])
            .await
            .map(drop),
        storage.arrived(RECENT, &claims).await,
        storage.claim(RECENT, &claims).await,
        storage.condition().await.map(drop),
        storage.begin_lists(RECENT).await.map(drop),
        storage.is_under_way(&beginning).await.map(drop),
        storage.open_lists(&beginning).await.map(drop),
    ];
    for (at, result) in results.into_iter().enumerate() {
        let error = result.expect_err(&at.to_string());
        assert_eq!(error.code(), "cache_unavailable", "{at}: {error}");
    }
}

#[tokio::test]
async fn nothing_is_done_in_an_epoch_that_is_not_there() {
    for test in Test::both().await {
        let storage = test.redis.at(epoch(9), &test.incarnation, instance(1));
        let world = World::new(Arc::new(catalog()), storage);
        let before = test.server.keys().len();
        assert_all_refused(&world).await;
        assert_eq!(test.server.keys().len(), before);
        // Whoever prepares it twice has it once.
        for _ in 0..2 {
            test.redis
                .prepare(epoch(9), &test.incarnation)
                .await
                .unwrap();
            world.read(1).await;
        }
        test.world.hold(1, 5).await;
        world.miss(1).await;
    }
}

#[tokio::test]
async fn a_server_that_has_lost_its_data_is_told_nothing() {
    let test = Test::alone().await;
    test.world.hold(1, 5).await;
    test.world.announce(BATCH, 2, &[2]).await;
    let _: String = test.server.ask(&["FLUSHALL"]);
    assert_all_refused(&test.world).await;
    assert_eq!(test.server.ask::<usize>(&["DBSIZE"]), 0);
    assert_eq!(test.redis.reach().await.unwrap(), test.incarnation);
}

#[tokio::test]
async fn old_epochs_are_swept_and_nothing_else() {
    for test in Test::both().await {
        let mut others = Vec::new();
        for name in [
            "bus",
            "2",
            "2-1",
            "2-00000001x",
            "x2-00000001",
            "2-00000001:q:1",
        ] {
            let key = format!("{}{name}", test.server.prefix);
            let _: String = test.server.ask(&["SET", &key, "1"]);
            others.push(key.into_bytes());
        }
        let world = |number| {
            let storage = test.redis.at(epoch(number), &test.incarnation, instance(1));
            World::new(Arc::new(catalog()), storage)
        };
        for number in [1, 2, 4] {
            test.redis
                .prepare(epoch(number), &test.incarnation)
                .await
                .unwrap();
            let world = world(number);
            world.build(vec![world.member(1, 1)], true).await;
            for document in 1..=1200 {
                world.miss(document).await;
            }
            world.hold(1, 5).await;
            world.announce(BATCH, 2, &[2]).await;
        }
        test.redis.sweep(epoch(4), &test.incarnation).await.unwrap();
        for key in test.server.keys() {
            let found = Found::parse(&test.server.prefix, &key);
            let stays = found.map_or(others.contains(&key), |found| found.epoch.number >= 4);
            assert!(stays, "{}", String::from_utf8_lossy(&key));
        }
        assert!(others.iter().all(|key| test.server.keys().contains(key)));
        // What comes late for one that was swept brings nothing of it back.
        assert_all_refused(&world(2)).await;
        assert_eq!(world(4).revision(1).await, Some(5));
        assert!(world(4).is_busy(2).await);
        test.redis.sweep(epoch(5), &test.incarnation).await.unwrap();
        assert_eq!(test.server.keys().len(), others.len());
    }
}

#[tokio::test]
async fn what_a_fenced_instance_has_announced_is_taken_back() {
    for test in Test::both().await {
        let Test {
            redis,
            incarnation,
            world,
            other,
            server,
            ..
        } = test;
        world.build(Vec::new(), true).await;
        world.hold(1, 5).await;
        world.hold(2, 5).await;
        world.announce(BATCH, 1, &[1]).await;
        world.announce(OTHER, 2, &[2]).await;
        other.announce(BATCH, 2, &[2]).await;
        redis
            .take_back(EPOCH, &incarnation, instance(1))
            .await
            .unwrap();

        // Nobody knows whether it was committed: the document is read from the truth, the set may have
        // it.
        other.miss(1).await;
        assert_eq!(other.scan(9).await, (2, Reach::End));
        // What others have announced is still to come. It does not count: what was taken back may have
        // been committed after it.
        assert!(other.is_busy(2).await);
        other
            .settle(BATCH, other.settled(2, there(20), &[2], &[]))
            .await;
        other.miss(2).await;
        // It may announce nothing any more, and what it says late changes nothing.
        let announced = [world.announced(3, &[3])];
        let refused = world.storage.announce(BATCH, &announced, &[]).await;
        assert!(refused.unwrap_err().to_string().contains("fenced"));
        world
            .settle(BATCH, world.settled(1, there(30), &[1], &[2]))
            .await;
        world
            .settle(OTHER, world.settled(2, there(30), &[2], &[1]))
            .await;
        world.abort(BATCH, 2, &[2]).await;
        other.miss(1).await;
        other.miss(2).await;
        other.hold(2, 40).await;
        assert_eq!(other.scan(9).await, (2, Reach::End));
        assert_eq!(count(&server, &[Kind::Records]), 0);
        // Once more is as good as once.
        redis
            .take_back(EPOCH, &incarnation, instance(1))
            .await
            .unwrap();
        assert_eq!(other.revision(2).await, Some(40));
    }
}

#[tokio::test]
async fn a_doubtful_document_stays_as_new_as_it_was_settled() {
    for test in Test::both().await {
        let Test {
            redis,
            incarnation,
            world,
            other,
            ..
        } = &test;
        // The other has committed twice; its later batch is settled first.
        world.announce(BATCH, 1, &[]).await;
        other.announce(BATCH, 1, &[]).await;
        other.announce(OTHER, 1, &[]).await;
        other
            .settle(OTHER, other.settled(1, there(20), &[], &[]))
            .await;
        redis
            .take_back(EPOCH, incarnation, instance(1))
            .await
            .unwrap();
        other
            .settle(BATCH, other.settled(1, there(10), &[], &[]))
            .await;
        other.miss(1).await;
    }
}

#[tokio::test]
async fn however_much_was_announced_all_of_it_is_taken_back() {
    for test in Test::both().await {
        let Test {
            redis,
            incarnation,
            world,
            server,
            ..
        } = &test;
        for batch in 0..4_u16 {
            let numbers = 1..=700_i64;
            let announced: Vec<Announced> = numbers
                .map(|number| world.announced(u128::try_from(number).unwrap(), &[number]))
                .collect();
            let batch = BatchId(u64::from(batch));
            world
                .storage
                .announce(batch, &announced, &[])
                .await
                .unwrap();
        }
        assert_eq!(count(server, &[Kind::Document]), 700);
        redis
            .take_back(EPOCH, incarnation, instance(1))
            .await
            .unwrap();
        assert_eq!(count(server, &[Kind::Document, Kind::Records]), 0);
        // A set that nobody has built and nobody is about to change is of no use.
        assert_eq!(count(server, &[Kind::Entries]), 0);
    }
}

#[tokio::test]
async fn who_announces_meanwhile_is_refused_or_taken_back() {
    for test in Test::both().await {
        let Test {
            redis,
            incarnation,
            world,
            server,
            ..
        } = &test;
        let announced = Cell::new(0);
        let announce = async {
            for number in 0.. {
                let document = world.announced(number, &[1]);
                match world.storage.announce(BATCH, &[document], &[]).await {
                    Ok(_) => announced.set(announced.get() + 1),
                    Err(_) => break,
                }
            }
        };
        let take_back = async {
            // Not before something was announced.
            while announced.get() == 0 {
                tokio::task::yield_now().await;
            }
            redis
                .take_back(EPOCH, incarnation, instance(1))
                .await
                .unwrap();
        };
        tokio::join!(announce, take_back);
        assert_eq!(count(server, &[Kind::Document, Kind::Records]), 0);
    }
}

#[tokio::test]
async fn what_happens_between_two_questions_is_seen() {
    for test in Test::both().await {
        let world = &test.world;
        // A reader has not found them, and comes back for their fill tokens.
        let keys = [1, 2, 3].map(|number| world.key(number));
        world.hold(1, 5).await;
        world.announce(BATCH, 2, &[]).await;
        let found = world.storage.leave(&keys).await.unwrap();
        let [Lookup::Held(held), Lookup::Busy, Lookup::Missing(token)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(held.revision, there(5).revision);
        assert_eq!(world.miss(3).await, token.number);
    }
}

#[tokio::test]
async fn what_is_new_and_nobody_reads_leaves_nothing_but_its_record() {
    for test in Test::both().await {
        let Test { world, server, .. } = &test;
        let mut announced = world.announced(1, &[1]);
        announced.is_new = true;
        let announced = [announced];
        let worth = world
            .storage
            .announce(BATCH, &announced, &[])
            .await
            .unwrap();
        assert!(!worth[0]);
        let keys = [Kind::Document, Kind::Entries, Kind::Mark, Kind::Builders];
        assert_eq!(count(server, &keys), 0);
        // Each partition that has something to do with it has one, and the first one.
        assert!(matches!(count(server, &[Kind::Records]), 1..=3));
        // A reader who misses it reads the truth, and who builds the set has it.
        let token = world.miss(1).await;
        world.build(Vec::new(), true).await;
        assert_eq!(world.scan(9).await, (1, Reach::End));
        let mut settled = world.settled(1, there(10), &[1], &[]);
        settled.is_new = true;
        settled.held = None;
        world.settle(BATCH, settled).await;
        assert!(world.fill(1, token, 10).await, "it is as new as it was");
        assert_eq!(count(server, &[Kind::Records]), 0);
        // Now that somebody reads the set the next one is kept.
        let mut announced = world.announced(2, &[2]);
        announced.is_new = true;
        let worth = world
            .storage
            .announce(OTHER, &[announced], &[])
            .await
            .unwrap();
        assert!(worth[0]);
        assert!(world.is_busy(2).await);
        world
            .settle(OTHER, world.settled(2, there(10), &[2], &[]))
            .await;
        assert_eq!(world.revision(2).await, Some(10));
        assert_eq!(world.scan(9).await, (2, Reach::End));
    }
}

#[tokio::test]
async fn who_settles_twice_changes_nothing() {
    for test in Test::both().await {
        let Test { world, other, .. } = &test;
        world.build(Vec::new(), true).await;
        world.announce(BATCH, 1, &[1]).await;
        let settled = world.settled(1, there(10), &[1], &[]);
        world.settle(BATCH, settled).await;
        // Another one moves it on; then the first is told again, as if by a request that was held up.
        other.announce(BATCH, 1, &[2]).await;
        let mut late = world.settled(1, there(30), &[1], &[2]);
        late.left_at = there(30).revision;
        world.settle(BATCH, late.clone()).await;
        assert!(other.is_busy(1).await);
        let mut moved = other.settled(1, there(20), &[2], &[1]);
        moved.left_at = there(10).revision;
        other.settle(BATCH, moved).await;
        world.settle(BATCH, late).await;
        assert_eq!(other.revision(1).await, Some(20));
        let scan = other.storage.scan(&[other.set()], None, 9).await.unwrap();
        assert_eq!(scan.positions, [other.position(1, 2)]);
    }
}

#[tokio::test]
async fn what_is_kept_beyond_its_time_is_missing() {
    for test in Test::both().await {
        let Test { world, .. } = &test;
        let fill = |token, lifetime| {
            let fill = (world.key(1), token, world.held(1, 5));
            world.storage.fill(vec![fill], Some(lifetime))
        };
        // A thousand years are as long as anything lives; one millisecond is over soon.
        assert!(fill(world.miss(1).await, i64::MAX).await.unwrap()[0]);
        assert_eq!(world.revision(1).await, Some(5));
        world.storage.clear().await.unwrap();
        assert!(fill(world.miss(1).await, 1).await.unwrap()[0]);
        while world.revision(1).await.is_some() {}
        world.miss(1).await;
        // The same of what is written.
        world.announce(BATCH, 1, &[]).await;
        let mut settled = world.settled(1, there(10), &[], &[]);
        settled.lifetime = Some(1);
        world.settle(BATCH, settled).await;
        while world.revision(1).await.is_some() {}
        world.miss(1).await;
    }
}

#[tokio::test]
async fn builders_who_do_not_come_back_are_forgotten() {
    for test in Test::both().await {
        let set = test.world.set();
        let mut tokens = Vec::new();
        for _ in 0..100 {
            tokens.push(test.world.storage.begin(&set).await.unwrap().unwrap());
        }
        for (token, counts) in [(tokens[0], false), (tokens[99], true)] {
            let stretch = Members {
                after: None,
                members: Vec::new(),
                to_the_end: true,
            };
            let built = test.world.storage.build(&set, token, stretch).await;
            assert_eq!(built.unwrap(), counts);
        }
    }
}

#[tokio::test]
async fn what_was_done_is_counted() {
    for test in Test::both().await {
        let world = &test.world;
        let token = world.miss(1).await;
        world.fill(1, token, 5).await;
        world.fill(1, token, 5).await;
        world.revision(1).await;
        world.build(Vec::new(), true).await;
        let missing = DocumentKey {
            collection: world.catalog.collections()[1].id,
            ..world.key(1)
        };
        world.storage.read(&[missing]).await.unwrap();
        let statistics = world.storage.statistics();
        let things = statistics.collections[0].unwrap();
        assert_eq!((things.hits, things.misses), (1, 1));
        assert_eq!((things.fills, things.refused_fills), (1, 1));
        assert_eq!((things.builds, things.refused_builds), (1, 0));
        assert_eq!(statistics.collections[1].unwrap().misses, 1);
    }
}
