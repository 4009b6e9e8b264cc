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

/// A collection with `write: behind` beside `pages` and `tags`, and what is said about it.
fn behind(mut declaration: Json) -> Vec<(String, String)> {
    declaration["name"] = "visits".into();
    declaration["write"] = "behind".into();
    let pages = json!({ "name": "pages", "fields": {
        "path": { "type": "text", "unique": true }, "views": "int", "last": "ref(people)" } });
    let people = json!({ "name": "people", "fields": { "name": "text" } });
    let logs = json!({ "name": "logs", "fields": { "page": "ref(pages)", "who": "ref(people)" },
        "effects": [{ "on": "create", "delete": "people", "where": { "id": "$doc.who" } }] });
    mistakes(json!([declaration, pages, people, logs]))
        .into_iter()
        .map(|(pointer, message, _)| (pointer, message))
        .collect()
}

#[test]
fn what_needs_an_answer_is_not_behind() {
    let page = |effect: Json| json!({ "fields": { "page": "ref(pages)!", "other": "uuid" }, "effects": [effect] });
    for (declaration, pointer, words) in [
        (
            json!({ "fields": { "code": { "type": "text", "unique": true } } }),
            "/fields/code/unique",
            "whether its value is taken",
        ),
        (
            json!({ "fields": { "a": "int" }, "indexes": [{ "fields": ["a"], "unique": true }] }),
            "/indexes/0/unique",
            "whether its value is taken",
        ),
        (
            json!({ "fields": { "a": "uuid" }, "access": { "create": {
                "a": { "$in": { "$select": "pages.id", "$where": { "views": 1 } } } } } }),
            "/access/create",
            "looks at other documents",
        ),
        (
            json!({ "fields": { "a": { "type": "uuid", "writable_by": {
                "a": { "$in": { "$select": "pages.id", "$where": { "views": 1 } } } } } } }),
            "/fields/a/writable_by",
            "looks at other documents",
        ),
        (
            json!({ "fields": {}, "tiers": { "truth": "none", "recent": {} } }),
            "/tiers/truth",
            "the truth must have the collection",
        ),
        (
            json!({ "kind": "flux", "fields": {} }),
            "/write",
            "stores nothing",
        ),
        (
            page(json!({ "on": "create", "create": "pages", "set": { "path": "x" } })),
            "/effects/0",
            "`path` must be unique",
        ),
        (
            page(
                json!({ "on": "create", "update": "pages", "where": { "id": "$doc.page" },
                         "set": { "path": "x" } }),
            ),
            "/effects/0",
            "changes `path` of pages",
        ),
        (
            page(
                json!({ "on": "create", "update": "pages", "where": { "id": "$doc.page" },
                         "set": { "last": "$doc.other" } }),
            ),
            "/effects/0",
            "gives `last` of pages a reference that may lead nowhere",
        ),
        (
            page(json!({ "on": "create", "delete": "pages", "where": { "id": "$doc.page" } })),
            "/effects/0",
            "to which `page` of visits refers",
        ),
        // An effect of an effect.
        (
            page(json!({ "on": "create", "create": "logs", "set": { "page": "$doc.page" } })),
            "/effects/0",
            "to which `last` of pages refers",
        ),
    ] {
        let found = behind(declaration.clone());
        assert_eq!(found.len(), 1, "{declaration}: {found:?}");
        assert_eq!(found[0].0, pointer, "{declaration}: {found:?}");
        assert!(found[0].1.contains(words), "{declaration}: {found:?}");
    }
}

#[test]
fn what_nothing_can_refuse_is_behind() {
    for declaration in [
        json!({ "fields": { "page": "ref(pages)!", "who": { "type": "ref", "to": "people" } },
            "access": { "create": "public", "update": "owner" }, "owner": "who",
            "indexes": [["page"]],
            "effects": [
                { "on": "create", "update": "pages", "where": { "id": "$doc.page" },
                  "change": { "$inc": { "views": 1 } } },
                { "on": "create", "update": "pages", "where": { "id": "$doc.page" },
                  "set": { "last": "$doc.who" } },
                // Only what a new document causes is behind.
                { "on": "update", "create": "pages", "set": { "path": "x" } },
            ] }),
        // Who updates has an answer, so that their rule may look around.
        json!({ "fields": { "a": "uuid" }, "access": { "update": {
            "a": { "$in": { "$select": "pages.id", "$where": { "views": 1 } } } } } }),
    ] {
        let found = behind(declaration.clone());
        assert!(found.is_empty(), "{declaration}: {found:?}");
    }
}

#[test]
fn a_shard_key_stays_what_it_is() {
    let with = |field: Json, key: &str| {
        mistakes(json!([{ "name": "n", "fields": { "a": field }, "tiers": {
            "recent": { "shard_key": key } } }]))
    };
    assert_eq!(
        with(
            json!({ "type": "int", "required": true, "immutable": true }),
            "a"
        ),
        []
    );
    assert_eq!(with(json!("int"), "id"), []);
    for field in [
        json!("int"),
        json!("int!"),
        json!({ "type": "json", "required": true, "immutable": true }),
    ] {
        assert_eq!(with(field, "a")[0].0, "/tiers/recent/shard_key");
    }
    let found = with(json!("int"), "aa").remove(0);
    assert_eq!(
        (found.0.as_str(), found.2.as_deref()),
        ("/tiers/recent/shard_key", Some("a"))
    );
}

#[test]
fn no_two_collections_share_a_place() {
    let with = |name: &str| {
        mistakes(json!([
            { "name": "a", "fields": {}, "tiers": { "recent": { "collection": name } } },
            { "name": "b", "fields": {}, "tiers": { "recent": {} } },
        ]))
    };
    assert_eq!(with("a.recent-1"), []);
    assert_eq!(with("b_recent")[0].0, "/tiers/recent");
    for name in ["", "1a", "a$", "system.a", "nubo_state", "nubo_marks"] {
        assert_eq!(with(name)[0].0, "/tiers/recent/collection", "{name}");
    }
    let own = json!([{ "name": "nubo_state", "fields": {}, "tiers": { "recent": {} } }]);
    let (place, message, _) = mistakes(own).remove(0);
    assert_eq!(place, "/tiers/recent");
    assert!(
        message.contains("`nubo_` are those of the server"),
        "{message}"
    );
    let tables = mistakes(json!([
        { "name": "a", "fields": {}, "tiers": { "truth": { "table": "b" } } },
        { "name": "b", "fields": {} },
    ]));
    assert_eq!(tables[0].0, "/tiers");
}

/// A collection with `truth: none` beside `people` and `logs`, and what is said.
fn alone(mut declaration: Json, logs: Json) -> Vec<(String, String)> {
    declaration["name"] = "news".into();
    declaration["tiers"]["recent"] = json!({});
    declaration["tiers"]["truth"] = "none".into();
    let people =
        json!({ "name": "people", "fields": { "name": { "type": "text", "unique": true } } });
    let mut all = vec![declaration, people];
    if logs != Json::Null {
        all.push(logs);
    }
    mistakes(json!(all))
        .into_iter()
        .map(|(pointer, message, _)| (pointer, message))
        .collect()
}

#[test]
fn what_nobody_sees_as_a_whole_holds_nothing_together() {
    let unique = json!({ "fields": { "code": { "type": "text", "unique": true } } });
    let index =
        json!({ "fields": { "a": "int" }, "indexes": [{ "fields": ["a"], "unique": true }] });
    let cached =
        json!({ "fields": { "a": "int" }, "tiers": { "cache": {} }, "expires_after": "1d" });
    let plain = json!({ "fields": { "who": "ref(people)", "a": "int" }, "indexes": [["a"]] });
    let looks = json!({ "id": { "$in": { "$select": "news.who", "$where": { "a": 1 } } } });
    let logs = |fields: Json, more: Json| {
        let mut logs = json!({ "name": "logs", "fields": fields });
        for (key, value) in more.as_object().into_iter().flatten() {
            logs[key] = value.clone();
        }
        logs
    };
    for (declaration, logs, pointer, words) in [
        (unique, Json::Null, "/fields/code/unique", "can be unique"),
        (index, Json::Null, "/indexes/0/unique", "can be unique"),
        (cached, Json::Null, "/tiers/cache", "nobody hears"),
        (
            plain.clone(),
            logs(json!({ "news_id": "ref(news)" }), json!({})),
            "/fields/news_id",
            "nothing guards what refers to it",
        ),
        (
            plain.clone(),
            logs(
                json!({ "news_ids": { "type": "ref[]", "to": "news" } }),
                json!({}),
            ),
            "/fields/news_ids",
            "nothing guards what refers to it",
        ),
        (
            plain.clone(),
            logs(
                json!({ "a": "int" }),
                json!({ "access": { "update": looks } }),
            ),
            "/access/update",
            "does not find all",
        ),
        (
            plain.clone(),
            logs(
                json!({ "a": { "type": "int", "readable_by": looks } }),
                json!({}),
            ),
            "/fields/a/readable_by",
            "does not find all",
        ),
        (
            plain.clone(),
            logs(
                json!({ "a": "int" }),
                json!({ "effects": [{ "on": "create", "delete": "people", "where": looks }] }),
            ),
            "/effects/0",
            "does not find all",
        ),
    ] {
        let found = alone(declaration, logs);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, pointer);
        assert!(found[0].1.contains(words), "{found:?}");
    }
    let effects = json!([
        { "on": "create", "create": "news", "set": { "who": "$doc.who" } },
        { "on": "delete", "delete": "news", "where": { "who": "$doc.who" } },
    ]);
    let logs = logs(
        json!({ "who": "ref(people)" }),
        json!({ "effects": effects }),
    );
    assert_eq!(alone(plain, logs), []);
}
