//! What waits to be written, and who may take it.
//!
//! Several lanes take from the queue, each for a batch of its own. Where few write, each goes at once.
//! Where many do, what comes gathers while a batch is under way: small batches side by side cost the
//! database more than one after the other, and their commits wait for the same disk. Only where that
//! batch takes long, or a whole one waits, does another lane go beside it.
//!
//! A document that is being written in one lane waits for it, rather than for a lock in the database: so
//! its writes gather meanwhile and go as one. What may reach further than the documents it names
//! (effects, deletions, filters, rules that look elsewhere) goes in one lane at a time, so that such
//! transactions never wait for each other in circles, and what a rule has looked up stays true until its
//! write is committed.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nubo_core::{id::Id, schema::CollectionId};
use tokio::{
    sync::{Notify, Semaphore},
    time::sleep_until,
};

use super::Job;

/// How many jobs may wait. Who comes later waits for a place, which slows clients down instead of
/// filling memory.
const WAITING: usize = 4096;
/// How many transactions go into one batch at most, so that nobody waits long for others.
const BATCH: usize = 512;
/// With fewer transactions under way than this, nobody waits for them.
const FEW: usize = 8;
/// How long others are waited for at most. Most batches are committed by then.
const PATIENCE: Duration = Duration::from_millis(5);

/// A document, wherever it is.
pub(super) type Place = (CollectionId, Id);

/// What a job may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// These documents and no other.
    Documents(Vec<Place>),
    /// Any.
    Anything,
}

/// The queue.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    places: Semaphore,
    changed: Notify,
    patience: Duration,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, Reach)>,
    /// What is being written.
    busy: HashSet<Place>,
    /// Whether some lane writes what may touch anything.
    anything: bool,
    /// How many transactions are under way.
    under_way: usize,
    /// When the newest batch of those began.
    begun: Option<Instant>,
    /// Whether a lane looks again when that one has taken long.
    is_watched: bool,
    closed: bool,
}

/// While it is there, its lane looks after what gathers.
struct Watch<'a> {
    queue: &'a Queue,
    until: Instant,
}

/// A batch: its jobs, and what is kept from other lanes until it is dropped.
pub(super) struct Taken<'a> {
    pub jobs: Vec<Job>,
    kept: Kept,
    queue: &'a Queue,
}

/// What is kept from other lanes.
#[derive(Default)]
struct Kept {
    documents: Vec<Place>,
    anything: bool,
    /// How many transactions they have.
    transactions: usize,
}

impl Queue {
    pub fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    fn with_patience(patience: Duration) -> Self {
        Self {
            waiting: Mutex::default(),
            places: Semaphore::new(WAITING),
            changed: Notify::new(),
            patience,
        }
    }

    /// Adds a job; gives it back where the queue is closed.
    pub async fn add(&self, job: Job, reach: Reach) -> Result<(), Job> {
        match self.places.acquire().await {
            Ok(place) => place.forget(),
            Err(_closed) => return Err(job),
        }
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(job);
        }
        waiting.jobs.push_back((job, reach));
        let is_gathering =
            waiting.is_watched && waiting.under_way >= FEW && waiting.jobs.len() < BATCH;
        drop(waiting);
        if !is_gathering {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Lets nobody in any longer. What waits will still be taken.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.places.close();
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Takes whatever waits and is not kept from it; none when the queue is closed and empty. A lone
    /// job goes at once, and while many are being written the others gather.
    pub async fn take(&self) -> Option<Taken<'_>> {
        loop {
            let changed = self.changed.notified();
            let mut watch = None;
            {
                let mut waiting = self.waiting();
                let until = waiting.gathers_until(self.patience);
                let (jobs, kept) = match until {
                    None => waiting.take(),
                    Some(_) => Default::default(),
                };
                if !jobs.is_empty() {
                    waiting.begun = Some(Instant::now());
                    self.places.add_permits(jobs.len());
                    // There may be work for another lane.
                    if !waiting.jobs.is_empty() {
                        self.changed.notify_one();
                    }
                    return Some(Taken {
                        jobs,
                        kept,
                        queue: self,
                    });
                }
                if waiting.closed && waiting.jobs.is_empty() {
                    // The next lane ends as well.
                    self.changed.notify_one();
                    return None;
                }
                if let Some(until) = until
                    && !waiting.jobs.is_empty()
                    && !waiting.is_watched
                {
                    waiting.is_watched = true;
                    watch = Some(Watch { queue: self, until });
                }
            }
            match watch {
                Some(watch) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(watch.until.into()) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Takes everything that waits, whoever writes what: for who cannot write at all.
    pub fn take_all(&self) -> Vec<Job> {
        let jobs: Vec<Job> = self.waiting().jobs.drain(..).map(|(job, _)| job).collect();
        self.places.add_permits(jobs.len());
        jobs
    }

    /// Whether nothing will come any longer.
    pub fn is_over(&self) -> bool {
        let waiting = self.waiting();
        waiting.closed && waiting.jobs.is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Until when what waits gathers; none where it is to be taken now.
    fn gathers_until(&self, patience: Duration) -> Option<Instant> {
        if self.under_way < FEW || self.closed || self.jobs.len() >= BATCH {
            return None;
        }
        let until = self.begun? + patience;
        (Instant::now() < until).then_some(until)
    }

    fn take(&mut self) -> (Vec<Job>, Kept) {
        let mut jobs = Vec::new();
        let mut kept = Kept::default();
        // Who comes later does not overtake on the same document.
        let mut passed: HashSet<Place> = HashSet::new();
        let mut left = VecDeque::new();
        while let Some((job, reach)) = self.jobs.pop_front() {
            let free = kept.transactions < BATCH
                && match &reach {
                    Reach::Anything => !self.anything,
                    Reach::Documents(documents) => !documents
                        .iter()
                        .any(|place| self.busy.contains(place) || passed.contains(place)),
                };
            if !free {
                if let Reach::Documents(documents) = &reach {
                    passed.extend(documents);
                }
                left.push_back((job, reach));
                // The others have not been looked at; they stay where they are.
                if kept.transactions >= BATCH {
                    break;
                }
                continue;
            }
            kept.transactions += job.work.len();
            match reach {
                Reach::Anything => kept.anything = true,
                Reach::Documents(documents) => kept.documents.extend(documents),
            }
            jobs.push(job);
        }
        while let Some(job) = left.pop_back() {
            self.jobs.push_front(job);
        }
        self.under_way += kept.transactions;
        self.anything |= kept.anything;
        self.busy.extend(&kept.documents);
        (jobs, kept)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
        waiting.under_way -= self.kept.transactions;
        for place in &self.kept.documents {
            waiting.busy.remove(place);
        }
        if self.kept.anything {
            waiting.anything = false;
        }
        let more = !waiting.jobs.is_empty();
        drop(waiting);
        if more {
            self.queue.changed.notify_one();
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.queue.waiting().is_watched = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{pin::pin, task::Poll};

    use futures_util::poll;
    use nubo_core::{
        caller::Caller,
        schema::Catalog,
        time::Timestamp,
        write::{Sequence, Transaction},
    };
    use tokio::sync::oneshot;

    use super::{super::Work, *};

    fn collection() -> CollectionId {
        let declarations = serde_json::json!([{ "name": "notes", "fields": { "text": "text" } }]);
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        Catalog::compile(&declarations, &[]).unwrap().collections()[0].id
    }

    fn place(number: u8) -> Place {
        let id = format!("00000000-0000-7000-8000-0000000000{number:02x}");
        (collection(), id.parse().unwrap())
    }

    fn job() -> Job {
        let transaction = Transaction {
            operations: Vec::new(),
            permits: Vec::new(),
            caller: Caller::Server,
            now: Timestamp::from_millis(0),
            new_ids: true,
        };
        Job {
            work: Work::Transactions(vec![transaction], Sequence::Independent),
            answer: oneshot::channel().0,
        }
    }

    async fn add(queue: &Queue, reach: Reach) {
        assert!(queue.add(job(), reach).await.is_ok());
    }

    #[tokio::test]
    async fn a_document_that_is_being_written_waits_and_is_not_overtaken() {
        let queue = Queue::with_patience(Duration::ZERO);
        add(&queue, Reach::Documents(vec![place(1)])).await;
        let first = queue.take().await.unwrap();
        assert_eq!(first.jobs.len(), 1);
        // The second needs the first document as well, the third the second's other one.
        add(&queue, Reach::Documents(vec![place(1), place(2)])).await;
        add(&queue, Reach::Documents(vec![place(2)])).await;
        add(&queue, Reach::Documents(vec![place(3)])).await;
        let other = queue.take().await.unwrap();
        assert_eq!(other.jobs.len(), 1);
        drop(first);
        assert_eq!(queue.take().await.unwrap().jobs.len(), 2);
    }

    #[tokio::test]
    async fn what_may_touch_anything_goes_in_one_lane_at_a_time() {
        let queue = Queue::with_patience(Duration::ZERO);
        add(&queue, Reach::Anything).await;
        add(&queue, Reach::Anything).await;
        let first = queue.take().await.unwrap();
        assert_eq!(first.jobs.len(), 2);
        add(&queue, Reach::Anything).await;
        add(&queue, Reach::Documents(vec![place(1)])).await;
        assert_eq!(queue.take().await.unwrap().jobs.len(), 1);
        drop(first);
        assert_eq!(queue.take().await.unwrap().jobs.len(), 1);
        queue.close();
        assert!(queue.take().await.is_none());
        assert!(queue.add(job(), Reach::Anything).await.is_err());
    }

    #[tokio::test]
    async fn what_comes_while_a_batch_is_under_way_gathers_for_the_next() {
        let queue = Queue::with_patience(Duration::from_secs(3600));
        let alone = |number| Reach::Documents(vec![place(number)]);
        // Few wait for nobody.
        let mut first = Vec::new();
        for number in 1..=FEW {
            add(&queue, alone(u8::try_from(number).unwrap())).await;
            first.push(queue.take().await.unwrap());
        }
        let mut next = pin!(queue.take());
        for _ in 0..FEW {
            add(&queue, Reach::Documents(Vec::new())).await;
            assert!(poll!(&mut next).is_pending());
        }
        drop(first);
        let Poll::Ready(Some(second)) = poll!(&mut next) else {
            panic!("nothing was taken");
        };
        assert_eq!(second.jobs.len(), FEW);
        // A whole batch waits for nobody.
        let mut next = pin!(queue.take());
        for _ in 0..BATCH {
            assert!(poll!(&mut next).is_pending());
            add(&queue, Reach::Documents(Vec::new())).await;
        }
        let Poll::Ready(Some(third)) = poll!(&mut next) else {
            panic!("nothing was taken");
        };
        assert_eq!(third.jobs.len(), BATCH);
        // Nor does anybody when nothing more will come.
        add(&queue, alone(1)).await;
        queue.close();
        assert_eq!(queue.take().await.unwrap().jobs.len(), 1);
    }

    #[tokio::test]
    async fn another_goes_beside_a_batch_that_takes_long() {
        let queue = Queue::with_patience(Duration::from_millis(1));
        for _ in 0..FEW {
            add(&queue, Reach::Documents(Vec::new())).await;
        }
        let first = queue.take().await.unwrap();
        assert_eq!(first.jobs.len(), FEW);
        add(&queue, Reach::Documents(vec![place(2)])).await;
        assert_eq!(queue.take().await.unwrap().jobs.len(), 1);
        drop(first);
    }
}
