//! Writing: rows that change and go, and the tombstones they leave.

use nubo_core::{document::Document, field::FieldType, id::Id, schema::Collection, value::Value};

use super::{Dialect, Statement, column_of};

/// A row that changes in these fields.
pub(crate) fn update<D: Dialect>(
    collection: &Collection,
    document: &Document,
    changed: &[usize],
) -> Statement<D> {
    let mut statement = Statement::new(format!("UPDATE {} SET ", D::table(collection)));
    statement.join(changed, ", ", |statement, &index| {
        statement.push(format_args!("{} = ", column_of(collection, index)));
        statement.bind(D::field_argument(
            &collection.fields()[index],
            document.value(index),
        ));
    });
    statement.push(" WHERE \"id\" = ");
    statement.bind(id_argument::<D>(document.value(Collection::ID)));
    statement
}

/// A row that goes.
pub(crate) fn delete<D: Dialect>(collection: &Collection, id: Id) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "DELETE FROM {} WHERE \"id\" = ",
        D::table(collection)
    ));
    statement.bind(id_argument::<D>(&Value::Uuid(id.uuid())));
    statement
}

/// The revision at which a document ended. `now` in microseconds.
pub(crate) fn bury<D: Dialect>(
    collection: &Collection,
    document: &Document,
    now: i64,
) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "INSERT INTO {} (collection, id, revision, deleted_at) VALUES (",
        D::TOMBSTONES
    ));
    statement.bind(D::text_argument(&collection.name));
    statement.push(", ");
    statement.bind(id_argument::<D>(document.value(Collection::ID)));
    statement.push(", ");
    statement.bind(D::integer(document.revision().next(now).number()));
    statement.push(", ");
    statement.bind(D::integer(now));
    statement.push(
        ") ON CONFLICT (collection, id) DO UPDATE SET \
         revision = excluded.revision, deleted_at = excluded.deleted_at",
    );
    statement
}

/// The tombstones of these ids: id and revision.
pub(crate) fn tombstones<D: Dialect>(collection: &Collection, ids: &[Value]) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "SELECT id, revision FROM {} WHERE collection = ",
        D::TOMBSTONES
    ));
    statement.bind(D::text_argument(&collection.name));
    statement.push(" AND ");
    D::among(&mut statement, "id", &FieldType::Uuid, ids);
    statement
}

/// Whether there is any tombstone at all.
pub(crate) fn has_tombstones<D: Dialect>() -> Statement<D> {
    Statement::new(format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM {}) THEN 1 ELSE 0 END",
        D::TOMBSTONES
    ))
}

/// Removes tombstones older than a moment, in microseconds, but for those of some collections.
pub(crate) fn forget_tombstones<D: Dialect>(before: i64, kept: &[&str]) -> Statement<D> {
    let mut statement =
        Statement::new(format!("DELETE FROM {} WHERE deleted_at < ", D::TOMBSTONES));
    statement.bind(D::integer(before));
    for name in kept {
        statement.push(" AND collection <> ");
        statement.bind(D::text_argument(name));
    }
    statement
}

fn id_argument<D: Dialect>(id: &Value) -> D::Argument {
    D::argument(&FieldType::Uuid, id)
}
