//! The truth as the place where documents wait until the recent tier has them for good.

use async_trait::async_trait;
use nubo_core::{
    Result,
    alone::{Leaving, WaitingRoom},
    coordination::Epoch,
    id::{Id, Revision},
    schema::CollectionId,
    value::Value,
};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{PostgresTruth, outbox::holds, rows::PostgresRows};
use crate::{
    rows::Rows,
    sql::{postgres::room, write},
};

/// What PostgreSQL says when a lock was waited for for too long (lock_not_available).
const LOCK_TIMEOUT: &str = "55P03";

#[async_trait]
impl WaitingRoom for PostgresTruth {
    async fn ends(&self, collection: CollectionId, ids: &[Id]) -> Result<Vec<(Id, Revision)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Value> = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let statement = write::tombstones(self.catalog.get(collection), &ids);
        versions(&self.ask(statement).await?)
    }

    async fn waiting(
        &self,
        collection: CollectionId,
        after: Option<Id>,
        most: u32,
    ) -> Result<Vec<(Id, Revision)>> {
        let statement = room::waiting(self.catalog.get(collection), after, most);
        versions(&self.ask(statement).await?)
    }

    async fn long_ended(
        &self,
        collection: CollectionId,
        after: Option<Id>,
        most: u32,
    ) -> Result<Vec<(Id, Revision)>> {
        let now = self.clock.micros();
        let statement = room::long_ended(self.catalog.get(collection), now, after, most);
        versions(&self.ask(statement).await?)
    }

    async fn leave(&self, epoch: Epoch, leaving: &Leaving) -> Result<bool> {
        let collection = self.catalog.get(leaving.collection);
        let (ids, revisions) = columns(&leaving.documents);
        let (ended, ends) = columns(&leaving.ends);
        self.running()?
            .room
            .with(async |connection| {
                let mut transaction = connection.begin().await?;
                let opened = transaction.execute(AssertSqlSafe(room::open(collection)));
                match opened.await {
                    Ok(_) => {}
                    Err(sqlx::Error::Database(error))
                        if error.code().as_deref() == Some(LOCK_TIMEOUT) =>
                    {
                        return transaction.rollback().await.map(|()| false);
                    }
                    Err(error) => return Err(error),
                }
                if !holds(&mut transaction, epoch).await? {
                    return transaction.rollback().await.map(|()| false);
                }
                if !ids.is_empty() {
                    sqlx::query(AssertSqlSafe(room::leave(collection)))
                        .bind(&ids)
                        .bind(&revisions)
                        .execute(&mut *transaction)
                        .await?;
                }
                if !ended.is_empty() {
                    sqlx::query(AssertSqlSafe(room::forget()))
                        .bind(&collection.name)
                        .bind(&ended)
                        .bind(&ends)
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await.map(|()| true)
            })
            .await
    }
}

fn versions(rows: &PostgresRows) -> Result<Vec<(Id, Revision)>> {
    (0..rows.count())
        .map(|row| Ok((rows.id(row, 0)?, Revision::new(rows.integer(row, 1)?))))
        .collect()
}

fn columns(versions: &[(Id, Revision)]) -> (Vec<String>, Vec<i64>) {
    let versions = versions.iter();
    versions
        .map(|(id, revision)| (id.to_string(), revision.number()))
        .unzip()
}
