//! Cursors: they continue one list and no other.

use serde_json::json;

use crate::{
    declare::CollectionDeclaration,
    field::Source,
    filter::Reader,
    query::{Cursor, Query, Start},
    schema::Catalog,
};

fn catalog() -> Catalog {
    let declaration: CollectionDeclaration = serde_json::from_value(json!({
        "name": "notes", "fields": { "n": "bigint", "f": "float", "d": "decimal", "t": "text" } }))
    .unwrap();
    Catalog::compile(&[declaration], &[]).unwrap()
}

fn query(catalog: &Catalog, filter: serde_json::Value, sort: &str) -> Query {
    let notes = catalog.named("notes").unwrap();
    Query {
        collection: notes.id,
        filter: Reader::of_client(catalog, notes).read(&filter).unwrap(),
        sort: notes.read_sort(sort).unwrap(),
        start: Start::First,
        limit: 10,
        fields: None,
    }
}

#[test]
fn they_hold_every_value_exactly() {
    let catalog = catalog();
    let notes = catalog.named("notes").unwrap();
    let query = query(&catalog, json!({ "t": "x" }), "n,-f,d,t");
    for json in [
        json!({ "n": i64::MAX.to_string(), "f": 5e-324, "d": "79228162514264337593543950335", "t": "\u{1}😀" }),
        json!({ "n": -9007199254740993i64, "f": 0.30000000000000004, "t": "" }),
        json!({}),
    ] {
        let mut document = notes.read_document(&json, Source::Json).unwrap();
        let id = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11".parse().unwrap();
        let now = "2026-11-21T21:45:00Z".parse().unwrap();
        notes.complete(&mut document, now, None, || id).unwrap();
        let cursor = Cursor::encode(&query, notes, &document);
        let keys = query
            .sort
            .iter()
            .map(|key| document.value(key.field).clone());
        let start = Cursor::decode(&cursor, &query, notes).unwrap();
        assert_eq!(start, Start::After(keys.collect()));
    }
}

#[test]
fn they_outlive_a_restart_with_more_fields_and_collections() {
    let before = catalog();
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "first", "fields": {} },
        { "name": "notes", "fields": { "new": "int", "n": "bigint", "f": "float", "d": "decimal",
            "t": { "type": "text", "description": "Words." } } },
    ]))
    .unwrap();
    let after = Catalog::compile(&declarations, &[]).unwrap();
    let filter = json!({ "$or": [{ "t": { "$in": ["x", null] } }, { "n": { "$gt": 5 } }] });
    let notes = before.named("notes").unwrap();
    let document = crate::document::Document::empty(notes);
    let cursor = Cursor::encode(&query(&before, filter.clone(), "-n"), notes, &document);
    // A cursor that somebody holds today continues their list tomorrow.
    assert_eq!(cursor, "WzgzNzA4NTEyMjA5MjY3NzYsW251bGwsbnVsbF1d");
    let notes = after.named("notes").unwrap();
    assert!(Cursor::decode(&cursor, &query(&after, filter, "-n"), notes).is_ok());
}

#[test]
fn they_belong_to_their_filter_and_order() {
    let catalog = catalog();
    let notes = catalog.named("notes").unwrap();
    let one = query(&catalog, json!({ "t": "x" }), "n");
    let document = crate::document::Document::empty(notes);
    let cursor = Cursor::encode(&one, notes, &document);
    assert!(Cursor::decode(&cursor, &one, notes).is_ok());
    for other in [
        query(&catalog, json!({ "t": "y" }), "n"),
        query(&catalog, json!({}), "n"),
        query(&catalog, json!({ "t": "x" }), "-n"),
        query(&catalog, json!({ "t": "x" }), "n,t"),
    ] {
        let error = Cursor::decode(&cursor, &other, notes).unwrap_err();
        assert_eq!(error.code(), "cursor_mismatch");
    }
    for broken in ["", "x", "AAAA", &cursor[..cursor.len() - 4]] {
        let error = Cursor::decode(broken, &one, notes).unwrap_err();
        assert_eq!(error.code(), "invalid_cursor", "{broken}");
    }
}
