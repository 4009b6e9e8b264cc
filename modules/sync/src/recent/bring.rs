//! Bringing documents as they are now, whatever was missed of them.

use std::collections::{BTreeMap, HashSet};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use nubo_core::{
    Result,
    access::View,
    clock::Clock,
    coordination::Epoch,
    document::Document,
    id::Id,
    query::Query,
    recent::{Found, Fresh, Recent, State},
    schema::{Catalog, CollectionId},
    truth::Truth,
};

use super::Place;

/// How many documents are asked for and brought at a time.
pub(super) const TOGETHER: usize = 500;
/// How many times as many are under way at once.
const LANES: usize = 4;

/// From where documents are brought, and where to.
pub(crate) struct Bringing<'a> {
    pub catalog: &'a Catalog,
    pub truth: &'a dyn Truth,
    pub recent: &'a dyn Recent,
    pub clock: &'a dyn Clock,
}

/// What has become of documents that were brought as they are now.
#[derive(Default)]
pub(crate) struct Brought {
    /// Those that the tier cannot hold.
    pub refused: HashSet<Place>,
    /// Those that are gone. It is not known after which version, so that one that is still on its way
    /// would stay: they are to be looked at again when none can be ([`super::LATE`]).
    pub gone: HashSet<Place>,
}

impl Bringing<'_> {
    /// Brings documents as they are now.
    ///
    /// Of one that is gone it is not known when that was. What the tier has of it is looked at before
    /// it is found that it is gone, so that its end belongs behind that version, and a later life is
    /// not touched.
    pub async fn now(&self, epoch: Epoch, places: &[Place]) -> Result<Brought> {
        let mut of_each: BTreeMap<CollectionId, Vec<Id>> = BTreeMap::new();
        for (collection, id) in places {
            of_each.entry(*collection).or_default().push(*id);
        }
        let mut parts = Vec::new();
        for (collection, ids) in &mut of_each {
            ids.sort_unstable();
            ids.dedup();
            let some = ids.chunks(TOGETHER);
            parts.extend(some.map(|ids| self.some(epoch, *collection, ids).boxed()));
        }
        // The truth is asked for some while the tier takes others.
        let mut bringing = stream::iter(parts).buffer_unordered(LANES);
        let mut brought = Brought::default();
        while let Some(some) = bringing.try_next().await? {
            brought.refused.extend(some.refused);
            brought.gone.extend(some.gone);
        }
        Ok(brought)
    }

    async fn some(&self, epoch: Epoch, collection: CollectionId, ids: &[Id]) -> Result<Brought> {
        if self.catalog.get(collection).is_alone() {
            return self.waiting(epoch, collection, ids).await;
        }
        let mut brought = Brought::default();
        let now = self.clock.now();
        let mut documents = self.in_truth(collection, ids).await?;
        let missing = without(ids, &documents);
        let mut gone = Vec::new();
        if !missing.is_empty() {
            let before = self.recent.documents(epoch, collection, &missing).await?;
            documents.extend(self.in_truth(collection, &missing).await?);
            let still: HashSet<Id> = without(&missing, &documents).into_iter().collect();
            brought
                .gone
                .extend(still.iter().map(|id| (collection, *id)));
            gone.extend(
                missing
                    .iter()
                    .zip(before)
                    .filter_map(|(id, found)| match found {
                        Found::Held(held) if still.contains(id) => Some(Fresh {
                            id: *id,
                            revision: held.revision,
                            state: State::Gone(None),
                        }),
                        _ => None,
                    }),
            );
        }
        let mut versions: Vec<Fresh<'_>> = documents.iter().filter_map(Fresh::there).collect();
        versions.extend(gone);
        if !versions.is_empty() {
            let refused = self.recent.bring(epoch, collection, &versions, now).await?;
            let refused = refused.into_iter().map(|id| (collection, id));
            brought.refused.extend(refused);
        }
        Ok(brought)
    }

    /// Documents as the truth has them now.
    pub async fn in_truth(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<Document>> {
        let query = Query::by_ids(self.catalog.get(collection), ids);
        self.truth.find(query, &View::all()).await
    }
}

/// The ids of which there is no document.
pub(crate) fn without(ids: &[Id], documents: &[Document]) -> Vec<Id> {
    let found: HashSet<Id> = documents.iter().filter_map(Document::id).collect();
    ids.iter()
        .filter(|id| !found.contains(id))
        .copied()
        .collect()
}
