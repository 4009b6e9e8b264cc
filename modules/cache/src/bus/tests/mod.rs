//! How a bus behaves, whichever it is, and what tests of buses need.

mod behaviour;
pub(super) mod redis_server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use nubo_core::{
    bus::{Bus, Channel, Event, Heard, Lease, Position, Published, Replay, What},
    clock::{Clock, Random},
    id::Id,
    time::Timestamp,
};
use uuid::Uuid;

/// After this long a test has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until it is set.
#[derive(Default)]
pub(super) struct Hand(pub AtomicI64);

impl Clock for Hand {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The same numbers for the same seed (SplitMix64).
pub(super) struct Seeded(AtomicU64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub fn number(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another.
    pub fn below(&self, end: u64) -> u64 {
        self.number() % end
    }
}

impl Random for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.number().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

pub(super) fn channel(name: &str) -> Channel {
    Channel::new(name)
}

pub(super) fn id(number: u128) -> Id {
    Id::from_uuid(Uuid::from_u128(number))
}

/// An event that is told apart by its number.
pub(super) fn event(channels: &[&str], number: u128) -> Event {
    Event {
        channels: channels.iter().map(|name| channel(name)).collect(),
        what: What::Presence {
            account: id(number),
            joined: true,
        },
    }
}

/// An event with this much text.
pub(super) fn large(channels: &[&str], number: u128, bytes: usize) -> Event {
    Event {
        channels: channels.iter().map(|name| channel(name)).collect(),
        what: What::Told {
            account: id(number),
            json: format!("\"{}\"", "x".repeat(bytes)).into(),
            until: Timestamp::from_millis(i64::MAX),
            from: id(9),
        },
    }
}

pub(super) fn number(event: &Event) -> u128 {
    match &event.what {
        What::Presence { account, .. } | What::Told { account, .. } | What::Kicked { account } => {
            account.uuid().as_u128()
        }
        What::Changed(touched) => touched.id().unwrap().uuid().as_u128(),
        What::Missed { .. } => u128::MAX,
        other => panic!("{other:?}"),
    }
}

/// The numbers of events; 0 for a gap.
pub(super) fn numbers(heard: &[Heard]) -> Vec<u128> {
    let numbers = heard.iter().map(|heard| match heard {
        Heard::Event(published) => number(&published.event),
        Heard::Gap(_) => 0,
    });
    numbers.collect()
}

/// Waits for as many events or gaps.
pub(super) async fn hear(bus: &dyn Bus, count: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    let hearing = async {
        while heard.len() < count {
            heard.extend(bus.next().await);
        }
    };
    let waited = tokio::time::timeout(PATIENCE, hearing).await;
    assert!(waited.is_ok(), "only {:?}", numbers(&heard));
    heard
}

/// Hears just these, in this order.
pub(super) async fn hears(bus: &dyn Bus, expected: &[u128]) -> Vec<Published> {
    let heard = hear(bus, expected.len()).await;
    assert_eq!(numbers(&heard), expected);
    let events = heard.into_iter().filter_map(|heard| match heard {
        Heard::Event(published) => Some(published),
        Heard::Gap(_) => None,
    });
    events.collect()
}

/// The numbers of what is replayed; none for a gap.
pub(super) async fn replayed(bus: &dyn Bus, name: &str, since: Position) -> Option<Vec<u128>> {
    match bus.replay(&channel(name), since).await.unwrap() {
        Replay::Events(events) => Some(events.iter().map(|e| number(&e.event)).collect()),
        Replay::Gap => None,
    }
}

pub(super) fn lease(account: u128, connection: u128, until: i64) -> Lease {
    Lease {
        channel: channel("room"),
        account: id(account),
        connection: id(connection),
        until: Timestamp::from_millis(until),
    }
}
