//! Attempts at a batch: the first in one go, the next with what was learned.
//!
//! Where the database ends a transaction at the first refusal, the first attempt hopes for the best
//! and needs no savepoints. If it comes to nothing, the next goes with care: each statement behind
//! a savepoint, so that the bad one is found and fails alone. Where others were in the way, it is
//! tried again after a pause, and after some pauses transaction by transaction.

use std::time::Duration;

use nubo_core::{
    Error, Result,
    observe::Fate as BatchFate,
    write::{Outcome, Sequence, Transaction},
};
use tokio::sync::oneshot;

use super::{
    Engine, Job, Work, batch, outcome_unknown,
    queued::{OrderEntry, QueuedEntry},
};
use crate::session::{Session, Trouble};

/// How often a batch is tried while others are in the way.
const ATTEMPTS: u32 = 8;
/// How often a batch is tried while the terms of its commit do not hold.
const REFUSED: u32 = 16;
/// After how many attempts its jobs are tried one by one.
const TOGETHER: u32 = 3;

/// How many operations of a batch are kept for another attempt. Imports hold more and go with care
/// from the beginning.
const KEPT: usize = 20_000;

/// What became of a transaction.
pub(super) type Fate = Result<Vec<Outcome>>;
/// Those of a batch by job, as far as they are known.
pub(super) type Fates = Vec<Vec<Option<Fate>>>;

/// The transactions of several jobs.
#[derive(Clone)]
pub(super) struct Batch {
    /// How many transactions each job has.
    shape: Vec<usize>,
    pub orders: Vec<OrderEntry>,
    pub queued: Vec<QueuedEntry>,
    pub independent: Vec<Entry>,
    pub ordered: Vec<Vec<Entry>>,
}

/// A transaction of the batch and where its fate goes.
#[derive(Clone)]
pub(super) struct Entry {
    pub job: usize,
    pub place: usize,
    pub transaction: Transaction,
}

/// Executes jobs and answers them. What is done to the queue goes first, for it is quick and its
/// senders have been promised that it is; what waits there goes last and alone, for it may not be the
/// turn of this server.
pub(super) async fn commit<S: Session>(engine: &mut Engine<S>, jobs: Vec<Job>) {
    let mut parts: [Vec<Job>; 3] = Default::default();
    for job in jobs {
        let part = match job.work {
            Work::Orders(_) => 0,
            Work::Transactions(..) => 1,
            Work::Queued(_) => 2,
        };
        parts[part].push(job);
    }
    for jobs in parts {
        if !jobs.is_empty() {
            commit_together(engine, jobs).await;
        }
    }
}

async fn commit_together<S: Session>(engine: &mut Engine<S>, jobs: Vec<Job>) {
    let mut answers: Vec<oneshot::Sender<Vec<Fate>>> = Vec::with_capacity(jobs.len());
    let mut batch = Batch::new();
    for job in jobs {
        answers.push(job.answer);
        batch.add(job.work);
    }
    let fates = carry_out(engine, batch).await;
    for (answer, fates) in answers.into_iter().zip(fates) {
        // Who has gone away meanwhile does not need to know.
        answer.send(fates).ok();
    }
    match S::CONCURRENT {
        true => engine.touched.settle_meanwhile(BatchFate::Committed).await,
        // Nobody else writes; what observes it is in this process, and quick.
        false => engine.touched.settle(BatchFate::Committed).await,
    }
}

/// Carries a batch out, however many attempts that takes.
async fn carry_out<S: Session>(engine: &mut Engine<S>, mut batch: Batch) -> Vec<Vec<Fate>> {
    let (mut tries, mut refused) = (0, 0);
    // One that cannot be kept for another attempt is not retried.
    let once = !S::CONCURRENT || batch.operations() > KEPT;
    let mut was_lost = once;
    engine.care = once;
    loop {
        let attempt = match once {
            true => std::mem::replace(&mut batch, Batch::new()),
            false => batch.clone(),
        };
        let mut fates = attempt.no_fates();
        let result = batch::execute(engine, attempt, &mut fates).await;
        match engine.session.take_trouble() {
            None => return settled(fates, result.err()),
            Some(Trouble::Refused) if !engine.care => engine.care = true,
            Some(Trouble::Refused) => {
                let error = Error::internal("a refused statement has ended the transaction");
                return settled(fates, Some(result.err().unwrap_or(error)));
            }
            Some(Trouble::Conflict) => {
                tries += 1;
                if !once && tries >= TOGETHER && batch.shape.len() > 1 {
                    return one_by_one(engine, batch).await;
                }
                if once || tries >= ATTEMPTS {
                    let error = Error::unavailable("conflict", "others write the same documents");
                    return settled(fates, Some(error));
                }
                tokio::time::sleep(pause(engine, tries)).await;
            }
            Some(Trouble::Lost) => {
                let gone = Error::unavailable("truth_unavailable", "the database is not there");
                if was_lost || engine.session.connect().await.is_err() {
                    return settled(fates, Some(gone));
                }
                was_lost = true;
            }
            // What is known of the gate is looked at again before the next one is announced.
            Some(Trouble::Terms) => {
                refused += 1;
                if once || refused >= REFUSED {
                    return settled(fates, Some(gate_moves()));
                }
            }
            Some(Trouble::Unknown) => return settled(fates, Some(outcome_unknown())),
        }
    }
}

/// 503: nothing was written.
fn gate_moves() -> Error {
    Error::unavailable(
        "cache_undecided",
        "the shared cache was switched on or off meanwhile",
    )
}

async fn one_by_one<S: Session>(engine: &mut Engine<S>, batch: Batch) -> Vec<Vec<Fate>> {
    let mut fates = Vec::with_capacity(batch.shape.len());
    for job in batch.by_job() {
        fates.extend(Box::pin(carry_out(engine, job)).await);
    }
    fates
}

/// How long to wait before the next try: longer each time, and not as long as others who try the
/// same.
fn pause<S: Session>(engine: &Engine<S>, tries: u32) -> Duration {
    let longest = 4u64 << tries.min(6);
    let mut chance = [0; 1];
    engine.random.fill(&mut chance);
    Duration::from_millis(longest / 2 + longest * u64::from(chance[0]) / 512)
}

/// The fates of a batch. Nothing is durable when the commit failed, whatever each transaction
/// thought of itself.
fn settled(fates: Fates, failure: Option<Error>) -> Vec<Vec<Fate>> {
    let settle = |fate: Option<Fate>| match (&failure, fate) {
        (Some(error), None | Some(Ok(_))) => Err(error.copied()),
        (_, Some(fate)) => fate,
        (None, None) => Err(Error::internal("a transaction was forgotten")),
    };
    fates
        .into_iter()
        .map(|fates| fates.into_iter().map(settle).collect())
        .collect()
}

/// Finds out, once the database is there again, what became of a batch whose outcome was not known,
/// and tells the observers.
pub(super) async fn settle_doubt<S: Session>(engine: &mut Engine<S>) {
    let Some(doubtful) = engine.doubtful.take() else {
        return;
    };
    let fate = match engine.session.was_committed().await {
        Some(true) => {
            engine.touched.ticket().committed(doubtful.touched).await;
            BatchFate::Committed
        }
        Some(false) => BatchFate::Aborted,
        None => {
            // What was announced stays announced: whoever reads it asks the truth, now and later.
            tracing::error!("it stays unknown whether a batch was committed");
            return;
        }
    };
    if let Some(announced) = doubtful.announced {
        announced.settle(fate).await;
    }
}

impl Batch {
    fn new() -> Self {
        Self {
            shape: Vec::new(),
            orders: Vec::new(),
            queued: Vec::new(),
            independent: Vec::new(),
            ordered: Vec::new(),
        }
    }

    fn add(&mut self, work: Work) {
        let job = self.shape.len();
        self.shape.push(work.len());
        let entry = |(place, transaction)| Entry {
            job,
            place,
            transaction,
        };
        match work {
            Work::Transactions(transactions, sequence) => {
                let entries = transactions.into_iter().enumerate().map(entry);
                match sequence {
                    Sequence::Independent => self.independent.extend(entries),
                    Sequence::StopAtError => self.ordered.push(entries.collect()),
                }
            }
            Work::Queued(writes) => {
                let writes = writes.into_iter().enumerate();
                let writes = writes.map(|(place, (number, transaction))| QueuedEntry {
                    number,
                    entry: entry((place, transaction)),
                });
                self.queued.extend(writes);
            }
            Work::Orders(orders) => {
                let orders = orders.into_iter().enumerate();
                let orders = orders.map(|(place, order)| OrderEntry { job, place, order });
                self.orders.extend(orders);
            }
        }
    }

    /// Whether it is about transactions that were asked for just now and nothing else.
    pub fn is_usual(&self) -> bool {
        self.orders.is_empty() && self.queued.is_empty()
    }

    fn operations(&self) -> usize {
        let ordered = self.ordered.iter().flatten();
        let queued = self.queued.iter().map(|write| &write.entry);
        let entries = self.independent.iter().chain(ordered).chain(queued);
        entries
            .map(|entry| entry.transaction.operations.len())
            .sum()
    }

    fn no_fates(&self) -> Fates {
        let unknown = |count: &usize| (0..*count).map(|_| None).collect();
        self.shape.iter().map(unknown).collect()
    }

    /// One batch for each job.
    fn by_job(self) -> Vec<Self> {
        let alone = |count: &usize| Self {
            shape: vec![*count],
            ..Self::new()
        };
        let mut batches: Vec<Self> = self.shape.iter().map(alone).collect();
        let moved = |mut entry: Entry| {
            let job = std::mem::take(&mut entry.job);
            (job, entry)
        };
        for (job, entry) in self.independent.into_iter().map(moved) {
            batches[job].independent.push(entry);
        }
        for mut order in self.orders {
            let job = std::mem::take(&mut order.job);
            batches[job].orders.push(order);
        }
        for QueuedEntry { number, entry } in self.queued {
            let (job, entry) = moved(entry);
            batches[job].queued.push(QueuedEntry { number, entry });
        }
        for entries in self.ordered {
            let Some(first) = entries.first() else {
                continue;
            };
            let job = first.job;
            let entries = entries.into_iter().map(|entry| moved(entry).1);
            batches[job].ordered.push(entries.collect());
        }
        batches
    }
}
