//! What a database transaction has changed, kept until it is committed and then told to observers.

use std::sync::Arc;

use nubo_core::{document::Document, observe::Touched, schema::CollectionId};

use super::announce::{Announcer, Ticket};

/// The changes since the last commit, as far as somebody wants to hear of them.
pub(super) struct Changes {
    announcer: Arc<Announcer>,
    touched: Vec<Arc<Touched>>,
}

impl Changes {
    pub fn new(announcer: Arc<Announcer>) -> Self {
        Self {
            announcer,
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
        if self.announcer.observes(collection) {
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

    /// The place of the commit that is about to be made.
    pub fn ticket(&self) -> Ticket {
        self.announcer.ticket()
    }

    /// Takes what is committed now.
    pub fn take(&mut self) -> Vec<Arc<Touched>> {
        std::mem::take(&mut self.touched)
    }
}
