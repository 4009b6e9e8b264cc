//! What MongoDB is asked. That the answers are right is shown where all executors are compared.

use mongodb::bson::{DateTime, Document as BsonDocument, doc};
use nubo_core::{
    declare::CollectionDeclaration,
    filter::{Reader, Variables},
    schema::Catalog,
};
use serde_json::{Value as Json, json};

use super::*;

fn catalog() -> Catalog {
    let declarations = json!([
        {
            "name": "posts",
            "fields": {
                "author": { "type": "ref", "to": "people" }, "text": "text", "likes": "int",
                "day": "date", "tags": "text[]", "meta": "json",
                "place": { "type": "object", "fields": { "city": "text", "more": "json" } },
            },
        },
        { "name": "people", "fields": { "name": "text" } },
    ]);
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

fn asked(filter: Json) -> BsonDocument {
    let catalog = catalog();
    let posts = catalog.named("posts").unwrap();
    let filter = Reader::of_client(&catalog, posts).read(&filter).unwrap();
    document(&filter, posts).unwrap()
}

#[test]
fn declared_fields_are_asked_for_as_indexes_answer() {
    for (filter, expected) in [
        (json!({}), doc! {}),
        (json!({ "text": "$x" }), doc! { "text": { "$eq": "$x" } }),
        (json!({ "text": null }), doc! { "text": null }),
        (
            json!({ "likes": { "$exists": true } }),
            doc! { "likes": { "$ne": null } },
        ),
        (
            json!({ "likes": { "$ne": 5 } }),
            doc! { "$nor": [{ "likes": { "$eq": 5_i64 } }] },
        ),
        (
            json!({ "likes": { "$in": [5, null] } }),
            doc! { "likes": { "$in": [5_i64, null] } },
        ),
        (
            json!({ "day": { "$gte": "1970-01-02" } }),
            doc! { "day": { "$gte": DateTime::from_millis(86_400_000) } },
        ),
        (json!({ "tags": "a" }), doc! { "tags": { "$eq": "a" } }),
        (json!({ "tags": ["a"] }), doc! { "tags": { "$eq": ["a"] } }),
        (
            json!({ "tags": { "$size": 2 } }),
            doc! { "tags": { "$size": 2 } },
        ),
        (
            json!({ "place.city": { "$startsWith": "a." } }),
            doc! { "place.city": { "$regex": "^a\\." } },
        ),
        (
            json!({ "$or": [{ "likes": { "$lt": 1 } }, { "text": "a", "tags": { "$all": ["b"] } }] }),
            doc! { "$or": [
                { "likes": { "$lt": 1_i64 } },
                { "$and": [{ "text": { "$eq": "a" } }, { "tags": { "$all": ["b"] } }] },
            ] },
        ),
    ] {
        assert_eq!(asked(filter.clone()), expected, "{filter}");
    }
}

#[test]
fn what_nothing_passes_is_known_for_that() {
    for filter in [
        json!({ "tags": { "$all": [] } }),
        json!({ "tags": { "$size": 4_294_967_296_u64 } }),
        json!({ "tags": { "$all": ["a", null] } }),
    ] {
        assert_eq!(asked(filter), never());
    }
}

#[test]
fn json_is_walked_key_by_key() {
    let value = doc! { "$ifNull": [
        { "$getField": { "field": "0", "input": { "$getField": { "field": "b", "input": "$place.more" } } } },
        null,
    ] };
    assert_eq!(
        asked(json!({ "place.more.b.0": { "$exists": true } })),
        doc! { "$expr": { "$ne": [value, null] } }
    );
}

#[test]
fn items_are_asked_for_everything_at_once() {
    let item = |test: BsonDocument| {
        doc! { "$expr": { "$cond": [
            { "$isArray": [{ "$ifNull": ["$tags", null] }] },
            { "$anyElementTrue": [{ "$map": {
                "input": { "$ifNull": ["$tags", null] }, "as": "i0", "in": test,
            } }] },
            false,
        ] } }
    };
    let value = doc! { "$ifNull": ["$$i0", null] };
    // An item may be a list itself, in json.
    let nested = |one: fn(Bson) -> Bson| {
        doc! { "$cond": [
            { "$isArray": [value.clone()] },
            { "$anyElementTrue": [{ "$map": { "input": value.clone(), "as": "i1", "in": one("$$i1".into()) } }] },
            one(value.clone().into()),
        ] }
    };
    let is_a = |value: Bson| Bson::from(doc! { "$eq": [value, { "$literal": "a" }] });
    assert_eq!(
        asked(json!({ "tags": { "$elemMatch": { "$eq": "a" } } })),
        item(nested(is_a))
    );
}

#[test]
fn other_documents_cannot_be_asked_for() {
    let catalog = catalog();
    let posts = catalog.named("posts").unwrap();
    let reader = Reader {
        variables: Variables::Auth,
        ..Reader::of_client(&catalog, posts)
    };
    let rule = json!({ "$nor": [
        { "author": { "$in": { "$select": "people.id", "$where": { "name": "Ada" } } } },
    ] });
    let rule = reader
        .read_operands(&rule)
        .unwrap()
        .bind(&nubo_core::filter::NoVariables)
        .unwrap();
    assert_eq!(document(&rule, posts), Err(Unanswerable::SubQuery));
}
