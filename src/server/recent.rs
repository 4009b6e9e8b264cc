//! What holds the recent tier.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;

use nubo_core::{
    Error, Result,
    alone::{Alone, UNAVAILABLE},
    clock::{Clock, Random},
    document::Document,
    module::SetupError,
    query::Query,
    recent::PendingLists,
    schema::Catalog,
    truth::Truth,
};
use nubo_recent::{MongoRecent, MongoSettings};
use nubo_sync::{LeavingTask, RecentParts, RecentStore, RecentTask};

use super::truth;
use crate::{
    config::{Loaded, RecentDriver},
    system::{SystemClock, SystemRandom},
};

/// The recent tier, and what holds it.
pub(super) struct RecentTier {
    pub store: Arc<RecentStore>,
    mongo: Arc<MongoRecent>,
}

/// What is done for the tier while it is open.
pub struct RecentTasks {
    keeping: RecentTask,
    leaving: LeavingTask,
}

impl RecentTasks {
    /// Brings what waits, and ends. Nothing may be written any more.
    pub async fn stop(self) {
        self.leaving.stop().await;
        self.keeping.stop().await;
    }
}

/// The tier as the place where documents stay that the truth does not keep. The truth needs it, and
/// is there before.
#[derive(Default)]
pub(super) struct LateAlone(OnceLock<Weak<RecentStore>>);

impl LateAlone {
    /// Says which it is. The first one stays.
    pub fn set(&self, store: &Arc<RecentStore>) {
        self.0.get_or_init(|| Arc::downgrade(store));
    }
}

#[async_trait]
impl Alone for LateAlone {
    async fn find(&self, query: &Query) -> Result<Vec<Document>> {
        match self.0.get().and_then(Weak::upgrade) {
            Some(store) => store.find(query).await,
            None => Err(Error::unavailable(
                UNAVAILABLE,
                "the server is starting or stopping",
            )),
        }
    }
}

/// What the store and the tier need of each other.
pub(super) struct Around<'a> {
    pub catalog: &'a Arc<Catalog>,
    pub truth: &'a Arc<dyn Truth>,
    pub lists: Option<Arc<dyn PendingLists>>,
    pub clock: &'a Arc<dyn Clock>,
    pub random: &'a Arc<dyn Random>,
}

impl RecentTier {
    /// The tier as the settings want it, not connected yet. None where they want none.
    ///
    /// # Errors
    /// Where settings are missing.
    pub fn new(loaded: &Loaded, around: Around<'_>) -> Result<Option<Self>, SetupError> {
        let Some(mongo) = mongo(loaded, around.catalog)? else {
            return Ok(None);
        };
        let mongo = Arc::new(mongo);
        let lists = around.lists.ok_or_else(|| {
            SetupError::new("the recent tier needs a cache: set tiers.cache.driver")
        })?;
        let store = RecentStore::new(RecentParts {
            catalog: around.catalog.clone(),
            truth: around.truth.clone(),
            recent: mongo.clone(),
            lists,
            clock: around.clock.clone(),
            random: around.random.clone(),
        });
        let store = Arc::new(store.lasting_for(loaded.settings.tiers.recent.leave_after.0));
        Ok(Some(Self { store, mongo }))
    }

    /// Connects and begins to keep the tier. The truth must be open.
    ///
    /// # Errors
    /// Where somebody must change something.
    pub async fn start(&self) -> Result<RecentTasks, SetupError> {
        self.mongo.start().await?;
        Ok(RecentTasks {
            keeping: RecentTask::start(self.store.clone()),
            leaving: LeavingTask::start(self.store.clone()),
        })
    }

    /// Closes the connections.
    pub async fn stop(&self) {
        self.mongo.stop().await;
    }
}

/// Whether the settings want a recent tier.
pub(super) fn is_wanted(loaded: &Loaded) -> bool {
    loaded.settings.tiers.recent.resolved() == RecentDriver::Mongodb
}

/// The truth and the recent tier, for those who look at both beside the servers.
pub struct Both {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<dyn Truth>,
    pub recent: Arc<MongoRecent>,
    pub clock: Arc<dyn Clock>,
}

impl Both {
    /// Both of them, open. None where the settings want no recent tier.
    ///
    /// # Errors
    /// Where settings are missing, or somebody must change something.
    pub async fn open(loaded: &Loaded, catalog: Arc<Catalog>) -> Result<Option<Self>, SetupError> {
        let Some(recent) = mongo(loaded, &catalog)? else {
            return Ok(None);
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let both = Self {
            truth: truth::of(loaded, &catalog, &clock, &random, None)?,
            recent: Arc::new(recent),
            catalog,
            clock,
        };
        both.truth.start(Vec::new()).await?;
        if let Err(error) = both.recent.start().await {
            both.close().await;
            return Err(error);
        }
        Ok(Some(both))
    }

    /// Closes both.
    pub async fn close(&self) {
        self.recent.stop().await;
        self.truth.stop().await;
    }
}

/// What holds the tier, not connected yet. None where the settings want none.
///
/// # Errors
/// Where settings are missing.
fn mongo(loaded: &Loaded, catalog: &Arc<Catalog>) -> Result<Option<MongoRecent>, SetupError> {
    if !is_wanted(loaded) {
        return Ok(None);
    }
    let mongodb = &loaded.settings.tiers.recent.mongodb;
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
        read_limit: mongodb.socket_timeout.0.min(mongodb.read_timeout.0),
    };
    Ok(Some(MongoRecent::new(settings, catalog.clone())))
}
