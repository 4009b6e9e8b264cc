//! Opening connections, and handing arguments over.

use std::{path::Path, time::Duration};

use nubo_core::module::SetupError;
use sqlx::{
    Arguments, ConnectOptions, Row, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::SqliteSettings;
use crate::sql::sqlite::{
    Argument,
    encode::{DECIMAL_COLLATION, NUMBER_COLLATION, compare_decimals, compare_numbers},
};

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 256;
/// How many rows a connection hands over before it waits for them to be taken.
const ROW_BUFFER: usize = 512;

/// How every connection to the file is opened.
pub(super) fn options(settings: &SqliteSettings) -> SqliteConnectOptions {
    let pages_kib = (settings.page_cache / 1024).max(1024);
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the log at every commit: acknowledged means durable.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", format!("-{pages_kib}"))
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "1073741824")
        // The log is emptied in larger steps, so that a commit seldom pays for it.
        .pragma("wal_autocheckpoint", "8000")
        .pragma("journal_size_limit", "67108864")
        .collation(DECIMAL_COLLATION, compare_decimals)
        .collation(NUMBER_COLLATION, compare_numbers)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(ROW_BUFFER)
        .disable_statement_logging()
}

/// Makes sure the file is one that this server may write.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), SetupError> {
    let cannot = |error: sqlx::Error| {
        SetupError::caused(format!("cannot use the database {}", path.display()), error)
    };
    let row = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .map_err(cannot)?;
    let mode: String = row.try_get(0).map_err(cannot)?;
    if mode != "wal" {
        return Err(SetupError::new(format!(
            "the database {} cannot use a write-ahead log (its file system lacks shared memory)",
            path.display()
        )));
    }
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await
        .map_err(cannot)?;
    sqlx::query("ROLLBACK")
        .execute(connection)
        .await
        .map_err(cannot)?;
    Ok(())
}

/// Arguments in the driver's form.
pub(crate) fn arguments(
    values: impl IntoIterator<Item = Argument>,
) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Argument::Null => arguments.add(None::<i64>),
            Argument::Integer(number) => arguments.add(number),
            Argument::Real(number) => arguments.add(number),
            Argument::Text(text) => arguments.add(text),
            Argument::Blob(bytes) => arguments.add(bytes),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
