//! A part of the storage behind one lock: slots and sets, what they take, and who goes first.

use std::hash::{BuildHasher, Hash, RandomState};

use hashlink::LinkedHashMap;
use nubo_core::{
    cache::{CollectionStatistics, SetName},
    schema::CollectionId,
};

use super::{document::DocumentSlot, set::SetSlot};
use crate::storage::DocumentKey;

/// What an entry of a map takes beyond key and value: its place in the order, its place in the
/// table, and what the allocator keeps for itself, about.
const ENTRY: usize = 16 + 24 + 16;

/// Slots and sets of some keys. In both maps the least recently used stand in front.
pub(super) struct Shard {
    documents: LinkedHashMap<DocumentKey, DocumentSlot>,
    sets: LinkedHashMap<SetName, SetSlot>,
    /// Counts uses.
    clock: u64,
    bytes: usize,
    /// By the collections' places.
    pub statistics: Vec<CollectionStatistics>,
}

/// What a slot or a set takes, and whether it holds anything.
#[derive(Clone, Copy, Default, PartialEq)]
struct Weight {
    bytes: usize,
    /// 1 where it counts as a document or a set that is held.
    held: u64,
}

fn document_weight(slot: &DocumentSlot) -> Weight {
    Weight {
        bytes: size_of::<DocumentKey>() + size_of::<DocumentSlot>() + ENTRY + slot.heap(),
        held: u64::from(slot.is_held()),
    }
}

fn set_weight(key: &SetName, set: &SetSlot) -> Weight {
    let own = size_of::<SetName>() + key.values.len() + size_of::<SetSlot>() + ENTRY;
    Weight {
        bytes: own + set.heap(),
        held: 1,
    }
}

impl Shard {
    pub fn new(collections: usize) -> Self {
        Self {
            documents: LinkedHashMap::with_hasher(Default::default()),
            sets: LinkedHashMap::with_hasher(Default::default()),
            clock: 0,
            bytes: 0,
            statistics: vec![CollectionStatistics::default(); collections],
        }
    }

    /// How many bytes everything takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what there is anything of.
    pub fn add_keys(&self, keys: &mut (Vec<DocumentKey>, Vec<SetName>)) {
        keys.0.extend(self.documents.keys());
        keys.1.extend(self.sets.keys().cloned());
    }

    /// What is counted of a collection.
    pub fn count(&mut self, collection: CollectionId) -> &mut CollectionStatistics {
        &mut self.statistics[collection.index()]
    }

    /// Works on a slot, which is made where there is none and goes where it says nothing any more.
    pub fn with_document<R>(
        &mut self,
        key: DocumentKey,
        work: impl FnOnce(&mut DocumentSlot) -> R,
    ) -> R {
        self.clock += 1;
        let used = self.clock;
        let mut before = Weight::default();
        let slot = match self.documents.to_back(&key) {
            Some(slot) => {
                before = document_weight(slot);
                slot
            }
            None => self
                .documents
                .entry(key)
                .or_insert_with(DocumentSlot::default),
        };
        slot.used = used;
        let result = work(slot);
        let after = match slot.is_empty() {
            false => document_weight(slot),
            true => {
                self.documents.remove(&key);
                Weight::default()
            }
        };
        self.weigh(key.collection, before, after, |count| &mut count.documents);
        result
    }

    /// The same with a slot that is there.
    pub fn with_known_document<R>(
        &mut self,
        key: DocumentKey,
        work: impl FnOnce(&mut DocumentSlot) -> R,
    ) -> Option<R> {
        match self.documents.contains_key(&key) {
            true => Some(self.with_document(key, work)),
            false => None,
        }
    }

    /// Works on a set, which is made where there is none and goes where it is of no use any more.
    pub fn with_set<R>(&mut self, key: &SetName, work: impl FnOnce(&mut SetSlot) -> R) -> R {
        let mut before = Weight::default();
        let set = match self.sets.get_mut(key) {
            Some(set) => {
                before = set_weight(key, set);
                set
            }
            None => self
                .sets
                .entry(key.clone())
                .or_insert_with(SetSlot::default),
        };
        let result = work(set);
        let after = match set.is_empty() {
            false => set_weight(key, set),
            true => {
                self.sets.remove(key);
                Weight::default()
            }
        };
        self.weigh(key.collection, before, after, |count| &mut count.sets);
        result
    }

    /// The same with a set that is there.
    pub fn with_known_set<R>(
        &mut self,
        key: &SetName,
        work: impl FnOnce(&mut SetSlot) -> R,
    ) -> Option<R> {
        match self.sets.contains_key(key) {
            true => Some(self.with_set(key, work)),
            false => None,
        }
    }

    /// A set to be read: it counts as used.
    pub fn read_set(&mut self, key: &SetName) -> Option<&SetSlot> {
        self.clock += 1;
        let used = self.clock;
        let set = self.sets.to_back(key)?;
        set.used = used;
        Some(set)
    }

    /// Throws out what was not used for the longest time until no more than so many bytes are
    /// taken, or all that is left must stay.
    pub fn shrink_to(&mut self, most: usize) {
        // What must stay goes to the end of the line, and nobody comes by twice.
        let mut candidates = self.documents.len() + self.sets.len();
        while self.bytes > most && candidates > 0 {
            candidates -= 1;
            let document = self.documents.front().map(|(_, slot)| slot.used);
            let set = self.sets.front().map(|(_, set)| set.used);
            match (document, set) {
                (Some(document), set) if set.is_none_or(|set| document <= set) => {
                    self.evict_first_document();
                }
                (_, Some(_)) => self.evict_first_set(),
                _ => return,
            }
        }
    }

    fn evict_first_document(&mut self) {
        let Some((key, slot)) = self.documents.front() else {
            return;
        };
        let key = *key;
        match slot.is_pinned() {
            true => self.pass_document(key),
            false => self.evict_document(key),
        }
    }

    fn evict_first_set(&mut self) {
        let Some((key, set)) = self.sets.front() else {
            return;
        };
        let key = key.clone();
        match set.is_pinned() {
            true => {
                self.read_set(&key);
            }
            false => self.evict_set(&key),
        }
    }

    fn pass_document(&mut self, key: DocumentKey) {
        self.clock += 1;
        if let Some(slot) = self.documents.to_back(&key) {
            slot.used = self.clock;
        }
    }

    /// Throws a document out, unless it must stay.
    pub fn evict_document(&mut self, key: DocumentKey) {
        if self
            .documents
            .get(&key)
            .is_some_and(|slot| !slot.is_pinned())
        {
            self.with_document(key, DocumentSlot::forget);
            self.count(key.collection).evictions += 1;
        }
    }

    /// Throws a set out, unless it must stay.
    pub fn evict_set(&mut self, key: &SetName) {
        if self.sets.get(key).is_some_and(|set| !set.is_pinned()) {
            self.with_set(key, SetSlot::forget);
            self.count(key.collection).evictions += 1;
        }
    }

    /// Forgets everything that need not stay, and of that which must what it holds.
    pub fn clear(&mut self) {
        self.forget_all(DocumentSlot::forget);
    }

    /// The same, and what batches bring that are under way is not held either.
    pub fn distrust(&mut self) {
        self.forget_all(DocumentSlot::distrust);
    }

    fn forget_all(&mut self, forget: impl Fn(&mut DocumentSlot)) {
        let documents: Vec<DocumentKey> = self.documents.keys().copied().collect();
        for key in documents {
            self.with_document(key, &forget);
        }
        let sets: Vec<SetName> = self.sets.keys().cloned().collect();
        for key in sets {
            self.with_set(&key, SetSlot::forget);
        }
    }

    fn weigh(
        &mut self,
        collection: CollectionId,
        before: Weight,
        after: Weight,
        held: impl FnOnce(&mut CollectionStatistics) -> &mut u64,
    ) {
        if before == after {
            return;
        }
        self.bytes = self.bytes + after.bytes - before.bytes;
        let count = &mut self.statistics[collection.index()];
        count.bytes = count.bytes + after.bytes as u64 - before.bytes as u64;
        let held = held(count);
        *held = *held + after.held - before.held;
    }
}

/// Spreads keys over shards. Clients choose ids, so the spread is not theirs to know.
#[derive(Default)]
pub(super) struct Spread(RandomState);

impl Spread {
    /// The place of a key among so many shards.
    pub fn place(&self, key: &impl Hash, of: usize) -> usize {
        let hash = self.0.hash_one(key);
        usize::try_from(hash % of as u64).unwrap_or_default()
    }
}
