//! The truth: the tier that holds everything and decides what is written.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    document::Document,
    error::Result,
    filter::Expr,
    id::{Id, Revision},
    module::SetupError,
    query::{Query, Related},
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
    /// Opens the database and makes it fit the catalog.
    async fn start(&self) -> std::result::Result<(), SetupError>;

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

    /// One document as it is sent.
    async fn get(&self, collection: CollectionId, id: Id) -> Result<Option<Body>>;

    /// A list as it is sent.
    async fn page(&self, query: Query) -> Result<Page>;

    /// The documents of a list.
    async fn find(&self, query: Query) -> Result<Vec<Document>>;

    /// Documents that reference others.
    async fn find_related(&self, related: Related) -> Result<Vec<Document>>;

    /// How many documents match.
    async fn count(&self, collection: CollectionId, filter: Expr) -> Result<u64>;
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
