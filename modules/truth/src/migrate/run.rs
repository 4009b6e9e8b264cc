//! Bringing a database up: by itself at start, or by files.

use std::path::Path;

use nubo_core::{module::SetupError, schema::Catalog};

use super::{
    database::{Applied, Database},
    difference::{Change, Leftovers, Risk, difference},
    examine::examine,
    files::{self, Migration},
    model::{Place, Schema},
    step::Step,
};

/// What a server does at start where the database differs from the collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtStart {
    /// It makes every change that loses nothing, and does not start where others are needed.
    Apply,
    /// It sets an empty database up, and does not start where anything is missing otherwise.
    Check,
}

/// What is there, and what leads to what is declared.
pub(super) struct Found {
    pub actual: Schema,
    pub changes: Vec<Change>,
    /// Whether nothing of what is declared is there.
    pub is_new: bool,
}

/// Looks at the database.
pub(super) async fn find(
    database: &mut dyn Database,
    catalog: &Catalog,
    leftovers: Leftovers,
) -> Result<Found, SetupError> {
    let language = database.language();
    let declared = (language.declared)(catalog);
    let actual = database.schema().await?;
    let mut changes = difference(&declared, &actual, leftovers, language.convert);
    examine(database, &actual, &mut changes).await?;
    Ok(Found {
        is_new: actual.lacks_all_of(&declared),
        actual,
        changes,
    })
}

/// Makes the database fit the catalog, or says why it does not. Servers that start together wait
/// for each other.
pub(crate) async fn at_start(
    database: &mut dyn Database,
    catalog: &Catalog,
    what: AtStart,
    folder: &Path,
) -> Result<(), SetupError> {
    database.begin().await?;
    let result = match what {
        AtStart::Apply => apply_safe(database, catalog).await,
        AtStart::Check => check(database, catalog, folder).await,
    };
    end(database, result).await
}

/// Ends a transaction as its work has turned out.
async fn end<T>(
    database: &mut dyn Database,
    result: Result<T, SetupError>,
) -> Result<T, SetupError> {
    match result {
        Ok(done) => {
            database.commit().await?;
            Ok(done)
        }
        Err(error) => {
            if let Err(error) = database.rollback().await {
                tracing::debug!(%error, "a migration could not be rolled back");
            }
            Err(error)
        }
    }
}

async fn apply_safe(database: &mut dyn Database, catalog: &Catalog) -> Result<(), SetupError> {
    let found = find(database, catalog, Leftovers::Keep).await?;
    let problems: Vec<&str> = found
        .changes
        .iter()
        .filter_map(|change| change.risk.as_ref())
        .filter(|risk| !risk.tolerable)
        .map(|risk| risk.problem.as_str())
        .collect();
    if !problems.is_empty() {
        return Err(SetupError::new(format!(
            "the database does not fit the collections:\n  {}\n\
             `nubo migrate plan` says how to go about it",
            problems.join("\n  ")
        )));
    }
    for change in &found.changes {
        tracing::info!(change = change.why, "changing the database");
    }
    execute(database, &found).await?;
    complain(database).await
}

async fn execute(database: &mut dyn Database, found: &Found) -> Result<(), SetupError> {
    for block in (database.language().blocks)(&found.actual, &found.changes) {
        for statement in &block.statements {
            database.execute(statement.clone()).await.map_err(|error| {
                if block.label.is_empty() {
                    return error;
                }
                let of = found.changes.iter().find_map(|change| match &change.step {
                    Step::CreateIndex { place, index } if index.name == block.label => Some(place),
                    Step::RenameIndex { place, to, .. } if to.name == block.label => Some(place),
                    Step::AddKey { place, key } if key.name == block.label => Some(place),
                    _ => None,
                });
                let table = of.map_or("", |place| place.table.as_str());
                SetupError::caused(
                    format!(
                        "cannot create `{}` on the documents of `{table}`",
                        block.label
                    ),
                    error,
                )
            })?;
        }
    }
    Ok(())
}

async fn complain(database: &mut dyn Database) -> Result<(), SetupError> {
    match database.broken().await? {
        Some(problem) => Err(SetupError::new(format!(
            "the database does not fit the collections:\n  {problem}"
        ))),
        None => Ok(()),
    }
}

impl Change {
    /// Whether a server that does without it would refuse or lose something, not only be slower.
    pub fn is_essential(&self) -> bool {
        is_essential(&self.step)
    }
}

/// Whether a server that does without a step would refuse or lose something, not only be slower.
fn is_essential(step: &Step) -> bool {
    match step {
        Step::CreateIndex { index, .. } | Step::DropIndex { index, .. } => index.unique,
        Step::Note { .. }
        | Step::RenameIndex { .. }
        | Step::RenameConstraint { .. }
        | Step::DropColumn { .. }
        | Step::DropTable(_) => false,
        _ => true,
    }
}

async fn check(
    database: &mut dyn Database,
    catalog: &Catalog,
    folder: &Path,
) -> Result<(), SetupError> {
    let found = find(database, catalog, Leftovers::Keep).await?;
    let migrations = files::read(folder)?;
    if found.is_new && migrations.is_empty() {
        tracing::info!("the database is empty: creating what the collections need");
        execute(database, &found).await?;
        return complain(database).await;
    }
    let mut changes = found.changes;
    if found.is_new {
        tracing::info!("the database is empty: applying the migrations");
        apply(database, &migrations).await?;
        changes = find(database, catalog, Leftovers::Keep).await?.changes;
    }
    let (missing, slower): (Vec<&Change>, Vec<&Change>) = changes
        .iter()
        .partition(|change| is_essential(&change.step));
    for change in slower {
        tracing::warn!(
            missing = change.why,
            "the database differs from the collections"
        );
    }
    if missing.is_empty() {
        return Ok(());
    }
    let applied = database.history().await?;
    let pending: Vec<String> = pending(&migrations, &applied)
        .map(|migration| format!("`{}`", migration.title()))
        .collect();
    let missing: Vec<String> = missing
        .iter()
        .map(|change| match &change.risk {
            Some(risk) => risk.problem.clone(),
            None => change.why.clone(),
        })
        .collect();
    let then = match pending.is_empty() {
        true => "`nubo migrate plan` writes the migration that is missing, `nubo migrate up` \
                 applies it"
            .to_owned(),
        false => format!(
            "`nubo migrate up` applies what is there and has not been applied: {}",
            pending.join(", ")
        ),
    };
    Err(SetupError::new(format!(
        "the database does not fit the collections:\n  {}\n{then}",
        missing.join("\n  ")
    )))
}

fn pending<'a>(
    migrations: &'a [Migration],
    applied: &'a [Applied],
) -> impl Iterator<Item = &'a Migration> {
    migrations.iter().filter(|migration| {
        !applied
            .iter()
            .any(|applied| applied.number == migration.number)
    })
}

/// What a migration is, compared with what has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Applied,
    Pending,
    /// Applied, and the file is another one now.
    Changed,
    /// Applied, and there is no such file.
    Missing,
}

/// Every migration by number: its title and what it is.
pub(super) fn states(migrations: &[Migration], applied: &[Applied]) -> Vec<(String, State)> {
    let mut states: Vec<(u32, String, State)> = applied
        .iter()
        .map(|applied| {
            let file = migrations.iter().find(|file| file.number == applied.number);
            let state = match file {
                None => State::Missing,
                Some(file) if file.checksum() != applied.checksum => State::Changed,
                Some(_) => State::Applied,
            };
            let title = format!("{:04}_{}", applied.number, applied.name);
            (applied.number, title, state)
        })
        .collect();
    let pending = pending(migrations, applied);
    states.extend(pending.map(|file| (file.number, file.title(), State::Pending)));
    states.sort();
    states
        .into_iter()
        .map(|(_, title, state)| (title, state))
        .collect()
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for State {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

/// Makes sure that what was applied is what the files say.
pub(super) fn verify(migrations: &[Migration], applied: &[Applied]) -> Result<(), SetupError> {
    let wrong: Vec<String> = states(migrations, applied)
        .into_iter()
        .filter_map(|(title, state)| match state {
            State::Changed => Some(format!("`{title}` was changed after it had been applied")),
            State::Missing => Some(format!("`{title}` was applied, and its file is missing")),
            State::Applied | State::Pending => None,
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(SetupError::new(format!(
        "the migrations are not those that were applied:\n  {}\n\
         bring the files back as they were, and put further changes into a new migration",
        wrong.join("\n  ")
    )))
}

/// An index that an import has dropped for a while is no change of the schema, and what it is an
/// index of must be there when it is built again.
pub(super) async fn refuse_while_indexes_are_dropped(
    database: &mut dyn Database,
) -> Result<(), SetupError> {
    let dropped = database.facts().await?.dropped_indexes;
    if dropped.names.is_empty() {
        return Ok(());
    }
    Err(SetupError::new(match dropped.left_behind() {
        Some(left) => format!("{left}; `nubo import --rebuild-indexes` builds them again"),
        None => "an import is under way that rebuilds indexes; wait until it has ended".into(),
    }))
}

/// What `up` has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raised {
    /// Migrations that were applied now.
    pub applied: Vec<String>,
    /// Migrations that were found to be applied and are noted as such now.
    pub adopted: Vec<String>,
}

/// Applies every migration that is pending, each in a transaction of its own. The first `adopt` are
/// only noted. Those who do so at the same time wait for each other, and each looks anew what is
/// still to be done. Where one fails, those before it stay.
pub(super) async fn up(
    database: &mut dyn Database,
    catalog: &Catalog,
    folder: &Path,
    adopt: Option<u32>,
) -> Result<Raised, SetupError> {
    let migrations = files::read(folder)?;
    let mut raised = Raised::default();
    loop {
        database.begin().await?;
        let result = raise(database, catalog, &migrations, adopt).await;
        let step = end(database, result).await?;
        if step == Raised::default() {
            return Ok(raised);
        }
        raised.applied.extend(step.applied);
        raised.adopted.extend(step.adopted);
    }
}

/// Notes what the database has, or applies the first migration that is pending.
async fn raise(
    database: &mut dyn Database,
    catalog: &Catalog,
    migrations: &[Migration],
    adopt: Option<u32>,
) -> Result<Raised, SetupError> {
    let applied = database.history().await?;
    verify(migrations, &applied)?;
    refuse_while_indexes_are_dropped(database).await?;
    let mut adopt = adopt;
    if applied.is_empty() && adopt.is_none() && !migrations.is_empty() {
        adopt = adoptable(database, catalog, migrations).await?;
    }
    let pending: Vec<Migration> = pending(migrations, &applied).cloned().collect();
    let adopted = pending
        .iter()
        .filter(|migration| adopt.is_some_and(|last| migration.number <= last));
    let mut raised = Raised::default();
    for migration in adopted {
        database.record(&note(migration)).await?;
        raised.adopted.push(migration.title());
    }
    if let Some(next) = pending.first().filter(|_| raised.adopted.is_empty()) {
        apply(database, std::slice::from_ref(next)).await?;
        raised.applied.push(next.title());
    }
    Ok(raised)
}

/// How many migrations need only be noted, since the server has made their tables by itself.
async fn adoptable(
    database: &mut dyn Database,
    catalog: &Catalog,
    migrations: &[Migration],
) -> Result<Option<u32>, SetupError> {
    let found = find(database, catalog, Leftovers::Keep).await?;
    if found.is_new {
        return Ok(None);
    }
    if found
        .changes
        .iter()
        .any(|change| is_essential(&change.step))
    {
        return Err(SetupError::new(
            "the database has tables and knows of no migration, so it cannot be told which of \
             them it has: name the last one that it has with `nubo migrate up --adopt NUMBER`",
        ));
    }
    Ok(migrations.last().map(|migration| migration.number))
}

fn note(migration: &Migration) -> Applied {
    Applied {
        number: migration.number,
        name: migration.name.clone(),
        checksum: migration.checksum(),
    }
}

async fn apply(database: &mut dyn Database, migrations: &[Migration]) -> Result<(), SetupError> {
    for migration in migrations {
        let title = migration.title();
        let failed = |error| SetupError::caused(format!("the migration `{title}` fails"), error);
        database
            .execute(migration.up.clone())
            .await
            .map_err(failed)?;
        database.record(&note(migration)).await?;
    }
    complain(database).await
}

/// Takes the last migration back, if its number is above this one, and says which that was.
pub(super) async fn down(
    database: &mut dyn Database,
    folder: &Path,
    above: u32,
) -> Result<Option<String>, SetupError> {
    let migrations = files::read(folder)?;
    database.begin().await?;
    let result = lower(database, &migrations, above).await;
    end(database, result).await
}

async fn lower(
    database: &mut dyn Database,
    migrations: &[Migration],
    above: u32,
) -> Result<Option<String>, SetupError> {
    let applied = database.history().await?;
    verify(migrations, &applied)?;
    refuse_while_indexes_are_dropped(database).await?;
    let Some(last) = applied.last().filter(|last| last.number > above) else {
        return Ok(None);
    };
    let file = migrations.iter().find(|file| file.number == last.number);
    let title = file.map(Migration::title).unwrap_or_default();
    let Some(down) = file.and_then(|file| file.down.clone()) else {
        return Err(SetupError::new(format!(
            "nothing says how to take `{title}` back: {title}.down.sql is missing"
        )));
    };
    database
        .execute(down)
        .await
        .map_err(|error| SetupError::caused(format!("`{title}` cannot be taken back"), error))?;
    complain(database).await?;
    database.forget(last.number).await?;
    Ok(Some(title))
}

/// What is refused of a plan: the steps that would lose something.
pub(super) fn refused(changes: &[Change]) -> Vec<&Risk> {
    changes
        .iter()
        .filter_map(|change| change.risk.as_ref())
        .collect()
}

/// What takes changes back, last first.
pub(super) fn reversed(changes: &[Change]) -> Vec<Change> {
    let created: Vec<&Place> = changes
        .iter()
        .filter(|change| matches!(change.step, Step::CreateTable(_)))
        .filter_map(|change| change.step.place())
        .collect();
    let goes_along = |step: &Step| {
        let of_new = step.place().is_some_and(|place| created.contains(&place));
        of_new && !matches!(step, Step::DropTable(_) | Step::DropKey { .. })
    };
    changes
        .iter()
        .rev()
        .filter_map(|change| {
            let step = change.step.inverse()?;
            let lost = match &step {
                Step::DropTable(_) | Step::DropColumn { .. } | Step::ReplaceColumn { .. } => {
                    " What it holds is lost."
                }
                _ => "",
            };
            (!goes_along(&step)).then(|| Change {
                step,
                why: format!("Takes back: {}{lost}", change.why),
                risk: None,
                is_detail: change.is_detail,
            })
        })
        .collect()
}
