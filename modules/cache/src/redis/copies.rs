//! Documents that were read, kept in this process.
//!
//! A connection has Redis say when something changes that was read by it (`CLIENT TRACKING` of RESP3).
//! Redis says so on the connection itself, in its place among the answers: before the answer to
//! whatever it is asked after the change. So who finds a copy, asks Redis anything, and finds the copy
//! still when the answer is there, has the document as Redis had it when it answered. A copy spares
//! reading the document, never asking; but one short question is enough for the copies of a crowd.
//!
//! A document may change after it was read and before it is put here. Redis has said so by then, so that
//! who reads takes a [`Ticket`] before they ask, which is good until Redis says something.
//!
//! Copies are those of one connection, and end with it: nobody says any more what changes. Only what has
//! no end in Redis is copied, where what has ended is deleted, and said, at leisure.

use std::{
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use hashlink::LruCache;
use nubo_core::{cache::Held, coordination::Epoch, schema::Catalog};
use redis::{PushInfo, PushKind, Value};

use super::keys::Found;
use crate::storage::DocumentKey;

/// How many parts there are, each with its own lock.
const SHARDS: usize = 32;
/// What one copy takes beside the document's bytes, about.
const COPY: usize = 320;
/// How many looks at the memory a copy outlives. Then the document is read again, by which Redis knows
/// that it is used.
const LOOKS: u32 = 5;

/// A document of an epoch.
pub(super) type Name = (Epoch, DocumentKey);

/// What is copied, and how much of it.
pub(super) struct Copying {
    /// How many bytes copies may take, about.
    pub budget: usize,
    /// What the keys begin with.
    pub prefix: String,
    pub catalog: Arc<Catalog>,
}

/// The copies of one connection.
pub(super) struct Copies {
    copying: Option<Arc<Copying>>,
    shards: Vec<Mutex<Shard>>,
    hasher: std::hash::RandomState,
    /// How many bytes a shard takes at most, about.
    budget: usize,
    /// How often somebody has looked at the memory.
    looks: AtomicU32,
    /// Whether Redis says what changes.
    are_kept: AtomicBool,
}

struct Shard {
    copies: LruCache<Name, Copy>,
    bytes: usize,
    /// How often Redis has said something.
    told: u64,
}

struct Copy {
    held: Arc<Held>,
    /// How many looks there had been when it was read.
    read: u32,
}

/// Leave to keep what is asked for from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// Which is good for nothing.
    const NONE: Self = Self(u64::MAX);
}

impl Copies {
    pub fn new(copying: Option<Arc<Copying>>) -> Self {
        let shard = || Shard {
            copies: LruCache::new_unbounded(),
            bytes: 0,
            told: 0,
        };
        let budget = copying.as_ref().map_or(0, |copying| copying.budget);
        Self {
            copying,
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: std::hash::RandomState::new(),
            budget: budget / SHARDS,
            looks: AtomicU32::new(0),
            are_kept: AtomicBool::new(budget > 0),
        }
    }

    /// Whether any are kept.
    pub fn are_kept(&self) -> bool {
        self.are_kept.load(Ordering::Relaxed)
    }

    /// That a server does not say what changes.
    pub fn give_up(&self) {
        self.are_kept.store(false, Ordering::Relaxed);
    }

    /// Whether there is a copy, which is good if it is there when Redis has answered something.
    pub fn has(&self, name: &Name) -> bool {
        let shard = self.shard(name);
        let looks = self.looks.load(Ordering::Relaxed);
        let copy = shard.copies.peek(name);
        copy.is_some_and(|copy| looks.wrapping_sub(copy.read) < LOOKS)
    }

    /// Before a document is asked for.
    pub fn ticket(&self, name: &Name) -> Ticket {
        match self.are_kept() {
            true => Ticket(self.shard(name).told),
            false => Ticket::NONE,
        }
    }

    /// A copy that is not to be read again.
    pub fn get_young(&self, name: &Name) -> Option<Arc<Held>> {
        let mut shard = self.shard(name);
        let looks = self.looks.load(Ordering::Relaxed);
        let copy = shard.copies.get(name)?;
        (looks.wrapping_sub(copy.read) < LOOKS).then(|| Arc::clone(&copy.held))
    }

    pub fn get(&self, name: &Name) -> Option<Arc<Held>> {
        let mut shard = self.shard(name);
        Some(Arc::clone(&shard.copies.get(name)?.held))
    }

    /// Keeps a document if Redis has said nothing since the ticket was taken.
    pub fn keep(&self, name: Name, ticket: Ticket, held: &Arc<Held>) {
        let bytes = size(held);
        if ticket == Ticket::NONE || bytes > self.budget {
            return;
        }
        let copy = Copy {
            held: Arc::clone(held),
            read: self.looks.load(Ordering::Relaxed),
        };
        let mut shard = self.shard(&name);
        if shard.told != ticket.0 {
            return;
        }
        let before = shard.copies.insert(name, copy);
        shard.bytes += bytes;
        shard.bytes -= before.map_or(0, |copy| size(&copy.held));
        while shard.bytes > self.budget
            && let Some((_, oldest)) = shard.copies.remove_lru()
        {
            shard.bytes -= size(&oldest.held);
        }
    }

    /// Takes in what Redis says.
    pub fn hear(&self, said: PushInfo) {
        if said.kind != PushKind::Invalidate {
            return;
        }
        for keys in said.data {
            match keys {
                Value::Array(keys) => keys.into_iter().for_each(|key| self.hear_of(&key)),
                // Everything has gone.
                _ => self.forget_all(),
            }
        }
    }

    /// That there is something else under a key.
    fn hear_of(&self, key: &Value) {
        let Value::BulkString(key) = key else {
            return self.forget_all();
        };
        let name = self.copying.as_ref().and_then(|copying| {
            let found = Found::parse(&copying.prefix, key)?;
            Some((found.epoch, found.document(&copying.catalog)?))
        });
        if let Some(name) = name {
            self.forget(&name);
        }
    }

    /// Notes that somebody has looked at the memory.
    pub fn grow_older(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn forget(&self, name: &Name) {
        let mut shard = self.shard(name);
        shard.told += 1;
        if let Some(copy) = shard.copies.remove(name) {
            shard.bytes -= size(&copy.held);
        }
    }

    pub fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.told += 1;
            shard.copies.clear();
            shard.bytes = 0;
        }
    }

    fn shard(&self, name: &Name) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(name.1);
        locked(&self.shards[hash as usize % SHARDS])
    }
}

/// How many bytes a copy takes, about.
fn size(held: &Held) -> usize {
    COPY + held.json.len() + held.excerpt.size()
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing panics while it holds the lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
