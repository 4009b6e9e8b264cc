//! Readers see everything that was acknowledged, and wait for nobody.

#![allow(clippy::unwrap_used)]

mod world;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nubo_core::{
    Result,
    access::View,
    observe::{BatchId, Observer, Touched},
    schema::CollectionId,
};
use serde_json::{Value as Json, json};
use tokio::{sync::Notify, time::timeout};
use world::{Driver, World};

fn declarations() -> Json {
    json!([{ "name": "notes", "fields": {
        "n": { "type": "int", "default": 0 },
        "owner": "uuid",
    } }])
}

on_each_truth!(what_was_acknowledged_is_there);
async fn what_was_acknowledged_is_there(on: Driver) {
    let world = Arc::new(on.world(declarations()).await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let owner = world.id().to_string();
                let id = world.given("notes", json!({ "owner": owner })).await;
                for n in 1..=20 {
                    let note = world.update("notes", id, json!({ "n": n })).await.unwrap();
                    let seen = world.see("notes", id).await.unwrap();
                    assert_eq!(seen["_rev"], note.revision().number());
                    let other = world.given("notes", json!({ "owner": owner })).await;
                    assert!(world.see("notes", other).await.is_some());
                    assert_eq!(world.count("notes", json!({ "owner": owner })).await, n + 1);
                }
                world.delete("notes", id).await.unwrap();
                assert_eq!(world.see("notes", id).await, None);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Holds a batch that changes what is there up before its commit, until it is let go.
#[derive(Default)]
struct Gate {
    held: Notify,
    open: Notify,
}

#[async_trait]
impl Observer for Gate {
    fn observes(&self, _: CollectionId) -> bool {
        true
    }

    async fn announce(&self, _: BatchId, changes: &[Arc<Touched>]) -> Result<()> {
        // Creates are let through: they may be announced more than once, as attempts are made.
        if changes.iter().any(|change| change.before.is_some()) {
            self.held.notify_one();
            self.open.notified().await;
        }
        Ok(())
    }
}

on_each_truth!(reads_do_not_wait_for_a_long_write);
async fn reads_do_not_wait_for_a_long_write(on: Driver) {
    const PATIENCE: Duration = Duration::from_secs(20);
    let world = Arc::new(World::closed(declarations(), on.home()));
    let gate = Arc::new(Gate::default());
    world.truth.start(vec![gate.clone()]).await.unwrap();
    let id = world.given("notes", json!({ "n": 1 })).await;
    let writing = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let change = world.change_many("notes", &json!({}), &json!({ "$inc": { "n": 1 } }));
            world.run(change).await.unwrap();
        })
    };
    timeout(PATIENCE, gate.held.notified()).await.unwrap();
    // The write has been made and is not committed: nobody waits for it, and nobody sees it.
    for _ in 0..50 {
        let read = timeout(PATIENCE, world.see("notes", id)).await.unwrap();
        assert_eq!(read.unwrap()["n"], 1);
    }
    gate.open.notify_one();
    timeout(PATIENCE, writing).await.unwrap().unwrap();
    assert_eq!(world.see("notes", id).await.unwrap()["n"], 2);
}

on_each_truth!(a_question_that_cannot_be_answered_does_not_spoil_others);
async fn a_question_that_cannot_be_answered_does_not_spoil_others(on: Driver) {
    let world = Arc::new(on.world(declarations()).await);
    let id = world.given("notes", json!({})).await;
    // As many values as a filter may list, many times at once: together they are more than SQLite
    // takes in one go.
    let values: Vec<i64> = (0..1000).collect();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (world, filter) = (Arc::clone(&world), json!({ "n": { "$in": values } }));
            tokio::spawn(async move { world.count("notes", filter).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert!(world.see("notes", id).await.is_some());
}

on_each_truth!(filters_may_be_as_long_as_they_are_allowed_to_be);
async fn filters_may_be_as_long_as_they_are_allowed_to_be(on: Driver) {
    let world = on
        .world(json!([{ "name": "notes", "fields": { "tags": "text[]", "data": "json" } }]))
        .await;
    let many: Vec<String> = (0..1000).map(|n| format!("t{n}")).collect();
    world
        .given("notes", json!({ "tags": many, "data": { "a": many } }))
        .await;
    for operator in ["$in", "$all"] {
        for path in ["tags", "data.a"] {
            let filter = json!({ path: { operator: many } });
            assert_eq!(world.count("notes", filter).await, 1, "{operator} {path}");
        }
    }
    let parts: Vec<Json> = many
        .iter()
        .take(250)
        .map(|tag| json!({ "tags": tag }))
        .collect();
    for logic in ["$and", "$or"] {
        assert_eq!(world.count("notes", json!({ logic: parts })).await, 1);
    }
}

on_each_truth!(related_documents_come_in_order_and_so_many_for_each);
async fn related_documents_come_in_order_and_so_many_for_each(on: Driver) {
    let world = on
        .world(json!([
            { "name": "posts", "fields": {} },
            { "name": "comments", "fields": {
                "post": { "type": "ref", "to": "posts" }, "value": "int",
                "posts": { "type": "ref[]", "to": "posts" } } },
        ]))
        .await;
    let mut posts = Vec::new();
    for _ in 0..3 {
        posts.push(world.given("posts", json!({})).await.to_string());
    }
    for value in 0..12 {
        let post = &posts[value % 3];
        let json = json!({ "post": post, "value": value, "posts": [posts[0], post] });
        world.given("comments", json).await;
    }
    let comments = world.collection("comments");
    let value_of = |id: &String| {
        nubo_core::value::Value::Uuid(id.parse::<nubo_core::id::Id>().unwrap().uuid())
    };
    for (name, expected) in [
        ("post", ["10", "9", "7", "6"]),
        ("posts", ["11", "10", "10", "7"]),
    ] {
        let related = nubo_core::query::Related {
            collection: comments.id,
            field: comments.field_named(name).unwrap().0,
            values: posts[..2].iter().map(value_of).collect(),
            sort: comments.read_sort("-value").unwrap(),
            limit_each: 2,
        };
        let found = world
            .truth
            .find_related(related, &View::all())
            .await
            .unwrap();
        let (value, _) = comments.field_named("value").unwrap();
        let found: Vec<String> = found
            .iter()
            .map(|c| format!("{:?}", c.value(value)))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
