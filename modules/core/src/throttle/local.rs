//! Buckets in the memory of this process. A restart fills them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use indexmap::IndexMap;

use super::{Bucket, Empty, Left, Rate, TokenBuckets};
use crate::clock::Clock;

/// Microseconds between two sweeps at least, so that a crowd does not make each attempt one.
const SWEEP_INTERVAL: i64 = 1_000_000;

/// The buckets of everybody who was here lately, a limited number of them.
pub struct LocalBuckets {
    clock: Arc<dyn Clock>,
    capacity: usize,
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    /// Theoretical arrival times in microseconds.
    times: IndexMap<Bucket, i64>,
    /// When full buckets were last thrown out.
    swept: i64,
    /// Where the next one is thrown out when all are in use.
    hand: usize,
}

impl LocalBuckets {
    /// Remembers so many buckets, at least one; all others count as full.
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            capacity: capacity.max(1),
            buckets: Mutex::default(),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Where there is none, with how long it takes until there is one.
    pub fn take_now(&self, bucket: Bucket, rate: Rate) -> Result<Left, Empty> {
        let now = self.clock.micros();
        let mut buckets = self.lock();
        let known = buckets.times.get(&bucket).copied();
        let reach = rate.reach(known, now);
        let decided = rate.decide(reach);
        let time = match decided {
            Ok(_) => now.saturating_add(reach).saturating_add(rate.interval()),
            // Where the clock was set back, time counts from here.
            Err(_) => now.saturating_add(reach),
        };
        if known.is_none() {
            buckets.make_room(self.capacity, now);
        }
        buckets.times.insert(bucket, time);
        decided
    }

    /// Gives a token back.
    pub fn give_back_now(&self, bucket: Bucket, rate: Rate) {
        if let Some(time) = self.lock().times.get_mut(&bucket) {
            *time = time.saturating_sub(rate.interval());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenBuckets for LocalBuckets {
    async fn take(&self, bucket: Bucket, rate: Rate) -> Result<Left, Empty> {
        self.take_now(bucket, rate)
    }

    async fn give_back(&self, bucket: Bucket, rate: Rate) {
        self.give_back_now(bucket, rate);
    }
}

impl Buckets {
    /// Throws out full buckets, and any where none is full: somebody then may try more often, but
    /// nobody can make the server remember without end.
    fn make_room(&mut self, capacity: usize, now: i64) {
        if self.times.len() < capacity {
            return;
        }
        if (now - self.swept).abs() >= SWEEP_INTERVAL {
            self.swept = now;
            self.times.retain(|_, time| *time > now);
        }
        while self.times.len() >= capacity {
            self.hand = (self.hand + 1) % self.times.len();
            self.times.swap_remove_index(self.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[derive(Default)]
    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn micros(&self) -> i64 {
            1_795_000_000_000_000 + self.0.load(Ordering::Relaxed)
        }
    }

    impl Hands {
        fn pass(&self, micros: i64) {
            self.0.fetch_add(micros, Ordering::Relaxed);
        }
    }

    fn buckets(capacity: usize) -> (LocalBuckets, Arc<Hands>) {
        let clock = Arc::new(Hands::default());
        (LocalBuckets::new(capacity, clock.clone()), clock)
    }

    fn of(number: u8) -> Bucket {
        Bucket {
            what: "guess",
            subject: [number; 16],
        }
    }

    #[test]
    fn so_many_at_once_and_then_one_after_each_interval() {
        let (buckets, clock) = buckets(100);
        let rate = Rate::new(3, MINUTE);
        for left in [2, 1, 0] {
            assert_eq!(buckets.take_now(of(1), rate), Ok(Left(left)));
        }
        assert_eq!(buckets.take_now(of(1), rate), Err(Empty { wait: MINUTE }));
        assert_eq!(buckets.take_now(of(2), rate), Ok(Left(2)));
        clock.pass(MINUTE - 999);
        assert_eq!(buckets.take_now(of(1), rate), Err(Empty { wait: 999 }));
        clock.pass(999);
        assert_eq!(buckets.take_now(of(1), rate), Ok(Left(0)));
        assert_eq!(buckets.take_now(of(1), rate), Err(Empty { wait: MINUTE }));
        clock.pass(60 * MINUTE);
        assert_eq!(
            buckets.take_now(of(1), rate),
            Ok(Left(2)),
            "a bucket holds no more than the burst"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (buckets, clock) = buckets(100);
        let rate = Rate::new(1, MINUTE);
        assert_eq!(buckets.take_now(of(1), rate), Ok(Left(0)));
        clock.pass(-24 * 60 * MINUTE);
        assert_eq!(buckets.take_now(of(1), rate), Err(Empty { wait: MINUTE }));
        clock.pass(MINUTE);
        assert_eq!(buckets.take_now(of(1), rate), Ok(Left(0)));
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let (buckets, clock) = buckets(10);
        let rate = Rate::new(2, MINUTE);
        for number in 0..100 {
            clock.pass(2_000_000);
            assert_eq!(buckets.take_now(of(number), rate), Ok(Left(1)));
            assert!(buckets.lock().times.len() <= 10);
        }
        clock.pass(2 * MINUTE);
        assert_eq!(buckets.take_now(of(200), rate), Ok(Left(1)));
        assert_eq!(
            buckets.lock().times.len(),
            1,
            "full buckets are thrown out first"
        );
    }

    #[test]
    fn waits_are_told_in_whole_seconds() {
        for (wait, seconds) in [(1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(Empty { wait }.seconds(), seconds);
        }
    }

    #[test]
    fn no_rate_is_too_large_to_compute_with() {
        let (buckets, _) = buckets(10);
        assert!(
            buckets
                .take_now(of(1), Rate::new(u32::MAX, i64::MAX))
                .is_ok()
        );
        let smallest = Rate::new(0, -5);
        assert_eq!(buckets.take_now(of(2), smallest), Ok(Left(0)));
        assert_eq!(buckets.take_now(of(2), smallest), Err(Empty { wait: 1 }));
    }
}
