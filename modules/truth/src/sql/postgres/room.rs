//! Documents that wait here until the recent tier has them for good: which there are, and how they
//! leave.
//!
//! Whoever takes documents in again holds a lock on their collection, shared, until its transaction
//! ends. Whoever has documents leave takes it alone, for the blink of an eye.

use nubo_core::{document::Document, field::FieldType, id::Id, schema::Collection, value::Value};

use super::{Argument, Postgres};
use crate::sql::{Dialect, Statement, column_of};

/// The class of the locks: `room` in ASCII.
const CLASS: i32 = 0x726f_6f6d;
/// How long to wait for the lock, and for those who have it. They are quick, or it is tried again.
const PATIENCE: &str = "250ms";
/// After which time nobody gives the id of a document to another one, in microseconds: a day.
const LONG: i64 = 86_400_000_000;

/// The lock of a collection.
fn lock(collection: &Collection) -> String {
    let table = Postgres::literal(&Argument::text(&Postgres::table(collection)));
    format!("{CLASS}, hashtext({table})")
}

/// Keeps documents from leaving until the transaction ends.
pub(crate) fn hold(collection: &Collection) -> Statement<Postgres> {
    let lock = lock(collection);
    Statement::new(format!("SELECT pg_advisory_xact_lock_shared({lock})::text"))
}

/// Waits until nobody keeps documents from leaving, and keeps others from doing so.
pub(crate) fn open(collection: &Collection) -> String {
    let lock = lock(collection);
    format!("SET LOCAL lock_timeout = '{PATIENCE}'; SELECT pg_advisory_xact_lock({lock})")
}

/// Removes those of some documents that have ended.
pub(crate) fn without_ended(
    collection: &Collection,
    documents: &[&Document],
) -> Statement<Postgres> {
    let ids: Vec<Value> = documents
        .iter()
        .map(|document| document.value(Collection::ID).clone())
        .collect();
    let mut statement = Statement::new(format!(
        "DELETE FROM {} AS t USING {} AS b WHERE b.id = t.\"id\" AND b.revision >= t.{} \
         AND b.collection = ",
        Postgres::table(collection),
        Postgres::TOMBSTONES,
        column_of(collection, collection.revision())
    ));
    statement.bind(Postgres::text_argument(&collection.name));
    statement.push(" AND ");
    Postgres::among(&mut statement, "t.\"id\"", &FieldType::Uuid, &ids);
    statement
}

/// Documents that wait, behind an id, in the order of their ids: the id and the revision.
pub(crate) fn waiting(
    collection: &Collection,
    after: Option<Id>,
    most: u32,
) -> Statement<Postgres> {
    let mut statement = Statement::new(format!(
        "SELECT \"id\", {} FROM {} WHERE \"id\" > ",
        column_of(collection, collection.revision()),
        Postgres::table(collection)
    ));
    statement.bind(place(after));
    statement.push(format_args!(" ORDER BY \"id\" LIMIT {most}"));
    statement
}

/// Ends of long before a moment, in microseconds, behind an id, in the order of their ids: the id and
/// the revision.
pub(crate) fn long_ended(
    collection: &Collection,
    now: i64,
    after: Option<Id>,
    most: u32,
) -> Statement<Postgres> {
    let mut statement = Statement::new(format!(
        "SELECT id, revision FROM {} WHERE deleted_at < ",
        Postgres::TOMBSTONES
    ));
    statement.bind(Postgres::integer(now - LONG));
    statement.push(" AND collection = ");
    statement.bind(Postgres::text_argument(&collection.name));
    statement.push(" AND id > ");
    statement.bind(place(after));
    statement.push(format_args!(" ORDER BY id LIMIT {most}"));
    statement
}

/// Where to go on.
fn place(after: Option<Id>) -> Argument {
    let after = after.unwrap_or(Id::NIL);
    Postgres::argument(&FieldType::Uuid, &Value::Uuid(after.uuid()))
}

/// Has documents leave that nobody has in hand. Arguments: their ids and their revisions.
pub(crate) fn leave(collection: &Collection) -> String {
    let table = Postgres::table(collection);
    let revision = column_of(collection, collection.revision());
    format!(
        "WITH leaving AS (SELECT t.\"id\" FROM {table} AS t \
         JOIN unnest($1::text[], $2::bigint[]) AS n (id, revision) \
         ON t.\"id\" = n.id::uuid AND t.{revision} = n.revision \
         ORDER BY t.\"id\" FOR UPDATE OF t SKIP LOCKED) \
         DELETE FROM {table} AS t USING leaving WHERE t.\"id\" = leaving.\"id\""
    )
}

/// Forgets ends. Arguments: the collection, their ids and their revisions.
pub(crate) fn forget() -> String {
    format!(
        "DELETE FROM {} AS b USING unnest($2::text[], $3::bigint[]) AS n (id, revision) \
         WHERE b.collection = $1 AND b.id = n.id::uuid AND b.revision = n.revision",
        Postgres::TOMBSTONES
    )
}
