//! What every bus does. Each test has two instances, one that speaks and one that listens; within
//! one process they are the same.

use super::{redis_server::RedisServer, *};
use crate::{
    bus::{LocalBus, LocalBusSettings, redis::tests::Instances},
    redis_service::Cluster,
};

struct Pair {
    speaker: Arc<dyn Bus>,
    listener: Arc<dyn Bus>,
}

impl Pair {
    /// What comes last of all that was published so far on the listener's channel `end`.
    async fn nothing_else(&self) {
        self.speaker.publish(vec![event(&["end"], 999)]);
        hears(&*self.listener, &[999]).await;
    }
}

macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        mod within_a_process {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let bus = LocalBus::new(
                        LocalBusSettings::default(),
                        Arc::new(Hand::default()),
                        &Seeded::new(1),
                    );
                    let bus = Arc::new(bus);
                    super::$name(&Pair { speaker: bus.clone(), listener: bus }).await;
                }
            )*
        }

        mod over_redis {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let server = RedisServer::start();
                    let Instances { one, two } = Instances::on(&server);
                    super::$name(&Pair { speaker: one.clone(), listener: two.clone() }).await;
                    one.stop().await;
                    two.stop().await;
                }
            )*
        }

        #[tokio::test]
        async fn over_a_cluster() {
            let cluster = Cluster::start();
            $(
                let Instances { one, two } = Instances::over(&cluster, stringify!($name));
                $name(&Pair { speaker: one.clone(), listener: two.clone() }).await;
                one.stop().await;
                two.stop().await;
            )*
        }
    };
}

behaviours!(
    only_open_channels_are_heard_in_order_and_each_event_once,
    what_was_missed_is_replayed_once_and_whole,
    messages_lose_their_interest,
    orders_reach_everybody,
    accounts_come_with_their_first_connection_and_go_with_their_last,
    many_events_keep_their_order,
    large_events_arrive_whole,
    somebody_is_known_to_listen,
);

async fn only_open_channels_are_heard_in_order_and_each_event_once(pair: &Pair) {
    let Pair { speaker, listener } = pair;
    speaker.publish(vec![event(&["a"], 1)]);
    listener.open(&channel("end")).await.unwrap();
    pair.nothing_else().await;
    listener.open(&channel("a")).await.unwrap();
    listener.open(&channel("b")).await.unwrap();
    speaker.publish(vec![event(&["a", "b"], 2), event(&["c"], 3)]);
    speaker.publish(vec![event(&["b"], 4)]);
    let heard = hears(&**listener, &[2, 4]).await;
    assert!(heard[0].position.sequence < heard[1].position.sequence);
    assert_eq!(heard[0].position.epoch, heard[1].position.epoch);
    listener.close(&channel("b")).await;
    speaker.publish(vec![event(&["b"], 5), event(&["b", "a"], 6)]);
    hears(&**listener, &[6]).await;
    pair.nothing_else().await;
}

async fn what_was_missed_is_replayed_once_and_whole(pair: &Pair) {
    let Pair { speaker, listener } = pair;
    let first = listener.open(&channel("a")).await.unwrap();
    speaker.publish(vec![event(&["a"], 1), event(&["a", "b"], 2)]);
    let second = hears(&**listener, &[1, 2]).await[1].position;
    listener.open(&channel("end")).await.unwrap();
    listener.close(&channel("a")).await;
    // Nobody listens, but somebody may come back.
    speaker.publish(vec![event(&["a"], 3), event(&["b"], 4)]);
    pair.nothing_else().await;
    let now = listener.open(&channel("a")).await.unwrap();
    assert_eq!(replayed(&**listener, "a", first).await, Some(vec![1, 2, 3]));
    assert_eq!(replayed(&**listener, "a", second).await, Some(vec![3]));
    assert_eq!(replayed(&**listener, "a", now).await, Some(vec![]));
    // On the other instance it is the same.
    speaker.open(&channel("a")).await.unwrap();
    assert_eq!(replayed(&**speaker, "a", second).await, Some(vec![3]));
    // Of what was said before it was opened nothing is known.
    listener.open(&channel("b")).await.unwrap();
    assert_eq!(replayed(&**listener, "b", second).await, None);
    assert_eq!(replayed(&**listener, "c", now).await, None);
    let other = Position {
        epoch: now.epoch + 1,
        ..now
    };
    assert_eq!(replayed(&**listener, "a", other).await, None);
    let future = Position {
        sequence: now.sequence + 1_000_000_000,
        ..now
    };
    assert_eq!(replayed(&**listener, "a", future).await, None);
}

async fn messages_lose_their_interest(pair: &Pair) {
    let Pair { speaker, listener } = pair;
    let start = listener.open(&channel("a")).await.unwrap();
    let told = |number, until| Event {
        channels: vec![channel("a")],
        what: What::Told {
            account: id(number),
            json: "{}".into(),
            until: Timestamp::from_millis(until),
            from: id(9),
        },
    };
    // The clock stands at 0.
    speaker.publish(vec![told(1, 1000), told(2, -1)]);
    hears(&**listener, &[1, 2]).await;
    assert_eq!(replayed(&**listener, "a", start).await, Some(vec![1]));
}

async fn orders_reach_everybody(pair: &Pair) {
    pair.listener.open(&channel("end")).await.unwrap();
    pair.speaker.publish(vec![Event {
        channels: Vec::new(),
        what: What::Kicked { account: id(5) },
    }]);
    pair.speaker.publish(vec![Event {
        channels: Vec::new(),
        what: What::Broadcast {
            text: "hello \u{1f980}".into(),
            from: id(7),
        },
    }]);
    let heard = hear(&*pair.listener, 2).await;
    let what: Vec<&What> = heard
        .iter()
        .map(|heard| match heard {
            Heard::Event(published) => &published.event.what,
            Heard::Gap(_) => panic!("a gap"),
        })
        .collect();
    assert_eq!(*what[0], What::Kicked { account: id(5) });
    let said = What::Broadcast {
        text: "hello \u{1f980}".into(),
        from: id(7),
    };
    assert_eq!(*what[1], said);
    pair.nothing_else().await;
}

async fn accounts_come_with_their_first_connection_and_go_with_their_last(pair: &Pair) {
    let Pair { speaker, listener } = pair;
    let room = channel("room");
    listener.open(&room).await.unwrap();
    let long = 3_600_000;
    speaker
        .show(vec![lease(1, 10, long), lease(2, 20, long)])
        .await
        .unwrap();
    listener
        .show(vec![lease(1, 11, long), lease(2, 20, long)])
        .await
        .unwrap();
    assert_eq!(listener.present(&room).await.unwrap(), [id(1), id(2)]);
    let asked = [id(2), id(3), id(1)];
    assert_eq!(
        speaker.are_present(&room, &asked).await.unwrap(),
        [true, false, true]
    );
    assert!(speaker.are_present(&room, &[]).await.unwrap().is_empty());
    hears(&**listener, &[1, 2]).await;
    speaker
        .hide(vec![lease(1, 10, 0), lease(1, 99, 0)])
        .await
        .unwrap();
    assert_eq!(speaker.present(&room).await.unwrap(), [id(1), id(2)]);
    listener.hide(vec![lease(1, 11, 0)]).await.unwrap();
    assert_eq!(speaker.present(&room).await.unwrap(), [id(2)]);
    let left = hears(&**listener, &[1]).await;
    let gone = What::Presence {
        account: id(1),
        joined: false,
    };
    assert_eq!(left[0].event.what, gone);
    assert_eq!(left[0].event.channels, [room]);
    listener.open(&channel("end")).await.unwrap();
    pair.nothing_else().await;
}

async fn many_events_keep_their_order(pair: &Pair) {
    pair.listener.open(&channel("a")).await.unwrap();
    pair.listener.open(&channel("b")).await.unwrap();
    for start in (1..2001).step_by(10) {
        let events = (start..start + 10).map(|number| match number % 3 {
            0 => event(&["a"], number),
            1 => event(&["b", "a"], number),
            _ => event(&["a", "other", "b"], number),
        });
        pair.speaker.publish(events.collect());
    }
    let expected: Vec<u128> = (1..2001).collect();
    let heard = hears(&*pair.listener, &expected).await;
    let places: Vec<u64> = heard.iter().map(|heard| heard.position.sequence).collect();
    assert!(places.is_sorted_by(|a, b| a < b));
}

async fn large_events_arrive_whole(pair: &Pair) {
    let start = pair.listener.open(&channel("a")).await.unwrap();
    pair.listener.open(&channel("b")).await.unwrap();
    let events = vec![
        event(&["a"], 1),
        large(&["a", "b"], 2, 100 << 10),
        event(&["b", "a"], 3),
    ];
    pair.speaker.publish(events.clone());
    let heard = hears(&*pair.listener, &[1, 2, 3]).await;
    let heard: Vec<Event> = heard.iter().map(|heard| (*heard.event).clone()).collect();
    assert_eq!(heard, events);
    assert_eq!(
        replayed(&*pair.listener, "a", start).await,
        Some(vec![1, 2, 3])
    );
}

async fn somebody_is_known_to_listen(pair: &Pair) {
    until("nobody listens", async || !pair.speaker.is_heard()).await;
    pair.listener.open(&channel("a")).await.unwrap();
    until("somebody listens", async || pair.speaker.is_heard()).await;
    assert!(pair.listener.is_heard());
}
