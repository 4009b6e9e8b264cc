//! What is written is read as it was, by other versions too, and says no more than it must.

use nubo_core::{
    declare::CollectionDeclaration,
    id::Revision,
    schema::CollectionId,
    time::{Date, Duration},
    value::Value,
};
use serde_json::json;

use super::*;
use crate::bus::tests::{channel, id};

fn wire(collections: Json) -> Wire {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(collections).unwrap();
    Wire::new(Arc::new(Catalog::compile(&declarations, &[]).unwrap()))
}

fn people() -> Json {
    json!([
        { "name": "people", "access": { "read": { "banned": false } }, "fields": {
            "name": "text", "password": "password", "token": { "type": "text", "hidden": true },
            "banned": { "type": "bool", "hidden": true },
            "team": { "type": "text", "write_only": true },
            "age": "int", "big": "bigint", "weight": "float", "price": "decimal", "ok": "bool",
            "boss": "ref(people)", "born": "date", "seen": "timestamp", "stay": "duration",
            "any": "json", "home": { "type": "object", "fields": {
                "city": "text", "code": "text" } },
            "address": "ip", "mail": "email", "page": "url", "raw": "bytes", "words": "text[]",
            "note": { "type": "text", "hidden": true, "default": "none" } } },
        { "name": "tasks", "fields": { "title": "text", "team": "text" }, "access": { "read": {
            "team": { "$in": { "$select": "people.team", "$where": { "id": "$auth.id" } } } } } },
        { "name": "typing", "kind": "flux", "access": { "read": "public" },
            "fields": { "room": "text!" } },
    ])
}

fn collection(wire: &Wire, name: &str) -> CollectionId {
    wire.catalog.any_named(name).unwrap().id
}

fn document(wire: &Wire, name: &str, fields: Vec<(&str, Value)>) -> Document {
    let collection = wire.catalog.any_named(name).unwrap();
    let mut document = Document::empty(collection);
    for (field, value) in fields {
        document.set(collection.field_named(field).unwrap().0, value);
    }
    document
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// One in which nothing is secret and everything has a value.
fn ada(wire: &Wire) -> Document {
    let mut ada = document(
        wire,
        "people",
        vec![
            ("id", Value::Uuid(id(1).uuid())),
            ("name", text("Ada \"\u{1f980}\"\n\\")),
            ("banned", Value::Bool(false)),
            ("team", text("red")),
            ("age", Value::Int(-36)),
            ("big", Value::Int(i64::MIN)),
            ("weight", Value::Float(0.1 + 0.2)),
            ("price", Value::Decimal("12.34".parse().unwrap())),
            ("ok", Value::Bool(true)),
            ("boss", Value::Uuid(id(2).uuid())),
            ("born", Value::Date("1815-12-10".parse::<Date>().unwrap())),
            ("seen", Value::Timestamp(Timestamp::from_millis(-1))),
            (
                "stay",
                Value::Duration("P1DT2.5S".parse::<Duration>().unwrap()),
            ),
            (
                "any",
                Value::Json(json!({ "a": [1, 2.5, null, "x"], "b": {} })),
            ),
            ("home", Value::Object(vec![text("London"), Value::Null])),
            ("address", Value::Ip("::1".parse().unwrap())),
            ("mail", text("ada@example.org")),
            ("page", text("https://example.org/a?b=c")),
            ("raw", Value::Bytes(vec![0, 255, 7])),
            ("words", Value::List(vec![text("one"), text("")])),
            (
                "created_at",
                Value::Timestamp(Timestamp::from_millis(1_795_000_000_123)),
            ),
            (
                "updated_at",
                Value::Timestamp(Timestamp::from_millis(1_795_000_000_124)),
            ),
        ],
    );
    ada.set_revision(Revision::new(1_795_000_000_123_456));
    ada
}

fn changed(wire: &Wire, name: &str, before: Option<Document>, after: Option<Document>) -> Event {
    Event {
        channels: vec![channel(name), channel("room:x/\"y\"")],
        what: What::Changed(Arc::new(Touched {
            collection: collection(wire, name),
            before,
            after,
        })),
    }
}

fn sent(wire: &Wire, event: &Event) -> String {
    String::from_utf8(wire.write(event).unwrap()).unwrap()
}

#[test]
fn every_event_is_read_as_it_was() {
    let wire = wire(people());
    let plain = |what| Event {
        channels: vec![channel("a")],
        what,
    };
    let mut bare = document(&wire, "people", vec![("id", Value::Uuid(id(1).uuid()))]);
    bare.set_revision(Revision::new(7));
    let events = [
        changed(&wire, "people", Some(bare), Some(ada(&wire))),
        changed(&wire, "people", Some(ada(&wire)), None),
        plain(What::Published {
            collection: collection(&wire, "typing"),
            document: document(&wire, "typing", vec![("room", text("x"))]),
            until: Timestamp::from_millis(5),
        }),
        plain(What::Told {
            account: id(1),
            json: r#"{"a":1.0,"b":[ ]}"#.into(),
            until: Timestamp::from_millis(5),
            from: id(2),
        }),
        plain(What::Broadcast {
            text: "{]".into(),
            from: id(2),
        }),
        plain(What::Presence {
            account: id(1),
            joined: false,
        }),
        plain(What::Kicked { account: id(1) }),
        plain(What::AccountChanged { account: id(1) }),
        plain(What::Missed {
            collection: collection(&wire, "people"),
        }),
        plain(What::Overtaken {
            collection: Some(collection(&wire, "people")),
            transactions: vec![7, 8],
        }),
        plain(What::Overtaken {
            collection: None,
            transactions: Vec::new(),
        }),
    ];
    for event in events {
        let read = wire.read(&wire.write(&event).unwrap()).unwrap();
        assert_eq!(read, Arrival::Event(event));
    }
    assert_eq!(wire.read(GAP.as_bytes()).unwrap(), Arrival::Gap);
}

#[test]
fn what_nobody_can_ask_for_is_not_sent() {
    let wire = wire(people());
    let mut ada = ada(&wire);
    let people = wire.catalog.named("people").unwrap();
    for (field, secret) in [("password", "$argon2id$"), ("token", "tok"), ("note", "nb")] {
        ada.set(people.field_named(field).unwrap().0, text(secret));
    }
    let event = changed(&wire, "people", None, Some(ada));
    let sent = sent(&wire, &event);
    for secret in ["argon2", "tok", "nb", "password", "token", "note"] {
        assert!(!sent.contains(secret), "{secret} in {sent}");
    }
    // A rule of its own looks at one hidden field, a rule of another collection at the other.
    assert!(sent.contains(r#""banned":false"#), "{sent}");
    assert!(sent.contains(r#""team":"red""#), "{sent}");
}

#[test]
fn other_versions_are_understood_as_far_as_they_agree() {
    let old = wire(json!([
        { "name": "gone", "fields": { "x": "int" } },
        { "name": "tasks", "fields": { "title": "text", "extra": "int", "done": "bool" } },
    ]));
    let new = wire(json!([
        { "name": "people", "fields": { "name": "text" } },
        { "name": "tasks", "fields": {
            "state": { "type": "text", "default": "open" }, "due": "date",
            "label": { "type": "text", "renamed_from": "title" }, "done": "int" } },
    ]));
    let task = |wire: &Wire, done, title| {
        let mut fields = vec![("id", Value::Uuid(id(1).uuid())), (title, text("cook"))];
        fields.extend(done);
        let mut task = document(wire, "tasks", fields);
        task.set_revision(Revision::new(7));
        task
    };
    let event = changed(&old, "tasks", None, Some(task(&old, None, "title")));
    let mut expected = task(&new, None, "label");
    let state = new
        .catalog
        .named("tasks")
        .unwrap()
        .field_named("state")
        .unwrap()
        .0;
    expected.set(state, text("open"));
    assert_eq!(
        new.read(&old.write(&event).unwrap()).unwrap(),
        Arrival::Event(changed(&new, "tasks", None, Some(expected)))
    );

    let gone = document(&old, "gone", vec![("x", Value::Int(1))]);
    let event = changed(&old, "gone", Some(gone), None);
    let read = new.read(&old.write(&event).unwrap()).unwrap();
    assert_eq!(read, Arrival::Foreign);

    // A value of another type is not guessed at.
    let done = Some(("done", Value::Bool(true)));
    let event = changed(&old, "tasks", None, Some(task(&old, done, "title")));
    let error = new.read(&old.write(&event).unwrap()).unwrap_err();
    assert!(
        matches!(&error, Unreadable::Field { field, .. } if field == "done"),
        "{error}"
    );
}

#[test]
fn what_is_not_an_event_of_this_version_is_refused() {
    let wire = wire(people());
    let version = wire.read(br#"{"v":2,"anything":true}"#).unwrap_err();
    assert!(matches!(version, Unreadable::Version(2)), "{version}");
    for wrong in [
        &b""[..],
        b"{}",
        b"\xff",
        br#"{"v":1,"on":["a"],"what":{"sung":{}}}"#,
        br#"{"v":1,"on":["a"],"what":{"changed":{"collection":"people","before":null}}"#,
    ] {
        let error = wire.read(wrong).unwrap_err();
        assert!(matches!(error, Unreadable::Json(_)), "{error}");
    }
    let id = br#"{"v":1,"on":[],"what":{"kicked":{"account":"me"}}}"#;
    assert!(matches!(wire.read(id), Err(Unreadable::Id(_))));
}
