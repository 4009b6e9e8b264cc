//! The WebSocket hub against the real binary: [`connecting`], [`events`], what may be seen
//! ([`rules`]), [`resuming`], [`writing`] over the socket, messages without storage ([`flux`]),
//! [`presence`], [`limits`], several servers that stand for each other ([`instances`]), and all of it at once in [`history`]. That everything is said as the
//! document says it ([`asyncapi`]) is found out by all of them: every socket has a [`judge`].

#![allow(clippy::unwrap_used)]

mod asyncapi;
#[path = "../http/command_line.rs"]
mod command_line;
mod connecting;
mod events;
mod flux;
mod history;
mod instances;
mod judge;
mod limits;
mod people;
mod presence;
#[path = "../services/redis.rs"]
mod redis;
mod resuming;
mod rules;
#[path = "../http/server.rs"]
#[allow(dead_code)] // It serves more tests than these.
mod server;
mod socket;
mod writing;

use std::sync::OnceLock;

use server::{Server, Site};

/// Cheap passwords and no limit to sign-ups, so that the tests are about something else.
const CONFIGURATION: &str = "\
auth:
  passwords: { memory_kib: 64, iterations: 1 }
  throttle: { enabled: false }
";

/// A site with the shipped collections and those of these tests. `more` is added to the
/// configuration.
fn site(more: &str) -> Site {
    let site = Site::with_folder("collections");
    site.fill("tests/hub/collections");
    site.file("nubo.yaml", &format!("{CONFIGURATION}{more}"));
    site
}

/// The server that most tests share.
fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| site("").start().shared())
}
