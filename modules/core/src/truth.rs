//! The truth: the tier that holds everything and decides what is written.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    access::View,
    alone::WaitingRoom,
    document::Document,
    error::Result,
    filter::{Expr, Select},
    id::{Id, Revision},
    module::SetupError,
    observe::Observer,
    outbox::Outbox,
    query::{Query, Related},
    queue::WriteQueue,
    schema::CollectionId,
    value::Value,
    write::{Outcome, Sequence, Transaction},
};

/// A database that holds every collection, enforces every constraint and orders every write.
///
/// Every answer shows committed state only, and nothing older than what had been acknowledged when
/// the question arrived.
#[async_trait]
pub trait Truth: Send + Sync + 'static {
    /// Opens the database and makes it fit the catalog. The observers hear of every commit.
    async fn start(&self, observers: Vec<Arc<dyn Observer>>)
    -> std::result::Result<(), SetupError>;

    /// Finishes what is being written and closes the database.
    async fn stop(&self);

    /// Whether it answers: an error says why not.
    async fn ping(&self) -> Result<()>;

    /// Executes transactions. `Ok` means that truth has committed with fsync. One result for each;
    /// a failed one leaves no trace and does not touch its neighbours.
    async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>>;

    /// The queue of writes that are carried out behind their acknowledgement, where it keeps one.
    fn queue(&self) -> Option<&dyn WriteQueue> {
        None
    }

    /// What has not arrived in the recent tier yet, where that is noted.
    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }

    /// Where documents wait that it does not keep, where there are such.
    fn waiting_room(&self) -> Option<&dyn WaitingRoom> {
        None
    }

    /// One document as it is sent.
    async fn get(&self, collection: CollectionId, id: Id, view: &View) -> Result<Option<Body>>;

    /// A list as it is sent.
    async fn page(&self, query: Query, view: &View) -> Result<Page>;

    /// The documents of a list, null where the view masks.
    async fn find(&self, query: Query, view: &View) -> Result<Vec<Document>>;

    /// Documents that reference others, null where the view masks.
    async fn find_related(&self, related: Related, view: &View) -> Result<Vec<Document>>;

    /// How many documents match.
    async fn count(&self, collection: CollectionId, filter: Expr, view: &View) -> Result<u64>;

    /// Whether some document that the sub-query finds has this value in its field.
    async fn contains(&self, select: &Select, value: &Value) -> Result<bool>;
}

/// A document as the bytes that are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub json: Bytes,
    pub revision: Revision,
}

/// A stretch of a list as the bytes that are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The documents with `,\n` between them. A line break stands nowhere else, because JSON
    /// escapes it inside strings.
    pub documents: Bytes,
    /// How many there are.
    pub count: u32,
    /// The sort keys of the last document, where more documents follow it.
    pub next: Option<Vec<Value>>,
}
