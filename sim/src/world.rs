//! What a run works with: collections, drawn from a seed (in which order they are kept, by which
//! fields, and who may read), one process or several, and what goes wrong with them.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use fastrand::Rng;
use nubo_cache::{
    Memory, Shelves, Storage,
    shared::{Shared, Steps},
};
use nubo_core::{
    Result,
    bus::NoBus,
    caller::{Account, Caller},
    clock::{Clock, Random},
    id::Id,
    observe::Observer,
    passwords::Passwords,
    recent::{Condition, Recent as _},
    schema::{Catalog, Collection},
    truth::Truth,
};
use nubo_sync::{Backfill, Keeping, RecentParts, RecentStore, Tiers};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    mutant::Mutant,
    recent::{MONGO, SimMongo, SimRecent},
    redis::{SimLink, SimRedis},
    scheduler::{Group, Moment, Place, Scheduler, WORLD},
    storage::Stepping,
    truth::{Hand, SimCoordination, SimTruth},
    workload,
};

/// 2026-11-21T21:45:00Z
pub const START: i64 = 1_795_297_500_000_000;

/// How long a step takes, in microseconds; drawn for each run.
const STEPS: [i64; 4] = [100, 300, 1_000, 2_000];
/// The same where there are several processes, and seconds pass.
const LONG_STEPS: [i64; 4] = [500, 1_000, 2_000, 4_000];
/// How long an instance waits for an answer of the cache's server, in microseconds.
const PATIENCE: i64 = 200_000;
/// How long a keeper rests at most, in microseconds.
const REST: i64 = 90_000;
/// How long a watch over what others write rests at most, in microseconds.
const LOOKS: i64 = 250_000;
/// How long whoever keeps the recent tier rests at most, in microseconds.
const KEEPS: i64 = 250_000;
/// How long it takes at most until somebody brings what waits for the recent tier, in microseconds.
const SETTLES: i64 = 30_000;
/// How long an instance waits for an answer of the recent tier, in microseconds.
const ENDURANCE: i64 = 300_000;
/// How often the recent tier looks for what was not used for long, in microseconds.
const EXPIRES: i64 = 1_000_000;
/// The window of the recent tier, in milliseconds, and as it is declared.
pub const WINDOW: (i64, &str) = (6 * 3_600 * 1_000, "6h");
/// How far the clocks of instances differ at most, in microseconds.
const SKEW: i64 = 30 * 60 * 1_000_000;

/// Everything that a run works with.
pub struct World {
    pub catalog: Arc<Catalog>,
    pub truth: SimTruth,
    pub clock: Arc<SimClock>,
    pub scheduler: Scheduler,
    random: Arc<Counting>,
    mutant: Option<Mutant>,
    /// The cache where one process is alone.
    storage: Mutex<Option<Arc<Stepping>>>,
    /// The server that holds it where there are several.
    pub redis: Option<Arc<SimRedis>>,
    /// The server of the recent tier, where there is one.
    pub mongo: Option<Arc<SimMongo>>,
    instances: Mutex<Vec<Instance>>,
    groups: AtomicUsize,
}

/// A process.
#[derive(Clone)]
pub struct Instance {
    pub group: Group,
    pub tiers: Arc<Tiers>,
    truth: Arc<SimTruth>,
    /// What it shares with others.
    shared: Option<Ways>,
    /// What it has of the recent tier.
    recent: Option<Above>,
}

/// The way of a process to the recent tier, and what it does for that.
#[derive(Clone)]
struct Above {
    link: Arc<SimRecent>,
    store: Arc<RecentStore>,
}

/// The ways of a process to what it shares with others.
#[derive(Clone)]
struct Ways {
    cache: Arc<Shared<SimLink>>,
    link: SimLink,
    coordination: Arc<SimCoordination>,
}

/// What it is like where several processes share a cache.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// How many there are; 0 where one is alone.
    pub instances: usize,
    /// Where tasks are held for long.
    pub places: Vec<Place>,
    /// How often commands come late to the server of the cache, once in so many, and how late at most,
    /// in microseconds.
    pub late: Option<(u32, i64)>,
    /// For how long that is so, in milliseconds.
    pub rough: i64,
    /// Whether there is a recent tier.
    pub recent: bool,
}

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub enum Event {
    /// A process stands still for so many milliseconds.
    Stop(usize, i64),
    /// A process is killed, and started again.
    Kill(usize),
    /// The server of the cache stands still.
    StopCache(i64),
    /// It restarts, with nothing or with what it had some time ago.
    RestartCache(bool),
    /// A process cannot reach the server of the cache.
    CutFromCache(usize, i64),
    /// A process cannot ask about the gate, and hears no answer of the truth.
    CutFromTruth(usize, i64),
    /// Somebody writes beside all processes.
    ByHand(Hand),
    /// The clocks go on by so many milliseconds.
    Jump(i64),
    /// The recent tier stands still.
    StopRecent(i64),
    /// It restarts, with all that it has, or with what it had so many changes ago.
    RestartRecent(Option<usize>),
    /// A process cannot reach the recent tier.
    CutFromRecent(usize, i64),
    /// Somebody brings what is older than the recent tier.
    Backfill,
    /// A process does, beside what else it does for the tier.
    Fill(usize),
    /// Nothing, for once.
    Nothing,
}

/// People, rooms, memberships and notes: few enough that everybody meets everybody.
pub fn person(number: u8) -> Id {
    id(1, number)
}

pub fn room(number: u8) -> Id {
    id(2, number)
}

pub fn member(number: u8) -> Id {
    id(3, number)
}

pub fn note(number: u8) -> Id {
    id(4, number)
}

fn id(kind: u8, number: u8) -> Id {
    let uuid = Uuid::from_u128((u128::from(kind) << 8) | u128::from(number));
    Id::from_uuid(uuid)
}

/// Somebody who reads.
pub fn caller(number: u8) -> Caller {
    Caller::account(Account::new(person(number), Vec::new()))
}

impl World {
    /// The world of a seed: one process alone, or so many that share a cache.
    pub async fn new(
        random: &mut Rng,
        scheduler: Scheduler,
        mutant: Option<Mutant>,
        circumstances: &Circumstances,
    ) -> anyhow::Result<Self> {
        let has_recent = circumstances.recent;
        let catalog = Arc::new(catalog(random, has_recent)?);
        let steps = match circumstances.instances {
            0 if !has_recent => STEPS,
            _ => LONG_STEPS,
        };
        let clock = Arc::new(SimClock {
            micros: Arc::new(AtomicI64::new(START)),
            ahead: 0,
            step: steps[random.usize(..steps.len())],
            scheduler: scheduler.clone(),
        });
        scheduler.hold_at(&circumstances.places, clock.step);
        let counting = Arc::new(Counting::default());
        let truth = SimTruth::new(
            catalog.clone(),
            clock.clone(),
            counting.clone(),
            scheduler.clone(),
            mutant,
            has_recent,
        );
        let mongo = has_recent.then(|| {
            let patience = clock.steps(ENDURANCE);
            let server = SimMongo::new(
                catalog.clone(),
                clock.clone(),
                scheduler.clone(),
                mutant,
                patience,
            );
            Arc::new(server)
        });
        let mut world = Self {
            catalog,
            truth,
            clock,
            scheduler,
            random: counting,
            mutant,
            storage: Mutex::default(),
            redis: None,
            mongo,
            instances: Mutex::default(),
            groups: AtomicUsize::new(MONGO + 1),
        };
        if has_recent {
            world.truth.begin_with(&old(random));
        }
        world.have_recent_expire();
        if circumstances.instances == 0 {
            let instance = world.start().await?;
            world.instances().push(instance);
            return Ok(world);
        }
        let redis = SimRedis::new(
            world.catalog.clone(),
            world.clock.clone(),
            world.scheduler.clone(),
            mutant,
            world.clock.steps(PATIENCE),
            circumstances
                .late
                .map(|(often, longest)| (often, world.clock.steps(longest))),
        );
        world.redis = Some(Arc::new(redis));
        for _ in 0..circumstances.instances {
            let instance = world.start().await?;
            world.instances().push(instance);
        }
        Ok(world)
    }

    /// What the recent tier does not need any longer goes now and then.
    fn have_recent_expire(&self) {
        let Some(mongo) = self.mongo.clone() else {
            return;
        };
        let (scheduler, rest) = (self.scheduler.clone(), self.clock.steps(EXPIRES));
        self.scheduler.spawn_endless(WORLD, "expiry", async move {
            loop {
                scheduler.sleep(rest).await;
                mongo.expire_some();
            }
        });
    }

    /// The cache where one process is alone.
    pub fn storage(&self) -> Option<Arc<Stepping>> {
        let storage = self.storage.lock();
        storage.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cache of a process that is alone, which is empty. With a recent tier few documents may be
    /// pending, now and then.
    fn alone(&self) -> Arc<Stepping> {
        let memory = Memory::divided(1, &self.catalog, self.clock.clone(), usize::MAX);
        let memory = match &self.mongo {
            // What it cannot hold stays pending for good, and is not to close the lists again and again.
            Some(mongo) if !mongo.refuses_some() && self.scheduler.draw(fastrand::Rng::bool) => {
                memory.with_most_pending(3, 3)
            }
            _ => memory,
        };
        let storage = Stepping::new(memory, self.scheduler.clone(), self.mutant);
        let storage = Arc::new(storage);
        let mut own = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(storage.clone());
        storage
    }

    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One of the processes that there are, if there are any; mostly one that runs, as whoever sends
    /// clients to them would see to.
    pub fn any(&self) -> Option<Instance> {
        let instances = self.instances();
        if let [] | [_] = &instances[..] {
            return instances.first().cloned();
        }
        let runs = |instance: &&Instance| !self.scheduler.is_stopped(instance.group);
        let running: Vec<&Instance> = instances.iter().filter(runs).collect();
        let at = |count: usize| self.scheduler.draw(|random| random.usize(..count));
        Some(match running.is_empty() || at(8) == 0 {
            true => instances[at(instances.len())].clone(),
            false => running[at(running.len())].clone(),
        })
    }

    /// All processes that there are.
    pub fn all(&self) -> Vec<Instance> {
        self.instances().clone()
    }

    /// A process over a storage.
    async fn instance<S: Storage>(
        &self,
        group: Group,
        storage: Arc<S>,
        shared: Option<Ways>,
    ) -> anyhow::Result<Instance> {
        let shelves = Shelves::new(self.catalog.clone(), storage);
        let cache = Arc::new(match &self.mongo {
            Some(_) => shelves.with_recent(),
            None => shelves,
        });
        let truth = Arc::new(self.truth.again());
        let clock = self.clock_of_one();
        let mut tiers = Tiers::new(
            self.catalog.clone(),
            truth.clone(),
            Arc::new(NoBus),
            Arc::new(NoPasswords),
            clock.clone(),
            self.random.clone(),
        );
        let mut observers: Vec<Arc<dyn Observer>> = vec![cache.clone()];
        let mut recent = None;
        if let Some(mongo) = &self.mongo {
            let own = Arc::new(SimRecent::new(mongo.clone()));
            let store = RecentStore::new(RecentParts {
                catalog: self.catalog.clone(),
                truth: truth.clone(),
                recent: own.clone(),
                lists: cache.clone(),
                clock,
                random: self.random.clone(),
            });
            let store = Arc::new(store.flawed(self.mutant.and_then(Mutant::flaw)));
            self.keep_recent(group, &store, &own);
            observers.push(store.clone());
            tiers = tiers.with_recent(store.clone());
            recent = Some(Above { link: own, store });
        }
        truth.start(observers).await?;
        let tiers = tiers
            .with_cache(cache)
            .flawed(self.mutant.and_then(Mutant::flaw));
        Ok(Instance {
            group,
            tiers: Arc::new(tiers),
            truth,
            shared,
            recent,
        })
    }

    /// The clock of one process. With a recent tier they differ.
    fn clock_of_one(&self) -> Arc<SimClock> {
        let ahead = match &self.mongo {
            None => return self.clock.clone(),
            Some(_) => self.scheduler.draw(|random| match random.u8(..3) {
                0 => 0,
                1 => SKEW,
                _ => random.i64(-SKEW..SKEW),
            }),
        };
        Arc::new(SimClock {
            micros: self.clock.micros.clone(),
            ahead,
            step: self.clock.step,
            scheduler: self.scheduler.clone(),
        })
    }

    /// Has a process do what it does for the recent tier.
    fn keep_recent(&self, group: Group, store: &Arc<RecentStore>, recent: &Arc<SimRecent>) {
        let mut keeping = Keeping::new(store.clone());
        let (scheduler, rest) = (self.scheduler.clone(), self.clock.steps(KEEPS));
        self.scheduler
            .spawn_endless(group, "keeps the recent tier", async move {
                loop {
                    if let Err(error) = keeping.step().await {
                        scheduler.note(|| format!("the recent tier: {error}"));
                    }
                    let rest = scheduler.draw(|random| random.u64(1..=rest));
                    scheduler.sleep(rest).await;
                }
            });
        let (store, recent) = (store.clone(), recent.clone());
        let (scheduler, rest) = (self.scheduler.clone(), self.clock.steps(SETTLES));
        self.scheduler
            .spawn_endless(group, "brings to the recent tier", async move {
                loop {
                    let more = store.settle_some().await.unwrap_or_else(|error| {
                        scheduler.note(|| format!("is not brought: {error}"));
                        recent.distrust();
                        false
                    });
                    if !more {
                        let rest = scheduler.draw(|random| random.u64(1..=rest));
                        scheduler.sleep(rest).await;
                    }
                }
            });
    }

    /// A new process, beside the others where there are any.
    async fn start(&self) -> anyhow::Result<Instance> {
        let Some(redis) = self.redis.clone() else {
            let group = match &self.mongo {
                Some(_) => self.groups.fetch_add(1, Ordering::Relaxed),
                None => WORLD,
            };
            let instance = self.instance(group, self.alone(), None).await?;
            if self.mongo.is_some() {
                self.watch(&instance);
            }
            return Ok(instance);
        };
        let group = self.groups.fetch_add(1, Ordering::Relaxed);
        let link = SimLink::new(redis);
        let coordination = Arc::new(SimCoordination::new(&self.truth));
        let shared = Shared::new(
            Arc::new(link.clone()),
            coordination.clone(),
            self.clock.clone(),
            self.random.clone(),
        );
        let cache = Arc::new(shared.flawed(self.mutant.and_then(Mutant::shared_flaw)));
        let mut steps = Steps::new(cache.clone());
        let (scheduler, rest) = (self.scheduler.clone(), self.clock.steps(REST));
        self.scheduler.spawn_endless(group, "keeper", async move {
            loop {
                if let Err(error) = steps.step().await {
                    scheduler.note(|| format!("the keeper: {error}"));
                }
                let rest = scheduler.draw(|random| random.u64(1..=rest));
                scheduler.sleep(rest).await;
            }
        });
        let ways = Ways {
            cache: cache.clone(),
            link,
            coordination,
        };
        let instance = self.instance(group, cache, Some(ways)).await?;
        self.watch(&instance);
        Ok(instance)
    }

    /// Has a process look for what others write.
    fn watch(&self, instance: &Instance) {
        let truth = instance.truth.clone();
        let (scheduler, rest) = (self.scheduler.clone(), self.clock.steps(LOOKS));
        self.scheduler
            .spawn_endless(instance.group, "watch", async move {
                let mut seen = 0;
                loop {
                    truth.watch(&mut seen).await;
                    let rest = scheduler.draw(|random| random.u64(1..=rest));
                    scheduler.sleep(rest).await;
                }
            });
    }

    /// Has what is older than the recent tier brought, as by somebody who calls the command line.
    fn begin_backfill(&self) {
        let Some(mongo) = &self.mongo else { return };
        let truth = Arc::new(self.truth.again());
        let recent = SimRecent::new(mongo.clone()).covering(truth.clone());
        let backfill = Backfill::new(
            self.catalog.clone(),
            truth,
            Arc::new(recent),
            self.clock_of_one(),
        );
        self.fill(WORLD, backfill);
    }

    fn fill(&self, group: Group, backfill: Backfill) {
        let scheduler = self.scheduler.clone();
        self.scheduler.spawn_in(group, "backfill", async move {
            let collections = backfill.collections();
            let filled = backfill.run(&collections, |filled| {
                scheduler.note(|| format!("{filled:?}"));
            });
            if let Err(error) = filled.await {
                scheduler.note(|| format!("is interrupted: {error}"));
            }
        });
    }

    /// Lets something go wrong.
    pub async fn let_happen(&self, event: Event) -> anyhow::Result<()> {
        let now = self.scheduler.now();
        let until = |millis: i64| now + self.clock.steps(millis * 1_000);
        self.scheduler.note(|| format!("{event:?}"));
        let all = self.all();
        match (event, &self.redis) {
            (Event::Nothing, _) => {}
            (Event::ByHand(hand), _) => self.truth.by_hand(&hand).await,
            (Event::Stop(which, millis), _) => {
                let instance = &all[which % all.len()];
                self.scheduler.stop(instance.group, until(millis));
            }
            (Event::Kill(which), _) => {
                let place = which % all.len();
                let dead = self.instances().remove(place);
                self.scheduler.kill(dead.group);
                // Who is alone does not start before the truth is done with what was before.
                while self.redis.is_none() && self.truth.is_busy() {
                    self.scheduler.step("waits for the truth").await;
                }
                let instance = self.start().await?;
                self.instances().insert(place, instance);
            }
            (Event::StopCache(millis), Some(redis)) => redis.stop(until(millis)),
            (Event::RestartCache(keeps), Some(redis)) => redis.restart(keeps),
            (Event::CutFromCache(which, millis), _) => {
                if let Some(ways) = &all[which % all.len()].shared {
                    ways.link.cut(until(millis));
                }
            }
            (Event::CutFromTruth(which, millis), _) => {
                let instance = &all[which % all.len()];
                instance.truth.cut(until(millis));
                if let Some(ways) = &instance.shared {
                    ways.coordination.cut(until(millis));
                }
            }
            (Event::StopCache(_) | Event::RestartCache(_), None) => {}
            (Event::Jump(millis), _) => self.clock.jump(millis),
            (Event::CutFromRecent(which, millis), _) => {
                if let Some(recent) = &all[which % all.len()].recent {
                    recent.link.cut(until(millis));
                }
            }
            (Event::StopRecent(millis), _) => {
                if let Some(mongo) = &self.mongo {
                    mongo.stop(until(millis));
                }
            }
            (Event::RestartRecent(back), _) => {
                if let Some(mongo) = &self.mongo {
                    mongo.restart(back);
                }
            }
            (Event::Backfill, _) => self.begin_backfill(),
            (Event::Fill(which), _) => {
                let instance = &all[which % all.len()];
                if let Some(recent) = &instance.recent {
                    self.fill(instance.group, Backfill::beside(&recent.store));
                }
            }
        }
        Ok(())
    }

    /// Lets nothing go wrong any longer by itself.
    pub fn calm(&self) {
        self.scheduler.hold_at(&[], self.clock.step);
        if let Some(redis) = &self.redis {
            redis.calm();
        }
        if let Some(mongo) = &self.mongo {
            mongo.calm();
        }
    }

    /// Whether every process knows that the cache may be used.
    pub fn is_whole(&self) -> bool {
        let open = |ways: &Ways| ways.cache.known().0.is_some_and(|gate| gate.is_open());
        let all = self.all();
        all.iter()
            .all(|instance| instance.shared.as_ref().is_none_or(open))
            && self.uses_recent()
    }

    /// Whether every process uses the recent tier, which has everything.
    fn uses_recent(&self) -> bool {
        let Some(mongo) = &self.mongo else {
            return true;
        };
        let condition = self.condition_of_lists();
        let epochs = self
            .all()
            .into_iter()
            .map(|instance| instance.recent?.link.epoch());
        let Some(epochs) = epochs.collect::<Option<Vec<_>>>() else {
            return false;
        };
        let opened = |epoch| condition == Some(Condition::Open(epoch));
        // The notes of what the tier cannot hold stay.
        let is_empty = self.truth.notes() == 0 || mongo.refuses_some();
        epochs.into_iter().all(opened) && is_empty
    }

    /// What the pending lists are.
    fn condition_of_lists(&self) -> Option<Condition> {
        match &self.redis {
            Some(redis) => redis.condition_of_lists(),
            None => self.storage()?.condition_of_lists(),
        }
    }

    /// What keeps [`World::is_whole`] from being so.
    pub fn what_is_missing(&self) -> String {
        if self.uses_recent() {
            return "the cache is not used again".into();
        }
        let all = self.all().into_iter();
        let epochs: Vec<_> = all.map(|instance| instance.recent?.link.epoch()).collect();
        format!(
            "the recent tier is not used again: {} notes, lists {:?}, epochs {epochs:?}",
            self.truth.notes(),
            self.condition_of_lists(),
        )
    }

    /// A collection.
    pub fn named(&self, name: &str) -> &Arc<Collection> {
        match self.catalog.named(name) {
            Some(found) => found,
            // The names are those below.
            None => &self.catalog.collections()[0],
        }
    }
}

/// What was there before anybody took notes for a recent tier: some notes, within its window for the most
/// part, and some of them created at the same time.
fn old(random: &mut Rng) -> Vec<(&'static str, Id, Json, i64)> {
    let ages = [random.i64(0..WINDOW.0), random.i64(0..WINDOW.0 * 5 / 4)];
    let notes = (0..workload::NOTES).filter(|_| random.bool());
    let notes: Vec<u8> = notes.collect();
    let old = notes.into_iter().map(|number| {
        let document = workload::document(random);
        ("notes", note(number), document, ages[random.usize(..2)])
    });
    old.collect()
}

fn catalog(random: &mut Rng, has_recent: bool) -> anyhow::Result<Catalog> {
    let membership = |condition: Json| json!({ "room": { "$in": { "$select": "members.room", "$where": condition } } });
    let rules = [
        json!("public"),
        membership(json!({ "person": "$auth.id" })),
        json!([
            "owner",
            membership(json!({ "person": "$auth.id", "role": 1 }))
        ]),
        json!({ "$nor": [membership(json!({ "person": "$auth.id", "role": 2 }))] }),
        membership(json!({ "person": "$auth.id", "room":
            { "$in": { "$select": "rooms.id", "$where": { "open": true } } } })),
        json!({ "$or": [{ "state": 0 }, membership(json!({ "person": "$auth.id" }))] }),
    ];
    let orders = [
        json!("-created_at"),
        json!("-rank"),
        json!("rank"),
        json!(["state", "-created_at"]),
        json!(["-rank", "created_at"]),
    ];
    let mut sets = vec!["room", "author", "state", "tags"];
    sets.retain(|_| random.u8(..3) > 0);
    let mut member_sets = vec!["room", "person"];
    member_sets.retain(|_| random.bool());
    let order = orders[random.usize(..orders.len())].clone();
    let rule = rules[random.usize(..rules.len())].clone();
    let entered = json!({ "$select": "members.room", "$where": { "person": "$auth.id" } });
    let room_rule = match random.u8(..3) {
        0 => json!({ "id": { "$in": entered } }),
        1 => json!({ "open": true }),
        _ => json!("public"),
    };
    let mask = match random.bool() {
        true => json!("owner"),
        false => membership(json!({ "person": "$auth.id" })),
    };
    let on_delete = ["cascade", "set_null"][random.usize(..2)];
    let mut notes = json!({
        "name": "notes", "owner": "author", "order": order,
        "fields": {
            "room": { "type": "ref", "to": "rooms", "on_delete": on_delete },
            "author": "uuid",
            "rank": "int",
            "state": "int",
            "tags": "text[]",
            "body": "text",
            "secret": { "type": "text", "readable_by": mask },
        },
        "access": { "read": rule },
        "tiers": { "cache": { "sets": sets } },
    });
    if random.u8(..6) == 0 {
        notes["tiers"]["cache"]["expires"] = json!("50ms");
    }
    let mut members = json!({
        "name": "members",
        "fields": { "room": "uuid!", "person": "uuid!", "role": "int" },
        "access": { "read": "public" },
        "tiers": { "cache": { "sets": member_sets } },
    });
    if random.u8(..5) == 0 {
        members["tiers"] = json!({});
    }
    let rooms = json!({
        "name": "rooms",
        "fields": { "open": "bool", "notes": "int" },
        "access": { "read": room_rule },
        "tiers": { "cache": { "sets": [] } },
    });
    if has_recent {
        // What goes on behind the recent tier is newest first.
        if random.u8(..4) > 0 {
            notes["order"] = orders[0].clone();
        }
        if random.u8(..3) == 0 {
            notes["tiers"] = json!({});
        }
        notes["tiers"]["recent"] = json!({ "window": WINDOW.1 });
        if random.bool() {
            members["tiers"]["recent"] = json!({ "window": WINDOW.1 });
        }
    }
    for (declaration, effects) in [
        (&mut notes, note_effects()),
        (&mut members, member_effects()),
    ] {
        let drawn: Vec<Json> = effects.into_iter().filter(|_| random.bool()).collect();
        declaration["effects"] = drawn.into();
    }
    let declarations = serde_json::from_value::<Vec<_>>(json!([notes, members, rooms]))?;
    Catalog::compile(&declarations, &[])
        .map_err(|mistakes| anyhow::anyhow!("the collections are wrong: {mistakes:?}"))
}

/// Rooms count their notes, and tell all of them when one has gone.
fn note_effects() -> Vec<Json> {
    let room = json!({ "id": "$doc.room" });
    let counts = |on: &str, by: i64| json!({ "on": on, "update": "rooms", "where": room, "change": { "$inc": { "notes": by } } });
    vec![
        counts("create", 1),
        counts("delete", -1),
        json!({ "on": "delete", "when": { "state": 1 }, "update": "notes",
            "where": { "room": "$doc.room" }, "set": { "rank": 2 } }),
        json!({ "on": "update", "when": { "rank": { "$gte": 3 } }, "delete": "notes",
            "where": { "id": "$doc.id" } }),
    ]
}

/// Whoever comes into a room finds what they wrote there, and takes it along on leaving.
fn member_effects() -> Vec<Json> {
    let theirs = json!({ "room": "$doc.room", "author": "$doc.person" });
    vec![
        json!({ "on": "create", "for_each": { "in": "notes", "where": theirs },
            "update": "notes", "where": { "id": "$each.id" }, "set": { "state": 1, "body": "again" } }),
        json!({ "on": "delete", "delete": "notes", "where": theirs }),
        json!({ "on": "delete", "create": "notes",
            "set": { "room": "$doc.room", "state": 0, "body": "has left" } }),
    ]
}

/// Goes on as steps are made, sometimes not at all and sometimes backwards.
pub struct SimClock {
    micros: Arc<AtomicI64>,
    /// How far it is ahead of the truth's, in microseconds.
    ahead: i64,
    /// How long a step takes, in microseconds.
    step: i64,
    scheduler: Scheduler,
}

impl SimClock {
    /// How many steps take so many microseconds.
    pub fn steps(&self, micros: i64) -> Moment {
        (micros / self.step).max(1).unsigned_abs()
    }

    /// Goes on by so many milliseconds.
    fn jump(&self, millis: i64) {
        self.micros.fetch_add(millis * 1_000, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn ticks(&self) -> i64 {
        self.scheduler.now().cast_signed() * self.step
    }

    fn micros(&self) -> i64 {
        let by = self.scheduler.draw(|random| match random.u8(..10) {
            0 => -3_000,
            1..=5 => 0,
            _ => random.i64(1..4_000),
        });
        self.micros.fetch_add(by, Ordering::Relaxed) + by + self.ahead
    }
}

/// Counts, so that a run is the same every time.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().rev().zip(number.iter().rev()) {
            *to = *from;
        }
    }
}

struct NoPasswords;

#[async_trait]
impl Passwords for NoPasswords {
    async fn hash(&self, password: String) -> Result<String> {
        Ok(password)
    }

    fn refusal(&self, _: &str) -> Option<(&'static str, String)> {
        None
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        Ok(password == hash)
    }
}
