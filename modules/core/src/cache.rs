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
    position::{self, Position},
    record::{Excerpt, Excerpts},
    schema::{CacheTier, Collection, CollectionId},
    truth::Body,
    value::Value,
};

/// How many bytes a document's JSON has room for before its buffer grows.
const JSON_CAPACITY: usize = 512;

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
    /// None where the set has as much as it may.
    async fn begin(&self, set: &SetName) -> Result<Option<BuildToken>>;

    /// Makes a set complete down to the last of the members that were read, or to its very end.
    /// Whether that counts.
    async fn build(&self, set: &SetName, token: BuildToken, members: Members) -> Result<bool>;

    /// Whether it can be asked at present. Who asks nevertheless is told that nothing is known.
    fn is_usable(&self) -> bool {
        true
    }

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
    /// The cache cannot be asked.
    Unknown,
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

impl Held {
    /// A document as it is held.
    pub fn of(document: &Document, collection: &Collection, cache: &CacheTier) -> Self {
        Self::with(document, collection, &cache.excerpts)
    }

    /// The same with such an excerpt.
    pub fn with(document: &Document, collection: &Collection, excerpts: &Excerpts) -> Self {
        let mut json = Vec::with_capacity(JSON_CAPACITY);
        document.write_json(collection, &mut json);
        // It may stay for long: no room is wasted on it.
        json.shrink_to_fit();
        Self {
            json: json.into(),
            revision: document.revision(),
            excerpt: excerpts.of(document),
        }
    }

    /// The same from the bytes that are sent, where they tell all that is asked about.
    ///
    /// # Errors
    /// Where the bytes are no document of this collection.
    pub fn of_body(body: Body, collection: &Collection, cache: &CacheTier) -> Result<Self> {
        Ok(Self {
            excerpt: collection.read_excerpt(&cache.excerpts, &body.json)?,
            json: body.json,
            revision: body.revision,
        })
    }
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

/// The documents of a collection that have certain values in the fields of one of its sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetName {
    pub collection: CollectionId,
    /// Which of the collection's sets, as its [`crate::schema::CacheTier`] lists them.
    pub set: u16,
    /// A value for each of the set's fields, in binary form.
    pub values: Box<[u8]>,
}

impl SetName {
    /// The set with these values. None where its fields cannot have them.
    pub fn new(collection: &Collection, set: usize, values: &[&Value]) -> Option<Self> {
        let fields = collection.tiers.cache.as_ref()?.sets.get(set)?;
        let mut bytes = Vec::with_capacity(17 * values.len());
        for (field, value) in fields.iter().zip(values) {
            let kind = position::item(&collection.fields()[*field].kind);
            if !position::write_key(kind, value, &mut bytes) {
                return None;
            }
        }
        (fields.len() == values.len()).then_some(Self {
            collection: collection.id,
            set: u16::try_from(set).ok()?,
            values: bytes.into(),
        })
    }
}

/// What was read from the truth of a set: a stretch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Where the stretch begins; at the beginning of the set where it says nothing. It counts only
    /// if the set is complete down to there.
    pub after: Option<Position>,
    pub members: Vec<Member>,
    /// Whether the set ends with them.
    pub to_the_end: bool,
}

/// A member of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub position: Position,
    pub revision: Revision,
}

/// A stretch of one or several sets.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Where documents stand, in order, each position once. A document that is on its way from one
    /// to another stands at both.
    pub positions: Vec<Position>,
    pub reach: Reach,
    /// What is known of the documents, each once in their order, as [`Cache::documents`] would say it
    /// now. None where it was not looked at.
    pub documents: Option<Vec<(Id, Lookup)>>,
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
    /// What it may hold, in bytes; 0 where nothing limits that.
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
