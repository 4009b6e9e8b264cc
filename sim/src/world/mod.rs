//! What a run works with: collections, drawn from a seed (in which order they are kept, by which
//! fields, and who may read), one process or several, and what goes wrong with them.
//!
//! [collections] draws the collections, [processes] starts a process with all that it does, and [machine]
//! is what it has of its machine.

mod collections;
mod machine;
mod processes;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicUsize},
};

use fastrand::Rng;
use nubo_cache::{Memory, shared::Shared};
use nubo_core::{
    caller::{Account, Caller},
    recent::{Condition, Recent as _},
    schema::{Catalog, Collection},
};
use nubo_sync::{Backfill, RecentStore, Tiers};

use self::{
    collections::{catalog, old},
    machine::Counting,
};
pub use self::{
    collections::{member, note, person, room},
    machine::SimClock,
};
use crate::{
    mutant::Mutant,
    recent::{MONGO, SimMongo, SimRecent},
    redis::{SimLink, SimRedis},
    scheduler::{Group, Place, Scheduler, WORLD},
    storage::Stepping,
    truth::{Hand, SimCoordination, SimTruth},
};

/// 2026-11-21T21:45:00Z
pub const START: i64 = 1_795_297_500_000_000;

/// How long a step takes, in microseconds; drawn for each run.
const STEPS: [i64; 4] = [100, 300, 1_000, 2_000];
/// The same where there are several processes, and seconds pass.
const LONG_STEPS: [i64; 4] = [500, 1_000, 2_000, 4_000];
/// How long an instance waits for an answer of the cache's server, in microseconds.
const PATIENCE: i64 = 200_000;
/// How long an instance waits for an answer of the recent tier, in microseconds.
const ENDURANCE: i64 = 300_000;
/// How often the recent tier looks for what was not used for long, in microseconds.
const EXPIRES: i64 = 1_000_000;
/// The window of the recent tier, in milliseconds, and as it is declared.
pub const WINDOW: (i64, &str) = (6 * 3_600 * 1_000, "6h");

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
    /// A process is killed, unless it is the only one.
    End(usize),
    /// Another process is started.
    Begin,
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
            (Event::End(which), _) => {
                if all.len() > 1 {
                    let dead = self.instances().remove(which % all.len());
                    self.scheduler.kill(dead.group);
                }
            }
            (Event::Begin, _) => {
                let instance = self.start().await?;
                self.instances().push(instance);
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
