//! What holds the recent tier.

use std::sync::Arc;

use nubo_core::{module::SetupError, schema::Catalog};
use nubo_recent::{MongoRecent, MongoSettings};

use crate::config::{Loaded, RecentDriver};

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
    };
    Ok(Some(MongoRecent::new(settings, catalog.clone())))
}
