//! Messages without storage.

use serde_json::{Value as Json, json};

use crate::{people::Person, shared};

#[test]
fn they_reach_those_who_may_hear_them_and_are_forgotten() {
    let (ada, bob, eve) = (
        Person::new(shared()),
        Person::new(shared()),
        Person::new(shared()),
    );
    let (room, _) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");
    let (mut heard, mut overheard) = (bob.connect(), eve.listens(&channel));
    let begun = heard.subscribe(&channel)["position"].clone();
    let mut socket = ada.connect();
    let typing = json!({ "op": "publish", "collection": "typing", "document": { "room_id": room },
        "expires_in": 60_000 });
    socket.done(typing.clone());
    let event = heard.event();
    assert_eq!(event["event"], "published");
    assert_eq!(event["collection"], "typing");
    assert_eq!(
        event["document"],
        json!({ "room_id": room, "user_id": ada.id })
    );
    assert!(event.get("revision").is_none());
    // Somebody who is no member hears the next thing that is for all.
    ada.changes("rooms", &room, json!({ "title": "t" }));
    overheard.expect("updated");
    assert_eq!(shared().get("/typing").status, 404);
    assert_eq!(
        shared().get("/openapi.json").json()["paths"].get("/typing"),
        None
    );

    // It is of interest for a short while only.
    let mut lasting = |expires_in: u32| {
        let mut message = typing.clone();
        message["expires_in"] = expires_in.into();
        socket.done(message);
        socket.done(json!({ "op": "ping" }))["time"].clone()
    };
    let published = lasting(1);
    let mut lasted = 1;
    while lasting(60_000) == published {
        lasted += 1;
    }
    let mut back = bob.connect();
    let ok = back.done(json!({ "op": "subscribe", "channel": channel, "since": begun }));
    assert_eq!(ok["resumed"], true);
    ada.changes("rooms", &room, json!({ "title": "the end" }));
    let mut replayed = 0;
    loop {
        let event = back.event();
        match event["document"]["title"].as_str() {
            Some("the end") => break,
            Some(_) => {}
            None => replayed += 1,
        }
    }
    assert_eq!(replayed, 1 + lasted, "and nothing that lasts a millisecond");
}

#[test]
fn they_must_be_as_the_collection_says() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (room, _) = ada.room(&[&ada]);
    let mut socket = ada.connect();
    let publish =
        |document: Json| json!({ "op": "publish", "collection": "typing", "document": document });
    for (message, status, code) in [
        (publish(json!({})), 422, "invalid"),
        (publish(json!({ "room_id": room, "x": 1 })), 422, "invalid"),
        (
            publish(json!({ "room_id": room, "user_id": bob.id })),
            403,
            "forbidden",
        ),
        (
            json!({ "op": "publish", "collection": "notes", "document": {} }),
            422,
            "invalid",
        ),
        (
            json!({ "op": "publish", "channel": "notes", "document": {} }),
            422,
            "invalid",
        ),
        (json!({ "op": "publish", "document": {} }), 422, "invalid"),
    ] {
        assert_eq!(
            socket.refused(message.clone()),
            (status, code.into()),
            "{message}"
        );
    }
}

#[test]
fn the_devices_of_an_account_tell_each_other() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (mut phone, mut laptop) = (ada.listens("user:me"), ada.listens("user:me"));
    let mut other = bob.listens("user:me");
    let draft = json!({ "draft": "Dear Bob" });
    phone.done(json!({ "op": "publish", "channel": "user:me", "document": draft }));
    let event = laptop.event();
    assert_eq!(event["event"], "published");
    assert_eq!(event["channel"], format!("user:{}", ada.id));
    assert_eq!(event["document"], draft);
    laptop.done(json!({ "op": "publish", "channel": "user:me", "document": { "n": 2 } }));
    assert_eq!(
        phone.expect("published"),
        json!({ "n": 2 }),
        "and not what it said itself"
    );
    bob.room(&[&bob]);
    assert_eq!(other.event()["event"], "created");
}
