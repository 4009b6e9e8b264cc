//! What the gate's owner commits before the cache has heard of it.
//!
//! Nobody else reads from the cache then. So it is enough that this instance reads from the truth what
//! such a batch changes, until it is announced: the documents, and the sets that they enter or leave.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nubo_core::{cache::SetName, observe::BatchId};
use tokio::sync::Notify;

use crate::storage::{Announced, DocumentKey};

/// The batches that are ahead of their announcement.
#[derive(Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
    /// How many there are, so that who reads looks further only where there are any.
    count: AtomicUsize,
    /// Told when one is announced.
    announced: Notify,
}

#[derive(Default)]
struct State {
    batches: HashMap<BatchId, Batch>,
    documents: HashMap<DocumentKey, usize>,
    sets: HashMap<SetName, usize>,
}

/// What is not to be read from the cache.
#[derive(Default)]
struct Batch {
    documents: Vec<DocumentKey>,
    sets: Vec<SetName>,
}

impl Ahead {
    /// Notes a batch that goes ahead. Not one whose documents are among those of another: which of the
    /// two the cache hears of first would be a matter of chance. Nor one of which nobody knows what it
    /// changes.
    pub fn begin(&self, id: BatchId, documents: &[Announced]) -> bool {
        let mut state = self.state();
        let may = documents.iter().all(|announced| {
            announced.left.is_some() && !state.documents.contains_key(&announced.document)
        });
        if !may || documents.is_empty() {
            return false;
        }
        let mut batch = Batch::default();
        for announced in documents {
            let left = announced.left.iter().flatten();
            let sets = announced.places.iter().chain(left);
            batch.sets.extend(sets.map(|place| place.set.clone()));
            batch.documents.push(announced.document);
        }
        for document in &batch.documents {
            *state.documents.entry(*document).or_default() += 1;
        }
        for set in &batch.sets {
            *state.sets.entry(set.clone()).or_default() += 1;
        }
        state.batches.insert(id, batch);
        self.count.store(state.batches.len(), Ordering::SeqCst);
        true
    }

    /// The cache has heard of a batch, or is not read from any more.
    pub fn end(&self, id: BatchId) {
        let mut state = self.state();
        if let Some(batch) = state.batches.remove(&id) {
            batch
                .documents
                .iter()
                .for_each(|document| take_one(&mut state.documents, document));
            batch
                .sets
                .iter()
                .for_each(|set| take_one(&mut state.sets, set));
        }
        self.count.store(state.batches.len(), Ordering::SeqCst);
        drop(state);
        self.announced.notify_waiters();
    }

    /// Whether a batch that is ahead changes a document.
    pub fn has_document(&self, document: DocumentKey) -> bool {
        !self.is_empty() && self.state().documents.contains_key(&document)
    }

    /// Whether what one changes enters or leaves any of these sets.
    pub fn has_set(&self, sets: &[SetName]) -> bool {
        if self.is_empty() {
            return false;
        }
        let state = self.state();
        sets.iter().any(|set| state.sets.contains_key(set))
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Waits until none that is ahead changes any of these documents.
    pub async fn pass(&self, documents: &[Announced]) {
        loop {
            let announced = self.announced.notified();
            let is_changed = |own: &Announced| self.has_document(own.document);
            if !documents.iter().any(is_changed) {
                return;
            }
            announced.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
