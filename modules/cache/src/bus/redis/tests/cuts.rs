//! What is promised when Redis is slow, gone, or has forgotten.

use nubo_core::Error;

use super::*;
use crate::bus::tests::{
    PATIENCE, channel, event, hear, hears, id, large, lease, numbers, replayed, until,
};

/// Waits until an instance can be used.
async fn ready(instance: &RedisBus) -> Position {
    until("the bus is there", async || {
        instance.open(&channel("ready")).await.is_ok()
    })
    .await;
    instance.open(&channel("ready")).await.unwrap()
}

#[tokio::test]
async fn who_comes_back_after_a_restart_or_elsewhere_gets_what_was_missed() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let start = one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 1), event(&["a"], 2)]);
    let seen = hears(bus(&one), &[1, 2]).await[0].position;
    one.stop().await;
    assert!(one.open(&channel("a")).await.is_err());
    two.publish(vec![event(&["a", "b"], 3), large(&["a"], 4, 100 << 10)]);

    let again = instance(&server, 3, |_| {});
    again.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 5)]);
    hears(bus(&again), &[5]).await;
    assert_eq!(
        replayed(bus(&again), "a", seen).await,
        Some(vec![2, 3, 4, 5])
    );
    two.open(&channel("a")).await.unwrap();
    let all = Some(vec![1, 2, 3, 4, 5]);
    assert_eq!(replayed(bus(&two), "a", start).await, all);
    again.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_published_last_is_told_before_the_end() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    one.open(&channel("a")).await.unwrap();
    let numbers: Vec<u128> = (1..500).collect();
    two.publish(
        numbers
            .iter()
            .map(|number| event(&["a"], *number))
            .collect(),
    );
    two.stop().await;
    hears(bus(&one), &numbers).await;
    one.stop().await;
}

#[tokio::test]
async fn cut_connections_lose_nothing_and_tell_nothing_twice() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    for name in ["a", "b", "c"] {
        one.open(&channel(name)).await.unwrap();
    }
    let last = 3000;
    let publishing = async {
        for number in 1..=last {
            two.publish(vec![match number % 3 {
                0 => event(&["a", "b"], number),
                1 => event(&["b", "other", "c"], number),
                _ => large(&["c"], number, 10 << 10),
            }]);
            if number % 300 == 0 {
                for kind in ["pubsub", "normal"] {
                    let words = ["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"];
                    server.command::<u32>(&words).await;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let expected: Vec<u128> = (1..=last).collect();
    tokio::join!(publishing, hears(bus(&one), &expected));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn kicks_are_heard_after_a_cut() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    ready(&one).await;
    ready(&two).await;
    let words = ["CLIENT", "KILL", "TYPE", "pubsub"];
    server.command::<u32>(&words).await;
    two.publish(vec![Event {
        channels: Vec::new(),
        what: nubo_core::bus::What::Kicked { account: id(5) },
    }]);
    hears(bus(&one), &[5]).await;
    hears(bus(&two), &[5]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_redis_that_has_lost_everything_is_a_gap() {
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let before = one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 1)]);
    hears(bus(&one), &[1]).await;
    server.restart().await;
    let Heard::Gap(gap) = hear(bus(&one), 1).await.remove(0) else {
        panic!("no gap");
    };
    assert_ne!(gap.epoch, before.epoch);
    assert!(gap.sequence > before.sequence);
    // It goes on in the new epoch.
    ready(&two).await;
    let start = one.open(&channel("a")).await.unwrap();
    assert_eq!(start.epoch, gap.epoch);
    two.publish(vec![event(&["a"], 2)]);
    let heard = hears(bus(&one), &[2]).await;
    assert!(heard[0].position.sequence > gap.sequence);
    assert_eq!(replayed(bus(&one), "a", before).await, None);
    assert_eq!(replayed(bus(&one), "a", start).await, Some(vec![2]));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_set_back_is_a_gap() {
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 1)]);
    let first = hears(bus(&one), &[1]).await[0].position;
    server.command::<String>(&["SAVE"]).await;
    two.publish(vec![event(&["a"], 2)]);
    hears(bus(&one), &[2]).await;
    // It comes back with what it had saved, as if the second event had never been.
    server.restart().await;
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    assert_eq!(replayed(bus(&one), "a", first).await, None);

    // The same while it runs.
    let now = ready(&two).await;
    assert_ne!(now.epoch, first.epoch);
    let sequence = format!("nubo:bus:{:x}:sequence", now.epoch);
    let back = now.sequence - 1_000_000;
    server
        .command::<String>(&["SET", &sequence, &back.to_string()])
        .await;
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    until("another epoch has begun", async || {
        ready(&two).await.epoch != now.epoch
    })
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn data_that_vanishes_while_redis_runs_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let before = one.open(&channel("a")).await.unwrap();
    server.command::<String>(&["FLUSHALL"]).await;
    two.publish(vec![event(&["a"], 1)]);
    let Heard::Gap(gap) = hear(bus(&one), 1).await.remove(0) else {
        panic!("no gap");
    };
    assert_ne!(gap.epoch, before.epoch);
    assert_eq!(replayed(bus(&one), "a", before).await, None);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_channel_that_was_forgotten_while_it_was_open_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        // Renewed at each beat.
        settings.replay = Duration::from_secs(2);
        settings.beat = Duration::from_millis(50);
    });
    let start = one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    let key = format!("nubo:bus:{:x}:last:a", start.epoch);
    assert_eq!(server.command::<u32>(&["DEL", &key]).await, 1);
    two.publish(vec![event(&["a"], 1)]);
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    two.publish(vec![event(&["a"], 2)]);
    hears(bus(&one), &[2]).await;
    assert_eq!(replayed(bus(&one), "a", start).await, None);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn without_redis_everything_says_so_and_works_again_with_it() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.timeout = Duration::from_millis(200);
        settings.beat = Duration::from_millis(50);
    });
    let start = one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    server.freeze();
    let unavailable = |error: Error| assert_eq!(error.code(), "bus_unavailable");
    unavailable(one.open(&channel("b")).await.unwrap_err());
    unavailable(one.replay(&channel("a"), start).await.unwrap_err());
    unavailable(one.show(vec![lease(1, 10, 1000)]).await.unwrap_err());
    unavailable(one.present(&channel("a")).await.unwrap_err());
    until("listeners are possible", async || one.is_heard()).await;
    // What is published meanwhile waits.
    two.publish(vec![event(&["a"], 1)]);
    server.thaw();
    two.publish(vec![event(&["a"], 2)]);
    hears(bus(&one), &[1, 2]).await;
    ready(&one).await;
    assert_eq!(replayed(bus(&one), "a", start).await, Some(vec![1, 2]));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_bus_that_begins_before_redis_works_when_that_is_there() {
    let mut server = RedisServer::start();
    server.end();
    let Instances { one, two } = Instances::on(&server);
    assert!(one.is_heard(), "nobody knows yet");
    two.publish(vec![event(&["a"], 1)]);
    server.restart().await;
    ready(&one).await;
    one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 2)]);
    // The first one may have waited until the channel was open.
    let mut told = Vec::new();
    while told.last() != Some(&2) {
        told.extend(numbers(&hear(bus(&one), 1).await));
    }
    assert!(told == [2] || told == [1, 2], "{told:?}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_was_spared_while_nobody_could_say_that_somebody_listens_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        // Nothing but the connection itself says who listens.
        settings.beat = Duration::from_secs(3600);
    });
    let both_have_beaten = async || {
        let keys: Vec<String> = server.command(&["KEYS", "nubo:bus:*:instances"]).await;
        match keys.first() {
            Some(key) => server.command::<u32>(&["ZCARD", key]).await == 2,
            None => false,
        }
    };
    until("both have beaten", both_have_beaten).await;
    until("nobody listens", async || !two.is_heard()).await;
    one.open(&channel("a")).await.unwrap();
    let words = ["CLIENT", "KILL", "TYPE", "pubsub"];
    server.command::<u32>(&words).await;
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn nobody_queues_while_redis_is_away() {
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.timeout = Duration::from_secs(1);
    });
    ready(&one).await;
    server.end();
    until("it is noticed", async || {
        one.open(&channel("a")).await.is_err()
    })
    .await;
    // Each would wait for the time limit.
    let many = async {
        for _ in 0..200 {
            assert!(one.open(&channel("a")).await.is_err());
            assert!(one.present(&channel("a")).await.is_err());
        }
    };
    tokio::time::timeout(PATIENCE, many).await.unwrap();
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_the_outbox_is_a_gap_for_all() {
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.timeout = Duration::from_millis(200);
        settings.beat = Duration::from_millis(50);
        settings.outbox_bytes = 4000;
    });
    let start = one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    server.freeze();
    for number in 1..100 {
        two.publish(vec![event(&["a"], number)]);
    }
    server.thaw();
    // Some may come before it.
    let mut told = Vec::new();
    while told.last() != Some(&0) {
        told.extend(numbers(&hear(bus(&one), 1).await));
    }
    ready(&two).await;
    two.publish(vec![event(&["a"], 200)]);
    while told.last() != Some(&200) {
        told.extend(numbers(&hear(bus(&one), 1).await));
    }
    assert_eq!(replayed(bus(&one), "a", start).await, None);
    server.end();
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_too_slow_is_told_of_the_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.waiting_bytes = 1000;
    });
    one.open(&channel("a")).await.unwrap();
    two.open(&channel("b")).await.unwrap();
    two.publish((1..20).map(|number| event(&["a"], number)).collect());
    // The other one hears this after all of those were told.
    two.publish(vec![event(&["a", "b"], 20)]);
    hears(bus(&two), &[20]).await;
    let mut told = Vec::new();
    while told.last() != Some(&0) {
        told.extend(numbers(&hear(bus(&one), 1).await));
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_too_much_to_be_kept_is_a_gap_for_who_comes_back() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.replay_bytes = 4000;
    });
    let start = one.open(&channel("a")).await.unwrap();
    let expected: Vec<u128> = (1..=50).collect();
    two.publish(
        expected
            .iter()
            .map(|number| event(&["a"], *number))
            .collect(),
    );
    let heard = hears(bus(&one), &expected).await;
    assert_eq!(replayed(bus(&one), "a", start).await, None);
    let late = heard[47].position;
    assert_eq!(replayed(bus(&one), "a", late).await, Some(vec![49, 50]));
    let key = format!("nubo:bus:{:x}:event:*", start.epoch);
    let kept: Vec<String> = server.command(&["KEYS", &key]).await;
    assert!(kept.len() < 15, "{}", kept.len());
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn nothing_is_kept_of_channels_that_nobody_has_opened() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let start = one.open(&channel("a")).await.unwrap();
    two.publish((1..50).map(|number| event(&["quiet"], number)).collect());
    two.publish(vec![event(&["a"], 50)]);
    hears(bus(&one), &[50]).await;
    let prefix = format!("nubo:bus:{:x}:", start.epoch);
    let events: Vec<String> = server.command(&["KEYS", &format!("{prefix}event:*")]).await;
    assert_eq!(events.len(), 1);
    let channels: Vec<String> = server.command(&["KEYS", &format!("{prefix}*quiet*")]).await;
    assert!(channels.is_empty(), "{channels:?}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_left_runs_out() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.replay = Duration::from_millis(200);
        settings.beat = Duration::from_millis(20);
    });
    let start = one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 1), event(&["a"], 2)]);
    hears(bus(&one), &[1, 2]).await;
    one.close(&channel("a")).await;
    let prefix = format!("nubo:bus:{:x}:", start.epoch);
    until("nothing is kept of it", async || {
        let keys: Vec<String> = server.command(&["KEYS", &format!("{prefix}*")]).await;
        let kept = |key: &&String| {
            let name = &key[prefix.len()..];
            name.ends_with(":a") || name.starts_with("event:") || name == "kept"
        };
        !keys.iter().any(|key| kept(&key))
    })
    .await;
    until("nobody listens", async || !two.is_heard()).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_vanishes_with_their_instance_is_gone_when_the_lease_runs_out() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.beat = Duration::from_millis(20);
    });
    let room = channel("room");
    two.open(&room).await.unwrap();
    one.show(vec![lease(1, 10, 150), lease(2, 20, 3_600_000)])
        .await
        .unwrap();
    two.show(vec![lease(1, 11, 300)]).await.unwrap();
    // Both beat, and one of them says so.
    let told = hears(bus(&two), &[1, 2, 1]).await;
    let gone = nubo_core::bus::What::Presence {
        account: id(1),
        joined: false,
    };
    assert_eq!(told[2].event.what, gone);
    assert_eq!(two.present(&room).await.unwrap(), [id(2)]);
    assert_eq!(
        one.are_present(&room, &[id(1), id(2)]).await.unwrap(),
        [false, true]
    );
    two.publish(vec![event(&["room"], 99)]);
    hears(bus(&two), &[99]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let start = one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    two.publish(vec![event(&["a"], 1)]);
    let first = hears(bus(&one), &[1]).await[0].position.sequence;
    let prefix = format!("nubo:bus:{:x}:", start.epoch);
    let next = format!("{} {first} {{\"v\":99}}", first + 1);
    server
        .command::<u32>(&["PUBLISH", &format!("{prefix}on:a"), &next])
        .await;
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_an_instance_had_yet_to_tell_when_it_vanished_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::with(&server, |settings| {
        settings.beat = Duration::from_millis(20);
        settings.silence = Duration::from_secs(2);
    });
    let start = one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    two.publish(vec![event(&["a"], 1)]);
    hears(bus(&one), &[1]).await;
    drop(two);
    assert_eq!(numbers(&hear(bus(&one), 1).await), [0]);
    assert_eq!(replayed(bus(&one), "a", start).await, None);

    // Who ends in order leaves nothing behind.
    let three = instance(&server, 3, |settings| {
        settings.beat = Duration::from_millis(20);
    });
    ready(&three).await;
    three.publish(vec![event(&["a"], 2)]);
    three.stop().await;
    hears(bus(&one), &[2]).await;
    let instances = format!("nubo:bus:{:x}:instances", start.epoch);
    let left: Vec<String> = server.command(&["ZRANGE", &instances, "0", "-1"]).await;
    assert_eq!(left.len(), 1);
    one.stop().await;
}

#[tokio::test]
async fn who_is_here_is_here_still_when_redis_has_lost_everything() {
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let room = channel("room");
    one.show(vec![lease(1, 10, 3_600_000), lease(2, 20, 3_600_000)])
        .await
        .unwrap();
    one.hide(vec![lease(2, 20, 0)]).await.unwrap();
    two.show(vec![lease(3, 30, 3_600_000)]).await.unwrap();
    server.restart().await;
    until(
        "both have shown theirs",
        async || matches!(two.present(&room).await, Ok(present) if present == [id(1), id(3)]),
    )
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_note_that_was_not_heard_is_missed_and_read() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    one.open(&channel("a")).await.unwrap();
    two.publish(vec![event(&["a"], 1)]);
    let first = hears(bus(&one), &[1]).await[0].position;
    // The second event is kept like any other, but its note reaches nobody.
    let prefix = format!("nubo:bus:{:x}:", first.epoch);
    let at = (first.sequence + 1).to_string();
    let kept: String = server
        .command(&["GET", &format!("{prefix}event:{}", first.sequence)])
        .await;
    let second = kept.replace(&id(1).to_string(), &id(2).to_string());
    server
        .command::<()>(&["SET", &format!("{prefix}event:{at}"), &second])
        .await;
    let before = first.sequence.to_string();
    let index = format!("{prefix}index:a");
    server
        .command::<String>(&["XADD", &index, &at, "before", &before])
        .await;
    server
        .command::<()>(&["SET", &format!("{prefix}last:a"), &at, "KEEPTTL"])
        .await;
    two.publish(vec![event(&["a"], 3)]);
    hears(bus(&one), &[2, 3]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_published_while_redis_takes_no_writes_waits() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    // It follows a server that is not there.
    let follow = ["REPLICAOF", "127.0.0.1", "1"];
    server.command::<String>(&follow).await;
    two.publish(vec![event(&["a"], 1)]);
    until("it is noticed", async || {
        one.present(&channel("a")).await.is_err()
    })
    .await;
    server.command::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    two.publish(vec![event(&["a"], 2)]);
    hears(bus(&one), &[1, 2]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_redis_refuses_is_a_gap() {
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    one.open(&channel("a")).await.unwrap();
    ready(&two).await;
    let full = |bytes| ["CONFIG", "SET", "maxmemory", bytes];
    server.command::<String>(&full("1")).await;
    two.publish(vec![event(&["a"], 1)]);
    until("it is noticed", async || {
        one.open(&channel("b")).await.is_err()
    })
    .await;
    // Whether it is taken now or was given up before, nothing is lost silently.
    server.command::<String>(&full("0")).await;
    let told = numbers(&hear(bus(&one), 1).await);
    assert!(told == [0] || told == [1], "{told:?}");
    ready(&two).await;
    two.publish(vec![event(&["a"], 2)]);
    let mut told = Vec::new();
    while told.last() != Some(&2) {
        told.extend(numbers(&hear(bus(&one), 1).await));
    }
    one.stop().await;
    two.stop().await;
}
