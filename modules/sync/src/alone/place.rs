//! The recent tier as the place where documents stay that have no other one.
//!
//! Nobody else can be asked in its stead. So whoever asks waits a little where it must be looked at
//! again, because there is another connection, say; and is refused at once where it has been away for
//! longer than that.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    alone::{Alone, UNAVAILABLE},
    document::Document,
    query::Query,
    schema::Collection,
    time::Timestamp,
};

use crate::recent::RecentStore;

/// How long the tier may be away before whoever asks is refused at once, in microseconds.
const PATIENCE: i64 = 1_000_000;
/// How long one question may take with everything that it waits for. Whoever writes waits as long, and
/// so do those whose writes are carried out together with that one.
const LIMIT: Duration = Duration::from_secs(2);
/// How often it is asked again while it must be looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it may fail to answer one question.
const ATTEMPTS: u32 = 3;
/// Since ever.
const ALWAYS: i64 = -62_135_596_800_000;

/// Since when the tier cannot be asked, as far as somebody has noticed.
#[derive(Default)]
pub(crate) struct Absence(AtomicI64);

impl Absence {
    /// It can be asked.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// It cannot be asked now, in ticks. Whether that has been so for longer than anybody waits.
    fn is_long(&self, now: i64) -> bool {
        let known = self
            .0
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        known.is_err_and(|since| now - since > PATIENCE)
    }
}

impl RecentStore {
    /// Since when documents of a collection were created that have not expired.
    fn not_expired(&self, collection: &Collection) -> Timestamp {
        let since = collection
            .expires_after
            .map(|after| self.clock().now().millis().saturating_sub(after));
        Timestamp::from_millis(since.unwrap_or(ALWAYS))
    }

    async fn ask_whole(&self, query: &Query) -> Result<Vec<Document>> {
        let since = self.not_expired(self.catalog().get(query.collection));
        let mut attempts = 0;
        loop {
            match self.epoch() {
                Some(epoch) => match self.recent().find(epoch, query, since).await {
                    Ok(found) => return Ok(found),
                    Err(error @ Error::Unavailable { .. }) => {
                        attempts += 1;
                        // Where there is another connection it is only to be looked at again.
                        if self.recent().epoch() == Some(epoch) {
                            self.failed(&error);
                        }
                        if attempts == ATTEMPTS {
                            return Err(away());
                        }
                    }
                    Err(error) => return Err(error),
                },
                None if self.absence().is_long(self.clock().ticks()) => return Err(away()),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

#[async_trait]
impl Alone for RecentStore {
    async fn find(&self, query: &Query) -> Result<Vec<Document>> {
        let asking = tokio::time::timeout(LIMIT, self.ask_whole(query));
        asking.await.unwrap_or_else(|_elapsed| Err(away()))
    }
}

/// 503: nobody else has the documents.
fn away() -> Error {
    Error::unavailable(
        UNAVAILABLE,
        "MongoDB, which alone has these documents, does not answer",
    )
}
