//! The store: all tiers as one. What modules read from and write to.

use std::borrow::Cow;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    document::Document,
    error::Result,
    filter::Expr,
    id::Id,
    query::{Query, Start},
    schema::CollectionId,
    truth::{Body, Page},
    write::{Operation, Outcome, Sequence},
};

/// Reads and writes documents, whichever tiers hold them, as far as the access rules let the caller.
/// What a caller may not read is not there; a field that it may not read is null.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Executes operations as one transaction. New documents get their id, times and defaults,
    /// hooks run, and the answer means that the truth has committed. Where there are several
    /// operations, places in an error begin with the number of the one at fault: `/3/title`.
    async fn write(&self, caller: &Caller, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        self.write_with(caller, operations, Vec::new()).await
    }

    /// The same with operations behind them, in the same transaction, that are the server's own: no
    /// rule holds for those and no outcome is given.
    async fn write_with(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        own: Vec<Operation>,
    ) -> Result<Vec<Outcome>>;

    /// Executes each operation as a transaction of its own.
    async fn write_each(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        sequence: Sequence,
    ) -> Vec<Result<Outcome>>;

    /// One document.
    async fn get(
        &self,
        caller: &Caller,
        collection: CollectionId,
        id: Id,
    ) -> Result<Option<Answer<Body>>>;

    /// A list. With expansions, each document carries its related ones under `_expand`. Documents
    /// need not share one moment.
    async fn list(
        &self,
        caller: &Caller,
        query: Query,
        expand: &[Expansion],
    ) -> Result<Answer<Page>>;

    /// A list as it stood at one moment.
    async fn list_at_once(&self, caller: &Caller, query: Query) -> Result<Answer<Page>>;

    /// The documents of a list, for modules: with the fields that never leave the server.
    async fn find(&self, caller: &Caller, query: Query) -> Result<Vec<Document>>;

    /// How many documents match.
    async fn count(&self, caller: &Caller, collection: CollectionId, filter: Expr) -> Result<u64>;

    /// Whether it can serve: an error says why not.
    async fn ready(&self) -> Result<()>;
}

/// What was asked for, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    pub content: T,
    pub tier: Tier,
    /// Why from there, in words.
    pub why: Cow<'static, str>,
}

impl<T> Answer<T> {
    /// The same with something else in it.
    pub fn with<U>(self, content: U) -> Answer<U> {
        Answer {
            content,
            tier: self.tier,
            why: self.why,
        }
    }

    /// From the truth, for this reason.
    pub fn truth(content: T, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            content,
            tier: Tier::Truth,
            why: why.into(),
        }
    }
}

/// Where an answer comes from: the slowest tier that something of it was asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Cache,
    Recent,
    Truth,
}

impl Tier {
    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Recent => "recent",
            Self::Truth => "truth",
        }
    }
}

/// Related documents that a list brings along.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// The key under `_expand`.
    pub name: String,
    pub kind: ExpansionKind,
    /// What the related documents bring along themselves.
    pub inner: Vec<Expansion>,
}

/// How documents are related.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpansionKind {
    /// The document (or documents) that a field of this one references.
    Forward { field: usize, target: CollectionId },
    /// The documents of another collection whose field references this one.
    Reverse {
        collection: CollectionId,
        field: usize,
    },
}

impl Query {
    /// The list that starts at the beginning.
    pub fn first(mut self) -> Self {
        self.start = Start::First;
        self
    }
}
