//! The session in which the engine works: the one connection that writes, inside a transaction.

use nubo_core::{
    Error, Result,
    access::View,
    document::Document,
    filter::{Expr, Select},
    id::Id,
    query::{Query, Start},
    schema::{Catalog, Collection, SortKey},
    value::Value,
};
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use super::{arguments, read_rows, reader::Rows, time_limit::TimeLimit};
use crate::{
    fault::{Refusal, internal, refusal},
    sql::{Argument, Statement, select, write},
};

/// The writing connection.
pub(crate) struct Session {
    connection: SqliteConnection,
    limit: TimeLimit,
}

impl Session {
    pub fn new(connection: SqliteConnection, limit: TimeLimit) -> Self {
        Self { connection, limit }
    }

    /// Begins a database transaction and takes the write lock.
    pub async fn begin(&mut self) -> Result<()> {
        self.run("BEGIN IMMEDIATE").await
    }

    /// Makes everything since `begin` durable.
    pub async fn commit(&mut self) -> Result<()> {
        self.run("COMMIT").await
    }

    /// Takes everything since `begin` back.
    pub async fn rollback(&mut self) -> Result<()> {
        self.run("ROLLBACK").await
    }

    /// Marks a point to which [`Session::undo`] goes back.
    pub async fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT one").await
    }

    /// Keeps what was done since the savepoint.
    pub async fn keep(&mut self) -> Result<()> {
        self.run("RELEASE one").await
    }

    /// Takes back what was done since the savepoint.
    pub async fn undo(&mut self) -> Result<()> {
        self.run("ROLLBACK TO one; RELEASE one").await
    }

    /// Begins, executes one statement and commits, in one exchange with the database. Where it
    /// fails nothing is left, not even the transaction.
    pub async fn execute_alone(&mut self, statement: Statement) -> Result<(), Refusal> {
        let text = format!("BEGIN IMMEDIATE;{};COMMIT", statement.text);
        let result = self.execute_text(text, statement.arguments).await;
        if result.is_err() {
            // Whether the transaction is still open depends on what failed.
            if let Err(error) = self.connection.execute("ROLLBACK").await {
                tracing::debug!(%error, "there was nothing to roll back");
            }
        }
        result
    }

    /// Executes a statement that returns nothing.
    pub async fn execute(&mut self, statement: Statement) -> Result<(), Refusal> {
        self.execute_text(statement.text, statement.arguments).await
    }

    async fn execute_text(&mut self, text: String, values: Vec<Argument>) -> Result<(), Refusal> {
        let values = arguments(values).map_err(refusal)?;
        let query = sqlx::query_with(AssertSqlSafe(text), values).persistent(true);
        self.limit.begin();
        self.connection
            .execute(query)
            .await
            .map(drop)
            .map_err(refusal)
    }

    /// The document with this id.
    pub async fn load(&mut self, collection: &Collection, id: Id) -> Result<Option<Document>> {
        let text = select::by_id(collection, &select::columns(collection));
        let rows = self
            .rows(text, vec![Argument::Text(id.to_string())])
            .await?;
        match rows.is_empty() {
            true => Ok(None),
            false => rows.document(0, collection).map(Some),
        }
    }

    /// Documents that match, in the order of their ids, behind an id: one stretch of a walk.
    pub async fn walk(
        &mut self,
        collection: &Collection,
        catalog: &Catalog,
        filter: &Expr,
        after: Option<Id>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        let query = Query {
            collection: collection.id,
            filter: filter.clone(),
            sort: vec![SortKey {
                field: Collection::ID,
                descending: false,
            }],
            start: after.map_or(Start::First, |id| {
                Start::After(vec![Value::Uuid(id.uuid())])
            }),
            limit,
            fields: None,
        };
        let statement =
            select::documents(&query, i64::from(limit), collection, catalog, &View::all());
        self.rows(statement.text, statement.arguments)
            .await?
            .documents(collection)
    }

    /// Whether some document that a sub-query finds has this value.
    pub async fn contains(
        &mut self,
        wanted: &Select,
        value: &Value,
        catalog: &Catalog,
    ) -> Result<bool> {
        let statement = select::contains(wanted, value, catalog);
        let rows = self.rows(statement.text, statement.arguments).await?;
        Ok(rows.integer(0, 0)? != 0)
    }

    /// Which of these ids belong to a document.
    pub async fn existing(&mut self, collection: &Collection, ids: &[Id]) -> Result<Vec<Id>> {
        let mut statement = Statement::new(format!(
            "SELECT \"id\" FROM {} WHERE \"id\" IN (",
            crate::sql::table_of(collection)
        ));
        statement.join(ids, ", ", |statement, id| {
            statement.bind(Argument::Text(id.to_string()));
        });
        statement.push(")");
        let rows = self.rows(statement.text, statement.arguments).await?;
        (0..rows.len())
            .map(|row| match rows.argument(row, 0)? {
                Argument::Text(id) => id.parse().map_err(Error::internal),
                _ => Err(Error::internal("an id was expected")),
            })
            .collect()
    }

    /// The revisions at which documents with the ids of these ended.
    pub async fn tombstones<'a>(
        &mut self,
        collection: &Collection,
        documents: impl IntoIterator<Item = &'a Document>,
    ) -> Result<Vec<(String, i64)>> {
        let statement = write::tombstones(collection, documents);
        let rows = self.rows(statement.text, statement.arguments).await?;
        (0..rows.len())
            .map(|row| match rows.argument(row, 0)? {
                Argument::Text(id) => Ok((id, rows.integer(row, 1)?)),
                _ => Err(Error::internal("an id was expected")),
            })
            .collect()
    }

    /// Whether there is any tombstone at all.
    pub async fn has_tombstones(&mut self) -> Result<bool> {
        let text = format!("SELECT EXISTS (SELECT 1 FROM {})", write::TOMBSTONES);
        Ok(self.rows(text, Vec::new()).await?.integer(0, 0)? != 0)
    }

    async fn rows(&mut self, text: String, values: Vec<Argument>) -> Result<Rows> {
        self.limit.begin();
        read_rows(&mut self.connection, text, values)
            .await
            .map_err(internal)
    }

    async fn run(&mut self, text: &'static str) -> Result<()> {
        self.limit.begin();
        self.connection
            .execute(text)
            .await
            .map(drop)
            .map_err(internal)
    }

    /// Closes the connection.
    pub async fn close(self) {
        super::close(self.connection).await;
    }
}
