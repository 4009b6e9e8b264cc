//! Indexes that an import does without, and that are built again at its end.
//!
//! Keeping an index current with every row costs more than building it once. What must not happen
//! is that one gets lost: its definition is put down in `nubo.dropped_indexes` by the transaction
//! that drops it, and taken from there by the one that builds it. So at every moment each index is
//! there or noted, whatever becomes of the process, and whoever comes next can finish the work.
//!
//! Only what the definition tells in full is dropped: an index that guards something (unique,
//! a constraint's) stays, as does one with anything that its definition does not say.

use std::time::Duration;

use nubo_core::{module::SetupError, schema::Collection};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::{
    connect::{self, Connector, close},
    schema::LOCK,
    settings::PostgresSettings,
};
use crate::{
    migrate::{database::DroppedIndexes, declared},
    sql::{
        Quoted,
        postgres::{
            Postgres,
            table::{DROPPED_INDEXES, create_dropped_indexes, named},
        },
    },
};

/// Held by an import for as long as indexes are dropped: any number that nobody else uses. Where
/// there are notes and nobody holds it, an import has died.
const UNDER_WAY: u32 = 0x6e75_6269;
/// How long is waited for it: the server may need a moment to notice that a process has died.
const PATIENCE: &str = "5s";
/// How long is waited for the locks of tables; meanwhile everybody who came later waits along.
const PATIENCE_WITH_TABLES: &str = "60s";
/// How long the connection may take to show that it is alive.
const ANSWER: Duration = Duration::from_secs(5);
/// What building an index may use for sorting, unless the server grants more anyway.
const SORTING: &str = "256MB";

/// Notes the indexes of a table that an import can do without.
const NOTE: &str = "
    (\"schema\", \"table\", name, definition)
    SELECT n.nspname::text, c.relname::text, x.relname::text, pg_get_indexdef(i.indexrelid)
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class x ON x.oid = i.indexrelid
    WHERE n.nspname = $1 AND c.relname = $2
      AND x.relkind = 'i' AND NOT x.relispartition AND i.indisvalid
      -- It guards something.
      AND NOT (i.indisunique OR i.indisprimary OR i.indisexclusion OR i.indisreplident)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
      AND NOT EXISTS (SELECT 1 FROM pg_depend
                      WHERE refclassid = 'pg_class'::regclass AND refobjid = i.indexrelid)
      -- The definition would not tell all of it.
      AND NOT i.indisclustered AND x.reltablespace = 0
      AND NOT EXISTS (SELECT 1 FROM pg_description
                      WHERE classoid = 'pg_class'::regclass AND objoid = i.indexrelid)
      AND NOT EXISTS (SELECT 1 FROM pg_attribute
                      WHERE attrelid = i.indexrelid AND attstattarget >= 0)
      AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass
                      AND objid = i.indexrelid AND deptype IN ('e', 'x'))
    ON CONFLICT (\"schema\", name) DO UPDATE SET \"table\" = excluded.\"table\",
      definition = excluded.definition, dropped_at = excluded.dropped_at
    RETURNING \"schema\", name";

/// The index of a name, as it is now.
const FIND: &str = "
    SELECT pg_get_indexdef(i.indexrelid), i.indisvalid
    FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = x.relnamespace
    WHERE n.nspname = $1 AND x.relname = $2";

/// The right to drop indexes and the duty to build them again. One import at a time has it.
pub struct IndexRebuild {
    connector: Connector,
    session: PgConnection,
}

/// What has become of the indexes that were noted.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// They are there again.
    pub built: Vec<String>,
    /// They are not, and are still noted.
    pub failed: Vec<(String, SetupError)>,
}

/// An index that is not there.
struct Noted {
    schema: String,
    name: String,
    definition: String,
}

impl IndexRebuild {
    /// Connects. Nothing is dropped yet.
    ///
    /// # Errors
    /// When the database cannot be reached, or another import does the same.
    pub async fn begin(settings: &PostgresSettings) -> Result<Self, SetupError> {
        let connector = Connector::new(settings)?;
        let session = open(&connector).await?;
        Ok(Self { connector, session })
    }

    /// Names what is dropped now, which an import has left behind that died.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dropped(&mut self) -> Result<Vec<String>, SetupError> {
        let found = dropped(&mut self.session).await.map_err(failed)?;
        Ok(found.names)
    }

    /// Drops the indexes of a collection that guard nothing, and says how many those were.
    ///
    /// # Errors
    /// When the database refuses. Nothing is dropped then.
    pub async fn drop_of(&mut self, collection: &Collection) -> Result<usize, SetupError> {
        self.revive().await?;
        self.drop_noted(collection).await.map_err(failed)
    }

    /// The connection is idle for as long as a file is read or written, and may be gone since.
    async fn revive(&mut self) -> Result<(), SetupError> {
        let answer = tokio::time::timeout(ANSWER, self.session.ping()).await;
        if !matches!(answer, Ok(Ok(()))) {
            self.session = open(&self.connector).await?;
        }
        Ok(())
    }

    async fn drop_noted(&mut self, collection: &Collection) -> Result<usize, sqlx::Error> {
        let place = declared::place::<Postgres>(collection);
        let mut transaction = self.session.begin().await?;
        // Nobody changes the indexes between the note and the drop: no migration, and no server
        // that makes its schema by itself.
        let lock = format!(
            "SELECT pg_advisory_xact_lock({LOCK}); LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; {}",
            named(&place),
            create_dropped_indexes()
        );
        transaction.execute(AssertSqlSafe(lock)).await?;
        let note = format!("INSERT INTO {DROPPED_INDEXES} {NOTE}");
        let note = sqlx::query(AssertSqlSafe(note))
            .bind(place.schema)
            .bind(place.table);
        let noted = transaction.fetch_all(note).await?;
        for row in &noted {
            let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let drop = format!("DROP INDEX {}.{}", Quoted(&schema), Quoted(&name));
            transaction.execute(AssertSqlSafe(drop)).await?;
        }
        transaction.commit().await?;
        Ok(noted.len())
    }

    /// Builds every index that is noted, whoever dropped it, one transaction each. Where one cannot
    /// be built the others are all the same.
    ///
    /// # Errors
    /// When the connection is lost and there is no other. What was not built is still noted.
    pub async fn build(&mut self) -> Result<Rebuilt, SetupError> {
        self.revive().await?;
        let mut rebuilt = Rebuilt::default();
        for noted in self.noted().await.map_err(failed)? {
            let name = format!("{}.{}", noted.schema, noted.name);
            match self.build_one(&noted).await {
                Ok(()) => rebuilt.built.push(name),
                Err(Unbuilt::Refused(error)) => rebuilt.failed.push((name, error)),
                Err(Unbuilt::Lost(error)) => return Err(failed(error)),
            }
        }
        Ok(rebuilt)
    }

    async fn noted(&mut self) -> Result<Vec<Noted>, sqlx::Error> {
        if !can_read(&mut self.session).await? {
            return Ok(Vec::new());
        }
        let question = format!(
            "SELECT \"schema\", name, definition FROM {DROPPED_INDEXES} \
             ORDER BY \"schema\", \"table\", name"
        );
        let rows = self.session.fetch_all(AssertSqlSafe(question)).await?;
        rows.iter()
            .map(|row| {
                Ok(Noted {
                    schema: row.try_get(0)?,
                    name: row.try_get(1)?,
                    definition: row.try_get(2)?,
                })
            })
            .collect()
    }

    async fn build_one(&mut self, noted: &Noted) -> Result<(), Unbuilt> {
        let mut transaction = self.session.begin().await?;
        let find = sqlx::query(FIND).bind(&noted.schema).bind(&noted.name);
        let found = transaction.fetch_optional(find).await?;
        // A server that makes its schema by itself may have been first.
        let is_there = match found {
            None => false,
            Some(row) => {
                let (definition, is_valid): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
                if definition != noted.definition || !is_valid {
                    return Err(Unbuilt::Refused(SetupError::new(format!(
                        "there is another index of this name now, or it is not complete: \
                         {definition}; drop the one that is wrong, the note in \
                         {DROPPED_INDEXES} or the index"
                    ))));
                }
                true
            }
        };
        if !is_there {
            // Prepared, so that it is one statement whatever the note says.
            let build = sqlx::query(AssertSqlSafe(noted.definition.clone())).persistent(false);
            transaction.execute(build).await?;
        }
        let forget = format!("DELETE FROM {DROPPED_INDEXES} WHERE \"schema\" = $1 AND name = $2");
        let forget = sqlx::query(AssertSqlSafe(forget))
            .bind(&noted.schema)
            .bind(&noted.name);
        transaction.execute(forget).await?;
        Ok(transaction.commit().await?)
    }

    /// Lets others do the same.
    pub async fn end(self) {
        close(self.session).await;
    }
}

/// Why an index was not built.
enum Unbuilt {
    /// The database says why.
    Refused(SetupError),
    /// The connection is lost.
    Lost(sqlx::Error),
}

impl From<sqlx::Error> for Unbuilt {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(_) => Self::Refused(failed(error)),
            _ => Self::Lost(error),
        }
    }
}

/// A connection that may take its time, and that nobody else has the like of.
async fn open(connector: &Connector) -> Result<PgConnection, SetupError> {
    let connecting = connector.connect().await;
    let mut session = connecting.map_err(|error| connector.cannot_connect(error))?;
    connect::check(&mut session, &connector.address()).await?;
    // With nothing in the search path, definitions name everything in full.
    let prepare = format!(
        "SET statement_timeout = 0; SET idle_session_timeout = 0; SET search_path = pg_catalog; \
         SET default_tablespace = ''; \
         SELECT set_config('maintenance_work_mem', '{SORTING}', false) WHERE \
           pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('{SORTING}'); \
         SET lock_timeout = '{PATIENCE}'; \
         SELECT pg_advisory_lock({UNDER_WAY}); \
         SET lock_timeout = '{PATIENCE_WITH_TABLES}'"
    );
    let prepared = session.execute(AssertSqlSafe(prepare)).await;
    prepared.map_err(|error| match code(&error).as_deref() {
        Some("55P03") => SetupError::new(
            "another import that rebuilds indexes is under way in this database; wait until it \
             has ended",
        ),
        _ => failed(error),
    })?;
    Ok(session)
}

/// What is dropped, and whether that is somebody's intention.
pub(super) async fn dropped(connection: &mut PgConnection) -> Result<DroppedIndexes, sqlx::Error> {
    if !can_read(connection).await? {
        return Ok(DroppedIndexes::default());
    }
    let question = format!(
        "SELECT \"schema\" || '.' || name FROM {DROPPED_INDEXES} \
         WHERE to_regclass(format('%I.%I', \"schema\", name)) IS NULL ORDER BY 1"
    );
    let rows = connection.fetch_all(AssertSqlSafe(question)).await?;
    let under_way = format!(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND classid = 0 AND objid = {UNDER_WAY} AND objsubid = 1)"
    );
    let row = connection.fetch_one(AssertSqlSafe(under_way)).await?;
    let names = rows.iter().map(|row| row.try_get(0));
    Ok(DroppedIndexes {
        names: names.collect::<Result<_, _>>()?,
        is_under_way: row.try_get(0)?,
    })
}

/// Whether there are notes, and they are for this account to read: another one may have made them.
/// The catalog is asked as a table. A look-up by name (`to_regclass`) may answer from what this
/// connection remembers of the time before it waited for a lock.
async fn can_read(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let question = "SELECT coalesce(bool_or(has_table_privilege(c.oid, 'SELECT')), false) \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE quote_ident(n.nspname) || '.' || quote_ident(c.relname) = $1";
    let query = sqlx::query(question).bind(DROPPED_INDEXES);
    connection.fetch_one(query).await?.try_get(0)
}

fn code(error: &sqlx::Error) -> Option<String> {
    let cause = error.as_database_error()?;
    cause.code().map(|code| code.into_owned())
}

fn failed(error: sqlx::Error) -> SetupError {
    let words = match code(&error).as_deref() {
        Some("42501") => {
            "the database user does not own the tables, which dropping and building their indexes \
             takes; import as their owner, or without rebuilding indexes"
        }
        Some("55P03") => {
            "others hold locks in the database for too long; a server that writes a lot may be \
             running, or a long transaction be under way"
        }
        Some("42P01" | "42703" | "3F000") => {
            "what it was an index of is gone; delete its note from nubo.dropped_indexes"
        }
        _ => "the indexes cannot be dropped or built again",
    };
    SetupError::caused(words, error)
}
