//! A truth in memory: several batches under way at once, each holding the rows that it changes, as in
//! PostgreSQL. A batch announces, commits, answers and settles, with anything in between; and now and
//! then it is taken back just before it commits, or nobody hears whether it did.

mod agreed;
mod hands;
mod noted;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    access::View,
    clock::{Clock, Random},
    coordination::Terms,
    document::Document,
    filter::{Expr, Select, SubQueries},
    id::Id,
    module::SetupError,
    observe::{BatchId, Fate, Observer, Touched},
    outbox::Outbox,
    position::Position,
    query::{Query, Related, Start},
    schema::{Catalog, CollectionId, SortKey},
    truth::{Body, Page, Truth},
    value::Value,
    write::{Outcome, Sequence, Transaction},
};
use tokio::sync::oneshot;

pub use self::agreed::SimCoordination;
pub use self::hands::Hand;
use self::{agreed::Agreed, hands::ByHand, noted::Noted, work::Work};
use crate::{
    history::{History, Key},
    mutant::Mutant,
    scheduler::{Moment, Scheduler, WORLD},
};

/// How often a batch is taken back: once in so many.
const ABORT: u32 = 10;
/// How often a batch is tried while the terms of its commit do not hold.
const REFUSED: u32 = 16;
/// How often nobody hears of a commit: once in so many.
const UNHEARD: u32 = 25;

type Tables = BTreeMap<Key, Document>;

/// A truth under the scheduler, as one instance uses it.
pub struct SimTruth {
    inner: Arc<Inner>,
    observers: Arc<OnceLock<Vec<Arc<dyn Observer>>>>,
    /// Until when answers do not arrive.
    cut: AtomicU64,
}

struct Inner {
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    scheduler: Scheduler,
    mutant: Option<Mutant>,
    /// Whether there is a recent tier for which it takes notes.
    has_recent: bool,
    batches: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tables: Tables,
    /// The revisions at which documents ended.
    ended: BTreeMap<Key, i64>,
    /// Rows that a batch holds.
    held: BTreeSet<Key>,
    history: History,
    agreed: Agreed,
    /// What others have written, in the order of their commits.
    noted: Vec<ByHand>,
    /// What has not arrived in the recent tier, and what is known of that.
    for_recent: Noted,
}

/// Rows that a batch holds, until it is over or whoever made it is dead.
struct Hold {
    inner: Arc<Inner>,
    rows: Vec<Key>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        for key in &self.rows {
            state.held.remove(key);
        }
    }
}

/// What a transaction comes to.
struct Done {
    /// When its transaction began, by the truth's own clock.
    began: i64,
    touched: BTreeMap<Key, (Option<Document>, Option<Document>)>,
    outcomes: Vec<Outcome>,
}

impl SimTruth {
    /// An empty truth.
    pub fn new(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        scheduler: Scheduler,
        mutant: Option<Mutant>,
        has_recent: bool,
    ) -> Self {
        let inner = Arc::new(Inner {
            catalog,
            clock,
            random,
            scheduler,
            mutant,
            has_recent,
            batches: AtomicU64::new(1),
            state: Mutex::default(),
        });
        Self {
            inner,
            observers: Arc::default(),
            cut: AtomicU64::new(0),
        }
    }

    /// The same truth as another instance uses it.
    pub fn again(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            observers: Arc::default(),
            cut: AtomicU64::new(0),
        }
    }

    /// Lets no answer arrive until then.
    pub fn cut(&self, until: Moment) {
        self.cut.store(until, Ordering::Relaxed);
    }

    /// Asks, and hears what is so when the question arrives.
    async fn ask<T>(&self, look: impl FnOnce() -> T) -> T {
        self.ask_by(["ask the truth", "hear the truth"], look).await
    }

    /// The same by steps with other names.
    async fn ask_by<T>(&self, steps: [&'static str; 2], look: impl FnOnce() -> T) -> T {
        let scheduler = &self.inner.scheduler;
        let [there, back] = steps;
        scheduler.step(there).await;
        let found = look();
        let until = self.cut.load(Ordering::Relaxed);
        if let Some(rest) = until.checked_sub(scheduler.now()) {
            scheduler.sleep(rest).await;
        }
        scheduler.step(back).await;
        found
    }

    /// What every document was at every moment.
    pub fn history(&self) -> History {
        self.inner.state().history.clone()
    }

    /// Whether some batch is under way that holds rows.
    pub fn is_busy(&self) -> bool {
        !self.inner.state().held.is_empty()
    }

    /// All documents as they are now.
    pub fn tables(&self) -> Vec<(Key, Document)> {
        let state = self.inner.state();
        state.tables.iter().map(|(k, d)| (*k, d.clone())).collect()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a transaction out, and answers.
    async fn carry_out(
        self: Arc<Self>,
        observers: Vec<Arc<dyn Observer>>,
        transaction: Transaction,
        answer: oneshot::Sender<Result<Vec<Outcome>>>,
    ) {
        let mut refused = 0;
        let (outcomes, batch, fate) = loop {
            let (work, hold) = match self.execute_alone(&transaction).await {
                Ok(executed) => executed,
                Err(error) => {
                    // Who has gone away does not need to know.
                    answer.send(Err(error)).ok();
                    return;
                }
            };
            let batch = BatchId(self.batches.fetch_add(1, Ordering::Relaxed));
            let changes = changes(&work);
            let late = self.mutant == Some(Mutant::AnnounceAfterCommit);
            let terms = match late {
                true => Ok(None),
                false => self.announce(&observers, batch, &changes).await,
            };
            let terms = match terms {
                Ok(terms) => terms,
                Err(error) => {
                    drop(hold);
                    answer.send(Err(error)).ok();
                    settle(&observers, batch, Fate::Aborted).await;
                    return;
                }
            };
            let outcomes = work.outcomes.clone();
            let fate = self.decide(batch, work, hold, terms).await;
            if late {
                self.scheduler.step("after the commit").await;
                // Nobody hears of an error: what is announced late is announced for nothing.
                self.announce(&observers, batch, &changes).await.ok();
            }
            if fate == Fate::Refused && refused < REFUSED {
                refused += 1;
                settle(&observers, batch, fate).await;
                continue;
            }
            break (outcomes, batch, fate);
        };
        self.scheduler.step("answer").await;
        let unheard = self.scheduler.draw(|random| random.u32(..UNHEARD)) == 0;
        let result = match fate {
            _ if unheard => Err(Error::unavailable("outcome_unknown", "nobody knows")),
            Fate::Committed => Ok(outcomes),
            Fate::Aborted | Fate::Refused => Err(Error::unavailable("aborted", "taken back")),
        };
        answer.send(result).ok();
        self.scheduler.step("before settling").await;
        settle(&observers, batch, fate).await;
        self.scheduler
            .note(|| format!("has settled batch {}", batch.0));
    }

    /// Executes a transaction when nobody holds a row that it changes, which it holds then.
    async fn execute_alone(self: &Arc<Self>, transaction: &Transaction) -> Result<(Done, Hold)> {
        loop {
            self.scheduler.step("execute").await;
            let mut state = self.state();
            let work = self.execute(&state, transaction)?;
            // It waits for the rows that others hold, and looks again.
            if work.touched.keys().any(|key| state.held.contains(key)) {
                continue;
            }
            state.held.extend(work.touched.keys());
            let rows = work.touched.keys().copied().collect();
            let inner = Arc::clone(self);
            return Ok((work, Hold { inner, rows }));
        }
    }

    /// Has the server commit, which it does even where whoever has asked for it is dead by then.
    async fn decide(
        self: &Arc<Self>,
        batch: BatchId,
        work: Done,
        hold: Hold,
        terms: Option<Terms>,
    ) -> Fate {
        let (answer, decided) = oneshot::channel();
        let inner = Arc::clone(self);
        self.scheduler.step("commit").await;
        self.scheduler.spawn_in(WORLD, "commit", async move {
            inner.scheduler.step("the commit arrives").await;
            let fate = match inner.scheduler.draw(|random| random.u32(..ABORT)) {
                0 => Fate::Aborted,
                _ if !inner.may_enter(terms) => Fate::Refused,
                _ => Fate::Committed,
            };
            match fate {
                Fate::Committed => inner.commit((note_of(terms), batch), &work),
                fate => inner.scheduler.note(|| format!("takes it back: {fate:?}")),
            }
            drop(hold);
            // Whoever has asked may be dead.
            answer.send(fate).ok();
        });
        decided.await.unwrap_or(Fate::Aborted)
    }

    async fn announce(
        &self,
        observers: &[Arc<dyn Observer>],
        batch: BatchId,
        changes: &[Arc<Touched>],
    ) -> Result<Option<Terms>> {
        let mut terms = None;
        for observer in observers {
            let theirs = changes.iter().filter(|c| observer.observes(c.collection));
            let theirs: Vec<Arc<Touched>> = theirs.cloned().collect();
            if !theirs.is_empty() {
                let own = observer.announce(batch, &theirs).await?;
                terms = own.or(terms);
            }
        }
        self.scheduler
            .note(|| format!("has announced batch {}", batch.0));
        Ok(terms)
    }

    fn commit(&self, batch: (Id, BatchId), work: &Done) {
        let now = self.scheduler.now();
        let mut state = self.state();
        if self.has_recent {
            let recent = |of: CollectionId| self.catalog.get(of).tiers.recent.is_some();
            let written = work.touched.keys().filter(|(of, _)| recent(*of));
            let written: Vec<Key> = written.copied().collect();
            state.for_recent.add(batch, &written, work.began);
        }
        for (key, (before, after)) in &work.touched {
            match after {
                Some(document) => {
                    state.tables.insert(*key, document.clone());
                }
                None => {
                    state.tables.remove(key);
                    let last = before.as_ref().map_or(0, |d| d.revision().number());
                    let end = last.max(self.clock.micros()) + 1;
                    let ended = state.ended.entry(*key).or_insert(0);
                    *ended = (*ended).max(end);
                }
            }
            state.history.note(now, *key, after.clone());
        }
        drop(state);
        self.scheduler.note(|| {
            let documents = work.touched.iter().map(|(key, (_, after))| {
                let id = crate::storage::short(key.1);
                match after {
                    Some(after) => format!("{id} at {}", after.revision()),
                    None => format!("{id} gone"),
                }
            });
            format!("commits {}", documents.collect::<Vec<_>>().join(", "))
        });
    }

    fn execute(&self, state: &State, transaction: &Transaction) -> Result<Done> {
        let mut work = Work {
            catalog: &self.catalog,
            clock: self.clock.as_ref(),
            random: self.random.as_ref(),
            ended: &state.ended,
            now: transaction.now,
            tables: state.tables.clone(),
            touched: BTreeMap::new(),
        };
        let outcomes = work.carry_out(transaction)?;
        Ok(Done {
            began: self.own_time(),
            touched: work.touched,
            outcomes,
        })
    }

    /// Documents at this moment, as a view shows them.
    fn select(
        &self,
        collection: CollectionId,
        filter: &Expr,
        sort: &[SortKey],
        view: &View,
    ) -> Vec<Document> {
        let fields = self.catalog.get(collection).fields();
        let state = self.state();
        let look_up = LookUp {
            catalog: &self.catalog,
            tables: &state.tables,
        };
        let mut found: Vec<Document> = state
            .tables
            .iter()
            .filter(|((of, _), _)| *of == collection)
            .map(|(_, document)| document.clone())
            .filter(|document| filter.matches(document, fields, &look_up))
            .filter(|document| view.condition.matches(document, fields, &look_up))
            .collect();
        for document in &mut found {
            let whole = document.clone();
            for mask in &view.masks {
                if !mask.shown.matches(&whole, fields, &look_up) {
                    document.set(mask.field, Value::Null);
                }
            }
        }
        found.sort_by_key(|document| Position::of(sort, document));
        found
    }

    fn page(&self, query: &Query, view: &View) -> Vec<Document> {
        let mut found = self.select(query.collection, &query.filter, &query.sort, view);
        match &query.start {
            Start::First => {}
            Start::Offset(skip) => {
                found.drain(..found.len().min(*skip as usize));
            }
            Start::After(keys) => {
                let after = Position::of_values(&query.sort, keys);
                found.retain(|document| Position::of(&query.sort, document) > after);
            }
        }
        found
    }
}

/// Under which instance a batch notes what it has written.
fn note_of(terms: Option<Terms>) -> Id {
    terms.map_or(Id::NIL, |terms| terms.instance)
}

/// What a batch changes.
fn changes(work: &Done) -> Vec<Arc<Touched>> {
    let touched = work.touched.iter();
    touched
        .map(|((collection, _), (before, after))| {
            Arc::new(Touched {
                collection: *collection,
                before: before.clone(),
                after: after.clone(),
            })
        })
        .collect()
}

async fn settle(observers: &[Arc<dyn Observer>], batch: BatchId, fate: Fate) {
    for observer in observers {
        observer.settle(batch, fate).await;
    }
}

/// Sub-queries over tables at one moment.
pub struct LookUp<'a> {
    pub catalog: &'a Catalog,
    pub tables: &'a Tables,
}

impl SubQueries for LookUp<'_> {
    fn contains(&self, select: &Select, value: &Value) -> bool {
        let fields = self.catalog.get(select.collection).fields();
        self.tables.iter().any(|((of, _), document)| {
            *of == select.collection
                && document.value(select.field).same(value)
                && select.condition.matches(document, fields, self)
        })
    }
}

#[async_trait]
impl Truth for SimTruth {
    async fn start(&self, observers: Vec<Arc<dyn Observer>>) -> Result<(), SetupError> {
        let twice = |_| SetupError::new("started twice");
        self.observers.set(observers).map_err(twice)
    }

    async fn stop(&self) {}

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.inner.has_recent.then_some(self as &dyn Outbox)
    }

    async fn transact(
        &self,
        transactions: Vec<Transaction>,
        _: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        let mut results = Vec::new();
        for transaction in transactions {
            let (answer, answered) = oneshot::channel();
            let observers = self.observers.get().cloned().unwrap_or_default();
            let work = Arc::clone(&self.inner).carry_out(observers, transaction, answer);
            self.inner.scheduler.spawn("truth", work);
            let unknown = |_| Err(Error::unavailable("outcome_unknown", "nobody knows"));
            results.push(answered.await.unwrap_or_else(unknown));
        }
        results
    }

    async fn get(
        &self,
        collection: CollectionId,
        id: nubo_core::id::Id,
        view: &View,
    ) -> Result<Option<Body>> {
        let inner = &self.inner;
        let schema = inner.catalog.get(collection);
        let look = || inner.select(collection, &Expr::always(), &[], view);
        let mut found = self.ask(look).await;
        found.retain(|document| document.id() == Some(id));
        Ok(found.pop().map(|document| {
            let mut json = Vec::new();
            document.write_json(schema, &mut json);
            Body {
                json: json.into(),
                revision: document.revision(),
            }
        }))
    }

    async fn page(&self, query: Query, view: &View) -> Result<Page> {
        let schema = self.inner.catalog.get(query.collection);
        let mut found = self.ask(|| self.inner.page(&query, view)).await;
        let limit = query.limit as usize;
        let more = found.len() > limit;
        found.truncate(limit);
        let mut out = Vec::new();
        for (at, document) in found.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",\n");
            }
            let fields = query.fields.as_deref().unwrap_or(schema.sent_fields());
            document.write_fields(schema, fields, &mut out);
        }
        let keys = |document: &Document| -> Vec<Value> {
            let keys = query.sort.iter();
            keys.map(|key| document.value(key.field).clone()).collect()
        };
        Ok(Page {
            documents: out.into(),
            count: found.len() as u32,
            next: found.last().filter(|_| more).map(keys),
        })
    }

    async fn find(&self, query: Query, view: &View) -> Result<Vec<Document>> {
        let mut found = self.ask(|| self.inner.page(&query, view)).await;
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn find_related(&self, related: Related, view: &View) -> Result<Vec<Document>> {
        let look = || {
            let all = self
                .inner
                .select(related.collection, &Expr::always(), &related.sort, view);
            let of_one = related.values.iter().flat_map(|value| {
                all.iter()
                    .filter(move |document| document.value(related.field) == value)
                    .take(related.limit_each as usize)
                    .cloned()
            });
            of_one.collect::<Vec<_>>()
        };
        Ok(self.ask(look).await)
    }

    async fn count(&self, collection: CollectionId, filter: Expr, view: &View) -> Result<u64> {
        let look = || self.inner.select(collection, &filter, &[], view).len() as u64;
        Ok(self.ask(look).await)
    }

    async fn contains(&self, select: &Select, value: &Value) -> Result<bool> {
        let look = || {
            let state = self.inner.state();
            let look_up = LookUp {
                catalog: &self.inner.catalog,
                tables: &state.tables,
            };
            look_up.contains(select, value)
        };
        Ok(self.ask(look).await)
    }
}
