//! What every storage must do.

use std::sync::Arc;

use nubo_core::{
    cache::{Held, Lookup, Members, Reach},
    id::Revision,
    observe::BatchId,
    value::Value,
};

use super::{BATCH, OTHER, World, gone, there};
use crate::{
    others::Doubted,
    storage::{Announced, DocumentKey, Settled, Storage},
};

pub(crate) async fn what_is_filled_is_held(world: &World<impl Storage>) {
    let token = world.miss(1).await;
    assert_eq!(world.miss(1).await, token, "nothing has changed since");
    assert!(world.fill(1, token, 5).await);
    assert_eq!(world.revision(1).await, Some(5));
    assert!(!world.fill(1, token, 4).await, "a token counts once");
    assert_eq!(world.revision(1).await, Some(5));
}

pub(crate) async fn what_is_held_is_what_was_put_there<S: Storage>(world: &World<S>) {
    for collection in world.catalog.collections() {
        let key = DocumentKey {
            collection: collection.id,
            ..world.key(1)
        };
        let mut document = world.document(1, -7, 1_795_000_000_000_000);
        document.set(1, Value::Text("a\"\n\u{e9}".into()));
        let cache = collection.tiers.cache.as_ref().unwrap();
        let held = Held::of(&document, collection, cache);
        let Lookup::Missing(token) = world.storage.read(&[key]).await.unwrap().remove(0) else {
            panic!("nobody has put it there");
        };
        let fill = (key, token.number, Arc::new(held.clone()));
        assert!(world.storage.fill(vec![fill], Some(60_000)).await.unwrap()[0]);
        let Lookup::Held(found) = world.storage.read(&[key]).await.unwrap().remove(0) else {
            panic!("it was put there");
        };
        assert_eq!(*found, held);
    }
}

pub(crate) async fn an_announcement_makes_a_fill_worthless(world: &World<impl Storage>) {
    let token = world.miss(1).await;
    world.announce(BATCH, 1, &[]).await;
    assert!(world.is_busy(1).await);
    assert!(!world.fill(1, token, 5).await);
    world.abort(BATCH, 1, &[]).await;
    assert!(!world.fill(1, token, 5).await, "not afterwards either");
    assert_ne!(world.miss(1).await, token);
}

pub(crate) async fn what_is_taken_back_changes_nothing(world: &World<impl Storage>) {
    world.hold(1, 5).await;
    let worth = world.announce(BATCH, 1, &[]).await;
    assert!(worth, "what is held is worth holding");
    assert!(world.is_busy(1).await);
    world.abort(BATCH, 1, &[]).await;
    assert_eq!(world.revision(1).await, Some(5));
}

pub(crate) async fn the_newest_version_stays_whoever_settles_last(world: &World<impl Storage>) {
    for (number, end) in [(1, there(20)), (2, gone(10))] {
        world.hold(number, 5).await;
        world.announce(BATCH, number, &[]).await;
        world.announce(OTHER, number, &[]).await;
        world
            .settle(OTHER, world.settled(number, end, &[], &[]))
            .await;
        assert!(world.is_busy(number).await, "one is still to come");
        let earlier = world.settled(number, there(10), &[], &[]);
        world.settle(BATCH, earlier).await;
        let expected = (!end.gone).then_some(20);
        assert_eq!(world.revision(number).await, expected);
    }
}

pub(crate) async fn an_older_version_does_not_come_back(world: &World<impl Storage>) {
    // What is held was read after the commit of the batch that is settled now.
    world.announce(BATCH, 1, &[]).await;
    world.announce(OTHER, 1, &[]).await;
    world
        .settle(OTHER, world.settled(1, there(20), &[], &[]))
        .await;
    world.storage.clear().await.unwrap();
    world
        .settle(BATCH, world.settled(1, there(10), &[], &[]))
        .await;
    assert_eq!(world.revision(1).await, None);
    // When nobody is about to change it any more, its next version is newer than all before.
    world.announce(BATCH, 1, &[]).await;
    world
        .settle(BATCH, world.settled(1, there(30), &[], &[]))
        .await;
    assert_eq!(world.revision(1).await, Some(30));
    // Nothing is known of one that came and went within a batch.
    world.announce(BATCH, 2, &[]).await;
    world
        .settle(BATCH, world.settled(2, gone(i64::MIN), &[], &[]))
        .await;
    world.miss(2).await;
}

pub(crate) async fn a_set_misses_nothing_down_to_its_mark(world: &World<impl Storage>) {
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
    // Announced while it is being built, and committed after it was read.
    let token = world.storage.begin(&world.set()).await.unwrap().unwrap();
    world.announce(BATCH, 3, &[3]).await;
    let stretch = Members {
        after: None,
        members: vec![world.member(1, 1), world.member(5, 5)],
        to_the_end: false,
    };
    let set = world.set();
    let built = world.storage.build(&set, token, stretch.clone()).await;
    assert!(built.unwrap());
    let again = world.storage.build(&set, token, stretch).await;
    assert!(!again.unwrap(), "a token counts once");
    assert_eq!(world.scan(9).await, (3, Reach::To(world.position(5, 5))));
    assert_eq!(world.scan(2).await, (2, Reach::To(world.position(3, 3))));
    world
        .settle(BATCH, world.settled(3, there(10), &[3], &[]))
        .await;
    // It is built further from there on, and not from anywhere else.
    for (after, counts) in [(world.position(7, 7), false), (world.position(5, 5), true)] {
        let members = vec![world.member(8, 8)];
        let built = world.build_from(Some(after), members, true).await;
        assert_eq!(built, counts);
    }
    assert_eq!(world.scan(9).await, (4, Reach::End));
}

pub(crate) async fn a_stretch_begins_behind_a_position(world: &World<impl Storage>) {
    let members = [1, 2, 4, 8].map(|number| world.member(number, number as i64));
    world.build(members.to_vec(), false).await;
    let end = world.position(8, 8);
    for (after, found, reach) in [
        (world.position(2, 2), 2, Reach::To(end.clone())),
        (world.position(3, 3), 2, Reach::To(end.clone())),
        (world.position(0, i64::MIN), 4, Reach::To(end.clone())),
        (end.clone(), 0, Reach::Nowhere),
        (world.position(9, 9), 0, Reach::Nowhere),
    ] {
        let scan = world.storage.scan(&[world.set()], Some(&after), 9).await;
        let scan = scan.unwrap();
        assert_eq!((scan.positions.len(), scan.reach), (found, reach));
    }
}

pub(crate) async fn who_leaves_a_set_takes_no_later_entry_along(world: &World<impl Storage>) {
    world.build(vec![world.member(1, 1)], true).await;
    // It moves from 1 to 2, and back; the first move is settled last.
    world.announce(BATCH, 1, &[2]).await;
    world.announce(OTHER, 1, &[1]).await;
    assert_eq!(world.scan(9).await.0, 2);
    world
        .settle(OTHER, world.settled(1, there(20), &[1], &[2]))
        .await;
    world
        .settle(BATCH, world.settled(1, there(10), &[2], &[1]))
        .await;
    let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
    assert!(scan.positions.contains(&world.position(1, 1)));
    // One that leaves with nobody coming after it is gone.
    world.announce(BATCH, 1, &[3]).await;
    let mut settled = world.settled(1, there(30), &[3], &[1, 2]);
    settled.left_at = there(20).revision;
    world.settle(BATCH, settled).await;
    let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
    assert_eq!(scan.positions, [world.position(1, 3)]);
}

pub(crate) async fn sets_that_nobody_has_built_are_not_read(world: &World<impl Storage>) {
    assert!(!world.announce(BATCH, 1, &[1]).await, "nobody reads it");
    world
        .settle(BATCH, world.settled(1, there(10), &[1], &[]))
        .await;
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
    // What was there before is not there when somebody builds it.
    world.build(Vec::new(), true).await;
    assert_eq!(world.scan(9).await, (0, Reach::End));
    assert!(world.announce(BATCH, 1, &[1]).await, "somebody does");
}

pub(crate) async fn a_set_that_grows_keeps_its_beginning(world: &World<impl Storage>) {
    world.build(Vec::new(), true).await;
    let numbers: Vec<u16> = (1..=3000).rev().collect();
    for (batch, numbers) in (0..).zip(numbers.chunks(50)) {
        change_many(world, BatchId(batch), numbers).await;
    }
    let (found, reach) = world.scan(5000).await;
    assert!((1024..=2048).contains(&found), "{found}");
    assert!(matches!(reach, Reach::To(_)));
    let token = world.storage.begin(&world.set()).await.unwrap();
    assert!(token.is_none(), "it is full");
}

pub(crate) async fn what_is_about_to_be_committed_stays_in_a_long_set(world: &World<impl Storage>) {
    world.build(Vec::new(), true).await;
    world.announce(OTHER, 5000, &[5000]).await;
    let numbers: Vec<u16> = (1..=3000).collect();
    change_many(world, BATCH, &numbers).await;
    let (_, reach) = world.scan(9000).await;
    let Reach::To(end) = reach else {
        panic!("it was cut back: {reach:?}");
    };
    // Others leave, so that there is room again; somebody builds it further and finds what is to
    // come.
    let leaving: Vec<u16> = (1..=1500).collect();
    leave_many(world, BATCH, &leaving).await;
    assert!(world.build_from(Some(end), Vec::new(), true).await);
    let scan = world
        .storage
        .scan(&[world.set()], None, 9000)
        .await
        .unwrap();
    assert_eq!(scan.reach, Reach::End);
    assert_eq!(scan.positions.last(), Some(&world.position(5000, 5000)));
    let settled = world.settled(5000, there(10), &[5000], &[]);
    world.settle(OTHER, settled).await;
}

pub(crate) async fn no_more_is_built_than_is_kept(world: &World<impl Storage>) {
    let members = (1..=3000).map(|number: u16| world.member(number.into(), number.into()));
    world.build(members.collect(), true).await;
    let end = world.position(1024, 1024);
    assert_eq!(world.scan(9000).await, (1024, Reach::To(end)));
}

pub(crate) async fn who_builds_a_set_while_it_is_cut_back_has_not_seen_all_of_it(
    world: &World<impl Storage>,
) {
    let token = world.storage.begin(&world.set()).await.unwrap().unwrap();
    let numbers: Vec<u16> = (1..=3000).collect();
    change_many(world, BATCH, &numbers).await;
    let stretch = Members {
        after: None,
        members: Vec::new(),
        to_the_end: true,
    };
    let built = world.storage.build(&world.set(), token, stretch).await;
    assert!(!built.unwrap());
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
}

pub(crate) async fn several_sets_are_one(world: &World<impl Storage>) {
    let members = vec![world.member(1, 1), world.member(4, 4)];
    world.build(members, true).await;
    let other = world.set_of("b");
    let sets = [world.set(), other.clone()];
    let scan = world.storage.scan(&sets, None, 9).await.unwrap();
    assert_eq!(scan.reach, Reach::Nowhere, "one of them is not known");
    let token = world.storage.begin(&other).await.unwrap().unwrap();
    let stretch = Members {
        after: None,
        members: vec![world.member(1, 1), world.member(3, 3)],
        to_the_end: false,
    };
    world.storage.build(&other, token, stretch).await.unwrap();
    let scan = world.storage.scan(&sets, None, 9).await.unwrap();
    assert_eq!(scan.positions, [world.position(1, 1), world.position(3, 3)]);
    assert_eq!(
        scan.reach,
        Reach::To(world.position(3, 3)),
        "the rest of one is not known"
    );
}

pub(crate) async fn what_is_cleared_is_gone_but_for_tokens(world: &World<impl Storage>) {
    world.hold(1, 5).await;
    world.hold(2, 5).await;
    let token = world.miss(3).await;
    world.build(vec![world.member(1, 1)], true).await;
    let builder = world.storage.begin(&world.set()).await.unwrap().unwrap();
    world.announce(BATCH, 2, &[2]).await;
    world.storage.clear().await.unwrap();
    world.miss(1).await;
    assert!(world.is_busy(2).await);
    assert!(!world.fill(3, token, 5).await);
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
    let stretch = Members {
        after: None,
        members: Vec::new(),
        to_the_end: true,
    };
    let built = world.storage.build(&world.set(), builder, stretch).await;
    assert!(!built.unwrap());
    world.abort(BATCH, 2, &[2]).await;
    world.miss(2).await;
}

pub(crate) async fn many_documents_are_read_and_changed_at_once(world: &World<impl Storage>) {
    let numbers: Vec<u16> = (1..=1500).collect();
    let keys: Vec<_> = numbers.iter().map(|n| world.key(u128::from(*n))).collect();
    let missing = world.storage.read(&keys).await.unwrap();
    let fills = numbers.iter().zip(missing).map(|(number, lookup)| {
        let number = u128::from(*number);
        match lookup {
            Lookup::Missing(token) => (world.key(number), token.number, world.held(number, 5)),
            other => panic!("{other:?}"),
        }
    });
    let filled = world.storage.fill(fills.collect(), None).await.unwrap();
    assert!(filled.iter().all(|counts| *counts));
    change_many(world, BATCH, &numbers).await;
    let found = world.storage.read(&keys).await.unwrap();
    assert_eq!(found.len(), numbers.len());
    for (number, lookup) in numbers.iter().zip(found) {
        let Lookup::Held(held) = lookup else {
            panic!("{number}: {lookup:?}");
        };
        assert_eq!(*held, *world.held(u128::from(*number), 10));
    }
}

/// A batch that puts each of these documents into the set, at the place that its number says.
async fn change_many<S: Storage>(world: &World<S>, batch: BatchId, numbers: &[u16]) {
    let announced = numbers
        .iter()
        .map(|n| world.announced(u128::from(*n), &[i64::from(*n)]));
    let announced: Vec<Announced> = announced.collect();
    world
        .storage
        .announce(batch, &announced, &[])
        .await
        .unwrap();
    let settled = numbers.iter().map(|n| {
        let number = u128::from(*n);
        world.settled(number, there(10), &[i64::from(*n)], &[])
    });
    let settled: Vec<Settled> = settled.collect();
    world.storage.settle(batch, settled).await.unwrap();
}

/// A batch that takes each of them out of it.
async fn leave_many<S: Storage>(world: &World<S>, batch: BatchId, numbers: &[u16]) {
    let announced = numbers.iter().map(|n| world.announced(u128::from(*n), &[]));
    let announced: Vec<Announced> = announced.collect();
    world
        .storage
        .announce(batch, &announced, &[])
        .await
        .unwrap();
    let settled = numbers.iter().map(|n| {
        let mut settled = world.settled(u128::from(*n), gone(10), &[], &[i64::from(*n)]);
        settled.left_at = there(10).revision;
        settled
    });
    let settled: Vec<Settled> = settled.collect();
    world.storage.settle(batch, settled).await.unwrap();
}

pub(crate) async fn what_others_have_written_is_nowhere_held_and_missing_nowhere(
    world: &World<impl Storage>,
) {
    let doubted = |number| Doubted {
        document: world.key(number),
        before: Some((world.places(number, &[1]), Revision::new(5))),
    };
    world.hold(1, 5).await;
    world.build(vec![world.member(1, 1)], true).await;
    // A batch is under way that was committed before, and moves the document.
    world.announce(OTHER, 1, &[2]).await;
    let announced = [doubted(1).announced()];
    world
        .storage
        .announce(BATCH, &announced, &[])
        .await
        .unwrap();
    assert!(world.is_busy(1).await);
    // They have moved it as well, as is known only now.
    let now = world.document(1, 3, 9);
    let resolved = doubted(1).resolved(Some(&now), world.places(1, &[3]));
    let announced = [resolved.announced()];
    world
        .storage
        .announce(BATCH, &announced, &[])
        .await
        .unwrap();
    world.settle(BATCH, resolved.settled()).await;
    assert!(world.is_busy(1).await, "the batch is still under way");
    let late = world.settled(1, there(9), &[2], &[1, 3]);
    world.settle(OTHER, late).await;
    let token = world.miss(1).await;
    assert_eq!(world.scan(9).await, (2, Reach::End), "at 2 and at 3");
    // Whoever has read it since then may put it there, whatever its revision is.
    assert!(world.fill(1, token, 5).await);
    assert_eq!(world.revision(1).await, Some(5));

    // What nobody is about to change goes just as well, and who was reading it has read too early.
    let token = world.miss(2).await;
    for number in [1, 2] {
        let gone = doubted(number).resolved(None, Vec::new());
        let announced = [gone.announced()];
        world
            .storage
            .announce(BatchId(7), &announced, &[])
            .await
            .unwrap();
        world.settle(BatchId(7), gone.settled()).await;
        world.miss(number).await;
    }
    assert!(!world.fill(2, token, 5).await);
}
