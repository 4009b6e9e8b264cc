//! Free ports for servers of tests.
//!
//! A port that the system hands out may be handed out once more before a server has it: to another
//! test, or to a connection. So ports are taken from below those that the system hands out, and none
//! twice by one program.

use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// The first of them, and how many there are.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Where the next one is looked for: programs begin in different places.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let [.., a, b] = RandomState::new().hash_one(0).to_be_bytes();
    AtomicU16::new(u16::from_be_bytes([a, b]))
});

/// A port that nobody listens on.
pub fn free() -> u16 {
    for _ in 0..COUNT {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
