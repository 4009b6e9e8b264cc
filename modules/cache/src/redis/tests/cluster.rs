//! A cluster of three masters.

use std::cell::Cell;

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
        link::Command,
        partitions::{ON_CLUSTERS, Partition},
    },
    redis_service::{self, Cluster as Servers},
    storage::{Announced, Place, Settled},
    storage_tests::{BATCH, show_behaviours, there},
};

/// A cluster, and how many epochs there were on it.
struct Cluster {
    servers: Servers,
    epochs: Cell<u64>,
}

impl Cluster {
    fn start() -> Self {
        Self {
            servers: Servers::start(),
            epochs: Cell::new(0),
        }
    }

    fn settings(&self) -> RedisSettings {
        RedisSettings {
            url: self.servers.url(),
            prefix: "nubo-test:".into(),
            limit: LIMIT,
            max_memory: 0,
            margin: 0,
            lists: 1 << 20,
            documents: 1 << 20,
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
        let keys = |master: &redis_service::Redis| {
            let client = redis::Client::open(master.url()).unwrap();
            let mut connection = client.get_connection().unwrap();
            redis::cmd("KEYS").arg("*").query(&mut connection).unwrap()
        };
        self.servers.masters.iter().map(keys).collect()
    }
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
        url: cluster.servers.masters[1].url(),
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
    let place = |set: &SetName| Servers::master_of(keys.slot(keys.home_of_set(set)));
    let one = world.set();
    let mut others = (0..100).map(|number| world.set_of(&number.to_string()));
    let other = others.find(|other| place(other) != place(&one));
    [one, other.unwrap()]
}

#[tokio::test]
async fn who_moves_from_one_set_to_another_is_missed_in_neither() {
    let cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let worlds = cluster.worlds(&redis, &incarnation).await;
    let (world, other) = (&worlds[0], &worlds[1]);
    let sets = distant_sets(world);
    build_all(world, &sets[0], &[1]).await;
    build_all(world, &sets[1], &[]).await;
    let moves = Cell::new(0_u16);
    let is_over = || moves.get() == 150;
    let move_about = async {
        while !is_over() {
            let turn = moves.get();
            let place = |number: u16| Place {
                set: sets[usize::from(number % 2)].clone(),
                position: world.position(1, 1),
            };
            let revision = i64::from(turn) + 10;
            let batch = BatchId(revision as u64);
            let announced = Announced {
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

/// Holds up everything that goes from one user of the cluster to the master of a partition, until
/// somebody else lets it go on.
async fn hold_up(redis: &Redis, storage: &RedisStorage, partition: Partition) {
    let link = &redis.shared.link;
    let connection = link.to(&storage.incarnation).unwrap();
    let mut command = redis::cmd("BLPOP");
    command.arg(gate(storage, partition)).arg(0);
    let command = Command::new(command, storage.keys.slot(partition), 1);
    link.call(&connection, vec![command]).await.unwrap();
}

async fn let_go_on(storage: &RedisStorage, partition: Partition) {
    let mut command = redis::cmd("RPUSH");
    command.arg(gate(storage, partition)).arg("go on");
    let command = Command::new(command, storage.keys.slot(partition), 1);
    storage.run(vec![command]).await.unwrap();
}

fn gate(storage: &RedisStorage, partition: Partition) -> Vec<u8> {
    [&storage.keys.epoch(partition)[..], b":gate"].concat()
}

/// One epoch, as two users of the cluster know it who have nothing in common.
async fn two_users(cluster: &Cluster) -> [(Redis, World<RedisStorage>); 2] {
    let (one, incarnation) = cluster.redis().await;
    let (other, _) = cluster.redis().await;
    one.prepare(EPOCH, &incarnation).await.unwrap();
    [(one, 1), (other, 2)].map(|(redis, number)| {
        let storage = redis.at(EPOCH, &incarnation, instance(number));
        (redis, World::new(Arc::new(catalog()), storage))
    })
}

async fn build_all(world: &World<RedisStorage>, set: &SetName, numbers: &[u128]) {
    let token = world.storage.begin(set).await.unwrap().unwrap();
    let members = numbers.iter().map(|number| world.member(*number, 1));
    let all = Members {
        after: None,
        members: members.collect(),
        to_the_end: true,
    };
    assert!(world.storage.build(set, token, all).await.unwrap());
}

#[tokio::test]
async fn who_moves_while_sets_are_read_is_not_missed() {
    let cluster = Cluster::start();
    let [(reader, readers), (_, world)] = &two_users(&cluster).await;
    let sets = distant_sets(world);
    build_all(world, &sets[0], &[1]).await;
    build_all(world, &sets[1], &[]).await;
    let place = |set: &SetName| Place {
        set: set.clone(),
        position: world.position(1, 1),
    };
    let first = world.storage.keys.home_of_set(&sets[0]);
    let go = async {
        let announced = Announced {
            places: vec![place(&sets[1])],
            left: Some(vec![place(&sets[0])]),
            ..world.announced(1, &[])
        };
        let announced = world.storage.announce(BATCH, &[announced], &[]).await;
        announced.unwrap();
        let settled = Settled {
            places: vec![place(&sets[1])],
            left: vec![place(&sets[0])],
            ..world.settled(1, there(10), &[], &[])
        };
        world.settle(BATCH, settled).await;
        let_go_on(&world.storage, first).await;
    };
    // The set where it will stand is read before it moves, the other one afterwards.
    let scan = readers.storage.scan(&sets, None, 9);
    let hold_up = hold_up(reader, &readers.storage, first);
    let ((), scan, ()) = tokio::join!(hold_up, scan, go);
    let scan = scan.unwrap();
    assert_eq!(scan.positions, [world.position(1, 1)]);
    assert_eq!(scan.reach, Reach::End);
}

#[tokio::test]
async fn a_list_is_not_kept_with_a_document_that_is_about_to_change() {
    let cluster = Cluster::start();
    let [(writer, writers), (_, world)] = &two_users(&cluster).await;
    let set = world.set();
    let keys = &world.storage.keys;
    let of_set = keys.home_of_set(&set);
    let numbers = 1..100;
    let home = |number: u128| keys.home(world.key(number));
    let master = |partition| Servers::master_of(keys.slot(partition));
    let is_far = |number: &u128| master(home(*number)) != master(of_set);
    let number = numbers.into_iter().find(is_far).unwrap();
    build_all(world, &set, &[number]).await;
    world.hold(number, 5).await;
    let find = async || {
        let scan = world.storage.scan(&[world.set()], None, 9).await.unwrap();
        scan.documents.unwrap().remove(0).1
    };
    for (partition, revision) in [(home(number), 10), (of_set, 20)] {
        let batch = BatchId(revision as u64);
        let announce = async {
            let announced = [Announced {
                revision: there(revision).revision,
                ..writers.announced(number, &[1])
            }];
            writers.storage.announce(batch, &announced, &[]).await
        };
        let look = async {
            // Whatever the writer can do meanwhile, he does.
            tokio::time::sleep(Duration::from_millis(300)).await;
            find().await;
            let_go_on(&world.storage, partition).await;
        };
        let held_up = hold_up(writer, &writers.storage, partition);
        let ((), announced, ()) = tokio::join!(held_up, announce, look);
        assert!(announced.unwrap()[0]);
        assert!(matches!(find().await, Lookup::Busy));
        let settled = writers.settled(number, there(revision), &[1], &[]);
        writers.settle(batch, settled).await;
        let Lookup::Held(held) = find().await else {
            panic!("it is held again");
        };
        assert_eq!(held.revision, there(revision).revision);
    }
}

#[tokio::test]
async fn a_master_that_is_lost_takes_everything_along() {
    let mut cluster = Cluster::start();
    let (redis, incarnation) = cluster.redis().await;
    let world = cluster.world(&redis, &incarnation).await;
    for number in 1..=100 {
        world.hold(number, 5).await;
    }
    cluster.servers.masters[1].kill();
    // Nobody waits for it to come back, and what the others hold is of no use without it.
    let keys: Vec<_> = (1..=100).map(|number| world.key(number)).collect();
    let lost = world.storage.read(&keys).await.unwrap_err();
    assert_eq!(lost.code(), "cache_unavailable");
    for _ in 0..5 {
        assert!(redis.reach().await.is_err());
    }
    assert!(world.storage.read(&keys).await.is_err());

    cluster.servers.masters[1].resume();
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
    cluster.servers.masters[0].ask("FLUSHALL");
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
    cluster.servers.masters[0].ask("FLUSHALL");
    cluster.servers.move_slot(slot, 2);
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
    cluster.servers.masters[2].ask("CONFIG SET maxmemory-policy allkeys-lru");
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
            url: cluster.servers.url(),
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
