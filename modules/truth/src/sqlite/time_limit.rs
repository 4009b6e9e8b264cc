//! How long one statement may take: a question that cannot be answered in time must not keep the
//! connection from all others, whether or not anybody still waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nubo_core::clock::Clock;
use sqlx::SqliteConnection;

/// After how many instructions of SQLite's virtual machine the time is looked at: about every
/// tenth of a millisecond.
const INSTRUCTIONS: i32 = 10_000;

/// The time limit of a connection's statements.
pub(crate) struct TimeLimit {
    clock: Arc<dyn Clock>,
    limit: i64,
    /// When the statement under way must be done, in microseconds.
    until: Arc<AtomicI64>,
}

impl TimeLimit {
    /// Watches over a connection from now on. A statement that takes too long is interrupted.
    pub async fn of(
        connection: &mut SqliteConnection,
        clock: Arc<dyn Clock>,
        limit: Duration,
    ) -> Result<Self, sqlx::Error> {
        let watch = Self {
            clock: Arc::clone(&clock),
            limit: i64::try_from(limit.as_micros()).unwrap_or(i64::MAX),
            until: Arc::new(AtomicI64::new(i64::MAX)),
        };
        let until = Arc::clone(&watch.until);
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(INSTRUCTIONS, move || {
            clock.micros() <= until.load(Ordering::Relaxed)
        });
        Ok(watch)
    }

    /// A statement begins.
    pub fn begin(&self) {
        let until = self.clock.micros().saturating_add(self.limit);
        self.until.store(until, Ordering::Relaxed);
    }
}
