use mongodb::bson::{
    Binary, Bson, DateTime, Document as BsonDocument, RawDocumentBuf, doc, rawdoc,
    spec::BinarySubtype,
};
use nubo_core::{
    declare::CollectionDeclaration,
    document::Document,
    field::Source,
    id::{Id, Revision},
    record::Excerpts,
    schema::{Catalog, Collection},
    time::Timestamp,
    value::Value,
};
use serde_json::{Value as Json, json};

use super::*;

fn collection(truth: Json) -> Collection {
    let declaration = json!({
        "name": "films",
        "fields": {
            "title": "text!", "year": "int", "gross": "bigint", "rating": "float",
            "price": "decimal", "seen": "bool", "studio": "uuid", "opened": "date",
            "shown": "timestamp", "length": "duration", "from": "ip", "poster": "bytes",
            "tags": "text[]", "meta": "json",
            "cut": { "type": "object", "fields": { "by": "text", "days": "int[]" } },
            "key": "password", "note": { "type": "text", "hidden": true },
        },
        "tiers": { "recent": {}, "truth": truth },
    });
    let declaration: CollectionDeclaration = serde_json::from_value(declaration).unwrap();
    let catalog = Catalog::compile(&[declaration], &[]).unwrap();
    catalog.named("films").unwrap().as_ref().clone()
}

fn film(collection: &Collection) -> Document {
    let json = json!({
        "id": "019aa8c4-5d5e-7c3a-9f6e-1b0f5f2f8f11",
        "title": "Ödipus", "year": 1967, "gross": "9007199254740993", "rating": 7.5,
        "price": "19.90", "seen": true, "studio": "00000000-0000-7000-8000-000000000001",
        "opened": "1967-09-03", "shown": "2026-11-21T21:45:00.123Z", "length": "PT1H44M",
        "from": "2001:DB8::1", "poster": "AAE=", "tags": ["drama", ""],
        "meta": { "$ref": 1, "a.b": [null, 2.5, 5_000_000_000_i64, { "": "x" }] },
        "cut": { "days": [1] }, "key": "a long enough password",
    });
    let mut film = collection.read_document(&json, Source::Json).unwrap();
    film.set(field(collection, "key"), Value::Text("$argon2id$…".into()));
    film.set(field(collection, "note"), Value::Text("unseen".into()));
    film.set_created_at(Timestamp::from_millis(1_000));
    film.touch(Timestamp::from_millis(2_000));
    film.set_revision(Revision::new(77));
    film
}

fn field(collection: &Collection, name: &str) -> usize {
    collection.field_named(name).unwrap().0
}

fn everything(collection: &Collection) -> Excerpts {
    let count = collection.fields().len();
    Excerpts::new((0..count).collect(), count)
}

fn stamp(last_use: i64) -> Stamp {
    Stamp {
        epoch: 4,
        last_use: Timestamp::from_millis(last_use),
    }
}

fn stored(collection: &Collection) -> RawDocumentBuf {
    document(&film(collection), collection, stamp(3_000)).unwrap()
}

#[test]
fn people_can_read_what_is_stored() {
    let raw = stored(&collection(json!({})));
    let id = |text: &str| mongodb::bson::Uuid::parse_str(text).unwrap();
    let date = DateTime::from_millis;
    assert_eq!(
        BsonDocument::try_from(&raw).unwrap(),
        doc! {
            "_id": id("019aa8c4-5d5e-7c3a-9f6e-1b0f5f2f8f11"),
            "title": "Ödipus",
            "year": 1967_i32,
            "gross": 9_007_199_254_740_993_i64,
            "rating": 7.5,
            "price": "19.9".parse::<mongodb::bson::Decimal128>().unwrap(),
            "seen": true,
            "studio": id("00000000-0000-7000-8000-000000000001"),
            "opened": date(-73_526_400_000),
            "shown": date(1_795_297_500_123),
            "length": 6_240_000_i64,
            "from": "2001:db8::1",
            "poster": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 1] },
            "tags": ["drama", ""],
            "meta": { "$ref": 1, "a.b": [null, 2.5, 5_000_000_000_i64, { "": "x" }] },
            "cut": { "days": [1] },
            "note": "unseen",
            "created_at": date(1_000),
            "updated_at": date(2_000),
            "_rev": 77_i64,
            "_last_use": date(3_000),
            "_epoch": 4_i64,
        }
    );
}

#[test]
fn what_is_read_is_what_was_sent() {
    for truth in [json!({}), json!("none")] {
        let collection = collection(truth);
        let raw = stored(&collection);
        let row = Row::read(&raw, &collection).unwrap();
        let held = row.held(&everything(&collection)).unwrap();
        let film = film(&collection);
        let mut json = Vec::new();
        film.write_json(&collection, &mut json);
        assert_eq!(held.json, json);
        assert_eq!(held.revision, Revision::new(77));
        assert_eq!(row.epoch, Some(4));
        // Passwords stay with the truth, where there is one.
        let mut values = film.values().to_vec();
        if collection.tiers.truth {
            values[field(&collection, "key")] = Value::Null;
        }
        assert_eq!(held.excerpt.values(), values);
    }
}

#[test]
fn fields_are_found_wherever_they_stand() {
    let collection = collection(json!({}));
    let mut turned: Vec<_> = BsonDocument::try_from(&stored(&collection))
        .unwrap()
        .into_iter()
        .chain([("dropped".to_owned(), Bson::Int32(1))])
        .collect();
    turned.reverse();
    let turned: BsonDocument = turned.into_iter().collect();
    let turned = RawDocumentBuf::try_from(&turned).unwrap();
    let first = stored(&collection);
    let held = |raw: &RawDocumentBuf| {
        let row = Row::read(raw, &collection).unwrap();
        row.held(&everything(&collection)).unwrap()
    };
    assert_eq!(held(&turned), held(&first));
}

#[test]
fn the_end_of_a_document_is_no_document() {
    let collection = collection(json!({}));
    let id: Id = "019aa8c4-5d5e-7c3a-9f6e-1b0f5f2f8f11".parse().unwrap();
    let year = &collection.fields()[field(&collection, "year")];
    let year = Some((year, &Value::Int(1)));
    let raw = tombstone(id, Revision::new(9), year, stamp(5)).unwrap();
    let row = Row::read(&raw, &collection).unwrap();
    assert!(row.gone);
    assert_eq!(row.epoch, Some(4));
    assert_eq!(row.revision().unwrap(), Revision::new(9));
    assert_eq!(row.id().unwrap(), id.uuid());
    let fields: Vec<_> = raw
        .iter_elements()
        .map(|e| e.unwrap().key().to_string())
        .collect();
    assert_eq!(
        fields,
        ["_id", "year", "_rev", "_gone", "_last_use", "_epoch"]
    );
}

#[test]
fn what_others_have_written_is_told() {
    let collection = collection(json!({}));
    for (raw, word) in [
        (rawdoc! { "_id": 1, "_rev": 1_i64 }, "`id`"),
        (rawdoc! { "_rev": 1_i64, "year": "1967" }, "`year`"),
        (
            rawdoc! { "_rev": 1_i64, "meta": { "a": DateTime::from_millis(1) } },
            "`meta`",
        ),
        (rawdoc! { "title": "x" }, "`_rev`"),
    ] {
        let row = Row::read(&raw, &collection).unwrap();
        let error = row.held(&everything(&collection)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
