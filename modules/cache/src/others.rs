//! Documents that somebody else has written, who announces nothing: a person with SQL, say.
//!
//! The cache hears of them when they are committed, and has served what they were until then. From
//! now on it must not, and four things are done in this order:
//!
//! 1. They are **announced**, without saying where they will stand. A reader meets the token and
//!    asks the truth; what somebody has read of them before is not put there any more, because the
//!    fill token is gone.
//! 2. They are **read** from the truth. If that came first, a change in between by a batch that is
//!    settled before the announcement would be older than what is put down, and the document would
//!    miss from the set that it has entered.
//! 3. Where they stand is **announced** as well, so that it is in the sets before anybody may think
//!    that the sets miss nothing. A set that somebody is building from what they read before the
//!    document came has it now; who begins later reads it there.
//! 4. They are **settled** at a version above all others, which drops what is held and has the slot
//!    refuse what batches bring that are still under way. Those may have been committed before, and
//!    the revision does not tell: who writes with SQL need not raise it. The entries in the sets have
//!    the highest revision for the same reason; no batch under way takes one out.
//!
//! Where the documents stood before nobody knows, so that those entries stay in their sets, as do the
//! ones put there under the highest revision. What a set yields is held against the question again;
//! they cost only time. Once there may be [many](MOST_LEFT_BEHIND) of them, everything is forgotten.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nubo_core::{id::Revision, observe::BatchId};

use crate::storage::{Announced, DocumentKey, LAST, Place, Settled};

/// How many documents may have left entries behind.
const MOST_LEFT_BEHIND: usize = 10_000;

/// What is known of documents that others have written.
#[derive(Default)]
pub(crate) struct Others {
    /// Those that are announced and not settled.
    doubted: Mutex<HashMap<BatchId, Vec<DocumentKey>>>,
    /// How many may have left entries behind since everything was forgotten.
    left_behind: AtomicUsize,
}

impl Others {
    /// Notes documents that are announced.
    pub fn doubt(&self, batch: BatchId, documents: impl Iterator<Item = DocumentKey>) {
        self.locked().insert(batch, documents.collect());
    }

    /// Whether this is the number of documents that others have written.
    pub fn is_doubted(&self, batch: BatchId) -> bool {
        self.locked().contains_key(&batch)
    }

    /// The documents with a number, which are about to be settled.
    pub fn take(&self, batch: BatchId) -> Vec<DocumentKey> {
        self.locked().remove(&batch).unwrap_or_default()
    }

    /// Counts documents that are settled. Whether everything is to be forgotten.
    pub fn have_left_behind(&self, documents: usize) -> bool {
        self.left_behind.fetch_add(documents, Ordering::Relaxed) + documents > MOST_LEFT_BEHIND
    }

    /// Everything is about to be forgotten.
    pub fn forget_left_behind(&self) {
        self.left_behind.store(0, Ordering::Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<BatchId, Vec<DocumentKey>>> {
        // Nothing panics while it holds the lock and leaves the map half changed.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document as it is announced.
pub(crate) fn announced(document: DocumentKey, places: Vec<Place>) -> Announced {
    Announced {
        document,
        revision: LAST.revision,
        places,
    }
}

/// The same as it is settled: nothing is held.
pub(crate) fn settled(announced: Announced) -> Settled {
    Settled {
        document: announced.document,
        version: LAST,
        held: None,
        lifetime: None,
        places: announced.places,
        left: Vec::new(),
        left_at: Revision::new(i64::MIN),
    }
}
