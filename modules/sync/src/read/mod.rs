//! The read cascade: from the cache what it provably has, then from the recent tier, and the rest
//! from the truth.
//!
//! [`recent`] says what the recent tier answers. Above it is the cache: [`plan`] says which sets answer a list. [`sets`] reads them and has them built, [`hydrate`] fetches
//! documents by id, [`rules`] holds access rules against them, [`list`] and [`one`] put answers
//! together, and [`shape`] makes the bytes. In [`flights`] those who miss the same thing wait for
//! each other.
//!
//! Two orders of doing things carry the promises, and the simulation tries every way to break them:
//! what a set yields is read before its documents, and held against the question again afterwards;
//! and what a rule looks up is read after the documents that it guards.

mod flights;
mod hydrate;
mod list;
mod one;
pub(crate) mod plan;
mod recent;
mod rules;
mod sets;
mod shape;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use nubo_core::{
    cache::{Cache, FillToken, Held, SetName},
    schema::{CacheTier, Collection, CollectionId},
    store::{Answer, Tier},
};

use self::flights::Flights;
use crate::Tiers;

/// Why the truth is asked while the cache cannot be.
const AWAY: &str = "the cache cannot be used at present";

/// The cache, and what is being read into it.
pub(crate) struct Cached {
    pub cache: Arc<dyn Cache>,
    documents: Flights<(CollectionId, FillToken), Arc<Held>>,
    sets: Flights<SetName, bool>,
}

impl Cached {
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self {
            cache,
            documents: Flights::default(),
            sets: Flights::default(),
        }
    }
}

/// One question on its way through the tiers.
struct Reading<'a> {
    tiers: &'a Tiers,
    /// The cache, where there is one.
    cached: Option<&'a Cached>,
    /// The slowest tier that was asked below the cache, and why.
    below: Option<(Tier, Cow<'static, str>)>,
}

impl<'a> Reading<'a> {
    fn new(tiers: &'a Tiers) -> Self {
        Self {
            tiers,
            cached: tiers.cached.as_ref(),
            below: None,
        }
    }

    /// Notes that the truth is asked for something. The first reason is told.
    fn ask_truth(&mut self, why: &'static str) {
        if self
            .below
            .as_ref()
            .is_none_or(|(tier, _)| *tier != Tier::Truth)
        {
            self.below = Some((Tier::Truth, Cow::Borrowed(why)));
        }
    }

    /// The same of what is below the cache: the recent tier, or the truth where there is none.
    fn ask_recent(&mut self, why: &'static str) {
        if self.tiers.recent.is_none() {
            return self.ask_truth(why);
        }
        self.below.get_or_insert((Tier::Recent, Cow::Borrowed(why)));
    }

    /// What was found, and where it comes from.
    fn answer<T>(self, content: T, why: impl FnOnce() -> Cow<'static, str>) -> Answer<T> {
        let (tier, why) = self.below.unwrap_or_else(|| (Tier::Cache, why()));
        Answer { content, tier, why }
    }
}

impl Tiers {
    /// The cache, where there is one and it has this collection.
    fn cached(&self, collection: CollectionId) -> Option<(&Cached, &Collection, &CacheTier)> {
        let cached = self.cached.as_ref()?;
        let collection = self.catalog.get(collection);
        let cache = collection.tiers.cache.as_ref()?;
        cached
            .cache
            .is_usable()
            .then_some((cached, collection, cache))
    }

    /// Why the cache is not asked for a collection.
    fn why_not_cached(&self, collection: CollectionId) -> &'static str {
        let tier = &self.catalog.get(collection).tiers.cache;
        match self.cached.is_some() && tier.is_some() {
            true => AWAY,
            false => "the collection is not cached",
        }
    }
}
