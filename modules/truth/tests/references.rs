//! What becomes of those that refer to a document that goes.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value as Json, json};
use world::Driver;

fn threads(on_delete: &str) -> Json {
    json!([{ "name": "notes", "fields": {
        "parent": { "type": "ref", "to": "notes", "on_delete": on_delete },
        "text": "text",
    } }])
}

on_each_truth!(a_document_that_is_referred_to_stays);
async fn a_document_that_is_referred_to_stays(on: Driver) {
    let world = on.world(threads("restrict")).await;
    let parent = world.given("notes", json!({})).await;
    let child = world
        .given("notes", json!({ "parent": parent.to_string() }))
        .await;
    let error = world.delete("notes", parent).await.unwrap_err();
    assert_eq!(error.code(), "referenced");
    assert!(error.to_string().contains("`parent`"), "{error}");
    world.delete("notes", child).await.unwrap();
    world.delete("notes", parent).await.unwrap();
    assert_eq!(world.count("notes", json!({})).await, 0);
}

on_each_truth!(one_that_refers_to_itself_goes);
async fn one_that_refers_to_itself_goes(on: Driver) {
    for on_delete in ["restrict", "cascade", "set_null"] {
        let world = on.world(threads(on_delete)).await;
        let id = world.id();
        world
            .given(
                "notes",
                json!({ "id": id.to_string(), "parent": id.to_string() }),
            )
            .await;
        world.delete("notes", id).await.unwrap();
        assert_eq!(world.see("notes", id).await, None, "{on_delete}");
    }
}

on_each_truth!(children_go_too_however_deep);
async fn children_go_too_however_deep(on: Driver) {
    let world = on.world(threads("cascade")).await;
    let root = world.given("notes", json!({})).await;
    let mut last = root;
    for _ in 0..300 {
        last = world
            .given("notes", json!({ "parent": last.to_string() }))
            .await;
    }
    let other = world.given("notes", json!({})).await;
    world.delete("notes", root).await.unwrap();
    assert_eq!(world.count("notes", json!({})).await, 1);
    assert!(world.see("notes", other).await.is_some());
}

on_each_truth!(circles_go_as_a_whole);
async fn circles_go_as_a_whole(on: Driver) {
    for required in [false, true] {
        let world = on
            .world(json!([{ "name": "notes", "fields": {
            "next": { "type": "ref", "to": "notes", "on_delete": "cascade", "required": required },
        } }]))
            .await;
        let first = world.id();
        let own = json!({ "id": first.to_string(), "next": first.to_string() });
        world.given("notes", own).await;
        let mut last = first;
        for _ in 0..3 {
            last = world
                .given("notes", json!({ "next": last.to_string() }))
                .await;
        }
        world
            .update("notes", first, json!({ "next": last.to_string() }))
            .await
            .unwrap();
        world.delete("notes", last).await.unwrap();
        assert_eq!(world.count("notes", json!({})).await, 0, "{required}");
    }
}

on_each_truth!(one_with_two_parents_goes_before_both);
async fn one_with_two_parents_goes_before_both(on: Driver) {
    let world = on
        .world(json!([{ "name": "notes", "fields": {
        "a": { "type": "ref", "to": "notes", "on_delete": "cascade" },
        "b": { "type": "ref", "to": "notes", "on_delete": "cascade" },
    } }]))
        .await;
    let root = world.given("notes", json!({})).await.to_string();
    let left = world.given("notes", json!({ "a": root })).await.to_string();
    let right = world
        .given("notes", json!({ "a": root, "b": left }))
        .await
        .to_string();
    world.given("notes", json!({ "a": left, "b": right })).await;
    world.delete("notes", root.parse().unwrap()).await.unwrap();
    assert_eq!(world.count("notes", json!({})).await, 0);
}

on_each_truth!(references_are_emptied_even_where_people_cannot_change_them);
async fn references_are_emptied_even_where_people_cannot_change_them(on: Driver) {
    let world = on.world(json!([
        { "name": "users", "fields": {} },
        { "name": "posts", "fields": {
            "author": { "type": "ref", "to": "users", "on_delete": "set_null", "immutable": true },
            "likers": { "type": "ref[]", "to": "users", "on_delete": "set_null", "required": true,
                "min_length": 1 },
        } },
    ]))
    .await;
    let user = world.given("users", json!({})).await;
    let other = world.given("users", json!({})).await;
    let (u, o) = (user.to_string(), other.to_string());
    let mut posts = Vec::new();
    for likers in [json!([u]), json!([o, u, o, u]), json!([o])] {
        posts.push(
            world
                .given("posts", json!({ "author": u, "likers": likers }))
                .await,
        );
    }
    let before = world.see("posts", posts[0]).await.unwrap();
    world.delete("users", user).await.unwrap();
    let mut seen = Vec::new();
    for post in posts {
        let post = world.see("posts", post).await.unwrap();
        assert_eq!(post["author"], Json::Null);
        assert!(post["_rev"].as_i64() > before["_rev"].as_i64());
        seen.push(post["likers"].clone());
    }
    assert_eq!(seen, [json!([]), json!([o, o]), json!([o])]);
}

on_each_truth!(lists_restrict_as_well);
async fn lists_restrict_as_well(on: Driver) {
    let world = on
        .world(json!([
            { "name": "media", "fields": {} },
            { "name": "posts", "fields": { "media_ids": { "type": "ref[]", "to": "media" } } },
        ]))
        .await;
    let media = world.given("media", json!({})).await;
    world
        .given("posts", json!({ "media_ids": [media.to_string()] }))
        .await;
    let error = world.delete("media", media).await.unwrap_err();
    assert_eq!(error.code(), "referenced");
    assert!(error.to_string().contains("media_ids"));
}

on_each_truth!(what_a_restriction_stops_has_not_begun);
async fn what_a_restriction_stops_has_not_begun(on: Driver) {
    let world = on.world(json!([
        { "name": "users", "fields": {} },
        { "name": "posts", "fields": { "author": { "type": "ref", "to": "users", "on_delete": "cascade" } } },
        { "name": "bills", "fields": { "post": { "type": "ref", "to": "posts" } } },
    ]))
    .await;
    let user = world.given("users", json!({})).await;
    for _ in 0..3 {
        world
            .given("posts", json!({ "author": user.to_string() }))
            .await;
    }
    let last = world
        .given("posts", json!({ "author": user.to_string() }))
        .await;
    world
        .given("bills", json!({ "post": last.to_string() }))
        .await;
    let error = world.delete("users", user).await.unwrap_err();
    assert_eq!(error.code(), "referenced");
    assert_eq!(world.count("posts", json!({})).await, 4);
    assert_eq!(world.count("users", json!({})).await, 1);
}
