//! One document by its id.

use std::borrow::Cow;

use nubo_core::{Result, access::View, id::Id, schema::CollectionId, store::Answer, truth::Body};

use super::{Reading, rules::LookedUp, shape::Seen};
use crate::Tiers;

impl Tiers {
    /// A document as its reader sees it.
    pub(crate) async fn read_one(
        &self,
        collection: CollectionId,
        id: Id,
        view: &View,
    ) -> Result<Option<Answer<Body>>> {
        if let Some(recent) = &self.recent {
            recent.used(collection, [id]);
        }
        let Some((_, collection, cache)) = self.cached(collection) else {
            return self.read_one_below(collection, id, view).await;
        };
        let mut reading = Reading::new(self);
        let mut looked_up = LookedUp::default();
        #[cfg(feature = "flaws")]
        if self.flaw == Some(crate::Flaw::RuleReadFirst) {
            let before = reading.documents(collection, cache, &[id]).await?;
            for held in before.into_iter().flatten() {
                let seen = reading.passes(&view.condition, &held, collection, &mut looked_up);
                seen.await?;
            }
        }
        let found = reading.documents(collection, cache, &[id]).await?;
        let Some(held) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        let seen = reading.passes(&view.condition, &held, collection, &mut looked_up);
        if !seen.await? {
            return Ok(None);
        }
        let hidden = reading.hidden(view, &held, collection, &mut looked_up);
        let seen = Seen {
            hidden: hidden.await?,
            held,
        };
        let body = seen.body(collection);
        Ok(Some(
            reading.answer(body, || Cow::Borrowed("the document was held")),
        ))
    }

    /// The same below the cache.
    async fn read_one_below(
        &self,
        collection: CollectionId,
        id: Id,
        view: &View,
    ) -> Result<Option<Answer<Body>>> {
        let schema = self.catalog.get(collection);
        if let Some(found) = self.one_from_recent(schema, id, view).await? {
            return Ok(found.map(|answer| {
                let body = answer.content.body(schema);
                answer.with(body)
            }));
        }
        let body = self.truth.get(collection, id, view).await?;
        if let Some(recent) = &self.recent
            && body.is_some()
            && schema.tiers.recent.is_some()
            && !schema.is_alone()
        {
            recent.promote(collection, std::iter::once(id));
        }
        let why = self.why_not_cached(collection);
        Ok(body.map(|body| self.as_answered(collection, body, why)))
    }
}
