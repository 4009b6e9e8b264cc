//! What a process has of its machine: the time, chance, and somebody who hashes passwords.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    clock::{Clock, Random},
    passwords::Passwords,
};

use crate::scheduler::{Moment, Scheduler};

/// Goes on as steps are made, sometimes not at all and sometimes backwards.
pub struct SimClock {
    pub(super) micros: Arc<AtomicI64>,
    /// How far it is ahead of the truth's, in microseconds.
    pub(super) ahead: i64,
    /// How long a step takes, in microseconds.
    pub(super) step: i64,
    pub(super) scheduler: Scheduler,
}

impl SimClock {
    /// How many steps take so many microseconds.
    pub fn steps(&self, micros: i64) -> Moment {
        (micros / self.step).max(1).unsigned_abs()
    }

    /// Goes on by so many milliseconds.
    pub(super) fn jump(&self, millis: i64) {
        self.micros.fetch_add(millis * 1_000, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn ticks(&self) -> i64 {
        self.scheduler.now().cast_signed() * self.step
    }

    fn micros(&self) -> i64 {
        let by = self.scheduler.draw(|random| match random.u8(..10) {
            0 => -3_000,
            1..=5 => 0,
            _ => random.i64(1..4_000),
        });
        self.micros.fetch_add(by, Ordering::Relaxed) + by + self.ahead
    }
}

/// Counts, so that a run is the same every time.
#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().rev().zip(number.iter().rev()) {
            *to = *from;
        }
    }
}

/// There are none.
pub(super) struct NoPasswords;

#[async_trait]
impl Passwords for NoPasswords {
    async fn hash(&self, password: String) -> Result<String> {
        Ok(password)
    }

    fn refusal(&self, _: &str) -> Option<(&'static str, String)> {
        None
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        Ok(password == hash)
    }
}
