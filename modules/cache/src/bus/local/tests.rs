//! What a listener and those who come back are told.

use std::sync::atomic::Ordering;

use nubo_core::time::Timestamp;

use super::*;
use crate::bus::tests::{Hand, Seeded, channel, event, id, lease, numbers, replayed};

struct Set {
    bus: LocalBus,
    clock: Arc<Hand>,
}

fn set(settings: LocalBusSettings) -> Set {
    let clock = Arc::new(Hand::default());
    Set {
        bus: LocalBus::new(settings, clock.clone(), &Seeded::new(1)),
        clock,
    }
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
    assert_eq!(numbers(&bus.next().await), [0]);
    bus.publish(vec![event(&["a"], 20)]);
    assert_eq!(numbers(&bus.next().await), [20]);
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
    assert_eq!(numbers(&bus.next().await), [1, 2]);
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
    assert_eq!(numbers(&bus.next().await), [2, 3]);
}
