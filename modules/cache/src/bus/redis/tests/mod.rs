//! What several instances over one Redis promise, whatever happens between them and it.

mod cluster;
mod cuts;
mod history;
mod order;
mod presence;

use std::time::Duration;

use nubo_core::bus::Bus;

use super::*;
use crate::{
    bus::tests::{Hand, Seeded, redis_server::RedisServer},
    redis_service::Cluster,
};

/// Two instances of a server.
pub(in crate::bus) struct Instances {
    pub one: Arc<RedisBus>,
    pub two: Arc<RedisBus>,
}

impl Instances {
    pub fn on(server: &RedisServer) -> Self {
        Self::with(server, |_| {})
    }

    pub fn with(server: &RedisServer, change: impl Fn(&mut RedisBusSettings)) -> Self {
        Self {
            one: instance(server, 1, &change),
            two: instance(server, 2, &change),
        }
    }
}

impl Instances {
    /// Over a cluster, under a name of their own.
    pub fn over(cluster: &Cluster, name: &str) -> Self {
        let instance = |seed| {
            let prefix = format!("{{{name}}}:");
            let change = |settings: &mut RedisBusSettings| settings.prefix.clone_from(&prefix);
            let world = (Arc::default(), Arc::new(Hand::default()) as Arc<dyn Clock>);
            instance_at(cluster.url(), seed, change, world)
        };
        Self {
            one: instance(1),
            two: instance(2),
        }
    }
}

/// An instance with its own randomness.
pub(in crate::bus) fn instance(
    server: &RedisServer,
    seed: u64,
    change: impl Fn(&mut RedisBusSettings),
) -> Arc<RedisBus> {
    instance_of(
        server,
        seed,
        change,
        (Arc::default(), Arc::new(Hand::default())),
    )
}

/// The same for events of these collections, at the time of this clock.
fn instance_of(
    server: &RedisServer,
    seed: u64,
    change: impl Fn(&mut RedisBusSettings),
    world: (Arc<Catalog>, Arc<dyn Clock>),
) -> Arc<RedisBus> {
    instance_at(server.url(), seed, change, world)
}

fn instance_at(
    url: String,
    seed: u64,
    change: impl Fn(&mut RedisBusSettings),
    (catalog, clock): (Arc<Catalog>, Arc<dyn Clock>),
) -> Arc<RedisBus> {
    let mut settings = RedisBusSettings {
        url,
        // Machines that run tests are busy.
        timeout: Duration::from_secs(5),
        ..RedisBusSettings::default()
    };
    change(&mut settings);
    let bus = RedisBus::new(settings, catalog, clock, Arc::new(Seeded::new(seed)));
    let bus = bus.unwrap();
    bus.start();
    Arc::new(bus)
}

/// The bus as a trait, to call its methods on.
fn bus(bus: &Arc<RedisBus>) -> &dyn Bus {
    &**bus
}
