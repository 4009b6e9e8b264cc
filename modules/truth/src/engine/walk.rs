//! Many documents, one after the other: all that match a filter.

use nubo_core::{
    Result,
    access::Permit,
    change::Change,
    document::Document,
    filter::{Expr, Path, Test},
    id::Id,
    schema::{Collection, CollectionId},
};

use super::{Engine, execute::Cause};
use crate::session::Session;

/// How many documents of a walk are in memory at once.
const STRETCH: u32 = 500;

/// What a walk does to each document.
#[derive(Clone, Copy)]
pub(super) enum Deed<'a> {
    Update(&'a Change, &'a Permit),
    Delete,
}

/// What came of a walk.
#[derive(Default)]
pub(super) struct Walked {
    /// Documents that matched when it was their turn.
    pub matched: u64,
    /// Documents that are different now, or gone.
    pub done: u64,
}

impl<S: Session> Engine<S> {
    /// Does something to every document that matches. Each is visited once: the walk follows the
    /// ids, which no change touches.
    pub(super) async fn walk(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        deed: Deed<'_>,
        cause: Cause,
    ) -> Result<Walked> {
        let mut walked = Walked::default();
        let mut after = None;
        loop {
            let documents = self.stretch(collection, filter, after).await?;
            let last = documents.len() < STRETCH as usize;
            let mut read_at = self.written;
            for document in documents {
                after = document.id();
                // What was done to others may have changed it, or taken it along.
                let current = self.current(collection, filter, document, read_at).await?;
                let Some(document) = current else { continue };
                walked.matched += 1;
                let written = self.written;
                let done = match deed {
                    Deed::Update(change, permit) => {
                        let update = self.update(collection, document, change, permit, cause);
                        Box::pin(update).await?.1
                    }
                    Deed::Delete => Box::pin(self.delete(collection, document, cause)).await?,
                };
                walked.done += u64::from(done);
                // Its own row is behind the walk; what it caused may lie ahead.
                if self.written <= written + 1 && read_at == written {
                    read_at = self.written;
                }
            }
            if last {
                return Ok(walked);
            }
        }
    }

    /// The next documents of a walk. With the first ones come all that have left.
    pub(super) async fn stretch(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        after: Option<Id>,
    ) -> Result<Vec<Document>> {
        let catalog = self.catalog.clone();
        let schema = catalog.get(collection);
        if after.is_none() {
            self.recall_matching(schema, filter).await?;
        }
        self.session
            .walk(schema, &catalog, filter, after, STRETCH)
            .await
    }

    /// A document of a stretch that was read a while ago, as it is now; none where it does not
    /// match any longer.
    pub(super) async fn current(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        document: Document,
        read_at: u64,
    ) -> Result<Option<Document>> {
        if self.written == read_at {
            return Ok(Some(document));
        }
        let catalog = self.catalog.clone();
        let schema = catalog.get(collection);
        let itself = Expr::Test {
            path: Path::to_field(Collection::ID, &schema.fields()[Collection::ID]),
            test: Test::Equal(document.value(Collection::ID).clone()),
        };
        let filter = filter.clone().and(itself);
        let found = self
            .session
            .walk(schema, &catalog, &filter, None, 1)
            .await?;
        Ok(found.into_iter().next())
    }
}
