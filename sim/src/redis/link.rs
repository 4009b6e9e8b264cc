//! The way of one instance to the server.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nubo_cache::storage::{DocumentKey, Remote};
use nubo_core::{
    Result,
    cache::Held,
    coordination::{Epoch, Incarnation},
    id::Id,
};
use tokio::sync::oneshot;

use super::{Command, REDIS, SimRedis, away, epoch::SimEpoch};
use crate::{mutant::Mutant, scheduler::Moment};

/// The way of one instance to the server.
#[derive(Clone)]
pub struct SimLink(Arc<Link>);

pub(super) struct Link {
    pub(super) server: Arc<SimRedis>,
    /// Until when it is cut.
    cut: AtomicU64,
    /// The incarnation that its connection leads to.
    connected: Mutex<Option<u64>>,
    hand: Mutex<Hand>,
}

/// What was read of documents. Of what others change nobody hears.
#[derive(Default)]
struct Hand {
    held: BTreeMap<(Epoch, DocumentKey), Arc<Held>>,
    /// How often something was forgotten.
    told: u64,
}

impl SimLink {
    /// A way that nobody has gone yet.
    pub fn new(server: Arc<SimRedis>) -> Self {
        Self(Arc::new(Link {
            server,
            cut: AtomicU64::new(0),
            connected: Mutex::default(),
            hand: Mutex::default(),
        }))
    }

    /// Cuts it until then.
    pub fn cut(&self, until: Moment) {
        self.0.cut.store(until, Ordering::Relaxed);
        *self.0.connected() = None;
    }
}

impl Link {
    fn connected(&self) -> MutexGuard<'_, Option<u64>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a document is asked for that may be kept at hand.
    pub(super) fn ticket(&self) -> u64 {
        self.hand().told
    }

    /// Keeps a document at hand, if nothing was forgotten since.
    pub(super) fn keep(&self, epoch: Epoch, document: DocumentKey, held: &Arc<Held>, ticket: u64) {
        let mut hand = self.hand();
        if hand.told == ticket {
            hand.held.insert((epoch, document), Arc::clone(held));
        }
    }

    pub(super) fn at_hand(&self, epoch: Epoch, document: DocumentKey) -> Option<Arc<Held>> {
        self.hand().held.get(&(epoch, document)).cloned()
    }

    /// Forgets a document, or all.
    pub(super) fn forget(&self, document: Option<DocumentKey>) {
        let mut hand = self.hand();
        hand.told += 1;
        hand.held
            .retain(|(_, own), _| document.is_some_and(|document| *own != document));
    }

    /// The incarnation that a connection leads to, which breaks where it is not there any more.
    pub(super) fn connection(&self, wanted: &Incarnation) -> Result<u64> {
        let mut connected = self.connected();
        let current = self.server.state().incarnation;
        match *connected {
            Some(own) if own != current => {
                *connected = None;
                Err(away("the connection is closed"))
            }
            Some(own)
                if own.to_string() == wanted.name()
                    || self.server.mutant == Some(Mutant::IncarnationUnchecked) =>
            {
                Ok(own)
            }
            Some(_) => Err(away("it is another server now")),
            None => Err(away("there is no connection")),
        }
    }

    /// Has the server do something. It may do so although the answer is an error.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        connection: u64,
        what: &'static str,
        act: impl FnOnce(&Arc<SimRedis>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let server = &self.server;
        let scheduler = &server.scheduler;
        scheduler.step(what).await;
        let healed = self.cut.load(Ordering::Relaxed);
        let cut = scheduler.now() < healed;
        if cut && scheduler.draw(fastrand::Rng::bool) {
            return Err(away("cut off on the way there"));
        }
        let (answer, answered) = oneshot::channel();
        let own = Arc::clone(server);
        // What was on its way when the line was cut arrives when it is there again, or later.
        let late = match cut {
            true => healed.saturating_sub(scheduler.now()) + server.lateness(1),
            false => match server.late() {
                Some((often, _)) => server.lateness(often),
                None => 0,
            },
        };
        scheduler.spawn_endless(REDIS, what, async move {
            if late > 0 {
                own.scheduler.sleep(late).await;
            }
            own.scheduler.step("arrives at the cache").await;
            // What comes over a connection to a server that has ended is lost.
            if own.state().incarnation == connection {
                answer.send(act(&own)).ok();
            }
        });
        let stopped = server.state().stopped;
        if cut || late.max(stopped.saturating_sub(scheduler.now())) > server.patience {
            scheduler.sleep(server.patience).await;
            return Err(away("no answer in time"));
        }
        let answer = answered.await;
        scheduler.step("hears from the cache").await;
        if scheduler.now() < self.cut.load(Ordering::Relaxed) {
            return Err(away("cut off on the way back"));
        }
        answer.unwrap_or_else(|_| Err(away("the server has ended")))
    }
}

impl Remote for SimLink {
    type Storage = SimEpoch;

    async fn reach(&self) -> Result<Incarnation> {
        let scheduler = &self.0.server.scheduler;
        if scheduler.now() < self.0.cut.load(Ordering::Relaxed) {
            scheduler.sleep(self.0.server.patience).await;
            return Err(away("cut off"));
        }
        let current = self.0.server.state().incarnation;
        let connection = match *self.0.connected() {
            Some(own) if own == current => own,
            _ => current,
        };
        let answer = self
            .0
            .call(connection, "ping", |server| Ok(server.state().incarnation));
        let incarnation = answer.await.inspect_err(|_| *self.0.connected() = None)?;
        *self.0.connected() = Some(incarnation);
        Ok(Incarnation::new(incarnation.to_string()))
    }

    async fn prepare(&self, epoch: Epoch, on: &Incarnation) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "prepare", move |server| {
                let shared = server.mutant == Some(Mutant::EpochUnchecked);
                let mut state = server.state();
                match state.epochs.values_mut().next_back() {
                    Some(data) if shared => drop(data.apply(Command::Clear)),
                    _ => {
                        let data = server.data();
                        state.epochs.entry(epoch).or_insert(data);
                    }
                }
                Ok(())
            })
            .await
    }

    fn at(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> SimEpoch {
        SimEpoch {
            link: Arc::clone(&self.0),
            epoch,
            on: on.clone(),
            instance,
        }
    }

    async fn take_back(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "take back", move |server| {
                server.act(epoch, Command::TakeBack(instance)).map(drop)
            })
            .await
    }

    async fn sweep(&self, below: Epoch, on: &Incarnation) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "sweep", move |server| {
                if server.mutant != Some(Mutant::EpochUnchecked) {
                    let mut state = server.state();
                    state.epochs.retain(|epoch, _| epoch.number >= below.number);
                }
                Ok(())
            })
            .await
    }
}
