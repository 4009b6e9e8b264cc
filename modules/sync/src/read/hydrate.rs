//! Documents by id: those that are held, and the missing ones with one question to the truth.
//!
//! Those that are missing are put into the cache under the tokens that their absence left. Somebody
//! who misses a document that is being read already waits for it, and may use it if it counted:
//! nothing had been announced about it until then, so it was no older than their question.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nubo_core::{
    Result,
    access::View,
    cache::{FillToken, Held, Lookup, Scan},
    id::Id,
    query::Query,
    schema::{CacheTier, Collection},
};

use super::{
    Reading,
    flights::{Follow, Lead, Part},
};

/// Why what is below the cache is asked.
const MISSING: &str = "a document was not in the cache";

/// How many ids go into one question.
const CHUNK: usize = 500;

type Waiting = (usize, Follow<Arc<Held>>);
type Leading<'a> = Lead<'a, (nubo_core::schema::CollectionId, FillToken), Arc<Held>>;

/// Each id once, in their order.
pub(super) fn once(ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
    let mut known = HashSet::new();
    ids.into_iter().filter(|id| known.insert(*id)).collect()
}

impl<'a> Reading<'a> {
    /// Documents in the order of the ids; none where there is none.
    pub async fn documents(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        ids: &[Id],
    ) -> Result<Vec<Option<Arc<Held>>>> {
        let lookups = match self.cached {
            Some(cached) => cached.cache.documents(collection.id, ids).await?,
            None => ids.iter().map(|_| Lookup::Unknown).collect(),
        };
        self.hydrate(collection, cache, ids, lookups).await
    }

    /// The documents of a stretch, each once. What was looked at with it need not be asked for.
    pub async fn documents_of(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        scan: Scan,
    ) -> Result<Vec<Option<Arc<Held>>>> {
        if let Some(documents) = scan.documents {
            let (ids, lookups): (Vec<Id>, Vec<Lookup>) = documents.into_iter().unzip();
            return self.hydrate(collection, cache, &ids, lookups).await;
        }
        // One that is being moved stands at two places.
        let positions = scan.positions.iter();
        let ids = once(positions.filter_map(|position| position.id(&collection.order)));
        self.documents(collection, cache, &ids).await
    }

    /// What the cache knows, and the rest from the truth.
    async fn hydrate(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        ids: &[Id],
        lookups: Vec<Lookup>,
    ) -> Result<Vec<Option<Arc<Held>>>> {
        let mut found = Vec::with_capacity(ids.len());
        let mut asked: Vec<(usize, Option<FillToken>)> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut leading: Vec<Leading<'a>> = Vec::new();
        for (at, lookup) in lookups.into_iter().enumerate() {
            found.push(None);
            match lookup {
                Lookup::Held(held) => found[at] = Some(held),
                Lookup::Missing(token) => {
                    let key = (collection.id, token);
                    match self.cached.map(|cached| cached.documents.join(&key)) {
                        Some(Part::Lead(lead)) => {
                            leading.push(lead);
                            asked.push((at, Some(token)));
                        }
                        Some(Part::Follow(follow)) => {
                            self.ask_recent(MISSING);
                            waiting.push((at, follow));
                        }
                        None => asked.push((at, None)),
                    }
                }
                Lookup::Unknown | Lookup::Busy => asked.push((at, None)),
            }
        }
        if !asked.is_empty() {
            self.read_into(collection, cache, ids, &asked, leading, &mut found)
                .await?;
        }
        let mut refused = Vec::new();
        for (at, follow) in waiting {
            match follow.answer().await {
                Some(held) => found[at] = Some(held),
                None => refused.push((at, None)),
            }
        }
        if !refused.is_empty() {
            self.read_into(collection, cache, ids, &refused, Vec::new(), &mut found)
                .await?;
        }
        Ok(found)
    }

    /// Reads documents from the truth, and puts those into the cache for which there are tokens.
    async fn read_into(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        ids: &[Id],
        asked: &[(usize, Option<FillToken>)],
        leading: Vec<Leading<'a>>,
        found: &mut [Option<Arc<Held>>],
    ) -> Result<()> {
        let wanted: Vec<Id> = asked.iter().map(|(at, _)| ids[*at]).collect();
        let read = self.fetch(collection, cache, &wanted).await?;
        let mut fills = Vec::new();
        for (at, token) in asked {
            found[*at] = read.get(&ids[*at]).cloned();
            if let (Some(token), Some(held)) = (token, &found[*at]) {
                fills.push((*token, Arc::clone(held)));
            }
        }
        if fills.is_empty() {
            return Ok(());
        }
        let Some(cached) = self.cached else {
            return Ok(());
        };
        let counts = cached.cache.fill(collection.id, fills.clone()).await?;
        let counted: HashMap<FillToken, Arc<Held>> = fills
            .into_iter()
            .zip(counts)
            .filter_map(|(fill, counts)| counts.then_some(fill))
            .collect();
        for lead in leading {
            if let Some(held) = counted.get(&lead.key().1).cloned() {
                lead.answer(held);
            }
        }
        Ok(())
    }

    /// Documents as they are now, from the recent tier where it has them, else from the truth.
    async fn fetch(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        ids: &[Id],
    ) -> Result<HashMap<Id, Arc<Held>>> {
        let Some(recent) = self.tiers.recent_documents(collection, ids).await? else {
            self.ask_truth(MISSING);
            return self.fetch_from_truth(collection, cache, ids).await;
        };
        self.ask_recent(MISSING);
        let rest = ids.iter().filter(|id| !recent.known.contains(id));
        let rest: Vec<Id> = rest.copied().collect();
        let mut found = recent.found;
        if !rest.is_empty() {
            self.ask_truth("a document was not in the recent tier");
            found.extend(self.fetch_from_truth(collection, cache, &rest).await?);
            let old = recent
                .missing
                .into_iter()
                .filter(|id| found.contains_key(id));
            if let Some(recent) = &self.tiers.recent {
                recent.promote(collection.id, old);
            }
        }
        Ok(found)
    }

    /// Documents as the truth has them now.
    async fn fetch_from_truth(
        &self,
        collection: &Collection,
        cache: &CacheTier,
        ids: &[Id],
    ) -> Result<HashMap<Id, Arc<Held>>> {
        let truth = &self.tiers.truth;
        if let ([id], true) = (ids, cache.read_back) {
            let body = truth.get(collection.id, *id, &View::all()).await?;
            let held = body.map(|body| Held::of_body(body, collection, cache));
            let held = held.transpose()?;
            return Ok(held.map(|held| (*id, Arc::new(held))).into_iter().collect());
        }
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let documents = truth
                .find(Query::by_ids(collection, ids), &View::all())
                .await?;
            found.extend(documents.iter().filter_map(|document| {
                let held = Held::of(document, collection, cache);
                Some((document.id()?, Arc::new(held)))
            }));
        }
        Ok(found)
    }
}
