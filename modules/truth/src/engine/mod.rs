//! The writer: takes whatever waits and commits it as one database transaction.
//!
//! [`Writer`] is the way in, [`queue`] what waits, [`lane`] a task that takes from it, [`batch`] the order of work inside one database
//! transaction, [`creates`] what most of it is, [`permit`] whether an operation may happen, [`execute`] what it does
//! to one document and [`walk`] to many, with its effects ([`effects`]) and its
//! consequences for documents that refer to it ([`removal`]). Documents that have left the truth are
//! taken in again before that ([`recall`]). Writes that were acknowledged before
//! are carried out in [`queued`].

mod announce;
mod attempt;
mod batch;
mod creates;
mod effects;
mod execute;
mod lane;
mod outbox;
mod permit;
mod queue;
mod queued;
mod reach;
mod recall;
mod references;
mod removal;
mod touched;
mod walk;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, AtomicUsize},
};

use nubo_core::{
    Error, Result,
    alone::Alone,
    clock::{Clock, Random},
    observe::Observer,
    queue::Number,
    schema::Catalog,
    write::{Outcome, Sequence, Transaction},
};
use tokio::{sync::oneshot, task::JoinHandle};

use self::{
    announce::Announcer,
    queue::{Queue, Reach},
    reach::Reaches,
    touched::{Changes, Doubtful},
};
use crate::session::Session;

pub(crate) use self::{announce::next_batch, outbox::Outbox, queued::Order};

/// What was handed over together, and who waits for it.
pub(crate) struct Job {
    work: Work,
    answer: oneshot::Sender<Vec<Result<Vec<Outcome>>>>,
}

/// What a lane can do.
enum Work {
    Transactions(Vec<Transaction>, Sequence),
    /// Writes that wait in the queue, in their order.
    Queued(Vec<(Number, Transaction)>),
    /// What is done to the queue itself.
    Orders(Vec<Order>),
}

impl Work {
    /// How many fates there will be.
    fn len(&self) -> usize {
        match self {
            Self::Transactions(transactions, _) => transactions.len(),
            Self::Queued(writes) => writes.len(),
            Self::Orders(orders) => orders.len(),
        }
    }
}

/// The way to the writer.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    reaches: Reaches,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

/// What a writer works with, whatever the database.
pub(crate) struct Surroundings {
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub observers: Vec<Arc<dyn Observer>>,
    /// What is noted of each batch for the recent tier, where there is one.
    pub outbox: Option<Outbox>,
    /// Where documents stay that the truth does not keep, where there is such a place.
    pub alone: Option<Arc<dyn Alone>>,
}

/// What the lanes of a writer share.
struct Shared {
    /// Whether any id was ever given up; while none was, nobody needs to look.
    tombstones: AtomicBool,
    /// When tombstones were last cleared away, in microseconds.
    swept: AtomicI64,
    /// How many lanes are connected.
    connected: AtomicUsize,
}

/// What one lane works with.
struct Engine<S: Session> {
    session: S,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    shared: Arc<Shared>,
    /// Where documents stay that the truth does not keep.
    alone: Option<Arc<dyn Alone>>,
    /// What the database transaction has changed so far, for those who want to hear of it.
    touched: Changes,
    /// What a batch has changed of which nobody knows whether it was committed.
    doubtful: Option<Doubtful>,
    /// How many rows were written by operations and what they cause: who walks over documents sees
    /// by it that those in its hand may be out of date.
    written: u64,
    /// Whether the attempt under way goes step by step, so that each transaction can be taken back.
    care: bool,
}

impl Writer {
    /// Starts a lane for each session.
    pub async fn start<S: Session>(
        mut sessions: Vec<S>,
        surroundings: Surroundings,
    ) -> Result<Self> {
        let Surroundings {
            catalog,
            clock,
            random,
            observers,
            outbox,
            alone,
        } = surroundings;
        announce::begin_batches(clock.micros());
        let mut tombstones = false;
        if let Some(first) = sessions.first_mut() {
            tombstones = first.has_tombstones().await?;
        }
        let shared = Arc::new(Shared {
            tombstones: AtomicBool::new(tombstones),
            swept: AtomicI64::new(0),
            connected: AtomicUsize::new(sessions.len()),
        });
        let announcer = Arc::new(Announcer::new(&catalog, observers, outbox.is_some()));
        let outbox = outbox.map(Arc::new);
        let queue = Arc::new(Queue::new());
        let reaches = Reaches::new(&catalog, sessions.len() > 1);
        let lanes = sessions.into_iter().map(|session| {
            let engine = Engine {
                session,
                catalog: Arc::clone(&catalog),
                clock: Arc::clone(&clock),
                random: Arc::clone(&random),
                shared: Arc::clone(&shared),
                alone: alone.clone(),
                touched: Changes::new(Arc::clone(&announcer), outbox.clone()),
                doubtful: None,
                written: 0,
                care: true,
            };
            tokio::spawn(lane::run(engine, Arc::clone(&queue)))
        });
        let lanes = Mutex::new(lanes.collect());
        Ok(Self {
            queue,
            reaches,
            lanes,
        })
    }

    /// Hands transactions over and waits until their fate is known.
    pub async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        let reach = self.reaches.of(&transactions);
        self.hand_over(Work::Transactions(transactions, sequence), reach)
            .await
    }

    /// Hands over writes that wait in the queue.
    pub async fn carry_out(&self, writes: Vec<(Number, Transaction)>) -> Vec<Result<()>> {
        let reach = self
            .reaches
            .of(writes.iter().map(|(_, transaction)| transaction));
        let fates = self.hand_over(Work::Queued(writes), reach).await;
        fates.into_iter().map(|fate| fate.map(drop)).collect()
    }

    /// Does something to the queue, all or nothing; gives how many dead letters it was about.
    pub async fn order(&self, orders: Vec<Order>) -> Result<u64> {
        // No transaction touches what orders are about, so that they never wait for one.
        let reach = Reach::Documents(Vec::new());
        let mut count = 0;
        for fate in self.hand_over(Work::Orders(orders), reach).await {
            for outcome in fate? {
                if let Outcome::Removed(removed) = outcome {
                    count += removed;
                }
            }
        }
        Ok(count)
    }

    async fn hand_over(&self, work: Work, reach: Reach) -> Vec<Result<Vec<Outcome>>> {
        let count = work.len();
        let (answer, answered) = oneshot::channel();
        let job = Job { work, answer };
        if self.queue.add(job, reach).await.is_err() {
            let stopping = || Err(Error::unavailable("stopping", "the server is stopping"));
            return (0..count).map(|_| stopping()).collect();
        }
        // The writer answers every job it takes, unless it has died of a bug.
        answered
            .await
            .unwrap_or_else(|_| (0..count).map(|_| Err(outcome_unknown())).collect())
    }

    /// Finishes what waits, then closes the connections.
    pub async fn stop(&self) {
        self.queue.close();
        let lanes = match self.lanes.lock() {
            Ok(mut lanes) => std::mem::take(&mut *lanes),
            Err(_) => return,
        };
        for lane in lanes {
            if let Err(error) = lane.await {
                tracing::error!(%error, "the writer did not end cleanly");
            }
        }
    }
}

/// 503: the write may have happened.
fn outcome_unknown() -> Error {
    Error::unavailable(
        "outcome_unknown",
        "it is not known whether the write has happened",
    )
}
