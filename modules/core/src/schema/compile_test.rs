//! What people get wrong in collection files, and what they are told: each mistake once, at its
//! place, with the word that was meant.

use serde_json::{Value as Json, json};

use super::Catalog;
use crate::declare::CollectionDeclaration;

/// Pointer, sentence and suggestion of every mistake.
fn mistakes(declarations: Json) -> Vec<(String, String, Option<String>)> {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &["login"])
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|mistake| (mistake.pointer, mistake.message, mistake.suggestion))
        .collect()
}

/// The one mistake of one collection.
fn only(declaration: Json) -> (String, String, Option<String>) {
    let mut found = mistakes(json!([declaration]));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn every_mistake_stands_at_its_place() {
    for (declaration, pointer) in [
        (json!({ "name": "Notes", "fields": {} }), "/name"),
        (json!({ "name": "login", "fields": {} }), "/name"),
        (
            json!({ "name": "n", "fields": { "id": "text" } }),
            "/fields/id",
        ),
        (
            json!({ "name": "n", "fields": { "a": "text" }, "virtual_fields": { "a": "presence" } }),
            "/virtual_fields/a",
        ),
        (
            json!({ "name": "n", "fields": {}, "virtual_fields": { "On": "presence" } }),
            "/virtual_fields/On",
        ),
        (
            json!({ "name": "n", "renamed_from": "n", "fields": {} }),
            "/renamed_from",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "int", "renamed_from": "id" } } }),
            "/fields/a/renamed_from",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "int", "renamed_from": "b" }, "b": "int" } }),
            "/fields/a/renamed_from",
        ),
        (
            json!({ "name": "n", "fields": {
                "a": { "type": "int", "renamed_from": "c" }, "b": { "type": "int", "renamed_from": "c" } } }),
            "/fields/b/renamed_from",
        ),
        (
            json!({ "name": "n", "fields": { "o": { "type": "object", "fields": {
                "a": { "type": "int", "renamed_from": "c" } } } } }),
            "/fields/o/fields/a/renamed_from",
        ),
        (
            json!({ "name": "n", "fields": { "a": "txet" } }),
            "/fields/a",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "ref", "to": "users" } } }),
            "/fields/a/to",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "int", "min": 3, "max": 1 } } }),
            "/fields/a/min",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "int", "max_length": 1 } } }),
            "/fields/a/max_length",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "text", "pattern": "(" } } }),
            "/fields/a/pattern",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "int", "default": "x" } } }),
            "/fields/a/default",
        ),
        (
            json!({ "name": "n", "fields": { "a": { "type": "json", "unique": true } } }),
            "/fields/a/unique",
        ),
        (
            json!({ "name": "n", "fields": {}, "order": "-b" }),
            "/order",
        ),
        (json!({ "name": "n", "fields": {}, "owner": "b" }), "/owner"),
        (
            json!({ "name": "n", "fields": {}, "indexes": [["b"]] }),
            "/indexes/0/0",
        ),
        (
            json!({ "name": "n", "fields": { "a": "json" }, "indexes": [["a"]] }),
            "/indexes/0/0",
        ),
        (
            json!({ "name": "n", "fields": {}, "access": { "read": "pubic" } }),
            "/access/read",
        ),
        (
            json!({ "name": "n", "fields": {}, "access": { "read": "owner" } }),
            "/access/read",
        ),
        (
            json!({ "name": "n", "fields": {}, "access": { "read": { "b": 1 } } }),
            "/access/read/b",
        ),
        (
            json!({ "name": "n", "fields": {}, "expires_after": "soon" }),
            "/expires_after",
        ),
        (
            json!({ "name": "n", "fields": {}, "effects": [{ "on": "create" }] }),
            "/effects/0",
        ),
        (
            json!({ "name": "n", "fields": { "a": "uuid" }, "effects": [{ "on": "create",
            "when": { "a": { "$in": { "$select": "n.id" } } },
            "delete": "n", "where": { "id": "$doc.id" } }] }),
            "/effects/0/when",
        ),
    ] {
        assert_eq!(only(declaration.clone()).0, pointer, "{declaration}");
    }
}

#[test]
fn the_word_that_was_meant_stands_apart_from_the_sentence() {
    for (declaration, message, word) in [
        (
            json!({ "name": "n", "fields": { "a": "txet" } }),
            "unknown type `txet`",
            "text",
        ),
        (
            json!({ "name": "n", "fields": { "title": "text" }, "access": { "read": { "titel": "x" } } }),
            "unknown field `titel`",
            "title",
        ),
        (
            json!({ "name": "n", "fields": { "a": "int" }, "access": { "read": { "a": { "$gtt": 1 } } } }),
            "unknown operator `$gtt`",
            "$gt",
        ),
        (
            json!({ "name": "n", "fields": { "a": "int" }, "effects": [{ "on": "create",
                "update": "n", "where": { "a": 1 }, "change": { "$icn": { "a": 1 } } }] }),
            "unknown operator `$icn`",
            "$inc",
        ),
    ] {
        let (_, found, suggestion) = only(declaration);
        assert_eq!(
            (found.as_str(), suggestion.as_deref()),
            (message, Some(word))
        );
    }
}

#[test]
fn what_only_follows_is_not_said() {
    let found = only(json!({
        "name": "n",
        "fields": { "a": "txet" },
        "order": "-a",
        "owner": "a",
        "indexes": [["a", "-created_at"], { "fields": ["a"], "unique": true }],
        "access": { "read": "owner", "update": ["owner", "role:x"] },
    }));
    assert_eq!(found.0, "/fields/a");
    let found = only(json!({
        "name": "n",
        "fields": { "author_id": "uuid" },
        "owner": "autor_id",
        "access": { "read": "owner", "create": "owner", "update": ["owner", "role:x"] },
    }));
    assert_eq!(
        (found.0.as_str(), found.2.as_deref()),
        ("/owner", Some("author_id"))
    );
}

#[test]
fn rules_may_select_items_of_lists() {
    let rule = |field: &str| {
        json!([
            { "name": "media", "fields": { "size": "int" },
              "access": { "read": { "id": { "$in": { "$select": format!("posts.{field}"),
                                                     "$where": { "public": true } } } } } },
            { "name": "posts", "fields": {
                "media_ids": { "type": "ref[]", "to": "media" }, "tags": "text[]", "public": "bool" } },
        ])
    };
    assert_eq!(mistakes(rule("media_ids")), []);
    let found = mistakes(rule("tags"));
    assert_eq!(found[0].0, "/access/read/id/$in/$select");
}

#[test]
fn lists_of_references_may_let_go_though_they_are_required() {
    let with = |kind: &str| {
        mistakes(json!([{ "name": "n", "fields": {
            "a": { "type": kind, "to": "n", "required": true, "on_delete": "set_null" } } }]))
    };
    assert_eq!(with("ref[]"), []);
    assert_eq!(with("ref")[0].0, "/fields/a/on_delete");
}
