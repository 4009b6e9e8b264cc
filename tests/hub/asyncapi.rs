//! The AsyncAPI document. That it tells the truth is found out by all tests: see
//! [`judge`](crate::judge). Here is an exchange with everything in it that can be said.

use std::collections::HashSet;

use serde_json::{Value as Json, json};
use tungstenite::Message;

use crate::{
    judge::Judge,
    people::Person,
    shared, site,
    socket::{Socket, request},
};

#[test]
fn the_document_that_is_served_is_the_one_that_is_printed() {
    let site = site("");
    let printed = site.command(&["asyncapi"]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let served = shared().get("/asyncapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.text(), String::from_utf8_lossy(&printed.stdout));
    let tag = served.header("etag").unwrap();
    let again = shared().request("GET", "/asyncapi.json");
    assert_eq!(again.header("if-none-match", tag).send().status, 304);
    let paths = &shared().get("/openapi.json").expect(200)["paths"];
    assert!(paths.get("/asyncapi.json").is_some());
}

#[test]
fn without_the_hub_there_is_none() {
    let site = site("modules: { hub: false }\n");
    let printed = site.command(&["asyncapi"]).output().unwrap();
    assert!(!printed.status.success());
    let words = String::from_utf8_lossy(&printed.stderr);
    assert!(words.contains("`hub` is switched off"), "{words}");
}

/// The next event about a collection, whatever comes before: the effects of lines are heard too.
fn next_of(socket: &mut Socket, collection: &str) -> Json {
    loop {
        let event = socket.event();
        if event["collection"] == collection {
            return event;
        }
    }
}

/// Every message that the document has of the connection, of two stored collections and of one
/// without storage is said once, before the judge.
#[test]
fn everything_that_it_describes_can_be_said() {
    let server = site("hub: { auth_message: true, expiry_warning: 1h }\n").start();
    let server = &*server;
    let (ada, bob) = (Person::new(server), Person::new(server));
    let (room, memberships) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");

    // Who one is may be said late, and ends within the hour.
    let mut socket = Socket::try_open(server, request(server, None)).unwrap();
    socket.done(json!({ "op": "auth", "token": bob.token }));
    assert_eq!(socket.event()["event"], "expiring");
    socket.done(json!({ "op": "ping" }));
    let subscribe = json!({ "op": "subscribe", "channel": channel, "presence": true });
    let ok = socket.done(subscribe.clone());
    let begun = ok["position"].clone();
    socket.done(json!({ "op": "presence", "channel": channel }));
    socket.subscribe("user:me");
    socket.done(json!({ "op": "subscribe", "channel": "notes",
        "filter": { "number": { "$lt": 5 } }, "fields": ["number", "text"] }));

    // Somebody else comes and goes, and does all that can be done.
    let mut other = ada.connect();
    other.done(subscribe);
    other.done(json!({ "op": "unsubscribe", "channel": channel }));
    for state in ["joined", "left"] {
        assert_eq!(socket.event()["state"], state);
    }
    let create = |collection: &str, document: Json| json!({ "op": "create", "collection": collection, "document": document });
    for (collection, document, change, back) in [
        (
            "notes",
            json!({}),
            json!({ "number": 1 }),
            json!({ "$inc": { "number": 9 } }),
        ),
        (
            "lines",
            json!({ "room_id": room, "text": "hello", "draft": "mine" }),
            json!({ "stars": 1 }),
            json!({ "$set": { "text": null } }),
        ),
    ] {
        let made = other.done(create(collection, document.clone()));
        let id = &made["document"]["id"];
        let update = |change: &Json| {
            json!({ "op": "update", "collection": collection, "document_id": id,
                "change": change })
        };
        let mut guarded = update(&change);
        guarded["if_match"] = json!([made["document"]["_rev"], 1]);
        other.done(guarded);
        other.done(update(&back));
        let last = other.done(create(collection, document));
        let id = &last["document"]["id"];
        other.done(
            json!({ "op": "delete", "collection": collection, "document_id": id,
            "if_match": last["document"]["_rev"] }),
        );
    }
    let notes = ["created", "updated", "left", "created", "deleted"];
    let lines = ["created", "updated", "updated", "created", "deleted"];
    for (collection, changes) in [("notes", notes), ("lines", lines)] {
        let told = changes.map(|_| next_of(&mut socket, collection)["event"].clone());
        assert_eq!(told, changes);
    }
    other.done(
        json!({ "op": "publish", "collection": "typing", "expires_in": 60_000,
        "document": { "room_id": room } }),
    );
    let typing = next_of(&mut socket, "typing");
    assert_eq!(typing["document"]["user_id"], *ada.id);
    let mut phone = bob.connect();
    let draft = json!({ "op": "publish", "channel": "user:me", "document": { "draft": 1 } });
    phone.done(draft);
    assert_eq!(socket.expect("published"), json!({ "draft": 1 }));

    // A line moves to a room that Bob is not in, and Bob has to leave his.
    let (elsewhere, _) = ada.room(&[&ada]);
    let line = ada.says(&room, "soon elsewhere");
    ada.changes("lines", &line, json!({ "room_id": elsewhere }));
    for kind in ["created", "left"] {
        let event = next_of(&mut socket, "lines");
        assert_eq!(
            (&event["event"], &event["document"]["id"]),
            (&json!(kind), &json!(line))
        );
    }
    phone.done(json!({ "op": "subscribe", "channel": channel, "since": begun }));
    ada.deletes("memberships", &memberships[1]);
    loop {
        let event = socket.event();
        if event["event"] == "reload" {
            break;
        }
    }

    // What is refused, and what is no message.
    socket.refused(json!({ "op": "dance" }));
    socket.refused(create("notes", json!({ "number": "x" })));
    socket.send_raw(Message::text("hello")).unwrap();
    while socket.event().get("error").is_none() {}

    let judge = Judge::of(server);
    let document = server.get("/asyncapi.json").expect(200);
    let messages = document["components"]["messages"].as_object().unwrap();
    let described: HashSet<String> = messages
        .keys()
        .filter(|name| match name.split_once('.') {
            None => true,
            Some((collection, _)) => ["notes", "lines", "typing"].contains(&collection),
        })
        .cloned()
        .collect();
    let seen = judge.seen();
    let unsaid: Vec<&String> = described.difference(&seen).collect();
    assert!(unsaid.is_empty(), "never said: {unsaid:?}");
}

#[test]
fn a_judge_objects() {
    let judge = Judge::of(shared());
    let ada = Person::new(shared());
    let mut socket = ada.listens("notes");
    ada.makes("notes", json!({}));
    let event = socket.event();
    let refuses = |change: &dyn Fn(&mut Json)| {
        let mut event = event.clone();
        change(&mut event);
        let held = std::panic::AssertUnwindSafe(|| judge.event(&event));
        std::panic::catch_unwind(held).is_err()
    };
    assert!(!refuses(&|_| {}));
    assert!(refuses(&|event| event["position"] = "x".into()));
    assert!(refuses(&|event| event["document"]["secret"] = 1.into()));
    assert!(refuses(&|event| event["document"]["number"] = "x".into()));
    assert!(refuses(&|event| event["event"] = "happened".into()));
    assert!(refuses(&|event| event["channel"] = "secrets".into()));
    assert!(refuses(&|event| {
        event.as_object_mut().unwrap().remove("revision");
    }));
}
