//! What became of a transaction whose COMMIT was sent and not answered.
//!
//! The server keeps the outcome of every transaction of late by its number, so that it is looked up
//! and never guessed: <https://www.postgresql.org/docs/current/functions-info.html>.

use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row};

use super::session::{Backend, PostgresSession};

/// How long a client is kept waiting for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited before it is looked up again.
const PAUSE: Duration = Duration::from_millis(20);

/// A transaction of which nobody knows whether it was committed.
pub(super) struct Doubt {
    transaction: String,
    backend: Backend,
}

impl Doubt {
    pub fn new(transaction: String, backend: Backend) -> Self {
        Self {
            transaction,
            backend,
        }
    }

    /// Looks the outcome up over new connections until it is known or patience ends: whether it was
    /// committed.
    pub async fn look_up(&self, session: &mut PostgresSession) -> Option<bool> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.ask(session)).await {
                Ok(Ok(Some(committed))) => return Some(committed),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the outcome of a commit cannot be looked up yet");
                    session.give_up();
                }
                Err(_) => session.give_up(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// None while it is not decided yet, and for good where the transaction is too old to be known.
    async fn ask(&self, session: &mut PostgresSession) -> Result<Option<bool>, sqlx::Error> {
        let connection = session.fresh().await?;
        let row = sqlx::query("SELECT pg_xact_status($1::text::xid8)")
            .bind(&self.transaction)
            .fetch_one(&mut *connection)
            .await?;
        let status: Option<String> = row.try_get(0)?;
        match status.as_deref() {
            Some("committed") => Ok(Some(true)),
            Some("aborted") => Ok(Some(false)),
            _ => {
                self.end(connection).await?;
                Ok(None)
            }
        }
    }

    /// Ends the server's side of the old connection. Whether it was about to commit or waits for a
    /// COMMIT that will never come, the outcome is fixed afterwards.
    async fn end(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start = $2::text::timestamptz",
        )
        .bind(self.backend.process)
        .bind(&self.backend.started)
        .execute(connection)
        .await
        .map(drop)
    }
}
