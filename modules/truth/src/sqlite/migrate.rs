//! Making the file fit the catalog at start: what is missing is added, what became optional is let
//! go, and nothing else.
//!
//! A change that would lose or reinterpret data is not made; the server says what differs and does
//! not start.

use nubo_core::{
    module::SetupError,
    schema::{Catalog, Collection},
};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use super::read_rows;
use crate::{
    rows::Rows,
    sql::{
        Dialect, Quoted, bare_column, column_of,
        sqlite::{
            Argument, Sqlite,
            encode::column_type,
            table::{self, FIELDS},
        },
    },
};

/// A column as it is.
struct Column {
    name: String,
    kind: String,
    not_null: bool,
}

/// Brings every table up to its collection, all in one database transaction.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    // A table that is made anew is missing for a moment. This has no effect inside a transaction.
    execute(connection, "PRAGMA foreign_keys = OFF".into()).await?;
    execute(connection, "BEGIN IMMEDIATE".into()).await?;
    let problems = match bring_all_up(connection, catalog).await {
        Ok(problems) => problems,
        Err(error) => {
            execute(connection, "ROLLBACK".into()).await?;
            return Err(error);
        }
    };
    let end = if problems.is_empty() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    execute(connection, end.into()).await?;
    execute(connection, "PRAGMA foreign_keys = ON".into()).await?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(SetupError::new(format!(
        "the database does not fit the collections:\n  {}",
        problems.join("\n  ")
    )))
}

async fn bring_all_up(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
) -> Result<Vec<String>, SetupError> {
    for statement in table::own_tables() {
        execute(connection, statement).await?;
    }
    let mut problems = Vec::new();
    for collection in catalog.collections() {
        problems.extend(bring_up(connection, collection, catalog).await?);
    }
    let broken = texts(
        connection,
        "SELECT \"table\" FROM pragma_foreign_key_check",
        &[],
    )
    .await?;
    if let Some(table) = broken.first() {
        problems.push(format!(
            "documents of `{table}` refer to some that do not exist"
        ));
    }
    Ok(problems)
}

async fn bring_up(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
) -> Result<Vec<String>, SetupError> {
    let actual = columns(connection, &collection.tiers.table).await?;
    let mut problems = Vec::new();
    if actual.is_empty() {
        let name = &collection.tiers.table;
        execute(connection, table::create(collection, catalog, name, &[])).await?;
        tracing::info!(collection = collection.name, "created the table");
    } else {
        for index in 0..collection.fields().len() {
            problems.extend(column(connection, collection, catalog, &actual, index).await?);
        }
        if problems.is_empty() {
            let_go(connection, collection, catalog, &actual).await?;
        }
    }
    if problems.is_empty() {
        note(connection, collection, catalog).await?;
        indexes(connection, collection, catalog).await?;
    }
    Ok(problems)
}

/// Adds a column that is missing, and says what is wrong with one that is there.
async fn column(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
    actual: &[Column],
    index: usize,
) -> Result<Option<String>, SetupError> {
    let field = &collection.fields()[index];
    let place = format!("`{}.{}`", collection.name, field.name);
    let Some(found) = actual
        .iter()
        .find(|c| c.name == bare_column(collection, index))
    else {
        return match table::add_column(collection, catalog, index) {
            Ok(statement) => {
                execute(connection, statement).await?;
                tracing::info!(
                    collection = collection.name,
                    field = field.name,
                    "added the column"
                );
                Ok(None)
            }
            Err(problem) => Ok(Some(problem)),
        };
    };
    let noted = texts(
        connection,
        &format!("SELECT kind FROM {FIELDS} WHERE \"table\" = ? AND field = ?"),
        &[&collection.tiers.table, &field.name],
    )
    .await?;
    let noted: Option<Json> = noted
        .first()
        .and_then(|text| serde_json::from_str(text).ok());
    if let Some(noted) = &noted
        && !table::is_readable_as(noted, &field.kind, catalog)
    {
        let now = table::noted(&field.kind, catalog);
        return Ok(Some(format!(
            "{place} is stored as {noted} and would now be {now}"
        )));
    }
    if found.kind != column_type(&field.kind) {
        return Ok(Some(format!(
            "{place} is stored as {} and would now be {}",
            found.kind,
            column_type(&field.kind)
        )));
    }
    if field.required && !found.not_null {
        let question = format!(
            "SELECT \"id\" FROM {} WHERE {} IS NULL LIMIT 1",
            Sqlite::table(collection),
            column_of(collection, index)
        );
        let lacking = texts(connection, &question, &[]).await?;
        return Ok(lacking.first().map(|id| {
            format!(
                "{place} is required now, but there are documents without a value, such as {id}"
            )
        }));
    }
    Ok(None)
}

/// Makes the table anew where a column insists on a value that documents need not have any longer.
/// Columns that no field claims are kept, since they hold data.
async fn let_go(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
    actual: &[Column],
) -> Result<(), SetupError> {
    let declared = |column: &Column| {
        (0..collection.fields().len()).find(|index| bare_column(collection, *index) == column.name)
    };
    let others: Vec<&Column> = actual.iter().filter(|c| declared(c).is_none()).collect();
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|column| column.name.as_str()).collect();
        tracing::warn!(
            collection = collection.name,
            columns = names.join(", "),
            "columns that no field declares are kept and not used"
        );
    }
    let insists = actual.iter().any(|column| {
        column.not_null && declared(column).is_none_or(|index| !collection.fields()[index].required)
    });
    if !insists {
        return Ok(());
    }
    let others: Vec<(&str, &str)> = others
        .iter()
        .map(|column| (column.name.as_str(), column.kind.as_str()))
        .collect();
    let names: Vec<&str> = actual.iter().map(|column| column.name.as_str()).collect();
    for statement in table::rebuild(collection, catalog, &names, &others) {
        execute(connection, statement).await?;
    }
    tracing::info!(
        collection = collection.name,
        "made the table anew, since fields are optional now"
    );
    Ok(())
}

/// Notes which types the columns have from now on.
async fn note(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    for field in collection.fields() {
        let values = [
            &collection.tiers.table,
            &field.name,
            &table::noted(&field.kind, catalog).to_string(),
        ]
        .map(|text| Argument::Text(text.clone()));
        read_rows(
            connection,
            format!("INSERT OR REPLACE INTO {FIELDS} (\"table\", field, kind) VALUES (?, ?, ?)"),
            values.into(),
        )
        .await
        .map_err(failed)?;
    }
    Ok(())
}

async fn indexes(
    connection: &mut SqliteConnection,
    collection: &Collection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    let table = &collection.tiers.table;
    let existing = texts(
        connection,
        "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'",
        &[table],
    )
    .await?;
    let unique = texts(
        connection,
        "SELECT name FROM pragma_index_list(?) WHERE origin = 'c' AND \"unique\"",
        &[table],
    )
    .await?;
    let declared = table::indexes(collection, catalog);
    // What is no longer unique must not be refused any longer. Other indexes do no harm.
    let own = format!("{table}_");
    for name in unique.iter().filter(|name| {
        name.starts_with(&own)
            && name.contains("_key")
            && !declared.iter().any(|(declared, _)| declared == *name)
    }) {
        execute(connection, format!("DROP INDEX {}", Quoted(name))).await?;
        tracing::info!(
            collection = collection.name,
            index = name,
            "dropped the index"
        );
    }
    for (name, statement) in declared {
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

/// A table's columns; none where there is no such table.
async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<Column>, SetupError> {
    let rows = read_rows(
        connection,
        "SELECT name, type, \"notnull\" FROM pragma_table_info(?)".into(),
        vec![Argument::Text(table.to_owned())],
    )
    .await
    .map_err(failed)?;
    let mut columns = Vec::with_capacity(rows.count());
    for row in 0..rows.count() {
        if let (Ok(Argument::Text(name)), Ok(Argument::Text(kind)), Ok(not_null)) = (
            rows.argument(row, 0),
            rows.argument(row, 1),
            rows.integer(row, 2),
        ) {
            columns.push(Column {
                name,
                kind,
                not_null: not_null != 0,
            });
        }
    }
    Ok(columns)
}

/// The first column of what a statement finds, where it is text.
async fn texts(
    connection: &mut SqliteConnection,
    statement: &str,
    values: &[&str],
) -> Result<Vec<String>, SetupError> {
    let values = values
        .iter()
        .map(|value| Argument::Text((*value).to_owned()))
        .collect();
    let rows = read_rows(connection, statement.to_owned(), values)
        .await
        .map_err(failed)?;
    let found = (0..rows.count()).filter_map(|row| match rows.argument(row, 0) {
        Ok(Argument::Text(text)) => Some(text),
        _ => None,
    });
    Ok(found.collect())
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
