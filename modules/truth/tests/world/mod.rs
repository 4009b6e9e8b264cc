//! A small world for tests: a truth on a file or database of its own, a clock that is set by hand, and
//! randomness that repeats.

#![allow(dead_code, clippy::unwrap_used)]

pub mod choices;
pub mod documents;
pub mod filters;
pub mod property;
pub mod schemas;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use nubo_core::{
    Result,
    access::View,
    caller::Caller,
    change::read_patch,
    clock::{Clock, Random, new_id},
    declare::CollectionDeclaration,
    document::Document,
    field::Source,
    filter::{Expr, Reader},
    id::{Id, Revision},
    query::{Query, Start},
    schema::{Catalog, Collection},
    truth::Truth,
    write::{Guard, Operation, Outcome, Sequence, Target, Transaction},
};
use nubo_truth::{AtStart, PostgresSettings, PostgresTruth, SqliteSettings, SqliteTruth, Tls};
use serde_json::Value as Json;

#[path = "../../../../tests/services/postgres.rs"]
pub mod postgres;

/// 2026-11-21T21:45:00Z in microseconds.
pub const BEGINNING: i64 = 1_795_297_500_000_000;

/// A clock that stands still until it is moved.
pub struct HandClock(pub AtomicI64);

impl HandClock {
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Numbers that differ and are the same in every run.
#[derive(Default)]
pub struct Counter(pub AtomicU64);

impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        buffer.fill(0);
        for (slot, byte) in buffer.iter_mut().rev().zip(number.to_le_bytes()) {
            *slot = byte;
        }
    }
}

/// What holds the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Sqlite,
    Postgres,
}

/// Where it is. It goes with the last world that has it.
#[derive(Clone)]
pub enum Home {
    File(Arc<tempfile::TempDir>),
    Database(Arc<postgres::Database>),
}

/// A test that holds for every driver: `on_each_truth!(name)` before `async fn name(on: Driver)`.
#[macro_export]
macro_rules! on_each_truth {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name($crate::world::Driver::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name($crate::world::Driver::Postgres).await;
            }
        }
    };
}

impl Home {
    /// The same place without anything in it, where that is less work than a new one.
    pub fn emptied(&self) -> Option<Self> {
        match self {
            Self::File(_) => None,
            Self::Database(database) => {
                database.clear();
                Some(self.clone())
            }
        }
    }
}

impl Driver {
    /// A new place for this driver's truth.
    pub fn home(self) -> Home {
        match self {
            Self::Sqlite => Home::File(Arc::new(tempfile::tempdir().unwrap())),
            Self::Postgres => Home::Database(Arc::new(postgres::Database::new())),
        }
    }

    /// A new world for these declarations.
    pub async fn world(self, declarations: Json) -> World {
        World::at(declarations, self.home()).await
    }
}

/// A truth with its surroundings.
pub struct World {
    pub truth: Arc<dyn Truth>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<HandClock>,
    pub random: Arc<Counter>,
    pub home: Home,
}

/// How tests use a database.
pub fn postgres_settings(url: String) -> PostgresSettings {
    PostgresSettings {
        outbox: false,
        url,
        application_name: "nubo-test".into(),
        readers: (1, 6),
        writers: 3,
        connect_limit: Duration::from_secs(10),
        acquire_limit: Duration::from_secs(60),
        statement_limit: Duration::from_secs(60),
        idle_limit: Duration::from_secs(60),
        tls: Some(Tls::Off),
        tls_root: None,
        at_start: AtStart::Apply,
        migrations: PathBuf::new(),
    }
}

/// How tests use a file.
pub fn sqlite_settings(path: PathBuf) -> SqliteSettings {
    SqliteSettings {
        path,
        readers: 2,
        page_cache: 2 << 20,
        statement_limit: Duration::from_secs(60),
        at_start: AtStart::Apply,
        migrations: PathBuf::new(),
    }
}

/// Compiles declarations written as JSON.
pub fn catalog(declarations: Json) -> Arc<Catalog> {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    match Catalog::compile(&declarations, &[]) {
        Ok(catalog) => Arc::new(catalog),
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

impl World {
    /// A world that begins at this place.
    pub async fn at(declarations: Json, home: Home) -> Self {
        let world = Self::closed(declarations, home);
        world.truth.start(Vec::new()).await.unwrap();
        world
    }

    /// The same place under other declarations, or the same ones; not started yet.
    pub fn closed(declarations: Json, home: Home) -> Self {
        let catalog = catalog(declarations);
        let clock = Arc::new(HandClock(AtomicI64::new(BEGINNING)));
        let random = Arc::new(Counter::default());
        let surroundings = (
            Arc::clone(&catalog),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random) as Arc<dyn Random>,
        );
        let truth: Arc<dyn Truth> = match &home {
            Home::File(folder) => {
                let (catalog, clock, random) = surroundings;
                let settings = sqlite_settings(Self::file(folder));
                Arc::new(SqliteTruth::new(settings, catalog, clock, random))
            }
            Home::Database(database) => {
                let (catalog, clock, random) = surroundings;
                let settings = postgres_settings(database.url.clone());
                Arc::new(PostgresTruth::new(settings, catalog, clock, random))
            }
        };
        Self {
            truth,
            catalog,
            clock,
            random,
            home,
        }
    }

    pub fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("truth.db")
    }

    /// Stops the truth and opens its place again under other declarations.
    pub async fn reopened(self, declarations: Json) -> std::result::Result<Self, String> {
        self.truth.stop().await;
        let now = self.clock.micros();
        let again = Self::closed(declarations, self.home.clone());
        again.clock.0.store(now, Ordering::SeqCst);
        let count = self.random.0.load(Ordering::SeqCst);
        again.random.0.store(count, Ordering::SeqCst);
        match again.truth.start(Vec::new()).await {
            Ok(()) => Ok(again),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn collection(&self, name: &str) -> &Arc<Collection> {
        self.catalog.named(name).unwrap()
    }

    /// An id that was not there before.
    pub fn id(&self) -> Id {
        new_id(self.clock.as_ref(), self.random.as_ref())
    }

    /// A document from JSON, complete.
    pub fn document(&self, collection: &str, json: &Json) -> Document {
        self.try_document(collection, json).unwrap()
    }

    pub fn try_document(&self, collection: &str, json: &Json) -> Result<Document> {
        let collection = self.collection(collection);
        let mut document = collection.read_document(json, Source::Json)?;
        collection.complete(&mut document, self.clock.now(), None, || self.id())?;
        Ok(document)
    }

    pub fn creation(&self, collection: &str, json: &Json) -> Operation {
        Operation::Create {
            collection: self.collection(collection).id,
            document: self.document(collection, json),
        }
    }

    pub fn change(&self, collection: &str, id: Id, patch: &Json) -> Operation {
        self.guarded_change(collection, id, patch, None)
    }

    pub fn guarded_change(
        &self,
        collection: &str,
        id: Id,
        patch: &Json,
        revisions: Option<Vec<Revision>>,
    ) -> Operation {
        let collection = self.collection(collection);
        Operation::Update {
            collection: collection.id,
            target: Target::One {
                id,
                guard: Guard { revisions },
            },
            change: read_patch(&self.catalog, collection, patch).unwrap(),
        }
    }

    pub fn change_many(&self, collection: &str, filter: &Json, patch: &Json) -> Operation {
        let schema = self.collection(collection);
        Operation::Update {
            collection: schema.id,
            target: Target::Matching(self.filter(collection, filter)),
            change: read_patch(&self.catalog, schema, patch).unwrap(),
        }
    }

    pub fn removal(&self, collection: &str, id: Id) -> Operation {
        Operation::Delete {
            collection: self.collection(collection).id,
            target: Target::One {
                id,
                guard: Guard::default(),
            },
        }
    }

    pub fn removal_of_many(&self, collection: &str, filter: &Json) -> Operation {
        Operation::Delete {
            collection: self.collection(collection).id,
            target: Target::Matching(self.filter(collection, filter)),
        }
    }

    pub fn transaction(&self, operations: Vec<Operation>) -> Transaction {
        Transaction {
            operations,
            permits: Vec::new(),
            caller: Caller::Server,
            now: self.clock.now(),
            new_ids: false,
        }
    }

    /// Several operations as one transaction.
    pub async fn together(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        let transaction = self.transaction(operations);
        let mut results = self
            .truth
            .transact(vec![transaction], Sequence::Independent)
            .await;
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// One operation as a transaction of its own.
    pub async fn run(&self, operation: Operation) -> Result<Outcome> {
        self.together(vec![operation])
            .await
            .map(|mut outcomes| outcomes.remove(0))
    }

    pub async fn create(&self, collection: &str, json: Json) -> Result<Document> {
        match self.run(self.creation(collection, &json)).await? {
            Outcome::Created(document) => Ok(document),
            other => panic!("{other:?}"),
        }
    }

    /// Creates what must succeed and tells its id.
    pub async fn given(&self, collection: &str, json: Json) -> Id {
        self.create(collection, json).await.unwrap().id().unwrap()
    }

    pub async fn update(&self, collection: &str, id: Id, patch: Json) -> Result<Document> {
        match self.run(self.change(collection, id, &patch)).await? {
            Outcome::Updated(document) => Ok(document),
            other => panic!("{other:?}"),
        }
    }

    pub async fn delete(&self, collection: &str, id: Id) -> Result<()> {
        self.run(self.removal(collection, id)).await.map(drop)
    }

    /// A stored document as a client would see it.
    pub async fn see(&self, collection: &str, id: Id) -> Option<Json> {
        let body = self
            .truth
            .get(self.collection(collection).id, id, &View::all())
            .await
            .unwrap()?;
        Some(serde_json::from_slice(&body.json).unwrap())
    }

    pub fn filter(&self, collection: &str, filter: &Json) -> Expr {
        Reader::of_client(&self.catalog, self.collection(collection))
            .read(filter)
            .unwrap()
    }

    pub fn query(&self, collection: &str, filter: &Json, limit: u32) -> Query {
        let schema = self.collection(collection);
        Query {
            collection: schema.id,
            filter: self.filter(collection, filter),
            sort: schema.order.clone(),
            start: Start::First,
            limit,
            fields: None,
        }
    }

    pub async fn count(&self, collection: &str, filter: Json) -> u64 {
        let id = self.collection(collection).id;
        self.truth
            .count(id, self.filter(collection, &filter), &View::all())
            .await
            .unwrap()
    }

    /// All documents of a collection, by id.
    pub async fn all(&self, collection: &str) -> Vec<Document> {
        let mut query = self.query(collection, &serde_json::json!({}), u32::MAX - 1);
        query.sort = self.collection(collection).read_sort("id").unwrap();
        self.truth.find(query, &View::all()).await.unwrap()
    }
}
