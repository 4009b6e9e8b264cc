//! What a client can do with a running server, over HTTP: one file for each kind of request.
//!
//! [`server`] starts the real binary in a folder of its own. Most tests share one server for each
//! set of collections ([`library`]: those in `tests/http/collections`; [`shipped`]: those that
//! ship) and keep out of each other's way by the shelf that their documents stand on. Tests that
//! stop, kill or misconfigure a server have one to themselves.

mod access_rules;
mod bad_input;
mod batch;
mod behind;
mod behind_together;
mod bulk;
mod by_hand;
mod cache;
mod command_line;
mod concurrency;
mod crash;
mod documents;
mod effects;
mod expand;
mod life_cycle;
mod lists;
mod many;
mod on_delete;
mod openapi;
mod operations;
mod problems;
#[path = "../services/redis.rs"]
mod redis;
mod schema_changes;
mod server;
mod static_files;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use serde_json::Value as Json;
use uuid::Uuid;

use server::{Server, Site};

/// The server with the collections of these tests.
fn library() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Site::with_folder("tests/http/collections").start().shared())
}

/// The server with the collections that ship, open to everybody: what they cause is the same
/// whoever asks. Who may do what is tried elsewhere (`tests/access`).
fn shipped() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Site::with_folder_opened("collections").start().shared())
}

/// A number that nobody else in this run gets.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An id that nobody else in this run gets.
fn fresh_id() -> String {
    let name = format!("{}/{}", std::process::id(), number());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// A shelf that no other test puts anything on.
fn fresh_shelf() -> String {
    format!("shelf-{}", number())
}

/// The texts that the documents of a list have in a field.
#[track_caller]
fn texts<'a>(list: &'a Json, field: &str) -> Vec<&'a str> {
    let documents = list["data"].as_array().expect("a list has data");
    documents
        .iter()
        .map(|document| document[field].as_str().unwrap_or("(no text)"))
        .collect()
}
