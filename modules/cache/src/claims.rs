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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicI64};

    use nubo_core::{
        clock::Clock,
        document::Document,
        id::Revision,
        observe::{Fate, Foreign, Observer, Touched},
        schema::{Catalog, Collection},
        value::Value,
    };
    use serde_json::json;

    use super::*;
    use crate::{Memory, storage_tests::RECENT};

    const BATCH: BatchId = BatchId(1);

    struct At(AtomicI64);

    impl Clock for At {
        fn micros(&self) -> i64 {
            self.0.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    /// Collections that are cached, are in the recent tier, or both.
    fn catalog() -> Arc<Catalog> {
        let collection = |name: &str, tiers: serde_json::Value| json!({ "name": name, "fields": { "size": "int" }, "order": "size", "tiers": tiers });
        let declarations = json!([
            collection("cached", json!({ "cache": {} })),
            collection("recent", json!({ "recent": {} })),
            collection("both", json!({ "cache": {}, "recent": {} })),
        ]);
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        Arc::new(Catalog::compile(&declarations, &[]).unwrap())
    }

    fn shelves(catalog: &Arc<Catalog>) -> Shelves<Memory> {
        let memory = Memory::new(catalog, Arc::new(At(AtomicI64::new(0))), usize::MAX);
        Shelves::new(catalog.clone(), Arc::new(memory))
    }

    fn id(number: u128) -> Id {
        Id::from_uuid(Uuid::from_u128(number))
    }

    /// A document of each collection, which a batch creates and changes.
    fn touched(catalog: &Catalog) -> Vec<Arc<Touched>> {
        let document = |collection: &Collection, revision| {
            let mut document = Document::empty(collection);
            document.set(Collection::ID, Value::Uuid(Uuid::from_u128(1)));
            document.set_revision(Revision::new(revision));
            document
        };
        let both = |collection: &Arc<Collection>| {
            [(None, 1), (Some(1), 2)].map(|(before, after)| {
                Arc::new(Touched {
                    collection: collection.id,
                    before: before.map(|revision| document(collection, revision)),
                    after: Some(document(collection, after)),
                })
            })
        };
        catalog.collections().iter().flat_map(both).collect()
    }

    /// How many documents of each collection are pending.
    async fn pending(shelves: &Shelves<Memory>, catalog: &Catalog) -> Vec<usize> {
        let mut counts = Vec::new();
        for collection in catalog.collections() {
            let pending = shelves.pending(RECENT, collection.id, 9).await;
            counts.push(pending.unwrap().unwrap().len());
        }
        counts
    }

    async fn open(shelves: &Shelves<Memory>) {
        let beginning = shelves.begin(RECENT).await.unwrap().unwrap();
        assert!(shelves.open(&beginning).await.unwrap());
    }

    #[tokio::test]
    async fn a_batch_claims_what_the_recent_tier_is_to_have() {
        let catalog = catalog();
        for has_recent in [false, true] {
            let mut shelves = shelves(&catalog);
            if has_recent {
                shelves = shelves.with_recent();
            }
            let observed = catalog.collections().iter();
            let observed = observed.map(|collection| shelves.observes(collection.id));
            assert_eq!(observed.collect::<Vec<_>>(), [true, has_recent, true]);
            open(&shelves).await;
            let claimed = usize::from(has_recent);
            for fate in [Fate::Aborted, Fate::Refused, Fate::Committed] {
                shelves.announce(BATCH, &touched(&catalog)).await.unwrap();
                assert_eq!(pending(&shelves, &catalog).await, [0, claimed, claimed]);
                shelves.settle(BATCH, fate).await;
                let stays = if fate == Fate::Committed { claimed } else { 0 };
                assert_eq!(pending(&shelves, &catalog).await, [0, stays, stays]);
            }
            let claims = catalog.collections().iter().map(|collection| Claim {
                instance: shelves.claimed_by(BATCH),
                batch: BATCH,
                collection: collection.id,
                id: id(1),
            });
            let claims: Vec<Claim> = claims.collect();
            shelves.arrived(RECENT, &claims).await.unwrap();
            assert_eq!(pending(&shelves, &catalog).await, [0, 0, 0]);
        }
    }

    #[tokio::test]
    async fn what_others_have_written_is_pending_until_it_has_arrived() {
        let catalog = catalog();
        let shelves = shelves(&catalog).with_recent();
        open(&shelves).await;
        let collections = catalog.collections().iter();
        let documents = collections.map(|collection| (collection.id, id(1)));
        let documents: Vec<_> = documents.collect();
        shelves.doubt(BATCH, &documents).await;
        assert_eq!(pending(&shelves, &catalog).await, [0, 1, 1]);
        let beginning = shelves.begin(RECENT).await.unwrap().unwrap();
        assert!(shelves.is_under_way(&beginning).await.unwrap());
        // It arrives before it is settled here.
        let foreign = documents.iter().map(|(collection, id)| Foreign {
            collection: *collection,
            id: *id,
            now: None,
            transaction: 1,
        });
        shelves.resolve(BATCH, &foreign.collect::<Vec<_>>()).await;
        assert!(!shelves.is_under_way(&beginning).await.unwrap());
        assert!(shelves.open(&beginning).await.unwrap());
        assert_eq!(pending(&shelves, &catalog).await, [0, 0, 0]);
        shelves.doubt(BATCH, &documents).await;
        shelves.resolve(BATCH, &[]).await;
        assert_eq!(pending(&shelves, &catalog).await, [0, 1, 1]);
        shelves.overtaken().await;
        assert_eq!(shelves.condition().await.unwrap(), Condition::Closed);
    }
}
