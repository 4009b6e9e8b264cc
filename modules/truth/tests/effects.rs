//! Derived data comes about in the transaction that causes it.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value as Json, json};
use world::Driver;

fn chat() -> Json {
    json!([
        { "name": "rooms", "fields": {
            "last_text": { "type": "text", "max_length": 20 },
            "messages": { "type": "int", "default": 0 },
            "score": { "type": "float", "default": 0 },
        } },
        { "name": "members", "fields": {
            "room": { "type": "ref", "to": "rooms", "required": true, "on_delete": "cascade" },
            "name": "text!",
            "unread": { "type": "int", "default": 0, "max": 3 },
        } },
        { "name": "notices", "fields": { "to": "text!", "text": "text", "about": "uuid" } },
        { "name": "messages", "fields": {
            "room": { "type": "ref", "to": "rooms", "required": true, "on_delete": "cascade" },
            "sender": "text!",
            "text": "text",
            "weight": { "type": "int", "default": 1 },
        }, "effects": [
            { "on": "create", "update": "rooms", "where": { "id": "$doc.room" },
              "set": { "last_text": "$doc.text", "score": "$doc.weight" },
              "change": { "$inc": { "messages": 1 } } },
            { "on": "create", "update": "members",
              "where": { "room": "$doc.room", "name": { "$ne": "$doc.sender" } },
              "change": { "$inc": { "unread": 1 } } },
            { "on": "create", "when": { "text": { "$contains": "@all" } },
              "for_each": { "in": "members", "where": { "room": "$doc.room" } },
              "create": "notices",
              "set": { "to": "$each.name", "text": "$doc.text", "about": "$doc.id" } },
            { "on": "update", "update": "rooms", "where": { "id": "$doc.room" },
              "set": { "last_text": "$doc.text" } },
            { "on": "delete", "update": "rooms", "where": { "id": "$doc.room" },
              "change": { "$inc": { "messages": -1 } } },
            { "on": "delete", "delete": "notices", "where": { "about": "$doc.id" } },
        ] },
    ])
}

on_each_truth!(a_message_moves_its_room_its_members_and_notices);
async fn a_message_moves_its_room_its_members_and_notices(on: Driver) {
    let world = on.world(chat()).await;
    let room = world.given("rooms", json!({})).await;
    let r = room.to_string();
    for name in ["ada", "eva", "ida"] {
        world
            .given("members", json!({ "room": r, "name": name }))
            .await;
    }
    let other = world.given("rooms", json!({})).await;
    let message = json!({ "room": r, "sender": "ada", "text": "hi @all", "weight": 7 });
    let message = world.given("messages", message).await;
    let seen = world.see("rooms", room).await.unwrap();
    assert_eq!(seen["last_text"], "hi @all");
    assert_eq!(seen["messages"], 1);
    assert_eq!(seen["score"].to_string(), "7.0");
    assert_eq!(world.see("rooms", other).await.unwrap()["messages"], 0);
    assert_eq!(world.count("members", json!({ "unread": 1 })).await, 2);
    assert_eq!(
        world
            .count("members", json!({ "name": "ada", "unread": 0 }))
            .await,
        1
    );
    assert_eq!(
        world
            .count("notices", json!({ "to": { "$in": ["ada", "eva", "ida"] } }))
            .await,
        3
    );
    world
        .update("messages", message, json!({ "text": "bye" }))
        .await
        .unwrap();
    assert_eq!(world.see("rooms", room).await.unwrap()["last_text"], "bye");
    world.delete("messages", message).await.unwrap();
    assert_eq!(world.see("rooms", room).await.unwrap()["messages"], 0);
    assert_eq!(world.count("notices", json!({})).await, 0);
}

on_each_truth!(an_effect_that_fails_takes_its_cause_along);
async fn an_effect_that_fails_takes_its_cause_along(on: Driver) {
    let world = on.world(chat()).await;
    let room = world.given("rooms", json!({})).await;
    let r = room.to_string();
    world
        .given("members", json!({ "room": r, "name": "eva" }))
        .await;
    let message = json!({ "room": r, "sender": "ada", "text": "longer than a room can show" });
    world.create("messages", message).await.unwrap_err();
    assert_eq!(world.count("messages", json!({})).await, 0);
    assert_eq!(world.count("members", json!({ "unread": 0 })).await, 1);
    assert_eq!(world.see("rooms", room).await.unwrap()["messages"], 0);
}

on_each_truth!(counters_stop_at_their_bounds_and_nobody_is_refused_for_it);
async fn counters_stop_at_their_bounds_and_nobody_is_refused_for_it(on: Driver) {
    let world = on.world(chat()).await;
    let room = world.given("rooms", json!({})).await;
    let r = room.to_string();
    let eva = json!({ "room": r, "name": "eva", "unread": 3 });
    let eva = world.given("members", eva).await;
    let message = json!({ "room": r, "sender": "ada", "text": "one more" });
    world.given("messages", message).await;
    assert_eq!(world.see("members", eva).await.unwrap()["unread"], 3);
    assert_eq!(world.see("rooms", room).await.unwrap()["messages"], 1);
}

on_each_truth!(those_that_go_with_their_parent_have_their_effects);
async fn those_that_go_with_their_parent_have_their_effects(on: Driver) {
    let world = on.world(chat()).await;
    let room = world.given("rooms", json!({})).await;
    let r = room.to_string();
    world
        .given("members", json!({ "room": r, "name": "eva" }))
        .await;
    for _ in 0..3 {
        world
            .given(
                "messages",
                json!({ "room": r, "sender": "ada", "text": "@all" }),
            )
            .await;
    }
    assert_eq!(world.count("notices", json!({})).await, 3);
    world.delete("rooms", room).await.unwrap();
    for collection in ["rooms", "members", "messages", "notices"] {
        assert_eq!(world.count(collection, json!({})).await, 0, "{collection}");
    }
}

on_each_truth!(effects_that_cause_each_other_without_end_are_stopped);
async fn effects_that_cause_each_other_without_end_are_stopped(on: Driver) {
    let world = on
        .world(json!([
            { "name": "pings", "fields": { "n": { "type": "int", "default": 0 } }, "effects": [
                { "on": "create", "create": "pongs", "set": { "n": "$doc.n" } } ] },
            { "name": "pongs", "fields": { "n": { "type": "int", "default": 0 } }, "effects": [
                { "on": "create", "create": "pings", "set": { "n": "$doc.n" } } ] },
        ]))
        .await;
    let error = world.create("pings", json!({})).await.unwrap_err();
    assert_eq!(error.code(), "effect_loop");
    assert_eq!(world.count("pings", json!({})).await, 0);
    assert_eq!(world.count("pongs", json!({})).await, 0);
}

on_each_truth!(the_answer_shows_what_effects_did_to_the_document_itself);
async fn the_answer_shows_what_effects_did_to_the_document_itself(on: Driver) {
    let world = on.world(json!([
        { "name": "notes", "fields": { "text": "text", "seen": { "type": "int", "default": 0 } },
          "effects": [
            { "on": "create", "update": "notes", "where": { "id": "$doc.id" },
              "change": { "$inc": { "seen": 1 } } },
            { "on": "update", "when": { "seen": { "$lt": 3 } }, "update": "notes",
              "where": { "id": "$doc.id" }, "change": { "$inc": { "seen": 1 } } } ] },
    ]))
    .await;
    let note = world.create("notes", json!({ "text": "a" })).await.unwrap();
    let id = note.id().unwrap();
    let seen = world.see("notes", id).await.unwrap();
    assert_eq!(seen["seen"], 3);
    assert_eq!(seen["_rev"], note.revision().number());
    let note = world
        .update("notes", id, json!({ "text": "b" }))
        .await
        .unwrap();
    let seen = world.see("notes", id).await.unwrap();
    assert_eq!(seen["_rev"], note.revision().number());
}

on_each_truth!(a_walk_does_not_write_over_what_its_own_effects_wrote);
async fn a_walk_does_not_write_over_what_its_own_effects_wrote(on: Driver) {
    let world = on
        .world(json!([
            { "name": "items", "fields": {
                "n": { "type": "int", "default": 0 }, "total": { "type": "int", "default": 0 } },
              "effects": [
                { "on": "update", "when": { "n": 1, "total": { "$lt": 100 } }, "update": "items",
                  "where": { "n": 0 }, "change": { "$inc": { "total": 1 } } } ] },
        ]))
        .await;
    for _ in 0..4 {
        world.given("items", json!({})).await;
    }
    let all = world.all("items").await;
    let first = world.change_many("items", &json!({}), &json!({ "$inc": { "n": 1 } }));
    world.run(first).await.unwrap();
    let collection = world.collection("items");
    let (total, _) = collection.field_named("total").unwrap();
    let after = world.all("items").await;
    let totals: Vec<String> = after
        .iter()
        .map(|document| format!("{:?}", document.value(total)))
        .collect();
    // Each is raised once by every one that came before it.
    assert_eq!(totals, ["0", "1", "2", "3"]);
    for (before, after) in all.iter().zip(&after) {
        assert!(after.revision() > before.revision());
    }
}
