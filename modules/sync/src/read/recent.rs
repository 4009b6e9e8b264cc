//! What the recent tier answers.
//!
//! **By id**: a document that is not pending is in the tier as it was when that was asked, or newer;
//! or it is not there, and the truth is asked.
//!
//! **Lists**: the tier has every document that was created since its boundary, except that those that
//! are pending may be older there, or missing. So a list of what was created since then is the tier's
//! without those, and those as the truth has them. The boundary moves with the time; it is taken once
//! for each list. One that goes on behind it, because it is newest first, goes on in the truth, from
//! the very same boundary.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nubo_core::{
    Result,
    access::View,
    cache::Held,
    filter::{Comparison, Expr, Path, Test},
    id::Id,
    query::{Query, Start},
    recent::Found,
    record::Record,
    schema::{Collection, RecentTier},
    store::Answer,
    time::Timestamp,
    value::Value,
};

use super::{
    Reading,
    list::{Listed, MOST_LOOKED_THROUGH},
    rules::LookedUp,
    shape::Seen,
};
use crate::{Tiers, recent::RecentStore};

/// How many pending documents are asked of the truth for one list.
const MOST_PENDING: usize = 200;

/// Why the tier is not asked while it is not up to date.
const BEHIND: &str = "the recent tier is not up to date";

/// What the tier has of documents.
pub(super) struct FromRecent {
    pub found: HashMap<Id, Arc<Held>>,
    /// Those that are gone, or there.
    pub known: HashSet<Id>,
    /// Those that are neither there nor pending.
    pub missing: Vec<Id>,
}

impl Tiers {
    /// Documents by their ids, as far as the recent tier knows of them. None where it cannot be asked.
    pub(super) async fn recent_documents(
        &self,
        collection: &Collection,
        ids: &[Id],
    ) -> Result<Option<FromRecent>> {
        let Some(recent) = &self.recent else {
            return Ok(None);
        };
        if !is_filled(collection) {
            return Ok(None);
        }
        let Some(epoch) = recent.epoch() else {
            return Ok(None);
        };
        #[cfg(feature = "flaws")]
        let early = match self.is(crate::Flaw::PendingReadAfter) {
            true => recent
                .recent()
                .documents(epoch, collection.id, ids)
                .await
                .ok(),
            false => None,
        };
        let pending = recent.lists().pending_among(epoch, collection.id, ids);
        let Some(pending) = pending.await? else {
            return Ok(None);
        };
        let wanted = ids.iter().zip(pending).filter(|(_, pending)| !pending);
        let wanted: Vec<Id> = wanted.map(|(id, _)| *id).collect();
        let mut answer = FromRecent {
            found: HashMap::with_capacity(wanted.len()),
            known: HashSet::new(),
            missing: Vec::new(),
        };
        if wanted.is_empty() {
            return Ok(Some(answer));
        }
        let found = recent.recent().documents(epoch, collection.id, &wanted);
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                recent.failed(&error);
                return Ok(None);
            }
        };
        #[cfg(feature = "flaws")]
        let found = early.map_or(found, |early| {
            let early = ids.iter().zip(early);
            let wanted = early.filter(|(id, _)| wanted.contains(id));
            wanted.map(|(_, found)| found).collect()
        });
        for (id, found) in wanted.into_iter().zip(found) {
            match found {
                Found::Held(held) => {
                    answer.known.insert(id);
                    answer.found.insert(id, held);
                }
                Found::Gone(_) => {
                    answer.known.insert(id);
                }
                Found::Missing => answer.missing.push(id),
            }
        }
        Ok(Some(answer))
    }

    /// A document by its id, where the recent tier has it and the cache has not.
    pub(super) async fn one_from_recent(
        &self,
        collection: &Collection,
        id: Id,
        view: &View,
    ) -> Result<Option<Option<Answer<Seen>>>> {
        let Some(answer) = self.recent_documents(collection, &[id]).await? else {
            return Ok(None);
        };
        if !answer.known.contains(&id) {
            return Ok(None);
        }
        let Some(held) = answer.found.get(&id) else {
            return Ok(Some(None));
        };
        let mut reading = Reading::new(self);
        reading.ask_recent("the document was in the recent tier");
        let mut looked_up = LookedUp::default();
        let seen = reading.seen(Arc::clone(held), view, collection, &mut looked_up);
        let seen = seen.await?;
        Ok(Some(
            seen.map(|seen| reading.answer(seen, || Cow::Borrowed(""))),
        ))
    }

    /// A list from the recent tier, or the reason why it cannot be.
    pub(super) async fn list_from_recent(
        &self,
        query: &Query,
        view: &View,
    ) -> Result<Result<Answer<Listed>, Cow<'static, str>>> {
        let collection = self.catalog.get(query.collection);
        let tier = collection.tiers.recent.as_ref();
        let tier = tier.filter(|_| is_filled(collection));
        let Some((recent, tier)) = self.recent.as_deref().zip(tier) else {
            return Ok(Err(Cow::Borrowed(
                "the recent tier does not have the collection",
            )));
        };
        let Some(epoch) = recent.epoch() else {
            return Ok(Err(Cow::Borrowed(BEHIND)));
        };
        let Some(boundary) = recent.boundary(epoch, query.collection) else {
            return Ok(Err(Cow::Borrowed(BEHIND)));
        };
        if !query.sort.iter().all(|key| tier.excerpts.covers(key.field)) {
            return Ok(Err(Cow::Borrowed("the list is in an order of its own")));
        }
        let goes_on = match plan(query, collection, boundary) {
            Ok(goes_on) => goes_on,
            Err(why) => return Ok(Err(Cow::Borrowed(why))),
        };
        let list = RecentList {
            tiers: self,
            recent,
            tier,
            epoch,
            boundary,
            collection,
            query,
            view,
        };
        list.read(goes_on).await
    }
}

/// Whether the tier is filled with what the truth has of a collection. Where the truth does not keep
/// it, the truth is asked together with the tier ([`crate::alone`]).
const fn is_filled(collection: &Collection) -> bool {
    collection.tiers.recent.is_some() && !collection.is_alone()
}

/// Whether a list goes on behind the boundary, in the truth. Why the tier cannot answer it, where it
/// cannot.
fn plan(query: &Query, collection: &Collection, boundary: Timestamp) -> Result<bool, &'static str> {
    if matches!(query.start, Start::Offset(_)) {
        return Err("pages by number are counted by the truth");
    }
    if query.filter.has_sub_query() {
        return Err("the filter asks for other documents");
    }
    if created_since(&query.filter, collection).is_some_and(|since| since >= boundary) {
        return Ok(false);
    }
    let created_at = collection.created_at();
    if query
        .sort
        .first()
        .is_none_or(|key| key.field != created_at || !key.descending)
    {
        return Err("the list may have old documents anywhere");
    }
    match &query.start {
        Start::After(keys) => match keys.first() {
            Some(Value::Timestamp(created)) if *created >= boundary => Ok(true),
            _ => Err("the list goes on before what the recent tier has"),
        },
        Start::First | Start::Offset(_) => Ok(true),
    }
}

/// Since when every document was created that passes, where a filter demands that.
fn created_since(filter: &Expr, collection: &Collection) -> Option<Timestamp> {
    match filter {
        Expr::All(parts) => {
            let parts = parts.iter();
            parts
                .filter_map(|part| created_since(part, collection))
                .max()
        }
        Expr::Any(_) | Expr::Not(_) => None,
        Expr::Test { path, test } if path.whole_field() == Some(collection.created_at()) => {
            let values = match test {
                Test::Equal(value)
                | Test::Compare(Comparison::Greater | Comparison::GreaterOrEqual, value) => {
                    std::slice::from_ref(value)
                }
                Test::In(values) => values,
                _ => return None,
            };
            let times = values.iter().map(|value| match value {
                Value::Timestamp(time) => Some(*time),
                _ => None,
            });
            times.collect::<Option<Vec<_>>>()?.into_iter().min()
        }
        Expr::Test { .. } => None,
    }
}

/// A list that the tier answers.
struct RecentList<'a> {
    tiers: &'a Tiers,
    recent: &'a RecentStore,
    tier: &'a RecentTier,
    epoch: nubo_core::coordination::Epoch,
    /// The tier has what was created since then.
    boundary: Timestamp,
    collection: &'a Collection,
    query: &'a Query,
    view: &'a View,
}

impl RecentList<'_> {
    async fn read(&self, goes_on: bool) -> Result<Result<Answer<Listed>, Cow<'static, str>>> {
        let limit = self.query.limit as usize;
        let lists = self.recent.lists();
        #[cfg(feature = "flaws")]
        let early = match self.tiers.is(crate::Flaw::PendingReadAfter) {
            true => {
                let mut reading = Reading::new(self.tiers);
                let early = self.candidates(&mut reading, &[], limit + 1 + MOST_PENDING);
                early.await?.ok()
            }
            false => None,
        };
        let pending = lists.pending(self.epoch, self.collection.id, MOST_PENDING);
        let Some(pending) = pending.await? else {
            return Ok(Err(Cow::Borrowed(BEHIND)));
        };
        let mut reading = Reading::new(self.tiers);
        reading.ask_recent("what was created of late is in the recent tier");
        // One more tells whether the list goes on.
        let mut least = limit + 1;
        loop {
            let rows = least + pending.len();
            let (candidates, is_all) = match self.candidates(&mut reading, &pending, rows).await? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            #[cfg(feature = "flaws")]
            let (candidates, is_all) = match (&early, &pending[..]) {
                (Some(early), []) => early.clone(),
                _ => (candidates, is_all),
            };
            let mut looked_up = LookedUp::default();
            let mut seen = Vec::with_capacity(candidates.len().min(limit + 1));
            for held in candidates {
                let next = reading.seen(held, self.view, self.collection, &mut looked_up);
                seen.extend(next.await?);
                if seen.len() > limit {
                    break;
                }
            }
            if seen.len() > limit || is_all {
                let mut listed = Listed::new(seen, limit);
                if is_all && goes_on && !listed.more {
                    self.go_on(&mut reading, &mut listed).await?;
                }
                return Ok(Ok(reading.answer(listed, || Cow::Borrowed(""))));
            }
            if least > limit.saturating_add(1) * MOST_LOOKED_THROUGH {
                return Ok(Err(Cow::Borrowed(
                    "most documents of the list are not visible",
                )));
            }
            least *= 4;
        }
    }

    /// What may be in the list, in its order, and whether that is everything since the boundary.
    async fn candidates(
        &self,
        reading: &mut Reading<'_>,
        pending: &[Id],
        rows: usize,
    ) -> Result<Result<(Vec<Arc<Held>>, bool), Cow<'static, str>>> {
        let mut parts = self.view.condition.by_itself();
        if !self.query.filter.is_always() {
            parts.push(self.query.filter.clone());
        }
        let query = Query {
            filter: Expr::All(parts),
            limit: u32::try_from(rows).unwrap_or(u32::MAX),
            fields: None,
            ..self.query.clone()
        };
        let since = self.since();
        let found = self.recent.recent().list(self.epoch, &query, since);
        let mut found = match found.await {
            Ok(found) => found,
            Err(error) => {
                self.recent.failed(&error);
                return Ok(Err(Cow::Borrowed("the recent tier does not answer")));
            }
        };
        let is_all = found.len() < rows;
        if pending.is_empty() {
            return Ok(Ok((found, is_all)));
        }
        let last = found.last().filter(|_| !is_all).cloned();
        let is_pending = |held: &Arc<Held>| match held.excerpt.value(Collection::ID) {
            Value::Uuid(id) => pending.contains(&Id::from_uuid(*id)),
            _ => false,
        };
        found.retain(|held| !is_pending(held));
        reading.ask_truth("a document was on its way to the recent tier");
        found.extend(self.pending_ones(query, pending).await?);
        found.sort_by(|a, b| self.order(a, b));
        if let Some(last) = last {
            // What lies behind it was not read.
            found.retain(|held| self.order(held, &last) != Ordering::Greater);
        }
        Ok(Ok((found, is_all)))
    }

    /// Those of the pending documents that belong into the list, as the truth has them.
    async fn pending_ones(&self, query: Query, pending: &[Id]) -> Result<Vec<Arc<Held>>> {
        let ids = pending.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let among = Expr::field(self.path(Collection::ID), Test::In(ids));
        let since = self.created(Comparison::GreaterOrEqual, self.boundary);
        let query = Query {
            filter: Expr::All(vec![among, since, query.filter]),
            limit: u32::try_from(pending.len()).unwrap_or(u32::MAX),
            ..query
        };
        let documents = self.tiers.truth.find(query, &View::all()).await?;
        let held = documents.iter().map(|document| {
            let held = Held::with(document, self.collection, &self.tier.excerpts);
            Arc::new(held)
        });
        Ok(held.collect())
    }

    /// The rest of a page, which was created before the boundary.
    async fn go_on(&self, reading: &mut Reading<'_>, listed: &mut Listed) -> Result<()> {
        reading.ask_truth("the list goes on before what the recent tier has");
        let before = self.created(Comparison::Less, self.ends());
        let query = Query {
            filter: Expr::All(vec![before, self.query.filter.clone()]),
            // All of it lies behind the beginning.
            start: Start::First,
            limit: self.query.limit - u32::try_from(listed.documents.len()).unwrap_or_default(),
            fields: None,
            ..self.query.clone()
        };
        let limit = query.limit as usize;
        let query = Query {
            limit: query.limit.saturating_add(1),
            ..query
        };
        let mut documents = self.tiers.truth.find(query, self.view).await?;
        listed.more = documents.len() > limit;
        documents.truncate(limit);
        listed.documents.extend(documents.iter().map(|document| {
            // What its reader does not see is null already.
            let held = Held::with(document, self.collection, &self.tier.excerpts);
            Seen {
                held: Arc::new(held),
                hidden: Vec::new(),
            }
        }));
        Ok(())
    }

    fn path(&self, field: usize) -> Path {
        Path::to_field(field, &self.collection.fields()[field])
    }

    /// Since when what the tier is asked for was created: since the boundary, but for a deliberate
    /// mistake.
    fn since(&self) -> Timestamp {
        #[cfg(feature = "flaws")]
        if self.tiers.is(crate::Flaw::NoTimeBound) {
            return Timestamp::from_millis(0);
        }
        self.boundary
    }

    /// Before when what the truth is asked for was created: the same, but for another one.
    fn ends(&self) -> Timestamp {
        #[cfg(feature = "flaws")]
        if self.tiers.is(crate::Flaw::TwoBoundaries) {
            let again = self.recent.boundary(self.epoch, self.collection.id);
            return again.unwrap_or(self.boundary);
        }
        self.boundary
    }

    /// That a document was created on one side of a boundary.
    fn created(&self, comparison: Comparison, boundary: Timestamp) -> Expr {
        let boundary = Value::Timestamp(boundary);
        let path = self.path(self.collection.created_at());
        Expr::field(path, Test::Compare(comparison, boundary))
    }

    /// Which of two documents comes first in the list.
    fn order(&self, a: &Held, b: &Held) -> Ordering {
        for key in &self.query.sort {
            let order = a
                .excerpt
                .value(key.field)
                .sort_order(b.excerpt.value(key.field));
            let order = if key.descending {
                order.reverse()
            } else {
                order
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}
