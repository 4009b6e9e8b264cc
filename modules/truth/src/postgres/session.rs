//! The session in which the engine works: a connection that writes.
//!
//! An exchange with the server takes longer than most statements. So documents that a batch names
//! are fetched and locked together, and changes that nothing can refuse are put off until the
//! commit or the next question, and go as one statement for each collection.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use nubo_core::{
    Error, Result,
    document::Document,
    field::FieldType,
    id::Id,
    schema::{Catalog, Collection, CollectionId},
    value::Value,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{
    connect::{Connector, close},
    outcome::{Doubt, Lane},
    rows::{PostgresRows, execute, read_rows},
};
use crate::{
    fault::{Keys, Refusal, is_lost, postgres_failure, trouble},
    rows::Rows,
    session::{Ending, Lock, Session, Trouble},
    sql::{
        Dialect, Statement,
        postgres::{Postgres, gate, outbox, room, table::COMMITS, write},
        select,
        write::update,
    },
};

/// From how many rows on they are copied in rather than inserted.
const COPY: usize = 256;
/// The lock of the one who carries out what is queued: `nuboturn` in ASCII. It goes with the
/// transaction, and that with the connection.
const TURN: i64 = 0x6e75_626f_7475_726e;
/// How long that one may stand still before it loses its turn to another.
const STANDSTILL: &str = "5s";
/// How many rows go to the server at once.
const ROWS: usize = 4096;
/// How much longer than the server's own limit an answer may take before the connection counts as
/// dead.
const GRACE: Duration = Duration::from_secs(2);

/// What all sessions know.
pub(super) struct Known {
    pub connector: Connector,
    pub catalog: Arc<Catalog>,
    pub keys: Keys,
    pub statement_limit: Duration,
}

/// A connection that writes.
pub(crate) struct PostgresSession {
    known: Arc<Known>,
    connection: Option<PgConnection>,
    /// Who this is to the server, to find out what became of it.
    backend: Backend,
    /// The number of the transaction under way, by which its outcome is looked up.
    lane: Lane,
    doubt: Option<Doubt>,
    trouble: Option<Trouble>,
    care: bool,
    /// Documents that are locked and will be asked for.
    prefetched: HashMap<(CollectionId, Id), Document>,
    /// Documents whose rows are older.
    put_off: BTreeMap<usize, BTreeMap<Id, Document>>,
}

/// A server process, by its number and its start, since numbers come back.
#[derive(Clone, Default)]
pub(super) struct Backend {
    pub process: i32,
    pub started: String,
}

impl PostgresSession {
    /// A session that is connected, under an id that nobody else has.
    pub async fn open(known: Arc<Known>, id: uuid::Uuid) -> Result<Self, sqlx::Error> {
        let mut session = Self {
            known,
            connection: None,
            backend: Backend::default(),
            lane: Lane { id, batch: 0 },
            doubt: None,
            trouble: None,
            care: false,
            prefetched: HashMap::new(),
            put_off: BTreeMap::new(),
        };
        session.reconnect().await?;
        // What servers that are gone have left; one that is merely quiet makes its row again.
        let text = format!("DELETE FROM {COMMITS} WHERE at < now() - interval '7 days'");
        session
            .with(async |connection| connection.execute(AssertSqlSafe(text)).await.map(drop))
            .await?;
        Ok(session)
    }

    async fn reconnect(&mut self) -> Result<(), sqlx::Error> {
        let mut connection = self.known.connector.connect().await?;
        let row = connection
            .fetch_one(
                "SELECT pid, backend_start::text FROM pg_stat_activity \
                 WHERE pid = pg_backend_pid()",
            )
            .await?;
        self.backend = Backend {
            process: row
                .try_get_unchecked::<String, _>(0)?
                .parse()
                .map_err(|error: std::num::ParseIntError| sqlx::Error::Decode(error.into()))?,
            started: row.try_get(1)?,
        };
        self.connection = Some(connection);
        Ok(())
    }

    /// Does something with the connection and notes what has gone wrong.
    async fn with<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let limit = self.known.statement_limit + GRACE;
        let result = match &mut self.connection {
            Some(connection) => match tokio::time::timeout(limit, act(connection)).await {
                Ok(result) => result,
                Err(_) => Err(gone("the database does not answer")),
            },
            None => Err(gone("there is no connection")),
        };
        if let Err(error) = &result {
            if is_lost(error) {
                tracing::debug!(%error, "a writing connection is gone");
                self.connection = None;
            }
            if self.trouble.is_none() {
                self.trouble = trouble(error);
            }
        }
        result
    }

    async fn run(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        self.with(async |connection| connection.execute(text).await.map(drop))
            .await
    }

    /// Does something so that a refusal leaves the transaction as it was, where care is taken.
    async fn carefully<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if !self.care {
            return self.with(act).await;
        }
        self.run("SAVEPOINT two").await?;
        let result = self.with(act).await;
        match result {
            Ok(done) => {
                self.run("RELEASE two").await?;
                Ok(done)
            }
            Err(error) => {
                if self.trouble == Some(Trouble::Refused) {
                    self.trouble = None;
                    self.run("ROLLBACK TO two; RELEASE two").await?;
                }
                Err(error)
            }
        }
    }

    async fn write(&mut self, statement: Statement<Postgres>) -> Result<(), Refusal> {
        let result = self
            .carefully(async |connection| execute(connection, statement).await.map(drop))
            .await;
        result.map_err(|error| self.known.keys.refusal(error))
    }

    async fn ask(&mut self, statement: Statement<Postgres>) -> Result<PostgresRows> {
        self.carefully(async |connection| read_rows(connection, statement).await)
            .await
            .map_err(postgres_failure)
    }

    /// Writes what was put off.
    async fn catch_up(&mut self) -> Result<(), Refusal> {
        let known = Arc::clone(&self.known);
        for (collection, documents) in std::mem::take(&mut self.put_off) {
            let collection = &known.catalog.collections()[collection];
            let documents: Vec<&Document> = documents.values().collect();
            self.write(write::update_many(collection, &documents))
                .await?;
        }
        Ok(())
    }

    async fn caught_up(&mut self) -> Result<()> {
        match self.catch_up().await {
            Ok(()) => Ok(()),
            Err(Refusal::Other(error) | Refusal::Unfit(error)) => Err(error),
            Err(Refusal::Duplicate(_) | Refusal::Reference) => Err(Error::internal(
                "a change was refused that nothing can refuse",
            )),
        }
    }

    /// Whether nothing in the database can refuse a change of these fields.
    fn is_harmless(collection: &Collection, changed: &[usize]) -> bool {
        let fields = collection.fields();
        let unique = |field: &usize| {
            let indexes = collection.indexes.iter().filter(|index| index.unique);
            fields[*field].unique
                || indexes
                    .flat_map(|index| &index.columns)
                    .any(|column| column.field == *field)
        };
        // A condition lets a document into a unique index without a change of its columns.
        let conditional = collection
            .indexes
            .iter()
            .any(|index| index.unique && !index.condition.is_always());
        !conditional
            && !changed
                .iter()
                .any(|field| unique(field) || matches!(fields[*field].kind, FieldType::Ref(_)))
    }

    /// A connection to ask about another one.
    pub(super) async fn fresh(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            self.reconnect().await?;
        }
        self.connection
            .as_mut()
            .ok_or_else(|| gone("there is no connection"))
    }

    /// Nobody has heard whether the transaction under way was committed.
    fn doubt(&mut self) {
        self.doubt = Some(Doubt::new(self.lane, self.backend.clone()));
        self.trouble = Some(Trouble::Unknown);
    }

    /// Gives a connection up that has failed.
    pub(super) fn give_up(&mut self) {
        self.connection = None;
    }
}

/// A connection that does not do what it was asked.
pub(super) fn gone(words: &'static str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, words))
}

impl Session for PostgresSession {
    type Dialect = Postgres;
    type Rows = PostgresRows;

    const CONCURRENT: bool = true;
    /// As many as are not copied in.
    const ALONE: usize = COPY - 1;
    /// Others may write at any time; that is why nothing is kept above it that they could outdate.
    const WATCH: Option<Duration> = None;

    async fn was_overtaken(&mut self) -> Result<bool> {
        Ok(false)
    }

    async fn begin(&mut self, care: bool) -> Result<()> {
        self.care = care;
        self.prefetched.clear();
        self.put_off.clear();
        let text = self.lane.begin();
        let begun = self.with(async |connection| {
            let text = AssertSqlSafe(text);
            connection.execute(text).await.map(drop)
        });
        begun.await.map_err(postgres_failure)
    }

    async fn complete(&mut self) -> Result<(), Refusal> {
        self.catch_up().await
    }

    async fn commit(&mut self, ending: Ending) -> Result<()> {
        let mut text = String::new();
        if let Some(note) = &ending.note {
            text = outbox::add(note) + "; ";
        }
        if let Some(terms) = &ending.terms {
            text = text + "SELECT " + &gate::enter(terms) + "; ";
        }
        text.push_str("COMMIT");
        let committed = self.with(async |connection| {
            let text = AssertSqlSafe(text);
            connection.execute(text).await.map(drop)
        });
        match committed.await {
            Ok(()) => Ok(()),
            Err(error) if is_lost(&error) => {
                self.doubt();
                Err(postgres_failure(error))
            }
            Err(error) => Err(postgres_failure(error)),
        }
    }

    async fn rollback(&mut self) -> Result<()> {
        let trouble = self.trouble;
        let result = self.run("ROLLBACK").await.map_err(postgres_failure);
        self.trouble = trouble;
        result
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT one").await.map_err(postgres_failure)
    }

    async fn keep(&mut self) -> Result<()> {
        self.run("RELEASE one").await.map_err(postgres_failure)
    }

    async fn undo(&mut self) -> Result<()> {
        self.run("ROLLBACK TO one; RELEASE one")
            .await
            .map_err(postgres_failure)
    }

    fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    fn take_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    fn set_trouble(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
    }

    fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    async fn connect(&mut self) -> Result<()> {
        match self.connection {
            Some(_) => Ok(()),
            None => self.reconnect().await.map_err(postgres_failure),
        }
    }

    async fn was_committed(&mut self) -> Option<bool> {
        let doubt = self.doubt.take()?;
        let fate = doubt.look_up(self).await;
        if fate.is_none() {
            self.doubt = Some(doubt);
        }
        fate
    }

    async fn take_turn(&mut self) -> Result<bool> {
        let statement = Statement::new(format!(
            "SELECT pg_try_advisory_xact_lock({TURN})::int, \
             set_config('idle_in_transaction_session_timeout', '{STANDSTILL}', true)"
        ));
        Ok(self.rows(statement).await?.integer(0, 0)? != 0)
    }

    fn rows_at_once(&self, _: &Collection) -> usize {
        ROWS
    }

    async fn insert_alone(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
        ending: Ending,
    ) -> Result<(), Refusal> {
        let Lane { id, batch } = self.lane.next();
        let statement = write::insert_alone(collection, documents, id, batch, ending);
        let inserted = self
            .with(async |connection| execute(connection, statement).await)
            .await;
        inserted.map(drop).map_err(|error| {
            if is_lost(&error) {
                self.doubt();
            }
            self.known.keys.refusal(error)
        })
    }

    async fn insert(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
    ) -> Result<(), Refusal> {
        if documents.len() < COPY {
            return self.write(write::insert(collection, documents)).await;
        }
        let statement = write::copy(collection);
        let rows = write::copied(collection, documents.iter().copied());
        let copied = self.carefully(async |connection| {
            let mut copy = connection.copy_in_raw(&statement).await?;
            copy.send(rows).await?;
            copy.finish().await.map(drop)
        });
        copied.await.map_err(|error| self.known.keys.refusal(error))
    }

    async fn update(
        &mut self,
        collection: &Collection,
        document: &Document,
        changed: &[usize],
    ) -> Result<(), Refusal> {
        let Some(id) = document.id() else {
            return Err(Refusal::Other(Error::internal("a document without an id")));
        };
        // A walk may come upon a document that is also asked for by its id.
        self.prefetched.remove(&(collection.id, id));
        if !self.care && Self::is_harmless(collection, changed) {
            self.put_off
                .entry(collection.id.index())
                .or_default()
                .insert(id, document.clone());
            return Ok(());
        }
        self.catch_up().await?;
        self.write(update(collection, document, changed)).await
    }

    async fn execute(&mut self, statement: Statement<Postgres>) -> Result<(), Refusal> {
        self.catch_up().await?;
        self.write(statement).await
    }

    async fn rows(&mut self, statement: Statement<Postgres>) -> Result<PostgresRows> {
        self.caught_up().await?;
        self.ask(statement).await
    }

    async fn locked(
        &mut self,
        mut statement: Statement<Postgres>,
        lock: Lock,
    ) -> Result<PostgresRows> {
        statement.push(match lock {
            // Does not keep others from referring to the document, as an update does not.
            Lock::Change => " FOR NO KEY UPDATE",
            Lock::Removal => " FOR UPDATE",
            Lock::Existence => " FOR KEY SHARE",
        });
        self.rows(statement).await
    }

    async fn prefetch(&mut self, collection: &Collection, ids: Vec<Id>) -> Result<()> {
        let ids: Vec<Value> = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let mut statement = Statement::new(format!(
            "SELECT {} FROM {} WHERE ",
            select::columns(collection),
            Postgres::table(collection)
        ));
        Postgres::among(&mut statement, "\"id\"", &FieldType::Uuid, &ids);
        statement.push(" ORDER BY \"id\"");
        let rows = self.locked(statement, Lock::Change).await?;
        for document in rows.documents(collection)? {
            if let Some(id) = document.id() {
                self.prefetched.insert((collection.id, id), document);
            }
        }
        Ok(())
    }

    async fn load(
        &mut self,
        collection: &Collection,
        id: Id,
        lock: Lock,
    ) -> Result<Option<Document>> {
        let put_off = self.put_off.get(&collection.id.index());
        if lock == Lock::Change
            && let Some(document) = put_off.and_then(|documents| documents.get(&id))
        {
            return Ok(Some(document.clone()));
        }
        let prefetched = self.prefetched.remove(&(collection.id, id));
        if lock == Lock::Change && prefetched.is_some() {
            return Ok(prefetched);
        }
        let text = select::by_id::<Postgres>(collection, &select::columns(collection));
        let mut statement = Statement::new(text);
        statement.arguments.push(Postgres::argument(
            &FieldType::Uuid,
            &Value::Uuid(id.uuid()),
        ));
        self.locked(statement, lock).await?.first(collection)
    }

    async fn hold(&mut self, collection: &Collection) -> Result<()> {
        self.rows(room::hold(collection)).await.map(drop)
    }

    /// Somebody else may have taken a document in, and ended it, while this one waited for its id. That
    /// is seen when the id is here.
    async fn take_in(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
    ) -> Result<(), Refusal> {
        self.catch_up().await?;
        let mut statement = write::insert(collection, documents);
        statement.push(" ON CONFLICT (\"id\") DO NOTHING");
        self.write(statement).await?;
        self.write(room::without_ended(collection, documents)).await
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            close(connection).await;
        }
    }
}
