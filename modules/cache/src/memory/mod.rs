//! The cache in this process.
//!
//! [`Memory`] does everything at once: no call ever waits for anything but a lock that is held for a
//! moment. It is divided into [`shard`]s by key. A shard has [slots](document) and [sets](set), knows
//! what they take, and throws out what was not used for longest when that is more than its share of
//! the [budget](budget).

mod budget;
mod claims;
mod document;
mod machine;
mod set;
mod shard;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use nubo_core::{
    Result,
    cache::{
        CollectionStatistics, FillToken, Held, Lookup, Members, Reach, Scan, SetName, Statistics,
    },
    clock::Clock,
    observe::BatchId,
    position::Position,
    recent::Claim,
    schema::Catalog,
};

pub use budget::{Budget, MemoryWatch};

use crate::{
    claims::NOBODY,
    sets::union,
    storage::{Announced, DocumentKey, Settled, Storage},
};
use claims::Lists;
use document::Content;
use set::SetSlot;
use shard::{Shard, Spread};

/// In how many parts the storage is divided.
const SHARDS: usize = 64;

/// Documents and sets in the memory of this process.
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    spread: Spread,
    /// Which collections are cached, by their place.
    cached: Vec<bool>,
    clock: Arc<dyn Clock>,
    /// What all shards together may take, in bytes.
    budget: AtomicUsize,
    tokens: AtomicU64,
    lists: Lists,
}

impl Memory {
    /// An empty one that takes so many bytes at most.
    pub fn new(catalog: &Catalog, clock: Arc<dyn Clock>, budget: usize) -> Self {
        Self::divided(SHARDS, catalog, clock, budget)
    }

    /// The same in so many parts.
    pub fn divided(shards: usize, catalog: &Catalog, clock: Arc<dyn Clock>, budget: usize) -> Self {
        let collections = catalog.collections();
        let shard = || Mutex::new(Shard::new(collections.len()));
        Self {
            shards: (0..shards.max(1)).map(|_| shard()).collect(),
            spread: Spread::default(),
            cached: collections
                .iter()
                .map(|c| c.tiers.cache.is_some())
                .collect(),
            clock,
            budget: AtomicUsize::new(budget),
            tokens: AtomicU64::new(1),
            lists: Lists::default(),
        }
    }

    /// The same with pending lists that close when so many documents are pending, or so many batches
    /// claim one, and one more comes.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn with_most_pending(mut self, documents: usize, claims: usize) -> Self {
        self.lists = Lists::with_most(documents, claims);
        self
    }

    /// How many bytes everything takes.
    pub fn bytes(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).bytes()).sum()
    }

    /// What it may take from now on; what is more goes.
    pub fn set_budget(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::Relaxed);
        for shard in &self.shards {
            lock(shard).shrink_to(self.share());
        }
    }

    /// What there is anything of, in the order in which it was used.
    pub fn keys(&self) -> (Vec<DocumentKey>, Vec<SetName>) {
        let mut keys = (Vec::new(), Vec::new());
        for shard in &self.shards {
            lock(shard).add_keys(&mut keys);
        }
        keys
    }

    /// Throws a document out, unless some batch is about to change it.
    pub fn evict_document(&self, key: DocumentKey) {
        self.document_shard(key).evict_document(key);
    }

    /// Throws a set out, unless some batch is about to commit an entry.
    pub fn evict_set(&self, key: &SetName) {
        self.set_shard(key).evict_set(key);
    }

    /// What one shard may take.
    fn share(&self) -> usize {
        self.budget.load(Ordering::Relaxed) / self.shards.len()
    }

    fn document_shard(&self, key: DocumentKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.spread.place(&key, self.shards.len())])
    }

    fn set_shard(&self, key: &SetName) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.spread.place(key, self.shards.len())])
    }

    fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    fn until(&self, lifetime: Option<i64>) -> Option<i64> {
        lifetime.map(|lifetime| self.now().saturating_add(lifetime))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing panics while it holds the lock and leaves a shard half changed.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The claims of a batch of this process.
fn claims_of(batch: BatchId, claimed: &[DocumentKey]) -> impl Iterator<Item = Claim> {
    claimed.iter().map(move |key| key.claim(NOBODY, batch))
}

impl Storage for Memory {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let read = |key: &DocumentKey| {
            let mut shard = self.document_shard(*key);
            let found = shard.with_document(*key, |slot| match slot.content(|| self.now()) {
                Content::Held(held) => Lookup::Held(held),
                Content::Busy => Lookup::Busy,
                Content::Missing => Lookup::Missing(FillToken {
                    id: key.id,
                    number: slot.leave(|| self.token()),
                }),
            });
            let count = shard.count(key.collection);
            match found {
                Lookup::Held(_) => count.hits += 1,
                Lookup::Busy | Lookup::Unknown => count.misses += 1,
                Lookup::Missing(_) => {
                    count.misses += 1;
                    shard.shrink_to(self.share());
                }
            }
            found
        };
        Ok(documents.iter().map(read).collect())
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let until = self.until(lifetime);
        let fill = |(key, token, held): (DocumentKey, u64, Arc<Held>)| {
            let mut shard = self.document_shard(key);
            let filled = shard.with_known_document(key, |slot| slot.fill(token, held, until));
            let counts = filled.unwrap_or(false);
            let count = shard.count(key.collection);
            match counts {
                true => count.fills += 1,
                false => count.refused_fills += 1,
            }
            shard.shrink_to(self.share());
            counts
        };
        Ok(documents.into_iter().map(fill).collect())
    }

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        self.lists.announce(batch, claims_of(batch, claimed));
        let announce = |announced: &Announced| {
            let mut read = false;
            for place in &announced.places {
                let position = place.position.clone();
                let mut shard = self.set_shard(&place.set);
                read |=
                    shard.with_set(&place.set, |set| set.announce(position, announced.revision));
            }
            let key = announced.document;
            let mut shard = self.document_shard(key);
            shard.with_document(key, |slot| slot.announce(batch)) || read
        };
        Ok(documents.iter().map(announce).collect())
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        self.lists.settle(batch);
        for settled in documents {
            let until = self.until(settled.lifetime);
            let key = settled.document;
            let mut shard = self.document_shard(key);
            shard.with_known_document(key, |slot| {
                slot.settle(batch, settled.version, settled.held, until);
            });
            shard.shrink_to(self.share());
            drop(shard);
            for place in &settled.left {
                let mut shard = self.set_shard(&place.set);
                shard.with_known_set(&place.set, |set| {
                    set.leave(&place.position, settled.left_at);
                });
            }
            for place in &settled.places {
                let mut shard = self.set_shard(&place.set);
                shard.with_known_set(&place.set, |set| set.unpin(&place.position));
                shard.shrink_to(self.share());
            }
        }
        Ok(())
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        self.lists.abort(batch, claims_of(batch, claimed));
        for announced in documents {
            let key = announced.document;
            self.document_shard(key)
                .with_known_document(key, |slot| slot.release(batch));
            for place in &announced.places {
                self.set_shard(&place.set)
                    .with_known_set(&place.set, |set| set.unpin(&place.position));
            }
        }
        Ok(())
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let stretch = |shard: &mut Shard, key: &SetName| {
            let found = shard.read_set(key).map(|set| set.scan(after, most));
            found.unwrap_or((Vec::new(), Reach::Nowhere))
        };
        if let [key] = sets {
            let (positions, reach) = stretch(&mut self.set_shard(key), key);
            return Ok(Scan {
                positions,
                reach,
                documents: None,
            });
        }
        // As of one moment: all locks are held, and taken in one order by everybody.
        let place = |key: &SetName| self.spread.place(key, self.shards.len());
        let mut locks: BTreeMap<usize, Option<MutexGuard<'_, Shard>>> =
            sets.iter().map(|key| (place(key), None)).collect();
        for (place, guard) in &mut locks {
            *guard = Some(lock(&self.shards[*place]));
        }
        let stretches = sets.iter().filter_map(|key| {
            let shard = locks.get_mut(&place(key))?.as_mut()?;
            Some(stretch(shard, key))
        });
        Ok(union(stretches.collect(), most))
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        let mut shard = self.set_shard(set);
        Ok(shard.with_set(set, |slot| slot.begin(|| self.token())))
    }

    async fn build(&self, set: &SetName, token: u64, members: Members) -> Result<bool> {
        let mut shard = self.set_shard(set);
        let built = shard.with_known_set(set, |slot| slot.build(token, members));
        let counts = built.unwrap_or(false);
        let count = shard.count(set.collection);
        match counts {
            true => count.builds += 1,
            false => count.refused_builds += 1,
        }
        // What was just built is read next.
        shard.read_set(set);
        shard.shrink_to(self.share());
        Ok(counts)
    }

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        for set in sets {
            self.set_shard(set).with_known_set(set, SetSlot::forget);
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        for shard in &self.shards {
            lock(shard).clear();
        }
        Ok(())
    }

    async fn distrust(&self) -> Result<()> {
        self.lists.close();
        for shard in &self.shards {
            lock(shard).distrust();
        }
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let mut all = Statistics {
            budget: self.budget.load(Ordering::Relaxed) as u64,
            bytes: 0,
            collections: self
                .cached
                .iter()
                .map(|cached| cached.then(CollectionStatistics::default))
                .collect(),
        };
        for shard in &self.shards {
            let shard = lock(shard);
            all.bytes += shard.bytes() as u64;
            for (sum, part) in all.collections.iter_mut().zip(&shard.statistics) {
                if let Some(sum) = sum {
                    *sum = sum.plus(part);
                }
            }
        }
        all
    }
}
