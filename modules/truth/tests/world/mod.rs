//! A small world for tests: a truth on a file of its own, a clock that is set by hand, and
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
use nubo_truth::{SqliteSettings, SqliteTruth};
use serde_json::Value as Json;

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
pub struct Counter(AtomicU64);

impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        buffer.fill(0);
        for (slot, byte) in buffer.iter_mut().rev().zip(number.to_le_bytes()) {
            *slot = byte;
        }
    }
}

/// A truth with its surroundings. The file goes when the world does.
pub struct World {
    pub truth: Arc<SqliteTruth>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<HandClock>,
    pub random: Arc<Counter>,
    pub folder: Arc<tempfile::TempDir>,
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
    /// A new file for these declarations.
    pub async fn new(declarations: Json) -> Self {
        let world = Self::closed(declarations, Arc::new(tempfile::tempdir().unwrap()));
        world.truth.start(Vec::new()).await.unwrap();
        world
    }

    /// The same file under other declarations, or the same ones; not started yet.
    pub fn closed(declarations: Json, folder: Arc<tempfile::TempDir>) -> Self {
        let catalog = catalog(declarations);
        let clock = Arc::new(HandClock(AtomicI64::new(BEGINNING)));
        let random = Arc::new(Counter::default());
        let truth = Arc::new(SqliteTruth::new(
            SqliteSettings {
                path: Self::file(&folder),
                readers: 2,
                page_cache: 2 << 20,
                statement_limit: std::time::Duration::from_secs(60),
            },
            Arc::clone(&catalog),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random) as Arc<dyn Random>,
        ));
        Self {
            truth,
            catalog,
            clock,
            random,
            folder,
        }
    }

    pub fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("truth.db")
    }

    /// Stops the truth and opens its file again under other declarations.
    pub async fn reopened(self, declarations: Json) -> std::result::Result<Self, String> {
        self.truth.stop().await;
        let folder = Arc::clone(&self.folder);
        let now = self.clock.micros();
        let again = Self::closed(declarations, folder);
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
