//! A file and collections that have changed since.

#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use world::{Driver, Home, World};

fn notes(fields: Json) -> Json {
    json!([
        { "name": "users", "fields": {} },
        { "name": "notes", "fields": fields },
    ])
}

/// What the start says when the fields of stored documents become others.
async fn refusal(before: Json, document: Json, after: Json) -> String {
    let world = Driver::Sqlite.world(notes(before)).await;
    world.given("notes", document).await;
    match world.reopened(notes(after)).await {
        Err(text) => text,
        Ok(_) => panic!("it has started"),
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let fields = json!({ "text": "text", "o": { "type": "object", "fields": { "a": "int" } } });
    let world = Driver::Sqlite.world(notes(fields.clone())).await;
    let mut before = Vec::new();
    for n in 0..20 {
        let id = world
            .given("notes", json!({ "text": n.to_string(), "o": { "a": n } }))
            .await;
        before.push((id, world.see("notes", id).await));
    }
    let world = world.reopened(notes(fields)).await.unwrap();
    for (id, seen) in before {
        assert_eq!(world.see("notes", id).await, seen);
    }
}

#[tokio::test]
async fn new_fields_come_empty_or_with_their_default() {
    let world = Driver::Sqlite
        .world(notes(json!({
        "text": "text", "o": { "type": "object", "fields": { "a": "int" } } })))
        .await;
    let id = world
        .given("notes", json!({ "text": "it's", "o": { "a": 1 } }))
        .await;
    let world = world
        .reopened(json!([
            { "name": "users", "fields": {} },
            { "name": "notes", "fields": {
                "text": "text",
                "o": { "type": "object", "fields": { "b": "text", "a": "int" } },
                "extra": "json",
                "level": { "type": "int", "default": 3, "required": true },
                "word": { "type": "text", "default": "it's \"x\"" },
                "rate": { "type": "float", "default": 0.1 },
                "tags": { "type": "text[]", "default": ["a"] },
                "author": { "type": "ref", "to": "users" },
            }, "indexes": [["level", "-text"], { "fields": ["text"], "where": { "level": 3 }, "unique": true }] },
        ]))
        .await
        .unwrap();
    let seen = world.see("notes", id).await.unwrap();
    assert_eq!(seen["o"], json!({ "b": null, "a": 1 }));
    assert_eq!(seen["extra"], Json::Null);
    assert_eq!(seen["level"], 3);
    assert_eq!(seen["word"], "it's \"x\"");
    assert_eq!(seen["rate"], 0.1);
    assert_eq!(seen["tags"], json!(["a"]));
    assert_eq!(
        world
            .count("notes", json!({ "level": 3, "tags": "a" }))
            .await,
        1
    );
    let error = world
        .create("notes", json!({ "text": "it's" }))
        .await
        .unwrap_err();
    assert_eq!(error.errors()[0].path, "/text");
    world
        .create("notes", json!({ "text": "it's", "level": 4 }))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_optional_now_may_be_left_out() {
    let world = Driver::Sqlite.world(json!([
        { "name": "users", "fields": {} },
        { "name": "notes", "fields": {
            "text": "text!", "gone": "text!", "author": { "type": "ref", "to": "users", "required": true },
            "parent": { "type": "ref", "to": "notes" } } },
        { "name": "replies", "fields": { "note": { "type": "ref", "to": "notes", "required": true } } },
    ])).await;
    let author = world.given("users", json!({})).await;
    let a = author.to_string();
    let first = world
        .given("notes", json!({ "text": "a", "gone": "kept", "author": a }))
        .await;
    let second = json!({ "text": "b", "gone": "b", "author": a, "parent": first.to_string() });
    let second = world.given("notes", second).await;
    let reply = world
        .given("replies", json!({ "note": first.to_string() }))
        .await;
    let before = world.see("notes", second).await.unwrap();
    let now = json!([
        { "name": "users", "fields": {} },
        { "name": "notes", "fields": {
            "text": "text", "author": { "type": "ref", "to": "users" },
            "parent": { "type": "ref", "to": "notes" } } },
        { "name": "replies", "fields": { "note": { "type": "ref", "to": "notes", "required": true } } },
    ]);
    let world = world.reopened(now.clone()).await.unwrap();
    let seen = world.see("notes", second).await.unwrap();
    assert_eq!(seen["parent"], before["parent"]);
    assert_eq!(seen["_rev"], before["_rev"]);
    world.given("notes", json!({})).await;
    // The guards are those of before.
    let nobody = world.id().to_string();
    world
        .create("notes", json!({ "author": nobody }))
        .await
        .unwrap_err();
    world
        .create("replies", json!({ "note": nobody }))
        .await
        .unwrap_err();
    world.delete("notes", first).await.unwrap_err();
    world.delete("replies", reply).await.unwrap();
    // And nothing was lost: the field may come back.
    let world = world.reopened(json!([
        { "name": "users", "fields": {} },
        { "name": "notes", "fields": {
            "text": "text", "gone": "text", "author": { "type": "ref", "to": "users" },
            "parent": { "type": "ref", "to": "notes" } } },
        { "name": "replies", "fields": { "note": { "type": "ref", "to": "notes", "required": true } } },
    ])).await.unwrap();
    assert_eq!(world.see("notes", first).await.unwrap()["gone"], "kept");
}

#[tokio::test]
async fn what_need_not_be_unique_any_longer_is_not_refused() {
    let world = Driver::Sqlite
        .world(notes(json!({ "a": { "type": "text", "unique": true } })))
        .await;
    world.given("notes", json!({ "a": "x" })).await;
    let world = world.reopened(notes(json!({ "a": "text" }))).await.unwrap();
    world.given("notes", json!({ "a": "x" })).await;
    let text = world
        .reopened(notes(json!({ "a": { "type": "text", "unique": true } })))
        .await
        .err()
        .unwrap();
    assert!(
        text.contains("notes_a_key") && text.contains("`notes`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_type_changes_only_where_every_value_can_be_read() {
    for (before, value, after) in [
        (json!("int"), json!(1), json!("text")),
        (json!("text"), json!("x"), json!("timestamp")),
        (
            json!("text"),
            json!("x"),
            json!({ "type": "ref", "to": "users" }),
        ),
        (json!("int"), json!(1), json!("bool")),
        (json!("text[]"), json!(["x"]), json!("int[]")),
        (
            json!({ "type": "object", "fields": { "a": "int" } }),
            json!({ "a": 1 }),
            json!({ "type": "object", "fields": { "a": "text" } }),
        ),
    ] {
        let text = refusal(
            json!({ "f": before }),
            json!({ "f": value }),
            json!({ "f": after }),
        )
        .await;
        assert!(text.contains("`notes.f` is stored as"), "{text}");
    }
    for (before, value, after) in [
        (json!("int"), json!(1), json!("bigint")),
        (json!("email"), json!("a@b"), json!("text")),
        (json!("text[]"), json!(["x"]), json!("json")),
        (json!("date[]"), json!(["2026-11-21"]), json!("text[]")),
    ] {
        let world = Driver::Sqlite.world(notes(json!({ "f": before }))).await;
        let id = world.given("notes", json!({ "f": value })).await;
        let world = world.reopened(notes(json!({ "f": after }))).await.unwrap();
        assert_eq!(world.see("notes", id).await.unwrap()["f"], value);
    }
}

#[tokio::test]
async fn required_fields_need_values_for_what_exists() {
    let text = refusal(json!({}), json!({}), json!({ "title": "text!" })).await;
    assert!(
        text.contains("`title`") && text.contains("required"),
        "{text}"
    );
    let text = refusal(
        json!({ "title": "text" }),
        json!({}),
        json!({ "title": "text!" }),
    )
    .await;
    assert!(text.contains("`notes.title` is required now"), "{text}");
    let world = Driver::Sqlite
        .world(notes(json!({ "title": "text" })))
        .await;
    world.given("notes", json!({ "title": "x" })).await;
    world
        .reopened(notes(json!({ "title": "text!" })))
        .await
        .unwrap();
}

#[tokio::test]
async fn every_difference_is_named_and_nothing_is_changed() {
    let world = Driver::Sqlite
        .world(notes(json!({ "a": "int", "b": "text" })))
        .await;
    let id = world.given("notes", json!({ "a": 1 })).await;
    let before = world.see("notes", id).await.unwrap();
    let home = world.home.clone();
    let text = world
        .reopened(notes(
            json!({ "a": "text", "b": "int", "c": "text!", "d": "text" }),
        ))
        .await
        .err()
        .unwrap();
    for name in ["`notes.a`", "`notes.b`", "`c`"] {
        assert!(text.contains(name), "{text}");
    }
    let world = World::closed(notes(json!({ "a": "int", "b": "text" })), home);
    world.truth.start(Vec::new()).await.unwrap();
    assert_eq!(world.see("notes", id).await.unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let words = "no database, but long enough to be taken for one at first ".repeat(30);
    std::fs::write(World::file(&folder), &words).unwrap();
    let world = World::closed(notes(json!({})), Home::File(Arc::clone(&folder)));
    let text = world
        .truth
        .start(Vec::new())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(text.contains("truth.db"), "{text}");
    assert_eq!(
        std::fs::read_to_string(World::file(&folder)).unwrap(),
        words
    );
    let error = world.truth.ping().await.unwrap_err();
    assert_eq!(error.code(), "not_started");
}
