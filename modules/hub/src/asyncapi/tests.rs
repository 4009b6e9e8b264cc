//! The document agrees with itself, with the collections, and with what is read.

use std::collections::HashSet;

use nubo_core::{
    declare::CollectionDeclaration,
    module::About,
    schema::{Catalog, Collection},
};
use serde_json::{Map, Value as Json, json};

use crate::{
    request::{self, OPS},
    settings::Settings,
};

fn catalog() -> Catalog {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "rooms", "fields": { "title": "text" }, "realtime": { "channel": "room:{id}" } },
        {
            "name": "lines",
            "description": "What is said.",
            "owner": "user_id",
            "fields": {
                "room_id": "ref(rooms)!",
                "user_id": { "type": "uuid", "required": true, "default": "$auth.id" },
                "draft": { "type": "text", "required": true, "readable_by": "owner" },
                "key": { "type": "text", "hidden": true },
                "fixed": { "type": "int", "immutable": true },
            },
            "access": { "read": "public" },
            "realtime": { "channel": "room:{room_id}" },
        },
        { "name": "log", "append_only": true, "fields": { "by": "uuid!" },
          "realtime": { "channel": "user:{by}" } },
        { "name": "secrets", "fields": { "text": "text" }, "realtime": { "announce": false } },
        { "name": "typing", "kind": "flux", "fields": { "room_id": "ref(rooms)!" },
          "realtime": { "channel": "room:{room_id}" } },
        { "name": "cursors", "kind": "flux", "fields": { "x": "int!" } },
    ]))
    .unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

fn about() -> About {
    About {
        title: "Things".into(),
        version: "2".into(),
        base_path: "/api".into(),
    }
}

fn document_with(settings: &Settings) -> Json {
    super::document(&catalog(), settings, &about())
}

fn document() -> Json {
    document_with(&Settings::default())
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

fn keys(json: &Json) -> Vec<&str> {
    json.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn schema<'a>(document: &'a Json, name: &str) -> &'a Json {
    &document["components"]["schemas"][name]
}

/// Whether a message's payload takes a value.
fn accepts(document: &Json, message: &str, value: &Json) -> bool {
    let mut schema = document.clone();
    let pointer = format!("#/components/messages/{message}/payload");
    // The drafts do not differ in what is used here, but that the later one knows UUIDs.
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["allOf"] = json!([{ "$ref": pointer }]);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema);
    validator.unwrap().is_valid(value)
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document_with(&Settings {
        broadcast: true,
        ..Settings::default()
    });
    let mut used = HashSet::new();
    visit(&document, &mut |entries| {
        if let Some(Json::String(target)) = entries.get("$ref") {
            let found = document.pointer(target.strip_prefix('#').unwrap());
            assert!(found.is_some(), "{target}");
            assert_eq!(
                entries.len(),
                1,
                "what stands beside {target} is passed over"
            );
            used.insert(target.clone());
        }
    });
    for (kind, entries) in document["components"].as_object().unwrap() {
        for name in keys(entries) {
            let target = format!("#/components/{kind}/{name}");
            assert!(used.contains(&target), "{target} is not used");
        }
    }
    // Every message of a channel is somebody's to say there.
    for (name, channel) in document["channels"].as_object().unwrap() {
        for message in keys(&channel["messages"]) {
            let target = format!("#/channels/{name}/messages/{message}");
            assert!(used.contains(&target), "nobody says {target}");
        }
    }
}

#[test]
fn schemas_are_schemas() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let mut schema = schema.clone();
        schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn documents_are_those_of_the_collection() {
    let document = document();
    let line = schema(&document, "lines.document");
    assert_eq!(
        keys(&line["properties"]),
        [
            "id",
            "room_id",
            "user_id",
            "draft",
            "fixed",
            "created_at",
            "updated_at",
            "_rev"
        ],
        "hidden fields are absent"
    );
    assert_eq!(
        line["properties"]["draft"]["type"],
        json!(["string", "null"])
    );
    assert_eq!(line["properties"]["user_id"]["type"], "string");
    assert_eq!(line["required"], json!(["id"]));
    let create = schema(&document, "lines.create");
    assert_eq!(
        keys(&create["properties"]),
        ["id", "room_id", "user_id", "draft", "fixed"]
    );
    assert_eq!(create["required"], json!(["room_id", "draft"]));
    let change = schema(&document, "lines.change");
    assert_eq!(keys(&change["properties"]), ["room_id", "user_id", "draft"]);
    for name in ["typing.document", "typing.create"] {
        assert_eq!(
            keys(&schema(&document, name)["properties"]),
            ["room_id"],
            "what is not stored has nothing of its own"
        );
    }
}

#[test]
fn there_is_a_channel_for_whatever_may_be_subscribed_to() {
    let document = document();
    let channels = document["channels"].as_object().unwrap();
    let mut addresses: Vec<&str> = channels
        .values()
        .map(|channel| channel["address"].as_str().unwrap())
        .collect();
    addresses.sort_unstable();
    assert_eq!(
        addresses,
        [
            "/ws",
            "cursors",
            "lines",
            "lines/{id}",
            "log",
            "log/{id}",
            "room:{room_id}",
            "rooms",
            "rooms/{id}",
            "user:{account}",
        ]
    );
    let room = &document["channels"]["named.room.room_id"];
    assert_eq!(
        keys(&room["messages"]),
        [
            "rooms.created",
            "rooms.updated",
            "rooms.deleted",
            "rooms.left",
            "lines.created",
            "lines.updated",
            "lines.deleted",
            "lines.left",
            "typing.published",
            "presence-changed",
            "reload",
        ]
    );
    assert_eq!(keys(&room["parameters"]), ["room_id"]);
    let account = keys(&document["channels"]["account"]["messages"]);
    assert!(account.contains(&"told") && account.contains(&"log.created"));
    let operations = keys(&document["operations"]);
    assert!(operations.contains(&"create.log") && operations.contains(&"update.secrets"));
    assert!(!operations.contains(&"update.log"), "it is append-only");
    assert!(!operations.contains(&"create.typing"), "it is not stored");
}

#[test]
fn the_configuration_is_in_it() {
    let document = document();
    assert_eq!(document["info"]["title"], "Things: live");
    assert_eq!(document["info"]["version"], "2");
    assert_eq!(document["servers"]["plain"]["pathname"], "/api");
    assert!(document["operations"].get("broadcast").is_none());
    let described = |document: &Json| document["channels"]["connection"]["description"].to_string();
    assert!(described(&document).contains("the answer is 401"));
    let open = document_with(&Settings {
        broadcast: true,
        auth_message: true,
        max_message: 12_345,
        ..Settings::default()
    });
    assert_eq!(open["operations"]["broadcast"]["action"], "receive");
    assert_eq!(open["operations"]["hear.broadcast"]["action"], "send");
    assert_eq!(
        open["components"]["messages"]["text"]["contentType"],
        "text/plain"
    );
    assert!(described(&open).contains("must be `auth`") && described(&open).contains("12345"));
    let codes = document["channels"]["connection"]["x-close-codes"]
        .as_array()
        .unwrap();
    let mut codes: Vec<u64> = codes
        .iter()
        .map(|close| close["code"].as_u64().unwrap())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(
        codes,
        [
            1001, 1002, 1003, 1007, 1009, 4001, 4002, 4003, 4004, 4008, 4029
        ]
    );
}

/// One message for each thing that clients may say.
fn said() -> Vec<(&'static str, Json)> {
    let id = "00000000-0000-7000-8000-000000000001";
    let operators = json!({ "$set": { "draft": "x" } });
    vec![
        ("auth", json!({ "id": 1, "op": "auth", "token": "x" })),
        (
            "subscribe",
            json!({ "id": "a", "op": "subscribe", "channel": "lines", "collection": "lines",
                "filter": {}, "fields": ["id"], "since": "1a-2", "presence": true }),
        ),
        (
            "unsubscribe",
            json!({ "op": "unsubscribe", "channel": "lines" }),
        ),
        (
            "lines.create",
            json!({ "op": "create", "collection": "lines",
                "document": { "room_id": id, "draft": "x" } }),
        ),
        (
            "lines.update",
            json!({ "op": "update", "collection": "lines", "document_id": id,
                "change": operators, "if_match": 1 }),
        ),
        (
            "lines.delete",
            json!({ "op": "delete", "collection": "lines", "document_id": id,
                "if_match": [1, 2] }),
        ),
        (
            "typing.publish",
            json!({ "op": "publish", "collection": "typing", "document": { "room_id": id },
                "expires_in": 60_000 }),
        ),
        (
            "tell",
            json!({ "op": "publish", "channel": "user:me", "document": {} }),
        ),
        ("presence", json!({ "op": "presence", "channel": "lines" })),
        ("ping", json!({ "op": "ping" })),
    ]
}

#[test]
fn what_clients_may_say_is_what_is_read() {
    let document = document();
    let said = said();
    let ops: HashSet<&str> = said
        .iter()
        .map(|(_, m)| m["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, OPS.into());
    let is_read = |message: &Json| {
        let request = request::read(&message.to_string()).unwrap();
        request.op.is_ok()
    };
    for (name, message) in said {
        assert!(accepts(&document, name, &message), "{name}: {message}");
        assert!(is_read(&message), "{message}");
        // What must be there for one must be there for the other.
        for key in keys(&message) {
            let mut less = message.clone();
            less.as_object_mut().unwrap().remove(key);
            let (accepted, read) = (accepts(&document, name, &less), is_read(&less));
            // A message says whose it is by its collection or its channel.
            let is_its_name = name.contains('.') && key == "collection" || name == "tell";
            assert!(accepted == read || is_its_name, "{name} without {key}");
        }
        for (key, value) in [
            ("more", json!(1)),
            ("id", json!({})),
            ("since", json!("x")),
            ("expires_in", json!(60_001)),
            ("document_id", json!("x")),
            ("if_match", json!("x")),
            ("presence", json!(1)),
            ("fields", json!([1])),
        ] {
            let mut wrong = message.clone();
            wrong[key] = value;
            assert!(!is_read(&wrong), "{wrong}");
            assert!(!accepts(&document, name, &wrong), "{wrong}");
        }
    }
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "a", "fields": { "x": "int!" }, "realtime": { "channel": "on:{x}" } },
        { "name": "b", "fields": { "x": "int!" }, "realtime": { "channel": "on:{x}:" } },
    ]))
    .unwrap();
    let catalog = Catalog::compile(&declarations, &[]).unwrap();
    let document = super::document(&catalog, &Settings::default(), &About::default());
    let named = |name: &str| document["channels"][name]["address"].clone();
    assert_eq!(named("named.on.x"), "on:{x}");
    assert_eq!(named("named.on.x.2"), "on:{x}:");
    assert_eq!(document["servers"]["plain"].get("pathname"), None);
    let fields = |collection: &Collection| collection.announced_fields().len();
    assert_eq!(fields(catalog.named("a").unwrap()), 5);
}
