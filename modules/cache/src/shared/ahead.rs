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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use nubo_core::{
        id::{Id, Revision},
        position::Position,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{storage::Place, storage_tests::catalog};

    fn document(number: u128) -> DocumentKey {
        DocumentKey {
            collection: catalog().collections()[0].id,
            id: Id::from_uuid(Uuid::from_u128(number)),
        }
    }

    fn set(number: u16) -> SetName {
        SetName {
            collection: document(0).collection,
            set: number,
            values: Vec::new().into(),
        }
    }

    fn announced(number: u128, enters: u16, left: Option<u16>) -> Announced {
        let place = |number: u16| Place {
            set: set(number),
            position: Position::from_bytes(b"1"),
        };
        Announced {
            document: document(number),
            is_new: false,
            revision: Revision::new(1),
            places: vec![place(enters)],
            left: left.map(|left| vec![place(left)]),
        }
    }

    #[test]
    fn what_is_ahead_is_known_until_all_have_ended_that_change_it() {
        let ahead = Ahead::default();
        assert!(ahead.begin(BatchId(1), &[announced(1, 1, Some(2))]));
        assert!(ahead.begin(BatchId(2), &[announced(2, 1, Some(3))]));
        for (number, is_ahead) in [(1, true), (2, true), (3, false)] {
            assert_eq!(ahead.has_document(document(number)), is_ahead);
        }
        assert!(ahead.has_set(&[set(9), set(2)]));
        ahead.end(BatchId(1));
        assert!(!ahead.has_document(document(1)));
        assert!(ahead.has_set(&[set(1)]) && !ahead.has_set(&[set(2)]));
        ahead.end(BatchId(2));
        ahead.end(BatchId(2));
        assert!(ahead.is_empty() && !ahead.has_set(&[set(1), set(3)]));
    }

    #[tokio::test]
    async fn no_two_change_a_document_ahead_of_each_other() {
        let ahead = Ahead::default();
        let first = [announced(1, 1, Some(1))];
        assert!(ahead.begin(BatchId(1), &first));
        assert!(!ahead.begin(
            BatchId(2),
            &[announced(2, 1, Some(1)), announced(1, 2, Some(1))]
        ));
        // Nobody knows where it stood, and it would not be read from there.
        assert!(!ahead.begin(BatchId(3), &[announced(3, 1, None)]));
        assert!(!ahead.has_document(document(2)) && !ahead.has_document(document(3)));
        let mut passing = Box::pin(ahead.pass(&first));
        assert!((&mut passing).now_or_never().is_none());
        ahead.end(BatchId(1));
        passing.await;
        assert!(ahead.begin(BatchId(2), &first));
    }
}
