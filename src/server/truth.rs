//! Which driver holds the truth.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nubo_core::{
    clock::{Clock, Random},
    module::SetupError,
    schema::Catalog,
    truth::Truth,
};
use nubo_truth::{PostgresSettings, PostgresTruth, SqliteSettings, SqliteTruth, Tls};

use crate::config::{
    Loaded,
    settings::{TlsMode, TruthDriver, TruthSettings},
};

/// Memory for cached pages of the embedded database, for each connection.
const PAGE_CACHE: u64 = 64 << 20;
/// Longest time that one statement of the embedded database takes.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);

/// The truth as the settings want it, not open yet.
///
/// # Errors
/// When settings are missing.
pub(super) fn of(
    loaded: &Loaded,
    catalog: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Arc<dyn Truth>, SetupError> {
    let settings = &loaded.settings.tiers.truth;
    let (catalog, clock, random) = (catalog.clone(), clock.clone(), random.clone());
    Ok(match settings.driver {
        TruthDriver::Sqlite => {
            let settings = SqliteSettings {
                path: file_of(loaded),
                readers: settings.readers as usize,
                page_cache: PAGE_CACHE,
                statement_limit: STATEMENT_LIMIT,
            };
            Arc::new(SqliteTruth::new(settings, catalog, clock, random))
        }
        TruthDriver::Postgres => {
            let settings = postgres(settings)?;
            Arc::new(PostgresTruth::new(settings, catalog, clock, random))
        }
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

fn postgres(settings: &TruthSettings) -> Result<PostgresSettings, SetupError> {
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
    })
}
