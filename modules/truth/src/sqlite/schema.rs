//! What the file has, and changing it.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use nubo_core::{declare::IndexKind, module::SetupError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, SqliteConnection};

use super::{SqliteSettings, connection, read_rows};
use crate::{
    migrate::{
        database::{Applied, Database, Facts, Language, Queued},
        declared,
        model::{Column, ForeignKey, Index, IndexedColumn, Place, Schema, Table},
    },
    rows::Rows,
    sql::{
        Dialect,
        sqlite::{
            Argument, Sqlite,
            table::{self, FIELDS, MIGRATIONS},
        },
    },
};

/// How long a migration waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What SQLite understands.
pub(crate) const LANGUAGE: Language = Language {
    folder: "sqlite",
    declared: declared::schema::<Sqlite>,
    convert: table::convert,
    blocks: table::blocks,
    remark: Some(
        "Foreign keys are off meanwhile and checked at the end, so that tables can be made anew.",
    ),
};

/// A connection to the file, to look at its schema and to change it.
pub(crate) struct SqliteDatabase<'a>(Connected<'a>);

enum Connected<'a> {
    Own(SqliteConnection),
    Lent(&'a mut SqliteConnection),
}

impl SqliteDatabase<'static> {
    /// Opens the file. One that is not there is not made: what it would have is looked at in
    /// memory.
    pub async fn open(settings: &SqliteSettings, create: bool) -> Result<Self, SetupError> {
        let options = match create || settings.path.exists() {
            true => connection::options(settings),
            false => connection::options(&SqliteSettings {
                path: Path::new(":memory:").into(),
                ..settings.clone()
            }),
        };
        let opened = options.busy_timeout(PATIENCE).connect().await;
        let opened = opened.map_err(|error| {
            let path = settings.path.display();
            SetupError::caused(format!("cannot open the database {path}"), error)
        })?;
        Ok(Self(Connected::Own(opened)))
    }
}

impl<'a> SqliteDatabase<'a> {
    /// The same on a connection that is open.
    pub fn on(connection: &'a mut SqliteConnection) -> Self {
        Self(Connected::Lent(connection))
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        match &mut self.0 {
            Connected::Own(connection) => connection,
            Connected::Lent(connection) => connection,
        }
    }

    /// What a question finds: texts and numbers, both as text; null is none.
    async fn ask(
        &mut self,
        question: &str,
        values: &[&str],
        columns: usize,
    ) -> Result<Vec<Vec<Option<String>>>, SetupError> {
        let values = values
            .iter()
            .map(|value| Argument::Text((*value).to_owned()))
            .collect();
        let rows = read_rows(self.connection(), question.to_owned(), values)
            .await
            .map_err(failed)?;
        let read = |row: usize, column: usize| match rows.argument(row, column)? {
            Argument::Null => Ok(None),
            Argument::Integer(number) => Ok(Some(number.to_string())),
            Argument::Text(text) => Ok(Some(text)),
            Argument::Real(_) | Argument::Blob(_) => Err(crate::rows::unexpected("a text")),
        };
        (0..rows.count())
            .map(|row| (0..columns).map(|column| read(row, column)).collect())
            .collect::<nubo_core::Result<_>>()
            .map_err(|error| SetupError::caused("the database cannot be read", error))
    }

    async fn exists(&mut self, table: &str) -> Result<bool, SetupError> {
        let question = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?";
        Ok(!self.ask(question, &[table], 1).await?.is_empty())
    }

    async fn table(&mut self, name: &str, noted: bool) -> Result<Table, SetupError> {
        let question = "SELECT name, type, \"notnull\" FROM pragma_table_info(?)";
        let columns = self.ask(question, &[name], 3).await?;
        let notes = match noted {
            true => {
                let question = format!("SELECT field, kind FROM {FIELDS} WHERE \"table\" = ?");
                self.ask(&question, &[name], 2).await?
            }
            false => Vec::new(),
        };
        let columns = columns.into_iter().map(|row| {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut cell = || cells.next().unwrap_or_default();
            Column::found(cell(), cell(), cell() == "1", |field| {
                let row = notes.iter().find(|row| row[0].as_deref() == Some(field))?;
                serde_json::from_str(row[1].as_deref()?).ok()
            })
        });
        let columns = columns.collect();
        let question = "SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)";
        let keys = self.ask(question, &[name], 2).await?;
        let question = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?";
        let triggers = self.ask(question, &[name], 1).await?;
        Ok(Table {
            place: place(name),
            label: name.to_owned(),
            former: None,
            columns,
            indexes: self.indexes(name).await?,
            keys: keys
                .into_iter()
                .filter_map(|mut row| {
                    let target = row.pop()??;
                    Some(ForeignKey {
                        name: String::new(),
                        column: row.pop()??,
                        target: place(&target),
                    })
                })
                .collect(),
            primary_key: String::new(),
            watched: false,
            triggers: triggers.into_iter().flatten().flatten().collect(),
        })
    }

    async fn indexes(&mut self, table: &str) -> Result<Vec<Index>, SetupError> {
        let question = "SELECT list.name, list.\"unique\", master.sql \
                        FROM pragma_index_list(?) AS list \
                        JOIN sqlite_master AS master ON master.name = list.name \
                        WHERE list.origin = 'c'";
        let mut indexes = Vec::new();
        for row in self.ask(question, &[table], 3).await? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut cell = || cells.next().unwrap_or_default();
            let (name, unique, text) = (cell(), cell() == "1", cell());
            let question =
                "SELECT name, \"desc\" FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno";
            let columns = self.ask(question, &[&name], 2).await?;
            let columns = columns.into_iter().map(|row| {
                let descending = row[1].as_deref() == Some("1");
                IndexedColumn {
                    name: row[0].clone().unwrap_or_default(),
                    descending,
                    nulls_first: descending,
                }
            });
            indexes.push(Index {
                columns: columns.collect(),
                name,
                unique,
                kind: IndexKind::Btree,
                condition: text.split_once(" WHERE ").map(|(_, text)| text.to_owned()),
                text: Some(text),
            });
        }
        Ok(indexes)
    }
}

fn place(table: &str) -> Place {
    Place {
        schema: String::new(),
        table: table.to_owned(),
    }
}

#[async_trait]
impl Database for SqliteDatabase<'_> {
    fn language(&self) -> Language {
        LANGUAGE
    }

    async fn schema(&mut self) -> Result<Schema, SetupError> {
        let own = self.exists(Sqlite::TOMBSTONES).await?
            && self.exists(Sqlite::QUEUE).await?
            && self.exists(Sqlite::DEAD_LETTERS).await?;
        let noted = self.exists(FIELDS).await?;
        let question = "SELECT name FROM sqlite_master WHERE type = 'table' \
                        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                        AND name NOT IN (?, ?, ?, ?, ?) ORDER BY name";
        let not = [
            Sqlite::TOMBSTONES,
            FIELDS,
            MIGRATIONS,
            Sqlite::QUEUE,
            Sqlite::DEAD_LETTERS,
        ];
        let mut tables = Vec::new();
        for name in self
            .ask(question, &not, 1)
            .await?
            .into_iter()
            .flatten()
            .flatten()
        {
            tables.push(self.table(&name, noted).await?);
        }
        Ok(Schema {
            schemas: Default::default(),
            tables,
            own: own && noted,
        })
    }

    async fn begin(&mut self) -> Result<(), SetupError> {
        // A table that is made anew is missing for a moment. This has no effect inside a
        // transaction.
        self.execute("PRAGMA foreign_keys = OFF".into()).await?;
        self.execute("BEGIN IMMEDIATE".into()).await
    }

    async fn commit(&mut self) -> Result<(), SetupError> {
        self.execute("COMMIT".into()).await?;
        self.execute("PRAGMA foreign_keys = ON".into()).await
    }

    async fn rollback(&mut self) -> Result<(), SetupError> {
        self.execute("ROLLBACK".into()).await?;
        self.execute("PRAGMA foreign_keys = ON".into()).await
    }

    async fn execute(&mut self, sql: String) -> Result<(), SetupError> {
        let executed = self.connection().execute(AssertSqlSafe(sql)).await;
        executed.map(drop).map_err(failed)
    }

    async fn text(&mut self, question: String) -> Result<Option<String>, SetupError> {
        let row = self.ask(&question, &[], 1).await?.into_iter().next();
        Ok(row.and_then(|mut row| row.pop()?))
    }

    async fn broken(&mut self) -> Result<Option<String>, SetupError> {
        let question = "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1";
        let found = self.ask(question, &[], 1).await?.into_iter().flatten();
        Ok(found
            .flatten()
            .next()
            .map(|table| format!("documents of `{table}` refer to some that do not exist")))
    }

    async fn history(&mut self) -> Result<Vec<Applied>, SetupError> {
        if !self.exists(MIGRATIONS).await? {
            return Ok(Vec::new());
        }
        let question = format!("SELECT number, name, checksum FROM {MIGRATIONS} ORDER BY number");
        let rows = self.ask(&question, &[], 3).await?;
        rows.into_iter()
            .map(|row| {
                let mut cells = row.into_iter().map(Option::unwrap_or_default);
                let mut cell = || cells.next().unwrap_or_default();
                let number = cell().parse();
                Ok(Applied {
                    number: number
                        .map_err(|error| SetupError::caused("the notes of migrations", error))?,
                    name: cell(),
                    checksum: cell(),
                })
            })
            .collect()
    }

    async fn record(&mut self, applied: &Applied) -> Result<(), SetupError> {
        self.execute(table::create_migrations()).await?;
        let statement =
            format!("INSERT INTO {MIGRATIONS} (number, name, checksum) VALUES (?, ?, ?)");
        let values = vec![
            Argument::Integer(i64::from(applied.number)),
            Argument::Text(applied.name.clone()),
            Argument::Text(applied.checksum.clone()),
        ];
        let recorded = read_rows(self.connection(), statement, values).await;
        recorded.map(drop).map_err(failed)
    }

    async fn forget(&mut self, number: u32) -> Result<(), SetupError> {
        let statement = format!("DELETE FROM {MIGRATIONS} WHERE number = {number}");
        self.execute(statement).await
    }

    async fn facts(&mut self) -> Result<Facts, SetupError> {
        let version = self.ask("SELECT sqlite_version()", &[], 1).await?;
        let version = version.into_iter().flatten().flatten().next();
        let queued = match self.exists(Sqlite::DEAD_LETTERS).await? {
            true => self.text(Queued::question::<Sqlite>()).await?,
            false => None,
        };
        Ok(Facts {
            version: format!("SQLite {}", version.unwrap_or_default()),
            is_durable: true,
            queued: Queued::read(&queued.unwrap_or_default()),
            ..Facts::default()
        })
    }

    async fn close(self: Box<Self>) {
        if let Connected::Own(connection) = self.0
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "a database connection did not close cleanly");
        }
    }
}

fn failed(error: sqlx::Error) -> SetupError {
    SetupError::caused("the database cannot be prepared", error)
}
