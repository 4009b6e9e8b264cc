//! What instances agree by, in the simulated truth: the gate and who is there.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    coordination::{Coordination, Epoch, Gate, Incarnation, Look, Peer, Terms},
    id::Id,
};
use tokio::sync::oneshot;

use super::{Inner, SimTruth};
use crate::{
    mutant::Mutant,
    scheduler::{Moment, WORLD},
};

/// The gate and the instances.
pub(super) struct Agreed {
    pub gate: Gate,
    instances: BTreeMap<Id, Instance>,
}

struct Instance {
    /// When it was heard of last, in ticks.
    seen: i64,
    reaches: Option<Incarnation>,
    fenced: bool,
}

impl Default for Agreed {
    fn default() -> Self {
        Self {
            gate: Gate::Closed(Epoch::NONE),
            instances: BTreeMap::new(),
        }
    }
}

impl Inner {
    /// Whether a batch may be committed now.
    pub(super) fn may_enter(&self, terms: Option<Terms>) -> bool {
        let Some(terms) = terms else { return true };
        if self.mutant == Some(Mutant::TermsUnchecked) {
            return true;
        }
        let agreed = &self.state().agreed;
        let stands = match &agreed.gate {
            Gate::Open { epoch, owner, .. } => {
                let may = self.mutant == Some(Mutant::OwnerUnchecked)
                    || owner.is_none_or(|owner| owner == terms.instance);
                may && terms.open && *epoch == terms.epoch
            }
            Gate::Closed(epoch) => !terms.open && *epoch == terms.epoch,
            Gate::Closing(_) => false,
        };
        let instance = agreed.instances.get(&terms.instance);
        stands && instance.is_some_and(|instance| !instance.fenced)
    }
}

/// The way of one instance to what all agree by.
pub struct SimCoordination {
    inner: Arc<Inner>,
    /// Until when it is cut off.
    cut: AtomicU64,
}

impl SimCoordination {
    /// The way to a truth.
    pub fn new(truth: &SimTruth) -> Self {
        Self {
            inner: Arc::clone(&truth.inner),
            cut: AtomicU64::new(0),
        }
    }

    /// Cuts it off until then.
    pub fn cut(&self, until: Moment) {
        self.cut.store(until, Ordering::Relaxed);
    }

    /// Has the server do something, which it does even where whoever has asked for it is dead by
    /// then.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&mut Agreed, i64) -> T + Send + 'static,
    ) -> Result<T> {
        let scheduler = &self.inner.scheduler;
        scheduler.step(what).await;
        if scheduler.now() < self.cut.load(Ordering::Relaxed) {
            return Err(Error::unavailable("truth_unavailable", "cut off"));
        }
        let (answer, answered) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        scheduler.spawn_in(WORLD, what, async move {
            inner.scheduler.step("arrives at the truth").await;
            let now = inner.clock.ticks();
            let mut state = inner.state();
            let done = act(&mut state.agreed, now);
            let gate = state.agreed.gate.clone();
            drop(state);
            inner.scheduler.note(|| format!("the gate: {gate:?}"));
            answer.send(done).ok();
        });
        let answer = answered.await;
        scheduler.step("hears of the gate").await;
        answer.map_err(|_| Error::unavailable("truth_unavailable", "no answer"))
    }
}

#[async_trait]
impl Coordination for SimCoordination {
    async fn join(&self, instance: Id) -> Result<()> {
        self.ask("joins", move |agreed, now| {
            agreed.instances.entry(instance).or_insert(Instance {
                seen: now,
                reaches: None,
                fenced: false,
            });
        })
        .await
    }

    async fn look(&self, instance: Id, reaches: Option<&Incarnation>) -> Result<Look> {
        let reaches = reaches.cloned();
        self.ask("looks at the gate", move |agreed, now| {
            if let Some(own) = agreed.instances.get_mut(&instance)
                && !own.fenced
            {
                own.seen = now;
                own.reaches = reaches;
            }
            let peers = agreed.instances.iter().map(|(id, instance)| Peer {
                instance: *id,
                silent: now - instance.seen,
                reaches: instance.reaches.clone(),
                fenced: instance.fenced,
            });
            Look {
                gate: agreed.gate.clone(),
                peers: peers.collect(),
            }
        })
        .await
    }

    async fn shift(&self, from: &Gate, to: &Gate) -> Result<bool> {
        let (from, to) = (from.clone(), to.clone());
        self.ask("moves the gate", move |agreed, _| {
            let stands = match (&agreed.gate, &from) {
                (Gate::Open { epoch, owner, .. }, Gate::Open { .. }) => {
                    (*epoch, *owner) == (from.epoch(), from.owner())
                }
                (gate, from) => gate == from,
            };
            if stands {
                agreed.gate = to;
            }
            stands
        })
        .await
    }

    async fn fence(&self, instance: Id) -> Result<()> {
        self.ask("fences", move |agreed, _| {
            if let Some(instance) = agreed.instances.get_mut(&instance) {
                instance.fenced = true;
            }
        })
        .await
    }

    async fn remove(&self, instance: Id) -> Result<()> {
        self.ask("removes", move |agreed, _| {
            agreed.instances.remove(&instance);
        })
        .await
    }
}
