//! The task of each instance that renews its lease and moves the gate.
//!
//! A step looks whether the server of the cache is there, looks at the gate and at the others, and
//! then does what is to be done. Every instance does the same, whatever was left half done by whoever:
//!
//! | what it sees | what it does |
//! |---|---|
//! | open, but it cannot use the server | closes: its batches could not be announced |
//! | open, and somebody else has written to the truth | closes: what is held may be out of date |
//! | closing, for longer than a lease lasts | says that it is closed |
//! | closed, and all who are there can use one server | opens it for the next epoch, which is empty |
//! | open, and nobody else is there | makes it its own |
//! | its own, and somebody else is there | is ahead with nothing any more, and gives it up |
//! | somebody else's who has gone, or does not give it up | closes |
//! | somebody is silent | fences them |
//! | somebody is fenced | takes back what they have announced, and removes them |
//! | itself missing or fenced | joins as somebody new |

use std::{sync::Arc, time::Duration};

use nubo_core::{
    Result,
    coordination::{Epoch, Gate, Incarnation, LEASE, Look, Peer},
    id::Id,
};
use tokio::{sync::watch, task::JoinHandle};

#[cfg(feature = "flaws")]
use super::Flaw;
use super::{Shared, View};
use crate::storage::{Remote, Storage};

/// How often the lease is renewed. Three in a row may fail.
const PERIOD: Duration = Duration::from_millis(90);
/// How much longer than a lease is waited, because clocks do not run equally fast, in microseconds.
const MARGIN: i64 = LEASE / 10;
/// For how long somebody is silent before they count as dead, in microseconds.
const SILENCE: i64 = 3_000_000;
/// How often in a row the server must not answer before the gate is closed.
const PATIENCE: u32 = 2;
/// How long the gate stays closed at least, and at most where it does not stay open for long, in
/// microseconds.
const FIRST_PAUSE: i64 = 250_000;
const LONGEST_PAUSE: i64 = 30_000_000;
/// For how long somebody may keep a gate of their own after another has come, in microseconds.
const GRACE: i64 = 1_000_000;
/// After how long an epoch counts as one that has lasted, in microseconds.
const LASTING: i64 = 10_000_000;

/// Renews the lease of an instance.
pub struct Keeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Joins the others and returns when it is known whether the cache can be used.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn start<R: Remote>(shared: Arc<Shared<R>>) -> Result<Self> {
        let mut steps = Steps::new(Arc::clone(&shared));
        steps.step().await?;
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                let pause = async {
                    tokio::select! {
                        () = tokio::time::sleep(PERIOD) => {}
                        () = shared.wake.notified() => {}
                    }
                };
                tokio::select! {
                    () = pause => {}
                    // The channel closes when its owner is gone; that is a stop too.
                    _ = stopped.wait_for(|stop| *stop) => break,
                }
                if let Err(error) = steps.step().await {
                    tracing::warn!(%error, "the state of the shared cache cannot be looked at");
                    // Not again at once, whoever wakes it.
                    tokio::time::sleep(PERIOD / 4).await;
                }
            }
            steps.leave().await;
        });
        Ok(Self { stop, task })
    }

    /// Ends the task and leaves the others. Everything that was announced must be settled.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of the shared cache has failed");
        }
    }
}

/// What a keeper does, step by step.
pub struct Steps<R: Remote> {
    shared: Arc<Shared<R>>,
    /// The server that answered last.
    reaches: Option<Incarnation>,
    /// How often in a row it has not.
    missed: u32,
    joined: bool,
    /// Whether it has seen whom it finds.
    arrived: bool,
    /// The gate as it stands, and since when this instance knows that, in ticks.
    gate: Option<(Gate, i64)>,
    /// Whose the gate is, and since when this instance knows that, in ticks.
    owned: Option<(Id, i64)>,
    /// How long it stays closed, in microseconds.
    pause: i64,
    /// The epochs below this one are swept away.
    swept: Epoch,
}

impl<R: Remote> Steps<R> {
    /// The first step joins.
    pub fn new(shared: Arc<Shared<R>>) -> Self {
        Self {
            shared,
            reaches: None,
            missed: 0,
            joined: false,
            arrived: false,
            gate: None,
            owned: None,
            pause: FIRST_PAUSE,
            swept: Epoch::NONE,
        }
    }

    /// Looks, and does what is to be done.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn step(&mut self) -> Result<()> {
        let result = self.look_and_act().await;
        if result.is_err() {
            // Whoever waits looks at the time.
            self.shared.view.send_modify(|_| ());
        }
        result
    }

    async fn look_and_act(&mut self) -> Result<()> {
        self.probe().await;
        if !self.joined {
            let instance = self.shared.view.borrow().instance;
            self.shared.coordination.join(instance).await?;
            self.joined = true;
        }
        let look = self.look().await?;
        self.mind_others(&look).await?;
        let moved = self.mind_gate(&look).await?;
        if moved {
            self.look().await?;
        }
        Ok(())
    }

    /// Condemns what is open where it may be out of date: somebody else has written before this look,
    /// or nobody was there to notice who did. What is held is not to be read from before that is clear.
    fn judge(&mut self, look: &Look, overtaken: bool) {
        let arrives = !std::mem::replace(&mut self.arrived, true);
        let is_alone = !self.finds_anybody(look);
        let epoch = look.gate.epoch();
        let mut doubts = self.shared.doubts();
        doubts.condemned.retain(|condemned| *condemned == epoch);
        if !look.gate.is_open() {
            return;
        }
        if overtaken {
            tracing::info!("somebody else has written; the shared cache begins anew");
            doubts.condemned.insert(epoch);
        }
        if arrives && is_alone {
            doubts.condemned.insert(epoch);
        }
    }

    /// Whether others are there.
    fn finds_anybody(&self, look: &Look) -> bool {
        let myself = self.shared.view.borrow().instance;
        let is_there =
            |peer: &Peer| peer.instance != myself && !peer.fenced && peer.silent < SILENCE;
        look.peers.iter().any(is_there)
    }

    /// Leaves the others, and reads from the cache no more: they do not wait for leases of one who has
    /// gone.
    async fn leave(self) {
        let instance = self.shared.view.borrow().instance;
        self.shared.view.send_modify(|view| {
            view.storage = None;
            view.owns = false;
        });
        if let Err(error) = self.shared.coordination.remove(instance).await {
            tracing::warn!(%error, "the others will find out by themselves that this instance stops");
        }
    }

    /// Looks whether the server is there.
    async fn probe(&mut self) {
        match self.shared.remote.reach().await {
            Ok(incarnation) => {
                self.missed = 0;
                self.reaches = Some(incarnation);
            }
            Err(error) => {
                if self.missed == 0 {
                    tracing::warn!(%error, "the server of the shared cache cannot be reached");
                }
                self.missed = self.missed.saturating_add(1);
                if self.missed >= PATIENCE {
                    self.reaches = None;
                }
            }
        }
    }

    /// Looks at the gate and the others, which renews the lease.
    async fn look(&mut self) -> Result<Look> {
        let shared = Arc::clone(&self.shared);
        let instance = shared.view.borrow().instance;
        let overtaken = std::mem::take(&mut shared.doubts().overtaken);
        let asked = shared.clock.ticks();
        let look = shared.coordination.look(instance, self.reaches.as_ref());
        let mut look = look.await.inspect_err(|_| {
            shared.doubts().overtaken |= overtaken;
        })?;
        self.judge(&look, overtaken);
        let known = look
            .peers
            .iter()
            .any(|p| p.instance == instance && !p.fenced);
        if !known {
            tracing::warn!("the others took this instance for dead; it joins them again");
            self.joined = false;
        }
        let instance = match known {
            true => instance,
            false => nubo_core::clock::new_id(&*shared.clock, &*shared.random),
        };
        if !known {
            shared.coordination.join(instance).await?;
            self.joined = true;
            look.peers.retain(|peer| peer.instance != instance);
        }
        self.note_gate(&look.gate);
        let (storage, turn) = self.storage(&look.gate, instance);
        let owns = self.owns(&look, instance);
        if owns && let Some(storage) = &storage {
            self.begin_owning(storage, turn);
        }
        let epoch = look.gate.epoch();
        shared.view.send_modify(|view| {
            let doubts = shared.doubts();
            // Somebody else may have written while this instance looked, or something has failed.
            let is_doubted = doubts.overtaken || doubts.condemned.contains(&epoch);
            *view = View {
                instance,
                gate: Some(look.gate.clone()),
                asked,
                storage: storage.filter(|_| !is_doubted),
                turn,
                owns,
            };
        });
        Ok(look)
    }

    /// Whether the gate is an instance's own, and has been for so long that nobody goes by what they
    /// knew before. The next look knows of whoever has come meanwhile; they wait for that.
    fn owns(&self, look: &Look, instance: Id) -> bool {
        let is_own = |(owner, since): (Id, i64)| {
            #[cfg(feature = "flaws")]
            if self.shared.is(Flaw::OwnedAtOnce) {
                return owner == instance;
            }
            let age = self.shared.clock.ticks().saturating_sub(since);
            owner == instance && age >= LEASE + MARGIN
        };
        self.owned.is_some_and(is_own) && is_alone(look, instance)
    }

    /// What was at hand before may have been changed by others who have not been heard.
    fn begin_owning(&self, storage: &R::Storage, turn: u64) {
        #[cfg(feature = "flaws")]
        if self.shared.is(Flaw::HandNotEmptied) {
            return;
        }
        let view = self.shared.view.borrow();
        if !view.owns || view.turn != turn {
            storage.empty_hand();
        }
    }

    /// Notes since when the gate stands as it does.
    fn note_gate(&mut self, gate: &Gate) {
        let now = self.shared.clock.ticks();
        let owner = gate.owner();
        if self.owned.map(|(owner, _)| owner) != owner {
            self.owned = owner.map(|owner| (owner, now));
        }
        let since = match &self.gate {
            Some((known, _)) if known == gate => return,
            // It is somebody else's now.
            Some((known, since))
                if known.is_open() && gate.is_open() && known.epoch() == gate.epoch() =>
            {
                self.gate = Some((gate.clone(), *since));
                tracing::info!(?gate, "the gate of the shared cache");
                return;
            }
            Some((Gate::Open { .. }, since)) if !gate.is_open() => Some(*since),
            _ => None,
        };
        if let Some(opened) = since {
            self.pause = match now.saturating_sub(opened) < LASTING {
                true => self.pause.saturating_mul(2).min(LONGEST_PAUSE),
                false => FIRST_PAUSE,
            };
        }
        tracing::info!(?gate, "the gate of the shared cache");
        self.gate = Some((gate.clone(), now));
    }

    /// For how long the gate has stood as it does, in microseconds, as far as is known.
    fn age(&self) -> i64 {
        let since = self.gate.as_ref().map(|(_, since)| *since);
        since.map_or(0, |since| self.shared.clock.ticks().saturating_sub(since))
    }

    /// What the open epoch is held in, and which turn it has.
    fn storage(&self, gate: &Gate, instance: Id) -> (Option<Arc<R::Storage>>, u64) {
        let view = self.shared.view.borrow();
        let Gate::Open {
            epoch,
            incarnation,
            owner,
        } = gate
        else {
            return (None, view.turn);
        };
        if owner.is_some_and(|owner| owner != instance) {
            return (None, view.turn);
        }
        if self.shared.doubts().condemned.contains(epoch) {
            return (None, view.turn);
        }
        let was_open = |known: &Gate| match known {
            Gate::Open {
                epoch: own,
                incarnation: on,
                ..
            } => own == epoch && on == incarnation,
            Gate::Closing(_) | Gate::Closed(_) => false,
        };
        let same = view.gate.as_ref().is_some_and(was_open) && view.instance == instance;
        if same && view.storage.is_some() {
            return (view.storage.clone(), view.turn);
        }
        let reached = self.reaches.as_ref();
        if !reached.is_some_and(|reached| self.is_the_same(reached, incarnation)) {
            return (None, view.turn);
        }
        let storage = self.shared.remote.at(*epoch, incarnation, instance);
        (Some(Arc::new(storage)), view.turn + 1)
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn is_the_same(&self, reached: &Incarnation, wanted: &Incarnation) -> bool {
        #[cfg(feature = "flaws")]
        if self.shared.is(Flaw::IncarnationUnchecked) {
            return true;
        }
        reached == wanted
    }

    /// Fences those who are silent, and cleans up after those who are fenced.
    async fn mind_others(&self, look: &Look) -> Result<()> {
        let shared = &self.shared;
        let myself = shared.view.borrow().instance;
        for peer in look.peers.iter().filter(|peer| peer.instance != myself) {
            if !peer.fenced && peer.silent < SILENCE {
                continue;
            }
            if !peer.fenced {
                tracing::warn!(instance = %peer.instance, "an instance is silent and counts as dead");
                #[cfg(feature = "flaws")]
                if shared.is(Flaw::FencedLate) && peer.silent < SILENCE + SILENCE / 2 {
                    self.take_back(&look.gate, peer).await;
                    continue;
                }
                shared.coordination.fence(peer.instance).await?;
            }
            if self.take_back(&look.gate, peer).await {
                shared.coordination.remove(peer.instance).await?;
            }
        }
        Ok(())
    }

    /// Takes back what somebody has announced who is fenced. Whether nothing of it is left.
    async fn take_back(&self, gate: &Gate, peer: &Peer) -> bool {
        let Gate::Open {
            epoch, incarnation, ..
        } = gate
        else {
            // What was announced was announced in an epoch that is over.
            return true;
        };
        let remote = &self.shared.remote;
        match remote.take_back(*epoch, incarnation, peer.instance).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "what a dead instance has announced cannot be taken back yet");
                false
            }
        }
    }

    /// Moves the gate where it is to be moved. Whether it was.
    async fn mind_gate(&mut self, look: &Look) -> Result<bool> {
        let shared = Arc::clone(&self.shared);
        match &look.gate {
            Gate::Open {
                epoch, incarnation, ..
            } => {
                let condemned = shared.doubts().condemned.contains(epoch);
                let reached = self.reaches.as_ref();
                let usable = reached.is_some_and(|own| self.is_the_same(own, incarnation));
                if usable && !condemned && !self.is_kept_from(look) {
                    if self.swept != *epoch {
                        self.sweep(*epoch, incarnation).await;
                    }
                    return self.mind_owner(look).await;
                }
                #[cfg(feature = "flaws")]
                if shared.is(Flaw::LeasesNotAwaited) {
                    return shared
                        .coordination
                        .shift(&look.gate, &Gate::Closed(*epoch))
                        .await;
                }
                shared
                    .coordination
                    .shift(&look.gate, &Gate::Closing(*epoch))
                    .await
            }
            Gate::Closing(epoch) if self.age() >= LEASE + MARGIN => {
                shared
                    .coordination
                    .shift(&look.gate, &Gate::Closed(*epoch))
                    .await
            }
            Gate::Closing(_) => {
                // Nobody can commit until then.
                shared.wake.notify_one();
                Ok(false)
            }
            Gate::Closed(epoch) => {
                let first = *epoch == Epoch::NONE;
                let Some(incarnation) = self.reached_by_all(look).cloned() else {
                    return Ok(false);
                };
                if !first && self.age() < self.pause {
                    return Ok(false);
                }
                let mut nonce = [0; 4];
                shared.random.fill(&mut nonce);
                let next = epoch.next(u32::from_be_bytes(nonce));
                if let Err(error) = shared.remote.prepare(next, &incarnation).await {
                    tracing::warn!(%error, "the shared cache cannot be made ready");
                    return Ok(false);
                }
                let myself = shared.view.borrow().instance;
                let open = Gate::Open {
                    epoch: next,
                    incarnation,
                    owner: is_alone(look, myself).then_some(myself),
                };
                shared.coordination.shift(&look.gate, &open).await
            }
        }
    }

    /// Whether the gate is somebody else's who will not give it up.
    fn is_kept_from(&self, look: &Look) -> bool {
        let myself = self.shared.view.borrow().instance;
        let Some((owner, since)) = self.owned.filter(|(owner, _)| *owner != myself) else {
            return false;
        };
        let is_owner = |peer: &Peer| peer.instance == owner && !peer.fenced;
        let waits = self.shared.clock.ticks().saturating_sub(since);
        waits >= GRACE || !look.peers.iter().any(is_owner)
    }

    /// Makes an open gate its own where nobody else is there, and gives it up where somebody is.
    /// Whether it was moved.
    async fn mind_owner(&self, look: &Look) -> Result<bool> {
        let shared = &self.shared;
        let myself = shared.view.borrow().instance;
        let owner = match (look.gate.owner(), is_alone(look, myself)) {
            (None, true) => Some(myself),
            (Some(owner), false) if owner == myself => None,
            _ => return Ok(false),
        };
        // That somebody has come is known by now, so that none goes ahead any more.
        if owner.is_none() && !self.may_give_up() {
            shared.wake.notify_one();
            return Ok(false);
        }
        let Gate::Open {
            epoch, incarnation, ..
        } = look.gate.clone()
        else {
            return Ok(false);
        };
        let to = Gate::Open {
            epoch,
            incarnation,
            owner,
        };
        shared.coordination.shift(&look.gate, &to).await
    }

    /// Whether everything is announced that went ahead.
    fn may_give_up(&self) -> bool {
        #[cfg(feature = "flaws")]
        if self.shared.is(Flaw::GivenUpEarly) {
            return true;
        }
        self.shared.ahead.is_empty()
    }

    /// The server that everybody can use.
    fn reached_by_all(&self, look: &Look) -> Option<&Incarnation> {
        let own = self.reaches.as_ref()?;
        let myself = self.shared.view.borrow().instance;
        // What the others see of this instance may be older than what it sees itself.
        let mut peers = look
            .peers
            .iter()
            .filter(|peer| !peer.fenced && peer.instance != myself);
        peers
            .all(|peer| peer.reaches.as_ref() == Some(own))
            .then_some(own)
    }

    /// Deletes what is left of earlier epochs.
    async fn sweep(&mut self, epoch: Epoch, on: &Incarnation) {
        match self.shared.remote.sweep(epoch, on).await {
            Ok(()) => self.swept = epoch,
            Err(error) => {
                tracing::warn!(%error, "what is left of earlier epochs cannot be deleted yet");
            }
        }
    }
}

/// Whether nobody is there but oneself, not even somebody who is fenced.
fn is_alone(look: &Look, myself: Id) -> bool {
    look.peers.iter().all(|peer| peer.instance == myself)
}
