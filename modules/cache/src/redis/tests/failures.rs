//! Servers that do not answer, are not what they were, or cannot hold the cache.

use super::*;
use crate::{
    Storage,
    storage_tests::{BATCH, OTHER, there},
};

/// Short, because it is waited for.
const SHORT: Duration = Duration::from_millis(400);

fn redis(url: &str) -> Redis {
    let settings = RedisSettings {
        url: url.to_owned(),
        prefix: "nubo-test:".into(),
        limit: LIMIT,
        max_memory: 0,
        margin: 0,
        lists: 0,
        documents: 0,
        has_recent: true,
    };
    Redis::new(Arc::new(catalog()), settings).unwrap()
}

/// Why a server cannot be used.
async fn refusal(redis: &Redis) -> String {
    let error = redis.reach().await.unwrap_err();
    assert_eq!(error.code(), "cache_unavailable");
    error.to_string()
}

/// Reaches the server as soon as that is possible.
async fn reach(redis: &Redis) -> Incarnation {
    loop {
        if let Ok(incarnation) = redis.reach().await {
            return incarnation;
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    let test = Test::alone().await;
    test.world.hold(1, 5).await;
    let settings = RedisSettings {
        limit: SHORT,
        ..settings(&test.server)
    };
    let redis = Redis::new(Arc::new(catalog()), settings).unwrap();
    assert_eq!(reach(&redis).await, test.incarnation);
    let storage = redis.at(EPOCH, &test.incarnation, instance(3));
    let world = World::new(Arc::new(catalog()), storage);

    test.server.freeze();
    let late = world.storage.read(&[world.key(1)]).await.unwrap_err();
    assert_eq!(late.code(), "cache_unavailable");
    // A batch that cannot be announced is taken back, however late the server learns of it.
    let announced = [world.announced(1, &[1])];
    world
        .storage
        .announce(BATCH, &announced, &[])
        .await
        .unwrap_err();
    world
        .storage
        .abort(BATCH, &announced, &[])
        .await
        .unwrap_err();
    // The connection is given up, and another is not to be had.
    for _ in 0..2 {
        refusal(&redis).await;
    }
    let none = world.storage.read(&[world.key(1)]).await.unwrap_err();
    assert!(none.to_string().contains("no connection"), "{none}");

    test.server.thaw();
    assert_eq!(reach(&redis).await, test.incarnation);
    while world.storage.read(&[world.key(1)]).await.is_err() {}
    // What was sent before may come only now.
    while test.world.is_busy(1).await {}
    assert_eq!(test.world.revision(1).await, Some(5));
}

#[tokio::test]
async fn a_server_that_comes_back_is_another_one() {
    let mut test = Test::alone().await;
    test.world.hold(1, 5).await;
    let _: String = test.server.ask(&["SAVE"]);
    test.world.announce(BATCH, 1, &[]).await;
    let settled = test.world.settled(1, there(10), &[], &[]);
    test.world.settle(BATCH, settled).await;
    test.server.kill();
    let key = test.world.key(1);
    test.world.storage.read(&[key]).await.unwrap_err();
    refusal(&test.redis).await;
    test.server.restart();
    let incarnation = reach(&test.redis).await;
    assert_ne!(incarnation, test.incarnation);
    // What it has kept is older than what was last told: it is not asked.
    let refused = test.world.storage.read(&[key]).await.unwrap_err();
    assert!(refused.to_string().contains("not the one"), "{refused}");
    let next = Epoch {
        number: EPOCH.number + 1,
        nonce: 1,
    };
    test.redis
        .prepare(next, &test.incarnation)
        .await
        .unwrap_err();
    test.redis.sweep(next, &test.incarnation).await.unwrap_err();
    test.redis.prepare(next, &incarnation).await.unwrap();
    test.redis.sweep(next, &incarnation).await.unwrap();
    let storage = test.redis.at(next, &incarnation, instance(1));
    World::new(Arc::new(catalog()), storage).miss(1).await;
    assert_eq!(
        test.server.ask::<usize>(&["DBSIZE"]),
        2,
        "the epoch and a fill token"
    );
}

#[tokio::test]
async fn nothing_is_asked_before_there_is_a_connection() {
    let server = Server::shared();
    let redis = Redis::new(Arc::new(catalog()), settings(&server)).unwrap();
    let incarnation = Incarnation::new("some");
    assert!(redis.prepare(EPOCH, &incarnation).await.is_err());
    let storage = redis.at(EPOCH, &incarnation, instance(1));
    let world = World::new(Arc::new(catalog()), storage);
    assert!(world.storage.read(&[world.key(1)]).await.is_err());
    // Those who come together make one connection.
    let (a, b) = tokio::join!(redis.reach(), redis.reach());
    assert_eq!(a.unwrap(), b.unwrap());
}

#[tokio::test]
async fn a_server_that_evicts_by_itself_is_refused() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let told = refusal(&redis(&server.url)).await;
    assert!(told.contains("set `maxmemory-policy noeviction`"), "{told}");
    assert!(told.contains("`allkeys-lru`"), "{told}");
}

#[tokio::test]
async fn a_replica_is_refused_whether_it_was_one_or_becomes_one() {
    let master = Server::start(&[]);
    let port = master.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let told = refusal(&redis(&replica.url)).await;
    assert!(told.contains("give the URL of its master"), "{told}");

    let test = Test::alone().await;
    let _: String = test.server.ask(&["REPLICAOF", "127.0.0.1", port]);
    let told = refusal(&test.redis).await;
    assert!(told.contains("give the URL of its master"), "{told}");
}

#[tokio::test]
async fn who_may_not_in_is_told_where_to_look() {
    let server = Server::start(&["--requirepass", "right"]);
    let address = server.url.trim_start_matches("redis://");
    let told = refusal(&redis(&format!("redis://:wrong@{address}"))).await;
    assert!(told.contains("the password in the URL"), "{told}");
    let told = refusal(&redis(&format!("redis://{address}"))).await;
    assert!(told.contains("the password in the URL"), "{told}");
    assert!(
        redis(&format!("redis://:right@{address}"))
            .reach()
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut server = Server::start(&[]);
    server.kill();
    let told = refusal(&redis(&server.url)).await;
    assert!(told.contains("connection"), "{told}");
    let settings = RedisSettings {
        url: "http://localhost".into(),
        ..settings(&server)
    };
    assert!(Redis::new(Arc::new(catalog()), settings).is_err());
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_not_talked_to_as_if_it_did() {
    let server = Server::start(&[]);
    let settings = RedisSettings {
        url: server.url.replace("redis:", "rediss:"),
        limit: SHORT,
        ..settings(&server)
    };
    let encrypted = Redis::new(Arc::new(catalog()), settings).unwrap();
    // It waits for a line to end.
    assert_eq!(refusal(&encrypted).await, "Redis does not answer in time");
}

#[tokio::test]
async fn scripts_that_a_server_forgets_are_given_to_it_again() {
    let test = Test::alone().await;
    let flush = || {
        let _: String = test.server.ask(&["SCRIPT", "FLUSH"]);
    };
    flush();
    let token = test.world.miss(5000).await;
    flush();
    assert!(test.world.fill(5000, token, 5).await);
    flush();
    assert!(test.world.announce(BATCH, 5000, &[1]).await);
    flush();
    let settled = test.world.settled(5000, there(10), &[1], &[]);
    test.world.settle(BATCH, settled).await;
    flush();
    crate::storage_tests::many_documents_are_read_and_changed_at_once(&test.other).await;
}

#[tokio::test]
async fn a_full_server_takes_nothing_more_and_lets_everything_go() {
    let server = Server::start(&["--maxmemory", "6mb"]);
    let settings = settings(&server);
    let test = Test::with(server, settings).await;
    let world = &test.world;
    world.hold(1, 5).await;
    world.announce(BATCH, 1, &[1]).await;
    world.announce(OTHER, 2, &[2]).await;
    test.other.announce(BATCH, 3, &[3]).await;
    let _: i64 = test.server.ask(&["SETBIT", "ballast", "48000000", "1"]);
    let announced = [world.announced(4, &[4])];
    let refused = world
        .storage
        .announce(BATCH, &announced, &[])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("OOM"), "{refused}");
    assert!(world.is_busy(1).await);
    let settled = world.settled(1, there(10), &[1], &[]);
    world.settle(BATCH, settled).await;
    assert_eq!(world.revision(1).await, Some(10));
    world.abort(OTHER, 2, &[2]).await;
    let fenced = test.redis.take_back(EPOCH, &test.incarnation, instance(2));
    fenced.await.unwrap();
    world.storage.clear().await.unwrap();
    let next = Epoch {
        number: EPOCH.number + 1,
        nonce: 1,
    };
    test.redis.sweep(next, &test.incarnation).await.unwrap();
    assert_eq!(test.server.keys().len(), 0);
}
