//! The task that looks at what others write, and tells the observers.
//!
//! Triggers note the documents ([`others`]); this looks at the notes several times a second over a
//! connection of its own. It remembers the snapshot in which it has looked last. What was not visible
//! then and is visible now is new, in whatever order transactions got their numbers and committed.
//!
//! Where it cannot be said which documents are meant, everything is: many at once, a table that was
//! truncated or rewritten, a server that was started anew (it may be another one, that has lost what
//! was committed last and gives the same numbers once more), and a time without a look that was
//! longer than notes are kept.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use nubo_core::{
    Error, Result,
    clock::Clock,
    document::Document,
    field::FieldType,
    id::Id,
    observe::{Fate, Foreign, Observer},
    schema::{Catalog, CollectionId},
    value::Value,
};
use sqlx::{AssertSqlSafe, PgConnection, Row, error::BoxDynError, postgres::PgRow};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    connect::{Connector, close},
    rows::read_rows,
};
use crate::{
    engine::next_batch,
    fault::postgres_failure,
    migrate::declared,
    rows::Rows,
    sql::{
        Dialect, Statement,
        postgres::{Postgres, others},
        select,
    },
};

/// How often is looked.
const PERIOD: Duration = Duration::from_millis(250);
/// How long a look takes at most, and reading what it finds.
const LIMIT: Duration = Duration::from_secs(2);
/// How many documents are looked at one by one.
const MOST: usize = 1000;
/// How long notes are kept, in milliseconds.
const KEPT: i64 = 10 * 60 * 1000;
/// How often is noted from when on they are, in milliseconds.
const MARKS: i64 = 60 * 1000;
/// How many notes are deleted at once.
const PRUNED: usize = 5000;
/// In this snapshot no transaction is visible.
const NOTHING_SEEN: &str = "1:1:";

/// The task while it runs.
pub(super) struct Watch {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the task works with.
struct Watcher {
    connector: Connector,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn Observer>>,
    /// The collections by the schemas and names of their tables.
    tables: HashMap<(String, String), CollectionId>,
    connection: Option<PgConnection>,
    last: Option<Seen>,
    old: Old,
}

/// What was there at the last look.
struct Seen {
    snapshot: String,
    /// By the clock of the database, in milliseconds.
    at: i64,
    started: String,
    shape: i64,
}

/// What a look finds.
struct Look {
    /// When it began, in ticks.
    began: i64,
    seen: Seen,
    /// Every transaction before it is over.
    oldest: String,
    news: News,
}

/// The number of a transaction.
type Transaction = u64;

/// What others have written, and which transaction was the last to do so.
enum News {
    These(BTreeMap<(CollectionId, Id), Transaction>),
    Anything,
}

/// From when on notes are old, so that nobody needs them: transactions that were over before, by the
/// time when that was seen. The time that a note itself has will not do, since its transaction may
/// go on for long.
#[derive(Default)]
struct Old(VecDeque<(i64, String)>);

impl Watch {
    /// Looks for the first time, and starts the task.
    ///
    /// What is noted already is told as well. Where all instances were down, others may have written
    /// meanwhile, and what they share may be out of date.
    pub async fn start(
        connector: Connector,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Self> {
        let tables = catalog.collections().iter().map(|collection| {
            let place = declared::place::<Postgres>(collection);
            ((place.schema, place.table), collection.id)
        });
        let mut watcher = Watcher {
            tables: tables.collect(),
            connector,
            catalog,
            clock,
            observers,
            connection: None,
            last: None,
            old: Old::default(),
        };
        let first = watcher.look().await?;
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut is_dark = false;
            let mut turned = watcher.take_in(first).await;
            loop {
                match turned {
                    Ok(()) => is_dark = false,
                    Err(error) => {
                        if !is_dark {
                            tracing::warn!(%error, "it cannot be seen what others write");
                        }
                        is_dark = true;
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => {}
                    // The channel closes when its owner is gone; that is a stop too.
                    _ = stopped.wait_for(|stop| *stop) => break,
                }
                turned = watcher.turn().await;
            }
            if let Some(connection) = watcher.connection {
                close(connection).await;
            }
        });
        Ok(Self {
            stop,
            task: Mutex::new(Some(task)),
        })
    }

    /// Ends the task.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the watch has failed");
        }
    }
}

impl Watcher {
    /// Looks once, and tells what is new.
    async fn turn(&mut self) -> Result<()> {
        let look = self.look().await?;
        self.take_in(look).await
    }

    /// Tells what a look has found.
    async fn take_in(&mut self, look: Look) -> Result<()> {
        match &look.news {
            News::Anything => {
                tracing::info!("others have written to the database; what is cached is forgotten");
                self.tell_anything().await;
            }
            News::These(documents) if documents.is_empty() => {}
            News::These(documents) => self.tell(documents).await,
        }
        // Only what was told is seen.
        self.old.note(look.seen.at, look.oldest);
        let before = self.old.before(look.seen.at);
        self.last = Some(look.seen);
        for observer in &self.observers {
            observer.watched(look.began);
        }
        match before {
            Some(transaction) => self.prune(transaction).await,
            None => Ok(()),
        }
    }

    async fn look(&mut self) -> Result<Look> {
        let snapshot = self.last.as_ref().map(|seen| seen.snapshot.clone());
        let snapshot = snapshot.unwrap_or_else(|| NOTHING_SEEN.into());
        let began = self.clock.ticks();
        let rows = self
            .with(async |connection| {
                sqlx::query(AssertSqlSafe(others::look(MOST + 1)))
                    .bind(snapshot)
                    .fetch_all(connection)
                    .await
            })
            .await?;
        self.read(began, &rows).map_err(postgres_failure)
    }

    fn read(&self, began: i64, rows: &[PgRow]) -> Result<Look, sqlx::Error> {
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let seen = Seen {
            snapshot: first.try_get(0)?,
            at: first.try_get(2)?,
            started: first.try_get(3)?,
            shape: first.try_get(4)?,
        };
        let is_sure = self.last.as_ref().is_none_or(|last| {
            last.started == seen.started
                && last.shape == seen.shape
                && seen.at.saturating_sub(last.at) < KEPT / 2
        });
        let news = match is_sure && rows.len() <= MOST {
            true => self.documents(rows)?,
            false => News::Anything,
        };
        Ok(Look {
            began,
            seen,
            oldest: first.try_get(1)?,
            news,
        })
    }

    fn documents(&self, rows: &[PgRow]) -> Result<News, sqlx::Error> {
        let mut documents = BTreeMap::new();
        for row in rows {
            if row.try_get::<Option<bool>, _>(5)?.is_none() {
                continue;
            }
            let table: (Option<String>, Option<String>) = (row.try_get(6)?, row.try_get(7)?);
            let (Some(schema), Some(table), Some(id)) =
                (table.0, table.1, row.try_get::<Option<String>, _>(8)?)
            else {
                return Ok(News::Anything);
            };
            let id: Uuid = read(&id)?;
            let transaction: Transaction = read(row.try_get(9)?)?;
            // A table may be there still whose collection nobody declares any longer.
            if let Some(collection) = self.tables.get(&(schema, table)) {
                let last = documents.entry((*collection, Id::from_uuid(id)));
                let last = last.or_insert(transaction);
                *last = transaction.max(*last);
            }
        }
        Ok(News::These(documents))
    }

    /// Has the observers doubt the documents, reads them, and tells what they are. Why in this order
    /// is said where observers are ([`nubo_core::observe`]).
    async fn tell(&mut self, documents: &BTreeMap<(CollectionId, Id), Transaction>) {
        let batch = next_batch();
        let observers = self.observers.iter().filter_map(|observer| {
            let theirs = documents.keys().filter(|(of, _)| observer.observes(*of));
            let theirs: Vec<_> = theirs.copied().collect();
            (!theirs.is_empty()).then(|| (Arc::clone(observer), theirs))
        });
        let observers: Vec<_> = observers.collect();
        for (observer, theirs) in &observers {
            observer.doubt(batch, theirs).await;
        }
        let wanted = documents
            .iter()
            .filter(|((of, _), _)| observers.iter().any(|(o, _)| o.observes(*of)));
        let wanted = wanted.map(|(document, last)| (*document, *last));
        match self.now(wanted.collect()).await {
            Ok(foreign) => {
                for (observer, _) in &observers {
                    let theirs = foreign.iter().filter(|f| observer.observes(f.collection));
                    let theirs: Vec<Foreign> = theirs.cloned().collect();
                    observer.resolve(batch, &theirs).await;
                }
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "what others have written cannot be read; what is cached is forgotten"
                );
                for (observer, _) in &observers {
                    observer.settle(batch, Fate::Aborted).await;
                }
                self.tell_anything().await;
            }
        }
    }

    async fn tell_anything(&self) {
        for observer in &self.observers {
            observer.overtaken().await;
        }
    }

    /// What documents are now.
    async fn now(
        &mut self,
        documents: Vec<((CollectionId, Id), Transaction)>,
    ) -> Result<Vec<Foreign>> {
        let mut of_each: BTreeMap<usize, Vec<(Id, Transaction)>> = BTreeMap::new();
        for ((collection, id), last) in documents {
            of_each
                .entry(collection.index())
                .or_default()
                .push((id, last));
        }
        let mut foreign = Vec::new();
        for (index, ids) in of_each {
            let collection = Arc::clone(&self.catalog.collections()[index]);
            let mut statement = Statement::new(format!(
                "SELECT {} FROM {} WHERE ",
                select::columns(&collection),
                Postgres::table(&collection)
            ));
            let values = ids.iter().map(|(id, _)| Value::Uuid(id.uuid()));
            let values: Vec<Value> = values.collect();
            Postgres::among(&mut statement, "\"id\"", &FieldType::Uuid, &values);
            let rows = self
                .with(async |connection| read_rows(connection, statement).await)
                .await?;
            let found = rows.documents(&collection)?.into_iter();
            let mut found: HashMap<Id, Document> = found
                .filter_map(|document| Some((document.id()?, document)))
                .collect();
            foreign.extend(ids.into_iter().map(|(id, transaction)| Foreign {
                collection: collection.id,
                id,
                now: found.remove(&id),
                transaction,
            }));
        }
        Ok(foreign)
    }

    /// Deletes notes that are old.
    async fn prune(&mut self, before: String) -> Result<()> {
        let pruned = self
            .with(async |connection| {
                sqlx::query(AssertSqlSafe(others::prune(PRUNED)))
                    .bind(before)
                    .execute(connection)
                    .await
            })
            .await?;
        if pruned.rows_affected() < PRUNED as u64 {
            self.old.is_pruned();
        }
        Ok(())
    }

    /// Does something with the connection. After an error there is another one the next time.
    async fn with<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        let acting = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connector.connect().await?,
            };
            let done = act(&mut connection).await?;
            Ok((done, connection))
        };
        match tokio::time::timeout(LIMIT, acting).await {
            Ok(Ok((done, connection))) => {
                self.connection = Some(connection);
                Ok(done)
            }
            Ok(Err(error)) => Err(postgres_failure(error)),
            Err(_elapsed) => Err(Error::unavailable(
                "truth_unavailable",
                "the database does not answer",
            )),
        }
    }
}

/// What the database gives as text.
fn read<T: FromStr<Err: Into<BoxDynError>>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

impl Old {
    /// Notes at times which transactions are over.
    fn note(&mut self, now: i64, oldest: String) {
        let last = self.0.back().map(|(at, _)| *at);
        if last.is_none_or(|last| now.saturating_sub(last) >= MARKS) {
            self.0.push_back((now, oldest));
        }
    }

    /// The notes of transactions before this one are old.
    fn before(&self, now: i64) -> Option<String> {
        let (at, transaction) = self.0.front()?;
        (now.saturating_sub(*at) >= KEPT).then(|| transaction.clone())
    }

    /// None of them is left.
    fn is_pruned(&mut self) {
        self.0.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_old_when_their_transactions_have_been_over_for_long() {
        let mut old = Old::default();
        for minute in 0..=10 {
            old.note(minute * MARKS, format!("{minute}"));
            old.note(minute * MARKS + 1, "not another one so soon".into());
        }
        assert_eq!(old.before(KEPT - 1), None);
        assert_eq!(old.before(KEPT).as_deref(), Some("0"));
        // Until all of them are deleted.
        assert_eq!(old.before(KEPT).as_deref(), Some("0"));
        old.is_pruned();
        assert_eq!(old.before(KEPT), None);
        assert_eq!(old.before(KEPT + MARKS).as_deref(), Some("1"));
    }
}
