//! Deleting what has expired: documents of collections with `expires_after`.
//!
//! A sweep goes through each such collection from its oldest document on, in batches, and deletes
//! on the normal way of writes, as the server. A document that cannot be deleted (another one still
//! needs it) is passed over and tried again in the next sweep.
//!
//! What stays in the recent tier alone expires there by itself; the sweep finds what has not left the
//! truth yet.
//!
//! Of several instances one sweeps in each period: whoever takes the token that there is then. Where
//! they cannot count together each of them sweeps, which only takes more time: what one has deleted
//! the others do not find.

use std::{sync::Arc, time::Duration};

use nubo_core::{
    Error, Result,
    access::View,
    caller::Caller,
    filter::{Comparison, Expr, Path, Test},
    id::Id,
    query::{Query, Start},
    schema::{Collection, SortKey},
    throttle::{Bucket, Rate, TokenBuckets},
    time::Timestamp,
    value::Value,
    write::{Guard, Operation, Sequence, Target},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{Tiers, stop};

/// How many documents are deleted at a time, so that other writes get their turn in between.
const BATCH: u32 = 500;

/// The token that allows a sweep.
const TURN: Bucket = Bucket {
    what: "retention",
    subject: [0; 16],
};

/// The task that sweeps from time to time.
pub struct Retention {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What a sweep has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Documents that are gone.
    pub deleted: u64,
    /// Documents that could not be deleted, for others still reference them.
    pub kept: u64,
}

impl Retention {
    /// Sweeps now and then once in every `period`, until it is stopped, as far as none of those that
    /// take from the same buckets has done so. Costs nothing where no collection expires.
    pub fn start(tiers: Arc<Tiers>, buckets: Arc<dyn TokenBuckets>, period: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        let expires = tiers.expiring().next().is_some();
        let task = expires.then(|| tokio::spawn(run(tiers, buckets, period, stopped)));
        Self { stop, task }
    }

    /// Waits for the batch that is under way, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "retention has failed");
        }
    }
}

async fn run(
    tiers: Arc<Tiers>,
    buckets: Arc<dyn TokenBuckets>,
    period: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let rate = turns(period);
    loop {
        if buckets.take(TURN, rate).await.is_ok() {
            match tiers.sweep_until(&stopped).await {
                Ok(Sweep {
                    deleted: 0,
                    kept: 0,
                }) => {}
                Ok(Sweep { deleted, kept }) => tracing::info!(deleted, kept, "expired documents"),
                Err(error) => tracing::warn!(%error, "expired documents could not be deleted"),
            }
        }
        if stop::asked_within(&mut stopped, period).await {
            return;
        }
    }
}

/// One turn in each period, less a tenth: whoever had the last one must not come too early for the
/// next because clocks differ a little.
fn turns(period: Duration) -> Rate {
    let interval = period.mul_f64(0.9).as_micros();
    Rate::new(1, i64::try_from(interval).unwrap_or(i64::MAX))
}

impl Tiers {
    /// Deletes everything that has expired by now.
    ///
    /// # Errors
    /// When the truth cannot be asked. What has been deleted until then stays deleted.
    pub async fn sweep(&self) -> Result<Sweep> {
        let (_stop, stopped) = watch::channel(false);
        self.sweep_until(&stopped).await
    }

    fn expiring(&self) -> impl Iterator<Item = (&Collection, i64)> {
        self.catalog
            .collections()
            .iter()
            .filter_map(|collection| Some((&**collection, collection.expires_after?)))
    }

    async fn sweep_until(&self, stopped: &watch::Receiver<bool>) -> Result<Sweep> {
        let mut sweep = Sweep::default();
        for (collection, expires_after) in self.expiring() {
            let millis = self.clock.now().millis().saturating_sub(expires_after);
            let mut batch = expired(collection, Timestamp::from_millis(millis));
            while !*stopped.borrow() {
                let documents = self.itself.find(batch.clone(), &View::all()).await?;
                let Some(last) = documents.last() else { break };
                batch.start = Start::After(
                    batch
                        .sort
                        .iter()
                        .map(|key| last.value(key.field).clone())
                        .collect(),
                );
                let complete = documents.len() == BATCH as usize;
                let ids = documents.iter().filter_map(|document| document.id());
                self.delete(collection, ids, &mut sweep).await?;
                if !complete {
                    break;
                }
            }
        }
        Ok(sweep)
    }

    async fn delete(
        &self,
        collection: &Collection,
        ids: impl Iterator<Item = Id>,
        sweep: &mut Sweep,
    ) -> Result<()> {
        let operations = ids.map(|id| Operation::Delete {
            collection: collection.id,
            target: Target::One {
                id,
                guard: Guard::default(),
            },
        });
        let results =
            self.write_apart(&Caller::Server, operations.collect(), Sequence::Independent);
        for result in results.await {
            match result {
                Ok(_) => sweep.deleted += 1,
                // Somebody else was faster.
                Err(Error::NotFound { .. }) => {}
                Err(error @ Error::Unavailable { .. }) => return Err(error),
                Err(error) => {
                    sweep.kept += 1;
                    tracing::debug!(%error, collection = collection.name, "an expired document stays");
                }
            }
        }
        Ok(())
    }
}

/// The documents created before a moment, oldest first.
fn expired(collection: &Collection, before: Timestamp) -> Query {
    let created_at = collection.created_at();
    let path = Path::to_field(created_at, &collection.fields()[created_at]);
    let test = Test::Compare(Comparison::Less, Value::Timestamp(before));
    let key = |field| SortKey {
        field,
        descending: false,
    };
    Query {
        collection: collection.id,
        filter: Expr::field(path, test),
        sort: vec![key(created_at), key(Collection::ID)],
        start: Start::First,
        limit: BATCH,
        fields: None,
    }
}
