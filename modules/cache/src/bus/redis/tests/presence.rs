//! Who comes first and who leaves last is told once, whatever is cut meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use nubo_core::{bus::What, time::Timestamp};

use super::*;
use crate::bus::tests::{channel, hear, id, lease, until};

const ACCOUNTS: u64 = 4;
const CONNECTIONS: u64 = 3;
const STEPS: usize = 300;

/// Does something until the bus is there for it.
async fn insist(what: impl AsyncFn() -> nubo_core::Result<()>) {
    until("the bus is there", async || what().await.is_ok()).await;
}

async fn comings_and_goings(seed: u64) {
    let random = Seeded::new(seed);
    let server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let room = channel("room");
    one.open(&room).await.unwrap();
    let mut there: BTreeMap<u128, BTreeSet<u128>> = BTreeMap::new();
    let mut expected = Vec::new();
    for _ in 0..STEPS {
        let instance = [&one, &two][random.below(2) as usize];
        let account = 1 + u128::from(random.below(ACCOUNTS));
        let connection = 10 * account + u128::from(random.below(CONNECTIONS));
        let connections = there.entry(account).or_default();
        let was_there = !connections.is_empty();
        let lease = lease(account, connection, 3_600_000);
        match random.below(2) {
            0 => {
                insist(async || instance.show(vec![lease.clone()]).await).await;
                connections.insert(connection);
            }
            _ => {
                insist(async || instance.hide(vec![lease.clone()]).await).await;
                connections.remove(&connection);
            }
        }
        if was_there == connections.is_empty() {
            expected.push((id(account), !was_there));
        }
        if random.below(20) == 0 {
            let kind = ["pubsub", "normal"][random.below(2) as usize];
            let words = ["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"];
            server.command::<u32>(&words).await;
        }
    }
    let told = hear(bus(&one), expected.len()).await;
    let told = told.iter().map(|heard| match heard {
        Heard::Event(published) => match published.event.what {
            What::Presence { account, joined } => (account, joined),
            _ => panic!("{published:?}"),
        },
        Heard::Gap(_) => panic!("nothing was lost"),
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let present: Vec<Id> = there
        .iter()
        .filter(|(_, connections)| !connections.is_empty())
        .map(|(account, _)| id(*account))
        .collect();
    until(
        "all agree on who is there",
        async || matches!(two.present(&room).await, Ok(found) if found == present),
    )
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_comes_and_who_goes_is_told_once() {
    for seed in 31..=33 {
        comings_and_goings(seed).await;
    }
}

#[tokio::test]
async fn clocks_of_instances_do_not_matter() {
    let server = RedisServer::start();
    let settings = |clock: i64| {
        let settings = RedisBusSettings {
            url: server.url(),
            timeout: Duration::from_secs(5),
            ..RedisBusSettings::default()
        };
        let hand = Hand(clock.into());
        let bus = RedisBus::new(
            settings,
            Arc::new(Catalog::default()),
            Arc::new(hand),
            Arc::new(Seeded::new(clock.unsigned_abs())),
        )
        .unwrap();
        bus.start();
        bus
    };
    // A year apart.
    let year = 365 * 86_400_000;
    let (slow, fast) = (settings(1_000), settings(year * 1000));
    let room = channel("room");
    let lease = |account, until| Lease {
        until: Timestamp::from_millis(until),
        ..lease(account, 10 * account, 0)
    };
    insist(async || slow.show(vec![lease(1, 60_000)]).await).await;
    insist(async || fast.show(vec![lease(2, year + 60_000)]).await).await;
    for instance in [&slow, &fast] {
        assert_eq!(instance.present(&room).await.unwrap(), [id(1), id(2)]);
    }
    // By the clock of its instance it has just run out.
    insist(async || fast.show(vec![lease(2, year)]).await).await;
    assert_eq!(slow.present(&room).await.unwrap(), [id(1)]);
    slow.stop().await;
    fast.stop().await;
}
