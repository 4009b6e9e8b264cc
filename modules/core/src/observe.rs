//! What is written, told to whoever keeps something that follows from it.
//!
//! A batch is one database transaction of the truth. It is *announced* before COMMIT, *committed* is
//! told after it and before the writers get their answers, and it is *settled* after those. What was
//! announced is always settled, whether the batch was committed or not.
//!
//! What somebody else has written is heard of when it is there already, and only by its ids. It is
//! *doubted*, then read from the truth, and told in that order: only so is what was read never older
//! than what the observer has heard since.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{coordination::Terms, document::Document, error::Result, id::Id, schema::CollectionId};

/// Learns of every change, before or after it is committed.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// Whether it wants to hear of this collection.
    fn observes(&self, collection: CollectionId) -> bool;

    /// What a batch is about to commit in the collections it observes, in its order. The commit
    /// waits for this. An error takes the whole batch back. The terms, where there are any, must hold
    /// when it is committed.
    async fn announce(&self, _: BatchId, _: &[Arc<Touched>]) -> Result<Option<Terms>> {
        Ok(None)
    }

    /// What one commit has changed in the collections it observes, in its order.
    ///
    /// Those who made the changes hear of it afterwards, so what an observer keeps in memory is
    /// never older than what anybody was told. It is called in the order of the commits, from the
    /// task that writes: it must be quick and must not wait.
    fn committed(&self, _: &[Arc<Touched>]) {}

    /// What has become of a batch that was announced. Batches may be settled in another order than
    /// they were committed in.
    async fn settle(&self, _: BatchId, _: Fate) {}

    /// Somebody else has written these documents. What they are is read when this returns, and not
    /// before; then comes [`Observer::resolve`] with the same number, or, where they could not be
    /// read, [`Observer::settle`] and [`Observer::overtaken`].
    async fn doubt(&self, _: BatchId, _: &[(CollectionId, Id)]) {}

    /// What has become of documents that were doubted. Who does not look at each of them takes all
    /// that is kept for out of date.
    async fn resolve(&self, _: BatchId, _: &[Foreign]) {
        self.overtaken().await;
    }

    /// Somebody else has written to the truth, such as a person with SQL, and nobody knows what: all
    /// that is kept may be out of date.
    async fn overtaken(&self) {}

    /// Everything has been told that others had written at this moment, in the clock's ticks. Only a
    /// truth that others can write to says so; it is quick.
    fn watched(&self, _: i64) {}
}

/// Tells one batch from the others of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// A document that somebody else has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    pub collection: CollectionId,
    pub id: Id,
    /// What it was at some moment after that; none where it was gone.
    pub now: Option<Document>,
    /// The last transaction that is known to have written it, by the truth's count.
    pub transaction: u64,
}

/// What has become of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The truth has it.
    Committed,
    /// Nothing of it has happened, and nothing will.
    Aborted,
    /// The same, because the terms did not hold under which it was announced.
    Refused,
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

impl Touched {
    /// The document's id.
    pub fn id(&self) -> Option<Id> {
        self.after.as_ref().or(self.before.as_ref())?.id()
    }
}
