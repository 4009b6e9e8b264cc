//! Documents that the truth does not keep: those of collections with `truth: none`, where there is a
//! recent tier.
//!
//! They stay in the recent tier alone. The truth is their *waiting room*: whatever is written is
//! written there, in the transaction that it belongs to, and is brought to the tier as everything else
//! is. A document that has arrived there, and that nobody has changed for a while, leaves the truth. So
//! of each document
//!
//! * the truth has the latest version, and is right; or
//! * the truth has the end of a later version than the tier's, and it is gone; or
//! * the truth knows nothing of it, and the tier has the latest version.
//!
//! Before a transaction changes documents, those that have left are *recalled*: read from the tier and
//! put back as they are. While it lasts none of the collection leaves, so that it misses none.
//!
//! A reader asks the truth, then the tier, then the truth what it knows of that which the tier had. A
//! document leaves only when the tier has had its version for longer than any reader takes
//! ([`LASTING`]), so that nobody takes an older one for the latest.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    coordination::Epoch,
    document::Document,
    error::Result,
    id::{Id, Revision},
    query::Query,
    schema::CollectionId,
};

/// How long the tier has had the version of a document before it leaves the truth. Nobody who reads
/// takes half as long.
pub const LASTING: Duration = Duration::from_secs(60);

/// The code of the failure that the place cannot be asked. It concerns who asks and nobody else.
pub const UNAVAILABLE: &str = "recent_unavailable";

/// Where such documents stay, as far as they have arrived there.
#[async_trait]
pub trait Alone: Send + Sync + 'static {
    /// The documents of a list, with all of their fields. Its filter looks no other documents up. What
    /// has expired is not there.
    ///
    /// # Errors
    /// [`UNAVAILABLE`] where it cannot be asked.
    async fn find(&self, query: &Query) -> Result<Vec<Document>>;
}

/// The truth as the place where such documents wait.
#[async_trait]
pub trait WaitingRoom: Send + Sync + 'static {
    /// The revisions at which documents with these ids have ended, as far as that is known.
    async fn ends(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<(Id, Revision)>>;

    /// Documents that wait, in the order of their ids, behind one: which, and their revisions.
    async fn waiting(
        &self,
        collection: CollectionId,
        after: Option<Id>,
        most: u32,
    ) -> Result<Vec<(Id, Revision)>>;

    /// Documents that ended so long ago that nobody gives their ids to others any more, in the order of
    /// their ids, behind one: which, and the revisions at which they ended.
    async fn long_ended(
        &self,
        collection: CollectionId,
        after: Option<Id>,
        most: u32,
    ) -> Result<Vec<(Id, Revision)>>;

    /// Forgets documents that have the revisions given, and ends; in an epoch of the recent tier, and
    /// while nobody recalls any. Whether that could be done.
    async fn leave(&self, epoch: Epoch, leaving: &Leaving) -> Result<bool>;
}

/// What the truth need not know any more of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    pub collection: CollectionId,
    /// Documents that the tier has in these versions, or later ones.
    pub documents: Vec<(Id, Revision)>,
    /// Ends at these revisions, of which the tier has no earlier version.
    pub ends: Vec<(Id, Revision)>,
}
