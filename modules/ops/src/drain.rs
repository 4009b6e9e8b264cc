//! Counting requests under way, so that the server can wait for the last one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// Knows how many requests are under way. Clones share one count.
#[derive(Clone, Default)]
pub struct Drain(Arc<State>);

#[derive(Default)]
struct State {
    in_flight: AtomicUsize,
    closing: AtomicBool,
    idle: Notify,
}

impl Drain {
    /// A drain with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Notes that the server is about to stop. Requests are still answered, but `/ready` says no,
    /// so that a load balancer sends them elsewhere.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
    }

    /// Whether the server is about to stop.
    pub fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::SeqCst)
    }

    /// Closes, and waits until no request is under way or the time is up. Whether none is.
    pub async fn wait(&self, at_most: Duration) -> bool {
        self.close();
        let idle = async {
            loop {
                let mut notified = std::pin::pin!(self.0.idle.notified());
                // Listening must begin before the count is read, or the last request could leave
                // unnoticed in between.
                notified.as_mut().enable();
                if self.in_flight() == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(at_most, idle).await.is_ok()
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(&self.0)
    }
}

/// A request under way. Dropped too when its client hangs up.
pub(crate) struct InFlight<'a>(&'a State);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let before = self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        // Nobody waits before the drain is closing, and waking has a price.
        if before == 1 && self.0.closing.load(Ordering::SeqCst) {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_request_and_no_longer_than_told() {
        let drain = Drain::new();
        assert!(drain.wait(Duration::ZERO).await);

        let first = drain.enter();
        let second = drain.enter();
        assert_eq!(drain.in_flight(), 2);
        assert!(!drain.wait(Duration::from_secs(5)).await);

        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.wait(Duration::from_secs(3600)).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        assert!(waiting.await.unwrap());
    }
}
