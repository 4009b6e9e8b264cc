//! What befalls the servers, one thing after the other.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::{clients::World, dice::Dice, link::Way, scene::Scene};

/// For how long something stops or is cut off: less than a lease lasts, more than that, and more
/// than it takes to count as dead.
const WHILES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
/// How many answers must have come from the tier above before the next thing befalls, and how long that
/// is waited for at most.
const CALM: u64 = 200;
const LONGEST_CALM: Duration = Duration::from_secs(10);

/// What may befall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    InstanceKilled,
    InstanceFrozen,
    RedisFrozen,
    RedisRestartedEmpty,
    RedisRestartedWithOldData,
    RedisFlushed,
    RedisCutOffFromOne,
    RedisStalledForOne,
    PostgresCutOffFromOne,
    PostgresStalledForOne,
    /// One cannot hear that the other, which is cut off from Redis, has closed the gate.
    PostgresCutOffFromOneAndRedisFromTheOther,
    /// The same for one that does nothing meanwhile, and then goes on where it was.
    OneFrozenAndRedisCutOffFromTheOther,
    MongoKilled,
    MongoRestartedWithOldData,
    MongoCutOffFromOne,
    MongoStalledForBoth,
    /// What is noted waits until somebody can bring it.
    MongoCutOffFromBothAndOneKilled,
}

pub const EVENTS: [Event; 12] = [
    Event::InstanceKilled,
    Event::InstanceFrozen,
    Event::RedisFrozen,
    Event::RedisRestartedEmpty,
    Event::RedisRestartedWithOldData,
    Event::RedisFlushed,
    Event::RedisCutOffFromOne,
    Event::RedisStalledForOne,
    Event::PostgresCutOffFromOne,
    Event::PostgresStalledForOne,
    Event::PostgresCutOffFromOneAndRedisFromTheOther,
    Event::OneFrozenAndRedisCutOffFromTheOther,
];

/// What may befall where there is a recent tier.
pub const RECENT_EVENTS: [Event; 10] = [
    Event::InstanceKilled,
    Event::InstanceFrozen,
    Event::RedisRestartedEmpty,
    Event::RedisStalledForOne,
    Event::PostgresCutOffFromOne,
    Event::MongoKilled,
    Event::MongoRestartedWithOldData,
    Event::MongoCutOffFromOne,
    Event::MongoStalledForBoth,
    Event::MongoCutOffFromBothAndOneKilled,
];

/// What may befall where the recent tier alone keeps the documents: it must not lose any.
pub const ALONE_EVENTS: [Event; 9] = [
    Event::InstanceKilled,
    Event::InstanceFrozen,
    Event::RedisRestartedEmpty,
    Event::RedisStalledForOne,
    Event::PostgresCutOffFromOne,
    Event::MongoKilled,
    Event::MongoCutOffFromOne,
    Event::MongoStalledForBoth,
    Event::MongoCutOffFromBothAndOneKilled,
];

/// Lets things befall until then, each once at least, and says how often what did. Everything runs
/// afterwards.
pub fn rage(
    scene: &mut Scene,
    world: &World,
    events: &[Event],
    seed: u64,
    until: Instant,
) -> BTreeMap<Event, usize> {
    let mut dice = Dice::new(seed, 0);
    let mut counts = BTreeMap::new();
    let mut deck = Vec::new();
    let mut snapshot = None;
    while Instant::now() < until || counts.len() < events.len() {
        if deck.is_empty() {
            // Each comes once before any comes again.
            deck.extend(events);
        }
        let event = deck.swap_remove(dice.below(deck.len() as u64) as usize);
        // What is old by the time it is put back.
        let old = snapshot.replace(scene.redis.snapshot());
        befall(event, scene, world, &mut dice, old.as_deref());
        *counts.entry(event).or_default() += 1;
        // Sometimes the next one comes before all is well again.
        if dice.below(4) > 0 {
            calm(world);
        }
    }
    counts
}

fn befall(event: Event, scene: &mut Scene, world: &World, dice: &mut Dice, old: Option<&[u8]>) {
    let which = dice.below(2) as usize;
    let [one, two] = &mut scene.instances;
    let (instance, other) = match which {
        0 => (one, two),
        _ => (two, one),
    };
    let time = dice.of(&WHILES);
    match event {
        Event::InstanceKilled => {
            instance.kill();
            instance.start();
            *world.doors[which].write().unwrap() = instance.server().client();
        }
        Event::InstanceFrozen => {
            instance.freeze();
            std::thread::sleep(time);
            instance.thaw();
        }
        Event::RedisFrozen => {
            scene.redis.freeze();
            std::thread::sleep(time);
            scene.redis.thaw();
        }
        Event::RedisRestartedEmpty => {
            scene.redis.kill();
            scene.redis.resume_with(None);
        }
        Event::RedisRestartedWithOldData => {
            scene.redis.kill();
            scene.redis.resume_with(old);
        }
        Event::RedisFlushed => assert_eq!(scene.redis.ask("FLUSHALL"), "+OK"),
        Event::RedisCutOffFromOne | Event::RedisStalledForOne => {
            instance.to_redis.set(way(event));
            std::thread::sleep(time);
            instance.to_redis.set(Way::Through);
        }
        Event::PostgresCutOffFromOne | Event::PostgresStalledForOne => {
            instance.to_postgres.set(way(event));
            std::thread::sleep(time);
            instance.to_postgres.set(Way::Through);
        }
        Event::PostgresCutOffFromOneAndRedisFromTheOther => {
            instance.to_postgres.set(dice.of(&[Way::Cut, Way::Stalled]));
            other.to_redis.set(dice.of(&[Way::Cut, Way::Stalled]));
            // Less than it takes to close the gate shows nothing.
            std::thread::sleep(time.max(WHILES[1]));
            other.to_redis.set(Way::Through);
            instance.to_postgres.set(Way::Through);
        }
        Event::OneFrozenAndRedisCutOffFromTheOther => {
            instance.freeze();
            other.to_redis.set(Way::Cut);
            std::thread::sleep(time.max(WHILES[1]));
            instance.thaw();
            other.to_redis.set(Way::Through);
        }
        Event::MongoKilled => {
            let mongo = scene.mongo.as_mut().unwrap();
            mongo.kill();
            mongo.resume();
        }
        Event::MongoRestartedWithOldData => {
            let mongo = scene.mongo.as_mut().unwrap();
            mongo.save();
            std::thread::sleep(time);
            mongo.resume_saved();
            // It has lost what nobody brings again, and begins anew.
            instance.backfill();
        }
        Event::MongoCutOffFromOne => {
            let link = instance.to_mongo.as_ref().unwrap();
            link.set(Way::Cut);
            std::thread::sleep(time);
            link.set(Way::Through);
        }
        Event::MongoStalledForBoth => {
            let links = [&instance.to_mongo, &other.to_mongo].map(|link| link.as_ref().unwrap());
            links.iter().for_each(|link| link.set(Way::Stalled));
            std::thread::sleep(time);
            links.iter().for_each(|link| link.set(Way::Through));
        }
        Event::MongoCutOffFromBothAndOneKilled => {
            let links = [instance.to_mongo.clone(), other.to_mongo.clone()].map(Option::unwrap);
            links.iter().for_each(|link| link.set(Way::Cut));
            std::thread::sleep(time);
            instance.kill();
            links.iter().for_each(|link| link.set(Way::Through));
            instance.start();
            *world.doors[which].write().unwrap() = instance.server().client();
        }
    }
}

fn way(event: Event) -> Way {
    match event {
        Event::RedisCutOffFromOne | Event::PostgresCutOffFromOne => Way::Cut,
        _ => Way::Stalled,
    }
}

/// Waits until the tier above is in use again, or has had the time for it.
fn calm(world: &World) {
    let enough = world.from_tier.load(Ordering::Relaxed) + CALM;
    let end = Instant::now() + LONGEST_CALM;
    while world.from_tier.load(Ordering::Relaxed) < enough && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}
