//! People with accounts, and what they do over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use crate::{
    server::{Answer, Client, text},
    socket::Socket,
};

pub const PASSWORD: &str = "a quiet evening";

pub struct Person<'a> {
    pub client: &'a Client,
    pub id: String,
    pub name: String,
    pub token: String,
}

impl<'a> Person<'a> {
    /// Somebody new.
    #[track_caller]
    pub fn new(client: &'a Client) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("person{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let application = json!({
            "username": name, "email": format!("{name}@example.org"), "password": PASSWORD,
            "first_name": "First", "last_name": "Last",
        });
        Self::from(client, &client.post("/signup", &application).expect(201))
    }

    /// Somebody signs in.
    #[track_caller]
    pub fn sign_in(client: &'a Client, name: &str) -> Self {
        let login = json!({ "identifier": name, "password": PASSWORD });
        Self::from(client, &client.post("/login", &login).expect(200))
    }

    fn from(client: &'a Client, answer: &Json) -> Self {
        Self {
            client,
            id: text(&answer["user"]["id"]),
            name: text(&answer["user"]["username"]),
            token: text(&answer["access_token"]),
        }
    }

    /// A connection of theirs.
    #[track_caller]
    pub fn connect(&self) -> Socket {
        Socket::open(self.client, &self.token)
    }

    /// The same, subscribed.
    #[track_caller]
    pub fn listens(&self, channel: &str) -> Socket {
        let mut socket = self.connect();
        socket.subscribe(channel);
        socket
    }

    #[track_caller]
    pub fn sends(&self, method: &str, path: &str, body: &Json) -> Answer {
        let request = self.client.request(method, path);
        let bearer = format!("Bearer {}", self.token);
        request.header("authorization", &bearer).json(body).send()
    }

    #[track_caller]
    pub fn gets(&self, path: &str) -> Json {
        let request = self.client.request("GET", path);
        let bearer = format!("Bearer {}", self.token);
        request.header("authorization", &bearer).send().expect(200)
    }

    /// A new document.
    #[track_caller]
    pub fn creates(&self, collection: &str, document: Json) -> Json {
        self.sends("POST", &format!("/{collection}"), &document)
            .expect(201)
    }

    /// The id of a new document.
    #[track_caller]
    pub fn makes(&self, collection: &str, document: Json) -> String {
        text(&self.creates(collection, document)["id"])
    }

    #[track_caller]
    pub fn changes(&self, collection: &str, id: &str, change: Json) -> Json {
        self.sends("PATCH", &format!("/{collection}/{id}"), &change)
            .expect(200)
    }

    #[track_caller]
    pub fn deletes(&self, collection: &str, id: &str) {
        let path = format!("/{collection}/{id}");
        assert_eq!(self.sends("DELETE", &path, &Json::Null).status, 204);
    }

    /// A room with these members; its id and those of the memberships.
    #[track_caller]
    pub fn room(&self, members: &[&Person<'_>]) -> (String, Vec<String>) {
        let room = self.makes("rooms", json!({ "title": "A room" }));
        let join = |member: &&Person<'_>| {
            self.makes(
                "memberships",
                json!({ "room_id": room, "user_id": member.id }),
            )
        };
        let memberships = members.iter().map(join).collect();
        (room, memberships)
    }

    /// Says something in a room; the id of the line.
    #[track_caller]
    pub fn says(&self, room: &str, text: &str) -> String {
        self.makes("lines", json!({ "room_id": room, "text": text }))
    }
}
