//! `write: behind`: new documents are acknowledged when they are durable in a queue, and carried out
//! afterwards.
//!
//! Only what can be decided at once goes into the queue ([`door`]). [`apply`] takes it from there, in
//! its order, one server at a time. Whoever reads, or writes something that may meet what is queued
//! ([`meets`]), waits until everything is carried out that was queued when they came: so nobody sees
//! that anything is behind, and nothing is ever stale.

mod apply;
mod door;
mod meets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nubo_core::{
    Error, Result,
    clock::Clock,
    queue::{DeadLetter, Number, QueuedWrite, Standing, Which, WriteQueue},
    schema::{Catalog, CollectionId},
    truth::Truth,
    write::Transaction,
};
use tokio::sync::{Mutex, Notify};

pub use apply::Applying;
use meets::Meets;

/// After how long whoever waits looks again, where nobody says that there is something to see.
const LOOK: Duration = Duration::from_millis(5);
/// The same where everything is carried out in this process, which says so.
const LOOK_ALONE: Duration = Duration::from_millis(100);

/// How the queue is used.
#[derive(Debug, Clone, Copy)]
pub struct BehindSettings {
    /// Whether other servers append to it as well.
    pub is_shared: bool,
    /// How many writes may wait, about.
    pub most: u64,
    /// How long a request waits for what is queued.
    pub patience: Duration,
}

/// The queue of a store.
pub struct Behind {
    catalog: Arc<Catalog>,
    truth: Arc<dyn Truth>,
    clock: Arc<dyn Clock>,
    settings: BehindSettings,
    meets: Meets,
    traffic: Traffic,
    looks: Looks,
    /// There is something to carry out.
    wake: Notify,
    /// Something was carried out.
    advanced: Notify,
}

/// What this process has appended.
struct Traffic {
    /// How many times it has begun to append.
    begun: AtomicU64,
    /// How many times it is known what came of it.
    ended: AtomicU64,
    /// Everything has been carried out of as many times. None that has been reached until the queue
    /// was seen empty.
    settled: AtomicU64,
    /// How many writes wait, about.
    waiting: AtomicU64,
}

/// Looks at the queue, one at a time. Whoever comes while one is under way shares the next.
#[derive(Default)]
struct Looks {
    begun: AtomicU64,
    /// The number of the last one, and what was seen.
    last: Mutex<(u64, Option<Standing>)>,
}

/// An append that is under way.
struct Appending<'a>(&'a Traffic);

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Behind {
    /// The queue that the truth keeps; none where it keeps none.
    pub fn new(
        catalog: Arc<Catalog>,
        truth: Arc<dyn Truth>,
        clock: Arc<dyn Clock>,
        settings: BehindSettings,
    ) -> Option<Arc<Self>> {
        truth.queue()?;
        Some(Arc::new(Self {
            meets: Meets::of(&catalog),
            catalog,
            truth,
            clock,
            settings,
            traffic: Traffic::new(),
            looks: Looks::default(),
            wake: Notify::new(),
            advanced: Notify::new(),
        }))
    }

    fn queue(&self) -> Result<&dyn WriteQueue> {
        let missing = || Error::internal("the truth keeps no queue");
        self.truth.queue().ok_or_else(missing)
    }

    /// Whether any collection is `write: behind`. If not, only what was queued before is carried out.
    pub fn is_used(&self) -> bool {
        self.meets.any()
    }

    /// Whether what is queued may change documents of a collection.
    fn touches(&self, collection: CollectionId) -> bool {
        self.meets.touched(collection)
    }

    /// Whether what is read of a collection may be queued.
    pub(crate) fn concerns(&self, collection: CollectionId) -> bool {
        self.meets.reading(collection)
    }

    /// Whether a transaction may touch or look at what is queued.
    pub(crate) fn is_met_by(&self, transaction: &Transaction) -> bool {
        let mut operations = transaction.operations.iter();
        operations.any(|operation| self.meets.writing(operation))
    }

    /// Appends writes: they are durable when this returns.
    pub(crate) async fn append(&self, writes: Vec<QueuedWrite>) -> Result<()> {
        let waiting = &self.traffic.waiting;
        if waiting.load(Ordering::Relaxed) >= self.settings.most {
            return Err(Error::unavailable(
                "queue_full",
                "more is being written than can be carried out at the moment",
            ));
        }
        waiting.fetch_add(writes.len() as u64, Ordering::Relaxed);
        self.traffic.begun.fetch_add(1, Ordering::SeqCst);
        let appending = Appending(&self.traffic);
        let appended = self.queue()?.append(writes).await;
        drop(appending);
        self.wake.notify_one();
        appended
    }

    /// Waits until everything is carried out that was acknowledged before this was called.
    ///
    /// # Errors
    /// 503 where that takes too long, or the truth cannot be asked.
    pub(crate) async fn caught_up(&self) -> Result<()> {
        if !self.settings.is_shared && self.traffic.is_settled() {
            return Ok(());
        }
        let waiting = self.wait();
        match tokio::time::timeout(self.settings.patience, waiting).await {
            Ok(waited) => waited,
            Err(_elapsed) => Err(Error::unavailable(
                "writes_pending",
                "what was written before is still being carried out",
            )),
        }
    }

    /// Numbers grow, so that whatever could be seen at the beginning is gone when the first number
    /// is beyond what was the last one then.
    async fn wait(&self) -> Result<()> {
        let Some(Standing { last, .. }) = self.look().await? else {
            return Ok(());
        };
        self.wake.notify_one();
        let pause = match self.settings.is_shared {
            true => LOOK,
            false => LOOK_ALONE,
        };
        loop {
            let advanced = self.advanced.notified();
            match self.look().await? {
                Some(standing) if standing.first <= last => {}
                _ => return Ok(()),
            }
            // Whether somebody said so or not, it is looked at again.
            tokio::time::timeout(pause, advanced).await.ok();
        }
    }

    /// Where the queue stands, at some moment after this was called.
    async fn look(&self) -> Result<Option<Standing>> {
        let before = self.looks.begun.load(Ordering::SeqCst);
        let mut last = self.looks.last.lock().await;
        if last.0 > before {
            return Ok(last.1);
        }
        let number = self.looks.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let standing = self.queue()?.standing().await?;
        *last = (number, standing);
        Ok(standing)
    }

    /// The dead letters above a number, oldest first.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn dead_letters(&self, above: Number, most: u32) -> Result<Vec<DeadLetter>> {
        self.queue()?.dead_letters(above, most).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn dead_letter(&self, number: Number) -> Result<Option<DeadLetter>> {
        self.queue()?.dead_letter(number).await
    }

    /// Appends dead letters to the queue again; gives how many.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn retry(&self, which: Which) -> Result<u64> {
        self.traffic.begun.fetch_add(1, Ordering::SeqCst);
        let appending = Appending(&self.traffic);
        let count = self.queue()?.retry(which).await;
        drop(appending);
        self.wake.notify_one();
        count
    }

    /// Forgets dead letters; gives how many.
    ///
    /// # Errors
    /// When the truth cannot be asked.
    pub async fn forget(&self, which: Which) -> Result<u64> {
        self.queue()?.forget(which).await
    }
}

impl Traffic {
    const fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            settled: AtomicU64::new(u64::MAX),
            waiting: AtomicU64::new(0),
        }
    }

    /// Whether everything is carried out that this process has appended.
    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst) == self.begun.load(Ordering::SeqCst)
    }

    /// Everything was carried out that was appended in as many times.
    fn settle(&self, begun: u64) {
        self.settled.store(begun, Ordering::SeqCst);
    }

    /// How many writes wait.
    fn saw(&self, waiting: u64) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// How many times it has begun to append, where none is under way: what an empty queue settles
    /// that is looked at from now on.
    fn at_rest(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}
