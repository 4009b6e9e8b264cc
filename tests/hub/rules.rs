//! What may be seen, and by whom.

use serde_json::{Value as Json, json};

use crate::{
    command_line,
    people::{PASSWORD, Person},
    shared, site,
};

#[test]
fn a_document_leaves_the_view_of_those_who_may_not_read_it() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let about_ada =
        json!({ "op": "subscribe", "channel": "notes", "filter": { "user_id": ada.id } });
    let (mut own, mut other) = (ada.connect(), bob.connect());
    own.done(about_ada.clone());
    other.done(about_ada);
    let open = ada.makes("notes", json!({ "text": "for all" }));
    let closed = ada.makes("notes", json!({ "text": "for me", "shared": false }));
    ada.changes("notes", &open, json!({ "shared": false }));
    ada.changes("notes", &open, json!({ "text": "secret" }));
    ada.changes("notes", &closed, json!({ "shared": true }));
    ada.deletes("notes", &open);
    for kind in [
        "created", "created", "updated", "updated", "updated", "deleted",
    ] {
        own.expect(kind);
    }
    assert_eq!(other.expect("created")["id"], *open);
    assert_eq!(other.expect("left"), json!({ "id": open }));
    let entered = other.event();
    assert_eq!(entered["document"]["id"], *closed);
    assert_eq!(entered["previous"], Json::Null);
    ada.deletes("notes", &closed);
    assert_eq!(other.expect("deleted"), json!({ "id": closed }));
}

#[test]
fn only_members_hear_what_is_said() {
    let people: Vec<Person> = (0..3).map(|_| Person::new(shared())).collect();
    let [ada, bob, eve] = &people[..] else {
        unreachable!()
    };
    let (room, memberships) = ada.room(&[ada, bob]);
    let mut sockets: Vec<_> = people
        .iter()
        .map(|person| person.listens("lines"))
        .collect();
    ada.says(&room, "welcome");
    for socket in &mut sockets[..2] {
        assert_eq!(socket.expect("created")["text"], "welcome");
    }
    // Eve comes in: she is told to read, and hears what follows.
    let eves = ada.makes("memberships", json!({ "room_id": room, "user_id": eve.id }));
    let reload = sockets[2].event();
    assert_eq!(
        (&reload["event"], &reload["reason"]),
        (&json!("reload"), &json!("access"))
    );
    ada.says(&room, "hello Eve");
    for socket in &mut sockets {
        assert_eq!(socket.expect("created")["text"], "hello Eve");
    }
    // And goes again, and so does Bob.
    ada.deletes("memberships", &eves);
    ada.deletes("memberships", &memberships[1]);
    ada.says(&room, "alone");
    assert_eq!(sockets[0].expect("created")["text"], "alone");
    for (socket, person) in sockets.iter_mut().zip(&people).skip(1) {
        assert_eq!(socket.event()["event"], "reload");
        let (own, _) = person.room(&[person]);
        assert_eq!(socket.event()["event"], "reload");
        person.says(&own, "to myself");
        assert_eq!(
            socket.expect("created")["text"],
            "to myself",
            "and nothing of the room"
        );
    }
}

#[test]
fn counting_does_not_change_who_may_read() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (room, _) = ada.room(&[&ada, &bob]);
    let mut lines = bob.listens("lines");
    let mut own = bob.listens("user:me");
    for number in 1..=3 {
        ada.says(&room, "again");
        assert_eq!(lines.expect("created")["text"], "again");
        // Unread counters move live.
        assert_eq!(own.expect("updated")["unread"], number);
    }
}

#[test]
fn fields_that_may_not_be_read_are_null() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (room, _) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");
    let (mut own, mut other) = (ada.listens(&channel), bob.listens(&channel));
    let line = ada.makes(
        "lines",
        json!({ "room_id": room, "text": "t", "draft": "d" }),
    );
    assert_eq!(own.expect("created")["draft"], "d");
    let seen = other.expect("created");
    assert_eq!((&seen["text"], &seen["draft"]), (&json!("t"), &Json::Null));
    ada.changes("lines", &line, json!({ "draft": "e" }));
    assert_eq!(own.expect("updated")["draft"], "e");
    assert_eq!(other.expect("updated")["draft"], Json::Null);
}

#[test]
fn a_channel_is_entered_by_those_who_may_read_what_it_is_named_after() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let note = ada.makes("notes", json!({ "shared": false }));
    let mut socket = bob.connect();
    let refused = socket.refused(json!({ "op": "subscribe", "channel": format!("notes/{note}") }));
    assert_eq!(refused, (404, "unknown_channel".into()));
    ada.connect().subscribe(&format!("notes/{note}"));
    // Everybody may listen in a room; what is said there is for members.
    let (room, _) = ada.room(&[&ada]);
    socket.subscribe(&format!("room:{room}"));
    ada.says(&room, "nothing for Bob");
    ada.changes("rooms", &room, json!({ "title": "for all" }));
    assert_eq!(socket.expect("updated")["title"], "for all");
}

#[test]
fn roles_count_from_the_moment_they_are_given() {
    let site = site("");
    command_line::make_root(&site, PASSWORD);
    let server = site.start();
    let (ada, bob) = (Person::new(&server), Person::new(&server));
    let root = Person::sign_in(&server, "root");
    let (room, _) = ada.room(&[&ada]);
    let mut socket = bob.listens("lines");
    ada.says(&room, "not for Bob");
    root.changes("users", &bob.id, json!({ "roles": ["user", "admin"] }));
    assert_eq!(socket.event()["event"], "reload");
    ada.says(&room, "for the new admin");
    assert_eq!(socket.expect("created")["text"], "for the new admin");
    root.changes("users", &bob.id, json!({ "roles": ["user"] }));
    assert_eq!(socket.event()["event"], "reload");
    ada.says(&room, "not any more");
    let (own, _) = bob.room(&[&bob]);
    assert_eq!(socket.event()["event"], "reload");
    bob.says(&own, "his own");
    assert_eq!(socket.expect("created")["text"], "his own");
    // A ban ends everything.
    root.changes("users", &bob.id, json!({ "state": "banned" }));
    assert_eq!(socket.closed(), Some(4003));
}
