//! Access rules held against documents that were read, sub-queries and all.
//!
//! What a rule looks up comes from the cache's own sets and documents. It is looked up after the
//! documents were read that the rule guards: who was put out of a conversation before something was
//! said there must not see it because the list of members is older than the message.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use nubo_core::{
    Result,
    access::View,
    cache::Held,
    filter::{Decision, DecisionStep, Expr, Select},
    id::Id,
    record::Record,
    schema::{CacheTier, Collection, CollectionId},
    value::Value,
};

use super::{Reading, plan::plan_look_up, sets::From};

/// How many documents of a set are looked through for one that a sub-query finds.
const MOST_LOOKED_THROUGH: usize = 64;

/// What has been looked up for one answer. It must be new for documents that were read later.
#[derive(Default)]
pub(super) struct LookedUp(Vec<(CollectionId, Decision)>);

impl LookedUp {
    fn of(&mut self, collection: CollectionId) -> &mut Decision {
        let known = self.0.iter().position(|(known, _)| *known == collection);
        let at = known.unwrap_or_else(|| {
            self.0.push((collection, Decision::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

impl Reading<'_> {
    /// Whether a document that was read passes.
    pub async fn passes(
        &mut self,
        condition: &Expr,
        held: &Held,
        collection: &Collection,
        looked_up: &mut LookedUp,
    ) -> Result<bool> {
        loop {
            let decision = looked_up.of(collection.id);
            match decision.step(condition, &held.excerpt, collection.fields()) {
                DecisionStep::Decided(passes) => return Ok(passes),
                DecisionStep::Ask(select, value) => {
                    let found = self.finds(&select, &value).await?;
                    looked_up.of(collection.id).answer(*select, value, found);
                }
            }
        }
    }

    /// The fields that the view hides of a document that was read.
    pub async fn hidden(
        &mut self,
        view: &View,
        held: &Held,
        collection: &Collection,
        looked_up: &mut LookedUp,
    ) -> Result<Vec<usize>> {
        let mut hidden = Vec::new();
        for mask in &view.masks {
            let shown = self.passes(&mask.shown, held, collection, looked_up);
            if !shown.await? {
                hidden.push(mask.field);
            }
        }
        Ok(hidden)
    }

    /// Whether a sub-query finds a value.
    fn finds<'b>(
        &'b mut self,
        select: &'b Select,
        value: &'b Value,
    ) -> BoxFuture<'b, Result<bool>> {
        async move {
            let tiers = self.tiers;
            let collection = tiers.catalog.get(select.collection);
            let held = match &collection.tiers.cache {
                Some(cache) if self.cached.is_some() => {
                    self.found_by(collection, cache, select, value).await?
                }
                _ => None,
            };
            let Some(held) = held else {
                self.ask_truth("what the access rule looks up is not kept in the cache");
                return tiers.truth.contains(select, value).await;
            };
            // Its own sub-queries come after what they guard, too.
            let mut looked_up = LookedUp::default();
            for held in held {
                let passes = has(&held, select.field, value)
                    && self
                        .passes(&select.condition, &held, collection, &mut looked_up)
                        .await?;
                if passes {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        .boxed()
    }

    /// All documents that a sub-query might find for a value. None where the cache does not know.
    async fn found_by(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        select: &Select,
        value: &Value,
    ) -> Result<Option<Vec<Arc<Held>>>> {
        let found = if select.field == Collection::ID {
            let Value::Uuid(id) = value else {
                return Ok(Some(Vec::new()));
            };
            let id = Id::from_uuid(*id);
            self.documents(collection, cache, &[id]).await?
        } else {
            let plan = plan_look_up(collection, select.field, value, &select.condition);
            let Some(plan) = plan else { return Ok(None) };
            // One more tells that there are too many.
            let least = MOST_LOOKED_THROUGH + 1;
            let scan = self
                .stretch(collection, &plan, From::BEGINNING, least)
                .await?;
            let Ok(scan) = scan else { return Ok(None) };
            if scan.positions.len() > MOST_LOOKED_THROUGH {
                return Ok(None);
            }
            self.documents_of(collection, cache, scan).await?
        };
        Ok(Some(found.into_iter().flatten().collect()))
    }
}

/// Whether a value stands in a field, by itself or in its list.
fn has(held: &Held, field: usize, value: &Value) -> bool {
    match held.excerpt.value(field) {
        Value::List(items) => items.iter().any(|item| item.same(value)),
        own => own.same(value),
    }
}
