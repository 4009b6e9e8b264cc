//! What became of a transaction whose COMMIT was sent and not answered.
//!
//! Every batch writes its number into the row of its connection, in its own transaction. What stands
//! there afterwards is the batch that was committed last, so that the outcome is read and never
//! guessed. The server's own record of transactions (`pg_xact_status`) would not do: a transaction of
//! which nothing had reached the disk when the server crashed leaves its number to another one.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::session::{Backend, PostgresSession, gone};
use crate::sql::postgres::{table::COMMITS, write::note_commit};

/// How long a client is kept waiting for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited before it is looked up again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long is waited for the end of an old connection, in milliseconds.
const END: i64 = 1000;

/// The transactions of one connection, and the number of the one under way.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    pub id: uuid::Uuid,
    pub batch: i64,
}

impl Lane {
    /// The number of another transaction, whose outcome can be looked up from now on.
    pub fn next(&mut self) -> Self {
        self.batch += 1;
        *self
    }

    /// Begins a transaction and writes its number down.
    pub fn begin(&mut self) -> String {
        let Self { id, batch } = self.next();
        format!("BEGIN; {}", note_commit(format_args!("'{id}'"), batch))
    }
}

/// A batch of which nobody knows whether it was committed.
pub(super) struct Doubt {
    lane: Lane,
    backend: Backend,
}

impl Doubt {
    pub fn new(lane: Lane, backend: Backend) -> Self {
        Self { lane, backend }
    }

    /// Looks the outcome up over new connections until it is known or patience ends: whether it was
    /// committed.
    pub async fn look_up(&self, session: &mut PostgresSession) -> Option<bool> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.ask(session)).await {
                Ok(Ok(committed)) => return Some(committed),
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

    /// Whether the number of the batch is there. Writing to the row waits for whoever holds it, so
    /// that what is read is decided.
    async fn ask(&self, session: &mut PostgresSession) -> Result<bool, sqlx::Error> {
        let connection = session.fresh().await?;
        self.end(connection).await?;
        let text = format!(
            "INSERT INTO {COMMITS} (lane, batch, at) VALUES ($1::text::uuid, 0, now()) \
             ON CONFLICT (lane) DO UPDATE SET at = excluded.at RETURNING batch"
        );
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(self.lane.id.to_string())
            .fetch_one(&mut *connection)
            .await?;
        Ok(row.try_get::<i64, _>(0)? == self.lane.batch)
    }

    /// Ends the server's side of the old connection, and waits until it has ended. Whether it was
    /// about to commit or waits for a COMMIT that will never come, the outcome is fixed afterwards;
    /// but not before: a statement that commits by itself may have begun and hold nothing yet.
    async fn end(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid, $3)::text FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start = $2::text::timestamptz",
        )
        .bind(self.backend.process)
        .bind(&self.backend.started)
        .bind(END)
        .fetch_optional(connection)
        .await?;
        let ended = ended.map(|row| row.try_get::<String, _>(0)).transpose()?;
        match ended.as_deref() {
            // None: it was gone already.
            None | Some("true") => Ok(()),
            Some(_) => Err(gone("the old connection does not end")),
        }
    }
}
