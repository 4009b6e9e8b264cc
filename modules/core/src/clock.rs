//! Time and randomness, the two things that a simulation must hold in its hand.

use crate::{id::Id, time::Timestamp};

/// Tells the time. `core` and the modules never ask the operating system.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z. May go backwards when the machine's clock is set.
    fn micros(&self) -> i64;

    /// Microseconds since some moment, the same one as long as the process lives: for measuring how
    /// long something took. Never goes backwards, and goes on while the machine sleeps.
    fn ticks(&self) -> i64 {
        self.micros()
    }

    /// The same as [`Clock::micros`] in the precision of documents.
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.micros().div_euclid(1000))
    }
}

/// Source of randomness fit for ids and secrets.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// A new document id: a UUID version 7, so that ids sort by creation. The twelve bits behind the
/// milliseconds hold the fraction of the millisecond (RFC 9562 §6.2, method 3), the rest is random.
pub fn new_id(clock: &dyn Clock, random: &dyn Random) -> Id {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let micros = u64::try_from(clock.micros()).unwrap_or(0);
    let fraction = (micros % 1000) * 4096 / 1000;
    let [high, low] = u16::try_from(fraction).unwrap_or(0).to_be_bytes();
    bytes[..2].copy_from_slice(&[high, low]);
    Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(micros / 1000, &bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i64);

    impl Clock for At {
        fn micros(&self) -> i64 {
            self.0
        }
    }

    struct Ones;

    impl Random for Ones {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xff);
        }
    }

    #[test]
    fn ids_sort_by_microsecond() {
        let ids: Vec<Id> = [1_999, 2_000, 2_001, 2_999, 3_000]
            .map(|micros| new_id(&At(1_795_000_000_000_000 + micros), &Ones))
            .to_vec();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_eq!(ids[0].uuid().get_version_num(), 7);
    }
}
