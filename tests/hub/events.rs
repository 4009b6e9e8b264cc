//! What is heard on which channel.

use serde_json::{Value as Json, json};

use crate::{people::Person, shared};

#[test]
fn changes_are_heard_in_order_with_their_revisions() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    let filter = json!({ "user_id": ada.id });
    socket.done(json!({ "op": "subscribe", "channel": "notes", "filter": filter }));
    let note = ada.creates("notes", json!({ "text": "one" }));
    let id = note["id"].as_str().unwrap();
    let second = ada.changes("notes", id, json!({ "text": "two" }));
    ada.deletes("notes", id);

    let created = socket.event();
    assert_eq!(created["event"], "created");
    assert_eq!(created["channel"], "notes");
    assert_eq!(created["collection"], "notes");
    assert_eq!(created["document"], note, "as a read answers it");
    assert_eq!(created["revision"], note["_rev"]);
    assert_eq!(created["previous"], Json::Null);
    let updated = socket.event();
    assert_eq!(updated["event"], "updated");
    assert_eq!(updated["document"], second);
    assert_eq!(updated["previous"], note["_rev"]);
    let deleted = socket.event();
    assert_eq!(deleted["event"], "deleted");
    assert_eq!(deleted["document"], json!({ "id": id }));
    assert_eq!(deleted["previous"], second["_rev"]);
    let place = |event: &Json| {
        let position = event["position"].as_str().unwrap();
        let (epoch, sequence) = position.split_once('-').unwrap();
        (epoch.to_owned(), sequence.parse::<u64>().unwrap())
    };
    assert_eq!(place(&created).0, place(&deleted).0);
    assert!(place(&created) < place(&updated) && place(&updated) < place(&deleted));
}

#[test]
fn each_channel_carries_what_is_its_own() {
    let ada = Person::new(shared());
    let (room, _) = ada.room(&[&ada]);
    let (other, _) = ada.room(&[&ada]);
    let line = ada.says(&room, "first");
    let mut of_room = ada.listens(&format!("room:{room}"));
    let mut of_line = ada.listens(&format!("lines/{line}"));
    let mut own = ada.listens("user:me");
    ada.says(&other, "elsewhere");
    ada.says(&room, "second");
    ada.changes("rooms", &room, json!({ "title": "Another" }));
    ada.changes("lines", &line, json!({ "stars": 1 }));
    assert_eq!(of_room.expect("created")["text"], "second");
    assert_eq!(of_room.expect("updated")["title"], "Another");
    assert_eq!(of_room.expect("updated")["stars"], 1);
    assert_eq!(of_line.expect("updated")["stars"], 1);
    // A document that moves leaves one channel and comes to another.
    let mut of_other = ada.listens(&format!("room:{other}"));
    ada.changes("lines", &line, json!({ "room_id": other }));
    assert_eq!(of_room.expect("left"), json!({ "id": line }));
    let entered = of_other.event();
    assert_eq!(entered["event"], "updated");
    assert_eq!(entered["previous"], Json::Null);
    assert_eq!(of_line.expect("updated")["room_id"], *other);
    // What concerns the account.
    let bob = Person::new(shared());
    let membership = bob.makes("memberships", json!({ "room_id": room, "user_id": bob.id }));
    let answer = ada.sends(
        "PATCH",
        &format!("/memberships/{membership}"),
        &json!({ "user_id": ada.id }),
    );
    assert_eq!(answer.status, 409, "she is in it already");
    let third = bob.makes("rooms", json!({}));
    bob.makes(
        "memberships",
        json!({ "room_id": third, "user_id": ada.id }),
    );
    assert_eq!(own.expect("created")["room_id"], *third);
}

#[test]
fn filters_and_fields_narrow_a_subscription() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    socket.done(json!({
        "op": "subscribe", "channel": "notes",
        "filter": { "user_id": ada.id, "number": { "$gte": 10 } }, "fields": ["number"],
    }));
    let small = ada.makes("notes", json!({ "number": 1 }));
    let large = ada.makes("notes", json!({ "number": 10 }));
    ada.changes("notes", &small, json!({ "number": 20 }));
    ada.changes("notes", &small, json!({ "number": 21 }));
    ada.changes("notes", &large, json!({ "number": 2 }));
    ada.changes("notes", &large, json!({ "number": 3 }));
    ada.deletes("notes", &large);
    ada.deletes("notes", &small);
    assert_eq!(
        socket.expect("created"),
        json!({ "id": large, "number": 10 })
    );
    let entered = socket.event();
    assert_eq!(entered["event"], "updated");
    assert_eq!(entered["previous"], Json::Null);
    assert_eq!(
        socket.expect("updated"),
        json!({ "id": small, "number": 21 })
    );
    assert_eq!(socket.expect("left"), json!({ "id": large }));
    assert_eq!(socket.expect("deleted"), json!({ "id": small }));
}

#[test]
fn subscriptions_are_replaced_and_end() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    let wanted = |number: u32| {
        json!({ "op": "subscribe", "channel": "notes",
            "filter": { "user_id": ada.id, "number": number } })
    };
    socket.done(wanted(1));
    socket.done(wanted(2));
    ada.makes("notes", json!({ "number": 1 }));
    ada.makes("notes", json!({ "number": 2 }));
    assert_eq!(socket.expect("created")["number"], 2);
    socket.done(json!({ "op": "unsubscribe", "channel": "notes" }));
    ada.makes("notes", json!({ "number": 2 }));
    socket.done(wanted(3));
    ada.makes("notes", json!({ "number": 3 }));
    assert_eq!(socket.expect("created")["number"], 3);
}

#[test]
fn what_cannot_be_listened_to_is_refused_in_words() {
    let ada = Person::new(shared());
    let (room, _) = ada.room(&[&ada]);
    let mut socket = ada.connect();
    let subscribe = |channel: &str| json!({ "op": "subscribe", "channel": channel });
    let nowhere = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11";
    for (message, status, code) in [
        (subscribe("nots"), 404, "unknown_channel"),
        (subscribe("secrets"), 404, "unknown_channel"),
        (subscribe("typing"), 404, "unknown_channel"),
        (subscribe("notes/x"), 400, "invalid_id"),
        (
            subscribe(&format!("notes/{nowhere}")),
            404,
            "unknown_channel",
        ),
        (
            subscribe(&format!("room:{nowhere}")),
            404,
            "unknown_channel",
        ),
        (
            subscribe(&format!("user:{nowhere}")),
            404,
            "unknown_channel",
        ),
        (
            json!({ "op": "subscribe", "channel": "notes", "filter": { "nmber": 1 } }),
            400,
            "invalid_filter",
        ),
        (
            json!({ "op": "subscribe", "channel": "notes", "fields": ["nmber"] }),
            400,
            "invalid_fields",
        ),
        (
            json!({ "op": "subscribe", "channel": "lines", "filter": { "draft": "x" } }),
            403,
            "unreadable_field",
        ),
        (
            json!({ "op": "subscribe", "channel": format!("room:{room}"), "filter": {} }),
            422,
            "invalid",
        ),
    ] {
        assert_eq!(
            socket.refused(message.clone()),
            (status, code.into()),
            "{message}"
        );
    }
}
