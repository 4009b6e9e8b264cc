//! Each operator, merge patches and replacements: from JSON to the document they leave.

use serde_json::{Value as Json, json};

use super::{read_patch, read_replacement};
use crate::{
    declare::CollectionDeclaration, document::Document, error::Error, field::Source,
    schema::Catalog, time::Timestamp,
};

fn catalog() -> Catalog {
    let declaration: CollectionDeclaration = serde_json::from_value(json!({
        "name": "things", "fields": {
            "text": { "type": "text", "max_length": 5 },
            "needed": { "type": "text", "default": "x", "required": true },
            "email": { "type": "email", "normalize": ["trim", "lower"] },
            "n": { "type": "int", "max": 100 },
            "small": "int",
            "big": "bigint",
            "f": "float",
            "d": "decimal",
            "wait": "duration",
            "at": "timestamp",
            "day": { "type": "date", "max": "0y" },
            "tags": { "type": "text[]", "max_length": 3 },
            "kinds": { "type": "int[]", "enum": { "note": 0, "image": 1 } },
            "blobs": "json[]",
            "data": "json",
            "address": { "type": "object", "fields": {
                "city": "text!", "zip": { "type": "int", "min": 0 },
                "geo": { "type": "object", "fields": { "lat": "float" } } } },
            "format": { "type": "object", "fields": {
                "width": "int", "unit": { "type": "text", "default": "cm" } } },
            "fixed": { "type": "text", "immutable": true },
            "hidden": { "type": "text", "hidden": true },
            "pass": "password!",
            "stamp": { "type": "timestamp", "on_update": "$now" },
        }
    }))
    .unwrap();
    Catalog::compile(&[declaration], &[]).unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T21:45:00Z".parse().unwrap()
}

fn document(catalog: &Catalog, json: &Json) -> Document {
    let things = catalog.named("things").unwrap();
    let mut json = json.clone();
    json["pass"] = json!("long enough");
    things.read_document(&json, Source::Json).unwrap()
}

fn sent(catalog: &Catalog, document: &Document) -> Json {
    let mut out = Vec::new();
    document.write_json(catalog.named("things").unwrap(), &mut out);
    serde_json::from_slice(&out).unwrap()
}

/// What a patch makes of one field.
fn patched(before: Json, patch: Json, field: &str) -> Json {
    let catalog = catalog();
    let things = catalog.named("things").unwrap();
    let mut document = document(&catalog, &before);
    read_patch(&catalog, things, &patch)
        .unwrap_or_else(|error| panic!("{patch}: {:?}", error.errors()))
        .apply(&mut document, things, now())
        .unwrap_or_else(|violations| panic!("{patch}: {violations:?}"));
    sent(&catalog, &document)[field].clone()
}

/// Why a patch is refused: when it is read, or when it is carried out.
fn refusals(before: Json, patch: Json) -> Vec<(String, &'static str)> {
    let catalog = catalog();
    let things = catalog.named("things").unwrap();
    let mut document = document(&catalog, &before);
    let unchanged = document.clone();
    let violations = match read_patch(&catalog, things, &patch) {
        Err(Error::Invalid(violations)) => violations,
        Err(error) => return vec![(String::new(), error.code())],
        Ok(change) => match change.apply(&mut document, things, now()) {
            Err(violations) => violations,
            Ok(()) => panic!("{patch} is carried out"),
        },
    };
    assert_eq!(document, unchanged, "{patch}");
    violations.into_iter().map(|v| (v.path, v.code)).collect()
}

#[test]
fn each_operator_does_its_work() {
    for (before, patch, field, after) in [
        (json!({}), json!({ "$set": { "n": 3 } }), "n", json!(3)),
        (
            json!({ "n": 3 }),
            json!({ "$unset": { "n": true } }),
            "n",
            json!(null),
        ),
        (json!({}), json!({ "$inc": { "n": 3 } }), "n", json!(3)),
        (
            json!({ "n": 1 }),
            json!({ "$inc": { "n": -3 } }),
            "n",
            json!(-2),
        ),
        (
            json!({ "d": "0.1" }),
            json!({ "$inc": { "d": "0.20" } }),
            "d",
            json!("0.3"),
        ),
        (
            json!({ "wait": "PT1M" }),
            json!({ "$inc": { "wait": "PT1H" } }),
            "wait",
            json!("PT1H1M"),
        ),
        (json!({}), json!({ "$mul": { "n": 3 } }), "n", json!(0)),
        (
            json!({ "f": 1.5 }),
            json!({ "$mul": { "f": -2 } }),
            "f",
            json!(-3.0),
        ),
        (
            json!({ "n": 5 }),
            json!({ "$min": { "n": 3 } }),
            "n",
            json!(3),
        ),
        (
            json!({ "n": 5 }),
            json!({ "$min": { "n": 7 } }),
            "n",
            json!(5),
        ),
        (
            json!({ "n": 5 }),
            json!({ "$max": { "n": 7 } }),
            "n",
            json!(7),
        ),
        (json!({}), json!({ "$max": { "n": 7 } }), "n", json!(7)),
        (
            json!({}),
            json!({ "$currentDate": { "at": true } }),
            "at",
            json!("2026-11-21T21:45:00.000Z"),
        ),
        (
            json!({}),
            json!({ "$currentDate": { "day": true } }),
            "day",
            json!("2026-11-21"),
        ),
        (
            json!({}),
            json!({ "$push": { "tags": "a" } }),
            "tags",
            json!(["a"]),
        ),
        (
            json!({ "tags": ["a"] }),
            json!({ "$push": { "tags": { "$each": ["a", "b"] } } }),
            "tags",
            json!(["a", "a", "b"]),
        ),
        (
            json!({ "tags": ["a"] }),
            json!({ "$addToSet": { "tags": { "$each": ["a", "b", "b"] } } }),
            "tags",
            json!(["a", "b"]),
        ),
        (
            json!({ "tags": ["a", "b", "a"] }),
            json!({ "$pull": { "tags": "a" } }),
            "tags",
            json!(["b"]),
        ),
        (
            json!({ "tags": ["a", "b", "c"] }),
            json!({ "$pull": { "tags": { "$gte": "b" } } }),
            "tags",
            json!(["a"]),
        ),
        (
            json!({}),
            json!({ "$pull": { "tags": "a" } }),
            "tags",
            json!(null),
        ),
        (
            json!({ "kinds": [0] }),
            json!({ "$addToSet": { "kinds": "image" } }),
            "kinds",
            json!([0, 1]),
        ),
        (
            json!({}),
            json!({ "kinds": ["image", 0] }),
            "kinds",
            json!([1, 0]),
        ),
        (
            json!({}),
            json!({ "email": " A@b.C " }),
            "email",
            json!("a@b.c"),
        ),
        (
            json!({ "blobs": [1, { "a": 1 }] }),
            json!({ "$addToSet": { "blobs": { "$each": [1.0, { "a": 1 }, "x"] } } }),
            "blobs",
            json!([1, { "a": 1 }, "x"]),
        ),
        (
            json!({ "data": { "l": [1, "a", 2] } }),
            json!({ "$pull": { "data.l": { "$gt": 1 } } }),
            "data",
            json!({ "l": [1, "a"] }),
        ),
        (
            json!({}),
            json!({ "$push": { "data.a.b": { "x": 1 } } }),
            "data",
            json!({ "a": { "b": [{ "x": 1 }] } }),
        ),
        (
            json!({}),
            json!({ "$inc": { "data.n": 2 } }),
            "data",
            json!({ "n": 2 }),
        ),
        (
            json!({ "data": { "a": 1, "b": 2 } }),
            json!({ "$unset": { "data.a": true } }),
            "data",
            json!({ "b": 2 }),
        ),
        (
            json!({ "address": { "city": "x" } }),
            json!({ "$set": { "address.geo.lat": 1 } }),
            "address",
            json!({ "city": "x", "zip": null, "geo": { "lat": 1.0 } }),
        ),
    ] {
        assert_eq!(patched(before, patch.clone(), field), after, "{patch}");
    }
}

/// RFC 7396, appendix A, as far as an object stays one.
#[test]
fn merge_patches_are_those_of_the_standard() {
    for (target, patch, result) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (
            json!({"a":"b","b":"c"}),
            json!({"a":null}),
            json!({"b":"c"}),
        ),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (
            json!({"a":{"b":"c"}}),
            json!({"a":{"b":"d","c":null}}),
            json!({"a":{"b":"d"}}),
        ),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (
            json!({}),
            json!({"a":{"bb":{"ccc":null}}}),
            json!({"a":{"bb":{}}}),
        ),
    ] {
        let found = patched(json!({ "data": target }), json!({ "data": patch }), "data");
        assert_eq!(found, result, "{patch} on {target}");
    }
    let address = json!({ "address": { "city": "x", "zip": 1 } });
    let patch = json!({ "address": { "zip": null } });
    let left = json!({ "city": "x", "zip": null, "geo": null });
    assert_eq!(patched(address.clone(), patch, "address"), left);
    assert_eq!(
        patched(address, json!({ "address": null }), "address"),
        json!(null)
    );
}

#[test]
fn what_does_not_fit_is_refused_where_it_stands() {
    for (before, patch, path, code) in [
        (json!({}), json!([]), "", "wrong_type"),
        (json!({}), json!({ "$set": {}, "n": 1 }), "", "mixed_patch"),
        (
            json!({}),
            json!({ "$ste": { "n": 1 } }),
            "/$ste",
            "unknown_operator",
        ),
        (json!({}), json!({ "$set": 1 }), "/$set", "wrong_type"),
        (
            json!({}),
            json!({ "$set": { "m": 1 } }),
            "/$set/m",
            "unknown_field",
        ),
        (
            json!({}),
            json!({ "hidden": "x" }),
            "/hidden",
            "unknown_field",
        ),
        (json!({}), json!({ "_rev": 1 }), "/_rev", "read_only"),
        (json!({}), json!({ "a.b": 1 }), "/a.b", "unknown_field"),
        (
            json!({}),
            json!({ "$set": { "text.x": 1 } }),
            "/$set/text.x",
            "unknown_field",
        ),
        (
            json!({}),
            json!({ "text": "too long" }),
            "/text",
            "too_long",
        ),
        (json!({}), json!({ "n": "1" }), "/n", "wrong_type"),
        (json!({}), json!({ "needed": null }), "/needed", "required"),
        (
            json!({}),
            json!({ "$inc": { "text": 1 } }),
            "/$inc/text",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$inc": { "n": "x" } }),
            "/$inc/n",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$min": { "tags": "x" } }),
            "/$min/tags",
            "not_ordered",
        ),
        (
            json!({}),
            json!({ "$max": { "n": null } }),
            "/$max/n",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$push": { "n": 1 } }),
            "/$push/n",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$push": { "tags": null } }),
            "/$push/tags",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$push": { "tags": { "$each": 1 } } }),
            "/$push/tags",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$pull": { "text": "x" } }),
            "/$pull/text",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$pull": { "tags": { "$gt": 1 } } }),
            "/$pull/tags/$gt",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$currentDate": { "n": true } }),
            "/$currentDate/n",
            "wrong_type",
        ),
        (
            json!({}),
            json!({ "$currentDate": { "at": 1 } }),
            "/$currentDate/at",
            "wrong_type",
        ),
        (
            json!({ "n": 99 }),
            json!({ "$inc": { "n": 2 } }),
            "/n",
            "too_large",
        ),
        (
            json!({ "small": i32::MAX }),
            json!({ "$inc": { "small": 1 } }),
            "/small",
            "out_of_range",
        ),
        (
            json!({ "big": i64::MAX }),
            json!({ "$inc": { "big": 1 } }),
            "/$inc/big",
            "out_of_range",
        ),
        (
            json!({ "f": 1e300 }),
            json!({ "$mul": { "f": 1e300 } }),
            "/$mul/f",
            "out_of_range",
        ),
        (
            json!({ "data": "x" }),
            json!({ "$inc": { "data": 1 } }),
            "/$inc/data",
            "wrong_type",
        ),
        (
            json!({ "data": 1 }),
            json!({ "$set": { "data.a": 1 } }),
            "/$set/data.a",
            "wrong_type",
        ),
        (
            json!({ "data": 1 }),
            json!({ "$push": { "data": 1 } }),
            "/$push/data",
            "wrong_type",
        ),
        (
            json!({ "tags": ["a", "b", "c"] }),
            json!({ "$push": { "tags": "d" } }),
            "/tags",
            "too_long",
        ),
        (
            json!({}),
            json!({ "address": { "zip": 1 } }),
            "/address/city",
            "required",
        ),
        (
            json!({}),
            json!({ "address": { "cty": "x" } }),
            "/address/cty",
            "unknown_field",
        ),
        (
            json!({ "address": { "city": "x", "zip": 1 } }),
            json!({ "$inc": { "address.zip": -2 } }),
            "/address/zip",
            "too_small",
        ),
        (
            json!({ "fixed": "a" }),
            json!({ "fixed": "b" }),
            "/fixed",
            "immutable",
        ),
        (
            json!({}),
            json!({ "day": "2026-11-22" }),
            "/day",
            "too_large",
        ),
    ] {
        assert_eq!(
            refusals(before, patch.clone()),
            [(path.to_owned(), code)],
            "{patch}"
        );
    }
}

#[test]
fn what_stays_the_same_may_be_immutable() {
    let same = patched(
        json!({ "fixed": "a" }),
        json!({ "fixed": "a", "n": 1 }),
        "fixed",
    );
    assert_eq!(same, json!("a"));
}

#[test]
fn stamps_come_with_every_change() {
    let stamp = patched(json!({}), json!({ "n": 1 }), "stamp");
    assert_eq!(stamp, json!("2026-11-21T21:45:00.000Z"));
}

#[test]
fn a_replacement_leaves_nothing_but_itself_and_the_password() {
    let catalog = catalog();
    let things = catalog.named("things").unwrap();
    let mut document = document(&catalog, &json!({ "n": 1, "text": "a", "needed": "b" }));
    let (pass, _) = things.field_named("pass").unwrap();
    let secret = document.value(pass).clone();
    let body = json!({ "text": "c", "_rev": 5, "created_at": "ignored" });
    read_replacement(&catalog, things, &body)
        .unwrap()
        .apply(&mut document, things, now())
        .unwrap();
    let seen = sent(&catalog, &document);
    assert_eq!(
        [&seen["n"], &seen["text"], &seen["needed"]],
        [&json!(null), &json!("c"), &json!("x")]
    );
    assert_eq!(*document.value(pass), secret);
    let error = read_replacement(&catalog, things, &json!({ "n": "x", "m": 1 })).unwrap_err();
    assert_eq!(error.errors().len(), 2);
}

#[test]
fn a_replacement_may_leave_out_what_cannot_be_changed() {
    let catalog = catalog();
    let things = catalog.named("things").unwrap();
    let mut document = document(&catalog, &json!({ "fixed": "a", "n": 1 }));
    read_replacement(&catalog, things, &json!({ "text": "new" }))
        .unwrap()
        .apply(&mut document, things, now())
        .unwrap();
    let sent = sent(&catalog, &document);
    assert_eq!(sent["fixed"], json!("a"));
    assert_eq!(sent["n"], json!(null));
}

#[test]
fn an_object_that_comes_into_being_has_its_defaults() {
    let format = patched(
        json!({}),
        json!({ "$set": { "format.width": 3 } }),
        "format",
    );
    assert_eq!(format, json!({ "width": 3, "unit": "cm" }));
}
