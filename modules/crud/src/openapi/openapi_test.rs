//! The document agrees with itself and with what is read.

use std::collections::HashSet;

use nubo_core::{
    declare::CollectionDeclaration,
    field::Source,
    schema::{Catalog, Collection},
};
use serde_json::{Map, Value as Json, json};

use super::{fragments, shared::error_name};
use crate::settings::Settings;

fn catalog(declarations: Json) -> Catalog {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

/// Every type and most options.
fn everything() -> Catalog {
    catalog(json!([
        {
            "name": "things",
            "domain": "stock",
            "description": "What there is.",
            "fields": {
                "title": { "type": "text", "required": true, "max_length": 20 },
                "slug": { "type": "text", "unique": true, "pattern": "^[a-z]+$" },
                "amount": { "type": "int", "min": 0, "max": 10, "default": 1 },
                "size": "bigint",
                "weight": { "type": "float", "min": 0.5 },
                "price": { "type": "decimal", "min": "0.00" },
                "done": { "type": "bool", "default": false },
                "token": { "type": "uuid", "default": "$uuid", "immutable": true },
                "parent_id": "ref(things)",
                "friend_ids": "ref(things)[]",
                "at": { "type": "timestamp", "default": "$now" },
                "born": { "type": "date", "max": "-18y" },
                "period": "duration",
                "meta": "json",
                "needed": { "type": "json", "required": true },
                "address": { "type": "object", "fields": {
                    "street": "text!",
                    "kind": { "type": "int", "enum": { "home": 0, "work": 1 }, "default": 0 },
                } },
                "ip": "ip",
                "mail": "email",
                "link": "url",
                "data": { "type": "bytes", "min_length": 1, "max_length": 4 },
                "secret": { "type": "password", "min_length": 8 },
                "state": { "type": "int", "enum": { "open": 0, "closed": 1 }, "default": 0 },
                "tags": { "type": "text[]", "max_length": 3, "pattern": "^[a-z]+$" },
                "moods": { "type": "text[]", "enum": ["good", "bad"] },
                "internal": { "type": "text", "hidden": true },
                "note": { "type": "text", "write_only": true },
            },
        },
        {
            "name": "log",
            "singular": "log",
            "append_only": true,
            "fields": { "thing_id": "ref(things)!", "text": "text" },
        },
        { "name": "thing_pages", "singular": "thing_page", "fields": { "text": "text" } },
    ]))
}

fn merged(catalog: &Catalog) -> Json {
    let mut document = json!({ "paths": {}, "components": {} });
    for fragment in fragments(catalog, &Settings::default()) {
        for (path, item) in fragment["paths"].as_object().unwrap() {
            assert!(document["paths"].get(path).is_none(), "{path} twice");
            document["paths"][path] = item.clone();
        }
        for (kind, entries) in fragment["components"].as_object().unwrap() {
            for (name, component) in entries.as_object().unwrap() {
                assert!(
                    document["components"][kind].get(name).is_none(),
                    "{name} twice"
                );
                document["components"][kind][name] = component.clone();
            }
        }
    }
    document
}

fn visit(json: &Json, seen: &mut impl FnMut(&Map<String, Json>)) {
    match json {
        Json::Object(entries) => {
            seen(entries);
            entries.values().for_each(|value| visit(value, seen));
        }
        Json::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        _ => {}
    }
}

/// Whether a schema of the document takes a value.
fn accepts(document: &Json, name: &str, value: &Json) -> bool {
    let mut schema = document.clone();
    schema["components"]["schemas"]["Problem"] = json!({ "type": "object" });
    schema["$ref"] = format!("#/components/schemas/{name}").into();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema);
    validator.unwrap().is_valid(value)
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = merged(&everything());
    let mut used = HashSet::new();
    visit(&document, &mut |entries| {
        if let Some(Json::String(target)) = entries.get("$ref") {
            let pointer = target.strip_prefix('#').unwrap();
            // What every document has.
            let brought = document.pointer(pointer).is_some();
            let shared = [
                "/components/schemas/Problem",
                "/components/headers/X-Request-Id",
                "/components/headers/Retry-After",
            ];
            let is_error =
                |status: u16| pointer == format!("/components/responses/{}", error_name(status));
            assert!(
                brought || shared.contains(&pointer) || (400..600).any(is_error),
                "{target}"
            );
            used.insert(target.clone());
        }
    });
    for (kind, entries) in document["components"].as_object().unwrap() {
        for name in entries.as_object().unwrap().keys() {
            let target = format!("#/components/{kind}/{name}");
            assert!(used.contains(&target), "{target} is not used");
        }
    }
}

#[test]
fn operations_are_named_once_and_well() {
    let document = merged(&everything());
    let mut ids = Vec::new();
    visit(&document["paths"], &mut |entries| {
        if let Some(Json::String(id)) = entries.get("operationId") {
            ids.push(id.clone());
        }
    });
    let unique: HashSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for id in [
        "listThings",
        "queryThings",
        "countThings",
        "createThing",
        "getThing",
        "headThing",
        "updateThing",
        "replaceThing",
        "deleteThing",
        "updateThings",
        "deleteThings",
        "bulkThings",
        "listLog",
        "createLog",
        "batch",
    ] {
        assert!(unique.contains(&id.to_owned()), "{id}");
    }
    for id in ["updateLog", "deleteLog", "replaceLog", "updateManyLog"] {
        assert!(!unique.contains(&id.to_owned()), "{id}");
    }
    // `ThingPage` is the page of things already.
    assert!(unique.contains(&"createThingPages".to_owned()));
}

/// What the schema takes is read, and what is not read the schema refuses.
#[test]
fn the_schema_of_a_new_document_is_what_is_read() {
    let catalog = everything();
    let document = merged(&catalog);
    let things: &Collection = catalog.named("things").unwrap();
    let samples = [
        (
            "title",
            json!(["a", "", "a".repeat(20), "ü", "a\n"]),
            json!([1, null, "a\u{0}b", "a".repeat(21)]),
        ),
        ("slug", json!(["abc", null]), json!(["ABC", ""])),
        (
            "amount",
            json!([0, 10, 3.0, null]),
            json!([-1, 11, 0.5, "3", 2_147_483_648u32]),
        ),
        (
            "size",
            json!([0, i64::MAX, i64::MIN, "9223372036854775807", "-1", null]),
            json!([0.5, "a", u64::MAX, "1.0", true]),
        ),
        ("weight", json!([0.5, 1, 1e300]), json!([0.4, "1"])),
        (
            "price",
            json!([
                "12.50",
                12.5,
                "0",
                0,
                "1234567890123456789012345678",
                "0.000000000000000001",
                null
            ]),
            json!(["-1", "", "abc", true]),
        ),
        ("done", json!([true, false, null]), json!(["true", 1])),
        (
            "token",
            json!(["0190F5F6-8a6c-7f2a-9c3e-2f1d8f0f7a11"]),
            json!(["0190f5f68a6c7f2a9c3e2f1d8f0f7a11", "", 1]),
        ),
        (
            "friend_ids",
            json!([[], ["0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11"], null]),
            json!([[null], "a", ["a"]]),
        ),
        (
            "at",
            json!(["2026-11-21T21:45:00Z", "2026-11-21T21:45:00.123456+02:00"]),
            json!(["2026-11-21", "now", 1]),
        ),
        (
            "born",
            json!(["2000-02-29"]),
            json!(["2001-02-29", "2000-2-1"]),
        ),
        (
            "period",
            json!(["P1DT2H30M", "-PT5M", "PT0.25S", "P1W", "P1W2D", "PT1H1S"]),
            json!(["P", "PT", "P1DT", "P1Y", "P1M", "PT1.5H", "1D", "PT1S1M"]),
        ),
        (
            "meta",
            json!([{}, [], "a", 1, true, null, { "a": [{ "b": null }] }]),
            json!([]),
        ),
        ("needed", json!([{}, [], "a", 1, false]), json!([null])),
        (
            "address",
            json!([{ "street": "a" }, { "street": "a", "kind": "work" }, { "street": "a", "kind": 1 }, null]),
            json!([{}, { "street": null }, { "street": "a", "kind": 2 }, { "street": "a", "more": 1 }, "a"]),
        ),
        (
            "ip",
            json!(["192.0.2.1", "2001:db8::1", null]),
            json!(["192.0.2.0/24", "a", 1]),
        ),
        (
            "mail",
            json!(["ada@example.org", "a.b+c@x-y.example", null]),
            json!(["ada", "a@b..c", "a@-b.c", "a b@c", "@b"]),
        ),
        (
            "link",
            json!(["https://example.org/a?b=c#d", "http://localhost:8080"]),
            json!(["example.org", "/a", "https://", "http://a b"]),
        ),
        (
            "data",
            json!(["aGVsbA==", "aGVs", "aA==", null]),
            json!(["aGVsbG8haGVs", "aB==", "aGVsbA", "", "a-b_"]),
        ),
        (
            "secret",
            json!(["correct horse"]),
            json!(["short", 12_345_678]),
        ),
        (
            "state",
            json!([0, 1, "open", "closed", null]),
            json!([2, "other", "0"]),
        ),
        (
            "tags",
            json!([["a", "b"], [], null]),
            json!([["A"], ["a", "b", "c", "d"], "a", [1]]),
        ),
        (
            "moods",
            json!([["good"], ["good", "good"], null]),
            json!([["other"], "good"]),
        ),
        (
            "id",
            json!(["0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11"]),
            json!(["a", 1]),
        ),
        ("note", json!(["a", null]), json!([1])),
        ("internal", json!([]), json!(["a"])),
        ("created_at", json!([]), json!(["2026-11-21T21:45:00Z"])),
        ("other", json!([]), json!([1])),
    ];
    for (field, good, wrong) in samples {
        for (values, expected) in [(good, true), (wrong, false)] {
            for value in values.as_array().unwrap() {
                let mut body = json!({ "title": "a", "needed": 1 });
                body[field] = value.clone();
                let read = things.read_document(&body, Source::Json);
                assert_eq!(read.is_ok(), expected, "{field}: {value} as it is read");
                let accepted = accepts(&document, "ThingCreate", &body);
                assert_eq!(accepted, expected, "{field}: {value} by the schema");
            }
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let catalog = everything();
    let document = merged(&catalog);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut checked = 0;
    for (name, schema) in schemas {
        let Some(properties) = schema["properties"].as_object() else {
            continue;
        };
        for (property, described) in properties {
            for example in described["examples"].as_array().into_iter().flatten() {
                checked += 1;
                let mut single = document.clone();
                single["$ref"] =
                    format!("#/components/schemas/{name}/properties/{property}").into();
                let validator = jsonschema::options()
                    .should_validate_formats(true)
                    .build(&single);
                assert!(
                    validator.unwrap().is_valid(example),
                    "{name}.{property}: {example}"
                );
            }
        }
    }
    assert!(checked > 50);
    let create = &document["paths"]["/things"]["post"]["requestBody"]["content"];
    let example = &create["application/json"]["example"];
    assert!(accepts(&document, "ThingCreate", example), "{example}");
    let things = catalog.named("things").unwrap();
    things.read_document(example, Source::Json).unwrap();
}

#[test]
fn changes_are_fields_or_operators() {
    let document = merged(&everything());
    let good = [
        json!({}),
        json!({ "title": "b" }),
        json!({ "slug": null, "address": { "kind": "home" } }),
        json!({ "$set": { "title": "b", "address.street": "x", "meta.a.b": [1] } }),
        json!({ "$inc": { "amount": -1, "meta.n": 1.5 }, "$unset": { "slug": true } }),
        json!({ "$push": { "tags": { "$each": ["a", "b"] } }, "$currentDate": { "at": true } }),
    ];
    let wrong = [
        json!({ "title": null }),
        json!({ "title": "b", "$set": { "slug": "c" } }),
        json!({ "$inc": { "title": 1 } }),
        json!({ "$set": { "token": "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11" } }),
        json!({ "$rename": { "title": "b" } }),
        json!({ "$unset": { "title": true } }),
        json!({ "internal": "a" }),
    ];
    let catalog = everything();
    let things = catalog.named("things").unwrap();
    for (changes, expected) in [(&good[..], true), (&wrong[..], false)] {
        for change in changes {
            assert_eq!(
                accepts(&document, "ThingUpdate", change),
                expected,
                "{change}"
            );
            if expected {
                nubo_core::change::read_patch(&catalog, things, change).unwrap();
            }
        }
    }
}

#[test]
fn filters_are_those_that_are_read() {
    let catalog = everything();
    let document = merged(&catalog);
    let things = catalog.named("things").unwrap();
    let reader = nubo_core::filter::Reader::of_client(&catalog, things);
    let good = [
        json!({}),
        json!({ "title": "a", "amount": { "$gte": 1, "$lt": 9 } }),
        json!({ "state": "open", "$or": [{ "state": { "$in": ["closed", 0, null] } }] }),
        json!({ "tags": ["a", "b"] }),
        json!({ "tags": { "$all": ["a"], "$size": 1, "$elemMatch": { "$gt": "a" } } }),
        json!({ "address.street": { "$istartsWith": "x" }, "address": null }),
        json!({ "meta.a.b": { "$gt": 1 }, "meta": { "$elemMatch": { "x": 1 } } }),
        json!({ "title": { "$not": { "$contains": "a" } }, "$not": { "done": true } }),
        json!({ "id": { "$in": ["0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11"] }, "_rev": { "$gt": 1 } }),
    ];
    let wrong = [
        json!({ "titel": "a" }),
        json!({ "title": 1 }),
        json!({ "title": {} }),
        json!({ "title": { "$regex": "a" } }),
        json!({ "title": { "$gt": null } }),
        json!({ "amount": { "$contains": "a" } }),
        json!({ "$or": [] }),
        json!({ "secret": "a" }),
        json!({ "internal": "a" }),
        json!({ "address": { "street": "a" } }),
        json!({ "meta.": 1 }),
    ];
    for (filters, expected) in [(&good[..], true), (&wrong[..], false)] {
        for filter in filters {
            assert_eq!(
                reader.read(filter).is_ok(),
                expected,
                "{filter} as it is read"
            );
            assert_eq!(
                accepts(&document, "ThingFilter", filter),
                expected,
                "{filter}"
            );
        }
    }
}
