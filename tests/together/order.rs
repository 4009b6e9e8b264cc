//! Events of a document that two servers write come in the order of its revisions, at both servers
//! and to those who change from one to the other.

use std::{
    collections::HashMap,
    sync::OnceLock,
    time::{Duration, Instant},
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
/// Everything is heard within this, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// The revision of each note.
type Revisions = HashMap<String, i64>;

/// What somebody hears who stays with a server or changes now and then.
struct Listener<'a> {
    /// At both servers.
    person: [&'a Person<'a>; 2],
    instance: usize,
    socket: Socket,
    /// Those that the last event of each note brought; none of what is to be read again.
    revisions: Revisions,
    position: Json,
    /// How many changes followed the one that was heard before.
    followed: usize,
}

impl<'a> Listener<'a> {
    fn new(person: [&'a Person<'a>; 2], instance: usize, revisions: Revisions) -> Self {
        let mut socket = person[instance].connect();
        let position = socket.subscribe("notes")["position"].clone();
        Self {
            person,
            instance,
            socket,
            revisions,
            position,
            followed: 0,
        }
    }

    /// Hears changes, each of the version that the one before has left, until these are the last. Goes
    /// on at the other server after so many.
    fn hear(&mut self, last: &OnceLock<Revisions>, stays: usize) {
        let end = Instant::now() + PATIENCE;
        let mut left = stays;
        loop {
            match self.socket.event_within(Duration::from_millis(100)) {
                Some(event) => {
                    self.apply(&event);
                    left -= 1;
                }
                None if last.get().is_some_and(|last| self.has_heard(last)) => return,
                None => assert!(Instant::now() < end, "{:?} of {last:?}", self.revisions),
            }
            if left == 0 {
                self.change();
                left = stays;
            }
        }
    }

    /// Whether these were the last, as far as nothing was to be read again.
    fn has_heard(&self, last: &Revisions) -> bool {
        let mut heard = self.revisions.iter();
        heard.all(|(note, revision)| last[note] == *revision)
    }

    fn apply(&mut self, event: &Json) {
        self.position = event["position"].clone();
        if event["event"] == "reload" {
            // A machine that is too busy for servers to be heard of, which is said.
            assert_eq!(event["reason"], "gap", "{event}");
            return self.revisions.clear();
        }
        assert_eq!(event["event"], "updated", "{event}");
        let revision = event["revision"].as_i64().unwrap();
        let note = text(&event["document"]["id"]);
        if let Some(last) = self.revisions.insert(note, revision) {
            assert_eq!(event["previous"].as_i64(), Some(last), "{event}");
            self.followed += 1;
        }
    }

    /// Goes on at the other server.
    fn change(&mut self) {
        self.instance = 1 - self.instance;
        self.socket = self.person[self.instance].connect();
        loop {
            let answer = self.socket.ask(json!({
                "op": "subscribe", "channel": "notes", "since": self.position,
            }));
            match answer.get("ok") {
                Some(ok) if ok["resumed"] == true => return,
                Some(_) => return self.revisions.clear(),
                None => assert_eq!(answer["error"]["status"], 503, "{answer}"),
            }
        }
    }
}

#[test]
fn events_of_documents_that_two_servers_write_come_in_the_order_of_their_revisions() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let ada = Person::new(&one);
    let elsewhere = at(&ada, &two);
    let mut revisions = Revisions::new();
    for _ in 0..NOTES {
        let note = ada.creates("notes", json!({ "number": 0 }));
        revisions.insert(text(&note["id"]), note["_rev"].as_i64().unwrap());
    }
    let notes: Vec<&String> = revisions.keys().collect();
    let person = [&ada, &elsewhere];
    let listener = |instance| Listener::new(person, instance, revisions.clone());
    let (mut stays, mut stays_too, mut changes) = (listener(0), listener(1), listener(0));
    let last = OnceLock::new();
    std::thread::scope(|scope| {
        let writers = (0..2 * WRITERS).map(|writer| {
            let mut dice = Dice::new(4, writer);
            let (person, notes) = (person[writer as usize % 2], &notes);
            scope.spawn(move || {
                for _ in 0..CHANGES_EACH {
                    let path = format!("/notes/{}", notes[dice.below(NOTES as u64) as usize]);
                    let change = json!({ "$inc": { "number": 1 } });
                    while person.sends("PATCH", &path, &change).status != 200 {}
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        scope.spawn(|| stays.hear(&last, usize::MAX));
        scope.spawn(|| stays_too.hear(&last, usize::MAX));
        scope.spawn(|| changes.hear(&last, 20));
        for writer in writers {
            writer.join().unwrap();
        }
        let revision = |note: &&String| {
            let now = ada.gets(&format!("/notes/{note}"));
            ((*note).clone(), now["_rev"].as_i64().unwrap())
        };
        last.set(notes.iter().map(revision).collect()).unwrap();
    });
    for listener in [stays, stays_too, changes] {
        assert!(listener.followed > CHANGES / 2, "{}", listener.followed);
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
