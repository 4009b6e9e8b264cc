//! What this instance has done with the cache.

use std::sync::atomic::{AtomicU64, Ordering};

use nubo_core::{
    cache::{CollectionStatistics, Statistics},
    schema::{Catalog, CollectionId},
};

/// Counts since the server started, whichever epochs they are of.
pub(super) struct Counts {
    /// By the collections' places; none for those that are not cached.
    collections: Vec<Option<Count>>,
    /// What the cache may take and what it takes, in bytes, when somebody last looked.
    budget: AtomicU64,
    bytes: AtomicU64,
}

/// The same for one collection.
#[derive(Default)]
pub(super) struct Count {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub fills: AtomicU64,
    pub refused_fills: AtomicU64,
    pub builds: AtomicU64,
    pub refused_builds: AtomicU64,
    pub evictions: AtomicU64,
}

/// Counts one more.
pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub fn new(catalog: &Catalog) -> Self {
        let collections = catalog.collections().iter();
        Self {
            collections: collections
                .map(|collection| collection.tiers.cache.is_some().then(Count::default))
                .collect(),
            budget: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Notes something of a collection.
    pub fn of(&self, collection: CollectionId, note: impl FnOnce(&Count)) {
        if let Some(Some(count)) = self.collections.get(collection.index()) {
            note(count);
        }
    }

    /// Notes what was seen of the memory.
    pub fn see(&self, budget: u64, bytes: u64) {
        self.budget.store(budget, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// All of it. How many documents and sets are held, and what those of one collection take,
    /// nobody knows without looking at all of them.
    pub fn statistics(&self) -> Statistics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let all = |count: &Count| CollectionStatistics {
            hits: read(&count.hits),
            misses: read(&count.misses),
            fills: read(&count.fills),
            refused_fills: read(&count.refused_fills),
            builds: read(&count.builds),
            refused_builds: read(&count.refused_builds),
            evictions: read(&count.evictions),
            ..CollectionStatistics::default()
        };
        Statistics {
            budget: read(&self.budget),
            bytes: read(&self.bytes),
            collections: self
                .collections
                .iter()
                .map(|count| count.as_ref().map(all))
                .collect(),
        }
    }
}
