//! What is around the hub, in the hand of tests: a store, a bus, sessions, and time that stands still.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    bus::{Bus, Channel, Event, Heard, Lease, Position, Replay},
    caller::Caller,
    clock::{Clock, Random},
    document::Document,
    filter::{Expr, Select, SubQueries},
    id::Id,
    query::Query,
    schema::{Catalog, CollectionId},
    sessions::{Sessions, SignedIn, Watcher},
    store::{Answer, Expansion, Store},
    time::Timestamp,
    truth::{Body, Page},
    value::Value,
    write::{Operation, Outcome, Sequence},
};
use tokio::sync::mpsc;

use crate::{
    connections::Connections,
    dispatch::Command,
    hub::{Changed, Hub},
    settings::{Limits, Settings},
};

/// A store that answers what audiences ask.
pub struct Memory {
    catalog: Catalog,
    documents: Mutex<Vec<Option<(CollectionId, Document)>>>,
}

impl Memory {
    /// Room for so many documents.
    pub fn new(catalog: &Catalog, documents: usize) -> Self {
        Self {
            catalog: catalog.clone(),
            documents: Mutex::new(vec![None; documents]),
        }
    }

    pub fn held(&self, at: usize) -> Option<(CollectionId, Document)> {
        self.documents.lock().unwrap()[at].clone()
    }

    pub fn replace(
        &self,
        at: usize,
        document: Option<(CollectionId, Document)>,
    ) -> Option<(CollectionId, Document)> {
        std::mem::replace(&mut self.documents.lock().unwrap()[at], document)
    }

    pub fn matching(&self, collection: CollectionId, filter: &Expr) -> Vec<Document> {
        let documents = self.documents.lock().unwrap().clone();
        let fields = self.catalog.get(collection).fields();
        let of_it = documents.into_iter().flatten();
        let of_it = of_it.filter(|(of, _)| *of == collection);
        of_it
            .map(|(_, document)| document)
            .filter(|document| filter.matches(document, fields, self))
            .collect()
    }
}

impl SubQueries for Memory {
    fn contains(&self, select: &Select, value: &Value) -> bool {
        let found = self.matching(select.collection, &select.condition);
        found
            .iter()
            .any(|document| match document.value(select.field) {
                Value::List(items) => items.iter().any(|item| item.same(value)),
                selected => !selected.is_null() && selected.same(value),
            })
    }
}

fn unused<T>() -> Result<T> {
    Err(Error::internal("nobody asks this of a store here"))
}

#[async_trait]
impl Store for Memory {
    async fn write_with(
        &self,
        _: &Caller,
        _: Vec<Operation>,
        _: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        unused()
    }

    async fn write_each(&self, _: &Caller, _: Vec<Operation>, _: Sequence) -> Vec<Result<Outcome>> {
        Vec::new()
    }

    async fn get(&self, _: &Caller, _: CollectionId, _: Id) -> Result<Option<Answer<Body>>> {
        unused()
    }

    async fn list(&self, _: &Caller, _: Query, _: &[Expansion]) -> Result<Answer<Page>> {
        unused()
    }

    async fn list_at_once(&self, _: &Caller, _: Query) -> Result<Answer<Page>> {
        unused()
    }

    async fn find(&self, _: &Caller, query: Query) -> Result<Vec<Document>> {
        Ok(self.matching(query.collection, &query.filter))
    }

    async fn count(&self, _: &Caller, collection: CollectionId, filter: Expr) -> Result<u64> {
        Ok(self.matching(collection, &filter).len() as u64)
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}

/// A bus on which nothing was missed.
#[derive(Default)]
pub struct Quiet {
    /// Number of the last event.
    pub head: AtomicU64,
    /// Whether it does not answer.
    pub away: AtomicBool,
    pub open: Mutex<HashSet<Channel>>,
}

impl Quiet {
    /// One on which the last event has this number.
    pub fn at(head: u64) -> Self {
        Self {
            head: head.into(),
            ..Self::default()
        }
    }

    fn check(&self) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("bus_unavailable", "it is away")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Bus for Quiet {
    fn is_heard(&self) -> bool {
        true
    }

    fn publish(&self, _: Vec<Event>) {}

    async fn open(&self, channel: &Channel) -> Result<Position> {
        self.check()?;
        self.open.lock().unwrap().insert(channel.clone());
        Ok(position(self.head.load(Ordering::SeqCst)))
    }

    async fn close(&self, channel: &Channel) {
        self.open.lock().unwrap().remove(channel);
    }

    async fn replay(&self, _: &Channel, _: Position) -> Result<Replay> {
        Ok(Replay::Events(Vec::new()))
    }

    async fn next(&self) -> Vec<Heard> {
        std::future::pending().await
    }

    async fn show(&self, _: Vec<Lease>) -> Result<()> {
        self.check()
    }

    async fn hide(&self, _: Vec<Lease>) -> Result<()> {
        self.check()
    }

    async fn present(&self, _: &Channel) -> Result<Vec<Id>> {
        Ok(Vec::new())
    }

    async fn are_present(&self, _: &Channel, accounts: &[Id]) -> Result<Vec<bool>> {
        Ok(vec![false; accounts.len()])
    }
}

/// A place on [`Quiet`].
pub const fn position(sequence: u64) -> Position {
    Position { epoch: 1, sequence }
}

/// Who is behind which token.
#[derive(Default)]
pub struct Tokens(pub Mutex<HashMap<String, SignedIn>>);

#[async_trait]
impl Sessions for Tokens {
    async fn authenticate(&self, token: &str) -> Result<SignedIn> {
        let found = self.0.lock().unwrap().get(token).cloned();
        found.ok_or_else(|| Error::Unauthorized {
            code: "revoked_token",
            detail: "the session has ended".into(),
        })
    }

    fn watch(&self, _: Arc<dyn Watcher>) {}
}

/// Neither time nor chance.
struct Stopped;

impl Clock for Stopped {
    fn micros(&self) -> i64 {
        1_763_761_500_123_000
    }
}

impl Random for Stopped {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// The time.
pub fn now() -> Timestamp {
    Stopped.now()
}

/// A hub with these around it, and the orders that wait for its dispatcher.
pub fn hub(
    catalog: Catalog,
    bus: Arc<Quiet>,
    sessions: Arc<Tokens>,
) -> (Arc<Hub>, mpsc::Receiver<Command>) {
    let (commands, waiting) = mpsc::channel(8);
    let connections = Arc::new(Connections::default());
    let hub = Hub {
        store: Arc::new(Memory::new(&catalog, 0)),
        catalog: Arc::new(catalog),
        bus,
        sessions,
        is_sole_writer: false,
        clock: Arc::new(Stopped),
        random: Arc::new(Stopped),
        limits: Limits::new(Settings::default()).unwrap(),
        origins: Vec::new(),
        changed: Arc::new(Changed::new(connections.clone())),
        connections,
        commands,
        couriers: vec![Arc::default()],
        next: AtomicUsize::new(0),
    };
    (Arc::new(hub), waiting)
}
