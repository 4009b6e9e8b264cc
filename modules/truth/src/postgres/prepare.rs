//! Making the database fit the catalog: what is missing is added, and nothing else.
//!
//! A change that would lose or reinterpret data is not made; the server says what differs and does
//! not start.

use std::collections::HashMap;

use nubo_core::{
    module::SetupError,
    schema::{Catalog, Collection},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::sql::postgres::table::{self, Named};

/// Whom instances that start together wait for: any number that nobody else uses.
const LOCK: i64 = 0x6e75_626f;

/// A column as it is.
struct Column {
    kind: String,
    not_null: bool,
}

/// Brings every table up to its collection, all in one database transaction.
pub(super) async fn run(
    connection: &mut PgConnection,
    catalog: &Catalog,
) -> Result<(), SetupError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    execute(
        &mut transaction,
        format!("SELECT pg_advisory_xact_lock({LOCK})"),
    )
    .await?;
    let problems = bring_all_up(&mut transaction, catalog).await?;
    if problems.is_empty() {
        return transaction.commit().await.map_err(failed);
    }
    transaction.rollback().await.map_err(failed)?;
    Err(SetupError::new(format!(
        "the database does not fit the collections:\n  {}",
        problems.join("\n  ")
    )))
}

async fn bring_all_up(
    connection: &mut PgConnection,
    catalog: &Catalog,
) -> Result<Vec<String>, SetupError> {
    let schemas = names(connection, "SELECT nspname FROM pg_namespace", &[]).await?;
    for (name, statement) in table::schemas(catalog) {
        if !schemas.contains(&name) {
            execute(connection, statement).await?;
        }
    }
    for statement in table::own_tables() {
        execute(connection, statement).await?;
    }
    let mut problems = Vec::new();
    for collection in catalog.collections() {
        problems.extend(bring_up(connection, collection).await?);
    }
    if problems.is_empty() {
        for collection in catalog.collections() {
            let place = [collection.domain.as_str(), collection.tiers.table.as_str()];
            let existing = names(
                connection,
                "SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND tablename = $2 \
                 UNION SELECT conname FROM pg_constraint \
                 WHERE conrelid = to_regclass(format('%I.%I', $1, $2))",
                &place,
            )
            .await?;
            let indexes = table::indexes(collection, catalog).into_iter();
            for named in indexes.chain(table::foreign_keys(collection, catalog)) {
                add(connection, collection, named, &existing).await?;
            }
        }
    }
    Ok(problems)
}

async fn add(
    connection: &mut PgConnection,
    collection: &Collection,
    named: Named,
    existing: &[String],
) -> Result<(), SetupError> {
    if existing.contains(&named.name) {
        return Ok(());
    }
    execute(connection, named.statement).await.map_err(|error| {
        SetupError::caused(
            format!(
                "cannot create `{}` on the documents of `{}`",
                named.name, collection.name
            ),
            error,
        )
    })
}

async fn bring_up(
    connection: &mut PgConnection,
    collection: &Collection,
) -> Result<Vec<String>, SetupError> {
    let actual = columns(connection, collection).await?;
    if actual.is_empty() {
        execute(connection, table::create(collection)).await?;
        tracing::info!(collection = collection.name, "created the table");
        return Ok(Vec::new());
    }
    let mut problems = Vec::new();
    for (index, planned) in table::columns(collection).into_iter().enumerate() {
        let place = format!("`{}.{}`", collection.name, collection.fields()[index].name);
        match actual.get(&planned.name) {
            None => match table::add_column(collection, index) {
                Ok(statement) => execute(connection, statement).await?,
                Err(problem) => problems.push(problem),
            },
            Some(column) if column.kind != planned.kind => problems.push(format!(
                "{place} is stored as {} and would now be {}",
                column.kind, planned.kind
            )),
            Some(column) if planned.not_null && !column.not_null => problems.push(format!(
                "{place} is required now, and may be without a value in the database"
            )),
            Some(_) => {}
        }
    }
    Ok(problems)
}

/// A table's columns; none where there is no such table.
async fn columns(
    connection: &mut PgConnection,
    collection: &Collection,
) -> Result<HashMap<String, Column>, SetupError> {
    let query = sqlx::query(
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute \
         WHERE attrelid = to_regclass(format('%I.%I', $1, $2)) AND attnum > 0 AND NOT attisdropped",
    )
    .bind(&collection.domain)
    .bind(&collection.tiers.table);
    let rows = connection.fetch_all(query).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let column = Column {
                kind: row.try_get(1)?,
                not_null: row.try_get(2)?,
            };
            Ok((row.try_get(0)?, column))
        })
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// The first column of what a statement finds.
async fn names(
    connection: &mut PgConnection,
    statement: &'static str,
    values: &[&str],
) -> Result<Vec<String>, SetupError> {
    let mut query = sqlx::query(statement);
    for value in values {
        query = query.bind((*value).to_owned());
    }
    let rows = connection.fetch_all(query).await.map_err(failed)?;
    rows.iter()
        .map(|row| row.try_get_unchecked(0))
        .collect::<Result<_, _>>()
        .map_err(failed)
}

async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), SetupError> {
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .map(drop)
        .map_err(failed)
}

fn failed(error: sqlx::Error) -> SetupError {
    let denied = match &error {
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| code == "42501"),
        _ => false,
    };
    let words = match denied {
        true => {
            "the database user may not create what the collections need; \
             grant it CREATE on the database, or apply the migrations as its owner"
        }
        false => "the database cannot be prepared",
    };
    SetupError::caused(words, error)
}
