//! Processes, and what each of them does all the time.

use std::sync::{Arc, atomic::Ordering};

use nubo_cache::{
    Shelves, Storage,
    shared::{Shared, Steps},
};
use nubo_core::{bus::NoBus, observe::Observer, recent::Recent as _, truth::Truth as _};
use nubo_sync::{Backfill, Keeping, RecentParts, RecentStore, Tiers};

use super::{Above, Instance, SimClock, Ways, World, machine::NoPasswords};
use crate::{
    mutant::Mutant,
    recent::SimRecent,
    redis::SimLink,
    scheduler::{Group, WORLD},
    truth::SimCoordination,
};

/// How long a keeper rests at most, in microseconds.
const REST: i64 = 90_000;
/// How long a watch over what others write rests at most, in microseconds.
const LOOKS: i64 = 250_000;
/// How long whoever keeps the recent tier rests at most, in microseconds.
const KEEPS: i64 = 250_000;
/// How long it takes at most until somebody brings what waits for the recent tier, in microseconds.
const SETTLES: i64 = 30_000;
/// How far the clocks of instances differ at most, in microseconds.
const SKEW: i64 = 30 * 60 * 1_000_000;

impl World {
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
    pub(super) async fn start(&self) -> anyhow::Result<Instance> {
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
    pub(super) fn begin_backfill(&self) {
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

    pub(super) fn fill(&self, group: Group, backfill: Backfill) {
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
}
