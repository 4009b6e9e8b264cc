//! How often something may happen: token buckets.
//!
//! A [`Bucket`] holds tokens, each attempt takes one, and it fills up again with time, at a
//! [`Rate`]. It is kept as one number by the generic cell rate algorithm (ITU-T I.371, as "virtual
//! scheduling"): the *theoretical arrival time*, up to which the tokens that were taken reach. A
//! bucket whose time has come is full and need not be remembered.
//!
//! [`TokenBuckets`] says what can be asked. [`LocalBuckets`] keeps them in this process; where
//! several instances share a Redis, they are kept there, and all instances count together.

mod local;

use async_trait::async_trait;

pub use local::LocalBuckets;

/// Longest time that the tokens of a bucket reach, in microseconds: 35 years. Sums of it and the
/// time are exact in the numbers of every language that computes with them.
const LONGEST: i64 = 1 << 50;

/// Which bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// What is counted: a word that nobody else uses.
    pub what: &'static str,
    /// For whom, in 16 bytes whatever people send.
    pub subject: [u8; 16],
}

/// How many tokens a bucket holds, and how fast it fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: i64,
    tolerance: i64,
}

impl Rate {
    /// So many tokens at once, and one more after each interval, in microseconds. At least one of
    /// each.
    pub fn new(burst: u32, interval: i64) -> Self {
        let interval = interval.clamp(1, LONGEST);
        let tolerance = interval.saturating_mul(i64::from(burst.max(1)) - 1);
        Self {
            interval,
            tolerance: tolerance.min(LONGEST),
        }
    }

    /// Until there is one more token, in microseconds.
    pub const fn interval(self) -> i64 {
        self.interval
    }

    /// How far the tokens that were taken may reach into the future before the next one is taken, in
    /// microseconds.
    pub const fn tolerance(self) -> i64 {
        self.tolerance
    }

    /// How far the tokens that were taken reach into the future. Never farther than all of a
    /// bucket, so that a clock that was set back keeps nobody out for longer than a full one does.
    pub fn reach(self, time: Option<i64>, now: i64) -> i64 {
        let longest = self.tolerance.saturating_add(self.interval);
        time.map_or(0, |time| time.saturating_sub(now).clamp(0, longest))
    }

    /// Whether one more token may be taken when those that were taken reach so far.
    pub fn decide(self, reach: i64) -> Result<Left, Empty> {
        let surplus = reach - self.tolerance;
        if surplus > 0 {
            return Err(Empty { wait: surplus });
        }
        let left = (self.tolerance - reach) / self.interval;
        Ok(Left(u32::try_from(left).unwrap_or(u32::MAX)))
    }
}

/// How many tokens are left after one was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left(pub u32);

/// There is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// Until there is one, in microseconds.
    pub wait: i64,
}

impl Empty {
    /// The same in whole seconds, at least one, as `Retry-After` has it.
    pub fn seconds(self) -> u32 {
        let seconds = self.wait.saturating_add(999_999) / 1_000_000;
        u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
    }
}

/// Buckets of tokens for everybody who comes. Asking never fails: where the place that keeps them
/// does not answer in time, whoever asks is counted by what this process knows.
#[async_trait]
pub trait TokenBuckets: Send + Sync + 'static {
    /// Takes a token.
    async fn take(&self, bucket: Bucket, rate: Rate) -> Result<Left, Empty>;

    /// Gives a token back: what it was taken for is not to count.
    async fn give_back(&self, bucket: Bucket, rate: Rate);
}
