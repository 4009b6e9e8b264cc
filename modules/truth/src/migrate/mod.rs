//! From the schema that a database has to the one that the collections declare.
//!
//! [`model`] is a schema as a value. It is made from the catalog ([`declared`]) and read from the
//! database (by the drivers); [`difference`] finds the [steps](step) between the two, each with its
//! reason and what it would lose. The dialects write them as SQL (`sql::sqlite::table`,
//! `sql::postgres::table`). [`run`] executes them at start, or leaves that to [`files`] that people
//! review: [`Migrations`].
//!
//! There is one mechanism. An embedded server takes the steps itself that lose nothing; a file is
//! the same steps, written down.

mod condition;
pub(crate) mod database;
pub(crate) mod declared;
pub(crate) mod difference;
mod examine;
mod files;
pub(crate) mod model;
mod noted;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod step;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nubo_core::{module::SetupError, schema::Catalog};

use self::{
    database::{Database, Language},
    difference::{Leftovers, difference},
    files::Migration,
    model::Schema,
    run::{find, refuse_while_indexes_are_dropped, refused, reversed, states, verify},
};
pub use self::{
    database::{DroppedIndexes, Facts, Queued},
    difference::{Change, Risk},
    run::{AtStart, Raised, State},
};
use crate::{
    postgres::{self, PostgresDatabase, PostgresSettings},
    sqlite::{self, SqliteDatabase, SqliteSettings},
};

/// Where a schema is that changes by files.
pub enum Target {
    Sqlite(SqliteSettings),
    Postgres(PostgresSettings),
}

impl Target {
    fn language(&self) -> Language {
        match self {
            Self::Sqlite(_) => sqlite::LANGUAGE,
            Self::Postgres(_) => postgres::LANGUAGE,
        }
    }
}

/// What a plan may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing that loses data.
    Safe,
    /// The same, and what no field declares any longer is kept.
    Keep,
    /// Everything.
    Destructive,
}

/// What has become of a plan.
#[derive(Debug)]
pub enum Planned {
    /// The database is as the collections declare.
    Nothing,
    /// These files were written, for these changes.
    Written(Vec<PathBuf>, Vec<Change>),
    /// Data would be lost.
    Refused(Vec<Risk>),
}

/// How files, database and collections compare.
#[derive(Debug)]
pub struct Status {
    /// Every migration and what it is, by number.
    pub migrations: Vec<(String, State)>,
    /// What leads from the database to what is declared.
    pub changes: Vec<Change>,
    /// Whether nothing of what is declared is there.
    pub is_new: bool,
}

/// The migrations of one database.
pub struct Migrations {
    target: Target,
    catalog: Arc<Catalog>,
    folder: PathBuf,
}

impl Migrations {
    /// With the folder that has a folder for each dialect.
    pub fn new(target: Target, catalog: Arc<Catalog>, folder: &Path) -> Self {
        let folder = folder.join(target.language().folder);
        Self {
            target,
            catalog,
            folder,
        }
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn language(&self) -> Language {
        self.target.language()
    }

    async fn open(&self, create: bool) -> Result<Box<dyn Database>, SetupError> {
        Ok(match &self.target {
            Target::Sqlite(settings) => Box::new(SqliteDatabase::open(settings, create).await?),
            Target::Postgres(settings) => Box::new(PostgresDatabase::open(settings).await?),
        })
    }

    /// Compares.
    ///
    /// # Errors
    /// When the database or the folder cannot be read.
    pub async fn status(&self) -> Result<Status, SetupError> {
        let mut database = self.open(false).await?;
        let result = self.status_of(&mut *database).await;
        database.close().await;
        result
    }

    async fn status_of(&self, database: &mut dyn Database) -> Result<Status, SetupError> {
        let migrations = files::read(&self.folder)?;
        let found = find(database, &self.catalog, Leftovers::Drop).await?;
        Ok(Status {
            migrations: states(&migrations, &database.history().await?),
            changes: found.changes,
            is_new: found.is_new,
        })
    }

    /// What is worth knowing of the database.
    ///
    /// # Errors
    /// When it cannot be reached, or is none that a server could use.
    pub async fn facts(&self) -> Result<Facts, SetupError> {
        let mut database = self.open(false).await?;
        let facts = database.facts().await;
        database.close().await;
        facts
    }

    /// Writes the migration that leads from the database to what is declared.
    ///
    /// # Errors
    /// When the database or the folder cannot be used, or migrations have not been applied yet.
    pub async fn plan(&self, policy: Policy, name: Option<&str>) -> Result<Planned, SetupError> {
        let mut database = self.open(false).await?;
        let result = self.plan_on(&mut *database, policy, name).await;
        database.close().await;
        result
    }

    async fn plan_on(
        &self,
        database: &mut dyn Database,
        policy: Policy,
        name: Option<&str>,
    ) -> Result<Planned, SetupError> {
        refuse_while_indexes_are_dropped(database).await?;
        let migrations = files::read(&self.folder)?;
        let applied = database.history().await?;
        verify(&migrations, &applied)?;
        let waiting: Vec<String> = states(&migrations, &applied)
            .into_iter()
            .filter(|(_, state)| *state == State::Pending)
            .map(|(title, _)| format!("`{title}`"))
            .collect();
        if !waiting.is_empty() {
            return Err(SetupError::new(format!(
                "apply what is there first, with `nubo migrate up`: {}",
                waiting.join(", ")
            )));
        }
        let leftovers = match policy {
            Policy::Keep => Leftovers::Keep,
            Policy::Safe | Policy::Destructive => Leftovers::Drop,
        };
        let found = find(database, &self.catalog, leftovers).await?;
        let risks = refused(&found.changes);
        if !risks.is_empty() && policy != Policy::Destructive {
            return Ok(Planned::Refused(risks.into_iter().cloned().collect()));
        }
        if found.changes.is_empty() {
            return Ok(Planned::Nothing);
        }
        let mut written = Vec::new();
        if migrations.is_empty() && !found.is_new {
            // Files tell how a database comes to be from nothing on.
            written = self.write_initial(&found.actual)?;
        }
        let number = 1 + migrations
            .last()
            .map_or(written.len() as u32 / 2, |last| last.number);
        written.extend(self.write(&found.actual, &found.changes, number, name)?);
        Ok(Planned::Written(written, found.changes))
    }

    /// Writes down how a database comes to be that the server has made by itself.
    fn write_initial(&self, actual: &Schema) -> Result<Vec<PathBuf>, SetupError> {
        let language = self.language();
        let declared = (language.declared)(&self.catalog);
        let mut initial = actual.clone();
        initial.tables.retain(|table| {
            let noted = table.columns.iter().any(|column| column.noted.is_some());
            noted || declared.table(&table.place).is_some()
        });
        let used = |schema: &String| {
            let mut tables = initial.tables.iter();
            declared.schemas.contains(schema) || tables.any(|table| table.place.schema == *schema)
        };
        initial.schemas = actual
            .schemas
            .iter()
            .filter(|name| used(name))
            .cloned()
            .collect();
        let empty = Schema::default();
        let changes = difference(&initial, &empty, Leftovers::Drop, language.convert);
        self.write(&empty, &changes, 1, None)
    }

    /// Writes the first migration: what makes an empty database what is declared. The database is
    /// not looked at.
    ///
    /// # Errors
    /// When there are migrations already, or the folder cannot be used.
    pub fn baseline(&self, name: Option<&str>) -> Result<Planned, SetupError> {
        let migrations = files::read(&self.folder)?;
        if let Some(first) = migrations.first() {
            return Err(SetupError::new(format!(
                "there is a first migration already: `{}`",
                first.title()
            )));
        }
        let language = self.language();
        let empty = Schema::default();
        let declared = (language.declared)(&self.catalog);
        let changes = difference(&declared, &empty, Leftovers::Drop, language.convert);
        // There are no documents that could lack anything.
        let changes = changes.into_iter().map(|change| Change {
            risk: None,
            ..change
        });
        let changes: Vec<Change> = changes.collect();
        let written = self.write(&empty, &changes, 1, name)?;
        Ok(Planned::Written(written, changes))
    }

    fn write(
        &self,
        before: &Schema,
        changes: &[Change],
        number: u32,
        name: Option<&str>,
    ) -> Result<Vec<PathBuf>, SetupError> {
        let mut after = before.clone();
        for change in changes {
            after.apply(&change.step);
        }
        let name = match name.map(files::name_of).filter(|name| !name.is_empty()) {
            Some(name) => name,
            None if number == 1 => "initial".into(),
            None => "change".into(),
        };
        let title = format!("{number:04}_{name}");
        let mut head = vec![format!("{title}: planned by `nubo migrate plan`.")];
        for change in changes {
            if let Some(risk) = &change.risk {
                head.push(format!("LOSES DATA: {}.", risk.problem));
            }
        }
        head.push(
            "Read it, change it where you know better, and apply it with `nubo migrate up`, which \
             puts it into one transaction. Once it has been applied it must stay as it is."
                .into(),
        );
        let language = self.language();
        head.extend(language.remark.map(str::to_owned));
        let back = reversed(changes);
        let down = [format!("Takes {title} back.")];
        let migration = Migration {
            number,
            name,
            up: script::write(&head, &(language.blocks)(before, changes)),
            down: Some(script::write(&down, &(language.blocks)(&after, &back))),
        };
        files::write(&self.folder, &migration)
    }

    /// Applies what is pending, each migration in a transaction of its own.
    ///
    /// # Errors
    /// When a file was changed after it had been applied, or the database refuses something. What
    /// was applied before stays.
    pub async fn up(&self, adopt: Option<u32>) -> Result<Raised, SetupError> {
        let mut database = self.open(true).await?;
        let result = run::up(&mut *database, &self.catalog, &self.folder, adopt).await;
        database.close().await;
        result
    }

    /// Takes the last migration back and says which one that was.
    ///
    /// # Errors
    /// When nothing says how, or the database refuses something.
    pub async fn down(&self) -> Result<Option<String>, SetupError> {
        let mut database = self.open(true).await?;
        let result = run::down(&mut *database, &self.folder, 0).await;
        database.close().await;
        result
    }

    /// Takes all migrations back above a number, last first and each in a transaction of its own,
    /// and says which those were.
    ///
    /// # Errors
    /// As [`Migrations::down`]. What was taken back before stays so.
    pub async fn down_to(&self, number: u32) -> Result<Vec<String>, SetupError> {
        let mut database = self.open(true).await?;
        let mut taken = Vec::new();
        let result = loop {
            match run::down(&mut *database, &self.folder, number).await {
                Ok(Some(title)) => taken.push(title),
                Ok(None) => break Ok(taken),
                Err(error) => break Err(error),
            }
        };
        database.close().await;
        result
    }
}
