//! What the engine asks of a driver: a connection that writes, inside a database transaction.

use std::{future::Future, time::Duration};

use nubo_core::{
    Result,
    access::View,
    coordination::Terms,
    document::Document,
    filter::{Expr, Select},
    id::Id,
    query::{Query, Start},
    schema::{Catalog, Collection, SortKey},
    value::Value,
};

use crate::{
    fault::Refusal,
    rows::Rows,
    sql::{Dialect, Statement, postgres::outbox::Note, select, write},
};

/// Why an attempt at a batch has come to nothing and may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A statement was refused, which has ended the database transaction. With care the one that
    /// is to blame is found.
    Refused,
    /// Others were in the way: a deadlock, or a transaction that could not be serialized.
    Conflict,
    /// The terms under which it was announced do not hold.
    Terms,
    /// The connection is gone, and nothing of the batch has happened.
    Lost,
    /// The connection is gone, and nobody knows whether the batch has happened.
    Unknown,
}

/// What belongs to a commit beside what was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ending {
    /// What must hold at that moment.
    pub terms: Option<Terms>,
    /// What is noted in the same transaction.
    pub note: Option<Note>,
}

/// A connection that writes.
pub(crate) trait Session: Send + 'static {
    type Dialect: Dialect;
    type Rows: Rows + Send;

    /// Whether others write at the same time, so that rows must be locked and attempts may come to
    /// nothing.
    const CONCURRENT: bool;

    /// How many rows [`Session::insert_alone`] takes at most.
    const ALONE: usize;

    /// How often to look whether somebody else has written to the database, where that can be seen.
    const WATCH: Option<Duration>;

    /// Begins a database transaction. With care, a refused statement leaves no trace and the
    /// transaction goes on.
    fn begin(&mut self, care: bool) -> impl Future<Output = Result<()>> + Send;

    /// Does what was put off. What follows is [`Session::commit`].
    fn complete(&mut self) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Makes everything since `begin` durable. Where it is not known whether that has happened, the
    /// trouble is [`Trouble::Unknown`], and [`Session::was_committed`] may find out. Where there are
    /// terms they hold at that moment, or the trouble is [`Trouble::Terms`].
    fn commit(&mut self, ending: Ending) -> impl Future<Output = Result<()>> + Send;

    /// Takes everything since `begin` back.
    fn rollback(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Marks a point to which [`Session::undo`] goes back.
    fn savepoint(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Keeps what was done since the savepoint.
    fn keep(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Takes back what was done since the savepoint.
    fn undo(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// What has gone wrong with the attempt under way.
    fn trouble(&self) -> Option<Trouble>;

    /// The same, and forgets it.
    fn take_trouble(&mut self) -> Option<Trouble>;

    /// Says that the attempt under way has come to nothing.
    fn set_trouble(&mut self, trouble: Trouble);

    /// Whether something has gone wrong, so that going on makes no sense.
    fn is_in_trouble(&self) -> bool {
        self.trouble().is_some()
    }

    /// Whether it can work.
    fn is_connected(&self) -> bool;

    /// Connects again where the connection is gone.
    fn connect(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Whether somebody else has written to the database since this was asked last.
    fn was_overtaken(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// Whether the transaction was committed of which that was unknown, as far as it can be found
    /// out while a client waits.
    fn was_committed(&mut self) -> impl Future<Output = Option<bool>> + Send;

    /// Whether this session is the one that carries out what is queued, until the transaction ends.
    fn take_turn(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// How many rows [`Session::insert`] takes at once.
    fn rows_at_once(&self, collection: &Collection) -> usize;

    /// Begins, inserts rows and commits, in one exchange with the database. Where it fails nothing is
    /// left, not even the transaction; whether it has failed may be unknown, as with
    /// [`Session::commit`].
    fn insert_alone(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
        ending: Ending,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// New rows.
    fn insert(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A row that becomes this document; these fields have changed.
    fn update(
        &mut self,
        collection: &Collection,
        document: &Document,
        changed: &[usize],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Executes a statement that returns nothing.
    fn execute(
        &mut self,
        statement: Statement<Self::Dialect>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Asks.
    fn rows(
        &mut self,
        statement: Statement<Self::Dialect>,
    ) -> impl Future<Output = Result<Self::Rows>> + Send;

    /// Asks, and keeps others from changing the documents that are found.
    fn locked(
        &mut self,
        statement: Statement<Self::Dialect>,
        lock: Lock,
    ) -> impl Future<Output = Result<Self::Rows>> + Send;

    /// Gets documents ready that will be asked for one by one.
    fn prefetch(
        &mut self,
        collection: &Collection,
        ids: Vec<Id>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The document with this id, from which others are kept from now on.
    fn load(
        &mut self,
        collection: &Collection,
        id: Id,
        lock: Lock,
    ) -> impl Future<Output = Result<Option<Document>>> + Send;

    /// Keeps the documents of a collection here until the transaction ends, as many as there are of
    /// them.
    fn hold(&mut self, collection: &Collection) -> impl Future<Output = Result<()>> + Send;

    /// Takes documents in as they are, which had left. Those that are here stay what they are, and those
    /// that have ended since are not taken.
    fn take_in(
        &mut self,
        collection: &Collection,
        documents: &[&Document],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Documents that match, in the order of their ids, behind an id: one stretch of a walk.
    fn walk(
        &mut self,
        collection: &Collection,
        catalog: &Catalog,
        filter: &Expr,
        after: Option<Id>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Document>>> + Send {
        async move {
            let query = Query {
                collection: collection.id,
                filter: filter.clone(),
                sort: vec![SortKey {
                    field: Collection::ID,
                    descending: false,
                }],
                start: after.map_or(Start::First, |id| {
                    Start::After(vec![Value::Uuid(id.uuid())])
                }),
                limit,
                fields: None,
            };
            let limit = i64::from(limit);
            let statement = select::documents(&query, limit, collection, catalog, &View::all());
            let rows = self.locked(statement, Lock::Change).await?;
            rows.documents(collection)
        }
    }

    /// Whether some document that a sub-query finds has this value.
    fn contains(
        &mut self,
        wanted: &Select,
        value: &Value,
        catalog: &Catalog,
    ) -> impl Future<Output = Result<bool>> + Send {
        async move {
            let statement = select::contains(wanted, value, catalog);
            Ok(self.rows(statement).await?.integer(0, 0)? != 0)
        }
    }

    /// Which of these ids belong to a document. Those stay until the transaction ends.
    fn existing(
        &mut self,
        collection: &Collection,
        ids: &[Id],
    ) -> impl Future<Output = Result<Vec<Id>>> + Send {
        async move {
            let ids: Vec<Value> = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
            let statement = select::existing(collection, &ids);
            let rows = self.locked(statement, Lock::Existence).await?;
            (0..rows.count()).map(|row| rows.id(row, 0)).collect()
        }
    }

    /// The revisions at which documents with these ids ended.
    fn tombstones(
        &mut self,
        collection: &Collection,
        ids: &[Value],
    ) -> impl Future<Output = Result<Vec<(Id, i64)>>> + Send {
        async move {
            let rows = self.rows(write::tombstones(collection, ids)).await?;
            (0..rows.count())
                .map(|row| Ok((rows.id(row, 0)?, rows.integer(row, 1)?)))
                .collect()
        }
    }

    /// Whether there is any tombstone at all.
    fn has_tombstones(&mut self) -> impl Future<Output = Result<bool>> + Send {
        async move { Ok(self.rows(write::has_tombstones()).await?.integer(0, 0)? != 0) }
    }
}

/// From what others are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Changing or deleting a document.
    Change,
    /// Referring to it as well, since it is about to go.
    Removal,
    /// Deleting it.
    Existence,
}
