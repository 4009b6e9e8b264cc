//! The recent tier: documents that were created or used of late, in a store of their own.
//!
//! It is filled behind the acknowledgement, so that it lags behind the truth. What keeps its answers
//! right is known elsewhere: which documents are *pending*, because a version of theirs may not have
//! arrived yet ([`PendingLists`]), and what is not to be lost of that ([`crate::outbox`]). A reader
//! looks at the pending lists **before** it asks the tier: what is not pending then has arrived.
//!
//! * Versions of a document come in any order and more than once; the newest stays.
//! * Everything belongs to an [`Epoch`]. When it is not certain that the tier has what it should, the
//!   next one begins, and what belongs to earlier ones is not there any more: but for documents that
//!   have no other place ([`crate::alone`]), which belong to every epoch.
//! * A document that is not there may be in the truth, unless a tombstone says that it is gone.
//! * Documents that were not used for longer than the window go by themselves, some time later.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

use crate::{
    cache::Held,
    coordination::Epoch,
    document::Document,
    error::Result,
    id::{Id, Revision},
    observe::BatchId,
    query::Query,
    schema::CollectionId,
    time::Timestamp,
};

/// A store of recent documents.
#[async_trait]
pub trait Recent: Send + Sync + 'static {
    /// The epoch that can be read at present. None where it is not certain that the store is what it
    /// was when that was looked at last.
    fn epoch(&self) -> Option<Epoch>;

    /// Looks at what the store says of itself.
    async fn look(&self) -> Result<Sight>;

    /// Takes the store for what it was found to be, if it is still the same one. Reads are possible
    /// from now on.
    fn trust(&self, sight: &Sight);

    /// Nothing is read from now on.
    fn distrust(&self);

    /// Has the store belong to an epoch, unless it belongs to a later one. Whether it does now.
    async fn found(&self, founding: &Founding) -> Result<bool>;

    /// Moves the mark of a process from one number to the next. False where it stood elsewhere: the
    /// store is not what it was.
    async fn mark(&self, epoch: Epoch, process: Id, from: i64) -> Result<bool>;

    /// Documents by their ids, each in its place.
    async fn documents(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Vec<Found>>;

    /// The documents of a list that were created since some moment, in its order. Its filter looks no
    /// other documents up.
    async fn list(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Arc<Held>>>;

    /// The same, whole, with what is never sent. Of a collection that has no other place, since it has
    /// only documents there.
    async fn find(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Document>>;

    /// Brings versions, of which the newest stay. Gives the documents that the store cannot hold.
    async fn bring(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        versions: &[Fresh<'_>],
        now: Timestamp,
    ) -> Result<Vec<Id>>;

    /// Notes that documents were used.
    async fn touch(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
        now: Timestamp,
    ) -> Result<()>;

    /// Deletes what belongs to earlier epochs, and what was used before a moment. How many documents.
    async fn clean(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        used_before: Option<Timestamp>,
    ) -> Result<u64>;
}

/// What is there of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is this, at the least.
    Held(Arc<Held>),
    /// It is gone, which happened after this revision.
    Gone(Revision),
    /// It is not there, and may be in the truth.
    Missing,
}

/// A version of a document, or its end.
#[derive(Debug, Clone)]
pub struct Fresh<'a> {
    pub id: Id,
    /// The version; of an end the last one before it.
    pub revision: Revision,
    pub state: State<'a>,
}

/// What a document is in a version.
#[derive(Debug, Clone)]
pub enum State<'a> {
    There(&'a Document),
    /// It is gone. What it was, where that is known, says where its end belongs on a cluster that
    /// spreads documents.
    Gone(Option<&'a Document>),
}

impl<'a> Fresh<'a> {
    /// A document as it is.
    pub fn there(document: &'a Document) -> Option<Self> {
        Some(Self {
            id: document.id()?,
            revision: document.revision(),
            state: State::There(document),
        })
    }
}

/// What a store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// None where it is new.
    pub epoch: Option<Epoch>,
    /// The truth that it belongs to.
    pub truth: Option<String>,
    /// How far each process has come by what arrived.
    pub marks: HashMap<Id, i64>,
    /// Which connections there were when the look began. Others may lead to another store.
    pub connections: u64,
    /// Which run of the server has answered, where it says so. As long as it is the same one, nothing
    /// can have been set back.
    pub server: Option<String>,
}

/// What a store is to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    pub epoch: Epoch,
    /// The truth.
    pub truth: String,
}

/// Which documents are on their way to the recent tier.
///
/// A batch puts its documents into the lists before its commit and takes them off when they have
/// arrived, each by a [`Claim`] of its own. Lists that are not kept are nothing to go by; that is so
/// at first, and whenever they have grown too long. They are begun again, and opened when everything
/// has arrived that was committed by then.
#[async_trait]
pub trait PendingLists: Send + Sync + 'static {
    /// The documents of a collection that are pending. None where that is not known, or they are more
    /// than so many.
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>>;

    /// Which of these documents are pending. None where that is not known.
    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>>;

    /// Under which instance a batch that is announced and not settled is claimed.
    fn claimed_by(&self, batch: BatchId) -> Id;

    /// Takes claims back, if the lists belong to this epoch.
    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()>;

    /// Claims documents, in lists that belong to this epoch: those that have not arrived and cannot.
    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()>;

    /// What the lists are.
    async fn condition(&self) -> Result<Condition>;

    /// Begins the lists again for an epoch of the recent tier. None where they cannot be kept.
    async fn begin(&self, epoch: Epoch) -> Result<Option<Beginning>>;

    /// Whether some batch is still under way that was when the lists were begun, so that it may not
    /// be in them.
    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool>;

    /// Has the lists be believed, unless they were begun again meanwhile. Whether they are.
    async fn open(&self, beginning: &Beginning) -> Result<bool>;
}

/// What the lists are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing can be known of them.
    Away,
    /// They are not kept.
    Closed,
    /// They are kept, and not complete yet.
    Begun(Epoch),
    /// They are complete.
    Open(Epoch),
}

/// That a batch has a document on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    pub instance: Id,
    pub batch: BatchId,
    pub collection: CollectionId,
    pub id: Id,
}

/// One beginning of the lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    pub epoch: Epoch,
    /// Tells it from others.
    pub nonce: u64,
    /// The batches that were under way, by names that say something to the lists.
    pub under_way: Vec<Vec<u8>>,
}
