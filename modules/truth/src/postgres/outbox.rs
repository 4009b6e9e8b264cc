//! What has not arrived in the recent tier yet, in tables beside the data.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    outbox::{Note, Outbox, Place, Standing},
    schema::{Catalog, CollectionId},
    time::Timestamp,
};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row, error::BoxDynError, postgres::PgRow,
};

use super::own::OwnConnection;
use crate::{
    migrate::declared,
    sql::postgres::{Postgres, outbox},
};

/// The notes of one database.
pub(super) struct Notes {
    connection: OwnConnection,
    /// The collections by the schemas and names of their tables.
    tables: HashMap<(String, String), CollectionId>,
}

impl Notes {
    pub fn new(connection: OwnConnection, catalog: &Catalog) -> Self {
        let tables = catalog.collections().iter().map(|collection| {
            let place = declared::place::<Postgres>(collection);
            ((place.schema, place.table), collection.id)
        });
        Self {
            connection,
            tables: tables.collect(),
        }
    }

    /// Whether somebody has used a recent tier, and may still.
    pub async fn was_used(&self) -> Result<bool> {
        self.connection
            .with(async |connection| {
                let row = connection.fetch_one(AssertSqlSafe(outbox::was_used()));
                row.await?.try_get(0)
            })
            .await
    }

    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// The table of a collection.
    fn table(&self, collection: CollectionId) -> Option<&(String, String)> {
        let mut tables = self.tables.iter();
        tables.find_map(|(table, of)| (*of == collection).then_some(table))
    }

    fn read_standing(&self, row: &PgRow) -> Result<Standing, sqlx::Error> {
        let marks: Vec<(String, i64)> = from_json(row, 4)?;
        let marks = marks.into_iter().map(|(id, mark)| Ok((parsed(&id)?, mark)));
        let covered: Vec<(String, String, i64)> = from_json(row, 5)?;
        let covered = covered.into_iter().filter_map(|(schema, table, since)| {
            let collection = self.tables.get(&(schema, table))?;
            Some((*collection, Timestamp::from_millis(since)))
        });
        Ok(Standing {
            epoch: Epoch {
                number: row.try_get::<i64, _>(0)?.cast_unsigned(),
                nonce: u32::try_from(row.try_get::<i64, _>(1)?).map_err(unreadable)?,
            },
            identity: row.try_get(2)?,
            is_sound: row.try_get(3)?,
            marks: marks.collect::<Result<_, sqlx::Error>>()?,
            covered: covered.collect(),
            notes: row.try_get::<i64, _>(6)?.unsigned_abs(),
            oldest: row.try_get(7)?,
            now: Timestamp::from_millis(row.try_get(8)?),
        })
    }

    fn read_note(&self, row: &PgRow) -> Result<Note, sqlx::Error> {
        let table: (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let ids: String = row.try_get(4)?;
        let ids = ids.split(',').filter(|id| !id.is_empty());
        Ok(Note {
            collection: self.tables.get(&table).copied(),
            place: Place {
                instance: parsed(&row.try_get::<String, _>(0)?)?,
                batch: BatchId(row.try_get::<i64, _>(1)?.cast_unsigned()),
                table,
            },
            ids: ids.map(parsed).collect::<Result<_, _>>()?,
        })
    }
}

#[async_trait]
impl Outbox for Notes {
    async fn standing(&self) -> Result<Standing> {
        self.connection
            .with(async |connection| {
                connection.execute(AssertSqlSafe(outbox::show())).await?;
                let row = sqlx::query(AssertSqlSafe(outbox::standing()))
                    .fetch_one(connection)
                    .await?;
                self.read_standing(&row)
            })
            .await
    }

    async fn give_up(&self) -> Result<()> {
        self.connection
            .with(async |connection| {
                let given_up = connection.execute(AssertSqlSafe(outbox::give_up()));
                given_up.await.map(drop)
            })
            .await
    }

    async fn found(&self, from: Epoch, to: Epoch) -> Result<bool> {
        self.connection
            .with(async |connection| {
                let founded = sqlx::query(AssertSqlSafe(outbox::found()))
                    .bind(to.number.cast_signed())
                    .bind(i64::from(to.nonce))
                    .bind(from.number.cast_signed())
                    .bind(i64::from(from.nonce))
                    .fetch_one(connection)
                    .await?;
                Ok(founded.try_get::<i64, _>(0)? > 0)
            })
            .await
    }

    async fn cover(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        since: Timestamp,
    ) -> Result<bool> {
        let Some((schema, table)) = self.table(collection) else {
            return Ok(false);
        };
        self.connection
            .with(async |connection| {
                let mut transaction = connection.begin().await?;
                if !holds(&mut transaction, epoch).await? {
                    return Ok(false);
                }
                sqlx::query(AssertSqlSafe(outbox::cover()))
                    .bind(schema)
                    .bind(table)
                    .bind(since.millis())
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await.map(|()| true)
            })
            .await
    }

    async fn arrived(
        &self,
        epoch: Epoch,
        notes: &[(Id, BatchId)],
        process: Id,
        mark: i64,
    ) -> Result<bool> {
        let (instances, batches) = columns(notes);
        self.connection
            .with(async |connection| {
                let mut transaction = connection.begin().await?;
                if !holds(&mut transaction, epoch).await? {
                    return Ok(false);
                }
                let marked = sqlx::query(AssertSqlSafe(outbox::mark()))
                    .bind(process.to_string())
                    .bind(mark)
                    .execute(&mut *transaction)
                    .await?;
                if marked.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(AssertSqlSafe(outbox::remove()))
                    .bind(&instances)
                    .bind(&batches)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await.map(|()| true)
            })
            .await
    }

    async fn notes(&self, until: Timestamp, after: Option<&Place>, most: u32) -> Result<Vec<Note>> {
        let beginning = Place {
            instance: Id::NIL,
            batch: BatchId(0),
            table: (String::new(), String::new()),
        };
        let after = after.unwrap_or(&beginning);
        self.connection
            .with(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(outbox::notes()))
                    .bind(until.millis())
                    .bind(after.instance.to_string())
                    .bind(after.batch.0.cast_signed())
                    .bind(&after.table.0)
                    .bind(&after.table.1)
                    .bind(i64::from(most))
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(|row| self.read_note(row)).collect()
            })
            .await
    }

    async fn noted(&self, batches: &[(Id, BatchId)]) -> Result<HashSet<(Id, BatchId)>> {
        let (instances, batches) = columns(batches);
        self.connection
            .with(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(outbox::noted()))
                    .bind(&instances)
                    .bind(&batches)
                    .fetch_all(connection)
                    .await?;
                let read = |row: &PgRow| {
                    let instance = parsed(&row.try_get::<String, _>(0)?)?;
                    Ok((instance, BatchId(row.try_get::<i64, _>(1)?.cast_unsigned())))
                };
                rows.iter().map(read).collect()
            })
            .await
    }

    async fn may_clean(&self, pause: i64) -> Result<bool> {
        self.connection
            .with(async |connection| {
                let cleaned = sqlx::query(AssertSqlSafe(outbox::clean()))
                    .bind(pause)
                    .execute(connection)
                    .await?;
                Ok(cleaned.rows_affected() > 0)
            })
            .await
    }
}

/// The instances of batches, and their numbers.
fn columns(batches: &[(Id, BatchId)]) -> (Vec<String>, Vec<i64>) {
    let batches = batches.iter();
    batches
        .map(|(instance, batch)| (instance.to_string(), batch.0.cast_signed()))
        .unzip()
}

/// Whether it is this epoch, and keeps it so until the transaction ends.
pub(super) async fn holds(
    connection: &mut PgConnection,
    epoch: Epoch,
) -> Result<bool, sqlx::Error> {
    let held = sqlx::query(AssertSqlSafe(outbox::hold()))
        .bind(epoch.number.cast_signed())
        .bind(i64::from(epoch.nonce))
        .fetch_optional(connection)
        .await?;
    Ok(held.is_some())
}

fn from_json<T: serde::de::DeserializeOwned>(row: &PgRow, column: usize) -> Result<T, sqlx::Error> {
    serde_json::from_str(&row.try_get::<String, _>(column)?).map_err(unreadable)
}

fn parsed<T: FromStr<Err: Into<BoxDynError>>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
