//! The truth together with the place where documents stay that it does not keep.
//!
//! Of a collection that is there alone the truth has some documents, and is right about those. The
//! others are asked of the tier **after** the truth was asked: what was not in the truth then is in the
//! tier in its latest version, for it leaves only when the tier has had that for long. And the truth is
//! asked once more **about** what the tier had: what has been recalled meanwhile, or has ended, is what
//! the truth says it is, since the tier may have an older version. So each document is as it was at
//! some moment while somebody waited for it.
//!
//! A list is a stretch of both, in its order, as far as both of them reach. Where that is not enough a
//! longer one is read from the beginning again: what was read before could have moved from one part to
//! the other, and would be in neither.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    access::View,
    alone::{Alone, WaitingRoom},
    clock::Clock,
    document::Document,
    filter::{Decision, DecisionStep, Expr, Path, Select, Test},
    id::{Id, Revision},
    module::SetupError,
    observe::Observer,
    outbox::Outbox,
    query::{Query, Related, Start},
    queue::WriteQueue,
    schema::{Catalog, Collection, CollectionId, SortKey},
    truth::{Body, Page, Truth},
    value::Value,
    write::{Outcome, Sequence, Transaction},
};

/// How many documents are counted at a time, at most and at least.
const COUNTED: usize = 1000;
const COUNTED_LEAST: usize = 50;
/// What is said where reading took so long that it is not to be believed.
const TOO_SLOW: &str = "too_slow";
/// How many more documents are read than are wanted.
const SPARE: usize = 20;
/// How many ids go into one question.
const CHUNK: usize = 500;

/// The truth, and what it does not keep.
pub(crate) struct Composed {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<dyn Truth>,
    pub alone: Arc<dyn Alone>,
    pub clock: Arc<dyn Clock>,
    /// How long nobody may take who reads.
    pub patience: Duration,
}

/// A list that is read.
struct List<'a> {
    of: &'a Composed,
    collection: &'a Collection,
    /// Everything that is asked of the documents.
    filter: Expr,
    /// What of it needs no other documents.
    by_itself: Expr,
    sort: &'a [SortKey],
}

/// A part of a list.
struct Stretch {
    documents: Vec<Document>,
    /// Where the list goes on behind it: the sort keys of the last place that was looked at.
    next: Option<Vec<Value>>,
}

impl Composed {
    /// The collection, where the truth has only a part of it.
    fn alone(&self, collection: CollectionId) -> Option<&Collection> {
        let collection = self.catalog.get(collection);
        collection.is_alone().then_some(collection)
    }

    fn room(&self) -> Result<&dyn WaitingRoom> {
        let none = || Error::unavailable("not_started", "the truth is no waiting room");
        self.truth.waiting_room().ok_or_else(none)
    }

    /// Whether a document passes. What other documents are looked up for that are looked up now.
    async fn passes(
        &self,
        condition: &Expr,
        document: &Document,
        collection: &Collection,
    ) -> Result<bool> {
        let mut decision = Decision::default();
        loop {
            match decision.step(condition, document, collection.fields()) {
                DecisionStep::Decided(passes) => return Ok(passes),
                DecisionStep::Ask(select, value) => {
                    let found = self.truth.contains(&select, &value).await?;
                    decision.answer(*select, value, found);
                }
            }
        }
    }

    /// Empties what the view hides.
    async fn mask(
        &self,
        documents: &mut [Document],
        view: &View,
        collection: &Collection,
    ) -> Result<()> {
        for document in documents {
            let mut hidden = Vec::new();
            for mask in &view.masks {
                if !self.passes(&mask.shown, document, collection).await? {
                    hidden.push(mask.field);
                }
            }
            for field in hidden {
                document.set(field, Value::Null);
            }
        }
        Ok(())
    }

    /// So many documents of a list at most, with all of their fields.
    async fn list(
        &self,
        query: &Query,
        view: &View,
        collection: &Collection,
        most: usize,
    ) -> Result<Vec<Document>> {
        let (skipped, start) = match &query.start {
            Start::Offset(count) => (usize::try_from(*count).unwrap_or(usize::MAX), Start::First),
            start => (0, start.clone()),
        };
        let wanted = skipped.saturating_add(most);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let list = List::new(self, collection, query, view);
        // Some may have ended, or moved on.
        let mut rows = wanted.saturating_add(SPARE);
        loop {
            let stretch = list.stretch(&start, rows).await?;
            let mut documents = stretch.documents;
            if documents.len() >= wanted || stretch.next.is_none() {
                documents.truncate(wanted);
                documents.drain(..skipped.min(documents.len()));
                return Ok(documents);
            }
            rows = rows.saturating_mul(4);
        }
    }

    /// A document by its id, with all of its fields.
    async fn one(&self, collection: &Collection, id: Id) -> Result<Option<Document>> {
        let began = self.clock.ticks();
        let query = Query::by_ids(collection, &[id]);
        let waiting = self.truth.find(query.clone(), &View::all()).await?;
        if let Some(document) = waiting.into_iter().next() {
            return Ok(Some(document));
        }
        let ends = self.room()?.ends(collection.id, &[id]).await?;
        let found = self.alone.find(&query).await?.into_iter().next();
        self.in_time(began)?;
        let has_ended = |document: &Document| {
            let mut ends = ends.iter();
            ends.any(|(_, end)| *end >= document.revision())
        };
        Ok(found.filter(|document| !has_ended(document)))
    }

    /// Refuses what has taken so long that a document may have left meanwhile of which the tier was
    /// asked too early.
    fn in_time(&self, began: i64) -> Result<()> {
        let took = u128::try_from(self.clock.ticks() - began).unwrap_or_default();
        match took < self.patience.as_micros() {
            true => Ok(()),
            false => Err(Error::unavailable(
                TOO_SLOW,
                "this takes longer than one request may",
            )),
        }
    }
}

impl<'a> List<'a> {
    fn new(of: &'a Composed, collection: &'a Collection, query: &'a Query, view: &View) -> Self {
        let filter = query.filter.clone().and(view.condition.clone());
        Self {
            of,
            collection,
            by_itself: Expr::All(filter.by_itself()),
            filter,
            sort: &query.sort,
        }
    }

    fn query(&self, filter: &Expr, start: &Start, rows: usize) -> Query {
        Query {
            collection: self.collection.id,
            filter: filter.clone(),
            sort: self.sort.to_vec(),
            start: start.clone(),
            limit: u32::try_from(rows).unwrap_or(u32::MAX),
            fields: None,
        }
    }

    /// What stands behind a place, as far as so many documents of each side reach.
    async fn stretch(&self, start: &Start, rows: usize) -> Result<Stretch> {
        let truth = &self.of.truth;
        let began = self.of.clock.ticks();
        let waiting = self.query(&self.filter, start, rows);
        let mut documents = truth.find(waiting, &View::all()).await?;
        let mut ends_at = self.end_of(&documents, rows, None);
        let elsewhere = self.query(&self.by_itself, start, rows);
        let elsewhere = self.of.alone.find(&elsewhere).await?;
        ends_at = self.end_of(&elsewhere, rows, ends_at);
        let known: HashSet<Id> = documents.iter().filter_map(Document::id).collect();
        let mut others = elsewhere;
        others.retain(|document| document.id().is_some_and(|id| !known.contains(&id)));
        let others = self.latest(others).await?;
        self.of.in_time(began)?;
        for document in others {
            let keys = match start {
                Start::After(keys) => keys.as_slice(),
                Start::First | Start::Offset(_) => &[],
            };
            let is_behind = keys.is_empty() || self.order(&document, keys) == Ordering::Greater;
            if is_behind
                && self
                    .of
                    .passes(&self.filter, &document, self.collection)
                    .await?
            {
                documents.push(document);
            }
        }
        if let Some(end) = &ends_at {
            documents.retain(|document| self.order(document, end) != Ordering::Greater);
        }
        documents.sort_by(|a, b| self.order(a, &self.keys(b)));
        Ok(Stretch {
            documents,
            next: ends_at,
        })
    }

    /// Where a list ends that may go on behind the documents that were read, or another that ends
    /// before.
    fn end_of(
        &self,
        documents: &[Document],
        rows: usize,
        other: Option<Vec<Value>>,
    ) -> Option<Vec<Value>> {
        let last = documents.last().filter(|_| documents.len() >= rows);
        let Some(last) = last else { return other };
        match other {
            Some(other) if self.order(last, &other) == Ordering::Greater => Some(other),
            _ => Some(self.keys(last)),
        }
    }

    /// Documents that the tier had, as they are: those that are back in the truth as they are there, and
    /// without those that have ended.
    async fn latest(&self, documents: Vec<Document>) -> Result<Vec<Document>> {
        let truth = &self.of.truth;
        let ids: Vec<Id> = documents.iter().filter_map(Document::id).collect();
        let mut back: HashMap<Id, Document> = HashMap::new();
        let mut ends: HashMap<Id, Revision> = HashMap::new();
        for ids in ids.chunks(CHUNK) {
            let query = Query::by_ids(self.collection, ids);
            let found = truth.find(query, &View::all()).await?.into_iter();
            back.extend(found.filter_map(|document| Some((document.id()?, document))));
            ends.extend(self.of.room()?.ends(self.collection.id, ids).await?);
        }
        let latest = documents.into_iter().filter_map(|document| {
            let id = document.id()?;
            if let Some(back) = back.remove(&id) {
                return Some(back);
            }
            let has_ended = ends.get(&id).is_some_and(|end| *end >= document.revision());
            (!has_ended).then_some(document)
        });
        Ok(latest.collect())
    }

    fn keys(&self, document: &Document) -> Vec<Value> {
        let keys = self.sort.iter();
        keys.map(|key| document.value(key.field).clone()).collect()
    }

    /// Where a document stands in the list, compared with a place.
    fn order(&self, document: &Document, place: &[Value]) -> Ordering {
        for (key, value) in self.sort.iter().zip(place) {
            let order = document.value(key.field).sort_order(value);
            let order = match key.descending {
                true => order.reverse(),
                false => order,
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

#[async_trait]
impl Truth for Composed {
    async fn start(&self, observers: Vec<Arc<dyn Observer>>) -> Result<(), SetupError> {
        self.truth.start(observers).await
    }

    async fn stop(&self) {
        self.truth.stop().await;
    }

    async fn ping(&self) -> Result<()> {
        self.truth.ping().await
    }

    async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        self.truth.transact(transactions, sequence).await
    }

    fn queue(&self) -> Option<&dyn WriteQueue> {
        self.truth.queue()
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.truth.outbox()
    }

    fn waiting_room(&self) -> Option<&dyn WaitingRoom> {
        self.truth.waiting_room()
    }

    async fn get(&self, collection: CollectionId, id: Id, view: &View) -> Result<Option<Body>> {
        let Some(collection) = self.alone(collection) else {
            return self.truth.get(collection, id, view).await;
        };
        let Some(document) = self.one(collection, id).await? else {
            return Ok(None);
        };
        if !self.passes(&view.condition, &document, collection).await? {
            return Ok(None);
        }
        let mut shown = [document];
        self.mask(&mut shown, view, collection).await?;
        let mut json = Vec::new();
        let [document] = shown;
        document.write_json(collection, &mut json);
        Ok(Some(Body {
            json: json.into(),
            revision: document.revision(),
        }))
    }

    async fn page(&self, query: Query, view: &View) -> Result<Page> {
        let Some(collection) = self.alone(query.collection) else {
            return self.truth.page(query, view).await;
        };
        let limit = query.limit as usize;
        // One more tells whether the list goes on.
        let mut documents = self.list(&query, view, collection, limit + 1).await?;
        let goes_on = documents.len() > limit;
        documents.truncate(limit);
        let last = documents.last().filter(|_| goes_on);
        let next = last.map(|last| {
            let keys = query.sort.iter();
            keys.map(|key| last.value(key.field).clone()).collect()
        });
        self.mask(&mut documents, view, collection).await?;
        let mut bytes = Vec::new();
        for (at, document) in documents.iter().enumerate() {
            if at > 0 {
                bytes.extend_from_slice(b",\n");
            }
            match &query.fields {
                Some(fields) => document.write_fields(collection, fields, &mut bytes),
                None => document.write_json(collection, &mut bytes),
            }
        }
        Ok(Page {
            documents: bytes.into(),
            count: u32::try_from(documents.len()).unwrap_or(u32::MAX),
            next,
        })
    }

    async fn find(&self, query: Query, view: &View) -> Result<Vec<Document>> {
        let Some(collection) = self.alone(query.collection) else {
            return self.truth.find(query, view).await;
        };
        let most = query.limit as usize;
        let mut documents = self.list(&query, view, collection, most).await?;
        self.mask(&mut documents, view, collection).await?;
        Ok(documents)
    }

    async fn find_related(&self, related: Related, view: &View) -> Result<Vec<Document>> {
        let Some(collection) = self.alone(related.collection) else {
            return self.truth.find_related(related, view).await;
        };
        let mut documents = Vec::new();
        for value in related.values {
            let path = Path::to_field(related.field, &collection.fields()[related.field]);
            let query = Query {
                collection: collection.id,
                filter: Expr::field(path, Test::Equal(value)),
                sort: related.sort.clone(),
                start: Start::First,
                limit: related.limit_each,
                fields: None,
            };
            documents.extend(self.find(query, view).await?);
        }
        Ok(documents)
    }

    /// Each is looked at: of those that the tier has, the truth says which have ended. Where so many
    /// cannot be read in time, fewer are.
    async fn count(&self, collection: CollectionId, filter: Expr, view: &View) -> Result<u64> {
        let Some(collection) = self.alone(collection) else {
            return self.truth.count(collection, filter, view).await;
        };
        let query = Query::in_order_of_ids(collection, filter);
        let list = List::new(self, collection, &query, view);
        let mut start = Start::First;
        let (mut count, mut rows) = (0, COUNTED);
        loop {
            let stretch = match list.stretch(&start, rows).await {
                Err(Error::Unavailable { code: TOO_SLOW, .. }) if rows > COUNTED_LEAST => {
                    rows = (rows / 4).max(COUNTED_LEAST);
                    continue;
                }
                stretch => stretch?,
            };
            count += stretch.documents.len() as u64;
            match stretch.next {
                Some(keys) => start = Start::After(keys),
                None => return Ok(count),
            }
        }
    }

    async fn contains(&self, select: &Select, value: &Value) -> Result<bool> {
        self.truth.contains(select, value).await
    }
}
