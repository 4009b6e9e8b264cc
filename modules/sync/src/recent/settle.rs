//! Bringing what was committed to the recent tier, behind the acknowledgement.
//!
//! Batches wait here with their documents until they are brought, many at a time. Where too many wait,
//! or the tier does not take them, their documents are forgotten: their notes stay in the outbox, and
//! who finds those brings the documents as they are then.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    coordination::{Epoch, Terms},
    id::{Id, Revision},
    observe::{BatchId, Fate, Foreign, Observer, Touched},
    recent::{Claim, Fresh, State},
    schema::CollectionId,
};

use super::{LATE, Place, RecentStore};

/// How many documents may wait. Those of more are left to their notes.
const MOST_WAITING: usize = 50_000;
/// How many documents are brought at a time, about.
const AT_ONCE: usize = 2000;
/// How many documents that were read from the truth wait to be brought at most.
const MOST_READ: usize = 2000;

/// What is on its way to the tier.
#[derive(Default)]
pub(super) struct Arriving {
    /// Batches that are announced and not settled.
    announced: HashMap<BatchId, Batch>,
    /// Those that are committed, in the order in which that became known.
    committed: VecDeque<Batch>,
    /// How many documents they have together.
    waiting: usize,
    /// Those, and those that are being brought.
    on_their_way: HashSet<(Id, BatchId)>,
    /// Documents that others have written, and those that were asked for and are not in the tier.
    looked_for: HashMap<Place, Vec<Claim>>,
    /// Documents that others have deleted, which are to be looked at again.
    ended: VecDeque<Ended>,
    /// Notes of batches whose documents have arrived.
    arrived: Vec<(Id, BatchId)>,
    /// How often the tier may have been set back.
    turn: u64,
}

/// A document that somebody has deleted, and since when that is known, in ticks.
struct Ended {
    place: Place,
    claim: Claim,
    since: i64,
}

/// A batch, and under which instance it is claimed.
struct Batch {
    instance: Id,
    number: BatchId,
    touched: Vec<Arc<Touched>>,
    /// When it was announced, in ticks.
    since: i64,
    /// The epoch of the tier that was known then.
    epoch: Option<Epoch>,
}

impl Batch {
    const fn name(&self) -> (Id, BatchId) {
        (self.instance, self.number)
    }
}

impl Arriving {
    /// Some batches whose documents are to be brought. The others are left to their notes.
    fn take_some(&mut self, is_due: impl Fn(&Batch) -> bool) -> Vec<Batch> {
        let mut taken = Vec::new();
        let mut documents = 0;
        while documents < AT_ONCE
            && let Some(batch) = self.committed.pop_front()
        {
            documents += batch.touched.len();
            match is_due(&batch) {
                true => taken.push(batch),
                false => drop(self.on_their_way.remove(&batch.name())),
            }
        }
        self.waiting = self.waiting.saturating_sub(documents);
        taken
    }

    /// Batches have been brought, or could not be.
    fn done_with(&mut self, batches: &[(Id, BatchId)]) {
        for batch in batches {
            self.on_their_way.remove(batch);
        }
    }

    /// Whether this process is about to bring the documents of a batch.
    pub fn has_on_its_way(&self, batch: (Id, BatchId)) -> bool {
        self.on_their_way.contains(&batch)
    }

    /// How many documents wait to be brought.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Documents that were found to be gone before a moment, in ticks.
    fn take_ended(&mut self, before: i64) -> Vec<Ended> {
        let due = self.ended.partition_point(|ended| ended.since < before);
        self.ended.drain(..due).collect()
    }

    /// Whether there are documents that are to be looked at again.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Notes of batches that have arrived.
    pub fn take_arrived(&mut self) -> Vec<(Id, BatchId)> {
        std::mem::take(&mut self.arrived)
    }

    /// The same, which are to be removed another time.
    pub fn put_back_arrived(&mut self, notes: Vec<(Id, BatchId)>) {
        self.arrived.extend(notes);
    }

    /// Adds notes of batches that have arrived since some turn began.
    pub fn have_arrived(&mut self, turn: u64, notes: impl IntoIterator<Item = (Id, BatchId)>) {
        if self.turn == turn {
            self.arrived.extend(notes);
        }
    }

    /// The turn that there is.
    pub const fn turn(&self) -> u64 {
        self.turn
    }

    /// The tier may have been set back: what has arrived may be lost, so that its notes stay.
    pub fn begin_turn(&mut self) {
        self.turn += 1;
        self.arrived.clear();
    }

    /// Whether there is anything to bring.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.looked_for.is_empty()
    }
}

impl RecentStore {
    /// Has a document brought that was asked for and found in the truth alone.
    pub(crate) fn promote(&self, collection: CollectionId, ids: impl Iterator<Item = Id>) {
        let mut arriving = self.arriving();
        for id in ids {
            if arriving.looked_for.len() >= MOST_READ {
                break;
            }
            arriving.looked_for.entry((collection, id)).or_default();
        }
        drop(arriving);
        self.wake.notify_one();
    }

    /// Brings some of what waits. Whether there is more.
    ///
    /// # Errors
    /// When the tier does not take it, or the truth does not answer. What was tried is left to its
    /// notes.
    pub async fn settle_some(&self) -> Result<bool> {
        let Some(epoch) = self.epoch() else {
            // It is to be looked at first, which takes a moment; or it is away, and what has waited for
            // too long is left to its notes.
            return Ok(false);
        };
        let now = self.clock.ticks();
        let (turn, batches, looked_for, ended) = {
            let mut arriving = self.arriving();
            let looked_for = std::mem::take(&mut arriving.looked_for);
            let batches = arriving.take_some(|batch| {
                let is_late = batch.since < now.saturating_sub(LATE / 2 * 1000);
                !is_late && self.is_of(batch, epoch)
            });
            let ended = arriving.take_ended(now.saturating_sub(LATE * 1000));
            (arriving.turn(), batches, looked_for, ended)
        };
        let names: Vec<_> = batches.iter().map(Batch::name).collect();
        let settled = async {
            if !ended.is_empty() {
                self.settle_ended(epoch, ended).await?;
            }
            if !batches.is_empty() {
                self.settle_batches(epoch, turn, batches).await?;
            }
            Ok(())
        };
        let settled = settled.await;
        // What could not be brought is left to its notes.
        self.arriving().done_with(&names);
        settled?;
        if !looked_for.is_empty()
            && let Err(error) = self.settle_others(epoch, &looked_for).await
        {
            // Their claims are in nobody else's hands.
            let claimed = looked_for
                .into_iter()
                .filter(|(_, claims)| !claims.is_empty());
            let mut arriving = self.arriving();
            for (place, claims) in claimed {
                arriving.looked_for.entry(place).or_default().extend(claims);
            }
            drop(arriving);
            return Err(error);
        }
        Ok(!self.arriving().is_empty())
    }

    /// Whether a batch may be brought as it was in an epoch. One of an earlier epoch may not: what was
    /// written after it by then has arrived in that epoch alone, and its note is forgotten.
    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn is_of(&self, batch: &Batch, epoch: Epoch) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(crate::Flaw::BatchesOfAnyEpoch) {
            return true;
        }
        batch.epoch == Some(epoch)
    }

    async fn settle_batches(&self, epoch: Epoch, turn: u64, batches: Vec<Batch>) -> Result<()> {
        let mut newest: BTreeMap<CollectionId, HashMap<Id, &Touched>> = BTreeMap::new();
        for touched in batches.iter().flat_map(|batch| &batch.touched) {
            let Some(id) = touched.id() else { continue };
            let of = newest.entry(touched.collection).or_default();
            let known = of.entry(id).or_insert(touched);
            if version(known) <= version(touched) {
                *known = touched;
            }
        }
        #[cfg(feature = "flaws")]
        if self.is(crate::Flaw::NoteRemovedEarly) {
            let notes = batches.iter().map(|batch| (batch.instance, batch.number));
            self.arriving().have_arrived(turn, notes);
        }
        let now = self.clock.now();
        let mut refused: HashSet<Place> = HashSet::new();
        for (collection, documents) in &newest {
            let versions = documents
                .iter()
                .filter_map(|(id, touched)| fresh(*id, touched));
            let versions: Vec<Fresh<'_>> = versions.collect();
            let cannot = self
                .recent
                .bring(epoch, *collection, &versions, now)
                .await?;
            refused.extend(cannot.into_iter().map(|id| (*collection, id)));
        }
        let mut claims = HashSet::new();
        let mut notes = Vec::with_capacity(batches.len());
        for batch in &batches {
            let mut has_all = true;
            for touched in &batch.touched {
                let Some(id) = touched.id() else { continue };
                let collection = touched.collection;
                if refused.contains(&(collection, id)) {
                    has_all = false;
                    continue;
                }
                claims.insert(Claim {
                    instance: batch.instance,
                    batch: batch.number,
                    collection,
                    id,
                });
            }
            if has_all {
                notes.push((batch.instance, batch.number));
            }
        }
        let claims: Vec<Claim> = claims.into_iter().collect();
        self.lists.arrived(epoch, &claims).await?;
        self.arriving().have_arrived(turn, notes);
        Ok(())
    }

    async fn settle_others(
        &self,
        epoch: Epoch,
        looked_for: &HashMap<Place, Vec<Claim>>,
    ) -> Result<()> {
        let places: Vec<Place> = looked_for.keys().copied().collect();
        let brought = self.bring_now(epoch, &places).await?;
        let since = self.clock.ticks();
        let mut arrived = Vec::new();
        for (place, claims) in looked_for {
            if brought.gone.contains(place) {
                let ended = claims.iter().map(|claim| Ended {
                    place: *place,
                    claim: *claim,
                    since,
                });
                self.arriving().ended.extend(ended);
            } else if !brought.refused.contains(place) {
                arrived.extend(claims.iter().copied());
            }
        }
        match arrived.is_empty() {
            true => Ok(()),
            false => self.lists.arrived(epoch, &arrived).await,
        }
    }

    /// Brings the ends of documents when no version of theirs is on its way any longer.
    async fn settle_ended(&self, epoch: Epoch, ended: Vec<Ended>) -> Result<()> {
        let places: Vec<Place> = ended.iter().map(|ended| ended.place).collect();
        let claims: Vec<Claim> = ended.iter().map(|ended| ended.claim).collect();
        let settled = async {
            self.bring_now(epoch, &places).await?;
            self.lists.arrived(epoch, &claims).await
        };
        let settled = settled.await;
        if settled.is_err() {
            // Their claims are in nobody else's hands.
            let mut arriving = self.arriving();
            for ended in ended.into_iter().rev() {
                arriving.ended.push_front(ended);
            }
        }
        settled
    }
}

/// Orders the states of a document.
fn version(touched: &Touched) -> (Option<Revision>, bool) {
    let document = touched.after.as_ref().or(touched.before.as_ref());
    (
        document.map(|document| document.revision()),
        touched.after.is_none(),
    )
}

/// What is brought of a document.
fn fresh(id: Id, touched: &Touched) -> Option<Fresh<'_>> {
    let document = touched.after.as_ref().or(touched.before.as_ref())?;
    Some(Fresh {
        id,
        revision: document.revision(),
        state: match &touched.after {
            Some(after) => State::There(after),
            None => State::Gone(Some(document)),
        },
    })
}

#[async_trait]
impl Observer for RecentStore {
    fn observes(&self, collection: CollectionId) -> bool {
        self.tier(collection).is_some()
    }

    async fn announce(&self, batch: BatchId, changes: &[Arc<Touched>]) -> Result<Option<Terms>> {
        let instance = self.lists.claimed_by(batch);
        let announced = Batch {
            instance,
            number: batch,
            touched: changes.to_vec(),
            since: self.clock.ticks(),
            epoch: self.known().epoch,
        };
        self.arriving().announced.insert(batch, announced);
        Ok(None)
    }

    async fn settle(&self, batch: BatchId, fate: Fate) {
        let mut arriving = self.arriving();
        let Some(batch) = arriving.announced.remove(&batch) else {
            return;
        };
        let count = batch.touched.len();
        if fate == Fate::Committed && arriving.waiting + count <= MOST_WAITING {
            arriving.waiting += count;
            arriving.on_their_way.insert(batch.name());
            arriving.committed.push_back(batch);
            drop(arriving);
            self.wake.notify_one();
        }
    }

    async fn doubt(&self, batch: BatchId, documents: &[(CollectionId, Id)]) {
        // Who claims it is not known any more when it is resolved.
        let instance = self.lists.claimed_by(batch);
        let announced = Batch {
            instance,
            number: batch,
            touched: Vec::new(),
            since: self.clock.ticks(),
            epoch: self.known().epoch,
        };
        tracing::trace!(documents = documents.len(), "others have written");
        self.arriving().announced.insert(batch, announced);
    }

    async fn resolve(&self, batch: BatchId, documents: &[Foreign]) {
        let mut arriving = self.arriving();
        let Some(Batch { instance, .. }) = arriving.announced.remove(&batch) else {
            return;
        };
        for document in documents {
            let claim = Claim {
                instance,
                batch,
                collection: document.collection,
                id: document.id,
            };
            let place = (document.collection, document.id);
            arriving.looked_for.entry(place).or_default().push(claim);
        }
        drop(arriving);
        self.wake.notify_one();
    }

    async fn overtaken(&self) {
        self.wake.notify_one();
    }
}
