//! The same suite for token buckets in this process and in Redis, and what is special to those.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use nubo_core::{
    clock::Clock,
    throttle::{Bucket, Empty, Left, LocalBuckets, Rate, TokenBuckets},
};

use super::{LIMIT, server::Server};
use crate::redis::buckets::{RedisBucketSettings, RedisBuckets};

/// So long that no time that passes while a test runs makes a difference to a decision.
const HOUR: i64 = 3_600_000_000;

#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn micros(&self) -> i64 {
        1_795_000_000_000_000 + self.0.load(Ordering::Relaxed)
    }
}

/// Buckets, and time that passes for them.
trait World {
    fn buckets(&self) -> &dyn TokenBuckets;
    fn pass(&self, micros: i64);
}

struct Local {
    buckets: LocalBuckets,
    clock: Arc<Hands>,
}

impl Local {
    fn new() -> Self {
        let clock = Arc::new(Hands::default());
        Self {
            buckets: LocalBuckets::new(1000, clock.clone()),
            clock,
        }
    }
}

impl World for Local {
    fn buckets(&self) -> &dyn TokenBuckets {
        &self.buckets
    }

    fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Two instances on one server, which take turns.
struct Shared {
    instances: [RedisBuckets; 2],
    next: AtomicI64,
    server: Server,
}

impl Shared {
    async fn new() -> Self {
        Self::on(Server::shared()).await
    }

    async fn on(server: Server) -> Self {
        let instances = [instance(&server), instance(&server)];
        for instance in &instances {
            instance.reach().await.unwrap();
        }
        Self {
            instances,
            next: AtomicI64::new(0),
            server,
        }
    }
}

impl World for Shared {
    fn buckets(&self) -> &dyn TokenBuckets {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.instances[usize::from(turn % 2 == 0)]
    }

    /// What is stored is moved into the past, which looks the same from there.
    fn pass(&self, micros: i64) {
        for key in self.server.keys() {
            let key = String::from_utf8(key).unwrap();
            let time: i64 = self.server.ask(&["GET", &key]);
            let earlier = (time - micros).to_string();
            let _: String = self.server.ask(&["SET", &key, &earlier, "KEEPTTL"]);
        }
    }
}

fn instance(server: &Server) -> RedisBuckets {
    let settings = RedisBucketSettings {
        url: server.url.clone(),
        prefix: server.prefix.clone(),
        limit: LIMIT,
    };
    RedisBuckets::new(
        settings,
        LocalBuckets::new(1000, Arc::new(Hands::default())),
    )
    .unwrap()
}

fn of(number: u8) -> Bucket {
    Bucket {
        what: "guess",
        subject: [number; 16],
    }
}

/// How long it takes, in intervals begun.
fn waits(taken: Result<Left, Empty>, rate: Rate) -> Result<u32, i64> {
    let intervals = |wait: i64| (wait + rate.interval() - 1) / rate.interval();
    taken
        .map(|left| left.0)
        .map_err(|empty| intervals(empty.wait))
}

async fn so_many_at_once_and_then_one_after_each_interval(world: &dyn World) {
    let rate = Rate::new(3, HOUR);
    let take = async |number| waits(world.buckets().take(of(number), rate).await, rate);
    for left in [2, 1, 0] {
        assert_eq!(take(1).await, Ok(left));
    }
    assert_eq!(take(1).await, Err(1));
    assert_eq!(take(2).await, Ok(2), "others are not concerned");
    let other = Bucket {
        what: "other",
        ..of(1)
    };
    assert_eq!(world.buckets().take(other, rate).await, Ok(Left(2)));
    world.pass(HOUR / 2);
    assert_eq!(take(1).await, Err(1));
    world.pass(HOUR / 2);
    assert_eq!(take(1).await, Ok(0));
    assert_eq!(take(1).await, Err(1));
    world.pass(100 * HOUR);
    assert_eq!(
        take(1).await,
        Ok(2),
        "a bucket holds no more than the burst"
    );
}

async fn what_is_given_back_can_be_taken_again(world: &dyn World) {
    let rate = Rate::new(1, HOUR);
    for _ in 0..5 {
        assert_eq!(world.buckets().take(of(1), rate).await, Ok(Left(0)));
        world.buckets().give_back(of(1), rate).await;
    }
    world.buckets().give_back(of(1), rate).await;
    world.buckets().give_back(of(2), rate).await;
    assert_eq!(world.buckets().take(of(1), rate).await, Ok(Left(0)));
    assert!(world.buckets().take(of(1), rate).await.is_err());
    assert_eq!(world.buckets().take(of(2), rate).await, Ok(Left(0)));
    assert!(world.buckets().take(of(2), rate).await.is_err());
}

async fn a_clock_that_is_set_back_locks_nobody_out(world: &dyn World) {
    let rate = Rate::new(1, HOUR);
    assert_eq!(world.buckets().take(of(1), rate).await, Ok(Left(0)));
    world.pass(-24 * HOUR);
    let wait = waits(world.buckets().take(of(1), rate).await, rate);
    assert_eq!(wait, Err(1));
    world.pass(HOUR);
    assert_eq!(world.buckets().take(of(1), rate).await, Ok(Left(0)));
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod local {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(&Local::new()).await; })*
        }
        mod shared {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(&Shared::new().await).await; })*
        }
    };
}

suite!(
    so_many_at_once_and_then_one_after_each_interval,
    what_is_given_back_can_be_taken_again,
    a_clock_that_is_set_back_locks_nobody_out,
);

/// Both decide alike whatever happens. Time passes in halves of the interval; what really passes
/// meanwhile can only let somebody through who would have been let through a moment later, and there
/// is half an hour to the next such moment.
#[tokio::test]
async fn both_decide_alike() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let (local, shared) = (Local::new(), Shared::new().await);
        let rate = Rate::new(random.u32(1..5), HOUR);
        for step in 0..100 {
            let bucket = of(random.u8(0..3));
            match random.u8(0..10) {
                0..6 => {
                    let here = waits(local.buckets().take(bucket, rate).await, rate);
                    let there = waits(shared.buckets().take(bucket, rate).await, rate);
                    assert_eq!(here, there, "step {step}");
                }
                6..8 => {
                    local.buckets().give_back(bucket, rate).await;
                    shared.buckets().give_back(bucket, rate).await;
                }
                _ => {
                    let time = random.i64(1..6) * (HOUR / 2);
                    local.pass(time);
                    shared.pass(time);
                }
            }
        }
    }
}

#[tokio::test]
async fn of_many_at_the_same_moment_as_many_get_through_as_there_are_tokens() {
    let shared = Shared::new().await;
    let rate = Rate::new(10, HOUR);
    let tries = (0..100).map(|number| shared.instances[number % 2].take(of(1), rate));
    let mut through = 0;
    for taken in futures(tries).await {
        through += u32::from(taken.is_ok());
    }
    assert_eq!(through, 10);
}

/// The outcomes of all of them, which are under way at the same time.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut under_way: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = under_way.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in under_way.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn buckets_expire_by_themselves() {
    let shared = Shared::new().await;
    let take = shared.instances[0].take(of(1), Rate::new(5, HOUR));
    take.await.unwrap();
    let keys = shared.server.keys();
    let [key] = &keys[..] else {
        panic!("{} keys", keys.len());
    };
    let key = String::from_utf8(key.clone()).unwrap();
    let name = format!("{}guess:{}", shared.server.prefix, "01".repeat(16));
    assert_eq!(key, name);
    let left: i64 = shared.server.ask(&["PTTL", &key]);
    assert!(left > 0 && left <= HOUR / 1000, "{left}");
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_given_them_again() {
    let shared = Shared::on(Server::start(&[])).await;
    let rate = Rate::new(1, HOUR);
    let _: String = shared.server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(shared.instances[0].take(of(1), rate).await, Ok(Left(0)));
    assert!(shared.instances[1].take(of(1), rate).await.is_err());
}

#[tokio::test]
async fn without_redis_each_instance_counts_alone() {
    let mut shared = Shared::on(Server::start(&[])).await;
    let rate = Rate::new(2, HOUR);
    assert_eq!(shared.instances[0].take(of(1), rate).await, Ok(Left(1)));
    shared.server.kill();
    for instance in &shared.instances {
        for left in [1, 0] {
            assert_eq!(instance.take(of(1), rate).await, Ok(Left(left)));
        }
        assert!(instance.take(of(1), rate).await.is_err());
        instance.give_back(of(1), rate).await;
        assert_eq!(instance.take(of(1), rate).await, Ok(Left(0)));
    }
    shared.server.restart();
    for instance in &shared.instances {
        // What is left of the old connection goes first.
        while instance.reach().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(shared.instances[0].take(of(1), rate).await, Ok(Left(1)));
    assert_eq!(shared.instances[1].take(of(1), rate).await, Ok(Left(0)));
    assert!(shared.instances[0].take(of(1), rate).await.is_err());
}

#[tokio::test]
async fn who_comes_while_redis_hangs_waits_once() {
    let server = Server::start(&[]);
    let settings = RedisBucketSettings {
        url: server.url.clone(),
        prefix: server.prefix.clone(),
        limit: std::time::Duration::from_secs(2),
    };
    let local = LocalBuckets::new(1000, Arc::new(Hands::default()));
    let buckets = RedisBuckets::new(settings, local).unwrap();
    buckets.reach().await.unwrap();
    server.freeze();
    let rate = Rate::new(3, HOUR);
    // The first one finds out; if the others waited as well, this would take half an hour.
    for number in 0..=255 {
        for left in [2, 1, 0] {
            assert_eq!(buckets.take(of(number), rate).await, Ok(Left(left)));
        }
        assert!(buckets.take(of(number), rate).await.is_err());
    }
    server.thaw();
}
