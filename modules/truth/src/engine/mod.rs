//! The writer: one task that commits whatever waits as one database transaction.
//!
//! [`Writer`] is the queue and the loop, [`batch`] the order of work inside one database
//! transaction, [`permit`] whether an operation may happen, [`execute`] what it does
//! to one document and [`walk`] to many, with its effects ([`effects`]) and its
//! consequences for documents that refer to it ([`removal`]).

mod batch;
mod effects;
mod execute;
mod permit;
mod references;
mod removal;
mod touched;
mod walk;

use std::sync::{Arc, Mutex};

use nubo_core::{
    Error, Result,
    clock::{Clock, Random},
    observe::Observer,
    schema::Catalog,
    write::{Outcome, Sequence, Transaction},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use self::touched::Changes;
use crate::sqlite::Session;

/// How many jobs may wait. Who comes later waits for a place, which slows clients down instead of
/// filling memory.
const WAITING: usize = 4096;
/// How many transactions go into one batch at most, so that nobody waits long for others.
const BATCH: usize = 512;

/// Transactions that were handed over together, and who waits for them.
pub(crate) struct Job {
    transactions: Vec<Transaction>,
    sequence: Sequence,
    answer: oneshot::Sender<Vec<Result<Vec<Outcome>>>>,
}

/// The way to the writer.
pub(crate) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer works with.
pub(crate) struct Engine {
    pub session: Session,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Whether any id was ever given up; while none was, nobody needs to look.
    pub tombstones: bool,
    /// When tombstones were last cleared away, in microseconds.
    pub swept: i64,
    /// What the database transaction has changed so far, for those who want to hear of it.
    pub touched: Changes,
    /// How many rows were written by operations and what they cause: who walks over documents sees
    /// by it that those in its hand may be out of date.
    pub written: u64,
}

impl Writer {
    /// Starts the task.
    pub async fn start(
        mut session: Session,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Self> {
        let tombstones = session.has_tombstones().await?;
        let engine = Engine {
            session,
            touched: Changes::new(&catalog, observers),
            catalog,
            clock,
            random,
            tombstones,
            swept: 0,
            written: 0,
        };
        let (jobs, waiting) = mpsc::channel(WAITING);
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            task: Mutex::new(Some(tokio::spawn(run(engine, waiting)))),
        })
    }

    /// Hands transactions over and waits until their fate is known.
    pub async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        let count = transactions.len();
        let stopped = || {
            (0..count)
                .map(|_| Err(Error::unavailable("stopping", "the server is stopping")))
                .collect()
        };
        let jobs = self.jobs.lock().ok().and_then(|jobs| jobs.clone());
        let Some(jobs) = jobs else { return stopped() };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            transactions,
            sequence,
            answer,
        };
        if jobs.send(job).await.is_err() {
            return stopped();
        }
        // The writer answers every job it takes, unless it has died of a bug.
        answered.await.unwrap_or_else(|_| {
            (0..count)
                .map(|_| {
                    Err(Error::unavailable(
                        "outcome_unknown",
                        "it is not known whether the write has happened",
                    ))
                })
                .collect()
        })
    }

    /// Finishes what waits, then closes the connection.
    pub async fn stop(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.take();
        }
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer did not end cleanly");
        }
    }
}

/// Takes whatever waits, commits it, takes the next. There is no timer: a lone write goes at once,
/// and while it is being synced the others gather.
async fn run(mut engine: Engine, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while let Some(first) = waiting.recv().await {
        let mut transactions = first.transactions.len();
        jobs.push(first);
        while transactions < BATCH {
            match waiting.try_recv() {
                Ok(job) => {
                    transactions += job.transactions.len();
                    jobs.push(job);
                }
                Err(_) => break,
            }
        }
        batch::commit(&mut engine, std::mem::take(&mut jobs)).await;
    }
    engine.session.close().await;
}
