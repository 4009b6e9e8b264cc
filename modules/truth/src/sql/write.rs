//! Writing: rows that come, change and go, and the tombstones they leave.

use nubo_core::{document::Document, id::Id, schema::Collection};

use super::{
    Argument, Statement, column_of,
    encode::{encode, encode_field},
    select::columns,
    table_of,
};

/// Where the revisions of deleted documents are kept, so that an id that is used again goes on
/// where it ended.
pub(crate) const TOMBSTONES: &str = "nubo_tombstones";

/// New rows, all in one statement.
pub(crate) fn insert<'a>(
    collection: &Collection,
    documents: impl IntoIterator<Item = &'a Document>,
) -> Statement {
    let mut statement = Statement::new(format!(
        "INSERT INTO {} ({}) VALUES ",
        table_of(collection),
        columns(collection)
    ));
    statement.join(documents, ", ", |statement, document| {
        statement.push("(");
        statement.join(
            collection.fields().iter().zip(document.values()),
            ", ",
            |statement, (field, value)| {
                statement.bind(encode_field(field, value));
            },
        );
        statement.push(")");
    });
    statement
}

/// A row that changes in these fields.
pub(crate) fn update(collection: &Collection, document: &Document, changed: &[usize]) -> Statement {
    let mut statement = Statement::new(format!("UPDATE {} SET ", table_of(collection)));
    statement.join(changed, ", ", |statement, &index| {
        statement.push(format_args!("{} = ", column_of(collection, index)));
        statement.bind(encode_field(
            &collection.fields()[index],
            document.value(index),
        ));
    });
    statement.push(" WHERE \"id\" = ");
    statement.bind(encode(document.value(Collection::ID)));
    statement
}

/// A row that goes.
pub(crate) fn delete(collection: &Collection, id: Id) -> Statement {
    let mut statement = Statement::new(format!(
        "DELETE FROM {} WHERE \"id\" = ",
        table_of(collection)
    ));
    statement.bind(Argument::Text(id.to_string()));
    statement
}

/// The revision at which a document ended. `now` in microseconds.
pub(crate) fn bury(collection: &Collection, document: &Document, now: i64) -> Statement {
    let mut statement = Statement::new(format!(
        "INSERT INTO {TOMBSTONES} (collection, id, revision, deleted_at) VALUES ("
    ));
    statement.bind(Argument::Text(collection.name.clone()));
    statement.push(", ");
    statement.bind(encode(document.value(Collection::ID)));
    statement.push(", ");
    statement.bind(Argument::Integer(document.revision().next(now).number()));
    statement.push(", ");
    statement.bind(Argument::Integer(now));
    statement.push(
        ") ON CONFLICT (collection, id) DO UPDATE SET \
         revision = excluded.revision, deleted_at = excluded.deleted_at",
    );
    statement
}

/// The tombstones of these ids: id and revision.
pub(crate) fn tombstones<'a>(
    collection: &Collection,
    documents: impl IntoIterator<Item = &'a Document>,
) -> Statement {
    let mut statement = Statement::new(format!(
        "SELECT id, revision FROM {TOMBSTONES} WHERE collection = "
    ));
    statement.bind(Argument::Text(collection.name.clone()));
    statement.push(" AND id IN (");
    statement.join(documents, ", ", |statement, document| {
        statement.bind(encode(document.value(Collection::ID)));
    });
    statement.push(")");
    statement
}

/// Removes tombstones older than a moment, in microseconds.
pub(crate) fn forget_tombstones(before: i64) -> Statement {
    let mut statement = Statement::new(format!("DELETE FROM {TOMBSTONES} WHERE deleted_at < "));
    statement.bind(Argument::Integer(before));
    statement
}
