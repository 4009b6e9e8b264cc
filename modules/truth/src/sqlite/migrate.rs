//! Making the file fit the catalog at start: what is missing is added, and nothing else.
//!
//! A change that would lose or reinterpret data is not made; the server says what differs and does
//! not start.

use nubo_core::{
    module::SetupError,
    schema::{Catalog, Collection},
};
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use super::read_rows;
use crate::sql::{Argument, encode::column_type, table};

/// Brings every table up to its collection, all in one database transaction.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    execute(connection, "BEGIN IMMEDIATE".into()).await?;
    for statement in table::own_tables() {
        execute(connection, statement).await?;
    }
    let mut problems = Vec::new();
    for collection in catalog.collections() {
        problems.extend(bring_up(connection, collection, catalog).await?);
    }
    if problems.is_empty() {
        return execute(connection, "COMMIT".into()).await;
    }
    execute(connection, "ROLLBACK".into()).await?;
    Err(SetupError::new(format!(
        "the database does not fit the collections:\n  {}",
        problems.join("\n  ")
    )))
}

async fn bring_up(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
) -> Result<Vec<String>, SetupError> {
    let actual = columns(connection, &collection.tiers.table).await?;
    let mut problems = Vec::new();
    if actual.is_empty() {
        execute(connection, table::create(collection, catalog)).await?;
        tracing::info!(collection = collection.name, "created the table");
    } else {
        for (index, field) in collection.fields().iter().enumerate() {
            let name = crate::sql::column_of(collection, index);
            let name = name.trim_matches('"');
            match actual.iter().find(|(column, _)| column == name) {
                Some((_, kind)) if kind == column_type(&field.kind) => {}
                Some((_, kind)) => problems.push(format!(
                    "`{}.{}` is stored as {kind} and would now be {}",
                    collection.name,
                    field.name,
                    column_type(&field.kind)
                )),
                None => match table::add_column(collection, catalog, index) {
                    Ok(statement) => {
                        execute(connection, statement).await?;
                        tracing::info!(
                            collection = collection.name,
                            field = field.name,
                            "added the column"
                        );
                    }
                    Err(problem) => problems.push(problem),
                },
            }
        }
        problems.extend(orphans(collection, &actual));
    }
    if problems.is_empty() {
        indexes(connection, collection, catalog).await?;
    }
    Ok(problems)
}

/// Columns that no field claims are kept, but one that insists on a value would refuse every new
/// document.
fn orphans(collection: &Collection, actual: &[(String, String)]) -> Vec<String> {
    let claimed: Vec<String> = (0..collection.fields().len())
        .map(|index| crate::sql::column_of(collection, index))
        .collect();
    let orphans: Vec<&str> = actual
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| {
            !claimed
                .iter()
                .any(|claimed| claimed.trim_matches('"') == *name)
        })
        .collect();
    if !orphans.is_empty() {
        tracing::warn!(
            collection = collection.name,
            columns = orphans.join(", "),
            "columns that no field declares are kept and not used"
        );
    }
    Vec::new()
}

async fn indexes(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    let rows = read_rows(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?".into(),
        vec![Argument::Text(collection.tiers.table.clone())],
    )
    .await
    .map_err(failed)?;
    let mut existing = Vec::new();
    for row in 0..rows.len() {
        if let Ok(Argument::Text(name)) = rows.argument(row, 0) {
            existing.push(name);
        }
    }
    for (name, statement) in table::indexes(collection, catalog) {
        if !existing.contains(&name) {
            execute(connection, statement).await.map_err(|error| {
                SetupError::caused(
                    format!(
                        "cannot create the index `{name}` on the documents of `{}`",
                        collection.name
                    ),
                    error,
                )
            })?;
        }
    }
    Ok(())
}

/// Names and types of a table's columns; none where there is no such table.
async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<(String, String)>, SetupError> {
    let rows = read_rows(
        connection,
        "SELECT name, type FROM pragma_table_info(?)".into(),
        vec![Argument::Text(table.to_owned())],
    )
    .await
    .map_err(failed)?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in 0..rows.len() {
        if let (Ok(Argument::Text(name)), Ok(Argument::Text(kind))) =
            (rows.argument(row, 0), rows.argument(row, 1))
        {
            columns.push((name, kind));
        }
    }
    Ok(columns)
}

async fn execute(connection: &mut SqliteConnection, statement: String) -> Result<(), SetupError> {
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .map(drop)
        .map_err(failed)
}

fn failed(error: sqlx::Error) -> SetupError {
    SetupError::caused("the database cannot be prepared", error)
}
