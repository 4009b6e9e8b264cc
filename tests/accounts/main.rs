//! Signing up and in, tokens and sessions, over HTTP against the real binary with the shipped
//! collections: [`signing_in`], [`refreshing`], [`tokens`], [`own_account`], [`throttling`], the
//! command line in [`users`] and `nubo check` in [`configuration`].

#![allow(clippy::unwrap_used)]

#[path = "../http/command_line.rs"]
mod command_line;
mod configuration;
mod own_account;
mod refreshing;
#[path = "../http/server.rs"]
#[allow(dead_code)]
mod server;
mod signing_in;
mod throttling;
mod tokens;
mod users;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value as Json, json};
use server::{Answer, Client, Server, Site, text};

/// Cheap passwords, so that the tests are about something else.
const CONFIGURATION: &str = "\
auth:
  passwords: { memory_kib: 64, iterations: 1 }
  throttle: { enabled: false }
";

/// A site with the shipped collections and this configuration.
fn site(configuration: &str) -> Site {
    let site = Site::with_folder("collections");
    site.file("nubo.yaml", configuration);
    site
}

/// The server that most tests share.
fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| site(CONFIGURATION).start().shared())
}

const PASSWORD: &str = "a quiet evening";

/// A name that nobody else in this run has.
fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("person{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What somebody signs up with.
fn application(name: &str) -> Json {
    json!({
        "username": name, "email": format!("{name}@example.org"), "password": PASSWORD,
        "first_name": "First", "last_name": "Last",
    })
}

/// Somebody who has signed up or in.
#[derive(Clone, Debug)]
struct Person {
    id: String,
    name: String,
    access: String,
    refresh: String,
}

impl Person {
    fn from(answer: &Json) -> Self {
        Self {
            id: text(&answer["user"]["id"]),
            name: text(&answer["user"]["username"]),
            access: text(&answer["access_token"]),
            refresh: text(&answer["refresh_token"]),
        }
    }

    #[track_caller]
    fn signed_up(client: &Client) -> Self {
        let answer = client.post("/signup", &application(&fresh_name()));
        Self::from(&answer.expect(201))
    }

    /// The same person on another device.
    #[track_caller]
    fn again(&self, client: &Client) -> Self {
        let login = json!({ "identifier": self.name, "password": PASSWORD });
        Self::from(&client.post("/login", &login).expect(200))
    }

    #[track_caller]
    fn asks(&self, client: &Client, method: &str, path: &str) -> Answer {
        with_token(client, method, path, &self.access)
    }

    #[track_caller]
    fn sends(&self, client: &Client, method: &str, path: &str, body: &Json) -> Answer {
        let request = client.request(method, path);
        let bearer = format!("Bearer {}", self.access);
        request.header("authorization", &bearer).json(body).send()
    }
}

#[track_caller]
fn with_token(client: &Client, method: &str, path: &str, token: &str) -> Answer {
    let request = client.request(method, path);
    let bearer = format!("Bearer {token}");
    request.header("authorization", &bearer).send()
}
