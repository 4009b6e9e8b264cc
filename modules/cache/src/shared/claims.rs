//! The pending lists of a cache that several instances share.
//!
//! What is pending is believed as any other answer is. Whatever else is done to the lists is done to
//! those that there are at present, by whoever finds them: it does no harm where they are not used any
//! more.

use std::sync::Arc;

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    recent::{Beginning, Claim, Condition},
    schema::CollectionId,
};

use super::Shared;
use crate::{
    claims::{Claims, NOBODY},
    storage::Remote,
};

impl<R: Remote> Shared<R> {
    /// Does something in the storage that there is at present, and its turn. None where there is none.
    async fn at_present<T>(
        &self,
        act: impl AsyncFnOnce(&R::Storage, u64) -> Result<T>,
    ) -> Result<Option<T>> {
        let (storage, turn) = {
            let view = self.view.borrow();
            (view.storage.as_ref().map(Arc::clone), view.turn)
        };
        let Some(storage) = storage else {
            return Ok(None);
        };
        let done = act(&storage, turn).await;
        // The keeper looks whether it is there.
        let done = done.inspect_err(|_| self.wake.notify_one());
        done.map(Some)
    }

    /// A beginning as the storage of this turn knows it. None where it is of another one.
    fn own(&self, beginning: &Beginning, turn: u64) -> Option<Beginning> {
        let nonce = self.accepted(beginning.nonce, turn)?;
        Some(Beginning {
            nonce,
            ..beginning.clone()
        })
    }
}

impl<R: Remote> Claims for Shared<R> {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        let found = self.ask(async |storage, _| storage.pending(epoch, collection, most).await);
        Ok(found.await.flatten())
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        let found =
            self.ask(async |storage, _| storage.pending_among(epoch, collection, ids).await);
        Ok(found.await.flatten())
    }

    fn claimed_by(&self, batch: BatchId) -> Id {
        let announced = self.announced();
        announced
            .get(&batch)
            .map_or(NOBODY, |(_, terms)| terms.instance)
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let done = self.at_present(async |storage, _| storage.arrived(epoch, claims).await);
        done.await.map(drop)
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let done = self.at_present(async |storage, _| storage.claim(epoch, claims).await);
        done.await.map(drop)
    }

    async fn condition(&self) -> Result<Condition> {
        let condition = self.at_present(async |storage, _| storage.condition().await);
        Ok(condition.await?.unwrap_or(Condition::Away))
    }

    async fn begin_lists(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        let begun = self.at_present(async |storage, turn| {
            let begun = storage.begin_lists(epoch).await?;
            Ok(begun.map(|beginning| Beginning {
                nonce: self.issued(beginning.nonce, turn),
                ..beginning
            }))
        });
        Ok(begun.await?.flatten())
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        let found = self.at_present(async |storage, turn| match self.own(beginning, turn) {
            Some(beginning) => storage.is_under_way(&beginning).await,
            None => Ok(false),
        });
        Ok(found.await?.unwrap_or(false))
    }

    async fn open_lists(&self, beginning: &Beginning) -> Result<bool> {
        let opened = self.at_present(async |storage, turn| match self.own(beginning, turn) {
            Some(beginning) => storage.open_lists(&beginning).await,
            None => Ok(false),
        });
        Ok(opened.await?.unwrap_or(false))
    }
}
