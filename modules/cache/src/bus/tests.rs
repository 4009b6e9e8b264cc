//! What a listener and those who come back are told.

use std::sync::atomic::{AtomicI64, Ordering};

use nubo_core::time::Timestamp;
use uuid::Uuid;

use super::*;

/// A clock that stands still until it is set.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Zeros;

impl Random for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

struct Set {
    bus: LocalBus,
    clock: Arc<Hand>,
}

fn set(settings: LocalBusSettings) -> Set {
    let clock = Arc::new(Hand::default());
    Set {
        bus: LocalBus::new(settings, clock.clone(), &Zeros),
        clock,
    }
}

fn channel(name: &str) -> Channel {
    Channel::new(name)
}

fn id(number: u128) -> Id {
    Id::from_uuid(Uuid::from_u128(number))
}

/// An event that is told apart by its number.
fn event(channels: &[&str], number: u128) -> Event {
    Event {
        channels: channels.iter().map(|name| channel(name)).collect(),
        what: What::Presence {
            account: id(number),
            joined: true,
        },
    }
}

fn number(event: &Event) -> u128 {
    match &event.what {
        What::Presence { account, .. } => account.uuid().as_u128(),
        What::Told { account, .. } | What::Kicked { account } => account.uuid().as_u128(),
        other => panic!("{other:?}"),
    }
}

fn heard(heard: &[Heard]) -> Vec<u128> {
    let numbers = heard.iter().map(|heard| match heard {
        Heard::Event(published) => number(&published.event),
        Heard::Gap(_) => 0,
    });
    numbers.collect()
}

async fn replayed(bus: &LocalBus, name: &str, since: Position) -> Option<Vec<u128>> {
    match bus.replay(&channel(name), since).await.unwrap() {
        Replay::Events(events) => Some(events.iter().map(|e| number(&e.event)).collect()),
        Replay::Gap => None,
    }
}

#[tokio::test]
async fn only_open_channels_are_heard_in_order_and_each_event_once() {
    let Set { bus, .. } = set(LocalBusSettings::default());
    assert!(!bus.is_heard());
    bus.publish(vec![event(&["a"], 1)]);
    bus.open(&channel("a")).await.unwrap();
    bus.open(&channel("b")).await.unwrap();
    assert!(bus.is_heard());
    bus.publish(vec![event(&["a", "b"], 2), event(&["c"], 3)]);
    bus.publish(vec![event(&["b"], 4)]);
    assert_eq!(heard(&bus.next().await), [2, 4]);
    bus.close(&channel("b")).await;
    bus.publish(vec![event(&["b"], 5), event(&["b", "a"], 6)]);
    assert_eq!(heard(&bus.next().await), [6]);
}

#[tokio::test]
async fn what_was_missed_is_replayed_once_and_whole() {
    let Set { bus, .. } = set(LocalBusSettings::default());
    let first = bus.open(&channel("a")).await.unwrap();
    bus.publish(vec![event(&["a"], 1), event(&["a", "b"], 2)]);
    let Heard::Event(second) = bus.next().await.remove(1) else {
        panic!("an event");
    };
    bus.close(&channel("a")).await;
    // Nobody listens, but somebody may come back.
    bus.publish(vec![event(&["a"], 3), event(&["b"], 4)]);
    bus.open(&channel("a")).await.unwrap();
    assert_eq!(replayed(&bus, "a", first).await, Some(vec![1, 2, 3]));
    assert_eq!(replayed(&bus, "a", second.position).await, Some(vec![3]));
    let now = bus.open(&channel("a")).await.unwrap();
    assert_eq!(replayed(&bus, "a", now).await, Some(vec![]));
    // Of what was said before it was opened nothing is known.
    bus.open(&channel("b")).await.unwrap();
    assert_eq!(replayed(&bus, "b", second.position).await, None);
    assert_eq!(replayed(&bus, "c", now).await, None);
    let other = Position {
        epoch: now.epoch + 1,
        ..now
    };
    assert_eq!(replayed(&bus, "a", other).await, None);
    let future = Position {
        sequence: now.sequence + 1,
        ..now
    };
    assert_eq!(replayed(&bus, "a", future).await, None);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_a_gap() {
    let settings = LocalBusSettings {
        replay: Duration::from_secs(10),
        replay_bytes: 1000,
        ..LocalBusSettings::default()
    };
    let Set { bus, clock } = set(settings);
    let start = bus.open(&channel("a")).await.unwrap();
    bus.publish(vec![event(&["a"], 1)]);
    clock.0.store(10_000_001, Ordering::SeqCst);
    bus.publish(vec![event(&["a"], 2)]);
    assert_eq!(replayed(&bus, "a", start).await, None);
    let after_first = Position {
        sequence: start.sequence + 1,
        ..start
    };
    assert_eq!(replayed(&bus, "a", after_first).await, Some(vec![2]));
    bus.publish((3..20).map(|number| event(&["a"], number)).collect());
    assert_eq!(replayed(&bus, "a", after_first).await, None);

    // A channel that was left is forgotten after the same time.
    bus.close(&channel("a")).await;
    clock.0.store(30_000_002, Ordering::SeqCst);
    bus.publish(vec![event(&["a"], 20)]);
    assert!(!bus.is_heard());
}

#[tokio::test]
async fn messages_lose_their_interest() {
    let Set { bus, clock } = set(LocalBusSettings::default());
    let start = bus.open(&channel("a")).await.unwrap();
    let told = Event {
        channels: vec![channel("a")],
        what: What::Told {
            account: id(1),
            json: "{}".into(),
            until: Timestamp::from_millis(1000),
            from: id(9),
        },
    };
    bus.publish(vec![told]);
    assert_eq!(replayed(&bus, "a", start).await, Some(vec![1]));
    clock.0.store(1_001_000, Ordering::SeqCst);
    assert_eq!(replayed(&bus, "a", start).await, Some(vec![]));
}

#[tokio::test]
async fn a_listener_that_is_too_slow_is_told_of_the_gap() {
    let settings = LocalBusSettings {
        waiting_bytes: 1000,
        ..LocalBusSettings::default()
    };
    let Set { bus, .. } = set(settings);
    bus.open(&channel("a")).await.unwrap();
    bus.publish((1..20).map(|number| event(&["a"], number)).collect());
    assert_eq!(heard(&bus.next().await), [0]);
    bus.publish(vec![event(&["a"], 20)]);
    assert_eq!(heard(&bus.next().await), [20]);
}

#[tokio::test]
async fn orders_reach_everybody() {
    let Set { bus, .. } = set(LocalBusSettings::default());
    bus.publish(vec![Event {
        channels: Vec::new(),
        what: What::Kicked { account: id(5) },
    }]);
    assert_eq!(heard(&bus.next().await), [5]);
}

fn lease(account: u128, connection: u128, until: i64) -> Lease {
    Lease {
        channel: channel("room"),
        account: id(account),
        connection: id(connection),
        until: Timestamp::from_millis(until),
    }
}

#[tokio::test]
async fn accounts_come_with_their_first_connection_and_go_with_their_last() {
    let Set { bus, clock } = set(LocalBusSettings::default());
    let room = channel("room");
    bus.open(&room).await.unwrap();
    bus.show(vec![lease(1, 10, 100), lease(1, 11, 100), lease(2, 20, 50)])
        .await
        .unwrap();
    assert_eq!(bus.present(&room).await.unwrap(), [id(1), id(2)]);
    assert_eq!(heard(&bus.next().await), [1, 2]);
    bus.hide(vec![lease(1, 10, 0), lease(1, 99, 0)])
        .await
        .unwrap();
    assert_eq!(bus.present(&room).await.unwrap(), [id(1), id(2)]);
    bus.hide(vec![lease(1, 11, 0)]).await.unwrap();
    assert_eq!(bus.present(&room).await.unwrap(), [id(2)]);
    let left = bus.next().await;
    let Heard::Event(published) = &left[0] else {
        panic!("{left:?}");
    };
    assert!(matches!(
        published.event.what,
        What::Presence { joined: false, .. }
    ));

    // Who vanishes is gone when the lease has run out, and it is told when anybody prolongs theirs.
    clock.0.store(50_000, Ordering::SeqCst);
    assert_eq!(bus.present(&room).await.unwrap(), []);
    bus.show(vec![lease(3, 30, 100)]).await.unwrap();
    assert_eq!(heard(&bus.next().await), [2, 3]);
}
