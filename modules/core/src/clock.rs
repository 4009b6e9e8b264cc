//! Time and randomness, the two things that a simulation must hold in its hand.

use crate::{id::Id, time::Timestamp};

/// Tells the time. `core` and the modules never ask the operating system.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z. May go backwards when the machine's clock is set.
    fn micros(&self) -> i64;

    /// The same in the precision of documents.
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.micros().div_euclid(1000))
    }
}

/// Source of randomness fit for ids and secrets.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// A new document id: a UUID version 7, so that ids sort by creation to the millisecond.
pub fn new_id(clock: &dyn Clock, random: &dyn Random) -> Id {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(clock.now().millis()).unwrap_or(0);
    Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
}
