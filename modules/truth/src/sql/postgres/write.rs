//! Rows in PostgreSQL, many at a time: one argument for each column, an array with a value for each
//! row. The text of the statement is the same for any number of rows.

use std::fmt::Display;

use nubo_core::{document::Document, field::Field, schema::Collection, value::Value};
use uuid::Uuid;

use super::{
    Argument, Postgres, decode,
    encode::{self, write_field, write_sized},
    gate::ENTER,
    outbox,
    table::COMMITS,
    types::{Scalar, Type},
};
use crate::{
    session::Ending,
    sql::{Dialect, Statement, column_of, select::columns},
};

/// New rows.
pub(crate) fn insert(collection: &Collection, documents: &[&Document]) -> Statement<Postgres> {
    let mut statement = Statement::new("");
    push_insert(&mut statement, collection, documents);
    statement
}

/// New rows and the number of their transaction, which is this statement.
pub(crate) fn insert_alone(
    collection: &Collection,
    documents: &[&Document],
    lane: Uuid,
    batch: i64,
    ending: Ending,
) -> Statement<Postgres> {
    let uuid = |uuid| Argument::new(Type::One(Scalar::Uuid), &Value::Uuid(uuid));
    let mut arguments = vec![uuid(lane), Argument::integer(batch)];
    let note = match ending.terms {
        None => note_commit("$1", "$2"),
        Some(terms) => {
            arguments.extend([
                uuid(terms.instance.uuid()),
                Argument::integer(terms.epoch.number.cast_signed()),
                Argument::integer(i64::from(terms.epoch.nonce)),
                Argument::integer(i64::from(terms.open)),
            ]);
            note_commit_from("$1", "$2", format_args!("FROM {ENTER}($3, $4, $5, $6)"))
        }
    };
    let mut text = format!("WITH noted AS ({note}) ");
    // There is one collection, and so one table.
    for ((schema, table), ids) in ending.note.iter().flat_map(|note| &note.documents) {
        text = format!(
            "{}, told AS ({}) ",
            text.trim_end(),
            outbox::add_by_arguments(arguments.len() + 1)
        );
        let ids = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let note = ending.note.as_ref();
        arguments.extend([
            uuid(note.map_or(Uuid::nil(), |note| note.instance.uuid())),
            Argument::integer(note.map_or(0, |note| note.batch.0.cast_signed())),
            Argument::text(schema),
            Argument::text(table),
            Argument::new(Type::Array(Scalar::Uuid), &Value::List(ids)),
        ]);
    }
    let mut statement = Statement::new(text);
    statement.arguments = arguments;
    push_insert(&mut statement, collection, documents);
    statement
}

/// Writes down the number of a lane's transaction, in that transaction.
pub(crate) fn note_commit(lane: impl Display, batch: impl Display) -> String {
    note_commit_from(lane, batch, "")
}

/// The same, once for each row of a FROM clause.
fn note_commit_from(lane: impl Display, batch: impl Display, from: impl Display) -> String {
    format!(
        "INSERT INTO {COMMITS} (lane, batch, at) SELECT {lane}::uuid, {batch}, now() {from} \
         ON CONFLICT (lane) DO UPDATE SET batch = excluded.batch, at = excluded.at"
    )
}

fn push_insert(
    statement: &mut Statement<Postgres>,
    collection: &Collection,
    documents: &[&Document],
) {
    statement.push(format_args!(
        "INSERT INTO {} ({}) SELECT ",
        Postgres::table(collection),
        columns(collection)
    ));
    let fields = 0..collection.fields().len();
    statement.join(fields, ", ", |statement, index| {
        statement.push(row_value(collection, index));
    });
    push_rows(statement, collection, documents);
}

/// Rows that become these documents.
pub(crate) fn update_many(collection: &Collection, documents: &[&Document]) -> Statement<Postgres> {
    let mut statement = Statement::new(format!("UPDATE {} AS t SET ", Postgres::table(collection)));
    let changing = 1..collection.fields().len();
    statement.join(changing, ", ", |statement, index| {
        let column = column_of(collection, index);
        statement.push(format_args!("{column} = {}", row_value(collection, index)));
    });
    push_rows(&mut statement, collection, documents);
    statement.push(" WHERE t.\"id\" = r.c0");
    statement
}

/// The value of a field in the rows that [`push_rows`] gives.
fn row_value(collection: &Collection, index: usize) -> String {
    match Type::of(&collection.fields()[index].kind) {
        Type::One(_) => format!("r.c{index}"),
        kind @ Type::Array(_) => format!("r.c{index}::{}", kind.name()),
    }
}

/// Appends `FROM` with the documents as rows. An array of arrays would come apart, so that arrays
/// go as their text.
fn push_rows(
    statement: &mut Statement<Postgres>,
    collection: &Collection,
    documents: &[&Document],
) {
    let fields = collection.fields();
    statement.push(" FROM unnest(");
    statement.join(
        fields.iter().enumerate(),
        ", ",
        |statement, (index, field)| {
            let values = documents.iter().map(|document| document.value(index));
            let mut bytes = Vec::new();
            let single = match Type::of(&field.kind) {
                Type::One(single) => {
                    encode::array(single, values, &mut bytes, |value, out| {
                        write_field(field, value, out)
                    });
                    single
                }
                Type::Array(single) => {
                    encode::array(Scalar::Text, values, &mut bytes, |value, out| {
                        match array_text(field, single, value) {
                            Some(text) => out.extend_from_slice(text.as_bytes()),
                            None => return false,
                        }
                        true
                    });
                    Scalar::Text
                }
            };
            statement.bind(Argument {
                kind: Type::Array(single),
                bytes: Some(bytes),
            });
        },
    );
    statement.push(") AS r (");
    statement.join(0..fields.len(), ", ", |statement, index| {
        statement.push(format_args!("c{index}"));
    });
    statement.push(")");
}

fn array_text(field: &Field, single: Scalar, value: &Value) -> Option<String> {
    let mut bytes = Vec::new();
    match write_field(field, value, &mut bytes) {
        true => decode::array_text(single, &bytes),
        false => None,
    }
}

/// The statement under which rows are copied in.
pub(crate) fn copy(collection: &Collection) -> String {
    format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        Postgres::table(collection),
        columns(collection)
    )
}

/// Rows in the format of [`copy`].
pub(crate) fn copied<'a>(
    collection: &Collection,
    documents: impl IntoIterator<Item = &'a Document>,
) -> Vec<u8> {
    // Signature, flags, length of the header's extension.
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    let fields = collection.fields();
    for document in documents {
        out.extend_from_slice(&(fields.len() as i16).to_be_bytes());
        for (field, value) in fields.iter().zip(document.values()) {
            write_sized(&mut out, |out| write_field(field, value, out));
        }
    }
    out.extend_from_slice(&(-1i16).to_be_bytes());
    out
}
