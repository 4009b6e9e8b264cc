//! What a database transaction has changed, kept until it is committed and then told to observers.

use std::sync::Arc;

use nubo_core::{
    document::Document,
    observe::{Observer, Touched},
    schema::{Catalog, CollectionId},
};

/// The changes since the last commit, as far as somebody wants to hear of them.
pub(crate) struct Changes {
    observers: Vec<Arc<dyn Observer>>,
    /// Whether anybody observes a collection, by its place in the catalog.
    observed: Vec<bool>,
    touched: Vec<Arc<Touched>>,
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

    /// Tells the observers what is committed now.
    pub fn committed(&mut self) {
        let touched = std::mem::take(&mut self.touched);
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
