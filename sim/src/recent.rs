//! The recent tier: its server, and the way of each instance to it. Questions and answers take their
//! time or get lost, commands arrive late, the server stands still, and it restarts with all that it
//! had or is set back to what it had some time ago: documents, state and marks together.
//!
//! What is believed of it is held as `nubo-recent` holds it: for the connections that there were when
//! somebody looked, and for no others.

mod server;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    cache::Held,
    coordination::Epoch,
    document::Document,
    id::Id,
    outbox::Outbox as _,
    query::Query,
    recent::{Found, Founding, Fresh, Recent, Sight},
    schema::CollectionId,
    time::Timestamp,
};
use tokio::sync::oneshot;

use self::server::{Data, Version};
pub use self::server::{Row, SimMongo};
use crate::{
    mutant::Mutant,
    scheduler::{Group, Moment},
    truth::SimTruth,
};

/// The group of the server's tasks.
pub const MONGO: Group = 2;

/// How often a connection is made beside those that there are: once in so many commands.
const GROWS: u32 = 150;
/// How often an answer gets lost: once in so many.
const LOST: u32 = 120;

/// The way of one instance to the recent tier.
pub struct SimRecent {
    server: Arc<SimMongo>,
    /// Until when it is cut.
    cut: AtomicU64,
    /// The incarnation that its connections lead to.
    connected: Mutex<Option<u64>>,
    /// How many connections were ever made.
    made: AtomicU64,
    /// What a look has found, and how many connections had been made when it began.
    known: Mutex<Option<(Epoch, u64)>>,
    /// Where what is brought is noted before it is: a mistake.
    covers: Option<Arc<SimTruth>>,
    /// Whether nothing is lost any longer by itself.
    is_calm: Arc<AtomicBool>,
}

impl SimRecent {
    /// A way that nobody has gone yet.
    pub fn new(server: Arc<SimMongo>) -> Self {
        Self {
            is_calm: server.calmness(),
            server,
            cut: AtomicU64::new(0),
            connected: Mutex::default(),
            made: AtomicU64::new(0),
            known: Mutex::default(),
            covers: None,
        }
    }

    /// The same for a backfill, which may note what it brings before it brings it where that is the
    /// mistake.
    #[must_use]
    pub fn covering(mut self, truth: Arc<SimTruth>) -> Self {
        let is_wrong = self.server.mutant == Some(Mutant::CoveredEarly);
        self.covers = is_wrong.then_some(truth);
        self
    }

    /// Cuts it until then.
    pub fn cut(&self, until: Moment) {
        self.cut.store(until, Ordering::Relaxed);
        *locked(&self.connected) = None;
    }

    fn holds(&self, epoch: Epoch) -> Result<()> {
        match self.epoch() == Some(epoch) {
            true => Ok(()),
            false => Err(away("it is not certain what it is")),
        }
    }

    /// The connection that a command goes over, which may be a new one.
    fn connection(&self) -> Result<u64> {
        let server = &self.server;
        let current = server.incarnation();
        let mut connected = locked(&self.connected);
        let grows = server.scheduler.draw(|random| random.u32(..GROWS)) == 0;
        match *connected {
            Some(own) if own == current && (!grows || self.is_calm.load(Ordering::Relaxed)) => {}
            Some(own) if own != current && server.scheduler.draw(fastrand::Rng::bool) => {
                *connected = None;
                return Err(away("the connection is closed"));
            }
            _ => {
                // It is counted before anybody uses it.
                self.made.fetch_add(1, Ordering::Relaxed);
                *connected = Some(current);
            }
        }
        Ok(current)
    }

    /// Has the server do something. It may do so although the answer is an error.
    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&SimMongo, &mut Data) -> T + Send + 'static,
    ) -> Result<T> {
        let server = &self.server;
        let scheduler = &server.scheduler;
        scheduler.step(what).await;
        let healed = self.cut.load(Ordering::Relaxed);
        let cut = scheduler.now() < healed;
        if cut && scheduler.draw(fastrand::Rng::bool) {
            return Err(away("cut off on the way there"));
        }
        let connection = self.connection()?;
        let (answer, answered) = oneshot::channel();
        let own = Arc::clone(server);
        let late = match cut {
            true => healed.saturating_sub(scheduler.now()) + server.lateness(1),
            false => server.lateness(0),
        };
        scheduler.spawn_endless(MONGO, what, async move {
            if late > 0 {
                own.scheduler.sleep(late).await;
            }
            own.scheduler.step("arrives at the recent tier").await;
            // What comes over a connection to a server that has ended is lost.
            if own.incarnation() == connection {
                let done = act(&own, &mut own.data());
                // Whoever has asked may be dead, or have gone away.
                answer.send(done).ok();
            }
        });
        let wait = late.max(server.stands_still_for());
        let is_lost = !self.is_calm.load(Ordering::Relaxed)
            && scheduler.draw(|random| random.u32(..LOST)) == 0;
        if cut || is_lost || wait > server.patience {
            scheduler.sleep(server.patience).await;
            return Err(away("no answer in time"));
        }
        let answer = answered.await;
        scheduler.step("hears from the recent tier").await;
        if scheduler.now() < self.cut.load(Ordering::Relaxed) {
            return Err(away("cut off on the way back"));
        }
        answer.map_err(|_| away("the server has ended"))
    }

    /// The same for what changes something.
    async fn change<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&SimMongo, &mut Data) -> T + Send + 'static,
    ) -> Result<T> {
        let change = |server: &SimMongo, data: &mut Data| {
            server.remember(data);
            act(server, data)
        };
        self.call(what, change).await
    }

    /// Notes what is about to be brought as if it had been.
    async fn cover_early(
        &self,
        epoch: Epoch,
        of: CollectionId,
        versions: &[Version],
    ) -> Result<()> {
        let Some(truth) = &self.covers else {
            return Ok(());
        };
        let created = versions
            .iter()
            .filter_map(|version| self.server.created(of, version));
        if let Some(since) = created.min() {
            truth.cover(epoch, of, since).await?;
            self.server.scheduler.step("is covered early").await;
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn away(why: &'static str) -> Error {
    Error::unavailable("recent_unavailable", why)
}

#[async_trait]
impl Recent for SimRecent {
    fn epoch(&self) -> Option<Epoch> {
        let known = *locked(&self.known);
        let known = known.filter(|(_, made)| *made == self.made.load(Ordering::Relaxed));
        known.map(|(epoch, _)| epoch)
    }

    async fn look(&self) -> Result<Sight> {
        let connections = self.made.load(Ordering::Relaxed);
        self.call("looks at the recent tier", move |server, data| {
            let epoch = data.founding.as_ref().map(|founding| founding.epoch);
            let marks = data.marks.iter();
            let marks = marks.filter(|(_, (of, _))| Some(*of) == epoch.map(|epoch| epoch.number));
            Sight {
                epoch,
                truth: data
                    .founding
                    .as_ref()
                    .map(|founding| founding.truth.clone()),
                marks: marks
                    .map(|(process, (_, mark))| (*process, *mark))
                    .collect(),
                connections,
                // Some servers say which run it is.
                server: server
                    .says_its_run()
                    .then(|| server.incarnation().to_string()),
            }
        })
        .await
    }

    fn trust(&self, sight: &Sight) {
        let made = sight.connections;
        let known = sight.epoch.map(|epoch| (epoch, made));
        *locked(&self.known) = known.filter(|_| made == self.made.load(Ordering::Relaxed));
    }

    fn distrust(&self) {
        *locked(&self.known) = None;
    }

    async fn found(&self, founding: &Founding) -> Result<bool> {
        let founding = founding.clone();
        self.change("founds the recent tier", move |_, data| {
            data.found(founding)
        })
        .await
    }

    async fn mark(&self, epoch: Epoch, process: Id, from: i64) -> Result<bool> {
        self.change("marks the recent tier", move |server, data| {
            let moved = data.mark(epoch, process, from);
            server
                .scheduler
                .note(|| format!("marks {process} from {from}: {moved}"));
            moved
        })
        .await
    }

    async fn documents(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Vec<Found>> {
        self.holds(epoch)?;
        let ids = ids.to_vec();
        let found = self.call("asks the recent tier", move |server, data| {
            let found = ids
                .iter()
                .map(|id| server.document(data, epoch, (collection, *id)));
            let found: Vec<Found> = found.collect();
            server
                .scheduler
                .note(|| format!("the recent tier has {found:?}"));
            found
        });
        let found = found.await?;
        self.holds(epoch)?;
        Ok(found)
    }

    async fn list(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Arc<Held>>> {
        self.holds(epoch)?;
        let query = query.clone();
        let found = self.call("lists from the recent tier", move |server, data| {
            server.list(data, epoch, &query, created_since)
        });
        let found = found.await?;
        self.holds(epoch)?;
        Ok(found)
    }

    /// As far as it is sent: no collection of the simulation has more.
    async fn find(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Document>> {
        let found = self.list(epoch, query, created_since).await?;
        let collection = self.server.collection(query.collection);
        let documents = found.iter().map(|held| collection.read_sent(&held.json));
        documents.collect()
    }

    async fn bring(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        versions: &[Fresh<'_>],
        now: Timestamp,
    ) -> Result<Vec<Id>> {
        let mut versions: Vec<Version> = versions.iter().map(Version::of).collect();
        // So that a run is the same every time.
        versions.sort_by_key(|version| version.id);
        self.cover_early(epoch, collection, &versions).await?;
        let began = self.server.begin_bringing();
        let mut refused = Vec::new();
        // They arrive one by one.
        for version in versions {
            let brought = self.change("brings to the recent tier", {
                let began = began.clone();
                move |server, data| {
                    server.bring(data, epoch, collection, &version, now);
                    drop(began);
                    (version.id, server.cannot_hold(&version))
                }
            });
            let (id, cannot) = brought.await?;
            refused.extend(cannot.then_some(id));
        }
        Ok(refused)
    }

    async fn touch(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
        now: Timestamp,
    ) -> Result<()> {
        let ids = ids.to_vec();
        self.change("touches the recent tier", move |_, data| {
            for id in ids {
                data.touch(epoch, (collection, id), now);
            }
        })
        .await
    }

    async fn clean(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        used_before: Option<Timestamp>,
    ) -> Result<u64> {
        self.change("cleans the recent tier", move |_, data| {
            data.clean(epoch, collection, used_before)
        })
        .await
    }
}

/// Marks by process, each with the number of its epoch.
type Marks = HashMap<Id, (u64, i64)>;
