//! The cache itself: what happens to which document and which set when something is read or written.
//!
//! Everything that keeps answers right is here and the same for every storage. A batch is announced
//! in the storage before it is committed: from then on its documents are read from the truth, and
//! the sets that they are about to enter have them already. When it is settled, what was held is
//! replaced, and the sets that were left lose them. Between the two, sets have more than belongs
//! there and never less. A storage that keeps readers away from what a batch changes may let it go
//! ahead: then it is announced and settled when it is committed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    cache::{BuildToken, Cache, FillToken, Held, Lookup, Members, Scan, SetName, Statistics},
    coordination::Terms,
    document::Document,
    id::{Id, Revision},
    observe::{BatchId, Fate, Foreign, Observer, Touched},
    position::Position,
    record::{Record, Version},
    schema::{CacheTier, Catalog, Collection, CollectionId},
    value::Value,
};

use crate::{
    others::{Doubted, Others, Resolved, entered_by_several},
    storage::{Announced, DocumentKey, Place, Settled, Storage},
};

/// The cache over a storage.
pub struct Shelves<S> {
    catalog: Arc<Catalog>,
    pub(crate) storage: Arc<S>,
    /// Whether there is a recent tier, for which documents are claimed.
    has_recent: bool,
    /// The batches that are announced and not yet settled.
    pending: Mutex<HashMap<BatchId, Pending>>,
    others: Others,
}

/// A batch between the two: what was announced, and of each document what the batch does.
#[derive(Default)]
struct Pending {
    announced: Vec<Announced>,
    changes: Vec<Change>,
    /// What the recent tier is to have, held here or not.
    claimed: Vec<DocumentKey>,
    /// Whether it may be committed, and is not announced yet.
    is_ahead: bool,
}

impl Pending {
    /// Notes which documents are worth holding.
    fn note(&mut self, wanted: &[bool]) {
        for (change, wanted) in self.changes.iter_mut().zip(wanted) {
            change.wanted = *wanted;
        }
    }
}

/// What a batch does to a document.
struct Change {
    /// The first of the batch's changes to it, which has what it was.
    first: Arc<Touched>,
    /// The last one, which has what it will be.
    last: Arc<Touched>,
    /// Whether it is worth holding.
    wanted: bool,
}

impl<S: Storage> Shelves<S> {
    /// A cache of these collections.
    pub fn new(catalog: Arc<Catalog>, storage: Arc<S>) -> Self {
        Self {
            catalog,
            storage,
            has_recent: false,
            pending: Mutex::default(),
            others: Others::default(),
        }
    }

    /// The same beside a recent tier: what is on its way there is in the pending lists.
    #[must_use]
    pub fn with_recent(mut self) -> Self {
        self.has_recent = true;
        self
    }

    fn tier(&self, collection: CollectionId) -> Option<(&Collection, &CacheTier)> {
        let collection = self.catalog.get(collection);
        let cache = collection.tiers.cache.as_ref()?;
        Some((collection, cache))
    }

    /// Whether the recent tier is to have the documents of a collection.
    fn claims(&self, collection: CollectionId) -> bool {
        self.has_recent && self.catalog.get(collection).tiers.recent.is_some()
    }

    fn lifetime(&self, collection: CollectionId) -> Option<i64> {
        self.tier(collection).and_then(|(_, cache)| cache.expires)
    }

    /// What a batch is about to do, document by document. Where it changes one several times, only
    /// what it was and what it will be matter.
    fn pending(&self, changes: &[Arc<Touched>]) -> Pending {
        let mut places: HashMap<DocumentKey, usize> = HashMap::with_capacity(changes.len());
        let mut pending = Pending::default();
        for change in changes {
            let document = change.after.as_ref().or(change.before.as_ref());
            let Some(document) = document else { continue };
            let Some(id) = document.id() else { continue };
            let key = DocumentKey {
                collection: change.collection,
                id,
            };
            if self.claims(key.collection) {
                pending.claimed.push(key);
            }
            let Some((collection, cache)) = self.tier(key.collection) else {
                continue;
            };
            let revision = document.revision();
            let stands = places_of(change.after.as_ref(), collection, cache);
            match places.get(&key) {
                Some(at) => {
                    let announced = &mut pending.announced[*at];
                    (announced.revision, announced.places) = (revision, stands);
                    pending.changes[*at].last = Arc::clone(change);
                }
                None => {
                    places.insert(key, pending.announced.len());
                    pending.announced.push(Announced {
                        document: key,
                        is_new: change.before.is_none(),
                        revision,
                        places: stands,
                        left: Some(places_of(change.before.as_ref(), collection, cache)),
                    });
                    pending.changes.push(Change {
                        first: Arc::clone(change),
                        last: Arc::clone(change),
                        wanted: false,
                    });
                }
            }
        }
        pending.claimed.sort_unstable();
        pending.claimed.dedup();
        for announced in &mut pending.announced {
            if let Some(left) = &mut announced.left {
                left.retain(|place| !announced.places.contains(place));
            }
        }
        pending
    }

    /// What a batch has done to a document.
    fn settled(&self, announced: Announced, change: Change) -> Option<Settled> {
        let Change {
            first,
            last,
            wanted,
        } = change;
        let (collection, cache) = self.tier(announced.document.collection)?;
        let before = first.before.as_ref();
        // One that came and went within the batch was nowhere before and is nowhere now.
        let none = Version::gone(Revision::new(i64::MIN));
        let version = Version::after(before.or(last.before.as_ref()), last.after.as_ref());
        Some(Settled {
            document: announced.document,
            is_new: announced.is_new,
            version: version.unwrap_or(none),
            held: match &last.after {
                Some(document) if wanted => Some(Arc::new(Held::of(document, collection, cache))),
                _ => None,
            },
            lifetime: cache.expires,
            places: announced.places,
            left: announced.left.unwrap_or_default(),
            left_at: before.map_or(Revision::new(i64::MIN), Document::revision),
        })
    }

    /// Where a document stood that is held, and its revision there.
    fn before(&self, document: DocumentKey, found: &Lookup) -> Option<(Vec<Place>, Revision)> {
        let (collection, cache) = self.tier(document.collection)?;
        let Lookup::Held(held) = found else {
            return None;
        };
        let places = places_of(Some(&held.excerpt), collection, cache);
        Some((places, held.revision))
    }

    /// Announces a batch that went ahead, if anything came of it. Whether it is to be settled.
    async fn catch_up(&self, batch: BatchId, pending: &mut Pending, fate: Fate) -> bool {
        if fate == Fate::Refused {
            self.storage.refused(batch);
        }
        if fate != Fate::Committed {
            self.storage.call_off(batch);
            return false;
        }
        match self.storage.announce_late(batch, &pending.announced).await {
            Ok(Some(wanted)) => {
                pending.note(&wanted);
                true
            }
            Ok(None) => false,
            // Nothing is read from the cache any more.
            Err(error) => {
                tracing::error!(%error, "a batch could not be announced in the cache");
                false
            }
        }
    }

    async fn take_back(&self, batch: BatchId, pending: &Pending) -> Result<()> {
        let aborted = self
            .storage
            .abort(batch, &pending.announced, &pending.claimed);
        aborted.await
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<BatchId, Pending>> {
        // Nothing panics while it holds the lock and leaves the map half changed.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a document stands: in each set that has its values. One with a list of values stands in the
/// set of each of them.
pub(crate) fn places_of(
    document: Option<&impl Record>,
    collection: &Collection,
    cache: &CacheTier,
) -> Vec<Place> {
    let Some(document) = document.filter(|_| !cache.sets.is_empty()) else {
        return Vec::new();
    };
    let Some(position) = Position::of(&collection.order, document) else {
        debug_assert!(false, "an order without binary form has sets");
        return Vec::new();
    };
    let mut places = Vec::with_capacity(cache.sets.len());
    let mut add = |set: usize, values: &[&Value]| {
        let name = SetName::new(collection, set, values);
        debug_assert!(name.is_some(), "a value that its own field cannot have");
        let place = name.map(|set| Place {
            set,
            position: position.clone(),
        });
        places.extend(place);
    };
    for (set, fields) in cache.sets.iter().enumerate() {
        match &fields[..] {
            [field] if matches!(document.value(*field), Value::List(_)) => {
                if let Value::List(items) = document.value(*field) {
                    for (at, item) in items.iter().enumerate() {
                        if !items[..at].contains(item) {
                            add(set, &[item]);
                        }
                    }
                }
            }
            fields => {
                let values: Vec<&Value> = fields.iter().map(|f| document.value(*f)).collect();
                add(set, &values);
            }
        }
    }
    places
}

#[async_trait]
impl<S: Storage> Observer for Shelves<S> {
    fn observes(&self, collection: CollectionId) -> bool {
        self.tier(collection).is_some() || self.claims(collection)
    }

    async fn announce(&self, batch: BatchId, changes: &[Arc<Touched>]) -> Result<Option<Terms>> {
        let mut pending = self.pending(changes);
        let may = self
            .storage
            .go_ahead(batch, &pending.announced, &pending.claimed);
        if may {
            pending.is_ahead = true;
            self.locked().insert(batch, pending);
            return Ok(self.storage.terms(batch));
        }
        let announced = self
            .storage
            .announce(batch, &pending.announced, &pending.claimed);
        let wanted = announced.await;
        if let Ok(wanted) = &wanted {
            pending.note(wanted);
        }
        // Even what has failed on the way is to be taken back.
        self.locked().insert(batch, pending);
        wanted.map(|_| self.storage.terms(batch))
    }

    async fn settle(&self, batch: BatchId, fate: Fate) {
        if self.others.is_doubted(batch) {
            // They could not be read. What was held of them goes all the same.
            return self.resolve(batch, &[]).await;
        }
        let Some(mut pending) = self.locked().remove(&batch) else {
            return;
        };
        if pending.is_ahead && !self.catch_up(batch, &mut pending, fate).await {
            return;
        }
        let result = match fate {
            Fate::Committed => {
                let both = pending.announced.into_iter().zip(pending.changes);
                let settled =
                    both.filter_map(|(announced, change)| self.settled(announced, change));
                self.storage.settle(batch, settled.collect()).await
            }
            Fate::Refused => {
                self.storage.refused(batch);
                self.take_back(batch, &pending).await
            }
            Fate::Aborted => self.take_back(batch, &pending).await,
        };
        // Its tokens stay, so that its documents are read from the truth.
        if let Err(error) = result {
            tracing::error!(%error, "a batch could not be settled in the cache");
        }
    }

    async fn overtaken(&self) {
        self.others.forget_left_behind();
        if let Err(error) = self.storage.distrust().await {
            tracing::error!(%error, "the cache could not be cleared");
        }
    }

    async fn doubt(&self, batch: BatchId, documents: &[(CollectionId, Id)]) {
        let keys = documents.iter().map(|(collection, id)| DocumentKey {
            collection: *collection,
            id: *id,
        });
        let claimed = keys.clone().filter(|key| self.claims(key.collection));
        let claimed: Vec<DocumentKey> = claimed.collect();
        let keys = keys.filter(|key| self.tier(key.collection).is_some());
        let keys: Vec<DocumentKey> = keys.collect();
        let known = self.storage.read(&keys).await;
        let mut known = known.unwrap_or_default().into_iter();
        let doubted = keys.into_iter().map(|document| Doubted {
            document,
            before: known.next().and_then(|found| self.before(document, &found)),
        });
        let doubted: Vec<Doubted> = doubted.collect();
        let announced: Vec<Announced> = doubted.iter().map(Doubted::announced).collect();
        let result = self.storage.announce(batch, &announced, &claimed).await;
        // Even what has failed on the way is to be taken back.
        self.others.doubt(batch, doubted);
        if let Err(error) = result {
            tracing::error!(%error, "what others have written could not be announced in the cache");
            self.overtaken().await;
        }
    }

    async fn resolve(&self, batch: BatchId, documents: &[Foreign]) {
        let now = documents.iter().map(|foreign| {
            let key = DocumentKey {
                collection: foreign.collection,
                id: foreign.id,
            };
            (key, foreign.now.as_ref())
        });
        let now: HashMap<DocumentKey, Option<&Document>> = now.collect();
        let doubted = self.others.take(batch).into_iter();
        let resolved = doubted.map(|doubted| {
            let (now, places) = match (now.get(&doubted.document), &doubted.before) {
                // It could not be read, and may stand where it stood: others still look there.
                (None, Some((places, _))) => (None, places.clone()),
                (now, _) => {
                    let now = now.copied().flatten();
                    let tier = self.tier(doubted.document.collection);
                    let places = tier.map(|(collection, cache)| places_of(now, collection, cache));
                    (now, places.unwrap_or_default())
                }
            };
            doubted.resolved(now, places)
        });
        let resolved: Vec<Resolved> = resolved.collect();
        let announced: Vec<Announced> = resolved.iter().map(Resolved::announced).collect();
        let forgotten = match entered_by_several(&resolved) {
            sets if sets.is_empty() => Ok(()),
            sets => self.storage.forget_sets(&sets).await,
        };
        // What was claimed arrives, or has arrived by now.
        let entered = self.storage.announce(batch, &announced, &[]).await;
        let is_too_much = self.others.have_left_behind(&resolved);
        let settled = resolved.into_iter().map(Resolved::settled).collect();
        let settled = self.storage.settle(batch, settled).await;
        let result = forgotten.and(entered).and(settled);
        if let Err(error) = &result {
            tracing::error!(%error, "what others have written could not be settled in the cache");
        }
        if result.is_err() || is_too_much {
            self.overtaken().await;
        }
    }

    fn watched(&self, since: i64) {
        self.storage.watched(since);
    }
}

#[async_trait]
impl<S: Storage> Cache for Shelves<S> {
    async fn documents(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<Lookup>> {
        match ids {
            [id] => {
                self.storage
                    .read(&[DocumentKey {
                        collection,
                        id: *id,
                    }])
                    .await
            }
            ids => {
                let keys = ids.iter().map(|id| DocumentKey {
                    collection,
                    id: *id,
                });
                self.storage.read(&keys.collect::<Vec<_>>()).await
            }
        }
    }

    async fn fill(
        &self,
        collection: CollectionId,
        found: Vec<(FillToken, Arc<Held>)>,
    ) -> Result<Vec<bool>> {
        let fills = found.into_iter().map(|(token, held)| {
            let key = DocumentKey {
                collection,
                id: token.id,
            };
            (key, token.number, held)
        });
        let lifetime = self.lifetime(collection);
        self.storage.fill(fills.collect(), lifetime).await
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        self.storage.scan(sets, after, most).await
    }

    async fn begin(&self, set: &SetName) -> Result<Option<BuildToken>> {
        Ok(self.storage.begin(set).await?.map(BuildToken))
    }

    async fn build(&self, set: &SetName, token: BuildToken, members: Members) -> Result<bool> {
        self.storage.build(set, token.0, members).await
    }

    fn is_usable(&self) -> bool {
        self.storage.is_usable()
    }

    async fn clear(&self) -> Result<()> {
        self.storage.clear().await
    }

    fn statistics(&self) -> Statistics {
        self.storage.statistics()
    }
}
