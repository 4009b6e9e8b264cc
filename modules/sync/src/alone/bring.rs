//! What is brought of documents as they are now, where the truth does not keep them.
//!
//! That the truth does not have one means nothing: it may have left. It is gone where the truth knows
//! its end, and that is later than what the tier has.

use std::collections::HashMap;

use nubo_core::{
    Error, Result,
    alone::WaitingRoom,
    coordination::Epoch,
    document::Document,
    id::{Id, Revision},
    recent::{Found, Fresh, State},
    schema::CollectionId,
};

use crate::recent::{Bringing, Brought, without};

impl<'a> Bringing<'a> {
    /// Brings documents of a collection that the truth does not keep.
    pub(crate) async fn waiting(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Brought> {
        let mut brought = Brought::default();
        let documents = self.in_truth(collection, ids).await?;
        let missing = without(ids, &documents);
        let ends = self.waiting_room()?.ends(collection, &missing).await?;
        let versions: Vec<Fresh<'_>> = documents.iter().filter_map(Fresh::there).collect();
        if !versions.is_empty() {
            let now = self.clock.now();
            let refused = self.recent.bring(epoch, collection, &versions, now);
            let refused = refused.await?.into_iter().map(|id| (collection, id));
            brought.refused.extend(refused);
        }
        let refused = self.ends(epoch, collection, &ends).await?;
        brought
            .refused
            .extend(refused.into_iter().map(|id| (collection, id)));
        // An older version may still be on its way.
        brought
            .gone
            .extend(ends.iter().map(|(id, _)| (collection, *id)));
        Ok(brought)
    }

    /// Has documents be gone from the tier that have ended, as far as it has them. Gives those of which
    /// that could not be.
    pub(crate) async fn ends(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ends: &[(Id, Revision)],
    ) -> Result<Vec<Id>> {
        if ends.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Id> = ends.iter().map(|(id, _)| *id).collect();
        let found = self.recent.documents(epoch, collection, &ids).await?;
        let schema = self.catalog.get(collection);
        // What a document was says where its end belongs.
        let mut last: HashMap<Id, Document> = HashMap::new();
        for ((id, end), found) in ends.iter().zip(found) {
            if let Found::Held(held) = found
                && held.revision <= *end
            {
                last.insert(*id, schema.read_sent(&held.json)?);
            }
        }
        let versions = ends.iter().filter_map(|(id, end)| {
            Some(Fresh {
                id: *id,
                revision: *end,
                state: State::Gone(Some(last.get(id)?)),
            })
        });
        let versions: Vec<Fresh<'_>> = versions.collect();
        if versions.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        self.recent.bring(epoch, collection, &versions, now).await
    }

    /// Where documents wait that the truth does not keep.
    pub(crate) fn waiting_room(&self) -> Result<&'a dyn WaitingRoom> {
        let none = || Error::unavailable("not_started", "the truth is no waiting room");
        self.truth.waiting_room().ok_or_else(none)
    }
}
