//! What was written, told to whoever keeps something that follows from it.

use std::sync::Arc;

use crate::{document::Document, schema::CollectionId};

/// Learns of every committed change before the one who made it does.
///
/// So what an observer keeps in memory is never older than what anybody was told. It is called in
/// the order of the commits, from the task that writes: it must be quick and must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Whether it wants to hear of this collection.
    fn observes(&self, collection: CollectionId) -> bool;

    /// What one commit has changed in the collections it observes, in its order.
    fn committed(&self, changes: &[Arc<Touched>]);
}

/// A document before and after a commit touched it.
#[derive(Debug, Clone, PartialEq)]
pub struct Touched {
    pub collection: CollectionId,
    /// None where it is new.
    pub before: Option<Document>,
    /// None where it is gone.
    pub after: Option<Document>,
}
