//! The unit of writing: a transaction, that is a list of operations that happen together or not at
//! all. One create is a list of one.

use crate::{
    access::Permit,
    caller::Caller,
    change::Change,
    document::Document,
    filter::Expr,
    id::{Id, Revision},
    schema::CollectionId,
    time::Timestamp,
};

/// Operations that happen together or not at all, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    pub operations: Vec<Operation>,
    /// What each operation must satisfy, in their order. Operations beyond are the server's own and
    /// need to satisfy nothing.
    pub permits: Vec<Permit>,
    /// On whose behalf. Hooks see it.
    pub caller: Caller,
    /// When it was asked for; what `$now` and `$currentDate` mean in it.
    pub now: Timestamp,
    /// Whether the server has just made up the ids of all documents that it creates, so that none
    /// of them was ever anybody's.
    pub new_ids: bool,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A new document. Its id must be free, or it is a conflict.
    Create {
        collection: CollectionId,
        document: Document,
    },
    /// A change to documents that exist.
    Update {
        collection: CollectionId,
        target: Target,
        change: Change,
    },
    /// The end of documents.
    Delete {
        collection: CollectionId,
        target: Target,
    },
}

/// Which documents an operation is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The one with this id; it is an error when there is none.
    One { id: Id, guard: Guard },
    /// All that match.
    Matching(Expr),
}

/// What must be true of a document for it to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Guard {
    /// Its revision must be one of these (`If-Match`); any where none is given.
    pub revisions: Option<Vec<Revision>>,
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The document as it was created.
    Created(Document),
    /// The document as it is going to be: it is durable, and created behind the answer
    /// ([`crate::queue`]).
    Accepted(Document),
    /// The document as it is now.
    Updated(Document),
    /// The document is gone.
    Deleted,
    /// How many documents matched and how many of them were changed.
    Changed { matched: u64, modified: u64 },
    /// How many documents are gone.
    Removed(u64),
}

/// How several transactions that were handed over together relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// Each for itself.
    Independent,
    /// In order; after the first that fails, the rest is not tried.
    StopAtError,
}

impl Operation {
    /// The collection it is about.
    pub const fn collection(&self) -> CollectionId {
        match self {
            Self::Create { collection, .. }
            | Self::Update { collection, .. }
            | Self::Delete { collection, .. } => *collection,
        }
    }
}
