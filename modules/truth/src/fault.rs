//! From a driver's errors to the product's.

use nubo_core::{Error, Violation, schema::Collection};
use sqlx::error::DatabaseError;

/// Anything the database could not do and that is nobody's input: logged, never sent.
pub(crate) fn internal(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(cause) if is_full(cause.as_ref()) => Error::Unavailable {
            code: "storage_full",
            detail: "the server cannot store anything at the moment".into(),
            retry_after: 30,
        },
        sqlx::Error::Database(cause) if matches!(primary_code(cause.as_ref()), Some(5 | 6)) => {
            Error::unavailable("truth_busy", "another program holds the database")
        }
        _ if is_interrupted(&error) => too_slow(),
        sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed => {
            Error::unavailable("truth_unavailable", "the database does not answer")
        }
        _ => Error::internal(error),
    }
}

/// Whether a statement took longer than it may (SQLITE_INTERRUPT).
pub(crate) fn is_interrupted(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(cause) => primary_code(cause.as_ref()) == Some(9),
        _ => false,
    }
}

/// 503 for what takes too long.
pub(crate) fn too_slow() -> Error {
    Error::Unavailable {
        code: "too_slow",
        detail: "this takes longer than one request may; ask for less, or by an indexed field"
            .into(),
        retry_after: 30,
    }
}

/// SQLITE_FULL and SQLITE_IOERR_* (primary codes 13 and 10).
fn is_full(cause: &dyn DatabaseError) -> bool {
    matches!(primary_code(cause), Some(10 | 13))
}

/// The result code without its extension: <https://sqlite.org/rescode.html>.
fn primary_code(cause: &dyn DatabaseError) -> Option<u32> {
    let code = cause.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

/// What a statement on a collection ran into.
pub(crate) enum Refusal {
    /// A unique key: the fields that make it up.
    Duplicate(Vec<String>),
    /// A reference to, or from, a document that the guard insists on.
    Reference,
    /// Something about this statement alone, which only its sender shall notice.
    Unfit(Error),
    /// Something that no statement would have survived.
    Other(Error),
}

/// Tells constraint violations from failures. SQLite names the columns of a unique key in its
/// message, `UNIQUE constraint failed: users.email`, and nowhere else.
pub(crate) fn refusal(error: sqlx::Error) -> Refusal {
    let sqlx::Error::Database(cause) = &error else {
        return Refusal::Other(internal(error));
    };
    if cause.is_foreign_key_violation() {
        return Refusal::Reference;
    }
    if cause.is_unique_violation() {
        let columns = cause.message().rsplit(": ").next().unwrap_or_default();
        let fields = columns
            .split(", ")
            .filter_map(|column| column.split_once('.'))
            .map(|(_, field)| field.to_owned());
        return Refusal::Duplicate(fields.collect());
    }
    // ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE: the transaction around the statement goes on.
    match primary_code(cause.as_ref()) {
        Some(1 | 18 | 19 | 20 | 25) => Refusal::Unfit(internal(error)),
        _ => Refusal::Other(internal(error)),
    }
}

/// 409 for a unique key, naming its fields.
pub(crate) fn duplicate(collection: &Collection, fields: &[String]) -> Error {
    let errors = fields
        .iter()
        .map(|field| Violation::new(format!("/{field}"), "duplicate", "is taken already"))
        .collect();
    let detail = format!(
        "there is a document in {} with the same {} already",
        collection.name,
        fields.join(", ")
    );
    Error::Conflict {
        code: "duplicate",
        detail,
        errors,
    }
}
