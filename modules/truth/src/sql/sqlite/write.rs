//! New rows in SQLite.

use nubo_core::{document::Document, schema::Collection};

use super::{Sqlite, encode::encode_field};
use crate::sql::{Dialect, select::columns};

type Statement = crate::sql::Statement<Sqlite>;

/// New rows, all in one statement.
pub(crate) fn insert<'a>(
    collection: &Collection,
    documents: impl IntoIterator<Item = &'a Document>,
) -> Statement {
    let mut statement = Statement::new(format!(
        "INSERT INTO {} ({}) VALUES ",
        Sqlite::table(collection),
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
