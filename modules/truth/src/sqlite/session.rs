//! The session in which the engine works: the one connection that writes, inside a transaction.

use std::time::Duration;

use nubo_core::{Error, Result, document::Document, id::Id, schema::Collection};
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use super::{arguments, read_rows, reader::SqliteRows, time_limit::TimeLimit};
use crate::{
    fault::{Refusal, internal, refusal},
    rows::Rows,
    session::{Ending, Lock, Session, Trouble},
    sql::{
        Statement, select,
        sqlite::{Argument, Sqlite, write},
        write::update,
    },
};

/// How many rows go into one statement at most: its arguments must stay below 32,766.
const ROWS: usize = 128;
const MAX_ARGUMENTS: usize = 30_000;

/// The writing connection.
pub(crate) struct SqliteSession {
    connection: SqliteConnection,
    limit: TimeLimit,
    /// What SQLite counts up at every commit of another connection.
    data_version: Option<i64>,
}

impl SqliteSession {
    pub fn new(connection: SqliteConnection, limit: TimeLimit) -> Self {
        Self {
            connection,
            limit,
            data_version: None,
        }
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

    async fn run(&mut self, text: &'static str) -> Result<()> {
        self.limit.begin();
        self.connection
            .execute(text)
            .await
            .map(drop)
            .map_err(internal)
    }
}

impl Session for SqliteSession {
    type Dialect = Sqlite;
    type Rows = SqliteRows;

    const CONCURRENT: bool = false;
    const ALONE: usize = usize::MAX;
    const WATCH: Option<Duration> = Some(Duration::from_millis(400));

    async fn was_overtaken(&mut self) -> Result<bool> {
        let version = self.rows(Statement::new("PRAGMA data_version")).await?;
        let version = version.integer(0, 0)?;
        let before = self.data_version.replace(version);
        Ok(before.is_some_and(|before| before != version))
    }

    /// Takes the write lock. A refused statement leaves the transaction as it was in any case.
    async fn begin(&mut self, _: bool) -> Result<()> {
        self.run("BEGIN IMMEDIATE").await
    }

    async fn complete(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn commit(&mut self, ending: Ending) -> Result<()> {
        debug_assert_eq!(
            ending,
            Ending::default(),
            "one process alone has nobody to agree with"
        );
        self.run("COMMIT").await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.run("ROLLBACK").await
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT one").await
    }

    async fn keep(&mut self) -> Result<()> {
        self.run("RELEASE one").await
    }

    async fn undo(&mut self) -> Result<()> {
        self.run("ROLLBACK TO one; RELEASE one").await
    }

    fn trouble(&self) -> Option<Trouble> {
        None
    }

    fn take_trouble(&mut self) -> Option<Trouble> {
        None
    }

    /// Every transaction has its savepoint here, so that nothing is spoilt.
    fn set_trouble(&mut self, _: Trouble) {}

    /// The database is a file.
    fn is_connected(&self) -> bool {
        true
    }

    async fn connect(&mut self) -> Result<()> {
        Ok(())
    }

    /// No outcome is ever unknown.
    async fn was_committed(&mut self) -> Option<bool> {
        None
    }

    /// Nobody else writes.
    async fn take_turn(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn rows_at_once(&self, collection: &Collection) -> usize {
        ROWS.min(MAX_ARGUMENTS / collection.fields().len()).max(1)
    }

    async fn insert_alone(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
        ending: Ending,
    ) -> Result<(), Refusal> {
        debug_assert_eq!(
            ending,
            Ending::default(),
            "one process alone has nobody to agree with"
        );
        let statement = write::insert(collection, documents.iter().copied());
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

    async fn insert(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
    ) -> Result<(), Refusal> {
        self.execute(write::insert(collection, documents.iter().copied()))
            .await
    }

    async fn update(
        &mut self,
        collection: &Collection,
        document: &Document,
        changed: &[usize],
    ) -> Result<(), Refusal> {
        self.execute(update(collection, document, changed)).await
    }

    async fn execute(&mut self, statement: Statement<Sqlite>) -> Result<(), Refusal> {
        self.execute_text(statement.text, statement.arguments).await
    }

    async fn rows(&mut self, statement: Statement<Sqlite>) -> Result<SqliteRows> {
        self.limit.begin();
        read_rows(&mut self.connection, statement.text, statement.arguments)
            .await
            .map_err(internal)
    }

    /// Nobody else writes.
    async fn locked(&mut self, statement: Statement<Sqlite>, _: Lock) -> Result<SqliteRows> {
        self.rows(statement).await
    }

    async fn prefetch(&mut self, _: &Collection, _: Vec<Id>) -> Result<()> {
        Ok(())
    }

    async fn load(&mut self, collection: &Collection, id: Id, _: Lock) -> Result<Option<Document>> {
        let text = select::by_id::<Sqlite>(collection, &select::columns(collection));
        let mut statement = Statement::new(text);
        statement.arguments.push(Argument::Text(id.to_string()));
        self.rows(statement).await?.first(collection)
    }

    async fn hold(&mut self, _: &Collection) -> Result<()> {
        Err(keeps_everything())
    }

    async fn take_in(&mut self, _: &Collection, _: &[&Document]) -> Result<(), Refusal> {
        Err(Refusal::Other(keeps_everything()))
    }

    async fn close(self) {
        super::close(self.connection).await;
    }
}

/// There is no recent tier above an embedded truth.
fn keeps_everything() -> Error {
    Error::internal("an embedded truth keeps every document")
}
