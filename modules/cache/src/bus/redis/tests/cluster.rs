//! A cluster, one master of which has everything.

use super::*;
use crate::{
    bus::tests::{channel, event, hear, hears, numbers, until},
    redis::slot,
};

/// Where the bus of the instances with a name is.
fn place(name: &str) -> (u16, usize) {
    let slot = slot(format!("{{{name}}}:").as_bytes());
    (slot, Cluster::master_of(slot))
}

/// Both are connected, and one listens.
async fn connected(cluster: &Cluster, name: &str) -> Instances {
    let instances = Instances::over(cluster, name);
    bus(&instances.two).open(&channel("a")).await.unwrap();
    bus(&instances.one).publish(vec![event(&["a"], 1)]);
    hears(bus(&instances.two), &[1]).await;
    instances
}

/// Both find together again in another epoch: who listens has missed something.
async fn found_again(Instances { one, two }: Instances) {
    let heard = hear(bus(&two), 1).await;
    assert_eq!(numbers(&heard), [0]);
    until("both are connected", async || {
        bus(&one).publish(vec![event(&["a"], 2)]);
        let heard = bus(&two).next().await;
        numbers(&heard).contains(&2)
    })
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_master_that_comes_back_is_found_and_has_lost_everything() {
    let mut cluster = Cluster::start();
    let instances = connected(&cluster, "x").await;
    let (_, number) = place("x");
    cluster.masters[number].kill();
    until("it is away", async || {
        bus(&instances.one).open(&channel("b")).await.is_err()
    })
    .await;
    cluster.masters[number].resume();
    cluster.wait_until_whole();
    found_again(instances).await;
}

#[tokio::test]
async fn the_bus_goes_where_its_slot_goes() {
    let cluster = Cluster::start();
    let instances = connected(&cluster, "x").await;
    let (slot, number) = place("x");
    cluster.masters[number].ask("FLUSHALL");
    cluster.move_slot(slot, (number + 1) % Cluster::MASTERS);
    found_again(instances).await;
}
