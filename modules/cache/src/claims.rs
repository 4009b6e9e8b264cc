//! What a storage must be able to do beside documents and sets where there is a recent tier: keep the
//! [pending lists](PendingLists).
//!
//! They are kept where the cache is and belong to what holds it: where that is lost or begins anew,
//! they are closed. While they are closed nobody's claims are put down. What is announced is claimed
//! in the same step in which the batch becomes one that is under way, so that who begins the lists
//! knows of each batch whose claims may be missing.

use async_trait::async_trait;
use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    recent::{Beginning, Claim, Condition, PendingLists},
    schema::CollectionId,
};
use uuid::Uuid;

use crate::{Shelves, Storage};

/// How many documents of one collection may be pending. More of them close all lists.
pub const MOST_PENDING: usize = 10_000;
/// How many batches may claim one document, which is read and written with each of them. More of them
/// close all lists as well.
pub const MOST_CLAIMS: usize = 1_000;

/// Whose claims there are where there is one instance.
pub(crate) const NOBODY: Id = Id::from_uuid(Uuid::nil());

/// Keeps the pending lists. Each of these says what its namesake in [`PendingLists`] does.
pub trait Claims: Send + Sync + 'static {
    fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<Id>>>> + Send;

    fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> impl Future<Output = Result<Option<Vec<bool>>>> + Send;

    fn claimed_by(&self, _: BatchId) -> Id {
        NOBODY
    }

    fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> impl Future<Output = Result<()>> + Send;

    fn claim(&self, epoch: Epoch, claims: &[Claim]) -> impl Future<Output = Result<()>> + Send;

    fn condition(&self) -> impl Future<Output = Result<Condition>> + Send;

    fn begin_lists(&self, epoch: Epoch) -> impl Future<Output = Result<Option<Beginning>>> + Send;

    fn is_under_way(&self, beginning: &Beginning) -> impl Future<Output = Result<bool>> + Send;

    fn open_lists(&self, beginning: &Beginning) -> impl Future<Output = Result<bool>> + Send;
}

#[async_trait]
impl<S: Storage> PendingLists for Shelves<S> {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        self.storage.pending(epoch, collection, most).await
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        self.storage.pending_among(epoch, collection, ids).await
    }

    fn claimed_by(&self, batch: BatchId) -> Id {
        self.storage.claimed_by(batch)
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        self.storage.arrived(epoch, claims).await
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        self.storage.claim(epoch, claims).await
    }

    async fn condition(&self) -> Result<Condition> {
        self.storage.condition().await
    }

    async fn begin(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        self.storage.begin_lists(epoch).await
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        self.storage.is_under_way(beginning).await
    }

    async fn open(&self, beginning: &Beginning) -> Result<bool> {
        self.storage.open_lists(beginning).await
    }
}
