//! What the tests stand on: a truth in memory, a clock that is wound by hand, and collections.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result, Violation,
    access::View,
    bus::NoBus,
    caller::{Account, Caller},
    clock::{Clock, Random},
    document::Document,
    field::Source,
    filter::{Expr, Reader, Select},
    id::{Id, Revision},
    module::SetupError,
    observe::Observer,
    passwords::Passwords,
    query::{Cursor, Query, Related, Start},
    queue::{DeadLetter, Number, QueuedWrite, Refused, Standing, Waiting, Which, WriteQueue},
    schema::{Catalog, CollectionId, SortKey},
    store::Store,
    time::Timestamp,
    truth::{Body, Page, Truth},
    value::Value,
    write::{Operation, Outcome, Sequence, Target, Transaction},
};
use serde_json::{Value as Json, json};

use crate::Tiers;

/// 2026-11-21T21:45:00Z
pub(crate) const START: i64 = 1_795_297_500_000_000;

pub(crate) struct World {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<Memory>,
    pub clock: Arc<ManualClock>,
    pub tiers: Arc<Tiers>,
}

impl World {
    pub(crate) fn new() -> Self {
        let catalog = Arc::new(catalog());
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let truth = Arc::new(Memory::new(catalog.clone()));
        let tiers = Tiers::new(
            catalog.clone(),
            truth.clone(),
            Arc::new(NoBus),
            Arc::new(Reversing),
            clock.clone(),
            Arc::new(Counting::default()),
        );
        Self {
            catalog,
            truth,
            clock,
            tiers: Arc::new(tiers),
        }
    }

    pub(crate) fn id(&self, collection: &str) -> CollectionId {
        self.catalog.named(collection).unwrap().id
    }

    pub(crate) fn create(&self, collection: &str, json: Json) -> Operation {
        let collection = self.catalog.named(collection).unwrap();
        let document = collection.read_document(&json, Source::Json).unwrap();
        Operation::Create {
            collection: collection.id,
            document,
        }
    }

    /// Creates a document a second after the one before, and gives its id.
    pub(crate) async fn add(&self, collection: &str, json: Json) -> Id {
        self.clock.advance(1_000_000);
        let operation = self.create(collection, json);
        let outcomes = self.tiers.write(&somebody(), vec![operation]).await;
        match &outcomes.unwrap()[..] {
            [Outcome::Created(document)] => document.id().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The query that `GET /<collection>?filter=…&limit=…` becomes.
    pub(crate) fn query(&self, collection: &str, filter: &Json, limit: u32) -> Query {
        let collection = self.catalog.named(collection).unwrap();
        let filter = Reader::of_client(&self.catalog, collection).read(filter);
        Query {
            collection: collection.id,
            filter: filter.unwrap(),
            sort: collection.order.clone(),
            start: Start::First,
            limit,
            fields: None,
        }
    }

    /// How many documents match.
    pub(crate) async fn count(&self, collection: &str, filter: &Json) -> u64 {
        let query = self.query(collection, filter, 1);
        let count = self
            .tiers
            .count(&Caller::Anonymous, query.collection, query.filter);
        count.await.unwrap()
    }

    /// The query of a list, continued by a cursor.
    pub(crate) fn continued(&self, query: Query, cursor: &str) -> Result<Query> {
        let collection = self.catalog.get(query.collection);
        let start = Cursor::decode(cursor, &query, collection)?;
        Ok(Query { start, ..query })
    }
}

pub(crate) fn somebody() -> Caller {
    let id = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11".parse().unwrap();
    Caller::account(Account::new(id, Vec::new()))
}

pub(crate) fn documents(page: &Page) -> Vec<Json> {
    let text = std::str::from_utf8(&page.documents).unwrap();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(",\n")
        .map(|document| serde_json::from_str(document).unwrap())
        .collect()
}

fn catalog() -> Catalog {
    let anyone = json!({
        "read": "public", "create": "public", "update": "public", "delete": "public" });
    let declarations = json!([
        { "name": "users", "access": anyone, "fields": {
            "name": "text!",
            "password": "password",
            "creator": { "type": "uuid", "default": "$auth.id" } } },
        { "name": "posts", "access": anyone, "fields": {
            "title": "text!",
            "author": "ref(users)",
            "likers": "ref(users)[]" } },
        { "name": "comments", "access": anyone, "fields": {
            "post": "ref(posts)!",
            "author": "ref(users)",
            "text": "text" } },
        { "name": "visits", "access": anyone, "write": "behind", "fields": {
            "post": "ref(posts)", "text": "text" } },
        { "name": "logs", "access": anyone, "append_only": true, "expires_after": "1h", "fields": {
            "line": "text!" } },
    ]);
    let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts, so that ids differ and a test gives the same ones every time.
#[derive(Default)]
pub(crate) struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (index, byte) in buffer.iter_mut().rev().enumerate() {
            *byte = number.iter().rev().nth(index).copied().unwrap_or(0);
        }
    }
}

/// "Hashes" by turning a password round.
pub(crate) struct Reversing;

#[async_trait]
impl Passwords for Reversing {
    async fn hash(&self, password: String) -> Result<String> {
        Ok(password.chars().rev().collect())
    }

    fn refusal(&self, password: &str) -> Option<(&'static str, String)> {
        (password == "password").then(|| ("too_common", "is too common".to_owned()))
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        Ok(self.hash(password).await? == hash)
    }
}

type Tables = BTreeMap<(CollectionId, Id), Document>;

/// A truth in memory, without constraints.
pub(crate) struct Memory {
    catalog: Arc<Catalog>,
    tables: Mutex<Tables>,
    /// How often it was asked for documents.
    pub asked: AtomicUsize,
    /// How often it was handed transactions.
    pub handed: AtomicUsize,
    /// How many of them created nothing under an id that anybody could have had.
    pub with_new_ids: AtomicUsize,
    /// Documents that something else still needs.
    pub needed: Mutex<Vec<Id>>,
    pub queue: Queue,
}

/// Writes that are acknowledged and not carried out yet.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<BTreeMap<Number, Vec<u8>>>,
    next: AtomicI64,
    pub dead: Mutex<Vec<Refused>>,
    /// What the next attempts fail with.
    pub failures: Mutex<Vec<fn() -> Error>>,
    /// How often somebody asked where it stands.
    pub looks: AtomicUsize,
}

impl Memory {
    fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            tables: Mutex::default(),
            asked: AtomicUsize::new(0),
            handed: AtomicUsize::new(0),
            with_new_ids: AtomicUsize::new(0),
            needed: Mutex::default(),
            queue: Queue::default(),
        }
    }

    pub(crate) fn document(&self, collection: CollectionId, id: Id) -> Option<Document> {
        self.tables.lock().unwrap().get(&(collection, id)).cloned()
    }

    pub(crate) fn remove(&self, collection: CollectionId, id: Id) {
        self.tables.lock().unwrap().remove(&(collection, id));
    }

    /// The documents that match and that are seen, with nulls for what is masked.
    fn select(
        &self,
        collection: CollectionId,
        filter: &Expr,
        sort: &[SortKey],
        view: &View,
    ) -> Vec<Document> {
        let fields = self.catalog.get(collection).fields();
        let tables = self.tables.lock().unwrap();
        let mut found: Vec<Document> = tables
            .iter()
            .filter(|((there, _), _)| *there == collection)
            .map(|(_, document)| document.clone())
            .filter(|document| filter.matches(document, fields, &()))
            .filter(|document| view.condition.matches(document, fields, &()))
            .collect();
        for document in &mut found {
            let whole = document.clone();
            for mask in &view.masks {
                if !mask.shown.matches(&whole, fields, &()) {
                    document.set(mask.field, Value::Null);
                }
            }
        }
        found.sort_by(|a, b| order(sort, |key| (a.value(key).clone(), b.value(key).clone())));
        found
    }

    fn execute(&self, tables: &mut Tables, transaction: Transaction) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let several = transaction.operations.len() > 1;
        for (index, operation) in transaction.operations.into_iter().enumerate() {
            let place = if several {
                format!("/{index}")
            } else {
                String::new()
            };
            outcomes.push(match operation {
                Operation::Create {
                    collection,
                    mut document,
                } => {
                    document.set_revision(Revision::new(1));
                    let key = (collection, document.id().unwrap());
                    if tables.insert(key, document.clone()).is_some() {
                        return Err(Error::Conflict {
                            code: "duplicate",
                            detail: "the id is taken".into(),
                            errors: vec![Violation::new("/id", "duplicate", "is taken")],
                        }
                        .nested(&place));
                    }
                    Outcome::Created(document)
                }
                Operation::Update {
                    collection,
                    target: Target::One { id, .. },
                    change,
                } => {
                    let schema = self.catalog.get(collection);
                    let Some(document) = tables.get_mut(&(collection, id)) else {
                        return Err(Error::no_document(&schema.name));
                    };
                    change
                        .apply(document, schema, transaction.now)
                        .map_err(Error::Invalid)?;
                    Outcome::Updated(document.clone())
                }
                Operation::Delete {
                    collection,
                    target: Target::One { id, .. },
                } => {
                    if self.needed.lock().unwrap().contains(&id) {
                        return Err(Error::Conflict {
                            code: "still_referenced",
                            detail: "the document is still referenced".into(),
                            errors: Vec::new(),
                        });
                    }
                    match tables.remove(&(collection, id)) {
                        Some(_) => Outcome::Deleted,
                        None => return Err(Error::no_document("it")),
                    }
                }
                other => panic!("the fake does not do this: {other:?}"),
            });
        }
        Ok(outcomes)
    }
}

fn order(sort: &[SortKey], values: impl Fn(usize) -> (Value, Value)) -> std::cmp::Ordering {
    sort.iter()
        .map(|key| {
            let (a, b) = values(key.field);
            match key.descending {
                true => b.sort_order(&a),
                false => a.sort_order(&b),
            }
        })
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

#[async_trait]
impl Truth for Memory {
    async fn start(&self, _: Vec<Arc<dyn Observer>>) -> Result<(), SetupError> {
        Ok(())
    }

    async fn stop(&self) {}

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn transact(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        self.handed.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.tables.lock().unwrap();
        let mut results = Vec::new();
        let mut stopped = false;
        for transaction in transactions {
            if stopped {
                results.push(Err(Error::internal("not tried by the fake")));
                continue;
            }
            if transaction.new_ids {
                self.with_new_ids.fetch_add(1, Ordering::Relaxed);
            }
            let before = tables.clone();
            let result = self.execute(&mut tables, transaction);
            if result.is_err() {
                *tables = before;
                stopped = sequence == Sequence::StopAtError;
            }
            results.push(result);
        }
        results
    }

    fn queue(&self) -> Option<&dyn WriteQueue> {
        Some(self)
    }

    async fn get(&self, collection: CollectionId, id: Id, view: &View) -> Result<Option<Body>> {
        let schema = self.catalog.get(collection);
        let mut seen = self.select(collection, &Expr::always(), &[], view);
        seen.retain(|document| document.id() == Some(id));
        Ok(seen.pop().map(|document| {
            let mut json = Vec::new();
            document.write_json(schema, &mut json);
            Body {
                json: json.into(),
                revision: document.revision(),
            }
        }))
    }

    async fn page(&self, _: Query, _: &View) -> Result<Page> {
        Ok(Page {
            documents: "{\"from\":\"the truth's own page\"}".into(),
            count: 1,
            next: None,
        })
    }

    async fn find(&self, query: Query, view: &View) -> Result<Vec<Document>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut found = self.select(query.collection, &query.filter, &query.sort, view);
        match &query.start {
            Start::First => {}
            Start::Offset(skip) => found = found.split_off((*skip as usize).min(found.len())),
            Start::After(keys) => found.retain(|document| {
                let at = |field| {
                    query
                        .sort
                        .iter()
                        .position(|key| key.field == field)
                        .unwrap()
                };
                order(&query.sort, |field| {
                    (document.value(field).clone(), keys[at(field)].clone())
                })
                .is_gt()
            }),
        }
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn find_related(&self, related: Related, view: &View) -> Result<Vec<Document>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let all = self.select(related.collection, &Expr::always(), &related.sort, view);
        let references = |document: &Document, value: &Value| match document.value(related.field) {
            Value::List(items) => items.contains(value),
            one => one == value,
        };
        let found = related.values.iter().flat_map(|value| {
            all.iter()
                .filter(move |document| references(document, value))
                .take(related.limit_each as usize)
                .cloned()
        });
        Ok(found.collect())
    }

    async fn count(&self, collection: CollectionId, filter: Expr, view: &View) -> Result<u64> {
        Ok(self.select(collection, &filter, &[], view).len() as u64)
    }

    async fn contains(&self, select: &Select, value: &Value) -> Result<bool> {
        let found = self.select(select.collection, &select.condition, &[], &View::all());
        let matches = |document: &Document| document.value(select.field) == value;
        Ok(found.iter().any(matches))
    }
}

#[async_trait]
impl WriteQueue for Memory {
    async fn append(&self, writes: Vec<QueuedWrite>) -> Result<()> {
        let mut waiting = self.queue.waiting.lock().unwrap();
        for write in writes {
            let number = self.queue.next.fetch_add(1, Ordering::Relaxed) + 1;
            waiting.insert(Number(number), write.pack(&self.catalog));
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Option<Standing>> {
        self.queue.looks.fetch_add(1, Ordering::Relaxed);
        let waiting = self.queue.waiting.lock().unwrap();
        let ends = waiting.keys().next().zip(waiting.keys().last());
        Ok(ends.map(|(first, last)| Standing {
            first: *first,
            last: *last,
            since: Timestamp::from_millis(0),
        }))
    }

    async fn waiting(&self, most: u32) -> Result<Vec<Waiting>> {
        let waiting = self.queue.waiting.lock().unwrap();
        let first = waiting.iter().take(most as usize);
        let first = first.map(|(number, packed)| Waiting {
            number: *number,
            packed: packed.clone(),
        });
        Ok(first.collect())
    }

    async fn carry_out(&self, writes: Vec<(Number, Transaction)>) -> Vec<Result<()>> {
        let failure = self.queue.failures.lock().unwrap().pop();
        if let Some(failure) = failure {
            return writes.iter().map(|_| Err(failure())).collect();
        }
        let mut fates = Vec::new();
        for (number, transaction) in writes {
            let fate = self
                .transact(vec![transaction], Sequence::Independent)
                .await;
            let fate = fate.into_iter().next().unwrap().map(drop);
            if fate.is_ok() {
                self.queue.waiting.lock().unwrap().remove(&number);
            }
            fates.push(fate);
        }
        fates
    }

    async fn set_aside(&self, refused: Vec<Refused>) -> Result<()> {
        let mut waiting = self.queue.waiting.lock().unwrap();
        for refused in refused {
            if waiting.remove(&refused.number).is_some() {
                self.queue.dead.lock().unwrap().push(refused);
            }
        }
        Ok(())
    }

    async fn dead_letters(&self, _: Number, _: u32) -> Result<Vec<DeadLetter>> {
        panic!("the fake does not do this")
    }

    async fn dead_letter(&self, _: Number) -> Result<Option<DeadLetter>> {
        panic!("the fake does not do this")
    }

    async fn count_dead_letters(&self) -> Result<u64> {
        Ok(self.queue.dead.lock().unwrap().len() as u64)
    }

    async fn retry(&self, _: Which) -> Result<u64> {
        panic!("the fake does not do this")
    }

    async fn forget(&self, _: Which) -> Result<u64> {
        panic!("the fake does not do this")
    }
}
