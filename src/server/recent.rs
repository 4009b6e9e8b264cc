//! What holds the recent tier.

use std::{sync::Arc, time::Duration};

use nubo_core::{module::SetupError, schema::Catalog};
use nubo_recent::{MongoRecent, MongoSettings};

use crate::config::{Loaded, RecentDriver};

/// How long a read may take. The truth is asked then, which is what a slow answer costs.
const READ_LIMIT: Duration = Duration::from_secs(1);

/// The recent tier as the settings want it, not connected yet. None where they want none.
///
/// # Errors
/// Where settings are missing.
pub(super) fn of(
    loaded: &Loaded,
    catalog: &Arc<Catalog>,
) -> Result<Option<MongoRecent>, SetupError> {
    let settings = &loaded.settings.tiers.recent;
    if settings.resolved() != RecentDriver::Mongodb {
        return Ok(None);
    }
    let mongodb = &settings.mongodb;
    let uri = mongodb.uri.clone();
    let settings = MongoSettings {
        uri: uri.ok_or_else(|| SetupError::new("MongoDB needs an address: set MONGODB_URI"))?,
        database: mongodb.database.clone(),
        application_name: "nubo".into(),
        pool: (mongodb.min_pool_size, mongodb.max_pool_size),
        idle_limit: mongodb.max_conn_idle_time.0,
        selection_limit: mongodb.server_selection_timeout.0,
        connect_limit: mongodb.connect_timeout.0,
        command_limit: mongodb.socket_timeout.0,
        read_limit: mongodb.socket_timeout.0.min(READ_LIMIT),
    };
    Ok(Some(MongoRecent::new(settings, catalog.clone())))
}
