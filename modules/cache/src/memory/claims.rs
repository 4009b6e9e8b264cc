//! The pending lists in this process, and the batches that are under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    recent::{Beginning, Claim, Condition},
    schema::CollectionId,
};
use smallvec::SmallVec;

use super::Memory;
use crate::claims::{Claims, MOST_CLAIMS, MOST_PENDING};

/// The lists of all collections.
pub(super) struct Lists(Mutex<State>);

impl Default for Lists {
    fn default() -> Self {
        Self::with_most(MOST_PENDING, MOST_CLAIMS)
    }
}

struct State {
    /// How many documents of one collection may be pending.
    most_pending: usize,
    /// How many batches may claim one document.
    most_claims: usize,
    /// The batches that are announced and not settled.
    under_way: BTreeSet<BatchId>,
    /// None while the lists are closed.
    kept: Option<Kept>,
}

/// Lists that are kept, for an epoch of the recent tier.
struct Kept {
    epoch: Epoch,
    stage: Stage,
    claims: BTreeMap<CollectionId, BTreeMap<Id, Claimants>>,
}

/// The batches that have a document on its way, each with its instance.
type Claimants = SmallVec<[(Id, BatchId); 1]>;

#[derive(PartialEq)]
enum Stage {
    /// With the nonce of the beginning.
    Begun(u64),
    Open,
}

impl Lists {
    /// Lists that close when so many documents of one collection are pending, or so many batches claim
    /// one, and one more comes.
    pub fn with_most(most_pending: usize, most_claims: usize) -> Self {
        Self(Mutex::new(State {
            most_pending,
            most_claims,
            under_way: BTreeSet::new(),
            kept: None,
        }))
    }

    /// Notes a batch that is under way from now on, and its claims.
    pub fn announce(&self, batch: BatchId, claims: impl IntoIterator<Item = Claim>) {
        let mut state = self.locked();
        state.under_way.insert(batch);
        state.add(claims);
    }

    /// Notes that a batch is not under way any more.
    pub fn settle(&self, batch: BatchId) {
        self.locked().under_way.remove(&batch);
    }

    /// The same, and takes its claims back.
    pub fn abort(&self, batch: BatchId, claims: impl IntoIterator<Item = Claim>) {
        let mut state = self.locked();
        if let Some(kept) = &mut state.kept {
            claims.into_iter().for_each(|claim| kept.take(&claim));
        }
        state.under_way.remove(&batch);
    }

    /// Forgets all lists, until they are begun again.
    pub fn close(&self) {
        self.locked().kept = None;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock and leaves a list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The lists, where they are kept for this epoch.
    fn kept_for(&mut self, epoch: Epoch) -> Option<&mut Kept> {
        self.kept.as_mut().filter(|kept| kept.epoch == epoch)
    }

    /// The lists, where they are complete for this epoch.
    fn open_for(&self, epoch: Epoch) -> Option<&Kept> {
        let kept = self.kept.as_ref()?;
        (kept.epoch == epoch && kept.stage == Stage::Open).then_some(kept)
    }

    /// Adds claims if there are lists. One that becomes too long closes all.
    fn add(&mut self, claims: impl IntoIterator<Item = Claim>) {
        let Some(kept) = &mut self.kept else { return };
        let (pending, claimants) = (self.most_pending, self.most_claims);
        let mut claims = claims.into_iter();
        if !claims.all(|claim| kept.add(&claim, pending, claimants)) {
            self.kept = None;
        }
    }
}

impl Kept {
    /// Adds a claim. False where those are more documents than may be pending, or more claims to one.
    fn add(&mut self, claim: &Claim, most_pending: usize, most_claims: usize) -> bool {
        let list = self.claims.entry(claim.collection).or_default();
        let claimants = list.entry(claim.id).or_default();
        let claimant = (claim.instance, claim.batch);
        if !claimants.contains(&claimant) {
            claimants.push(claimant);
        }
        claimants.len() <= most_claims && list.len() <= most_pending
    }

    fn take(&mut self, claim: &Claim) {
        let Some(list) = self.claims.get_mut(&claim.collection) else {
            return;
        };
        if let Some(claimants) = list.get_mut(&claim.id) {
            claimants.retain(|claimant| *claimant != (claim.instance, claim.batch));
            if claimants.is_empty() {
                list.remove(&claim.id);
            }
        }
    }
}

/// What a batch is called.
fn name(batch: BatchId) -> Vec<u8> {
    batch.0.to_be_bytes().to_vec()
}

impl Claims for Memory {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        let state = self.lists.locked();
        let ids = state.open_for(epoch).map(|kept| {
            let list = kept.claims.get(&collection).into_iter().flatten();
            list.map(|(id, _)| *id).take(most.saturating_add(1))
        });
        let ids: Option<Vec<Id>> = ids.map(Iterator::collect);
        Ok(ids.filter(|ids| ids.len() <= most))
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        let state = self.lists.locked();
        Ok(state.open_for(epoch).map(|kept| {
            let list = kept.claims.get(&collection);
            let is_pending = |id| list.is_some_and(|list| list.contains_key(id));
            ids.iter().map(is_pending).collect()
        }))
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        if let Some(kept) = self.lists.locked().kept_for(epoch) {
            claims.iter().for_each(|claim| kept.take(claim));
        }
        Ok(())
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let mut state = self.lists.locked();
        if state.kept_for(epoch).is_some() {
            state.add(claims.iter().copied());
        }
        Ok(())
    }

    async fn condition(&self) -> Result<Condition> {
        let state = self.lists.locked();
        let condition = state.kept.as_ref().map(|kept| match kept.stage {
            Stage::Begun(_) => Condition::Begun(kept.epoch),
            Stage::Open => Condition::Open(kept.epoch),
        });
        Ok(condition.unwrap_or(Condition::Closed))
    }

    async fn begin_lists(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        let nonce = self.token();
        let mut state = self.lists.locked();
        state.kept = Some(Kept {
            epoch,
            stage: Stage::Begun(nonce),
            claims: BTreeMap::new(),
        });
        Ok(Some(Beginning {
            epoch,
            nonce,
            under_way: state.under_way.iter().copied().map(name).collect(),
        }))
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        let state = self.lists.locked();
        let mut under_way = state.under_way.iter().copied().map(name);
        Ok(under_way.any(|name| beginning.under_way.contains(&name)))
    }

    async fn open_lists(&self, beginning: &Beginning) -> Result<bool> {
        let mut state = self.lists.locked();
        let kept = state.kept_for(beginning.epoch);
        let kept = kept.filter(|kept| kept.stage == Stage::Begun(beginning.nonce));
        let is_same = kept.is_some();
        if let Some(kept) = kept {
            kept.stage = Stage::Open;
        }
        Ok(is_same)
    }
}
