//! The real storage, a step at a time: each thing that it does to one document or one set is a step
//! of its own, as it would be over a network.

mod claims;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use nubo_cache::{
    Claims as _, Memory, Storage,
    storage::{Announced, DocumentKey, Place, Settled},
};
use nubo_core::{
    Result,
    cache::{Held, Lookup, Members, Scan, SetName, Statistics},
    id::Revision,
    observe::BatchId,
    position::Position,
    recent::Condition,
    record::Version,
};

use crate::{mutant::Mutant, now, scheduler::Scheduler};

/// A storage under the scheduler.
pub struct Stepping {
    inner: Memory,
    scheduler: Scheduler,
    mutant: Option<Mutant>,
    /// The batches that have a token on each document.
    tokens: Mutex<BTreeMap<DocumentKey, Vec<BatchId>>>,
    /// Where documents stood when they were settled last, and which places were not announced: for
    /// the mutant that loses them.
    stood: Mutex<BTreeMap<DocumentKey, Vec<Place>>>,
    lost: Mutex<BTreeMap<(BatchId, DocumentKey), Vec<Place>>>,
    /// Counts for mutants that must be larger than before.
    count: AtomicI64,
}

impl Stepping {
    /// Wraps a storage.
    pub fn new(inner: Memory, scheduler: Scheduler, mutant: Option<Mutant>) -> Self {
        Self {
            inner,
            scheduler,
            mutant,
            tokens: Mutex::default(),
            stood: Mutex::default(),
            lost: Mutex::default(),
            count: AtomicI64::new(0),
        }
    }

    /// What the pending lists are.
    pub fn condition_of_lists(&self) -> Option<Condition> {
        now(self.inner.condition())?.ok()
    }

    /// The real storage.
    pub fn inner(&self) -> &Memory {
        &self.inner
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<DocumentKey, Vec<BatchId>>> {
        locked(&self.tokens)
    }

    /// Takes out of what is announced the places in sets in which the document is already.
    fn lose(&self, batch: BatchId, announced: &Announced) -> Announced {
        let key = announced.document;
        let stood = locked(&self.stood).get(&key).cloned().unwrap_or_default();
        let moves = |place: &Place| {
            let same = |old: &&Place| old.set == place.set && old.position != place.position;
            stood.iter().any(|old| same(&old))
        };
        let (lost, kept) = announced.places.iter().cloned().partition(moves);
        locked(&self.lost).insert((batch, key), lost);
        Announced {
            places: kept,
            ..announced.clone()
        }
    }

    /// The places that are not lost.
    fn not_lost(&self, batch: BatchId, key: DocumentKey, places: Vec<Place>) -> Vec<Place> {
        let lost = locked(&self.lost).remove(&(batch, key)).unwrap_or_default();
        places.into_iter().filter(|p| !lost.contains(p)).collect()
    }

    fn release(&self, batch: BatchId, document: DocumentKey) {
        if let Some(tokens) = self.tokens().get_mut(&document) {
            tokens.retain(|own| *own != batch);
        }
    }

    /// Throws something out: a document or a set that is there.
    pub async fn evict_any(&self) {
        self.scheduler.step("evict").await;
        let (documents, sets) = self.inner.keys();
        let total = documents.len() + sets.len();
        if total == 0 {
            return;
        }
        let at = self.scheduler.draw(|random| random.usize(..total));
        match documents.get(at) {
            Some(key) => {
                if self.is(Mutant::EvictionWithToken) {
                    self.tear_tokens_off(*key).await;
                }
                self.scheduler
                    .note(|| format!("evicts the document {}", short(key.id)));
                self.inner.evict_document(*key);
            }
            None => {
                let name = &sets[at - documents.len()];
                self.scheduler.note(|| format!("evicts {}", set(name)));
                self.inner.evict_set(name);
            }
        }
    }

    /// Takes every token off a document. The batches do not know.
    async fn tear_tokens_off(&self, document: DocumentKey) -> Vec<BatchId> {
        let batches = self.tokens().get(&document).cloned().unwrap_or_default();
        for batch in &batches {
            let bare = bare(document);
            let result = self.inner.abort(*batch, &[bare], &[]).await;
            debug_assert!(result.is_ok());
        }
        batches
    }

    /// Settles the end of a document, and leaves nothing that would remember it.
    async fn settle_and_forget(&self, batch: BatchId, settled: Settled) -> Result<()> {
        let document = settled.document;
        self.inner.settle(batch, vec![settled]).await?;
        for other in self.tear_tokens_off(document).await {
            if other != batch {
                self.inner.announce(other, &[bare(document)], &[]).await?;
            }
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bare(document: DocumentKey) -> Announced {
    Announced {
        document,
        is_new: false,
        revision: Revision::new(0),
        places: Vec::new(),
        left: Some(Vec::new()),
    }
}

/// The end of an id, which tells the few there are apart.
pub fn short(id: nubo_core::id::Id) -> String {
    format!("{:x}", id.uuid().as_u128() & 0xfff)
}

/// A set, in words.
pub fn set(name: &SetName) -> String {
    format!(
        "the set {}/{}/{:02x?}",
        name.collection.index(),
        name.set,
        &name.values[name.values.len().saturating_sub(2)..]
    )
}

impl Storage for Stepping {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let mut found = Vec::with_capacity(documents.len());
        for key in documents {
            self.scheduler.step("read").await;
            let lookup = self.inner.read(&[*key]).await?;
            self.scheduler.note(|| {
                let what = match &lookup[..] {
                    [Lookup::Held(held)] => format!("holds revision {}", held.revision),
                    [Lookup::Missing(token)] => format!("is missing, token {}", token.number),
                    _ => "is busy".into(),
                };
                format!("document {} {what}", short(key.id))
            });
            found.extend(lookup);
        }
        self.scheduler.step("read, answered").await;
        Ok(found)
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let mut counts = Vec::with_capacity(documents.len());
        for (key, mut token, held) in documents {
            self.scheduler.step("fill").await;
            if self.is(Mutant::FillWithoutToken)
                && let [Lookup::Missing(now)] = &self.inner.read(&[key]).await?[..]
            {
                token = now.number;
            }
            let revision = held.revision;
            let counted = self.inner.fill(vec![(key, token, held)], lifetime).await?;
            self.scheduler.note(|| {
                format!(
                    "fills {} with {revision}, token {token}: {counted:?}",
                    short(key.id)
                )
            });
            counts.extend(counted);
        }
        self.scheduler.step("fill, answered").await;
        Ok(counts)
    }

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        if !claimed.is_empty() {
            self.scheduler.step("claim").await;
            self.inner.announce(batch, &[], claimed).await?;
        }
        let mut wanted = Vec::with_capacity(documents.len());
        for announced in documents {
            self.scheduler.step("announce").await;
            self.tokens()
                .entry(announced.document)
                .or_default()
                .push(batch);
            let changed = match self.is(Mutant::EntryLostWhenMoved) {
                true => &self.lose(batch, announced),
                false => announced,
            };
            let one = std::slice::from_ref(changed);
            wanted.extend(self.inner.announce(batch, one, &[]).await?);
        }
        self.scheduler.step("announce, answered").await;
        Ok(wanted)
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        if documents.is_empty() {
            return self.inner.settle(batch, documents).await;
        }
        for mut settled in documents {
            self.scheduler.step("settle").await;
            self.scheduler.note(|| {
                let version = settled.version;
                format!("settles {} at {version:?}", short(settled.document.id))
            });
            if self.is(Mutant::RevisionNotCompared) {
                // Later than everything before.
                let later = self.count.fetch_add(1, Ordering::Relaxed);
                settled.version = Version::there(Revision::new(i64::MAX / 2 + later));
            }
            if self.is(Mutant::RemovalIgnoresRevision) {
                settled.left_at = Revision::new(i64::MAX);
            }
            let document = settled.document;
            if self.is(Mutant::EntryLostWhenMoved) {
                locked(&self.stood).insert(document, settled.places.clone());
                settled.places = self.not_lost(batch, document, settled.places);
            }
            match settled.version.gone && self.is(Mutant::TombstoneForgotten) {
                true => self.settle_and_forget(batch, settled).await?,
                false => self.inner.settle(batch, vec![settled]).await?,
            }
            self.release(batch, document);
        }
        Ok(())
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        for announced in documents {
            self.scheduler.step("abort").await;
            self.release(batch, announced.document);
            let mut announced = announced.clone();
            announced.places = self.not_lost(batch, announced.document, announced.places);
            self.inner.abort(batch, &[announced], &[]).await?;
        }
        if !claimed.is_empty() {
            self.scheduler.step("take claims back").await;
            self.inner.abort(batch, &[], claimed).await?;
        }
        Ok(())
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        self.scheduler.step("scan").await;
        let scan = self.inner.scan(sets, after, most).await?;
        self.scheduler.note(|| {
            let names: Vec<String> = sets.iter().map(set).collect();
            format!(
                "scans {}: {} down to {:?}",
                names.join(", "),
                scan.positions.len(),
                reach(&scan)
            )
        });
        self.scheduler.step("scan, answered").await;
        Ok(scan)
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        self.scheduler.step("begin").await;
        if self.is(Mutant::BuildTokenAfterSnapshot) {
            return Ok(Some(0));
        }
        let token = self.inner.begin(set).await?;
        self.scheduler.step("begin, answered").await;
        Ok(token)
    }

    async fn build(&self, set: &SetName, mut token: u64, members: Members) -> Result<bool> {
        self.scheduler.step("build").await;
        if self.is(Mutant::BuildTokenAfterSnapshot) {
            token = self.inner.begin(set).await?.unwrap_or(0);
        }
        let count = members.members.len();
        let built = self.inner.build(set, token, members).await?;
        self.scheduler
            .note(|| format!("builds {} with {count} members: {built}", self::set(set)));
        self.scheduler.step("build, answered").await;
        Ok(built)
    }

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        for set in sets {
            self.scheduler.step("forget a set").await;
            self.inner.forget_sets(std::slice::from_ref(set)).await?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.scheduler.step("clear").await;
        self.inner.clear().await
    }

    async fn distrust(&self) -> Result<()> {
        self.scheduler.step("clear").await;
        self.inner.distrust().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

fn reach(scan: &Scan) -> &'static str {
    match scan.reach {
        nubo_core::cache::Reach::Nowhere => "nowhere",
        nubo_core::cache::Reach::To(_) => "a mark",
        nubo_core::cache::Reach::End => "the end",
    }
}
