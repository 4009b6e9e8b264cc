//! What a database transaction has changed, kept until it is committed and then told to observers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nubo_core::{
    Result,
    document::Document,
    observe::{BatchId, Fate, Observer, Touched},
    schema::{Catalog, CollectionId},
};

/// The number of the next batch. One count for all writers, because observers tell batches apart by
/// their number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The changes since the last commit, as far as somebody wants to hear of them.
pub(crate) struct Changes {
    observers: Vec<Arc<dyn Observer>>,
    /// Whether anybody observes a collection, by its place in the catalog.
    observed: Vec<bool>,
    touched: Vec<Arc<Touched>>,
    /// The batch that was announced and not yet settled, and those who heard of it.
    announced: Option<(BatchId, Vec<Arc<dyn Observer>>)>,
}

impl Changes {
    pub fn new(catalog: &Catalog, observers: Vec<Arc<dyn Observer>>) -> Self {
        let observed = catalog.collections().iter().map(|collection| {
            observers
                .iter()
                .any(|observer| observer.observes(collection.id))
        });
        Self {
            observed: observed.collect(),
            observers,
            touched: Vec::new(),
            announced: None,
        }
    }

    /// Notes a change, where anybody wants to hear of it.
    pub fn note(
        &mut self,
        collection: CollectionId,
        before: Option<&Document>,
        after: Option<&Document>,
    ) {
        if self.observed.get(collection.index()).is_some_and(|on| *on) {
            self.touched.push(Arc::new(Touched {
                collection,
                before: before.cloned(),
                after: after.cloned(),
            }));
        }
    }

    /// Where [`Changes::forget_since`] goes back to.
    pub fn mark(&self) -> usize {
        self.touched.len()
    }

    /// Forgets what was taken back.
    pub fn forget_since(&mut self, mark: usize) {
        self.touched.truncate(mark);
    }

    /// Tells the observers what is about to be committed. Must be followed by [`Changes::settle`],
    /// whether it succeeds or not.
    pub async fn announce(&mut self) -> Result<()> {
        let batch = BatchId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (_, told) = self.announced.insert((batch, Vec::new()));
        for observer in &self.observers {
            let theirs = of_interest(&self.touched, &**observer);
            if !theirs.is_empty() {
                // Whoever has failed may have kept a part of it.
                told.push(Arc::clone(observer));
                observer.announce(batch, &theirs).await?;
            }
        }
        Ok(())
    }

    /// Tells the observers what is committed now.
    pub fn committed(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for observer in &self.observers {
            let theirs = of_interest(&touched, &**observer);
            if !theirs.is_empty() {
                observer.committed(&theirs);
            }
        }
    }

    /// Tells those who heard of a batch what has become of it.
    pub async fn settle(&mut self, fate: Fate) {
        if let Some((batch, told)) = self.announced.take() {
            for observer in told {
                observer.settle(batch, fate).await;
            }
        }
    }
}

/// What an observer wants to hear of.
fn of_interest(touched: &[Arc<Touched>], observer: &dyn Observer) -> Vec<Arc<Touched>> {
    let theirs = touched.iter().filter(|t| observer.observes(t.collection));
    theirs.cloned().collect()
}
