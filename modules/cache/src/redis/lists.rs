//! Lists that were read whole, kept in this process.
//!
//! A list of documents that were all held is right for as long as nothing is announced that could
//! change it. Every announcement gives the marks of the sets that it touches another stamp, and one of
//! which nobody knows which sets it touches gives the epoch's own stamp another; so who finds all
//! stamps as they were knows the list without reading it.
//!
//! A set may have a document that has left it, and a list what that was by then: whoever asks holds each
//! document against what is looked for, and what changes it so that it belongs there again touches the
//! set.
//!
//! Stamps are read before the list. While something is on its way that was announced before them, its
//! documents are not held, and nothing is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use nubo_core::{
    cache::{Lookup, Scan, SetName},
    position::Position,
};
use redis::Value;
use smallvec::SmallVec;

/// What one list takes beside its documents, about, and one document beside its bytes.
const LIST: usize = 512;
const DOCUMENT: usize = 256;

/// Which stretch of which sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub sets: SmallVec<[SetName; 1]>,
    pub after: Option<Position>,
    pub most: usize,
}

/// What the stamps were, and the list.
pub(super) struct Known {
    /// The epoch's own and each set's mark, as Redis has them.
    pub stamps: Vec<Value>,
    pub scan: Scan,
}

/// The lists, those that were used last.
pub(super) struct Lists {
    /// How many bytes they take at most, about.
    budget: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    lists: LruCache<Name, Arc<Known>>,
    bytes: usize,
}

impl Lists {
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            kept: Mutex::new(Kept {
                lists: LruCache::new_unbounded(),
                bytes: 0,
            }),
        }
    }

    /// A list that was read whole once.
    pub fn get(&self, name: &Name) -> Option<Arc<Known>> {
        self.locked().lists.get(name).map(Arc::clone)
    }

    /// Keeps a list if all of its documents were held.
    pub fn keep(&self, name: Name, known: Known) {
        let Some(bytes) = size(&known).filter(|bytes| *bytes <= self.budget) else {
            return;
        };
        let mut kept = self.locked();
        let before = kept.lists.insert(name, Arc::new(known));
        kept.bytes += bytes;
        kept.bytes -= before.as_deref().and_then(size).unwrap_or(0);
        while kept.bytes > self.budget
            && let Some((_, oldest)) = kept.lists.remove_lru()
        {
            kept.bytes -= size(&oldest).unwrap_or(0);
        }
    }

    /// How many there are, and how many bytes they take, about.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        let kept = self.locked();
        (kept.lists.len(), kept.bytes)
    }

    fn locked(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many bytes a list takes, about. None where a document is not held.
fn size(known: &Known) -> Option<usize> {
    let documents = known.scan.documents.as_ref()?.iter();
    let sizes = documents.map(|(_, lookup)| match lookup {
        Lookup::Held(held) => Some(DOCUMENT + held.json.len() + held.excerpt.size()),
        Lookup::Missing(_) | Lookup::Busy | Lookup::Unknown => None,
    });
    sizes.sum::<Option<usize>>().map(|bytes| LIST + bytes)
}
