//! Several batches under way at the same time: what observers hear, and who waits for whom.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use nubo_core::{
    id::{Id, Revision},
    observe::{Observer, Touched},
    schema::CollectionId,
    write::{Outcome, Sequence},
};
use serde_json::{Value as Json, json};
use world::{Driver, Home, World};

fn declarations() -> Json {
    json!([
        { "name": "counters", "fields": { "value": "int!", "note": "text" } },
        { "name": "rooms", "fields": { "entries": { "type": "int", "default": 0 } } },
        { "name": "entries", "fields": { "room": { "type": "ref", "to": "rooms", "required": true } },
          "effects": [{ "on": "create", "update": "rooms", "where": { "id": "$doc.room" },
                        "change": { "$inc": { "entries": 1 } } }] },
    ])
}

/// Remembers what it heard of each document: revisions before and after.
#[derive(Default)]
struct Listener(Mutex<HashMap<Id, Vec<Step>>>);

type Step = (Option<Revision>, Option<Revision>);

impl Observer for Listener {
    fn observes(&self, _: CollectionId) -> bool {
        true
    }

    fn committed(&self, changes: &[Arc<Touched>]) {
        let mut heard = self.0.lock().unwrap();
        for change in changes {
            let either = change.after.as_ref().or(change.before.as_ref()).unwrap();
            let revision = |document: &Option<_>| {
                let document: Option<&nubo_core::document::Document> = document.as_ref();
                document.map(|document| document.revision())
            };
            let pair = (revision(&change.before), revision(&change.after));
            heard.entry(either.id().unwrap()).or_default().push(pair);
        }
    }
}

on_each_truth!(observers_hear_the_versions_of_a_document_in_their_order);
async fn observers_hear_the_versions_of_a_document_in_their_order(on: Driver) {
    let world = Arc::new(World::closed(declarations(), on.home()));
    let listener = Arc::new(Listener::default());
    let observers: Vec<Arc<dyn Observer>> = vec![listener.clone()];
    world.truth.start(observers).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.given("counters", json!({ "value": 0 })).await);
    }
    let room = world.given("rooms", json!({})).await;
    let mut writers = Vec::new();
    for writer in 0..24 {
        let (world, ids) = (Arc::clone(&world), ids.clone());
        writers.push(tokio::spawn(async move {
            for round in 0..40 {
                let id = ids[(writer + round) % ids.len()];
                match (writer + round) % 5 {
                    // One by its id or by a filter, two in either order, one with an effect, one
                    // that comes and goes.
                    0 => {
                        let filter = json!({ "id": id.to_string() });
                        let up = json!({ "$inc": { "value": 1 } });
                        let many = world.change_many("counters", &filter, &up);
                        world.run(many).await.unwrap();
                    }
                    1 => {
                        let up = json!({ "$inc": { "value": 1 } });
                        world.update("counters", id, up).await.unwrap();
                    }
                    2 => {
                        let other = ids[(writer * 7 + round * 3) % ids.len()];
                        let up = json!({ "$inc": { "value": 1 } });
                        let operations = [id, other].map(|id| world.change("counters", id, &up));
                        world.together(operations.into()).await.unwrap();
                    }
                    3 => {
                        let entry = json!({ "room": room.to_string() });
                        world.create("entries", entry).await.unwrap();
                    }
                    _ => {
                        let own = world.given("counters", json!({ "value": 1 })).await;
                        world.delete("counters", own).await.unwrap();
                    }
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let heard = std::mem::take(&mut *listener.0.lock().unwrap());
    for (id, versions) in &heard {
        let mut last = None;
        for (before, after) in versions {
            assert_eq!(*before, last, "{id}: {versions:?}");
            assert!(after.is_none() || *after > last, "{id}: {versions:?}");
            last = *after;
        }
    }
    // Each was told of, and nothing was lost on the way.
    let mut raised = 0;
    for id in ids {
        let seen = world.see("counters", id).await.unwrap();
        let last = heard[&id].last().unwrap().1.unwrap();
        assert_eq!(seen["_rev"], last.number());
        raised += seen["value"].as_i64().unwrap();
    }
    assert_eq!(raised, 24 * (2 * 8 + 2 * 8));
    assert_eq!(world.see("rooms", room).await.unwrap()["entries"], 24 * 8);
    world.truth.stop().await;
}

/// Somebody else writes the same rows with SQL of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_others_is_tried_again() {
    let home = Driver::Postgres.home();
    let Home::Database(database) = &home else {
        panic!("there is no database");
    };
    let world = World::at(declarations(), home.clone()).await;
    let first = world.given("counters", json!({ "value": 0 })).await;
    let second = world.given("counters", json!({ "value": 0 })).await;
    // They hold the second and want the first, and have more patience than the server has.
    let statement = format!(
        "SET deadlock_timeout = '30s'; BEGIN; \
         UPDATE main.counters SET note = 'theirs' WHERE id = '{second}'; SELECT pg_sleep(1); \
         UPDATE main.counters SET note = 'theirs' WHERE id = '{first}'; COMMIT"
    );
    let database = Arc::clone(database);
    let others = tokio::task::spawn_blocking(move || database.sql(&statement));
    wait_for_lock(&world, second).await;
    let up = json!({ "$inc": { "value": 1 } });
    let operations = [first, second].map(|id| world.change("counters", id, &up));
    let outcomes = world.together(operations.into()).await.unwrap();
    assert!(matches!(
        outcomes[..],
        [Outcome::Updated(_), Outcome::Updated(_)]
    ));
    others.await.unwrap();
    for id in [first, second] {
        let seen = world.see("counters", id).await.unwrap();
        assert_eq!(
            (&seen["value"], &seen["note"]),
            (&json!(1), &json!("theirs"))
        );
    }
    world.truth.stop().await;
}

/// Waits until somebody has locked a counter.
async fn wait_for_lock(world: &World, id: Id) {
    let Home::Database(database) = &world.home else {
        panic!("there is no database");
    };
    let question = format!("SELECT id FROM main.counters WHERE id = '{id}' FOR UPDATE SKIP LOCKED");
    for _ in 0..1000 {
        let database = Arc::clone(database);
        let question = question.clone();
        let found = tokio::task::spawn_blocking(move || database.sql(&question));
        if found.await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody has locked {id}");
}

on_each_truth!(one_bad_write_among_many_fails_alone);
async fn one_bad_write_among_many_fails_alone(on: Driver) {
    let world = on.world(declarations()).await;
    let room = world.given("rooms", json!({})).await;
    let counter = world.given("counters", json!({ "value": i32::MAX })).await;
    let nowhere = world.id();
    let transactions = (0..60).map(|index| {
        let operations = match index % 6 {
            // A reference that leads nowhere, behind a write that must be taken back.
            0 => vec![
                world.creation("counters", &json!({ "value": -1 })),
                world.creation("entries", &json!({ "room": nowhere.to_string() })),
            ],
            // A number that does not fit any longer.
            1 => vec![world.change("counters", counter, &json!({ "$inc": { "value": 1 } }))],
            2 => vec![world.removal("rooms", nowhere)],
            3 => vec![world.creation("entries", &json!({ "room": room.to_string() }))],
            _ => vec![world.creation("counters", &json!({ "value": 1 }))],
        };
        world.transaction(operations)
    });
    let results = world
        .truth
        .transact(transactions.collect(), Sequence::Independent)
        .await;
    for (index, result) in results.iter().enumerate() {
        let code = result.as_ref().err().map(nubo_core::Error::code);
        let expected = [
            Some("invalid"),
            Some("invalid"),
            Some("not_found"),
            None,
            None,
            None,
        ];
        assert_eq!(code, expected[index % 6], "{index}: {result:?}");
    }
    assert_eq!(world.count("counters", json!({ "value": -1 })).await, 0);
    assert_eq!(world.count("counters", json!({ "value": 1 })).await, 20);
    assert_eq!(world.see("rooms", room).await.unwrap()["entries"], 10);
    world.truth.stop().await;
}

on_each_truth!(of_thousands_in_one_transaction_the_bad_one_is_named);
async fn of_thousands_in_one_transaction_the_bad_one_is_named(on: Driver) {
    let world = on.world(declarations()).await;
    let room = world.given("rooms", json!({})).await;
    let creation =
        |room: Id| world.creation("counters", &json!({ "value": 1, "note": room.to_string() }));
    let mut operations: Vec<_> = (0..5000).map(|_| creation(room)).collect();
    let taken = operations[17].clone();
    operations[4321] = taken;
    let error = world.together(operations.clone()).await.unwrap_err();
    assert_eq!(error.code(), "duplicate");
    assert_eq!(error.errors()[0].path, "/4321/id");
    assert_eq!(world.count("counters", json!({})).await, 0);
    operations.remove(4321);
    let outcomes = world.together(operations).await.unwrap();
    assert_eq!(outcomes.len(), 4999);
    assert_eq!(world.count("counters", json!({})).await, 4999);
    world.truth.stop().await;
}

on_each_truth!(one_batch_finds_a_document_by_its_id_and_by_a_filter);
async fn one_batch_finds_a_document_by_its_id_and_by_a_filter(on: Driver) {
    let world = on.world(declarations()).await;
    let first = world.given("counters", json!({ "value": 0 })).await;
    let second = world.given("counters", json!({ "value": 0 })).await;
    let up = json!({ "$inc": { "value": 1 } });
    let operations = [
        world.change("counters", second, &up),
        world.change_many("counters", &json!({ "value": { "$lt": 100 } }), &up),
        world.change_many("counters", &json!({ "value": { "$lt": 100 } }), &up),
        // A question in between.
        world.change_many("rooms", &json!({}), &json!({ "$inc": { "entries": 1 } })),
        world.change("counters", first, &up),
        world.change("counters", second, &up),
    ];
    let transactions = operations.map(|operation| world.transaction(vec![operation]));
    let results = world
        .truth
        .transact(transactions.into(), Sequence::Independent)
        .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for (id, value) in [(first, 3), (second, 4)] {
        assert_eq!(world.see("counters", id).await.unwrap()["value"], value);
    }
    world.truth.stop().await;
}
