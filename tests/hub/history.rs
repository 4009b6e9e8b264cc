//! Many clients with different wishes, cut off again and again while thousands of changes are made:
//! each ends with exactly what a query returns, has seen the revisions of each document in their
//! order, and nothing that it may not see.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{people::Person, server::Client, site, socket::Socket};

const ROOMS: usize = 12;
/// These are in every room for ever, and write.
const WRITERS: usize = 4;
const ACCOUNTS: usize = 40;
const CONNECTIONS: usize = 200;
const CHANGES: usize = 20_000;
/// Changes of one request.
const AT_ONCE: usize = 50;
/// How long the clients may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(120);

/// Numbers that look random and are the same in each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// What a client knows.
struct View<'a> {
    person: &'a Person<'a>,
    collection: &'static str,
    channel: String,
    filter: Json,
    /// Whatever it is in, or was.
    allowed: &'a HashSet<String>,
    documents: HashMap<String, Json>,
    /// Revision of each document that the last event about it brought.
    told: HashMap<String, i64>,
    position: Json,
}

impl View<'_> {
    /// Connects and goes on where it left off, or begins anew.
    fn connect(&mut self) -> Socket {
        let mut socket = self.person.connect().unjudged();
        let mut subscribe = json!({
            "op": "subscribe", "channel": self.channel, "collection": self.collection,
            "filter": self.filter,
        });
        let begins = self.position.is_null();
        if !begins {
            subscribe["since"] = self.position.clone();
        }
        let ok = socket.done(subscribe);
        if begins || ok["resumed"] == false {
            self.position = ok["position"].clone();
            self.told.clear();
            self.read();
        }
        socket
    }

    /// What a query returns.
    fn query(&self) -> HashMap<String, Json> {
        let mut all = HashMap::new();
        let mut cursor = Json::Null;
        loop {
            let body = json!({ "filter": self.filter, "limit": 200, "cursor": cursor });
            let path = format!("/{}/query", self.collection);
            let page = self.person.sends("POST", &path, &body).expect(200);
            for document in page["data"].as_array().unwrap() {
                all.insert(
                    document["id"].as_str().unwrap().to_owned(),
                    document.clone(),
                );
            }
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                return all;
            }
        }
    }

    fn read(&mut self) {
        self.documents = self.query();
    }

    fn apply(&mut self, event: &Json) {
        self.position = event["position"].clone();
        let document = &event["document"];
        let kind = event["event"].as_str().unwrap();
        if kind == "reload" {
            // What may be seen has changed: so may what a document was before.
            self.told.clear();
            return self.read();
        }
        let id = document["id"].as_str().unwrap().to_owned();
        let previous = event["previous"].as_i64();
        if let (Some(previous), Some(told)) = (previous, self.told.get(&id)) {
            assert_eq!(previous, *told, "a version was missed: {event}");
        }
        match event["revision"].as_i64() {
            Some(revision) => {
                let told = self.told.insert(id.clone(), revision);
                assert!(
                    told.is_none_or(|told| told < revision),
                    "{told:?} before {event}"
                );
                self.check(document);
                let known = self
                    .documents
                    .get(&id)
                    .and_then(|known| known["_rev"].as_i64());
                if known.is_none_or(|known| known < revision) {
                    self.documents.insert(id, document.clone());
                }
            }
            None => {
                assert!(matches!(kind, "left" | "deleted"), "{event}");
                assert_eq!(
                    document.as_object().unwrap().len(),
                    1,
                    "the id alone: {event}"
                );
                self.told.remove(&id);
                let known = self
                    .documents
                    .get(&id)
                    .and_then(|known| known["_rev"].as_i64());
                if known.is_some_and(|known| Some(known) <= previous) {
                    self.documents.remove(&id);
                }
            }
        }
    }

    /// It is among what may be seen, and was asked for.
    fn check(&self, document: &Json) {
        match self.collection {
            "notes" => {
                let own = document["user_id"] == *self.person.id;
                assert!(own || document["shared"] == true, "{document}");
            }
            _ => {
                let room = document["room_id"].as_str().unwrap();
                assert!(self.allowed.contains(room), "{document}");
                assert!(document["draft"].is_null() || document["user_id"] == *self.person.id);
            }
        }
        if let Some(least) = self.filter["number"]["$gte"].as_i64() {
            assert!(document["number"].as_i64() >= Some(least), "{document}");
        }
    }
}

/// Follows until everything has been written and nothing is missing. How often it was cut off.
fn follow(view: &mut View<'_>, written: &AtomicBool, dice: &mut Dice) -> usize {
    let mut cuts = 0;
    let mut socket = view.connect();
    let mut left = 50 + dice.below(300);
    let mut deadline = None;
    loop {
        match socket.event_within(Duration::from_millis(200)) {
            Some(event) => {
                view.apply(&event);
                left = left.saturating_sub(1);
                if left == 0 && !written.load(Ordering::SeqCst) {
                    // Without a goodbye, and with events on their way.
                    drop(socket);
                    socket = view.connect();
                    left = 50 + dice.below(300);
                    cuts += 1;
                }
            }
            None if written.load(Ordering::SeqCst) => {
                let wanted = view.query();
                if wanted == view.documents {
                    return cuts;
                }
                let deadline = deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                assert!(
                    Instant::now() < *deadline,
                    "{} on {}: {} instead of {}",
                    view.person.name,
                    view.channel,
                    view.documents.len(),
                    wanted.len()
                );
            }
            None => {}
        }
    }
}

/// Makes random changes in the name of an account.
fn write(person: &Person<'_>, rooms: &[String], changes: usize, dice: &mut Dice) {
    let mut notes: Vec<String> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut made = 0;
    while made < changes {
        let (collection, known) = match dice.below(2) {
            0 => ("notes", &mut notes),
            _ => ("lines", &mut lines),
        };
        let operations: Vec<Json> = (0..AT_ONCE)
            .map(|_| {
                let room = &rooms[dice.below(rooms.len())];
                let number = dice.below(100);
                if known.len() < 20 || dice.below(10) < 3 {
                    return json!({ "create": match collection {
                        "notes" => json!({ "number": number, "shared": dice.below(2) == 0 }),
                        _ => json!({ "room_id": room, "stars": number, "draft": "mine" }),
                    } });
                }
                let place = dice.below(known.len());
                if dice.below(10) < 2 {
                    return json!({ "delete": { "id": known.swap_remove(place) } });
                }
                let change = match (collection, dice.below(4)) {
                    ("notes", 0) => json!({ "shared": dice.below(2) == 0 }),
                    ("notes", 1) => json!({ "$inc": { "number": 1 } }),
                    ("notes", _) => json!({ "number": number }),
                    (_, 0) => json!({ "room_id": room }),
                    (_, 1) => json!({ "$inc": { "stars": 1 } }),
                    (_, _) => json!({ "stars": number }),
                };
                json!({ "update": { "id": known[place], "change": change } })
            })
            .collect();
        let answer = person.sends("POST", &format!("/{collection}/bulk"), &json!(operations));
        for result in answer.expect(200)["results"].as_array().unwrap() {
            // What was deleted by the same request is not there any more.
            assert!(
                [200, 201, 204, 404]
                    .map(Json::from)
                    .contains(&result["status"]),
                "{result}"
            );
            if result["status"] == 201 {
                known.push(result["document"]["id"].as_str().unwrap().to_owned());
            }
        }
        made += AT_ONCE;
    }
}

/// Lets people in and out of rooms until everything has been written.
fn move_people(
    door: &Person<'_>,
    movers: &[Person<'_>],
    allowed: &[HashSet<String>],
    written: &AtomicBool,
    dice: &mut Dice,
) -> usize {
    let mut inside: HashMap<(usize, String), String> = HashMap::new();
    let mut moves = 0;
    while !written.load(Ordering::SeqCst) {
        let who = dice.below(movers.len());
        let rooms: Vec<&String> = allowed[who].iter().collect();
        let room = rooms[dice.below(rooms.len())];
        let key = (who, room.clone());
        match inside.remove(&key) {
            Some(membership) => door.deletes("memberships", &membership),
            None => {
                let document = json!({ "room_id": room, "user_id": movers[who].id });
                inside.insert(key, door.makes("memberships", document));
            }
        }
        moves += 1;
        // Moves are for now and then; each makes the clients it concerns read again.
        std::thread::sleep(Duration::from_millis(50));
    }
    moves
}

#[test]
fn every_client_ends_with_what_a_query_returns() {
    let site = site("hub: { max_connections_per_account: 100, max_queue: 4194304 }\n");
    let server = site.start();
    let client: &Client = &server;
    let people: Vec<Person> = (0..ACCOUNTS).map(|_| Person::new(client)).collect();
    let (writers, movers) = people.split_at(WRITERS);
    let all: Vec<&Person> = writers.iter().collect();
    let rooms: Vec<String> = (0..ROOMS).map(|_| writers[0].room(&all).0).collect();
    let everywhere: HashSet<String> = rooms.iter().cloned().collect();
    let mut dice = Dice::new(0);
    // The rooms each of the others may ever be in.
    let allowed: Vec<HashSet<String>> = movers
        .iter()
        .map(|_| (0..3).map(|_| rooms[dice.below(ROOMS)].clone()).collect())
        .collect();
    let written = AtomicBool::new(false);
    let cuts = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (people, rooms, allowed) = (&people, &rooms, &allowed);
            let (everywhere, written, cuts) = (&everywhere, &written, &cuts);
            scope.spawn(move || {
                let mut dice = Dice::new(1000 + number);
                let who = number % ACCOUNTS;
                let room = &rooms[dice.below(ROOMS)];
                let (collection, channel, filter) = match dice.below(4) {
                    0 => (
                        "notes",
                        "notes".to_owned(),
                        json!({ "number": { "$gte": 90 } }),
                    ),
                    1 => (
                        "notes",
                        "notes".to_owned(),
                        json!({ "user_id": people[who].id }),
                    ),
                    2 => (
                        "lines",
                        "lines".to_owned(),
                        json!({ "stars": { "$lt": 5 } }),
                    ),
                    _ => ("lines", format!("room:{room}"), json!({ "room_id": room })),
                };
                let mut view = View {
                    person: &people[who],
                    collection,
                    channel,
                    filter,
                    allowed: who
                        .checked_sub(WRITERS)
                        .map_or(everywhere, |who| &allowed[who]),
                    documents: HashMap::new(),
                    told: HashMap::new(),
                    position: Json::Null,
                };
                cuts.fetch_add(follow(&mut view, written, &mut dice), Ordering::SeqCst);
            });
        }
        let door = &writers[0];
        let (allowed, written_flag) = (&allowed, &written);
        let moving = scope
            .spawn(move || move_people(door, movers, allowed, written_flag, &mut Dice::new(1)));
        let writing: Vec<_> = writers
            .iter()
            .enumerate()
            .map(|(number, person)| {
                let rooms = &rooms;
                scope.spawn(move || {
                    write(
                        person,
                        rooms,
                        CHANGES / WRITERS,
                        &mut Dice::new(10 + number),
                    );
                })
            })
            .collect();
        for writer in writing {
            writer.join().unwrap();
        }
        written.store(true, Ordering::SeqCst);
        assert!(moving.join().unwrap() > 10, "people were moved");
    });
    assert!(cuts.into_inner() > CONNECTIONS, "the clients were cut off");
}
