//! What instances agree by, in tables beside the data.

use async_trait::async_trait;
use nubo_core::{
    Result,
    coordination::{Coordination, Epoch, Gate, Incarnation, Look, Peer},
    id::Id,
    module::SetupError,
};
use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgRow};

use super::{connect::Connector, own::OwnConnection, settings::PostgresSettings};
use crate::{fault::postgres_failure, sql::postgres::gate};

/// Agrees over a connection of its own, so that it waits for nobody who reads or writes.
pub struct PostgresCoordination(OwnConnection);

impl PostgresCoordination {
    /// Over a connection that is made when it is needed.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub fn new(settings: &PostgresSettings) -> Result<Self, SetupError> {
        Ok(Self(OwnConnection::new(Connector::new(settings)?)))
    }

    /// Closes the connection.
    pub async fn stop(&self) {
        self.0.close().await;
    }

    /// Executes statements as one transaction, while nobody commits.
    async fn alone(&self, text: String) -> Result<()> {
        let text = AssertSqlSafe(format!("BEGIN; {}; {text}; COMMIT", gate::hold()));
        self.0
            .with(async |connection| connection.execute(text).await.map(drop))
            .await
    }
}

#[async_trait]
impl Coordination for PostgresCoordination {
    async fn join(&self, instance: Id) -> Result<()> {
        let text = AssertSqlSafe(gate::join(instance));
        self.0
            .with(async |connection| connection.execute(text).await.map(drop))
            .await
    }

    async fn look(&self, instance: Id, reaches: Option<&Incarnation>) -> Result<Look> {
        let rows = self
            .0
            .with(async |connection| {
                sqlx::query(AssertSqlSafe(gate::look()))
                    .bind(instance.to_string())
                    .bind(reaches.map(Incarnation::name))
                    .fetch_all(connection)
                    .await
            })
            .await?;
        read_look(&rows).map_err(postgres_failure)
    }

    async fn shift(&self, from: &Gate, to: &Gate) -> Result<bool> {
        let incarnation = match to {
            Gate::Open { incarnation, .. } => Some(incarnation.name()),
            Gate::Closing(_) | Gate::Closed(_) => None,
        };
        let (old, new) = (from.epoch(), to.epoch());
        let owner = |gate: &Gate| gate.owner().map(|owner| owner.to_string());
        self.0
            .with(async |connection| {
                let moved = sqlx::query(AssertSqlSafe(gate::shift()))
                    .bind(name(to))
                    .bind(incarnation)
                    .bind(new.number.to_string())
                    .bind(new.nonce.to_string())
                    .bind(owner(to))
                    .bind(name(from))
                    .bind(old.number.to_string())
                    .bind(old.nonce.to_string())
                    .bind(owner(from))
                    .execute(connection)
                    .await?;
                Ok(moved.rows_affected() > 0)
            })
            .await
    }

    async fn fence(&self, instance: Id) -> Result<()> {
        self.alone(gate::fence(instance)).await
    }

    async fn remove(&self, instance: Id) -> Result<()> {
        let text = AssertSqlSafe(gate::remove(instance));
        self.0
            .with(async |connection| connection.execute(text).await.map(drop))
            .await
    }
}

const fn name(gate: &Gate) -> &'static str {
    match gate {
        Gate::Open { .. } => "open",
        Gate::Closing(_) => "closing",
        Gate::Closed(_) => "closed",
    }
}

/// The gate stands in every row, with an instance where there is any.
fn read_look(rows: &[PgRow]) -> Result<Look, sqlx::Error> {
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let epoch = Epoch {
        number: number(first, 1)?,
        nonce: number(first, 2)?,
    };
    let incarnation: Option<String> = first.try_get(3)?;
    let state: String = first.try_get(0)?;
    let owner: Option<String> = first.try_get(8)?;
    let gate = match (state.as_str(), incarnation) {
        ("open", Some(incarnation)) => Gate::Open {
            epoch,
            incarnation: Incarnation::new(incarnation),
            owner: owner
                .map(|owner| owner.parse().map_err(unreadable))
                .transpose()?,
        },
        ("closing", _) => Gate::Closing(epoch),
        _ => Gate::Closed(epoch),
    };
    let mut peers = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(instance) = row.try_get::<Option<String>, _>(4)? else {
            continue;
        };
        let reaches: Option<String> = row.try_get(6)?;
        peers.push(Peer {
            instance: instance.parse().map_err(unreadable)?,
            silent: number(row, 5)?,
            reaches: reaches.map(Incarnation::new),
            fenced: row.try_get::<String, _>(7)? == "true",
        });
    }
    Ok(Look { gate, peers })
}

/// Numbers come as text, so that they are of any type here and there.
fn number<T>(row: &PgRow, column: usize) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
