//! The pending lists on the server, a command at a time.

use nubo_cache::Claims;
use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    recent::{Beginning, Claim, Condition},
    schema::CollectionId,
};
use uuid::Uuid;

use super::{
    Command, Reply,
    epoch::{SimEpoch, wrong},
};

/// Batches are numbered for all instances together, and claims told apart by that.
impl Claims for SimEpoch {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        let command = Command::Pending(epoch, collection, most);
        match self.act("pending", command).await? {
            Reply::Ids(ids) => Ok(ids),
            other => wrong(other),
        }
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        let command = Command::PendingAmong(epoch, collection, ids.to_vec());
        match self.act("pending among", command).await? {
            Reply::Flags(flags) => Ok(flags),
            other => wrong(other),
        }
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let command = Command::Arrived(epoch, nameless(claims));
        self.act("arrived", command).await.map(drop)
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let command = Command::Claim(epoch, nameless(claims));
        self.act("claim", command).await.map(drop)
    }

    async fn condition(&self) -> Result<Condition> {
        match self.act("condition", Command::Condition).await? {
            Reply::Condition(condition) => Ok(condition),
            other => wrong(other),
        }
    }

    async fn begin_lists(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        match self.act("begin lists", Command::BeginLists(epoch)).await? {
            Reply::Beginning(beginning) => Ok(beginning),
            other => wrong(other),
        }
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        let command = Command::IsUnderWay(beginning.clone());
        match self.act("is under way", command).await? {
            Reply::Yes(is_under_way) => Ok(is_under_way),
            other => wrong(other),
        }
    }

    async fn open_lists(&self, beginning: &Beginning) -> Result<bool> {
        let command = Command::OpenLists(beginning.clone());
        match self.act("open lists", command).await? {
            Reply::Yes(opened) => Ok(opened),
            other => wrong(other),
        }
    }
}

/// Claims without their instance, as the memory of one process has them.
fn nameless(claims: &[Claim]) -> Vec<Claim> {
    let nameless = claims.iter().map(|claim| Claim {
        instance: Id::from_uuid(Uuid::nil()),
        ..*claim
    });
    nameless.collect()
}
