//! A cluster of three masters.

use std::{cell::Cell, net::TcpListener};

use nubo_core::{
    cache::{Lookup, Members, Reach, SetName},
    observe::BatchId,
    throttle::{Bucket, Left, LocalBuckets, Rate, TokenBuckets},
};

use super::*;
use crate::{
    Claims, RedisBucketSettings, RedisBuckets, Storage,
    redis::{
        budget::Eviction,
        keys::Found,
        partitions::{ON_CLUSTERS, SLOTS},
    },
    redis_service,
    storage::{Place, Settled},
    storage_tests::{BATCH, show_behaviours, there},
};

/// The masters, and which slots each of them has.
struct Cluster {
    masters: Vec<redis_service::Redis>,
    /// How many epochs there were.
    epochs: Cell<u64>,
}

const MASTERS: usize = 3;

impl Cluster {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(options: &[&str]) -> Self {
        let mut masters = Vec::new();
        let mut buses = Vec::new();
        for number in 0..MASTERS {
            let bus = free_port().to_string();
            let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            all.extend(["--cluster-node-timeout", "2000"]);
            all.extend(options);
            let master = redis_service::Redis::start_with(&all);
            let (first, last) = share(number);
            let (first, last) = (first.to_string(), last.to_string());
            ask(&master, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            masters.push(master);
            buses.push(bus);
        }
        for (other, bus) in masters.iter().zip(&buses).skip(1) {
            let port = other.port.to_string();
            ask(&masters[0], &["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        Self {
            masters,
            epochs: Cell::new(0),
        }
    }

    /// Where all of them are.
    fn url(&self) -> String {
        let hosts = self.masters.iter();
        let hosts: Vec<_> = hosts.map(|own| format!("127.0.0.1:{}", own.port)).collect();
        format!("redis://{}/", hosts.join(","))
    }

    fn settings(&self) -> RedisSettings {
        RedisSettings {
            url: self.url(),
            prefix: "nubo-test:".into(),
            limit: LIMIT,
            max_memory: 0,
            margin: 0,
            lists: 1 << 20,
            has_recent: true,
        }
    }

    async fn redis(&self) -> (Redis, Incarnation) {
        self.redis_with(self.settings()).await
    }

    async fn redis_with(&self, settings: RedisSettings) -> (Redis, Incarnation) {
        let redis = Redis::new(Arc::new(catalog()), settings).unwrap();
        let incarnation = reach(&redis).await;
        (redis, incarnation)
    }

    /// A world in an epoch of its own.
    async fn world(&self, redis: &Redis, on: &Incarnation) -> World<RedisStorage> {
        self.worlds(redis, on).await.remove(0)
    }

    /// The same as two instances see it.
    async fn worlds(&self, redis: &Redis, on: &Incarnation) -> Vec<World<RedisStorage>> {
        self.epochs.set(self.epochs.get() + 1);
        let epoch = Epoch {
            number: self.epochs.get(),
            nonce: 1,
        };
        redis.prepare(epoch, on).await.unwrap();
        let worlds = [1, 2].map(|number| {
            let storage = redis.at(epoch, on, instance(number));
            World::new(Arc::new(catalog()), storage)
        });
        worlds.into()
    }

    /// The keys of each master.
    fn keys(&self) -> Vec<Vec<Vec<u8>>> {
        let keys = |master| connect(master).unwrap();
        let masters = self.masters.iter();
        masters
            .map(|own| redis::cmd("KEYS").arg("*").query(&mut keys(own)).unwrap())
            .collect()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The first and the last slot of a master.
fn share(number: usize) -> (usize, usize) {
    let slots = usize::from(SLOTS);
    (number * slots / MASTERS, (number + 1) * slots / MASTERS - 1)
}

fn connect(master: &redis_service::Redis) -> redis::RedisResult<redis::Connection> {
    redis::Client::open(master.url())?.get_connection()
}

fn ask(master: &redis_service::Redis, command: &[&str]) {
    let mut connection = connect(master).unwrap();
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]).exec(&mut connection).unwrap();
}

/// Reaches the cluster as soon as that is possible.
async fn reach(redis: &Redis) -> Incarnation {
    loop {
        match redis.reach().await {
            Ok(incarnation) => return incarnation,
            Err(error) => assert_eq!(error.code(), "cache_unavailable"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cluster_behaves_as_a_server_does() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = async || cluster.world(&redis, &incarnation).await;
    show_behaviours!(world);
    // Every master has its part of it.
    for (number, keys) in cluster.keys().iter().enumerate() {
        assert!(keys.len() > 100, "{number} has {}", keys.len());
    }
    // Any of its servers tells of the others.
    let settings = RedisSettings {
        url: cluster.masters[1].url(),
        ..cluster.settings()
    };
    let (_, same) = cluster.redis_with(settings).await;
    assert_eq!(same, incarnation);

    for seed in 0..2 {
        let memory = Memory::new(&Arc::new(catalog()), Arc::new(Stopped), usize::MAX);
        let memory = World::new(Arc::new(catalog()), memory);
        let world = cluster.world(&redis, &incarnation).await;
        let mut model = Model::new(seed, NARROW, &memory, &world);
        for _ in 0..500 {
            model.step().await;
        }
    }
    let next = Epoch {
        number: cluster.epochs.get() + 1,
        nonce: 1,
    };
    redis.sweep(next, &incarnation).await.unwrap();
    let rest = cluster.keys().concat();
    assert_eq!(rest.len(), 0, "{rest:?}");
}

/// Sets that are on different masters.
fn distant_sets(world: &World<RedisStorage>) -> [SetName; 2] {
    let keys = &world.storage.keys;
    let master = |set: &SetName| {
        let slot = usize::from(keys.slot(keys.home_of_set(set)));
        (0..MASTERS).position(|number| slot <= share(number).1)
    };
    let one = world.set();
    let others = (0..100).map(|number| world.set_of(&number.to_string()));
    let other = others
        .into_iter()
        .find(|other| master(other) != master(&one));
    [one, other.unwrap()]
}

#[tokio::test]
async fn who_moves_from_one_set_to_another_is_missed_in_neither() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let worlds = cluster.worlds(&redis, &incarnation).await;
    let (world, other) = (&worlds[0], &worlds[1]);
    let sets = distant_sets(world);
    for (set, members) in sets.iter().zip([vec![world.member(1, 1)], Vec::new()]) {
        let token = world.storage.begin(set).await.unwrap().unwrap();
        let all = Members {
            after: None,
            members,
            to_the_end: true,
        };
        assert!(world.storage.build(set, token, all).await.unwrap());
    }
    let moves = Cell::new(0_u16);
    let is_over = || moves.get() == 1500;
    let move_about = async {
        while !is_over() {
            let turn = moves.get();
            let place = |number: u16| Place {
                set: sets[usize::from(number % 2)].clone(),
                position: world.position(1, 1),
            };
            let revision = i64::from(turn) + 10;
            let batch = BatchId(revision as u64);
            let announced = crate::storage::Announced {
                revision: there(revision).revision,
                places: vec![place(turn + 1)],
                left: Some(vec![place(turn)]),
                ..world.announced(1, &[])
            };
            let announced = world.storage.announce(batch, &[announced], &[]).await;
            assert!(announced.unwrap()[0], "somebody reads where it will stand");
            let settled = Settled {
                places: vec![place(turn + 1)],
                left: vec![place(turn)],
                left_at: there(revision - 1).revision,
                ..world.settled(1, there(revision), &[], &[])
            };
            world.settle(batch, settled).await;
            moves.set(turn + 1);
        }
    };
    let look = async |world: &World<RedisStorage>| {
        let mut seen = 0;
        while !is_over() {
            let before = moves.get();
            let scan = world.storage.scan(&sets, None, 9).await.unwrap();
            if scan.reach == Reach::Nowhere {
                continue;
            }
            assert_eq!(scan.positions, [world.position(1, 1)]);
            for (_, lookup) in scan.documents.unwrap() {
                if let Lookup::Held(held) = lookup {
                    assert!(held.revision >= there(i64::from(before) + 9).revision || before == 0);
                    seen += 1;
                }
            }
        }
        assert!(seen > 0);
    };
    tokio::join!(move_about, look(world), look(other), look(other));
}

#[tokio::test]
async fn a_master_that_is_lost_takes_everything_along() {
    let mut cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = cluster.world(&redis, &incarnation).await;
    for number in 1..=100 {
        world.hold(number, 5).await;
    }
    cluster.masters[1].kill();
    // Nobody waits for it to come back, and what the others hold is of no use without it.
    let keys: Vec<_> = (1..=100).map(|number| world.key(number)).collect();
    let lost = world.storage.read(&keys).await.unwrap_err();
    assert_eq!(lost.code(), "cache_unavailable");
    for _ in 0..5 {
        assert!(redis.reach().await.is_err());
    }
    assert!(world.storage.read(&keys).await.is_err());

    cluster.masters[1].resume();
    let next = reach(&redis).await;
    assert_ne!(next, incarnation);
    let refused = world.storage.read(&keys).await.unwrap_err();
    assert!(refused.to_string().contains("not the one"), "{refused}");
    let world = cluster.world(&redis, &next).await;
    redis
        .sweep(
            Epoch {
                number: 2,
                nonce: 1,
            },
            &next,
        )
        .await
        .unwrap();
    for number in 1..=100 {
        world.hold(number, 6).await;
    }
    let keys = cluster.keys().concat();
    let found = keys
        .iter()
        .filter_map(|key| Found::parse("nubo-test:", key));
    let own = found.filter(|found| found.part.is_none()).count();
    assert_eq!(own, usize::from(ON_CLUSTERS));
    assert_eq!(keys.len(), own + 100);
}

#[tokio::test]
async fn a_master_that_has_lost_its_data_is_told_nothing() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = cluster.world(&redis, &incarnation).await;
    ask(&cluster.masters[0], &["FLUSHALL"]);
    let mut refused = 0;
    for number in 1..=100 {
        let announced = [world.announced(number, &[1])];
        let result = world.storage.announce(BATCH, &announced, &[]).await;
        refused += u32::from(result.is_err());
    }
    // Every batch with a recent tier has a record in the first partition.
    assert_eq!(refused, 100);
    assert_eq!(cluster.keys()[0].len(), 0);
}

#[tokio::test]
async fn slots_that_move_begin_another_incarnation() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = cluster.world(&redis, &incarnation).await;
    let slot = world
        .storage
        .keys
        .slot(Partitions::ONE.all().next().unwrap());
    ask(&cluster.masters[0], &["FLUSHALL"]);
    let id: String = redis::cmd("CLUSTER")
        .arg("MYID")
        .query(&mut connect(&cluster.masters[2]).unwrap())
        .unwrap();
    for number in [2, 0, 1] {
        let slot = slot.to_string();
        let moving = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
        ask(&cluster.masters[number], &moving);
    }
    let refused = world.storage.condition().await.unwrap_err();
    assert!(refused.to_string().contains("have moved"), "{refused}");
    let next = reach(&redis).await;
    assert_ne!(next, incarnation);
    let world = cluster.world(&redis, &next).await;
    world.open_lists().await;
    for number in 1..=100 {
        world.hold(number, 5).await;
    }
}

#[tokio::test]
async fn what_no_cluster_can_have_is_refused() {
    let cluster = Cluster::start();
    let (redis, _) = cluster.redis().await;
    let refusal = async |settings: RedisSettings| {
        let redis = Redis::new(Arc::new(catalog()), settings).unwrap();
        redis.reach().await.unwrap_err().to_string()
    };
    let braces = RedisSettings {
        prefix: "a{b}:".into(),
        ..cluster.settings()
    };
    let told = refusal(braces).await;
    assert!(told.contains("no braces"), "{told}");
    let policy = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    ask(&cluster.masters[2], &policy);
    let told = refusal(cluster.settings()).await;
    assert!(told.contains("set `maxmemory-policy noeviction`"), "{told}");
    drop(redis);

    let alone = [Server::start(&[]), Server::start(&[])];
    let hosts = alone.each_ref().map(|server| {
        let host = server.url.trim_start_matches("redis://");
        host.trim_end_matches('/').to_owned()
    });
    let settings = RedisSettings {
        url: format!("redis://{}", hosts.join(",")),
        ..settings(&alone[0])
    };
    let told = refusal(settings).await;
    assert!(told.contains("several addresses"), "{told}");
}

#[tokio::test]
async fn each_master_has_a_budget() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = cluster.world(&redis, &incarnation).await;
    for number in 1..=300 {
        world.hold(number, 5).await;
    }
    world.announce(BATCH, 301, &[1]).await;
    let settings = RedisSettings {
        max_memory: 1,
        ..cluster.settings()
    };
    let (limited, _) = cluster.redis_with(settings).await;
    Eviction::new(&limited).make_room().await.unwrap();
    for number in 1..=300 {
        assert_eq!(world.revision(number).await, None);
    }
    assert!(world.is_busy(301).await);
    let storage = limited.at(EPOCH, &incarnation, instance(3));
    let statistics = storage.statistics();
    assert_eq!(statistics.budget, 3);
    assert!(statistics.collections[0].unwrap().evictions >= 300);
}

#[tokio::test]
async fn buckets_are_wherever_their_keys_are() {
    let cluster = Cluster::start();
    let (redis, _) = cluster.redis().await;
    drop(redis);
    let instances = [(); 2].map(|()| {
        let settings = RedisBucketSettings {
            url: cluster.url(),
            prefix: "nubo-test:count:".into(),
            limit: LIMIT,
        };
        let local = LocalBuckets::new(1000, Arc::new(Stopped));
        RedisBuckets::new(settings, local).unwrap()
    });
    for instance in &instances {
        instance.reach().await.unwrap();
    }
    let rate = Rate::new(2, 3_600_000_000);
    for number in 0..30 {
        let bucket = Bucket {
            what: "guess",
            subject: [number; 16],
        };
        assert_eq!(instances[0].take(bucket, rate).await, Ok(Left(1)));
        assert_eq!(instances[1].take(bucket, rate).await, Ok(Left(0)));
        assert!(instances[0].take(bucket, rate).await.is_err());
        instances[0].give_back(bucket, rate).await;
        assert_eq!(instances[1].take(bucket, rate).await, Ok(Left(0)));
    }
    assert!(cluster.keys().iter().all(|keys| !keys.is_empty()));
}
