//! Lists from sets.
//!
//! A set is read from where the list begins, its documents are fetched, and each is held against the
//! question by what it is now. It may stand elsewhere than where the set had it, because it was moved
//! meanwhile: then it belongs into the answer at its new place, if that is within the stretch that
//! was read. Where too few are left, a longer stretch is read from the beginning again, for what was
//! read before could have moved from one part to the other, and would be in neither.

use std::{borrow::Cow, sync::Arc};

use nubo_core::{
    Result,
    access::View,
    cache::{Held, Reach},
    document::Document,
    id::Id,
    position::Position,
    query::{Query, Start},
    record::Record,
    schema::{CacheTier, Collection},
    store::Answer,
    truth::Page,
    value::Value,
};

use super::{
    Reading,
    hydrate::once,
    plan::{self, Plan},
    rules::LookedUp,
    sets::From,
    shape::Seen,
};
use crate::Tiers;

/// How many times as many documents as are wanted are looked through, at most.
pub(super) const MOST_LOOKED_THROUGH: usize = 8;

/// The documents of a list, before they are bytes.
pub(super) struct Listed {
    pub documents: Vec<Seen>,
    /// Whether the list goes on behind them.
    pub more: bool,
}

impl Tiers {
    /// A page as its reader sees it.
    pub(crate) async fn read_page(&self, query: Query, view: &View) -> Result<Answer<Page>> {
        let (answer, why) = self.read_list(&query, view).await?;
        let Some(answer) = answer else {
            let collection = query.collection;
            let page = self.truth.page(query, view).await?;
            return Ok(self.as_answered(collection, page, why));
        };
        let collection = self.catalog.get(query.collection);
        let page = answer.content.page(&query, collection);
        Ok(Answer {
            content: page,
            tier: answer.tier,
            why: answer.why,
        })
    }

    /// The documents of a page and one more where there is one, as their reader sees them. What is
    /// never sent may be null.
    pub(crate) async fn read_documents(
        &self,
        query: Query,
        view: &View,
    ) -> Result<Answer<Vec<Document>>> {
        let (answer, why) = self.read_list(&query, view).await?;
        let Some(answer) = answer else {
            let collection = query.collection;
            let documents = self.truth.find(query, view).await?;
            return Ok(self.as_answered(collection, documents, why));
        };
        let collection = self.catalog.get(query.collection);
        let documents = answer.content.documents.iter();
        let documents = documents.map(|seen| seen.document(collection));
        let documents = documents.collect::<Result<Vec<_>>>()?;
        Ok(Answer {
            content: documents,
            tier: answer.tier,
            why: answer.why,
        })
    }

    /// The documents with these ids that the reader sees, in any order. What is never sent may be
    /// null.
    pub(crate) async fn read_by_ids(
        &self,
        collection: &Collection,
        ids: &[Id],
        view: &View,
    ) -> Result<Answer<Vec<Document>>> {
        let Some((_, collection, cache)) = self.cached(collection.id) else {
            let query = Query::by_ids(collection, ids);
            let documents = self.truth.find(query, view).await?;
            let why = self.why_not_cached(collection.id);
            return Ok(self.as_answered(collection.id, documents, why));
        };
        if let Some(recent) = &self.recent {
            recent.used(collection.id, ids.iter().copied());
        }
        let mut reading = Reading::new(self);
        let found = reading.documents(collection, cache, ids).await?;
        let mut looked_up = LookedUp::default();
        let mut documents = Vec::with_capacity(ids.len());
        for held in found.into_iter().flatten() {
            let seen = reading.seen(held, view, collection, &mut looked_up);
            if let Some(seen) = seen.await? {
                documents.push(seen.document(collection)?);
            }
        }
        Ok(reading.answer(documents, || Cow::Borrowed("the documents were held")))
    }

    /// A list from sets or the recent tier, or the reason why the truth must be asked.
    async fn read_list(
        &self,
        query: &Query,
        view: &View,
    ) -> Result<(Option<Answer<Listed>>, Cow<'static, str>)> {
        let (answer, why) = self.list_from_sets(query, view).await?;
        let Some(recent) = &self.recent else {
            return Ok((answer, why));
        };
        let (answer, why) = match answer {
            Some(answer) => (Some(answer), why),
            None => match self.list_from_recent(query, view).await? {
                Ok(answer) => (Some(answer), Cow::Borrowed("")),
                Err(not_recent) => (None, format!("{why}; {not_recent}").into()),
            },
        };
        if let Some(answer) = &answer {
            let ids = answer.content.documents.iter();
            recent.used(query.collection, ids.filter_map(Seen::id));
        }
        Ok((answer, why))
    }

    /// A list from sets, or the reason why there is none.
    async fn list_from_sets(
        &self,
        query: &Query,
        view: &View,
    ) -> Result<(Option<Answer<Listed>>, Cow<'static, str>)> {
        let Some((_, collection, cache)) = self.cached(query.collection) else {
            return Ok((None, self.why_not_cached(query.collection).into()));
        };
        let plan = match plan::plan(query, view, collection) {
            Ok(plan) => plan,
            Err(why) => return Ok((None, why.into())),
        };
        let start = match &query.start {
            Start::After(keys) => Position::of_values(&query.sort, keys),
            Start::First | Start::Offset(_) => None,
        };
        let list = List {
            query,
            view,
            plan: &plan,
            start,
            collection,
            cache,
            #[cfg(feature = "flaws")]
            flaw: self.flaw,
        };
        list.read(self).await
    }
}

/// A list that sets can answer.
struct List<'a> {
    query: &'a Query,
    view: &'a View,
    plan: &'a Plan,
    /// Where it begins.
    start: Option<Position>,
    collection: &'a Collection,
    cache: &'a CacheTier,
    #[cfg(feature = "flaws")]
    flaw: Option<crate::Flaw>,
}

/// A document and where it stands.
struct Candidate {
    position: Position,
    held: Arc<Held>,
}

impl List<'_> {
    async fn read(&self, tiers: &Tiers) -> Result<(Option<Answer<Listed>>, Cow<'static, str>)> {
        let limit = self.query.limit as usize;
        // One more tells whether the list goes on.
        let mut least = limit + 1;
        let from = From {
            start: &self.query.start,
            position: self.start.as_ref(),
        };
        let mut reading = Reading::new(tiers);
        loop {
            let (found, reach) = match self.plan {
                Plan::Ids(ids) => {
                    let ids = once(ids.iter().copied());
                    let found = reading.documents(self.collection, self.cache, &ids);
                    (found.await?, Reach::End)
                }
                Plan::Sets(sets) => {
                    let stretch = reading.stretch(self.collection, sets, from, least);
                    let scan = match stretch.await? {
                        Ok(scan) => scan,
                        Err(why) => return Ok((None, why)),
                    };
                    let reach = scan.reach.clone();
                    let found = reading.documents_of(self.collection, self.cache, scan);
                    (found.await?, reach)
                }
            };
            let candidates = self.candidates(found, &reach);
            let documents = self.seen(&mut reading, candidates, limit + 1).await?;
            if documents.len() > limit || reach == Reach::End {
                let listed = Listed::new(documents, limit);
                let why = || self.why();
                return Ok((Some(reading.answer(listed, why)), Cow::Borrowed("")));
            }
            if least > limit.saturating_add(1) * MOST_LOOKED_THROUGH {
                return Ok((
                    None,
                    "most documents of the sets are not in the list".into(),
                ));
            }
            least *= 4;
        }
    }

    /// The documents that belong into the stretch by what they are now, in their order.
    fn candidates(&self, found: Vec<Option<Arc<Held>>>, reach: &Reach) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = found
            .into_iter()
            .flatten()
            .filter_map(|held| self.candidate(held, reach))
            .collect();
        // They are in order already unless one was moved.
        if !candidates.is_sorted_by(|a, b| a.position < b.position) {
            candidates.sort_by(|a, b| a.position.cmp(&b.position));
        }
        candidates
    }

    fn candidate(&self, held: Arc<Held>, reach: &Reach) -> Option<Candidate> {
        let position = Position::of(&self.collection.order, &held.excerpt)?;
        let begins = self.start.as_ref().is_none_or(|start| *start < position);
        let ends = match reach {
            Reach::Nowhere => false,
            Reach::To(end) => position <= *end,
            Reach::End => true,
        };
        #[cfg(feature = "flaws")]
        if self.flaw == Some(crate::Flaw::NoRecheck) {
            return Some(Candidate { position, held });
        }
        let fields = self.collection.fields();
        let belongs = begins && ends && self.query.filter.matches(&held.excerpt, fields, &());
        belongs.then_some(Candidate { position, held })
    }

    /// The first of the candidates that the reader sees. All of them have been read by now, so what
    /// the rule looks up is newer.
    async fn seen(
        &self,
        reading: &mut Reading<'_>,
        candidates: Vec<Candidate>,
        most: usize,
    ) -> Result<Vec<Seen>> {
        let mut looked_up = LookedUp::default();
        let mut documents = Vec::with_capacity(most.min(candidates.len()));
        for candidate in candidates {
            let seen = reading.seen(candidate.held, self.view, self.collection, &mut looked_up);
            documents.extend(seen.await?);
            if documents.len() == most {
                break;
            }
        }
        Ok(documents)
    }

    /// Which sets gave the answer, in words.
    fn why(&self) -> Cow<'static, str> {
        let Plan::Sets(sets) = self.plan else {
            return Cow::Borrowed("the documents were held");
        };
        let names = sets.fields.iter();
        let names: Vec<&str> = names
            .map(|field| self.collection.fields()[*field].name.as_str())
            .collect();
        match (names.len(), sets.sets.len()) {
            (0, _) => Cow::Borrowed("the set of all documents was complete down to there"),
            (_, 1) => format!(
                "the set by {} was complete down to there",
                names.join(" and ")
            )
            .into(),
            (_, sets) => format!(
                "{sets} sets by {} were complete down to there",
                names.join(" and ")
            )
            .into(),
        }
    }
}

impl Reading<'_> {
    /// A document that was read, if the reader sees it.
    pub(super) async fn seen(
        &mut self,
        held: Arc<Held>,
        view: &View,
        collection: &Collection,
        looked_up: &mut LookedUp,
    ) -> Result<Option<Seen>> {
        if view.is_all() {
            return Ok(Some(Seen {
                held,
                hidden: Vec::new(),
            }));
        }
        let passes = self.passes(&view.condition, &held, collection, looked_up);
        if !passes.await? {
            return Ok(None);
        }
        let hidden = self.hidden(view, &held, collection, looked_up).await?;
        Ok(Some(Seen { held, hidden }))
    }
}

impl Listed {
    pub fn new(mut documents: Vec<Seen>, limit: usize) -> Self {
        let more = documents.len() > limit;
        documents.truncate(limit);
        Self { documents, more }
    }

    fn page(&self, query: &Query, collection: &Collection) -> Page {
        let bytes = self.documents.iter().map(|seen| seen.held.json.len() + 2);
        let mut out = Vec::with_capacity(bytes.sum());
        for (at, seen) in self.documents.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",\n");
            }
            seen.write(collection, query.fields.as_deref(), &mut out);
        }
        let last = self.documents.last().filter(|_| self.more);
        let keys = |seen: &Seen| -> Vec<Value> {
            let keys = query.sort.iter();
            keys.map(|key| seen.held.excerpt.value(key.field).clone())
                .collect()
        };
        Page {
            documents: out.into(),
            count: u32::try_from(self.documents.len()).unwrap_or(u32::MAX),
            next: last.map(keys),
        }
    }
}
