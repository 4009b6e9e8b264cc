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
        let Some((cached, collection, cache)) = self.cached(collection) else {
            let body = self.truth.get(collection, id, view).await?;
            let why = self.why_not_cached(collection);
            return Ok(body.map(|body| Answer::truth(body, why)));
        };
        let mut reading = Reading::new(self, cached);
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
        let body = Body {
            json: seen.body(collection),
            revision: seen.held.revision,
        };
        Ok(Some(
            reading.answer(body, || Cow::Borrowed("the document was held")),
        ))
    }
}
