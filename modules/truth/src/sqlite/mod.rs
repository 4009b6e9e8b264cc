//! The SQLite driver: the truth of an embedded server.
//!
//! One file in the data folder, in WAL mode with `synchronous=FULL`: a commit returns when the log
//! is on disk. One connection writes ([`crate::engine`]), several read, and readers never wait for
//! the writer.

mod connection;
mod queue;
mod reader;
mod schema;
mod session;
mod time_limit;

use connection::arguments;
use reader::read_rows;
pub(crate) use schema::{LANGUAGE, SqliteDatabase};
use session::SqliteSession;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    access::View,
    clock::{Clock, Random},
    document::Document,
    filter::{Expr, Select},
    id::{Id, Revision},
    module::SetupError,
    observe::Observer,
    query::{Query, Related},
    queue::WriteQueue,
    schema::{Catalog, Collection, CollectionId},
    truth::{Body, Page, Truth},
    value::Value,
    write::{Outcome, Sequence, Transaction},
};
use reader::{Readers, SqliteRows};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use time_limit::TimeLimit;

use crate::{
    engine::{Surroundings, Writer},
    migrate::{AtStart, run},
    pages,
    rows::Rows,
    sql::{
        Statement, select,
        sqlite::{Argument, Sqlite, page},
    },
};

/// How the embedded database is run.
#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// The database file. Its folder must exist.
    pub path: PathBuf,
    /// Connections that read.
    pub readers: usize,
    /// How long one statement may take.
    pub statement_limit: Duration,
    /// Memory for cached pages, in bytes, for each connection.
    pub page_cache: u64,
    /// What happens at start where the schema differs from the collections.
    pub at_start: AtStart,
    /// The folder of its migrations; it need not be there.
    pub migrations: PathBuf,
}

/// The truth on SQLite.
pub struct SqliteTruth {
    settings: SqliteSettings,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    running: OnceLock<Running>,
}

/// What exists between start and stop.
struct Running {
    writer: Writer,
    readers: Readers,
    /// Prepared once for each collection.
    plans: Vec<Plan>,
}

/// The statements that every request on a collection would build alike.
struct Plan {
    /// One document by id: its JSON where the database can build it, else its columns.
    get: Arc<str>,
    /// How a page begins, where the database can build it.
    page_head: Option<String>,
}

impl SqliteTruth {
    /// A truth that is not open yet.
    pub fn new(
        settings: SqliteSettings,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            settings,
            catalog,
            clock,
            random,
            running: OnceLock::new(),
        }
    }

    fn running(&self) -> Result<&Running> {
        self.running
            .get()
            .ok_or_else(|| Error::unavailable("not_started", "the server is starting"))
    }

    async fn time_limit(&self, connection: &mut SqliteConnection) -> sqlx::Result<TimeLimit> {
        TimeLimit::of(
            connection,
            Arc::clone(&self.clock),
            self.settings.statement_limit,
        )
        .await
    }

    fn plan(collection: &Collection) -> Plan {
        let builds_json = page::builds_json(collection);
        let what = match builds_json {
            true => format!("{}, \"_rev\"", page::json_expression(collection)),
            false => select::columns(collection),
        };
        Plan {
            get: select::by_id::<Sqlite>(collection, &what).into(),
            page_head: builds_json.then(|| page::page_head(collection)),
        }
    }
}

#[async_trait]
impl Truth for SqliteTruth {
    async fn start(
        &self,
        observers: Vec<Arc<dyn Observer>>,
    ) -> std::result::Result<(), SetupError> {
        let cannot = |error: sqlx::Error| {
            SetupError::caused(
                format!("cannot open the database {}", self.settings.path.display()),
                error,
            )
        };
        let options = connection::options(&self.settings);
        let mut writing = options.connect().await.map_err(cannot)?;
        connection::check(&mut writing, &self.settings.path).await?;
        run::at_start(
            &mut SqliteDatabase::on(&mut writing),
            &self.catalog,
            self.settings.at_start,
            &self.settings.migrations,
        )
        .await?;
        let mut reading = Vec::with_capacity(self.settings.readers);
        for _ in 0..self.settings.readers.max(1) {
            let reader = connection::options(&self.settings).pragma("query_only", "ON");
            let mut reader = reader.connect().await.map_err(cannot)?;
            let limit = self.time_limit(&mut reader).await.map_err(cannot)?;
            reading.push((reader, limit));
        }
        let limit = self.time_limit(&mut writing).await.map_err(cannot)?;
        let running = Running {
            writer: Writer::start(
                vec![SqliteSession::new(writing, limit)],
                Surroundings {
                    outbox: None,
                    alone: None,
                    catalog: Arc::clone(&self.catalog),
                    clock: Arc::clone(&self.clock),
                    random: Arc::clone(&self.random),
                    observers,
                },
            )
            .await
            .map_err(|error| SetupError::caused("cannot read the database", error))?,
            readers: Readers::start(reading),
            plans: self
                .catalog
                .collections()
                .iter()
                .map(|collection| Self::plan(collection))
                .collect(),
        };
        self.running
            .set(running)
            .map_err(|_| SetupError::new("the database is open already"))
    }

    async fn stop(&self) {
        if let Some(running) = self.running.get() {
            running.writer.stop().await;
            running.readers.stop().await;
        }
    }

    async fn ping(&self) -> Result<()> {
        let rows = self
            .running()?
            .readers
            .query("SELECT 1".into(), Vec::new())
            .await?;
        debug_assert_eq!(rows.count(), 1);
        Ok(())
    }

    async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        match self.running() {
            Ok(running) => running.writer.transact(transactions, sequence).await,
            Err(_) => transactions
                .iter()
                .map(|_| Err(Error::unavailable("not_started", "the server is starting")))
                .collect(),
        }
    }

    fn queue(&self) -> Option<&dyn WriteQueue> {
        Some(self)
    }

    async fn get(&self, collection: CollectionId, id: Id, view: &View) -> Result<Option<Body>> {
        let running = self.running()?;
        let plan = &running.plans[collection.index()];
        let builds_json = plan.page_head.is_some();
        let collection = self.catalog.get(collection);
        let rows = if view.is_all() {
            let id = Argument::Text(id.to_string());
            running.readers.query(Arc::clone(&plan.get), vec![id]).await
        } else {
            let seen = match builds_json {
                true => page::seen_json,
                false => select::seen_columns,
            };
            let id = Value::Uuid(id.uuid());
            self.ask(seen(&id, collection, &self.catalog, view)).await
        }?;
        if rows.count() == 0 {
            return Ok(None);
        }
        if builds_json {
            return Ok(Some(Body {
                json: rows.bytes(0, 0)?,
                revision: Revision::new(rows.integer(0, 1)?),
            }));
        }
        Ok(Some(pages::body(
            &rows.document(0, collection)?,
            collection,
        )))
    }

    async fn page(&self, query: Query, view: &View) -> Result<Page> {
        let running = self.running()?;
        let collection = self.catalog.get(query.collection);
        let head = running.plans[query.collection.index()].page_head.as_deref();
        // The place of the last document is read from its JSON.
        let sort_is_sent = query
            .sort
            .iter()
            .all(|key| collection.fields()[key.field].is_sent() && view.mask(key.field).is_none());
        let Some(head) = head.filter(|_| query.fields.is_none() && sort_is_sent) else {
            let rows = select::one_more(&query);
            let statement = select::documents(&query, rows, collection, &self.catalog, view);
            let documents = self.ask(statement).await?.documents(collection)?;
            return Ok(pages::of_documents(documents, &query, collection));
        };
        let statement = page::page(head, &query, collection, &self.catalog, view);
        let rows = self.ask(statement).await?;
        let found = rows.integer(0, 1)?;
        match found {
            0 => Ok(pages::empty()),
            found => pages::of_json(rows.bytes(0, 0)?, found, &query, collection),
        }
    }

    async fn find(&self, query: Query, view: &View) -> Result<Vec<Document>> {
        let collection = self.catalog.get(query.collection);
        let limit = i64::from(query.limit);
        let statement = select::documents(&query, limit, collection, &self.catalog, view);
        self.ask(statement).await?.documents(collection)
    }

    async fn find_related(&self, related: Related, view: &View) -> Result<Vec<Document>> {
        if related.values.is_empty() {
            return Ok(Vec::new());
        }
        let collection = self.catalog.get(related.collection);
        let statement = select::related(&related, collection, &self.catalog, view);
        self.ask(statement).await?.documents(collection)
    }

    async fn count(&self, collection: CollectionId, filter: Expr, view: &View) -> Result<u64> {
        let collection = self.catalog.get(collection);
        let statement = select::count(&filter, collection, &self.catalog, view);
        let rows = self.ask(statement).await?;
        Ok(rows.integer(0, 0)?.unsigned_abs())
    }

    async fn contains(&self, select: &Select, value: &Value) -> Result<bool> {
        let statement = select::contains(select, value, &self.catalog);
        Ok(self.ask(statement).await?.integer(0, 0)? != 0)
    }
}

impl SqliteTruth {
    /// Puts a question to a reader.
    async fn ask(&self, statement: Statement<Sqlite>) -> Result<SqliteRows> {
        let readers = &self.running()?.readers;
        readers
            .query(statement.text.into(), statement.arguments)
            .await
    }
}

/// Closes a connection and says so where that fails: the log of the database may stay behind, and
/// is read at the next start.
async fn close(connection: sqlx::SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "a database connection did not close cleanly");
    }
}
