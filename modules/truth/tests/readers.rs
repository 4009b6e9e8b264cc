//! Readers see everything that was acknowledged, and wait for nobody.

#![allow(clippy::unwrap_used)]

mod world;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use nubo_core::{
    Result,
    access::View,
    coordination::Terms,
    filter::{Expr, Path, Test},
    observe::{BatchId, Observer, Touched},
    schema::CollectionId,
    value::Value,
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

    async fn announce(&self, _: BatchId, changes: &[Arc<Touched>]) -> Result<Option<Terms>> {
        // Creates are let through: they may be announced more than once, as attempts are made.
        if changes.iter().any(|change| change.before.is_some()) {
            self.held.notify_one();
            self.open.notified().await;
        }
        Ok(None)
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

on_each_truth!(each_in_a_crowd_of_questions_gets_its_own_answer);
async fn each_in_a_crowd_of_questions_gets_its_own_answer(on: Driver) {
    const CROWD: usize = 24;
    let world = on
        .world(json!([{ "name": "things", "order": "-stars", "fields": {
            "name": "text", "price": "decimal", "ip": "ip", "raw": "bytes", "size": "bigint",
            "stars": "int", "score": "float", "at": "timestamp", "day": "date", "took": "duration",
            "kin": "uuid", "open": "bool", "tags": "text[]", "meta": "json" } }]))
        .await;
    let kin: Vec<String> = (0..CROWD).map(|_| world.id().to_string()).collect();
    let raw = ["AA==", "AQ==", "/w=="];
    let thing = |n: usize| {
        json!({
            "name": format!("n'{n}\" $1"), "price": format!("{n}.50"), "ip": format!("10.0.0.{n}"),
            "raw": raw[n % 3], "size": n * 1_000_000_007, "stars": n,
            "score": n as f64 / 4.0, "at": format!("2026-01-01T00:00:{n:02}Z"),
            "day": format!("2026-01-{:02}", n + 1), "took": format!("PT{n}S"), "kin": kin[n],
            "open": n.is_multiple_of(2), "tags": [format!("t{n}")],
        })
    };
    let mut ids = Vec::new();
    for n in 0..CROWD {
        ids.push(world.given("things", thing(n)).await);
    }
    // Every field, compared with the value of each at once: more than go at the same time.
    for field in thing(0).as_object().unwrap().keys() {
        let asked = (0..CROWD).map(|n| {
            let value = match field.as_str() {
                "tags" => thing(n)[field][0].clone(),
                _ => thing(n)[field].clone(),
            };
            world.count("things", json!({ field: value }))
        });
        let expected = (0..CROWD).map(|n| match field.as_str() {
            "open" => 12,
            "raw" => (0..CROWD).filter(|m| m % 3 == n % 3).count() as u64,
            _ => 1,
        });
        assert_eq!(
            join_all(asked).await,
            expected.collect::<Vec<_>>(),
            "{field}"
        );
    }
    // By id, those among them that are not there.
    let others: Vec<_> = (0..CROWD).map(|_| world.id()).collect();
    let asked = ids.iter().chain(&others).map(|id| world.see("things", *id));
    for (n, found) in join_all(asked).await.into_iter().enumerate() {
        let name = found.map(|thing| thing["name"].clone());
        assert_eq!(name, (n < CROWD).then(|| thing(n)["name"].clone()));
    }
    // Lists that go on from one another's documents keep their own order and their own end.
    let stars = world.collection("things").field_named("stars").unwrap().0;
    let asked = (0..CROWD).map(|n| {
        let filter = json!({ "stars": { "$lte": n }, "open": true });
        let query = world.query("things", &filter, 3);
        async { world.truth.find(query, &View::all()).await.unwrap() }
    });
    for (n, found) in join_all(asked).await.into_iter().enumerate() {
        let found: Vec<String> = found
            .iter()
            .map(|thing| format!("{:?}", thing.value(stars)))
            .collect();
        let expected = (0..=n).rev().filter(|n| n.is_multiple_of(2)).take(3);
        assert_eq!(found, expected.map(|n| n.to_string()).collect::<Vec<_>>());
    }
    // Equal questions share what is found.
    let asked =
        (0..CROWD).map(|_| world.count("things", json!({ "open": true, "stars": { "$gt": 3 } })));
    assert_eq!(join_all(asked).await, [10; CROWD]);
}

/// PostgreSQL refuses a text with NUL in it, which clients cannot send: what fails in company must
/// fail alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_fails_takes_no_other_along() {
    let declared = json!([{ "name": "things", "fields": { "name": "text" } }]);
    let world = Driver::Postgres.world(declared).await;
    world.given("things", json!({ "name": "7" })).await;
    let things = world.collection("things");
    let (index, name) = things.field_named("name").unwrap();
    for _ in 0..20 {
        let asked = (0..24).map(|n| {
            let text = match n % 8 {
                5 => "a\0b".to_owned(),
                _ => n.to_string(),
            };
            let filter = Expr::Test {
                path: Path::to_field(index, name),
                test: Test::Equal(Value::Text(text)),
            };
            async { world.truth.count(things.id, filter, &View::all()).await }
        });
        for (n, found) in join_all(asked).await.into_iter().enumerate() {
            match found {
                Ok(count) => assert_eq!((count, n % 8 == 5), (u64::from(n == 7), false)),
                Err(error) => assert!(n % 8 == 5, "{n}: {error}"),
            }
        }
    }
}
