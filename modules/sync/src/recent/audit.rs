//! Holds what the recent tier has against the truth, document by document, and mends it.
//!
//! Others write meanwhile. What looks wrong is looked at again some time later, and in the order in
//! which a reader looks: what the truth has, what is noted as being on its way, what the tier has, and
//! once more the truth. A version that the truth had before it was looked whether something is on its
//! way has arrived by then, or is noted. So a tier that has it not after all is wrong, and so is one
//! that has what the truth has neither before nor after. What is found wrong twice in the same way
//! counts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use nubo_core::{
    Error, Result,
    access::View,
    cache::Held,
    clock::Clock,
    coordination::Epoch,
    document::Document,
    filter::{Comparison, Expr},
    id::Id,
    outbox::{Outbox, Standing},
    query::{Query, Start},
    recent::{Found, Recent},
    record::Record,
    schema::{Catalog, Collection, CollectionId, RecentTier},
    time::Timestamp,
    truth::Truth,
    value::Value,
};

use super::{
    Place,
    backfill::{created, created_at, keys, newest_first},
    bring::{Bringing, TOGETHER},
    doubt::Doubt,
};

/// How many documents are looked at together.
const STEP: u32 = 500;
/// How often what looks wrong is looked at again, at most.
const LOOKS: usize = 4;
/// How long it is left alone before.
const PAUSE: Duration = Duration::from_secs(1);
/// How many notes are read at a time.
const NOTES: u32 = 1000;
/// How often a question is asked, where each answer came over a new connection.
const ATTEMPTS: usize = 20;
/// How long it is waited before it is asked again.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// Holds the recent tier against the truth.
pub struct RecentAudit {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<dyn Truth>,
    pub recent: Arc<dyn Recent>,
    pub clock: Arc<dyn Clock>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentComparison {
    /// How many documents of the truth were looked for in the tier.
    pub looked_for: usize,
    /// How many documents of the tier were looked for in the truth.
    pub held: usize,
    /// How many are on their way, or changed whenever they were looked at.
    pub unsettled: usize,
    pub faults: Vec<RecentFault>,
    /// What was done about them.
    pub repair: Option<RecentRepair>,
}

/// A document that the tier has not as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecentFault {
    pub collection: CollectionId,
    pub id: Id,
    pub wrong: Wrong,
}

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The tier has not got it.
    Missing,
    /// It has an older version.
    Outdated,
    /// It has a document that was deleted.
    Deleted,
    /// It has something else in the same version, or a version that there is not.
    Different,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecentRepair {
    /// The documents were brought as they are.
    Brought,
    /// Bringing them would change nothing, since the tier takes what it has for as new: it was given
    /// up, and begins anew as soon as a server looks at it.
    GivenUp,
}

impl RecentAudit {
    /// Compares so many documents of each collection on either side, about.
    ///
    /// # Errors
    /// When the truth or the tier cannot be asked, or the tier begins anew meanwhile. Where it is not
    /// to be believed as a whole the answer is why.
    pub async fn run(
        &self,
        most: usize,
        repairs: bool,
    ) -> Result<std::result::Result<RecentComparison, Doubt>> {
        let none = || Error::unavailable("not_started", "the database notes nothing for MongoDB");
        let outbox = self.truth.outbox().ok_or_else(none)?;
        let standing = outbox.standing().await?;
        let sight = self.recent.look().await?;
        if let Some(doubt) = Doubt::of(outbox, &standing, &sight).await? {
            return Ok(Err(doubt));
        }
        self.recent.trust(&sight);
        let mut comparing = Comparing {
            audit: self,
            outbox,
            standing,
            suspects: HashSet::new(),
            found: RecentComparison::default(),
        };
        for collection in self.catalog.collections() {
            if let Some(tier) = &collection.tiers.recent {
                comparing.of_truth(collection, tier, most).await?;
                comparing.of_tier(collection, tier, most).await?;
            }
        }
        comparing.look_again().await?;
        if repairs {
            comparing.repair().await?;
        }
        Ok(Ok(comparing.found))
    }
}

/// One comparison while it is made.
struct Comparing<'a> {
    audit: &'a RecentAudit,
    outbox: &'a dyn Outbox,
    /// What the truth knew of the tier when it began.
    standing: Standing,
    /// What looked wrong at first.
    suspects: HashSet<Place>,
    found: RecentComparison,
}

/// What has become of a suspect.
enum Judged {
    Right,
    /// A version of it is on its way.
    Pending,
    Wrong(Wrong),
}

impl Comparing<'_> {
    /// Looks for documents of the truth in the tier, where that should have them all: the newest first.
    async fn of_truth(
        &mut self,
        collection: &Collection,
        tier: &RecentTier,
        most: usize,
    ) -> Result<()> {
        let Some(since) = self.boundary(collection.id, tier) else {
            return Ok(());
        };
        let mut query = Query {
            collection: collection.id,
            filter: created(collection, Comparison::GreaterOrEqual, since),
            sort: newest_first(collection),
            start: Start::First,
            limit: STEP,
            fields: None,
        };
        let mut seen = 0;
        loop {
            let documents = self.audit.truth.find(query.clone(), &View::all()).await?;
            let ids: Vec<Id> = documents.iter().filter_map(Document::id).collect();
            let found = self.in_tier(collection.id, &ids).await?;
            for (document, found) in documents.iter().zip(&found) {
                let place = Documents {
                    collection,
                    tier,
                    since: Some(since),
                    before: Some(document),
                    after: Some(document),
                };
                self.suspect(&place, document.id(), found);
            }
            seen += documents.len();
            self.found.looked_for += documents.len();
            let Some(last) = documents.last() else {
                return Ok(());
            };
            if documents.len() < STEP as usize || seen >= most {
                return Ok(());
            }
            query.start = Start::After(keys(collection, last));
        }
    }

    /// Looks for documents of the tier in the truth.
    async fn of_tier(
        &mut self,
        collection: &Collection,
        tier: &RecentTier,
        most: usize,
    ) -> Result<()> {
        if collection.is_alone() {
            // The truth has forgotten what is there.
            return Ok(());
        }
        let mut query = Query {
            limit: STEP,
            ..Query::in_order_of_ids(collection, Expr::always())
        };
        let ever = Timestamp::from_millis(i64::MIN);
        let since = self.boundary(collection.id, tier);
        let mut seen = 0;
        loop {
            let held = self
                .ask(async |recent, epoch| recent.list(epoch, &query, ever).await)
                .await?;
            let ids: Vec<Id> = held.iter().filter_map(|held| id_of(held)).collect();
            let documents = self.in_truth(collection.id, &ids).await?;
            for (id, held) in ids.iter().zip(&held) {
                let place = Documents {
                    collection,
                    tier,
                    since,
                    before: documents.get(id),
                    after: documents.get(id),
                };
                self.suspect(&place, Some(*id), &Found::Held(held.clone()));
            }
            seen += held.len();
            self.found.held += held.len();
            let Some(last) = ids.last() else {
                return Ok(());
            };
            if held.len() < STEP as usize || seen >= most {
                return Ok(());
            }
            query.start = Start::After(vec![Value::Uuid(last.uuid())]);
        }
    }

    fn suspect(&mut self, documents: &Documents<'_>, id: Option<Id>, found: &Found) {
        if let Some(id) = id
            && documents.wrong(found).is_some()
        {
            self.suspects.insert((documents.collection.id, id));
        }
    }

    /// Looks at what looked wrong until it is known what it is.
    async fn look_again(&mut self) -> Result<()> {
        let suspects = std::mem::take(&mut self.suspects);
        // What each was found to be at the last look.
        let mut open: HashMap<Place, Option<Wrong>> =
            suspects.into_iter().map(|place| (place, None)).collect();
        for _ in 0..LOOKS {
            if open.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            for (place, judged) in self.judge(open.keys().copied()).await? {
                match judged {
                    Judged::Right => drop(open.remove(&place)),
                    Judged::Pending => drop(open.insert(place, None)),
                    Judged::Wrong(wrong) if open.get(&place) == Some(&Some(wrong)) => {
                        open.remove(&place);
                        let (collection, id) = place;
                        self.found.faults.push(RecentFault {
                            collection,
                            id,
                            wrong,
                        });
                    }
                    Judged::Wrong(wrong) => drop(open.insert(place, Some(wrong))),
                }
            }
        }
        self.found.unsettled = open.len();
        self.found.faults.sort_unstable();
        Ok(())
    }

    async fn judge(&self, places: impl Iterator<Item = Place>) -> Result<Vec<(Place, Judged)>> {
        let mut of_each: BTreeMap<CollectionId, Vec<Id>> = BTreeMap::new();
        for (collection, id) in places {
            of_each.entry(collection).or_default().push(id);
        }
        let mut judged = Vec::new();
        for (collection, ids) in of_each {
            let schema = self.audit.catalog.get(collection);
            let Some(tier) = &schema.tiers.recent else {
                continue;
            };
            let since = self.boundary(collection, tier);
            for ids in ids.chunks(TOGETHER) {
                let before = self.in_truth(collection, ids).await?;
                let noted = self.noted(collection, ids).await?;
                let found = self.in_tier(collection, ids).await?;
                let after = self.in_truth(collection, ids).await?;
                for (id, found) in ids.iter().zip(&found) {
                    let documents = Documents {
                        collection: schema,
                        tier,
                        since,
                        before: before.get(id),
                        after: after.get(id),
                    };
                    let is = match (noted.contains(id), documents.wrong(found)) {
                        (_, None) => Judged::Right,
                        (true, Some(_)) => Judged::Pending,
                        (false, Some(wrong)) => Judged::Wrong(wrong),
                    };
                    judged.push(((collection, *id), is));
                }
            }
        }
        Ok(judged)
    }

    /// Which of these documents are noted as being on their way.
    async fn noted(&self, collection: CollectionId, ids: &[Id]) -> Result<HashSet<Id>> {
        let asked: HashSet<Id> = ids.iter().copied().collect();
        let until = self.outbox.standing().await?.now;
        let mut noted = HashSet::new();
        let mut after = None;
        loop {
            let notes = self.outbox.notes(until, after.as_ref(), NOTES).await?;
            for note in &notes {
                if note.collection == Some(collection) {
                    noted.extend(note.ids.iter().filter(|id| asked.contains(id)));
                }
            }
            match notes.last() {
                Some(last) if notes.len() == NOTES as usize => after = Some(last.place.clone()),
                _ => return Ok(noted),
            }
        }
    }

    /// Mends what is wrong.
    async fn repair(&mut self) -> Result<()> {
        let faults = &self.found.faults;
        if faults.is_empty() {
            return Ok(());
        }
        let can_be_brought = |fault: &RecentFault| fault.wrong != Wrong::Different;
        let mut is_brought = faults.iter().all(can_be_brought);
        if is_brought {
            let places = faults.iter().map(|fault| (fault.collection, fault.id));
            let places: Vec<Place> = places.collect();
            let RecentAudit {
                catalog,
                truth,
                clock,
                ..
            } = self.audit;
            let brought = self.ask(async |recent, epoch| {
                let bringing = Bringing {
                    catalog,
                    truth: &**truth,
                    recent,
                    clock: &**clock,
                };
                bringing.now(epoch, &places).await
            });
            is_brought = brought.await?.refused.is_empty();
        }
        if !is_brought {
            self.outbox.give_up().await?;
        }
        self.found.repair = Some(match is_brought {
            true => RecentRepair::Brought,
            false => RecentRepair::GivenUp,
        });
        Ok(())
    }

    /// Since when the tier should have every document of a collection. None where that is not known.
    fn boundary(&self, collection: CollectionId, tier: &RecentTier) -> Option<Timestamp> {
        let covered = *self.standing.covered.get(&collection)?;
        let begins = self.audit.clock.now().millis().saturating_sub(tier.window);
        Some(covered.max(Timestamp::from_millis(begins)))
    }

    /// Documents as the truth has them now.
    async fn in_truth(
        &self,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<HashMap<Id, Document>> {
        let query = Query::by_ids(self.audit.catalog.get(collection), ids);
        let documents = self.audit.truth.find(query, &View::all()).await?;
        let by_id = documents
            .into_iter()
            .filter_map(|document| Some((document.id()?, document)));
        Ok(by_id.collect())
    }

    /// What the tier has of documents.
    async fn in_tier(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<Found>> {
        self.ask(async |recent, epoch| recent.documents(epoch, collection, ids).await)
            .await
    }

    /// Asks the tier something. Where it does not answer there is often only a new connection, of which
    /// it must be seen where it leads.
    async fn ask<T>(&self, question: impl AsyncFn(&dyn Recent, Epoch) -> Result<T>) -> Result<T> {
        let recent = &*self.audit.recent;
        let mut failures = 0;
        loop {
            let error = match question(recent, self.standing.epoch).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            if failures == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(SHORT_PAUSE).await;
            let standing = self.outbox.standing().await?;
            let sight = recent.look().await?;
            let doubt = Doubt::of(self.outbox, &standing, &sight).await?;
            if doubt.is_some() || standing.epoch != self.standing.epoch {
                return Err(Error::unavailable(
                    "recent_begins_anew",
                    "the recent tier begins anew; compare when a server has it again",
                ));
            }
            recent.trust(&sight);
        }
    }
}

/// A document as the truth had it before the tier was asked, and has it afterwards.
struct Documents<'a> {
    collection: &'a Collection,
    tier: &'a RecentTier,
    /// Since when the tier should have every document.
    since: Option<Timestamp>,
    before: Option<&'a Document>,
    after: Option<&'a Document>,
}

impl Documents<'_> {
    /// What is wrong with what the tier has, where nothing was on its way.
    fn wrong(&self, found: &Found) -> Option<Wrong> {
        let is_there = self.before.is_some() && self.after.is_some();
        if self.collection.is_alone() && !is_there {
            // It has left, or is about to.
            return None;
        }
        match (found, self.before, self.after) {
            (Found::Held(_), None, None) => Some(Wrong::Deleted),
            (Found::Held(held), _, Some(after)) if held.revision > after.revision() => {
                Some(Wrong::Different)
            }
            (Found::Held(held), Some(before), _) if held.revision < before.revision() => {
                Some(Wrong::Outdated)
            }
            (Found::Held(held), before, after) => {
                let mut versions = [before, after].into_iter().flatten();
                let same = versions.find(|document| document.revision() == held.revision);
                let is_different = same.is_some_and(|document| !self.is_same(held, document));
                is_different.then_some(Wrong::Different)
            }
            (Found::Gone(end), Some(before), Some(after)) => {
                if after.revision() <= *end {
                    Some(Wrong::Different)
                } else {
                    (before.revision() > *end).then_some(Wrong::Missing)
                }
            }
            (Found::Missing, Some(before), Some(_)) => {
                let created = created_at(self.collection, before);
                let is_wanted = self
                    .since
                    .is_some_and(|since| created.is_some_and(|created| created >= since));
                is_wanted.then_some(Wrong::Missing)
            }
            (Found::Gone(_) | Found::Missing, _, _) => None,
        }
    }

    /// Whether it is the same in all its parts. The truth need not keep the order of keys in json.
    fn is_same(&self, held: &Held, document: &Document) -> bool {
        let own = Held::with(document, self.collection, &self.tier.excerpts);
        let read = |json| serde_json::from_slice::<serde_json::Value>(json).ok();
        held.excerpt == own.excerpt
            && (held.json == own.json || read(&held.json) == read(&own.json))
    }
}

fn id_of(held: &Held) -> Option<Id> {
    match held.excerpt.value(Collection::ID) {
        Value::Uuid(id) => Some(Id::from_uuid(*id)),
        _ => None,
    }
}
