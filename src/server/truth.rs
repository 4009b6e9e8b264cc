//! Which driver holds the truth.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nubo_core::{
    alone::Alone,
    clock::{Clock, Random},
    module::SetupError,
    schema::Catalog,
    truth::Truth,
};
use nubo_truth::{
    AtStart, IndexRebuild, Migrations, PostgresCoordination, PostgresSettings, PostgresTruth,
    SqliteSettings, SqliteTruth, Target, Tls,
};

use super::data;
use crate::config::{
    CacheDriver, Loaded, RecentDriver,
    settings::{MigrateMode, TlsMode, TruthDriver},
};

/// Memory for cached pages of the embedded database, for each connection.
const PAGE_CACHE: u64 = 64 << 20;
/// Longest time that one statement of the embedded database takes.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);

/// The truth as the settings want it, not open yet, beside where documents stay that it does not keep.
///
/// # Errors
/// When settings are missing.
pub fn of(
    loaded: &Loaded,
    catalog: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
    alone: Option<Arc<dyn Alone>>,
) -> Result<Arc<dyn Truth>, SetupError> {
    let (catalog, clock, random) = (catalog.clone(), clock.clone(), random.clone());
    Ok(match target(loaded)? {
        Target::Sqlite(settings) => Arc::new(SqliteTruth::new(settings, catalog, clock, random)),
        Target::Postgres(settings) => {
            let truth = PostgresTruth::new(settings, catalog, clock, random);
            match alone {
                Some(alone) => Arc::new(truth.beside(alone)),
                None => Arc::new(truth),
            }
        }
    })
}

/// Whether nobody but this process writes to the truth. An embedded one belongs to it; of another one
/// only the settings can say so, by keeping the cache in this process.
pub(super) fn is_ours_alone(loaded: &Loaded) -> bool {
    let tiers = &loaded.settings.tiers;
    tiers.truth.driver == TruthDriver::Sqlite || tiers.cache_driver() == CacheDriver::Memory
}

/// What instances agree by.
///
/// # Errors
/// When the truth is one that no instances share, or settings are missing.
pub fn coordination(loaded: &Loaded) -> Result<PostgresCoordination, SetupError> {
    match target(loaded)? {
        Target::Postgres(settings) => PostgresCoordination::new(&settings),
        Target::Sqlite(_) => Err(SetupError::new(
            "a cache in Redis needs PostgreSQL below it: a SQLite database belongs to one server",
        )),
    }
}

/// The migrations of the truth.
///
/// # Errors
/// When settings are missing.
pub fn migrations(loaded: &Loaded, catalog: Arc<Catalog>) -> Result<Migrations, SetupError> {
    let folder = &loaded.settings.tiers.truth.migrations;
    Ok(Migrations::new(target(loaded)?, catalog, folder))
}

/// What drops indexes of the truth and builds them again.
///
/// # Errors
/// When the truth has no need of it, or cannot be reached.
pub async fn index_rebuild(loaded: &Loaded) -> Result<IndexRebuild, SetupError> {
    match target(loaded)? {
        Target::Postgres(settings) => IndexRebuild::begin(&settings).await,
        Target::Sqlite(_) => Err(SetupError::new(
            "indexes are rebuilt on PostgreSQL only: import without --rebuild-indexes",
        )),
    }
}

/// Keeps servers away from an embedded database while its schema changes. Those on PostgreSQL may
/// go on: whether they can work with the change is for whoever reviewed it.
///
/// # Errors
/// When the data folder cannot be used, or a server uses it.
pub fn hold(loaded: &Loaded) -> Result<Option<data::Lock>, SetupError> {
    let Some(file) = file(loaded) else {
        return Ok(None);
    };
    data::prepare(&loaded.settings.data, Some(&file))?;
    data::Lock::take(&loaded.settings.data).map(Some)
}

/// The driver and its settings.
fn target(loaded: &Loaded) -> Result<Target, SetupError> {
    Ok(match loaded.settings.tiers.truth.driver {
        TruthDriver::Sqlite => Target::Sqlite(sqlite(loaded)),
        TruthDriver::Postgres => Target::Postgres(postgres(loaded)?),
    })
}

/// The file of the embedded database, where it is what holds the truth.
pub(super) fn file(loaded: &Loaded) -> Option<PathBuf> {
    match loaded.settings.tiers.truth.driver {
        TruthDriver::Sqlite => Some(file_of(loaded)),
        TruthDriver::Postgres => None,
    }
}

fn file_of(loaded: &Loaded) -> PathBuf {
    loaded.settings.data.join("nubo.db")
}

/// What a driver does at start, unless the settings say otherwise.
fn at_start(loaded: &Loaded, otherwise: AtStart) -> AtStart {
    match loaded.settings.tiers.truth.migrate {
        Some(MigrateMode::Auto) => AtStart::Apply,
        Some(MigrateMode::Check) => AtStart::Check,
        None => otherwise,
    }
}

fn sqlite(loaded: &Loaded) -> SqliteSettings {
    let settings = &loaded.settings.tiers.truth;
    SqliteSettings {
        path: file_of(loaded),
        readers: settings.readers as usize,
        page_cache: PAGE_CACHE,
        statement_limit: STATEMENT_LIMIT,
        at_start: at_start(loaded, AtStart::Apply),
        migrations: settings.migrations.join("sqlite"),
    }
}

fn postgres(loaded: &Loaded) -> Result<PostgresSettings, SetupError> {
    let settings = &loaded.settings.tiers.truth;
    let url = settings.url.clone();
    Ok(PostgresSettings {
        url: url.ok_or_else(|| SetupError::new("PostgreSQL needs an address: set DATABASE_URL"))?,
        application_name: settings.application_name.clone(),
        readers: (settings.pool.min, settings.pool.max),
        writers: settings.pool.writers,
        connect_limit: settings.limits.connect.0,
        acquire_limit: settings.limits.acquire.0,
        statement_limit: settings.limits.statement.0,
        idle_limit: settings.limits.idle.0,
        tls: settings.tls.mode.map(|mode| match mode {
            TlsMode::Disable => Tls::Off,
            TlsMode::Prefer => Tls::Prefer,
            TlsMode::Require => Tls::Require,
            TlsMode::VerifyCa => Tls::VerifyCa,
            TlsMode::VerifyFull => Tls::VerifyFull,
        }),
        tls_root: settings.tls.root.clone(),
        outbox: loaded.settings.tiers.recent.resolved() == RecentDriver::Mongodb,
        at_start: at_start(loaded, AtStart::Check),
        migrations: settings.migrations.join("postgres"),
    })
}
