//! The pending lists, a step at a time.

use nubo_cache::Claims;
use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    recent::{Beginning, Claim, Condition},
    schema::CollectionId,
};

use super::Stepping;

impl Claims for Stepping {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        self.scheduler.step("pending").await;
        let found = self.inner.pending(epoch, collection, most).await;
        self.scheduler.step("pending, answered").await;
        found
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        self.scheduler.step("pending among").await;
        let found = self.inner.pending_among(epoch, collection, ids).await;
        self.scheduler.step("pending among, answered").await;
        found
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        self.scheduler.step("arrived").await;
        self.inner.arrived(epoch, claims).await
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        self.scheduler.step("claim").await;
        self.inner.claim(epoch, claims).await
    }

    async fn condition(&self) -> Result<Condition> {
        self.scheduler.step("condition").await;
        self.inner.condition().await
    }

    async fn begin_lists(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        self.scheduler.step("begin lists").await;
        let beginning = self.inner.begin_lists(epoch).await;
        self.scheduler.step("begin lists, answered").await;
        beginning
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        self.scheduler.step("is under way").await;
        self.inner.is_under_way(beginning).await
    }

    async fn open_lists(&self, beginning: &Beginning) -> Result<bool> {
        self.scheduler.step("open lists").await;
        self.inner.open_lists(beginning).await
    }
}
