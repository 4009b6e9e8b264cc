//! What is committed together does not fail together.

#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;

use nubo_core::{
    Error, Result,
    write::{Outcome, Sequence},
};
use serde_json::{Value as Json, json};
use world::Driver;

fn declarations() -> Json {
    json!([
        { "name": "users", "fields": {
            "email": { "type": "text", "unique": true },
            "first": "text",
            "last": "text",
        }, "indexes": [{ "fields": ["first", "last"], "unique": true }] },
        { "name": "posts", "fields": {
            "author_id": { "type": "ref", "to": "users", "required": true },
            "reviewers": { "type": "ref[]", "to": "users" },
            "title": "text",
        } },
    ])
}

fn code(result: &Result<Vec<Outcome>>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

fn paths(error: &Error) -> Vec<&str> {
    error
        .errors()
        .iter()
        .map(|error| error.path.as_str())
        .collect()
}

on_each_truth!(each_of_many_concurrent_writes_gets_its_own_answer);
async fn each_of_many_concurrent_writes_gets_its_own_answer(on: Driver) {
    let world = Arc::new(on.world(declarations()).await);
    let author = world.given("users", json!({ "email": "author@x" })).await;
    let stranger = world.id();
    let mut tasks = Vec::new();
    for number in 0..64 {
        let operation = match number % 8 {
            1 => world.creation("users", &json!({ "email": "author@x" })),
            3 => world.creation("posts", &json!({ "author_id": stranger.to_string() })),
            4 => world.creation(
                "posts",
                &json!({ "author_id": author.to_string(),
                "reviewers": [author.to_string(), stranger.to_string()] }),
            ),
            5 => world.creation(
                "posts",
                &json!({ "author_id": author.to_string(), "title": "t" }),
            ),
            6 => world.change("users", stranger, &json!({ "first": "nobody" })),
            _ => world.creation("users", &json!({ "email": format!("{number}@x") })),
        };
        let world = Arc::clone(&world);
        tasks.push((
            number,
            tokio::spawn(async move { world.together(vec![operation]).await }),
        ));
    }
    for (number, task) in tasks {
        let result = task.await.unwrap();
        match (number % 8, &result) {
            (1, Err(error)) => {
                assert_eq!(error.code(), "duplicate");
                assert_eq!(paths(error), ["/email"]);
            }
            (3, Err(error)) => {
                assert_eq!(error.errors()[0].code, "unknown_reference");
                assert_eq!(paths(error), ["/author_id"]);
            }
            (4, Err(error)) => {
                assert_eq!(error.errors()[0].code, "unknown_reference");
                assert_eq!(paths(error), ["/reviewers/1"]);
            }
            (6, Err(error)) => assert_eq!(error.code(), "not_found"),
            (0 | 2 | 5 | 7, Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.count("users", json!({})).await, 1 + 24);
    assert_eq!(world.count("posts", json!({})).await, 8);
}

on_each_truth!(of_several_with_one_id_one_is_stored);
async fn of_several_with_one_id_one_is_stored(on: Driver) {
    let world = Arc::new(on.world(declarations()).await);
    let id = world.id().to_string();
    let transactions = (0..32)
        .map(|number| {
            let json = json!({ "id": id, "email": format!("{number}@x") });
            world.transaction(vec![world.creation("users", &json)])
        })
        .collect();
    let results = nubo_core::truth::Truth::transact(
        world.truth.as_ref(),
        transactions,
        Sequence::Independent,
    )
    .await;
    let stored = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(stored, 1);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.code(), "duplicate");
        assert_eq!(paths(error), ["/id"]);
    }
}

on_each_truth!(a_unique_key_of_several_fields_names_them_all);
async fn a_unique_key_of_several_fields_names_them_all(on: Driver) {
    let world = on.world(declarations()).await;
    world
        .given("users", json!({ "first": "Ada", "last": "L" }))
        .await;
    world
        .given("users", json!({ "first": "Ada", "last": "M" }))
        .await;
    world.given("users", json!({ "first": "Ada" })).await;
    world.given("users", json!({ "first": "Ada" })).await;
    let error = world
        .create("users", json!({ "first": "Ada", "last": "L" }))
        .await
        .unwrap_err();
    assert_eq!(paths(&error), ["/first", "/last"]);
    let id = world
        .given("users", json!({ "first": "Eva", "last": "L" }))
        .await;
    let error = world
        .update("users", id, json!({ "first": "Ada" }))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "duplicate");
    assert_eq!(world.see("users", id).await.unwrap()["first"], "Eva");
}

on_each_truth!(after_the_first_that_fails_the_rest_is_not_tried);
async fn after_the_first_that_fails_the_rest_is_not_tried(on: Driver) {
    let world = on.world(declarations()).await;
    let user =
        |email: &str| world.transaction(vec![world.creation("users", &json!({ "email": email }))]);
    let id = world.given("users", json!({ "email": "z@x" })).await;
    let transactions = vec![
        user("a@x"),
        user("b@x"),
        user("a@x"),
        user("c@x"),
        world.transaction(vec![world.change("users", id, &json!({ "first": "no" }))]),
    ];
    let results = nubo_core::truth::Truth::transact(
        world.truth.as_ref(),
        transactions,
        Sequence::StopAtError,
    )
    .await;
    let codes: Vec<&str> = results.iter().map(code).collect();
    assert_eq!(codes, ["ok", "ok", "duplicate", "not_tried", "not_tried"]);
    assert_eq!(world.count("users", json!({})).await, 3);
    assert_eq!(world.see("users", id).await.unwrap()["first"], Json::Null);
}

on_each_truth!(a_transaction_happens_as_a_whole_or_not_at_all);
async fn a_transaction_happens_as_a_whole_or_not_at_all(on: Driver) {
    let world = on.world(declarations()).await;
    let id = world
        .given("users", json!({ "email": "a@x", "first": "A" }))
        .await;
    let before = world.see("users", id).await;
    let error = world
        .together(vec![
            world.creation("users", &json!({ "email": "b@x" })),
            world.change("users", id, &json!({ "first": "B" })),
            world.creation("users", &json!({ "email": "a@x" })),
        ])
        .await
        .unwrap_err();
    assert_eq!(error.code(), "duplicate");
    assert_eq!(paths(&error), ["/2/email"]);
    assert_eq!(world.count("users", json!({})).await, 1);
    assert_eq!(world.see("users", id).await, before);
    // In their order, each sees what those before it did.
    let new = world.id();
    let outcomes = world
        .together(vec![
            world.removal("users", id),
            world.creation("users", &json!({ "email": "a@x", "id": new.to_string() })),
            world.creation("posts", &json!({ "author_id": new.to_string() })),
            world.change("users", new, &json!({ "first": "C" })),
        ])
        .await
        .unwrap();
    assert_eq!(outcomes.len(), 4);
    assert_eq!(world.see("users", new).await.unwrap()["first"], "C");
    assert_eq!(world.see("users", id).await, None);
}

on_each_truth!(every_reference_that_leads_nowhere_is_named);
async fn every_reference_that_leads_nowhere_is_named(on: Driver) {
    let world = on
        .world(json!([
            { "name": "users", "fields": {} },
            { "name": "notes", "fields": {
                "a": { "type": "ref", "to": "users" },
                "b": { "type": "ref", "to": "users" },
                "c": { "type": "ref[]", "to": "users" },
                "self": { "type": "ref", "to": "notes" },
                "selves": { "type": "ref[]", "to": "notes" },
            } },
        ]))
        .await;
    let nobody = world.id().to_string();
    let error = world
        .create("notes", json!({ "a": nobody, "b": nobody }))
        .await
        .unwrap_err();
    assert_eq!(paths(&error), ["/a", "/b"]);
    let user = world.given("users", json!({})).await.to_string();
    let id = world
        .given("notes", json!({ "a": user, "c": [user] }))
        .await;
    let error = world
        .update("notes", id, json!({ "c": [nobody, user, nobody] }))
        .await
        .unwrap_err();
    assert_eq!(paths(&error), ["/c/0", "/c/2"]);
    let own = world.id().to_string();
    world
        .given("notes", json!({ "id": own, "self": own, "selves": [own] }))
        .await;
}
