//! The PostgreSQL driver: the truth of a server that others run beside, 15 and later.
//!
//! Several connections write ([`crate::engine`]), each with a batch of its own under way; a pool of
//! others reads. What is read comes as binary rows and is written as JSON here: that costs the
//! server less than building JSON, and the bytes are the ones that are sent anyway.

mod connect;
mod coordination;
mod encryption;
mod gather;
mod outbox;
mod outcome;
mod own;
mod pool;
mod queue;
mod rebuild;
mod room;
mod rows;
mod schema;
mod session;
mod settings;
mod watch;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    access::View,
    alone::{Alone, WaitingRoom},
    clock::{Clock, Random},
    document::Document,
    field::FieldType,
    filter::{Expr, Select},
    id::Id,
    module::SetupError,
    observe::Observer,
    query::{Query, Related},
    queue::WriteQueue,
    schema::{Catalog, CollectionId},
    truth::{Body, Page, Truth},
    value::Value,
    write::{Outcome, Sequence, Transaction},
};

use self::{
    connect::Connector,
    gather::Gathering,
    outbox::Notes,
    own::OwnConnection,
    pool::Pool,
    rows::PostgresRows,
    session::{Known, PostgresSession},
    watch::Watch,
};
use crate::{
    engine::{Outbox, Surroundings, Writer},
    fault::Keys,
    migrate::run,
    rows::Rows,
    sql::{Dialect, Statement, postgres::Postgres, select},
};

pub(crate) use self::schema::{LANGUAGE, PostgresDatabase};
pub use self::{
    coordination::PostgresCoordination,
    rebuild::{IndexRebuild, Rebuilt},
    settings::{PostgresSettings, Tls, is_postgres_address},
};

/// The truth on PostgreSQL.
pub struct PostgresTruth {
    settings: PostgresSettings,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    alone: Option<Arc<dyn Alone>>,
    running: OnceLock<Running>,
}

/// What exists between start and stop.
struct Running {
    writer: Writer,
    readers: Gathering,
    watch: Watch,
    /// What is noted for the recent tier.
    notes: Notes,
    /// By which documents leave.
    room: OwnConnection,
    /// The statement that reads one document by its id, for each collection.
    by_id: Vec<String>,
}

impl PostgresTruth {
    /// A truth that is not open yet.
    pub fn new(
        settings: PostgresSettings,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            settings,
            catalog,
            clock,
            random,
            alone: None,
            running: OnceLock::new(),
        }
    }

    /// The same where documents of some collections stay elsewhere.
    #[must_use]
    pub fn beside(mut self, alone: Arc<dyn Alone>) -> Self {
        self.alone = Some(alone);
        self
    }

    fn running(&self) -> Result<&Running> {
        self.running
            .get()
            .ok_or_else(|| Error::unavailable("not_started", "the server is starting"))
    }

    async fn ask(&self, statement: Statement<Postgres>) -> Result<PostgresRows> {
        self.running()?.readers.ask(statement).await
    }

    async fn open(&self, observers: Vec<Arc<dyn Observer>>) -> Result<Running, SetupError> {
        let settings = &self.settings;
        let connector = Connector::new(settings)?;
        let address = connector.address();
        let cannot = |error: sqlx::Error| connector.cannot_connect(error);
        let mut first = connector.connect().await.map_err(cannot)?;
        connect::check(&mut first, &address).await?;
        run::at_start(
            &mut PostgresDatabase::on(&mut first),
            &self.catalog,
            settings.at_start,
            &settings.migrations,
        )
        .await?;
        let mut reading = vec![first];
        while reading.len() < settings.readers.0.max(1) as usize {
            reading.push(connector.connect().await.map_err(cannot)?);
        }
        let known = Arc::new(Known {
            connector: connector.clone(),
            catalog: Arc::clone(&self.catalog),
            keys: Keys::of(&self.catalog),
            statement_limit: settings.statement_limit,
        });
        let mut writing = Vec::with_capacity(settings.writers as usize);
        for _ in 0..settings.writers.max(1) {
            let mut bytes = [0; 16];
            self.random.fill(&mut bytes);
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
            let session = PostgresSession::open(Arc::clone(&known), id).await;
            writing.push(session.map_err(cannot)?);
        }
        let watch = Watch::start(
            connector.clone(),
            Arc::clone(&self.catalog),
            Arc::clone(&self.clock),
            observers.clone(),
        );
        let watch = watch
            .await
            .map_err(|error| SetupError::caused("cannot see what others write", error))?;
        let notes = Notes::new(OwnConnection::new(connector.clone()), &self.catalog);
        // A server without a recent tier notes what it writes for those that have one.
        let keeps_notes = settings.outbox
            || notes.was_used().await.map_err(|error| {
                SetupError::caused("cannot see whether there is a recent tier", error)
            })?;
        let surroundings = Surroundings {
            outbox: keeps_notes.then(|| Outbox::new(&self.catalog)),
            alone: self.alone.clone(),
            catalog: Arc::clone(&self.catalog),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            observers,
        };
        let collections = self.catalog.collections().iter();
        Ok(Running {
            writer: Writer::start(writing, surroundings)
                .await
                .map_err(|error| SetupError::caused("cannot read the database", error))?,
            watch,
            notes,
            room: OwnConnection::new(connector.clone()),
            readers: Gathering::new(
                Pool::start(
                    connector,
                    reading,
                    settings.readers.1 as usize,
                    settings.acquire_limit,
                    settings.idle_limit,
                ),
                settings.acquire_limit,
            ),
            by_id: collections
                .map(|collection| {
                    select::by_id::<Postgres>(collection, &select::columns(collection))
                })
                .collect(),
        })
    }
}

#[async_trait]
impl Truth for PostgresTruth {
    async fn start(&self, observers: Vec<Arc<dyn Observer>>) -> Result<(), SetupError> {
        let running = self.open(observers).await?;
        self.running
            .set(running)
            .map_err(|_| SetupError::new("the database is open already"))
    }

    async fn stop(&self) {
        if let Some(running) = self.running.get() {
            running.writer.stop().await;
            running.watch.stop().await;
            running.readers.stop().await;
            running.notes.close().await;
            running.room.close().await;
        }
    }

    async fn ping(&self) -> Result<()> {
        self.ask(Statement::new("SELECT 1")).await.map(drop)
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

    fn waiting_room(&self) -> Option<&dyn WaitingRoom> {
        Some(self)
    }

    fn outbox(&self) -> Option<&dyn nubo_core::outbox::Outbox> {
        Some(&self.running.get()?.notes)
    }

    async fn get(&self, collection: CollectionId, id: Id, view: &View) -> Result<Option<Body>> {
        let running = self.running()?;
        let schema = self.catalog.get(collection);
        let id = Value::Uuid(id.uuid());
        let statement = if view.is_all() {
            let mut statement = Statement::new(running.by_id[collection.index()].as_str());
            statement
                .arguments
                .push(Postgres::argument(&FieldType::Uuid, &id));
            statement
        } else {
            select::seen_columns(&id, schema, &self.catalog, view)
        };
        self.ask(statement).await?.body(schema)
    }

    async fn page(&self, query: Query, view: &View) -> Result<Page> {
        let collection = self.catalog.get(query.collection);
        let rows = select::one_more(&query);
        let statement = select::documents(&query, rows, collection, &self.catalog, view);
        self.ask(statement).await?.page(&query, collection)
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
        Ok(self.ask(statement).await?.integer(0, 0)?.unsigned_abs())
    }

    async fn contains(&self, select: &Select, value: &Value) -> Result<bool> {
        let statement = select::contains(select, value, &self.catalog);
        Ok(self.ask(statement).await?.integer(0, 0)? != 0)
    }
}
