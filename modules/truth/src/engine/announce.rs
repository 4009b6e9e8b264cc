//! Telling observers what is about to be committed, what was, and what came of it.
//!
//! Before its COMMIT a batch announces what it changes, and waits for that; after the answers it is
//! settled. In between, what was committed is told in an order that every document agrees with.
//!
//! Several batches may be under way at the same time. Each takes a ticket immediately before it
//! sends COMMIT, and observers are told by the order of the tickets. A batch that needs a row which
//! another has locked can only come to its COMMIT behind that one's, so that of two batches that
//! have a document in common the later one has the higher ticket.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nubo_core::{
    Result,
    coordination::Terms,
    observe::{BatchId, Fate, Observer, Touched},
    schema::{Catalog, CollectionId},
};
use tokio::sync::watch;

/// The number of the next batch. One count for all writers, because observers tell batches apart by
/// their number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Has numbers begin above those of whoever wrote before, as far as the clock tells.
pub(super) fn begin_batches(now: i64) {
    NEXT.fetch_max(now.unsigned_abs(), Ordering::Relaxed);
}

/// A number that no batch has had.
pub(crate) fn next_batch() -> BatchId {
    BatchId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A batch that was announced, and those who have heard of it.
pub(super) struct Announced {
    batch: BatchId,
    told: Vec<Arc<dyn Observer>>,
}

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
    pub fn new(catalog: &Catalog, observers: Vec<Arc<dyn Observer>>, keeps_outbox: bool) -> Self {
        let observed = catalog.collections().iter().map(|collection| {
            let is_noted = keeps_outbox && collection.tiers.recent.is_some();
            is_noted
                || observers
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

    /// Tells the observers what is about to be committed, one after the other.
    /// Gives the terms of the commit, where it has any.
    pub async fn announce(
        &self,
        touched: &[Arc<Touched>],
        announced: &mut Announced,
    ) -> Result<Option<Terms>> {
        let mut terms = None;
        for observer in &self.observers {
            let theirs = of_interest(touched, &**observer);
            if !theirs.is_empty() {
                // Whoever has failed may have kept a part of it.
                announced.told.push(Arc::clone(observer));
                let own = observer.announce(announced.batch, &theirs).await?;
                debug_assert!(own.is_none() || terms.is_none(), "one cache has terms");
                terms = own.or(terms);
            }
        }
        Ok(terms)
    }

    /// Tells all observers that somebody else has written.
    pub async fn overtaken(&self) {
        for observer in &self.observers {
            observer.overtaken().await;
        }
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
        for observer in &self.observers {
            let theirs = of_interest(touched, &**observer);
            if !theirs.is_empty() {
                observer.committed(&theirs);
            }
        }
    }
}

/// What an observer wants to hear of.
fn of_interest(touched: &[Arc<Touched>], observer: &dyn Observer) -> Vec<Arc<Touched>> {
    let theirs = touched.iter().filter(|t| observer.observes(t.collection));
    theirs.cloned().collect()
}

impl Announced {
    pub fn new() -> Self {
        Self {
            batch: next_batch(),
            told: Vec::new(),
        }
    }

    /// Which batch it is.
    pub const fn batch(&self) -> BatchId {
        self.batch
    }

    /// Tells those who have heard of the batch what has become of it.
    pub async fn settle(self, fate: Fate) {
        for observer in self.told {
            observer.settle(self.batch, fate).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use nubo_core::{document::Document, value::Value};
    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<i64>>);

    impl Observer for Heard {
        fn observes(&self, _: CollectionId) -> bool {
            true
        }

        fn committed(&self, changes: &[Arc<Touched>]) {
            let after = changes.iter().filter_map(|change| change.after.as_ref());
            let revisions = after.map(|document| document.revision().number());
            self.0.lock().unwrap().extend(revisions);
        }
    }

    fn touched(catalog: &Catalog, revision: i64) -> Vec<Arc<Touched>> {
        vec![Arc::new(Touched {
            collection: catalog.collections()[0].id,
            before: None,
            after: Some(Document::from_values(vec![Value::Int(revision)])),
        })]
    }

    #[tokio::test]
    async fn observers_are_told_by_the_order_of_tickets() {
        let declarations = json!([{ "name": "notes", "fields": { "text": "text" } }]);
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        let catalog = Catalog::compile(&declarations, &[]).unwrap();
        let heard = Arc::new(Heard::default());
        let observers: Vec<Arc<dyn Observer>> = vec![heard.clone()];
        let announcer = Arc::new(Announcer::new(&catalog, observers, false));
        let (first, second, third) = (announcer.ticket(), announcer.ticket(), announcer.ticket());
        let late = tokio::spawn(third.committed(touched(&catalog, 3)));
        tokio::task::yield_now().await;
        assert!(heard.0.lock().unwrap().is_empty());
        // Nothing came of the second one.
        drop(second);
        first.committed(touched(&catalog, 1)).await;
        late.await.unwrap();
        assert_eq!(*heard.0.lock().unwrap(), [1, 3]);
    }
}
