//! From a driver's errors to the product's.

use std::collections::HashMap;

use nubo_core::{
    Error, Violation,
    schema::{Catalog, Collection},
};
use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use crate::{
    session::Trouble,
    sql::postgres::{gate, table},
};

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

/// Tells SQLite's constraint violations from failures. It names the columns of a unique key in its
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

/// Classes of what is about one statement alone: its values, constraints, the statement itself, and
/// limits of the program.
const REFUSALS: [&str; 4] = ["22", "23", "42", "54"];

/// The fields of PostgreSQL's unique keys, by schema and name. It names the key and not the fields.
pub(crate) struct Keys(HashMap<(String, String), Vec<String>>);

impl Keys {
    pub fn of(catalog: &Catalog) -> Self {
        let keys = catalog.collections().iter().flat_map(|collection| {
            let named = table::unique_keys(collection).into_iter();
            named.map(|(name, fields)| {
                let fields = fields.into_iter();
                let fields = fields.map(|field| collection.fields()[field].name.clone());
                ((collection.domain.clone(), name), fields.collect())
            })
        });
        Self(keys.collect())
    }

    /// Tells PostgreSQL's constraint violations from failures.
    pub fn refusal(&self, error: sqlx::Error) -> Refusal {
        let Some(cause) = postgres_cause(&error) else {
            return Refusal::Other(postgres_failure(error));
        };
        match cause.code() {
            "23505" => {
                let key = (
                    cause.schema().unwrap_or_default().to_owned(),
                    cause.constraint().unwrap_or_default().to_owned(),
                );
                Refusal::Duplicate(self.0.get(&key).cloned().unwrap_or_default())
            }
            "23503" => Refusal::Reference,
            code if REFUSALS.contains(&&code[..2]) => Refusal::Unfit(Error::internal(error)),
            _ => Refusal::Other(postgres_failure(error)),
        }
    }
}

fn postgres_cause(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    match error {
        sqlx::Error::Database(cause) => cause.try_downcast_ref::<PgDatabaseError>(),
        _ => None,
    }
}

/// What PostgreSQL could not do and that is nobody's input, by SQLSTATE:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(crate) fn postgres_failure(error: sqlx::Error) -> Error {
    let Some(cause) = postgres_cause(&error) else {
        return match error {
            sqlx::Error::PoolTimedOut => {
                Error::unavailable("truth_busy", "all connections to the database are in use")
            }
            error if is_lost(&error) => unreachable(&error),
            error => Error::internal(error),
        };
    };
    match cause.code() {
        // query_canceled: by the time limit of the connection.
        "57014" => too_slow(),
        "53100" => Error::Unavailable {
            code: "storage_full",
            detail: "the server cannot store anything at the moment".into(),
            retry_after: 30,
        },
        "40001" | "40P01" | "55P03" => {
            Error::unavailable("conflict", "others write the same documents")
        }
        "25006" => Error::unavailable("read_only", "the database takes no writes at the moment"),
        _ if is_lost(&error) => unreachable(&error),
        _ => Error::internal(error),
    }
}

fn unreachable(error: &sqlx::Error) -> Error {
    tracing::debug!(%error, "the database has gone");
    Error::unavailable("truth_unavailable", "the database cannot be reached")
}

/// Whether the connection is gone: by its own words, or because the server stops or has no place.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => postgres_cause(error).is_some_and(|cause| {
            let code = cause.code();
            code.starts_with("08") || code.starts_with("57P") || code == "53300"
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => true,
        _ => false,
    }
}

/// What an error means for the attempt under way; none where trying again changes nothing.
pub(crate) fn trouble(error: &sqlx::Error) -> Option<Trouble> {
    match postgres_cause(error).map(PgDatabaseError::code) {
        _ if is_lost(error) => Some(Trouble::Lost),
        Some(gate::TERMS) => Some(Trouble::Terms),
        Some("40001" | "40P01" | "55P03") => Some(Trouble::Conflict),
        Some(code) if REFUSALS.contains(&&code[..2]) => Some(Trouble::Refused),
        _ => None,
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
