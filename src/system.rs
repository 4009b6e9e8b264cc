//! The real clock and the real randomness. Everything else asks `core`'s traits.

use std::time::{SystemTime, UNIX_EPOCH};

use nubo_core::clock::{Clock, Random};

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn micros(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    #[cfg(target_os = "linux")]
    fn ticks(&self) -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }

    #[cfg(not(target_os = "linux"))]
    fn ticks(&self) -> i64 {
        use std::{sync::LazyLock, time::Instant};
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(START.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

/// The operating system's source of randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// When the operating system has no randomness to give. Ids and secrets made without it would
    /// be worse than a request that fails.
    #[allow(clippy::expect_used)]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system has a source of randomness");
    }
}
