//! What waits to be written, and who may take it.
//!
//! Several lanes take from the queue, each for a batch of its own. A document that is being written
//! in one lane waits for it, rather than for a lock in the database: so its writes gather meanwhile
//! and go as one. What may reach further than the documents it names (effects, deletions, filters,
//! rules that look elsewhere) goes in one lane at a time, so that such transactions never wait for
//! each other in circles, and what a rule has looked up stays true until its write is committed.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nubo_core::{id::Id, schema::CollectionId};
use tokio::sync::{Notify, Semaphore};

use super::Job;

/// How many jobs may wait. Who comes later waits for a place, which slows clients down instead of
/// filling memory.
const WAITING: usize = 4096;
/// How many transactions go into one batch at most, so that nobody waits long for others.
const BATCH: usize = 512;

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
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, Reach)>,
    /// What is being written.
    busy: HashSet<Place>,
    /// Whether some lane writes what may touch anything.
    anything: bool,
    closed: bool,
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
}

impl Queue {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            places: Semaphore::new(WAITING),
            changed: Notify::new(),
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
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Lets nobody in any longer. What waits will still be taken.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.places.close();
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Takes whatever waits and is not kept from it; none when the queue is closed and empty. There
    /// is no timer: a lone job goes at once, and while it is being written the others gather.
    pub async fn take(&self) -> Option<Taken<'_>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut waiting = self.waiting();
                let (jobs, kept) = waiting.take();
                if !jobs.is_empty() {
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
            }
            changed.await;
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
    fn take(&mut self) -> (Vec<Job>, Kept) {
        let mut jobs = Vec::new();
        let mut kept = Kept::default();
        let mut transactions = 0;
        // Who comes later does not overtake on the same document.
        let mut passed: HashSet<Place> = HashSet::new();
        let mut left = VecDeque::new();
        while let Some((job, reach)) = self.jobs.pop_front() {
            let free = transactions < BATCH
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
                if transactions >= BATCH {
                    break;
                }
                continue;
            }
            transactions += job.work.len();
            match reach {
                Reach::Anything => kept.anything = true,
                Reach::Documents(documents) => kept.documents.extend(documents),
            }
            jobs.push(job);
        }
        while let Some(job) = left.pop_back() {
            self.jobs.push_front(job);
        }
        self.anything |= kept.anything;
        self.busy.extend(&kept.documents);
        (jobs, kept)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use nubo_core::{schema::Catalog, write::Sequence};
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
        Job {
            work: Work::Transactions(Vec::new(), Sequence::Independent),
            answer: oneshot::channel().0,
        }
    }

    async fn add(queue: &Queue, reach: Reach) {
        assert!(queue.add(job(), reach).await.is_ok());
    }

    #[tokio::test]
    async fn a_document_that_is_being_written_waits_and_is_not_overtaken() {
        let queue = Queue::new();
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
        let queue = Queue::new();
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
}
