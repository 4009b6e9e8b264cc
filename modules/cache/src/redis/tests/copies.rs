//! Documents that are kept in this process.

use nubo_core::cache::Lookup;

use super::*;
use crate::{
    Storage,
    redis::{budget::Eviction, copies::Name},
    storage_tests::{BATCH, OTHER, gone, there},
};

fn name(world: &World<RedisStorage>, number: u128) -> Name {
    (EPOCH, world.key(number))
}

impl Test {
    /// Whether the second instance has a copy.
    fn is_copied(&self, number: u128) -> bool {
        let connection = self.second.shared.link.current().unwrap();
        connection.copies().has(&name(&self.other, number))
    }
}

/// A document that the second instance has a copy of.
async fn copied(divided: bool) -> Test {
    let test = match divided {
        true => Test::divided().await,
        false => Test::new().await,
    };
    test.world.hold(1, 5).await;
    assert_eq!(test.other.revision(1).await, Some(5));
    assert!(test.is_copied(1));
    test
}

/// How many commands the server has been sent by this name, by anybody.
fn calls(server: &Server, command: &str) -> u64 {
    let stats: String = server.ask(&["INFO", "commandstats"]);
    let line = format!("cmdstat_{command}:calls=");
    let mut counts = stats.lines().filter_map(|found| found.strip_prefix(&line));
    let count = counts.next().and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn what_others_do_to_a_document_is_seen_at_once() {
    for divided in [false, true] {
        let test = copied(divided).await;
        test.world.announce(BATCH, 1, &[1]).await;
        assert!(test.other.is_busy(1).await);
        let settled = test.world.settled(1, there(10), &[1], &[]);
        test.world.settle(BATCH, settled).await;
        for _ in 0..2 {
            assert_eq!(test.other.revision(1).await, Some(10));
        }
        assert!(test.is_copied(1));
        test.world.announce(OTHER, 1, &[]).await;
        let settled = test.world.settled(1, gone(11), &[], &[1]);
        test.world.settle(OTHER, settled).await;
        assert!(matches!(test.other.read(1).await, Lookup::Missing(_)));
    }
}

#[tokio::test]
async fn so_is_what_the_instance_does_itself() {
    for divided in [false, true] {
        let test = copied(divided).await;
        test.other.announce(BATCH, 1, &[1]).await;
        assert!(test.other.is_busy(1).await);
        test.other.abort(BATCH, 1, &[1]).await;
        assert_eq!(test.other.revision(1).await, Some(5));
        let keys = [test.other.key(1)];
        let dropped = test.other.storage.drop_documents(&keys, false);
        assert_eq!(dropped.await.unwrap(), [true]);
        assert!(matches!(test.other.read(1).await, Lookup::Missing(_)));
    }
}

#[tokio::test]
async fn a_document_is_sent_once_and_a_crowd_asks_together() {
    let test = Test::alone().await;
    for number in 1..=200 {
        test.world.hold(number, 5).await;
    }
    let all: Vec<_> = (1..=200).map(|number| test.other.key(number)).collect();
    test.other.storage.read(&all).await.unwrap();
    let before = calls(&test.server, "mget");
    let crowd = (1..=200).map(|number| test.other.revision(number));
    let found = futures_util::future::join_all(crowd).await;
    assert_eq!(found, [Some(5); 200]);
    assert_eq!(calls(&test.server, "mget"), before + 1);
}

#[tokio::test]
async fn a_list_reads_what_has_changed_and_nothing_else() {
    for divided in [false, true] {
        let test = copied(divided).await;
        for number in 2..=5 {
            test.world.hold(number, 5).await;
        }
        let all = (1..=5).map(|number| test.other.key(number));
        let all: Vec<_> = all.collect();
        let read = async || {
            let found = test.other.storage.read(&all).await.unwrap();
            let revision = |lookup: &Lookup| match lookup {
                Lookup::Held(held) => held.revision.number(),
                Lookup::Missing(_) | Lookup::Busy | Lookup::Unknown => 0,
            };
            found.iter().map(revision).collect::<Vec<_>>()
        };
        assert_eq!(read().await, [5; 5]);
        test.world.announce(BATCH, 3, &[1]).await;
        assert_eq!(read().await, [5, 5, 0, 5, 5]);
        let settled = test.world.settled(3, there(10), &[1], &[]);
        test.world.settle(BATCH, settled).await;
        assert_eq!(read().await, [5, 5, 10, 5, 5]);
        assert!((1..=5).all(|number| test.is_copied(number)));
    }
}

#[tokio::test]
async fn nothing_is_kept_that_redis_lets_go_by_itself() {
    let test = Test::new().await;
    let token = test.world.miss(1).await;
    let document = (test.world.key(1), token, test.world.held(1, 5));
    let hour = Some(3_600_000);
    let held = test.world.storage.fill(vec![document], hour).await;
    assert_eq!(held.unwrap(), [true]);
    assert_eq!(test.other.revision(1).await, Some(5));
    assert!(!test.is_copied(1));
}

#[tokio::test]
async fn a_server_that_was_emptied_has_nothing_and_no_copy_says_otherwise() {
    let test = Test::alone().await;
    test.world.hold(1, 5).await;
    assert_eq!(test.other.revision(1).await, Some(5));
    let _: String = test.server.ask(&["FLUSHALL"]);
    let keys = [test.other.key(1)];
    let error = test.other.storage.read(&keys).await.unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(!test.is_copied(1));
}

#[tokio::test]
async fn copies_end_with_their_connection() {
    let test = Test::alone().await;
    test.world.hold(1, 5).await;
    assert_eq!(test.other.revision(1).await, Some(5));
    let _: u64 = test.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    // Both notice it, and the first is faster to change the document.
    for redis in [&test.redis, &test.second] {
        while redis.reach().await.is_err() {}
    }
    assert!(!test.is_copied(1));
    test.world.announce(BATCH, 1, &[1]).await;
    assert!(test.other.is_busy(1).await);
}

#[tokio::test]
async fn what_is_used_is_read_again_now_and_then_so_that_redis_knows() {
    let test = Test::alone().await;
    test.world.hold(1, 5).await;
    assert_eq!(test.other.revision(1).await, Some(5));
    let mut eviction = Eviction::new(&test.second);
    let mut looks = 0;
    while test.is_copied(1) {
        eviction.make_room().await.unwrap();
        looks += 1;
        assert!(looks < 100);
    }
    assert_eq!(test.other.revision(1).await, Some(5));
    assert!(test.is_copied(1));
}

#[tokio::test]
async fn no_more_is_kept_than_may_be() {
    let server = Server::shared();
    let settings = RedisSettings {
        documents: 64 << 10,
        ..settings(&server)
    };
    let test = Test::with(server, settings).await;
    for number in 1..=2000 {
        test.world.hold(number, 5).await;
        assert_eq!(test.other.revision(number).await, Some(5));
    }
    let copies = (1..=2000).filter(|number| test.is_copied(*number)).count();
    assert!((32..200).contains(&copies), "{copies}");
    assert!(test.is_copied(2000));
}

#[tokio::test]
async fn an_account_that_may_not_be_told_what_changes_does_without() {
    for forbidden in ["-client|tracking", "-client|caching"] {
        let server = Server::start(&[]);
        let _: String = server.ask(&["ACL", "SETUSER", "default", forbidden]);
        let settings = settings(&server);
        let test = Test::with(server, settings).await;
        test.world.hold(1, 5).await;
        for _ in 0..2 {
            assert_eq!(test.other.revision(1).await, Some(5));
        }
        assert!(!test.is_copied(1));
    }
}
