//! Threads that compute hashes and nothing else.
//!
//! A hash takes a processor for tens of milliseconds. So that reads do not wait behind sign-ins,
//! these threads run at a lower priority than those that serve requests: the system gives them what
//! others leave, and a fair share of a tenth where nobody leaves anything.

use std::{
    sync::{Mutex, OnceLock},
    thread::{self, JoinHandle},
};

use nubo_core::{Error, Result};
use tokio::sync::oneshot;

/// Nice value of the threads: 0 is everybody else's, 19 the lowest priority. A step is about a
/// quarter less (Linux `sched(7)`), so that this is a tenth of what a thread of the server gets.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A computation, and the question whether anybody still waits for it.
struct Job {
    compute: Box<dyn FnOnce() + Send>,
    is_wanted: Box<dyn Fn() -> bool + Send>,
}

/// A few threads and the queue in front of them.
pub(crate) struct HashingThreads {
    count: usize,
    queue: usize,
    /// Started with the first computation.
    running: OnceLock<Running>,
}

struct Running {
    jobs: async_channel::Sender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl HashingThreads {
    /// So many threads, before which so many computations may wait.
    pub const fn new(count: usize, queue: usize) -> Self {
        Self {
            count,
            queue,
            running: OnceLock::new(),
        }
    }

    /// Computes something: 503 where too many wait already. What nobody waits for any more when its
    /// turn comes is not computed.
    pub async fn compute<T: Send + 'static>(
        &self,
        computation: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let answer = std::sync::Arc::new(Mutex::new(Some(answer)));
        let waiting = answer.clone();
        let job = Job {
            compute: Box::new(move || {
                let result = computation();
                let answer = answer.lock().ok().and_then(|mut answer| answer.take());
                // Whoever waited may have gone meanwhile.
                answer.map(|answer| answer.send(result).is_ok());
            }),
            is_wanted: Box::new(move || {
                let waiting = waiting.lock();
                waiting.is_ok_and(|answer| answer.as_ref().is_some_and(|a| !a.is_closed()))
            }),
        };
        let running = self.running.get_or_init(|| self.start());
        running.jobs.try_send(job).map_err(|_| {
            Error::unavailable(
                "busy",
                "too many passwords are being checked; try again in a moment",
            )
        })?;
        answered.await.map_err(Error::internal)?
    }

    fn start(&self) -> Running {
        let (jobs, waiting) = async_channel::bounded::<Job>(self.queue.max(1));
        let threads = (0..self.count.max(1)).map(|_| {
            let waiting = waiting.clone();
            thread::spawn(move || {
                give_way();
                while let Ok(job) = waiting.recv_blocking() {
                    if (job.is_wanted)() {
                        (job.compute)();
                    }
                }
            })
        });
        Running {
            jobs,
            threads: Mutex::new(threads.collect()),
        }
    }
}

impl Drop for HashingThreads {
    /// Waits for the computations that are under way.
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.jobs.close();
        let threads = running.threads.into_inner().unwrap_or_default();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that computes hashes has panicked");
            }
        }
    }
}

/// Lowers the priority of this thread. Elsewhere than on Linux it would be that of the process.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "hashes are computed at the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    /// A computation that waits until it is let go.
    fn held(threads: &Arc<HashingThreads>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let (release, released) = mpsc::channel::<()>();
        let threads = threads.clone();
        let task = tokio::spawn(async move {
            let computed = threads.compute(move || {
                released.recv().ok();
                Ok(())
            });
            computed.await.unwrap();
        });
        (release, task)
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_asked_to_come_back() {
        let threads = Arc::new(HashingThreads::new(1, 1));
        let (release, first) = held(&threads);
        let jobs = || threads.running.get().map(|running| running.jobs.len());
        until(|| jobs() == Some(0)).await;
        // The first may be on its way to the thread still.
        let (second, waiting) = loop {
            let (release, task) = held(&threads);
            until(|| task.is_finished() || jobs() == Some(1)).await;
            if !task.is_finished() {
                break (release, task);
            }
        };
        let refused = threads.compute(|| Ok(())).await;
        assert!(matches!(
            refused,
            Err(Error::Unavailable {
                retry_after: 1..,
                ..
            })
        ));
        release.send(()).unwrap();
        second.send(()).unwrap();
        first.await.unwrap();
        waiting.await.unwrap();
        assert_eq!(threads.compute(|| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_computed() {
        let threads = Arc::new(HashingThreads::new(1, 8));
        let (release, first) = held(&threads);
        let computed = Arc::new(AtomicUsize::new(0));
        let abandoned = tokio::spawn({
            let (threads, computed) = (threads.clone(), computed.clone());
            async move {
                let counted = threads.compute(move || {
                    computed.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                counted.await.unwrap();
            }
        });
        let jobs = || {
            threads
                .running
                .get()
                .map_or(0, |running| running.jobs.len())
        };
        until(|| jobs() >= 1).await;
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        first.await.unwrap();
        threads.compute(|| Ok(())).await.unwrap();
        assert_eq!(computed.load(Ordering::Relaxed), 0);
    }
}
