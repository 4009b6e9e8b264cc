//! Connections that read, each for one question at a time.
//!
//! A connection on which something went wrong, or whose question nobody waited for to its end, is
//! closed and not used again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nubo_core::{Error, Result};
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::{
    connect::{Connector, close},
    rows::{PostgresRows, read_rows},
};
use crate::{
    fault::{is_lost, postgres_failure},
    sql::{Statement, postgres::Postgres},
};

/// How often connections are looked for that nobody needs any longer.
const TIDY: Duration = Duration::from_secs(5);

/// The pool.
pub(super) struct Pool {
    shared: Arc<Shared>,
    tidying: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    connector: Connector,
    idle: Mutex<Vec<Idle>>,
    places: Arc<Semaphore>,
    acquire_limit: Duration,
    idle_limit: Duration,
    kept: usize,
    /// Grows when connections are found broken: those from before are suspicious.
    generation: AtomicU64,
}

/// A connection that nobody uses at the moment.
struct Idle {
    connection: PgConnection,
    since: Instant,
    generation: u64,
}

/// A connection in use, and the right to have one.
struct Held {
    connection: PgConnection,
    generation: u64,
    reused: bool,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool that begins with these connections, and keeps as many.
    pub fn start(
        connector: Connector,
        connections: Vec<PgConnection>,
        most: usize,
        acquire_limit: Duration,
        idle_limit: Duration,
    ) -> Self {
        let kept = connections.len();
        let shared = Arc::new(Shared {
            connector,
            idle: Mutex::new(connections.into_iter().map(|c| Idle::new(c, 0)).collect()),
            places: Arc::new(Semaphore::new(most.max(kept))),
            acquire_limit,
            idle_limit,
            kept,
            generation: AtomicU64::new(0),
        });
        let tidying = tokio::spawn(tidy(Arc::clone(&shared)));
        Self {
            shared,
            tidying: Mutex::new(Some(tidying)),
        }
    }

    /// Asks, and waits for the answer. A connection that turns out to be gone is replaced: reading
    /// twice does no harm.
    pub async fn ask(&self, statement: Statement<Postgres>) -> Result<PostgresRows> {
        // The values stay out of the log.
        tracing::trace!(statement = statement.text, "asking");
        loop {
            let mut held = self.shared.acquire().await?;
            match read_rows(&mut held.connection, statement.clone()).await {
                Ok(rows) => {
                    self.shared.release(held);
                    return Ok(rows);
                }
                Err(error) if is_lost(&error) && held.reused => {
                    self.shared.distrust(held.generation);
                    tracing::debug!(%error, "a connection was gone; the question is asked again");
                }
                Err(error) if is_lost(&error) => return Err(postgres_failure(error)),
                Err(error) => {
                    self.shared.release(held);
                    return Err(postgres_failure(error));
                }
            }
        }
    }

    /// Closes what is idle; what is in use closes after its question.
    pub async fn stop(&self) {
        self.shared.places.close();
        let tidying = self.tidying.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = tidying {
            task.abort();
            match task.await {
                Err(error) if !error.is_cancelled() => {
                    tracing::error!(%error, "the pool did not end cleanly");
                }
                _ => {}
            }
        }
        let idle = std::mem::take(&mut *self.shared.idle());
        for idle in idle {
            close(idle.connection).await;
        }
    }
}

/// Nobody gave a connection back in time.
pub(super) fn all_in_use() -> Error {
    postgres_failure(sqlx::Error::PoolTimedOut)
}

impl Shared {
    async fn acquire(&self) -> Result<Held> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(self.acquire_limit, place)
            .await
            .map_err(|_| all_in_use())?
            .map_err(|_| Error::unavailable("stopping", "the server is stopping"))?;
        let generation = self.generation.load(Ordering::Relaxed);
        loop {
            // The one that was used last is warm.
            let Some(idle) = self.idle().pop() else { break };
            if idle.generation == generation {
                return Ok(Held {
                    connection: idle.connection,
                    generation,
                    reused: true,
                    _place: place,
                });
            }
        }
        let connection = self.connector.connect().await.map_err(postgres_failure)?;
        Ok(Held {
            connection,
            generation,
            reused: false,
            _place: place,
        })
    }

    fn release(&self, held: Held) {
        let idle = Idle::new(held.connection, held.generation);
        if !self.places.is_closed() {
            self.idle().push(idle);
        }
    }

    /// Uses no connection any longer that is as old as this.
    fn distrust(&self, generation: u64) {
        let next = generation + 1;
        let changed = self.generation.compare_exchange(
            generation,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if changed.is_ok() {
            self.idle().clear();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what was unused for too long, the ones unused longest first.
    fn take_old(&self) -> Vec<PgConnection> {
        let mut idle = self.idle();
        let spare = idle.len().saturating_sub(self.kept);
        let old = idle
            .iter()
            .take(spare)
            .take_while(|idle| idle.since.elapsed() > self.idle_limit)
            .count();
        idle.drain(..old).map(|idle| idle.connection).collect()
    }
}

impl Idle {
    fn new(connection: PgConnection, generation: u64) -> Self {
        Self {
            connection,
            since: Instant::now(),
            generation,
        }
    }
}

async fn tidy(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TIDY).await;
        for connection in shared.take_old() {
            close(connection).await;
        }
    }
}
