//! Lists that are kept in this process.

use nubo_core::{cache::Lookup, position::Position};

use super::*;
use crate::redis::{
    audit::just_before,
    lists::{Known, Lists, Name},
};
use crate::{
    Storage,
    storage::Announced,
    storage_tests::{BATCH, there},
};

/// What is known of the first document of the list; None where it does not stand there.
async fn first(world: &World<RedisStorage>) -> Option<Lookup> {
    let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
    let documents = scan.documents.unwrap();
    documents
        .into_iter()
        .find_map(|(id, lookup)| (id == world.key(1).id).then_some(lookup))
}

/// A list of two documents, which both instances have read; and somebody has taken the first document
/// out of Redis, so that only who remembers has it.
async fn known(divided: bool) -> Test {
    let test = match divided {
        true => Test::divided().await,
        false => Test::new().await,
    };
    for number in [1, 2] {
        test.world.hold(number, 5).await;
    }
    let members = [1, 2].map(|number| test.world.member(number, number as i64));
    test.world.build(members.to_vec(), true).await;
    for world in [&test.world, &test.other] {
        assert!(matches!(first(world).await, Some(Lookup::Held(_))));
    }
    let keys = [test.world.key(1)];
    let dropped = test.world.storage.drop_documents(&keys, false);
    assert_eq!(dropped.await.unwrap(), [true]);
    for world in [&test.world, &test.other] {
        let remembered = first(world).await;
        assert!(
            matches!(remembered, Some(Lookup::Held(_))),
            "{remembered:?}"
        );
    }
    test
}

#[tokio::test]
async fn what_is_announced_is_not_remembered() {
    for divided in [false, true] {
        let test = known(divided).await;
        test.other.announce(BATCH, 1, &[1]).await;
        for world in [&test.world, &test.other] {
            assert!(matches!(first(world).await, Some(Lookup::Busy)));
        }
        let settled = test.other.settled(1, there(10), &[1], &[]);
        test.other.settle(BATCH, settled).await;
        for world in [&test.world, &test.other] {
            let Some(Lookup::Held(held)) = first(world).await else {
                panic!("it is held again");
            };
            assert_eq!(held.revision, there(10).revision);
        }
    }
}

#[tokio::test]
async fn who_leaves_is_not_remembered_whether_or_not_anybody_knows_where_it_stood() {
    for divided in [false, true] {
        for left in [Some(1), None] {
            let test = known(divided).await;
            let announced = Announced {
                left: left.map(|size| test.other.places(1, &[size])),
                ..test.other.announced(1, &[])
            };
            test.other
                .storage
                .announce(BATCH, &[announced], &[])
                .await
                .unwrap();
            assert!(matches!(first(&test.world).await, Some(Lookup::Busy)));
        }
    }
}

#[tokio::test]
async fn a_new_document_of_which_nothing_comes_leaves_the_list_as_it_was() {
    for divided in [false, true] {
        let test = known(divided).await;
        let world = &test.world;
        for number in [3, 1] {
            // One of them is there already, at the same place.
            let announced = Announced {
                is_new: true,
                ..test.other.announced(number, &[number as i64])
            };
            let announced = [announced];
            test.other
                .storage
                .announce(BATCH, &announced, &[])
                .await
                .unwrap();
            let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
            let position = world.position(number, number as i64);
            assert!(scan.positions.contains(&position));
            test.other
                .storage
                .abort(BATCH, &announced, &[])
                .await
                .unwrap();
            let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
            let before = [1, 2].map(|number| world.position(number, number as i64));
            assert_eq!(scan.positions, before);
        }
    }
}

#[tokio::test]
async fn one_that_is_thrown_out_is_read_again() {
    for divided in [false, true] {
        let test = known(divided).await;
        let sets = [test.world.set()];
        test.world.storage.forget_sets(&sets).await.unwrap();
        assert!(first(&test.other).await.is_none());
    }
}

#[tokio::test]
async fn no_more_is_kept_than_may_be() {
    let test = Test::new().await;
    let lists = Lists::new(3000);
    for number in 0..100 {
        test.world.hold(number, 5).await;
        let found = test.world.read(number).await;
        let id = test.world.key(number).id;
        let name = Name {
            sets: [test.world.set()].into(),
            after: Some(test.world.position(number, 0)),
            most: 9,
        };
        let scan = nubo_core::cache::Scan {
            positions: Vec::new(),
            reach: nubo_core::cache::Reach::End,
            documents: Some(vec![(id, found)]),
        };
        for _ in 0..2 {
            let scan = scan.clone();
            lists.keep(
                name.clone(),
                Known {
                    stamps: Vec::new(),
                    scan,
                },
            );
        }
        assert!(lists.get(&name).is_some());
    }
    let (count, bytes) = lists.size();
    assert!((2..10).contains(&count) && bytes <= 3000, "{count} {bytes}");
}

#[tokio::test]
async fn what_is_looked_for_behind_the_position_right_before_it_is_found() {
    let test = Test::new().await;
    let world = &test.world;
    let numbers = [1, 255, 256, 1 << 64];
    let members = numbers.map(|number| world.member(number, 1));
    world.build(members.to_vec(), true).await;
    for number in numbers {
        let position = world.position(number, 1);
        let before = just_before(&position);
        let scan = world.storage.scan(&[world.set()], before.as_ref(), 1).await;
        assert_eq!(scan.unwrap().positions, [position]);
    }
    assert_eq!(just_before(&Position::from_bytes(&[0, 0])), None);
}
