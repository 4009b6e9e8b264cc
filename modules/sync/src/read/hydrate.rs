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
    AWAY, Reading,
    flights::{Follow, Lead, Part},
};

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
        let lookups = self.cached.cache.documents(collection.id, ids).await?;
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
        let cached = self.cached;
        let mut found = Vec::with_capacity(ids.len());
        let mut asked: Vec<(usize, Option<FillToken>)> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut leading: Vec<Leading<'a>> = Vec::new();
        for (at, lookup) in lookups.into_iter().enumerate() {
            found.push(None);
            match lookup {
                Lookup::Held(held) => found[at] = Some(held),
                Lookup::Missing(token) => match cached.documents.join(&(collection.id, token)) {
                    Part::Lead(lead) => {
                        leading.push(lead);
                        asked.push((at, Some(token)));
                    }
                    Part::Follow(follow) => {
                        self.ask_truth("a document was not in the cache");
                        waiting.push((at, follow));
                    }
                },
                Lookup::Unknown => {
                    self.ask_truth(AWAY);
                    asked.push((at, None));
                }
                Lookup::Busy => {
                    self.ask_truth("a document is being changed");
                    asked.push((at, None));
                }
            }
        }
        if !asked.is_empty() {
            self.ask_truth("a document was not in the cache");
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
        &self,
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
        let counts = self.cached.cache.fill(collection.id, fills.clone());
        let counts = counts.await?;
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

    /// Documents as the truth has them now.
    async fn fetch(
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
