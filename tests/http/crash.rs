//! `kill -9` under load, again and again: what was acknowledged is there, and nothing is there by
//! half.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    fresh_id,
    server::{Client, Server, Site, text},
};

const ROUNDS: usize = 4;
const WRITERS: usize = 8;
/// How many writes are acknowledged before the plug is pulled.
const ACKNOWLEDGED: usize = 60;

/// Who writes to whom.
struct World {
    conversation: String,
    sender: String,
    receiver: String,
    accounts: [String; 2],
}

impl World {
    fn new(server: &Server) -> Self {
        let user = |name: &str| {
            server.create_id(
                "users",
                &json!({
                    "username": name, "email": format!("{name}@example.org"),
                    "password": "correct horse", "first_name": name, "last_name": "x",
                }),
            )
        };
        let (sender, receiver) = (user("sender"), user("receiver"));
        let conversation = server.create_id("conversations", &json!({ "type": "group" }));
        for user in [&sender, &receiver] {
            let member = json!({ "conversation_id": conversation, "user_id": user });
            server.create("conversation_members", &member);
        }
        let account = || server.create_id("accounts", &json!({ "balance": 1000 }));
        let accounts = [account(), account()];
        Self {
            conversation,
            sender,
            receiver,
            accounts,
        }
    }

    /// A message, or money that is moved; what came of it, if anything did.
    fn write(&self, client: &Client, number: usize) -> Option<Written> {
        if number.is_multiple_of(3) {
            let [from, to] = &self.accounts;
            let step = |id: &str, amount: i32| {
                let change = json!({ "$inc": { "balance": amount, "visits": 1 } });
                json!({ "collection": "accounts", "update": { "id": id, "change": change } })
            };
            let steps = json!([step(from, -1), step(to, 1)]);
            let answer = client
                .request("POST", "/batch")
                .json(&steps)
                .try_send()
                .ok()?;
            answer.expect(200);
            return Some(Written::Transfer);
        }
        let message = json!({
            "id": fresh_id(), "conversation_id": self.conversation, "sender_id": self.sender,
            "content": format!("message {number}"),
        });
        let answer = client
            .request("POST", "/messages")
            .json(&message)
            .try_send()
            .ok()?;
        Some(Written::Message(answer.expect(201)))
    }
}

enum Written {
    Message(Json),
    Transfer,
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    let site = Site::with_folder_opened("collections");
    let accounts = include_str!("collections/accounts.yaml");
    site.collection("accounts", accounts);
    let mut server = site.start();
    let world = World::new(&server);
    let messages = Mutex::new(Vec::new());
    let transfers = AtomicUsize::new(0);
    for round in 0..ROUNDS {
        let client = server.client();
        let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (client, world, stop, acknowledged) = (&client, &world, &stop, &acknowledged);
                let (messages, transfers) = (&messages, &transfers);
                scope.spawn(move || {
                    for number in writer.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        match world.write(client, number) {
                            Some(Written::Message(message)) => {
                                messages.lock().expect("a lock").push(message);
                            }
                            Some(Written::Transfer) => {
                                transfers.fetch_add(1, Ordering::Relaxed);
                            }
                            // The server is gone.
                            None => return,
                        }
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let until = Instant::now() + Duration::from_secs(30);
            while acknowledged.load(Ordering::Relaxed) < ACKNOWLEDGED {
                assert!(Instant::now() < until, "too few writes in 30 s");
                thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server = site.start();
        check(
            &server,
            &world,
            &messages.lock().expect("a lock"),
            transfers.load(Ordering::Relaxed),
        );
        let written = acknowledged.load(Ordering::Relaxed);
        assert!(written >= ACKNOWLEDGED, "round {round}: {written}");
    }
    server.stop();
}

/// Everything acknowledged is there; what is there beyond it is there with all that belongs to it.
fn check(server: &Server, world: &World, acknowledged: &[Json], transfers: usize) {
    for message in acknowledged {
        assert_eq!(&server.read("messages", &text(&message["id"])), message);
    }
    let stored = all(server, "messages");
    assert!(stored.len() >= acknowledged.len());
    let told: HashSet<String> = all(server, "notifications")
        .iter()
        .map(|notification| text(&notification["payload"]["message_id"]))
        .collect();
    let ids: HashSet<String> = stored.iter().map(|message| text(&message["id"])).collect();
    assert_eq!(
        ids, told,
        "every message is told of, and none that is not there"
    );
    let filter = json!({ "user_id": world.receiver }).to_string();
    let member = server.list("conversation_members", &[("filter", &filter)]);
    assert_eq!(member["data"][0]["unread_count"], stored.len());
    let overview = server.read("conversations", &world.conversation);
    assert!(ids.contains(&text(&overview["last_message_id"])));

    let [from, to] = [0, 1].map(|n| server.read("accounts", &world.accounts[n]));
    let moved = to["balance"].as_u64().expect("a number") - 1000;
    assert!(moved as usize >= transfers, "{moved} of {transfers}");
    assert!(moved as usize <= transfers + ROUNDS * WRITERS);
    assert_eq!(from["balance"], 1000 - moved);
    assert_eq!(
        (&from["visits"], &to["visits"]),
        (&json!(moved), &json!(moved))
    );
}

fn all(server: &Server, collection: &str) -> Vec<Json> {
    let mut documents = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut query = vec![("limit", "200")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let list = server.list(collection, &query);
        documents.extend(list["data"].as_array().expect("documents").clone());
        match &list["next_cursor"] {
            Json::Null => return documents,
            next => cursor = text(next),
        }
    }
}
