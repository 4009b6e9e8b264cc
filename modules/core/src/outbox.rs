//! What is committed and has not arrived in the recent tier yet, as the truth keeps it.
//!
//! Each batch notes its documents in its own transaction, without what they are. Who brings them to
//! the recent tier removes the note when they are there; who finds one that is old brings the documents
//! as they are now. So nothing is forgotten, whoever dies when.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use crate::{
    coordination::Epoch, error::Result, id::Id, observe::BatchId, schema::CollectionId,
    time::Timestamp,
};

/// The notes, and what the truth knows of the recent tier.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// What is known of the recent tier, as of one moment.
    async fn standing(&self) -> Result<Standing>;

    /// Ends the epoch: nothing is noted before the next one begins.
    async fn give_up(&self) -> Result<()>;

    /// Begins an epoch, if it follows the one that is known. Nothing is covered in it, and what was
    /// noted by now is forgotten. Whether it has begun.
    async fn found(&self, from: Epoch, to: Epoch) -> Result<bool>;

    /// Notes down to where the recent tier has every document of a collection in an epoch. Whether it
    /// is still that one.
    async fn cover(&self, epoch: Epoch, collection: CollectionId, since: Timestamp)
    -> Result<bool>;

    /// Removes notes whose documents have arrived in an epoch, and moves the mark of a process to a
    /// number. Whether it is still that epoch; if not nothing is done.
    async fn arrived(
        &self,
        epoch: Epoch,
        notes: &[(Id, BatchId)],
        process: Id,
        mark: i64,
    ) -> Result<bool>;

    /// Notes of transactions that were visible at a moment of the truth's clock, in the order of
    /// their places, behind one of those.
    async fn notes(&self, until: Timestamp, after: Option<&Place>, most: u32) -> Result<Vec<Note>>;

    /// Those of some batches of which there is a note.
    async fn noted(&self, batches: &[(Id, BatchId)]) -> Result<HashSet<(Id, BatchId)>>;

    /// Whether nobody else has cleaned the recent tier for so long, in milliseconds. Counts as
    /// cleaned from now on.
    async fn may_clean(&self, pause: i64) -> Result<bool>;
}

/// Where a note stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub instance: Id,
    pub batch: BatchId,
    /// The table that its documents are in.
    pub table: (String, String),
}

/// Documents of one collection that a batch has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub place: Place,
    /// None where its table is not declared any more.
    pub collection: Option<CollectionId>,
    pub ids: Vec<Id>,
}

/// What the truth knows of the recent tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// [`Epoch::NONE`] before the first.
    pub epoch: Epoch,
    /// Tells this truth from others, and from what it was before it was set back.
    pub identity: String,
    /// Whether nothing has happened since the epoch began of which nobody knows what it was: tables
    /// that were rewritten, or more written by others than was noted.
    pub is_sound: bool,
    /// How far each process has come by what arrived.
    pub marks: HashMap<Id, i64>,
    /// Since when the recent tier has every document, by collection.
    pub covered: HashMap<CollectionId, Timestamp>,
    /// How many notes there are.
    pub notes: u64,
    /// How old the oldest of them is, in milliseconds.
    pub oldest: i64,
    /// When this was, by the truth's clock.
    pub now: Timestamp,
}
