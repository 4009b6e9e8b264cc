//! What a place must be able to do to hold the cache: slots for documents, and ordered sets.
//!
//! The cache is written once ([`crate::Shelves`]) and says *when* each of these happens; a storage
//! does each to one document or one set in one step, as if nothing else happened meanwhile. Between
//! the documents of one call anything may happen.
//!
//! A document's slot has what is held, the tokens of the batches that are about to change it, and a
//! fill token. A set has entries, each with the revision that put it there, a coverage mark, and build
//! tokens.
//!
//! | | slot | sets |
//! |---|---|---|
//! | announce | token of the batch; the fill token goes | the new position is there, or will be before anybody builds the set down to there |
//! | settle | what is newer is held; the batch's token and the fill token go | the old position goes, unless a later revision put it there |
//! | abort | the batch's token goes | |
//! | evict | all of it but the tokens of batches | all of it; what is under way is there again before anybody builds it |
//!
//! Beside them it keeps the pending lists of the recent tier ([`Claims`]), which are never evicted.

use std::sync::Arc;

use nubo_core::{
    Result,
    cache::{Held, Lookup, Members, Scan, SetName, Statistics},
    coordination::{Epoch, Incarnation, Terms},
    id::{Id, Revision},
    observe::BatchId,
    position::Position,
    recent::Claim,
    record::Version,
    schema::CollectionId,
};

use crate::claims::Claims;

/// Newer than every version that a batch brings.
pub const LAST: Version = Version::gone(Revision::new(i64::MAX));

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    pub collection: CollectionId,
    pub id: Id,
}

impl DocumentKey {
    /// That a batch has it on its way to the recent tier.
    pub(crate) fn claim(self, instance: Id, batch: BatchId) -> Claim {
        Claim {
            instance,
            batch,
            collection: self.collection,
            id: self.id,
        }
    }
}

/// Where a document stands in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub set: SetName,
    pub position: Position,
}

/// A document that a batch is about to change, and where it will stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub document: DocumentKey,
    /// Whether it was never there before, as far as its instance knows.
    pub is_new: bool,
    /// The revision it gets.
    pub revision: Revision,
    pub places: Vec<Place>,
    /// Where it stands and will not stand any more. None where nobody knows.
    pub left: Option<Vec<Place>>,
}

/// A document that a batch has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    pub document: DocumentKey,
    /// As it was announced.
    pub is_new: bool,
    pub version: Version,
    /// What is to be held. Without it nothing is from now on.
    pub held: Option<Arc<Held>>,
    /// How long it may be held, in milliseconds.
    pub lifetime: Option<i64>,
    /// Where it stands, as it was announced.
    pub places: Vec<Place>,
    /// Where it stood before and does not stand any more.
    pub left: Vec<Place>,
    /// The revision it had there. What a later one has put there stays.
    pub left_at: Revision,
}

/// Holds documents and sets, and what is pending of the recent tier.
pub trait Storage: Claims {
    /// What is known of documents. One that is neither held nor about to be changed has a fill token
    /// afterwards, which may be one that was there already.
    fn read(&self, documents: &[DocumentKey]) -> impl Future<Output = Result<Vec<Lookup>>> + Send;

    /// Holds documents whose fill token is still there. Which ones.
    fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> impl Future<Output = Result<Vec<bool>>> + Send;

    /// Of each document, whether it is worth holding: it was held, or stands in a set that somebody
    /// has built. Those that the recent tier is to have are claimed, whether they are among the
    /// documents or not.
    fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> impl Future<Output = Result<Vec<bool>>> + Send;

    /// Whether a batch may be committed before it is announced. Then it is [announced
    /// late](Storage::announce_late) or [called off](Storage::call_off), and until that has returned
    /// what it changes is not read from here. What is claimed must be announced before.
    fn go_ahead(&self, _: BatchId, _: &[Announced], _: &[DocumentKey]) -> bool {
        false
    }

    /// Announces a batch that is committed. None where there is nothing of it here, nor anything to be
    /// settled.
    fn announce_late(
        &self,
        batch: BatchId,
        documents: &[Announced],
    ) -> impl Future<Output = Result<Option<Vec<bool>>>> + Send {
        async move { self.announce(batch, documents, &[]).await.map(Some) }
    }

    /// A batch that went ahead was not committed.
    fn call_off(&self, _: BatchId) {}

    /// What was read of a document since the hand was [emptied](Storage::empty_hand), if it was
    /// announced to nobody since then that it changes. Only who knows that nobody else announces
    /// anything may go by that.
    fn at_hand(&self, _: DocumentKey) -> Option<Arc<Held>> {
        None
    }

    /// Forgets what is at hand.
    fn empty_hand(&self) {}

    /// What must hold when a batch is committed that was announced.
    fn terms(&self, _: BatchId) -> Option<Terms> {
        None
    }

    /// Notes that the terms of a batch did not hold. It is to be aborted.
    fn refused(&self, _: BatchId) {}

    /// Whether it can be asked at present.
    fn is_usable(&self) -> bool {
        true
    }

    /// The claims stay: what is committed has not arrived in the recent tier by that.
    fn settle(
        &self,
        batch: BatchId,
        documents: Vec<Settled>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The claims go as well.
    fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> impl Future<Output = Result<()>> + Send;

    /// What stands in any of these sets behind a position, all sets seen at one moment; and, where it is
    /// at hand, what is known of those documents afterwards.
    fn scan(
        &self,
        sets: &[SetName],
        after: Option<&Position>,
        most: usize,
    ) -> impl Future<Output = Result<Scan>> + Send;

    /// Leaves a build token, unless the set has as much as it may.
    fn begin(&self, set: &SetName) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// Adds members, and moves the coverage mark down to the last of them, if the token is still
    /// there and the mark was where they begin. Whether that is so.
    fn build(
        &self,
        set: &SetName,
        token: u64,
        members: Members,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Forgets sets, as if they were evicted.
    fn forget_sets(&self, sets: &[SetName]) -> impl Future<Output = Result<()>> + Send;

    /// Forgets everything that may be evicted. The pending lists stay.
    fn clear(&self) -> impl Future<Output = Result<()>> + Send;

    /// Makes sure that nothing counts any more that was read or committed before this, also where it
    /// is on its way: somebody else has written, and nobody knows what. The pending lists are closed.
    fn distrust(&self) -> impl Future<Output = Result<()>> + Send;

    /// Whatever others had written at this moment, in ticks, is known of.
    fn watched(&self, _: i64) {}

    fn statistics(&self) -> Statistics;
}

/// A server outside this process that holds the cache of several instances.
///
/// Every call has a time limit, after which it fails although it may still be carried out. Whatever
/// the server is asked to do in an epoch it refuses when the epoch is not there, so that what comes
/// late, or comes to a server that has lost its data, does nothing.
pub trait Remote: Send + Sync + 'static {
    /// What holds one epoch.
    type Storage: Storage;

    /// Whether the server answers, and which incarnation of it. Connects where there is no
    /// connection.
    fn reach(&self) -> impl Future<Output = Result<Incarnation>> + Send;

    /// Makes an epoch, which is empty.
    fn prepare(&self, epoch: Epoch, on: &Incarnation) -> impl Future<Output = Result<()>> + Send;

    /// What holds an epoch, as an instance uses it. It works only over a connection to this very
    /// incarnation and fails over any other.
    fn at(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> Self::Storage;

    /// Takes back what an instance has announced and not settled, and refuses what it may still
    /// announce. The instance is fenced: of what it has announced nobody knows whether it was
    /// committed, but nothing of it will be from now on. Its documents are not held afterwards and
    /// have no fill token; what it has put into sets stays there.
    fn take_back(
        &self,
        epoch: Epoch,
        on: &Incarnation,
        instance: Id,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Deletes what is left of the epochs with lower numbers.
    fn sweep(&self, below: Epoch, on: &Incarnation) -> impl Future<Output = Result<()>> + Send;
}
