//! After a cut: nothing twice, nothing missing, or word that it was too long.

use serde_json::{Value as Json, json};

use crate::{
    command_line,
    people::{PASSWORD, Person},
    shared, site,
    socket::Socket,
};

fn resume(socket: &mut Socket, channel: &str, since: &Json) -> Json {
    socket.done(json!({ "op": "subscribe", "channel": channel, "since": since }))
}

#[test]
fn what_was_missed_comes_in_order_and_once() {
    let ada = Person::new(shared());
    let (room, _) = ada.room(&[&ada]);
    let channel = format!("room:{room}");
    let mut socket = ada.connect();
    let begun = socket.subscribe(&channel)["position"].clone();
    ada.says(&room, "one");
    ada.says(&room, "two");
    socket.expect("created");
    let second = socket.event();
    assert_eq!(second["document"]["text"], "two");
    drop(socket);
    let third = ada.says(&room, "three");
    ada.changes("lines", &third, json!({ "text": "THREE" }));

    let mut back = ada.connect();
    let ok = resume(&mut back, &channel, &second["position"]);
    assert_eq!(ok["resumed"], true);
    assert_eq!(back.expect("created")["text"], "three");
    assert_eq!(back.expect("updated")["text"], "THREE");
    ada.says(&room, "four");
    assert_eq!(back.expect("created")["text"], "four");

    // From the very beginning, on another connection, with a filter.
    let mut other = ada.connect();
    let ok = other.done(json!({
        "op": "subscribe", "channel": channel, "collection": "lines",
        "filter": { "text": { "$in": ["one", "THREE"] } }, "since": begun,
    }));
    assert_eq!(ok["resumed"], true);
    assert_eq!(other.expect("created")["text"], "one");
    assert_eq!(other.expect("updated")["text"], "THREE");

    // From where nothing was missed.
    let mut idle = ada.connect();
    let ok = resume(&mut idle, &channel, &ok["position"]);
    assert_eq!(ok["resumed"], true);
    ada.says(&room, "five");
    assert_eq!(idle.expect("created")["text"], "five");
}

#[test]
fn what_is_not_known_any_more_is_said_to_be_so() {
    let ada = Person::new(shared());
    let (room, _) = ada.room(&[&ada]);
    let channel = format!("room:{room}");
    let mut socket = ada.connect();
    for since in ["1-1", "ffffffffffff-0"] {
        assert_eq!(
            resume(&mut socket, &channel, &since.into())["resumed"],
            false
        );
    }
    // It is live all the same.
    ada.says(&room, "here");
    assert_eq!(socket.expect("created")["text"], "here");
    let refused = socket.refused(json!({ "op": "subscribe", "channel": channel, "since": "x" }));
    assert_eq!(refused, (422, "invalid".into()));
}

#[test]
fn whose_access_has_changed_meanwhile_reads_again() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (first, _) = ada.room(&[&ada, &bob]);
    let (second, _) = ada.room(&[&ada]);
    let mut socket = bob.connect();
    let position = socket.subscribe("lines")["position"].clone();
    drop(socket);
    ada.says(&first, "while Bob is away");
    let mut back = bob.connect();
    assert_eq!(resume(&mut back, "lines", &position)["resumed"], true);
    assert_eq!(back.expect("created")["text"], "while Bob is away");
    drop(back);
    // He could read now what was said before.
    ada.makes(
        "memberships",
        json!({ "room_id": second, "user_id": bob.id }),
    );
    let mut back = bob.connect();
    assert_eq!(resume(&mut back, "lines", &position)["resumed"], false);
}

#[test]
fn whose_roles_have_changed_meanwhile_reads_again() {
    let site = site("");
    command_line::make_root(&site, PASSWORD);
    let server = site.start();
    let (ada, bob) = (Person::new(&server), Person::new(&server));
    let root = Person::sign_in(&server, "root");
    let (room, _) = ada.room(&[&ada]);
    let mut socket = bob.connect();
    let position = socket.subscribe("lines")["position"].clone();
    drop(socket);
    root.changes("users", &bob.id, json!({ "first_name": "Robert" }));
    let mut back = bob.connect();
    assert_eq!(resume(&mut back, "lines", &position)["resumed"], true);
    drop(back);
    // He could read now what was said before.
    ada.says(&room, "not for Bob yet");
    root.changes("users", &bob.id, json!({ "roles": ["user", "admin"] }));
    let mut back = bob.connect();
    assert_eq!(resume(&mut back, "lines", &position)["resumed"], false);
    ada.says(&room, "for the admin");
    let event = back.event();
    assert_eq!(event["document"]["text"], "for the admin");
    drop(back);
    ada.says(&room, "missed");
    let mut back = bob.connect();
    let resumed = resume(&mut back, "lines", &event["position"]);
    assert_eq!(resumed["resumed"], true);
    assert_eq!(back.expect("created")["text"], "missed");
}

#[test]
fn a_restart_is_a_gap() {
    let site = site("");
    let server = site.start();
    let ada = Person::new(&server);
    let mut socket = ada.connect();
    let position = socket.subscribe("notes")["position"].clone();
    let name = ada.name.clone();
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| socket.closed());
        server.stop();
        assert_eq!(closed.join().unwrap(), Some(1001));
    });
    let server = site.start();
    let ada = Person::sign_in(&server, &name);
    let mut socket = ada.connect();
    assert_eq!(resume(&mut socket, "notes", &position)["resumed"], false);
}
