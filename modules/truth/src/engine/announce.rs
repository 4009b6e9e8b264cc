//! Telling observers what was committed, in an order that every document agrees with.
//!
//! Several batches may be under way at the same time. Each takes a ticket immediately before it
//! sends COMMIT, and observers are told by the order of the tickets. A batch that needs a row which
//! another has locked can only come to its COMMIT behind that one's, so that of two batches that
//! have a document in common the later one has the higher ticket.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nubo_core::{
    observe::{Observer, Touched},
    schema::{Catalog, CollectionId},
};
use tokio::sync::watch;

/// The observers, and whose turn it is.
pub(super) struct Announcer {
    observers: Vec<Arc<dyn Observer>>,
    /// Whether anybody observes a collection, by its place in the catalog.
    observed: Vec<bool>,
    turns: Mutex<Turns>,
    /// How many tickets are done with.
    done: watch::Sender<u64>,
}

#[derive(Default)]
struct Turns {
    given: u64,
    done: u64,
    /// What was committed on tickets whose turn has not come.
    waiting: BTreeMap<u64, Vec<Arc<Touched>>>,
}

/// A place in the order. Where it is dropped nothing was committed.
pub(super) struct Ticket {
    number: u64,
    announcer: Arc<Announcer>,
    used: bool,
}

impl Announcer {
    pub fn new(catalog: &Catalog, observers: Vec<Arc<dyn Observer>>) -> Self {
        let observed = catalog.collections().iter().map(|collection| {
            observers
                .iter()
                .any(|observer| observer.observes(collection.id))
        });
        Self {
            observed: observed.collect(),
            observers,
            turns: Mutex::default(),
            done: watch::Sender::new(0),
        }
    }

    /// Whether anybody wants to hear of a collection.
    pub fn observes(&self, collection: CollectionId) -> bool {
        self.observed.get(collection.index()).is_some_and(|on| *on)
    }

    /// The next place in the order.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        let mut turns = self.turns();
        turns.given += 1;
        Ticket {
            number: turns.given,
            announcer: Arc::clone(self),
            used: false,
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has its turn now. Observers are quick and do not wait.
    fn finish(&self, number: u64, touched: Vec<Arc<Touched>>) {
        let mut turns = self.turns();
        turns.waiting.insert(number, touched);
        loop {
            let next = turns.done + 1;
            let Some(touched) = turns.waiting.remove(&next) else {
                break;
            };
            self.tell(&touched);
            turns.done = next;
        }
        self.done.send_replace(turns.done);
    }

    fn tell(&self, touched: &[Arc<Touched>]) {
        if touched.is_empty() {
            return;
        }
        for observer in &self.observers {
            let theirs = touched.iter().filter(|t| observer.observes(t.collection));
            let theirs: Vec<Arc<Touched>> = theirs.cloned().collect();
            if !theirs.is_empty() {
                observer.committed(&theirs);
            }
        }
    }
}

impl Ticket {
    /// It is committed: returns when the observers have heard of it.
    pub async fn committed(mut self, touched: Vec<Arc<Touched>>) {
        self.used = true;
        self.announcer.finish(self.number, touched);
        let mut done = self.announcer.done.subscribe();
        let number = self.number;
        // The sender lives in the announcer, which this holds.
        if done.wait_for(|done| *done >= number).await.is_err() {
            tracing::error!("the announcer has gone");
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.used {
            self.announcer.finish(self.number, Vec::new());
        }
    }
}
