//! What every storage must do, of the one in Redis, and what is special to it.

mod buckets;
mod budget;
mod claims;
mod cluster;
mod copies;
mod epochs;
mod failures;
mod lists;
mod server;
mod together;

use std::{sync::Arc, time::Duration};

use nubo_core::{
    coordination::{Epoch, Incarnation},
    id::Id,
};
use uuid::Uuid;

use super::{Redis, RedisSettings, RedisStorage, partitions::Partitions};
use crate::{
    Memory,
    storage::Remote,
    storage_tests::{
        World, catalog,
        model::{Model, NARROW, WIDE},
        test_behaviours,
    },
};
use server::Server;

/// Long enough for a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

/// Few enough for things to meet, and for some of them to have a partition together.
const PARTITIONS: Partitions = Partitions::new(5);

const EPOCH: Epoch = Epoch {
    number: 3,
    nonce: 0xab,
};

fn settings(server: &Server) -> RedisSettings {
    RedisSettings {
        url: server.url.clone(),
        prefix: server.prefix.clone(),
        limit: LIMIT,
        max_memory: 0,
        margin: 0,
        lists: 1 << 20,
        documents: 1 << 20,
        has_recent: true,
    }
}

fn instance(number: u128) -> Id {
    Id::from_uuid(Uuid::from_u128(number))
}

/// A server with an epoch, as two instances use it, each by its own connection.
struct Test {
    redis: Redis,
    second: Redis,
    incarnation: Incarnation,
    world: World<RedisStorage>,
    other: World<RedisStorage>,
    server: Server,
}

impl Test {
    /// On a server that others may use, too.
    async fn new() -> Self {
        let server = Server::shared();
        let settings = settings(&server);
        Self::with(server, settings).await
    }

    /// On a server of the test's own, which may do anything to it.
    async fn alone() -> Self {
        let server = Server::start(&[]);
        let settings = settings(&server);
        Self::with(server, settings).await
    }

    /// With an epoch as it is on a server, and with one as it is on a cluster.
    async fn both() -> [Self; 2] {
        [Self::new().await, Self::divided().await]
    }

    /// The same with epochs that are divided into several partitions.
    async fn divided() -> Self {
        let server = Server::shared();
        let settings = settings(&server);
        Self::in_partitions(server, settings, PARTITIONS).await
    }

    async fn with(server: Server, settings: RedisSettings) -> Self {
        Self::in_partitions(server, settings, Partitions::ONE).await
    }

    async fn in_partitions(server: Server, settings: RedisSettings, count: Partitions) -> Self {
        let catalog = Arc::new(catalog());
        let redis = || {
            let redis = Redis::new(Arc::clone(&catalog), settings.clone()).unwrap();
            redis.divided(count)
        };
        let (redis, second) = (redis(), redis());
        let incarnation = redis.reach().await.unwrap();
        assert_eq!(second.reach().await.unwrap(), incarnation);
        redis.prepare(EPOCH, &incarnation).await.unwrap();
        let world = |redis: &Redis, number| {
            let storage = redis.at(EPOCH, &incarnation, instance(number));
            World::new(Arc::clone(&catalog), storage)
        };
        Self {
            world: world(&redis, 1),
            other: world(&second, 2),
            redis,
            second,
            incarnation,
            server,
        }
    }
}

impl Test {
    /// The same server, used by somebody who lets it hold no more than that.
    async fn limited(self, max_memory: u64) -> Self {
        let settings = RedisSettings {
            max_memory,
            ..settings(&self.server)
        };
        Self::with(self.server, settings).await
    }
}

async fn world() -> (World<RedisStorage>, Server) {
    let test = Test::new().await;
    (test.world, test.server)
}

test_behaviours!(world);

/// The same where excerpts cannot be read from what is sent.
mod notes {
    use super::*;

    async fn world() -> (World<RedisStorage>, Server) {
        let (mut world, server) = super::world().await;
        world.name = "notes";
        (world, server)
    }

    test_behaviours!(world);
}

/// The same in several partitions.
mod divided {
    use super::*;

    async fn world() -> (World<RedisStorage>, Server) {
        let test = Test::divided().await;
        (test.world, test.server)
    }

    test_behaviours!(world);
}

struct Stopped;

impl nubo_core::clock::Clock for Stopped {
    fn micros(&self) -> i64 {
        0
    }
}

/// Asks the storage in this process and the one in Redis the same things.
async fn compare(test: &Test, seed: u64, scale: crate::storage_tests::model::Scale, steps: usize) {
    let catalog = Arc::new(catalog());
    let memory = Memory::new(&catalog, Arc::new(Stopped), usize::MAX);
    let memory = World::new(catalog, memory);
    let mut model = Model::new(seed, scale, &memory, &test.world);
    for _ in 0..steps {
        model.step().await;
    }
}

#[tokio::test]
async fn it_answers_as_the_one_in_this_process_does() {
    for seed in 0..8 {
        compare(&Test::new().await, seed, NARROW, 2500).await;
        compare(&Test::divided().await, seed, NARROW, 1000).await;
    }
}

#[tokio::test]
async fn it_does_so_with_many_documents() {
    for seed in 0..3 {
        compare(&Test::new().await, seed, WIDE, 400).await;
    }
    compare(&Test::divided().await, 3, WIDE, 200).await;
}
