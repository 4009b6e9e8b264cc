//! What clients may not ask, and what they are told.

use serde_json::{Value as Json, json};

use super::Reader;
use crate::{
    caller::{Account, Caller},
    declare::CollectionDeclaration,
    document::Document,
    field::Source,
    schema::Catalog,
    time::Timestamp,
};

fn catalog() -> Catalog {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "users", "fields": { "name": "text" } },
        { "name": "posts", "fields": {
            "title": "text",
            "email": { "type": "email", "normalize": ["trim", "lower"] },
            "likes": "int",
            "price": "decimal",
            "kind": { "type": "int", "enum": { "note": 0, "image": 1 } },
            "kinds": { "type": "int[]", "enum": { "note": 0, "image": 1 } },
            "tags": "text[]",
            "blobs": "json[]",
            "data": "json",
            "raw": "bytes",
            "address": { "type": "object", "fields": { "city": "text", "zip": "int" } },
            "author": { "type": "ref", "to": "users" },
            "media": { "type": "ref[]", "to": "users" },
            "secret": { "type": "text", "hidden": true },
            "pass": "password",
        }, "access": { "read": { "author": { "$in": {
            "$select": "posts.media", "$where": { "author": "$auth.id" } } } } } },
    ]))
    .unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

/// Pointer and code of every refusal.
fn refusals(filter: Json) -> Vec<(String, &'static str)> {
    let catalog = catalog();
    let posts = catalog.named("posts").unwrap();
    match Reader::of_client(&catalog, posts).read(&filter) {
        Ok(expr) => panic!("{filter} is read as {expr:?}"),
        Err(error) => {
            assert_eq!(error.status_code(), 400);
            assert_eq!(error.code(), "invalid_filter");
            error
                .errors()
                .iter()
                .map(|violation| (violation.path.clone(), violation.code))
                .collect()
        }
    }
}

fn matches(filter: Json, document: Json) -> bool {
    let catalog = catalog();
    let posts = catalog.named("posts").unwrap();
    let document: Document = posts.read_document(&document, Source::Json).unwrap();
    let filter = Reader::of_client(&catalog, posts).read(&filter).unwrap();
    filter.matches(&document, posts.fields(), &())
}

#[test]
fn every_refusal_names_its_place() {
    for (filter, path, code) in [
        (json!([]), "", "wrong_type"),
        (json!({ "titel": 1 }), "/titel", "unknown_field"),
        (json!({ "secret": "x" }), "/secret", "unknown_field"),
        (json!({ "pass": "x" }), "/pass", "unknown_field"),
        (json!({ "$adn": [] }), "/$adn", "unknown_operator"),
        (json!({ "$and": {} }), "/$and", "wrong_type"),
        (json!({ "$or": [] }), "/$or", "empty"),
        (json!({ "$nor": [1] }), "/$nor/0", "wrong_type"),
        (json!({ "$not": [] }), "/$not", "wrong_type"),
        (json!({ "title": {} }), "/title", "wrong_type"),
        (json!({ "title": 1 }), "/title", "wrong_type"),
        (
            json!({ "title": { "$eqq": 1 } }),
            "/title/$eqq",
            "unknown_operator",
        ),
        (
            json!({ "title": { "$not": "x" } }),
            "/title/$not",
            "wrong_type",
        ),
        (
            json!({ "title": { "$exists": 1 } }),
            "/title/$exists",
            "wrong_type",
        ),
        (
            json!({ "title": { "$all": [] } }),
            "/title/$all",
            "wrong_type",
        ),
        (
            json!({ "title": { "$in": "x" } }),
            "/title/$in",
            "wrong_type",
        ),
        (
            json!({ "title": { "$in": ["x", 1] } }),
            "/title/$in/1",
            "wrong_type",
        ),
        (json!({ "title.x": 1 }), "/title.x", "unknown_field"),
        (json!({ "likes": 1.5 }), "/likes", "wrong_type"),
        (
            json!({ "likes": 4_000_000_000u32 }),
            "/likes",
            "out_of_range",
        ),
        (
            json!({ "likes": { "$gt": null } }),
            "/likes/$gt",
            "wrong_type",
        ),
        (
            json!({ "likes": { "$contains": "1" } }),
            "/likes/$contains",
            "wrong_type",
        ),
        (
            json!({ "title": { "$contains": 1 } }),
            "/title/$contains",
            "wrong_type",
        ),
        (
            json!({ "title": { "$startsWith": "\0" } }),
            "/title/$startsWith",
            "wrong_type",
        ),
        (json!({ "author": "me" }), "/author", "invalid_uuid"),
        (
            json!({ "raw": { "$gt": "AA==" } }),
            "/raw/$gt",
            "not_ordered",
        ),
        (
            json!({ "tags": { "$size": -1 } }),
            "/tags/$size",
            "wrong_type",
        ),
        (
            json!({ "tags": { "$size": 1.5 } }),
            "/tags/$size",
            "wrong_type",
        ),
        (
            json!({ "tags": { "$elemMatch": { "x": 1 } } }),
            "/tags/$elemMatch",
            "wrong_type",
        ),
        (
            json!({ "tags": { "$elemMatch": { "$gt": 1 } } }),
            "/tags/$elemMatch/$gt",
            "wrong_type",
        ),
        (json!({ "tags": ["a", 1] }), "/tags/1", "wrong_type"),
        (json!({ "blobs": [1] }), "/blobs", "wrong_type"),
        (json!({ "data": [1] }), "/data", "wrong_type"),
        (json!({ "data": { "$eq": {} } }), "/data/$eq", "wrong_type"),
        (json!({ "data..a": 1 }), "/data..a", "invalid_path"),
        (json!({ "data.a\"b": 1 }), "/data.a\"b", "invalid_path"),
        (
            json!({ "data": { "$elemMatch": { "$x": 1 } } }),
            "/data/$elemMatch/$x",
            "unknown_operator",
        ),
        (
            json!({ "data": { "$elemMatch": { "a": {} } } }),
            "/data/$elemMatch/a",
            "wrong_type",
        ),
        (json!({ "address": "x" }), "/address", "wrong_type"),
        (
            json!({ "address.street": "x" }),
            "/address.street",
            "unknown_field",
        ),
        (json!({ "address.zip": "x" }), "/address.zip", "wrong_type"),
        (json!({ "kind": "video" }), "/kind", "wrong_type"),
        (
            json!({ "author": { "$in": { "$select": "users.id" } } }),
            "/author/$in",
            "wrong_type",
        ),
    ] {
        assert_eq!(
            refusals(filter.clone()),
            [(path.to_owned(), code)],
            "{filter}"
        );
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let filter = json!({ "a": 1, "$and": [{ "likes": "x" }, { "title": { "$in": [1, 2] } }] });
    let found = refusals(filter);
    let places: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        places,
        [
            "/a",
            "/$and/0/likes",
            "/$and/1/title/$in/0",
            "/$and/1/title/$in/1"
        ]
    );
}

#[test]
fn filters_have_limits() {
    let deep = |levels: usize| {
        (0..levels).fold(json!({ "likes": 1 }), |inner, _| json!({ "$not": inner }))
    };
    assert_eq!(refusals(deep(12))[0].1, "too_deep");
    assert!(matches(deep(10), json!({ "likes": 1 })));
    let many: Vec<Json> = (0..257).map(|n| json!({ "likes": n })).collect();
    assert_eq!(refusals(json!({ "$or": many }))[0].1, "too_large");
    let values: Vec<i32> = (0..1001).collect();
    assert_eq!(
        refusals(json!({ "likes": { "$in": values } }))[0].1,
        "too_large"
    );
    let lists: Vec<Json> = (0..6)
        .map(|_| json!({ "likes": { "$nin": values[..1000] } }))
        .collect();
    assert_eq!(refusals(json!({ "$or": lists }))[0].1, "too_large");
}

#[test]
fn the_owner_may_nest_deeper_than_clients() {
    let deep = |levels: usize| {
        let filter = (0..levels).fold(json!({ "n": 1 }), |inner, _| json!({ "$not": inner }));
        let declaration: CollectionDeclaration = serde_json::from_value(
            json!({ "name": "posts", "fields": { "n": "int" }, "access": { "read": filter } }),
        )
        .unwrap();
        Catalog::compile(&[declaration], &[])
    };
    assert!(deep(23).is_ok());
    assert!(deep(24).unwrap_err()[0].message.contains("24 levels"));
}

#[test]
fn words_near_by_are_suggested() {
    let catalog = catalog();
    let posts = catalog.named("posts").unwrap();
    for (filter, word) in [
        (json!({ "titel": "x" }), "`title`"),
        (json!({ "likes": { "$gtt": 1 } }), "`$gt`"),
        (json!({ "$adn": [] }), "`$and`"),
    ] {
        let error = Reader::of_client(&catalog, posts)
            .read(&filter)
            .unwrap_err();
        let message = &error.errors()[0].message;
        assert!(
            message.ends_with(&format!("; did you mean {word}?")),
            "{message}"
        );
    }
}

#[test]
fn operands_are_read_as_input_is() {
    assert!(matches(
        json!({ "email": " A@B.c " }),
        json!({ "email": "a@b.C " })
    ));
    assert!(matches(json!({ "kind": "image" }), json!({ "kind": 1 })));
    assert!(matches(
        json!({ "kind": { "$in": ["note", 1] } }),
        json!({ "kind": "image" })
    ));
    assert!(matches(
        json!({ "kinds": "image" }),
        json!({ "kinds": ["note", "image"] })
    ));
    assert!(matches(
        json!({ "kinds": ["note", 1] }),
        json!({ "kinds": [0, "image"] })
    ));
    assert!(matches(json!({ "price": 1.5 }), json!({ "price": "1.50" })));
    // Without variables a dollar is a dollar.
    assert!(matches(
        json!({ "title": "$now" }),
        json!({ "title": "$now" })
    ));
}

#[test]
fn null_and_negation_mean_what_they_say() {
    let none = || json!({});
    for (filter, passes) in [
        (json!({ "title": null }), true),
        (json!({ "title": { "$exists": false } }), true),
        (json!({ "title": { "$ne": "x" } }), true),
        (json!({ "title": { "$nin": ["x"] } }), true),
        (json!({ "title": { "$nin": ["x", null] } }), false),
        (json!({ "title": { "$in": [null] } }), true),
        (json!({ "likes": { "$not": { "$gt": 1 } } }), true),
        (json!({ "likes": { "$lte": 1 } }), false),
        (json!({ "$nor": [{ "likes": 1 }] }), true),
        (json!({ "tags": { "$all": [] } }), false),
        (json!({ "tags": { "$size": 0 } }), false),
        (json!({ "data.a.b": null }), true),
        (json!({ "address.city": null }), true),
    ] {
        assert_eq!(matches(filter.clone(), none()), passes, "{filter}");
    }
}

#[test]
fn inside_json_types_do_not_mix() {
    let document = || {
        json!({ "data": { "n": 1, "t": "1", "b": true, "l": [1, "a", null, [2], { "x": 1 }] },
                "blobs": [1, "a", { "x": 1 }] })
    };
    for (filter, passes) in [
        (json!({ "data.n": 1.0 }), true),
        (json!({ "data.n": "1" }), false),
        (json!({ "data.t": { "$gte": "1" } }), true),
        (json!({ "data.t": { "$gte": 0 } }), false),
        (json!({ "data.b": { "$gt": false } }), true),
        (json!({ "data.l": "a" }), true),
        (json!({ "data.l": 2 }), false),
        (json!({ "data.l": null }), true),
        (json!({ "data.l": { "$all": [1, "a"] } }), true),
        (json!({ "data.l": { "$size": 5 } }), true),
        (json!({ "data.l": { "$elemMatch": { "x": 1 } } }), true),
        (
            json!({ "data.l": { "$elemMatch": { "$gt": 0, "$lt": 2 } } }),
            true,
        ),
        (json!({ "data.l.x": 1 }), false),
        (json!({ "blobs": "a" }), true),
        (json!({ "blobs": { "$elemMatch": { "x": 1 } } }), true),
        (json!({ "blobs": { "$all": [1] } }), true),
        (json!({ "blobs": { "$nin": [1] } }), false),
    ] {
        assert_eq!(matches(filter.clone(), document()), passes, "{filter}");
    }
}

#[test]
fn what_a_variable_stands_for_is_a_text_inside_json() {
    const ME: &str = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11";
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "notes", "fields": { "data": "json" }, "access": { "read": { "data.by": "$auth.id" } } },
    ]))
    .unwrap();
    let catalog = Catalog::compile(&declarations, &[]).unwrap();
    let notes = catalog.named("notes").unwrap();
    let caller = Caller::account(Account::new(ME.parse().unwrap(), Vec::new()));
    let condition = notes.view(&caller, Timestamp::from_millis(0)).condition;
    for (by, passes) in [(json!(ME), true), (json!("me"), false), (json!([ME]), true)] {
        let note = json!({ "data": { "by": by } });
        let note = notes.read_document(&note, Source::Json).unwrap();
        assert_eq!(condition.matches(&note, notes.fields(), &()), passes);
    }
}
