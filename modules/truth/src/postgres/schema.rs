//! What the database has, and changing it.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use nubo_core::{declare::IndexKind, module::SetupError};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, postgres::PgRow};

use super::{
    connect::{self, Connector, close},
    rebuild,
    settings::PostgresSettings,
};
use crate::{
    migrate::{
        database::{Applied, Database, Facts, Language, Queued},
        declared,
        model::{Column, ForeignKey, Index, IndexedColumn, Place, Schema, Table},
    },
    sql::{
        Dialect, Quoted,
        postgres::{
            Postgres,
            gate::{GATE, INSTANCES, OWNER},
            others::{BY_OTHERS, TRIGGERS},
            outbox::OUTBOX,
            table::{self, COMMITS, FIELDS, MIGRATIONS, OWN_SCHEMA},
        },
    },
};

/// Whom migrations wait for: any number that nobody else uses.
pub(super) const LOCK: i64 = 0x6e75_626f;
/// How long a migration waits for others, and for the locks of tables: longer, and everybody who
/// came after it would wait along.
const PATIENCE: &str = "60s";

/// Columns of ordinary tables outside of the system's schemas and our own.
const COLUMNS: &str = "
    SELECT n.nspname::text, c.relname::text, a.attname::text,
           format_type(a.atttypid, a.atttypmod), a.attnotnull,
           coalesce((SELECT conname::text FROM pg_constraint
                     WHERE conrelid = c.oid AND contype = 'p'), '')
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND n.nspname <> ALL ($1)
      AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY n.nspname, c.relname, a.attnum";

/// Columns of indexes that no constraint brings: those that are keys of it, in their order.
const INDEXES: &str = "
    SELECT n.nspname::text, c.relname::text, x.relname::text, i.indisunique, m.amname = 'gin',
           pg_get_expr(i.indpred, i.indrelid),
           coalesce(a.attname::text, ''),
           (i.indoption[k.position - 1] & 1) <> 0, (i.indoption[k.position - 1] & 2) <> 0
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_am m ON m.oid = x.relam
    CROSS JOIN LATERAL generate_series(1, i.indnkeyatts::int) AS k (position)
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.position - 1]
      AND a.attnum > 0
    WHERE n.nspname <> ALL ($1) AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid
                      AND contype IN ('p', 'u', 'x'))
    ORDER BY n.nspname, c.relname, x.relname, k.position";

/// Tables with a trigger of this name that always fires.
const WATCHED: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgname = ANY($1) AND t.tgenabled = 'A'
    GROUP BY 1, 2 HAVING count(*) = cardinality($1)";

/// Foreign keys of one column.
const KEYS: &str = "
    SELECT n.nspname::text, c.relname::text, k.conname::text, a.attname::text,
           tn.nspname::text, t.relname::text
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class t ON t.oid = k.confrelid
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND n.nspname <> ALL ($1)
    ORDER BY k.conname";

/// What PostgreSQL understands.
pub(crate) const LANGUAGE: Language = Language {
    folder: "postgres",
    declared: declared::schema::<Postgres>,
    convert: table::convert,
    blocks: |_, changes| table::blocks(changes),
    remark: None,
};

/// A connection to the database, to look at its schema and to change it.
pub(crate) struct PostgresDatabase<'a>(Connected<'a>);

enum Connected<'a> {
    Own(PgConnection),
    Lent(&'a mut PgConnection),
}

impl PostgresDatabase<'static> {
    /// Connects.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, SetupError> {
        let connector = Connector::new(settings)?;
        let address = connector.address();
        let connecting = connector.connect().await;
        let mut connection = connecting.map_err(|error| connector.cannot_connect(error))?;
        connect::check(&mut connection, &address).await?;
        Ok(Self(Connected::Own(connection)))
    }
}

impl<'a> PostgresDatabase<'a> {
    /// The same on a connection that is open.
    pub fn on(connection: &'a mut PgConnection) -> Self {
        Self(Connected::Lent(connection))
    }

    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Connected::Own(connection) => connection,
            Connected::Lent(connection) => connection,
        }
    }

    async fn ask<T>(
        &mut self,
        question: &'static str,
        read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, SetupError> {
        let others = vec![OWN_SCHEMA.to_owned(), "information_schema".to_owned()];
        let query = sqlx::query(question).bind(others);
        let rows = self.connection().fetch_all(query).await.map_err(failed)?;
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    async fn exists(&mut self, table: &str) -> Result<bool, SetupError> {
        let query = sqlx::query("SELECT to_regclass($1) IS NOT NULL").bind(table.to_owned());
        let row = self.connection().fetch_one(query).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    async fn has_column(&mut self, table: &str, column: &str) -> Result<bool, SetupError> {
        let query = sqlx::query(
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) \
             AND attname = $2 AND NOT attisdropped)",
        );
        let query = query.bind(table.to_owned()).bind(column.to_owned());
        let row = self.connection().fetch_one(query).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    async fn notes(&mut self) -> Result<HashMap<(String, String), Json>, SetupError> {
        if !self.exists(FIELDS).await? {
            return Ok(HashMap::new());
        }
        let question = format!("SELECT \"table\", field, kind FROM {FIELDS}");
        let query = sqlx::query(AssertSqlSafe(question));
        let rows = self.connection().fetch_all(query).await.map_err(failed)?;
        let mut notes = HashMap::new();
        for row in rows {
            let mut cells = [String::new(), String::new(), String::new()];
            for (index, cell) in cells.iter_mut().enumerate() {
                *cell = row.try_get(index).map_err(failed)?;
            }
            let [table, field, kind] = cells;
            if let Ok(kind) = serde_json::from_str(&kind) {
                notes.insert((table, field), kind);
            }
        }
        Ok(notes)
    }

    /// The tables of which the database notes what others write, in whatever role they do.
    async fn watched(&mut self) -> Result<BTreeSet<Place>, SetupError> {
        let query = sqlx::query(WATCHED).bind(&TRIGGERS[..]);
        let rows = self.connection().fetch_all(query).await.map_err(failed)?;
        let places = rows.iter().map(|row| place(row, 0));
        places.collect::<Result<_, _>>().map_err(failed)
    }

    async fn tables(&mut self) -> Result<Vec<Table>, SetupError> {
        let notes = self.notes().await?;
        let columns = self
            .ask(COLUMNS, |row| {
                let place = place(row, 0)?;
                let noted = |field: &str| {
                    let key = (place.table.clone(), field.to_owned());
                    notes.get(&key).cloned()
                };
                let column =
                    Column::found(row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, noted);
                Ok((place, column, row.try_get::<String, _>(5)?))
            })
            .await?;
        let watched = self.watched().await?;
        let mut tables: Vec<Table> = Vec::new();
        for (place, column, primary_key) in columns {
            match tables.last_mut().filter(|table| table.place == place) {
                Some(table) => table.columns.push(column),
                None => tables.push(Table {
                    label: place.table.clone(),
                    former: None,
                    columns: vec![column],
                    indexes: Vec::new(),
                    keys: Vec::new(),
                    primary_key,
                    triggers: Vec::new(),
                    watched: watched.contains(&place),
                    place,
                }),
            }
        }
        Ok(tables)
    }
}

fn place(row: &PgRow, column: usize) -> Result<Place, sqlx::Error> {
    Ok(Place {
        schema: row.try_get(column)?,
        table: row.try_get(column + 1)?,
    })
}

#[async_trait]
impl Database for PostgresDatabase<'_> {
    fn language(&self) -> Language {
        LANGUAGE
    }

    async fn schema(&mut self) -> Result<Schema, SetupError> {
        let own = self.exists(Postgres::TOMBSTONES).await?
            && self.exists(FIELDS).await?
            && self.exists(COMMITS).await?
            && self.exists(INSTANCES).await?
            && self.has_column(GATE, OWNER).await?
            && self.exists(Postgres::QUEUE).await?
            && self.exists(Postgres::DEAD_LETTERS).await?
            && self.exists(BY_OTHERS).await?
            && self.exists(OUTBOX).await?;
        let names = sqlx::query("SELECT nspname::text FROM pg_namespace");
        let names = self.connection().fetch_all(names).await.map_err(failed)?;
        let schemas = names.iter().map(|row| row.try_get::<String, _>(0));
        let schemas: BTreeSet<String> = schemas.collect::<Result<_, _>>().map_err(failed)?;
        let mut schema = Schema {
            schemas,
            tables: self.tables().await?,
            own,
        };
        let columns = self
            .ask(INDEXES, |row| {
                let index = Index {
                    name: row.try_get(2)?,
                    columns: vec![IndexedColumn {
                        name: row.try_get(6)?,
                        descending: row.try_get(7)?,
                        nulls_first: row.try_get(8)?,
                    }],
                    unique: row.try_get(3)?,
                    kind: match row.try_get(4)? {
                        true => IndexKind::Gin,
                        false => IndexKind::Btree,
                    },
                    condition: row.try_get(5)?,
                    text: None,
                };
                Ok((place(row, 0)?, index))
            })
            .await?;
        for (place, index) in columns {
            let Some(table) = schema.table_mut(&place) else {
                continue;
            };
            match table
                .indexes
                .last_mut()
                .filter(|last| last.name == index.name)
            {
                Some(last) => last.columns.extend(index.columns),
                None => table.indexes.push(index),
            }
        }
        let keys = self
            .ask(KEYS, |row| {
                let key = ForeignKey {
                    name: row.try_get(2)?,
                    column: row.try_get(3)?,
                    target: place(row, 4)?,
                };
                Ok((place(row, 0)?, key))
            })
            .await?;
        for (place, key) in keys {
            if let Some(table) = schema.table_mut(&place) {
                table.keys.push(key);
            }
        }
        Ok(schema)
    }

    async fn begin(&mut self) -> Result<(), SetupError> {
        self.execute(format!(
            "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{PATIENCE}'; \
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await
    }

    async fn commit(&mut self) -> Result<(), SetupError> {
        self.execute("COMMIT".into()).await
    }

    async fn rollback(&mut self) -> Result<(), SetupError> {
        self.execute("ROLLBACK".into()).await
    }

    async fn execute(&mut self, sql: String) -> Result<(), SetupError> {
        // Without arguments the text goes to the database as it is, however many statements it has.
        let executed = self.connection().execute(AssertSqlSafe(sql)).await;
        executed.map(drop).map_err(failed)
    }

    async fn text(&mut self, question: String) -> Result<Option<String>, SetupError> {
        let query = sqlx::query(AssertSqlSafe(question));
        let found = self.connection().fetch_optional(query).await;
        let row = found.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }

    /// References are guarded all along.
    async fn broken(&mut self) -> Result<Option<String>, SetupError> {
        Ok(None)
    }

    async fn history(&mut self) -> Result<Vec<Applied>, SetupError> {
        if !self.exists(MIGRATIONS).await? {
            return Ok(Vec::new());
        }
        let question = format!("SELECT number, name, checksum FROM {MIGRATIONS} ORDER BY number");
        let query = sqlx::query(AssertSqlSafe(question));
        let rows = self.connection().fetch_all(query).await.map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(Applied {
                    number: row.try_get::<i32, _>(0)?.unsigned_abs(),
                    name: row.try_get(1)?,
                    checksum: row.try_get(2)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    async fn record(&mut self, applied: &Applied) -> Result<(), SetupError> {
        if !self.exists(MIGRATIONS).await? {
            let schema = Quoted(OWN_SCHEMA);
            self.execute(format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
                .await?;
            self.execute(table::create_migrations()).await?;
        }
        let statement =
            format!("INSERT INTO {MIGRATIONS} (number, name, checksum) VALUES ($1, $2, $3)");
        let number = i32::try_from(applied.number)
            .map_err(|error| SetupError::caused("the number of a migration", error))?;
        let query = sqlx::query(AssertSqlSafe(statement))
            .bind(number)
            .bind(applied.name.clone())
            .bind(applied.checksum.clone());
        self.connection()
            .execute(query)
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn forget(&mut self, number: u32) -> Result<(), SetupError> {
        self.execute(format!("DELETE FROM {MIGRATIONS} WHERE number = {number}"))
            .await
    }

    async fn facts(&mut self) -> Result<Facts, SetupError> {
        let question = "SELECT current_setting('server_version'),
            current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
            coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
            current_setting('max_connections')::int
              - current_setting('superuser_reserved_connections')::int,
            (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'
               AND pid <> pg_backend_pid())";
        let row = self
            .connection()
            .fetch_one(question)
            .await
            .map_err(failed)?;
        let dropped_indexes = rebuild::dropped(self.connection()).await.map_err(failed)?;
        let queued = match self.exists(Postgres::DEAD_LETTERS).await? {
            true => self.text(Queued::question::<Postgres>()).await?,
            false => None,
        };
        let facts = || {
            Ok(Facts {
                queued: Queued::read(&queued.unwrap_or_default()),
                dropped_indexes,
                version: format!("PostgreSQL {}", row.try_get::<String, _>(0)?),
                is_durable: row.try_get(1)?,
                is_encrypted: Some(row.try_get(2)?),
                connections: Some((
                    row.try_get::<i32, _>(3)?.unsigned_abs(),
                    row.try_get::<i32, _>(4)?.unsigned_abs(),
                )),
            })
        };
        facts().map_err(failed)
    }

    async fn close(self: Box<Self>) {
        if let Connected::Own(connection) = self.0 {
            close(connection).await;
        }
    }
}

fn failed(error: sqlx::Error) -> SetupError {
    let code = match &error {
        sqlx::Error::Database(cause) => cause.code().map(|code| code.into_owned()),
        _ => None,
    };
    let words = match code.as_deref() {
        Some("42501") => {
            "the database user may not create what the collections need; \
             grant it CREATE on the database, or apply the migrations as its owner"
        }
        Some("55P03") => {
            "others hold locks in the database for too long; \
             another migration may be under way, or a long transaction"
        }
        _ => "the database cannot be prepared",
    };
    SetupError::caused(words, error)
}
