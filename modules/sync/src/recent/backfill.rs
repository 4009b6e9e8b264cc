//! Bringing what is older than the recent tier, so that lists can be answered from it further back.
//!
//! A collection is walked from where the tier begins to where its window does, newest first. After each
//! stretch it is noted that the tier has it, and never before: so whoever goes on later, or is
//! interrupted, loses nothing but time. Documents that change meanwhile are brought by whoever changes
//! them, and the newest version stays.
//!
//! Before it is noted that the tier has a stretch, a mark is moved there and in the truth, as for what
//! was written ([`super::keep`]). Otherwise nobody would see that the tier was set back to before it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nubo_core::{
    Error, Result,
    access::View,
    clock::Clock,
    coordination::Epoch,
    document::Document,
    filter::{Comparison, Expr, Path, Test},
    id::Id,
    outbox::{Outbox, Standing},
    query::{Query, Start},
    recent::{Fresh, Recent},
    schema::{Catalog, Collection, CollectionId, SortKey},
    time::Timestamp,
    truth::Truth,
    value::Value,
};

use super::RecentStore;

/// How many documents are brought at a time.
const STRETCH: u32 = 1000;
/// How often in a row it may fail without having brought anything.
const ATTEMPTS: u32 = 3;
/// Whose mark it is that is moved.
const FILLING: Id = Id::NIL;

/// How much longer than it works it rests in a server that has other things to do.
const REST: u32 = 2;

/// Which mistake it is that the tier cannot hold a document.
pub(super) const REFUSED: &str = "recent_refused";

/// Brings what is older than the tier.
pub struct Backfill {
    catalog: Arc<Catalog>,
    truth: Arc<dyn Truth>,
    recent: Arc<dyn Recent>,
    clock: Arc<dyn Clock>,
    /// Who judges the tier, where that is somebody else who has more to do than this.
    beside: Option<Arc<RecentStore>>,
    /// How many times as long as it works it rests.
    rest: u32,
}

/// Where the mark stands in an epoch.
struct Mark {
    epoch: Epoch,
    at: i64,
}

/// How far a collection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    pub collection: CollectionId,
    /// How many documents were brought.
    pub documents: u64,
    /// Since when the tier has every document.
    pub since: Timestamp,
    /// Whether that is as far as its window reaches.
    pub is_complete: bool,
}

impl Backfill {
    /// One that has the tier to itself.
    pub const fn new(
        catalog: Arc<Catalog>,
        truth: Arc<dyn Truth>,
        recent: Arc<dyn Recent>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            catalog,
            truth,
            recent,
            clock,
            beside: None,
            rest: 0,
        }
    }

    /// One beside the task that keeps the tier.
    pub fn beside(store: &Arc<RecentStore>) -> Self {
        Self {
            beside: Some(Arc::clone(store)),
            ..Self::new(
                store.catalog.clone(),
                store.truth.clone(),
                store.recent.clone(),
                store.clock.clone(),
            )
        }
    }

    /// Has it rest in between, since there is more to do than this.
    pub(super) fn resting(self) -> Self {
        Self { rest: REST, ..self }
    }

    /// Brings what collections are missing, and tells after each stretch how far it has come.
    ///
    /// # Errors
    /// Where the tier is not in use, or cannot be asked. What was brought stays, and the next one goes
    /// on from there.
    pub async fn run(
        &self,
        collections: &[CollectionId],
        mut tell: impl FnMut(Filled),
    ) -> Result<()> {
        let mut failures = 0;
        loop {
            let mut has_advanced = false;
            let tell = |filled| {
                has_advanced = true;
                tell(filled);
            };
            let Err(error) = self.fill_all(collections, tell).await else {
                return Ok(());
            };
            // Often there is only a new connection, of which it must be seen where it leads.
            failures = if has_advanced { 0 } else { failures + 1 };
            if failures == ATTEMPTS {
                return Err(error);
            }
        }
    }

    async fn fill_all(
        &self,
        collections: &[CollectionId],
        mut tell: impl FnMut(Filled),
    ) -> Result<()> {
        let (standing, mut mark) = self.standing().await?;
        for id in collections {
            let collection = self.catalog.get(*id);
            let Some(tier) = &collection.tiers.recent else {
                continue;
            };
            let Some(covered) = standing.covered.get(id) else {
                return Err(not_in_use());
            };
            let window = self.clock.now().millis().saturating_sub(tier.window);
            let window = Timestamp::from_millis(window);
            self.fill(&mut mark, collection, *covered, window, &mut tell)
                .await?;
        }
        Ok(())
    }

    /// What is known of the tier, and where the mark stands.
    async fn standing(&self) -> Result<(Standing, Mark)> {
        let outbox = self.outbox()?;
        let standing = outbox.standing().await?;
        let sight = self.recent.look().await?;
        if sight.epoch != Some(standing.epoch) || !standing.is_sound {
            return Err(not_in_use());
        }
        let of = |marks: &HashMap<Id, i64>| marks.get(&FILLING).copied().unwrap_or(0);
        let (tier, truth) = (of(&sight.marks), of(&standing.marks));
        let epoch = standing.epoch;
        // It was moved in the tier alone where somebody was interrupted.
        let is_same = tier == truth
            || (tier == truth + 1 && outbox.arrived(epoch, &[], FILLING, tier).await?);
        if !is_same {
            return Err(not_in_use());
        }
        if self.beside.is_none() {
            self.recent.trust(&sight);
        }
        if self.recent.epoch() != Some(epoch) {
            return Err(not_in_use());
        }
        Ok((standing, Mark { epoch, at: tier }))
    }

    fn outbox(&self) -> Result<&dyn Outbox> {
        self.truth.outbox().ok_or_else(not_in_use)
    }

    /// How often the tier may have been set back as others have judged who trust it again.
    fn turn(&self) -> u64 {
        self.beside.as_ref().map_or(0, |store| store.turn())
    }

    /// Whether the tier cannot have been set back since a turn.
    fn is_turn(&self, turn: u64) -> bool {
        #[cfg(feature = "flaws")]
        if let Some(store) = &self.beside
            && store.is(crate::Flaw::MarkOfAnyTurn)
        {
            return true;
        }
        self.turn() == turn
    }

    /// Moves the mark on. What was brought since a turn began stays in the tier from now on, or it is
    /// seen.
    async fn move_mark(&self, mark: &mut Mark, turn: u64) -> Result<()> {
        let Mark { epoch, at } = *mark;
        let is_moved = self.recent.mark(epoch, FILLING, at).await?
            // Over another connection it may be a tier that has lost what was brought.
            && self.recent.epoch() == Some(epoch)
            && self.is_turn(turn)
            && self.outbox()?.arrived(epoch, &[], FILLING, at + 1).await?;
        if !is_moved {
            return Err(not_in_use());
        }
        mark.at = at + 1;
        Ok(())
    }

    async fn fill(
        &self,
        mark: &mut Mark,
        collection: &Collection,
        covered: Timestamp,
        window: Timestamp,
        tell: &mut impl FnMut(Filled),
    ) -> Result<()> {
        let epoch = mark.epoch;
        let mut filled = Filled {
            collection: collection.id,
            documents: 0,
            since: covered,
            is_complete: covered <= window,
        };
        let mut start = Start::First;
        while !filled.is_complete {
            let (began, turn) = (self.clock.ticks(), self.turn());
            let query = Query {
                collection: collection.id,
                filter: between(collection, window, covered),
                sort: newest_first(collection),
                start,
                limit: STRETCH,
                fields: None,
            };
            let documents = self.truth.find(query, &View::all()).await?;
            let versions = documents.iter().filter_map(Fresh::there);
            let versions: Vec<Fresh<'_>> = versions.collect();
            if !versions.is_empty() {
                let now = self.clock.now();
                let refused = self.recent.bring(epoch, collection.id, &versions, now);
                if let [first, ..] = refused.await?[..] {
                    return Err(Error::unavailable(
                        REFUSED,
                        format!("MongoDB cannot hold {first} of `{}`", collection.name),
                    ));
                }
            }
            filled.documents += documents.len() as u64;
            filled.is_complete = documents.len() < STRETCH as usize;
            let last = documents
                .last()
                .and_then(|last| created_at(collection, last));
            filled.since = match (filled.is_complete, last) {
                (true, _) => window,
                // Others may have been created in the same millisecond.
                (false, Some(last)) => Timestamp::from_millis(last.millis() + 1),
                (false, None) => filled.since,
            };
            self.move_mark(mark, turn).await?;
            let outbox = self.outbox()?;
            if !outbox.cover(epoch, collection.id, filled.since).await? {
                return Err(not_in_use());
            }
            tell(filled);
            if self.rest > 0 {
                let took = self.clock.ticks().saturating_sub(began);
                let took = Duration::from_micros(took.try_into().unwrap_or_default());
                tokio::time::sleep(took * self.rest).await;
            }
            start = match documents.last() {
                Some(last) => Start::After(keys(collection, last)),
                None => break,
            };
        }
        Ok(())
    }

    /// The collections that the tier has.
    pub fn collections(&self) -> Vec<CollectionId> {
        let collections = self.catalog.collections().iter();
        let recent = collections.filter(|collection| collection.tiers.recent.is_some());
        recent.map(|collection| collection.id).collect()
    }
}

fn not_in_use() -> Error {
    Error::unavailable(
        "recent_not_in_use",
        "the recent tier is not in use; a server that has it must run, and find MongoDB",
    )
}

/// What was created in a time.
fn between(collection: &Collection, from: Timestamp, until: Timestamp) -> Expr {
    Expr::All(vec![
        created(collection, Comparison::GreaterOrEqual, from),
        created(collection, Comparison::Less, until),
    ])
}

/// What was created before or after a moment.
pub(super) fn created(collection: &Collection, comparison: Comparison, at: Timestamp) -> Expr {
    let field = collection.created_at();
    let path = Path::to_field(field, &collection.fields()[field]);
    Expr::field(path, Test::Compare(comparison, Value::Timestamp(at)))
}

/// The order of newest first.
pub(super) fn newest_first(collection: &Collection) -> Vec<SortKey> {
    [collection.created_at(), Collection::ID]
        .map(|field| SortKey {
            field,
            descending: true,
        })
        .to_vec()
}

/// Where a document stands in that order.
pub(super) fn keys(collection: &Collection, document: &Document) -> Vec<Value> {
    let keys = newest_first(collection).into_iter();
    keys.map(|key| document.value(key.field).clone()).collect()
}

/// When a document was created.
pub(super) fn created_at(collection: &Collection, document: &Document) -> Option<Timestamp> {
    match document.value(collection.created_at()) {
        Value::Timestamp(created) => Some(*created),
        _ => None,
    }
}
