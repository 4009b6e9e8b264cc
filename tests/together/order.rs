//! Events of a document that two servers write come in the order of its revisions, at both servers
//! and to those who change from one to the other.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value as Json, json};

use crate::{
    dice::Dice,
    hub::{at, scene},
    link::Way,
    people::Person,
    server::text,
    socket::Socket,
};

const NOTES: usize = 4;
const WRITERS: u64 = 2;
const CHANGES_EACH: usize = 100;
/// How many changes there are in all.
const CHANGES: usize = 2 * WRITERS as usize * CHANGES_EACH;

/// What somebody hears who stays with a server or changes now and then.
struct Listener<'a> {
    /// At both servers.
    person: [&'a Person<'a>; 2],
    instance: usize,
    socket: Socket,
    /// The revision of each note that the last event about it brought.
    revisions: HashMap<String, i64>,
    position: Json,
}

impl<'a> Listener<'a> {
    fn new(person: [&'a Person<'a>; 2], instance: usize, revisions: HashMap<String, i64>) -> Self {
        let mut socket = person[instance].connect();
        let position = socket.subscribe("notes")["position"].clone();
        Self {
            person,
            instance,
            socket,
            revisions,
            position,
        }
    }

    /// Hears so many changes, each of the version that the one before has left.
    fn hear(&mut self, count: usize) {
        for _ in 0..count {
            let event = self.socket.event();
            assert_eq!(event["event"], "updated", "{event}");
            let revision = event["revision"].as_i64().unwrap();
            let id = text(&event["document"]["id"]);
            let last = self.revisions.insert(id, revision);
            assert_eq!(event["previous"].as_i64(), last, "{event}");
            self.position = event["position"].clone();
        }
    }

    /// Goes on at the other server.
    fn change(&mut self) {
        self.instance = 1 - self.instance;
        self.socket = self.person[self.instance].connect();
        let ok = self.socket.done(json!({
            "op": "subscribe", "channel": "notes", "since": self.position,
        }));
        assert_eq!(ok["resumed"], true);
    }
}

#[test]
fn events_of_documents_that_two_servers_write_come_in_the_order_of_their_revisions() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let ada = Person::new(&one);
    let elsewhere = at(&ada, &two);
    let mut revisions = HashMap::new();
    for _ in 0..NOTES {
        let note = ada.creates("notes", json!({ "number": 0 }));
        revisions.insert(text(&note["id"]), note["_rev"].as_i64().unwrap());
    }
    let notes: Vec<&String> = revisions.keys().collect();
    let person = [&ada, &elsewhere];
    let listener = |instance| Listener::new(person, instance, revisions.clone());
    let (mut stays, mut stays_too, mut changes) = (listener(0), listener(1), listener(0));
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..2 * WRITERS {
            let mut dice = Dice::new(4, writer);
            let (person, notes, written) = (person[writer as usize % 2], &notes, &written);
            scope.spawn(move || {
                for _ in 0..CHANGES_EACH {
                    let note = notes[dice.below(NOTES as u64) as usize];
                    person.changes("notes", note, json!({ "$inc": { "number": 1 } }));
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| stays.hear(CHANGES));
        scope.spawn(|| stays_too.hear(CHANGES));
        scope.spawn(|| {
            for _ in 0..CHANGES / 20 {
                changes.hear(20);
                changes.change();
            }
        });
    });
    assert_eq!(written.into_inner(), CHANGES);
    for listener in [stays, stays_too, changes] {
        for (note, revision) in &listener.revisions {
            let now = ada.gets(&format!("/notes/{note}"));
            assert_eq!(now["_rev"].as_i64(), Some(*revision));
        }
    }
}

/// One server cannot tell what it has written, and the other one goes on writing: after a while
/// without waiting for it. What it tells when it can comes too late.
#[test]
fn nobody_hears_something_older_after_something_newer() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let ada = Person::new(&one);
    let elsewhere = at(&ada, &two);
    let note = ada.makes("notes", json!({ "number": 1 }));
    let other = ada.makes("notes", json!({ "number": 1 }));
    let mut hears = [&ada, &elsewhere].map(|person| person.listens("notes"));
    scene.instances[1].to_redis.set(Way::Stalled);
    let second = elsewhere.changes("notes", &note, json!({ "number": 2 }));
    let third = ada.changes("notes", &note, json!({ "number": 3 }));
    let fourth = ada.changes("notes", &note, json!({ "number": 4 }));
    // What nobody else has written is told as if nothing had happened.
    elsewhere.changes("notes", &other, json!({ "number": 2 }));
    let mut expect = |number: i64, previous: &Json| {
        let event = hears[0].event();
        assert_eq!(event["document"]["number"], number, "{event}");
        assert_eq!(event["previous"], previous["_rev"], "{event}");
    };
    expect(3, &second);
    expect(4, &third);
    scene.instances[1].to_redis.set(Way::Through);
    let mut reloads = 0;
    loop {
        let event = hears[0].event();
        match event["event"].as_str().unwrap() {
            "reload" => {
                assert_eq!(event["reason"], "gap", "{event}");
                reloads += 1;
            }
            _ => {
                assert_eq!(event["document"]["id"], other, "{event}");
                break;
            }
        }
    }
    assert!(reloads <= 1);
    let fifth = ada.changes("notes", &note, json!({ "number": 5 }));
    assert!(fifth["_rev"].as_i64() > fourth["_rev"].as_i64());
    for socket in &mut hears {
        loop {
            let event = socket.event();
            if event["event"] == "reload" {
                reloads += 1;
            } else if event["document"]["number"] == 5 {
                assert_eq!(event["previous"], fourth["_rev"], "{event}");
                break;
            }
        }
    }
    assert!(reloads > 0, "what was not told is to be read");
}
