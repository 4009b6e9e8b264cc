//! Opening the connection, and making sure that the server behind it will do.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use mongodb::{
    Client,
    bson::doc,
    options::{ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use nubo_core::{Result, module::SetupError};

use crate::{fault, monitor, settings::MongoSettings};

/// The wire version of MongoDB 6.0, the oldest that will do:
/// <https://github.com/mongodb/specifications/blob/master/source/wireversion-featurelist/wireversion-featurelist.md>.
const OLDEST: i32 = 17;

/// What a server says of itself.
pub(crate) struct Server {
    /// Whether it leads to the shards of a cluster.
    pub is_sharded: bool,
}

/// Reads the settings. Nothing is asked of a server, but the names of a cluster may be looked up.
/// Connections that are made are counted.
///
/// # Errors
/// Where the address cannot be read.
pub(crate) async fn client(
    settings: &MongoSettings,
    made: Arc<AtomicU64>,
) -> Result<Client, SetupError> {
    // The cause may repeat the address, and with it the password.
    let unreadable = || {
        SetupError::new(
            "the address of MongoDB cannot be read; it must be such as \
             mongodb://user:password@host:27017/ or mongodb+srv://…",
        )
    };
    let parsing = ClientOptions::parse(&settings.uri);
    let parsed = tokio::time::timeout(settings.selection_limit, parsing).await;
    let mut options = match parsed {
        Ok(parsed) => parsed.map_err(|_| unreadable())?,
        Err(_) => {
            return Err(SetupError::new(
                "looking up the names of the MongoDB cluster takes too long",
            ));
        }
    };
    options.app_name = Some(settings.application_name.clone());
    options.min_pool_size = Some(settings.pool.0);
    options.max_pool_size = Some(settings.pool.1);
    options.max_idle_time = Some(settings.idle_limit);
    options.server_selection_timeout = Some(settings.selection_limit);
    options.connect_timeout = Some(settings.connect_limit);
    // What was acknowledged is never rolled back, and nothing is read that may be; whatever the
    // address says.
    options.write_concern = Some(WriteConcern::majority());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    // What fails is for those to repeat who know what it was: the driver would ask another server, or
    // the same one over another connection.
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    options.command_event_handler = monitor::commands();
    options.cmap_event_handler = Some(monitor::connections(made));
    Client::with_options(options).map_err(|_| unreadable())
}

/// Asks a server what it is.
///
/// # Errors
/// Where it does not answer, or would not do.
pub(crate) async fn check(client: &Client, limit: Duration) -> Result<Server, CheckError> {
    let admin = client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 });
    let hello = match tokio::time::timeout(limit, hello).await {
        Ok(answered) => answered.map_err(|error| match fault::is_refusal(&error) {
            true => CheckError::Refused(SetupError::caused("MongoDB refuses the account", error)),
            false => CheckError::Away(fault::failure(error)),
        })?,
        Err(_) => return Err(CheckError::Away(fault::too_slow())),
    };
    let version = hello.get_i32("maxWireVersion").unwrap_or_default();
    if version < OLDEST {
        return Err(CheckError::Refused(SetupError::new(
            "the recent tier needs MongoDB 6.0 or later",
        )));
    }
    Ok(Server {
        is_sharded: matches!(hello.get_str("msg"), Ok("isdbgrid")),
    })
}

/// Which run of the server it is that answers: a number that each process makes for itself. None where
/// it says nothing of the kind.
pub(crate) async fn run_of(client: &Client) -> nubo_core::Result<Option<String>> {
    let admin = client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 });
    let hello = hello.await.map_err(fault::failure)?;
    let version = hello.get_document("topologyVersion");
    let process = version.and_then(|version| version.get_object_id("processId"));
    Ok(process.ok().map(|process| process.to_hex()))
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// Somebody must change something.
    #[error(transparent)]
    Refused(SetupError),
    /// It does not answer, and may later.
    #[error(transparent)]
    Away(nubo_core::Error),
}
