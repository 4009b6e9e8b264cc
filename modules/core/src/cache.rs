//! The cache: documents as the bytes that are sent, and sets of them in their collection's order.
//!
//! A cache never answers a question by itself; the store puts answers together from what it holds
//! and knows what of it can be believed:
//!
//! * A **document** that is held is what the truth has, at the moment at which the cache is asked.
//!   One that some batch is about to change ([`Lookup::Busy`]) must be taken from the truth.
//! * One that is missing leaves a **fill token**. Who reads it from the truth *after that* may put
//!   it there; that counts only if nothing was announced about the document in between.
//! * A **set** has the positions of the documents with certain values in certain fields, from the
//!   beginning of the order down to its *coverage mark*. It misses no document that belongs there
//!   and may have some that do not: what it yields is to be held against the question again.
//! * Building a set takes a **build token**, left *before* the truth is asked for its members.
//!
//! What is written comes as to every [`Observer`]: announced, then settled.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::{
    document::Document,
    error::Result,
    id::{Id, Revision},
    observe::Observer,
    position::Position,
    record::Excerpt,
    schema::CollectionId,
    value::Value,
};

/// Keeps what is read often.
#[async_trait]
pub trait Cache: Observer {
    /// What it knows of documents, in the order of the ids. Each that is missing has a fill token
    /// now.
    async fn documents(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<Lookup>>;

    /// Puts documents there that were read under fill tokens. Of each, whether it counts: then it
    /// is what the truth has at this moment.
    async fn fill(
        &self,
        collection: CollectionId,
        found: Vec<(FillToken, Arc<Held>)>,
    ) -> Result<Vec<bool>>;

    /// The documents in any of these sets behind a position, in their order, as of one moment.
    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan>;

    /// Leaves a build token. What is then read from the truth may be put there by
    /// [`Cache::build`].
    async fn begin(&self, set: &SetName) -> Result<BuildToken>;

    /// Makes a set complete down to the last of these members, or to the very end. Whether that
    /// counts.
    async fn build(
        &self,
        set: &SetName,
        token: BuildToken,
        members: &[Document],
        to_the_end: bool,
    ) -> Result<bool>;

    /// Forgets all that nobody is about to change.
    async fn clear(&self) -> Result<()>;

    /// What has happened so far.
    fn statistics(&self) -> Statistics;
}

/// What the cache knows of a document.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// It is held.
    Held(Arc<Held>),
    /// It is not, and a fill token was left.
    Missing(FillToken),
    /// Some batch is about to change it.
    Busy,
}

/// A document that is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The document as it is sent to somebody who sees every field.
    pub json: Bytes,
    pub revision: Revision,
    /// What questions ask about.
    pub excerpt: Excerpt,
}

/// Leave to put a document into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FillToken {
    pub id: Id,
    pub number: u64,
}

/// Leave to say down to where a set is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildToken(pub u64);

/// The documents of a collection that have these values in the fields of one of its sets.
#[derive(Debug, Clone, PartialEq)]
pub struct SetName {
    pub collection: CollectionId,
    /// Which of the collection's sets, as its [`crate::schema::CacheTier`] lists them.
    pub set: usize,
    /// A value for each of the set's fields.
    pub values: Vec<Value>,
}

/// A stretch of one or several sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Where documents stand, in order, each position once. A document that is on its way from one
    /// to another stands at both.
    pub positions: Vec<Position>,
    pub reach: Reach,
}

/// Down to where a stretch misses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nobody has built one of the sets, or not as far as to where the stretch begins.
    Nowhere,
    /// Down to this position, and there may be more.
    To(Position),
    /// It ends with the order.
    End,
}

/// What a cache has done since the server started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// What it may hold, in bytes.
    pub budget: u64,
    /// What it holds, in bytes.
    pub bytes: u64,
    /// By the collections' places; none for those that are not cached.
    pub collections: Vec<Option<CollectionStatistics>>,
}

/// The same for one collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CollectionStatistics {
    /// Documents that were asked for and held.
    pub hits: u64,
    /// Documents that were asked for and not held, or about to be changed.
    pub misses: u64,
    /// Documents that were put there.
    pub fills: u64,
    /// Documents that were not, because something was announced about them meanwhile.
    pub refused_fills: u64,
    /// Sets that were built, or built further.
    pub builds: u64,
    /// Sets that were not, because they were thrown out meanwhile.
    pub refused_builds: u64,
    /// Documents and sets that made room for others.
    pub evictions: u64,
    /// Documents that are held.
    pub documents: u64,
    /// Sets that are held.
    pub sets: u64,
    /// What all of it takes, in bytes.
    pub bytes: u64,
}

impl CollectionStatistics {
    /// Both together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            fills: self.fills + other.fills,
            refused_fills: self.refused_fills + other.refused_fills,
            builds: self.builds + other.builds,
            refused_builds: self.refused_builds + other.refused_builds,
            evictions: self.evictions + other.evictions,
            documents: self.documents + other.documents,
            sets: self.sets + other.sets,
            bytes: self.bytes + other.bytes,
        }
    }
}
