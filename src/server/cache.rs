//! What holds the cache: this process, or a Redis server that several share.

use std::sync::Arc;

use nubo_cache::storage::{Remote, Storage};
use nubo_cache::{
    Audit, Budget, Keeper, Memory, MemoryWatch, Redis, RedisSettings, RedisStorage, RedisWatch,
    Shared, Shelves,
};
use nubo_core::{
    Error,
    cache::Cache,
    clock::{Clock, Random},
    coordination::{Coordination, Epoch, Gate},
    id::Id,
    module::SetupError,
    recent::PendingLists,
    schema::Catalog,
};
use nubo_truth::PostgresCoordination;
use uuid::Uuid;

use super::{recent, truth};
use crate::{
    config::{CacheDriver, Loaded},
    system::{SystemClock, SystemRandom},
};

/// Whoever only looks.
const NOBODY: Id = Id::from_uuid(Uuid::nil());

/// The cache, and what holds it.
pub(super) struct Cached {
    pub cache: Arc<dyn Cache>,
    pub lists: Arc<dyn PendingLists>,
    holder: Holder,
}

enum Holder {
    Memory(Arc<Memory>, Budget),
    Redis(Arc<Shared<Redis>>, Arc<PostgresCoordination>),
}

/// What is done while the server runs.
pub(super) enum Watch {
    Memory(MemoryWatch),
    Redis(Keeper, RedisWatch, Arc<PostgresCoordination>),
}

impl Cached {
    /// None where the settings want none.
    ///
    /// # Errors
    /// Where settings are missing or cannot be read.
    pub fn new(
        loaded: &Loaded,
        catalog: &Arc<Catalog>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Option<Self>, SetupError> {
        let settings = &loaded.settings.tiers.cache;
        let budget = Budget {
            max_memory: settings.max_memory.0,
            margin: settings.margin.0,
        };
        Ok(match loaded.settings.tiers.cache_driver() {
            CacheDriver::Auto | CacheDriver::None => None,
            CacheDriver::Memory => {
                let memory = Arc::new(Memory::new(catalog, clock.clone(), budget.first()));
                Some(Self::over(
                    loaded,
                    Shelves::new(catalog.clone(), memory.clone()),
                    Holder::Memory(memory, budget),
                ))
            }
            CacheDriver::Redis => {
                let redis = Redis::new(catalog.clone(), redis_settings(loaded)?);
                let redis = redis.map_err(|error| SetupError::caused("the cache", error))?;
                let coordination = Arc::new(truth::coordination(loaded)?);
                let shared = Arc::new(Shared::new(
                    Arc::new(redis),
                    coordination.clone() as Arc<dyn Coordination>,
                    clock.clone(),
                    random.clone(),
                ));
                Some(Self::over(
                    loaded,
                    Shelves::new(catalog.clone(), shared.clone()),
                    Holder::Redis(shared, coordination),
                ))
            }
        })
    }

    fn over<S: Storage>(loaded: &Loaded, shelves: Shelves<S>, holder: Holder) -> Self {
        let shelves = Arc::new(match recent::is_wanted(loaded) {
            true => shelves.with_recent(),
            false => shelves,
        });
        Self {
            cache: shelves.clone(),
            lists: shelves,
            holder,
        }
    }

    /// Begins to look after the cache. The truth must be open.
    ///
    /// # Errors
    /// Where the truth does not know of instances.
    pub async fn start(&self) -> Result<Watch, SetupError> {
        Ok(match &self.holder {
            Holder::Memory(memory, budget) => {
                Watch::Memory(MemoryWatch::start(memory.clone(), *budget))
            }
            Holder::Redis(shared, coordination) => {
                let keeper = Keeper::start(shared.clone()).await;
                let keeper = keeper.map_err(|error| {
                    SetupError::caused("the state of the shared cache cannot be read", error)
                })?;
                let watch = RedisWatch::start(shared.remote());
                Watch::Redis(keeper, watch, coordination.clone())
            }
        })
    }
}

impl Watch {
    /// Ends it. Nothing may be written any more.
    pub async fn stop(self) {
        match self {
            Self::Memory(watch) => watch.stop().await,
            Self::Redis(keeper, watch, coordination) => {
                watch.stop().await;
                keeper.stop().await;
                coordination.stop().await;
            }
        }
    }
}

/// Holds what the shared cache has against the truth. None where nothing is shared, or it is not in
/// use.
///
/// # Errors
/// When Redis or the truth cannot be used.
pub async fn audit(
    loaded: &Loaded,
    catalog: Arc<Catalog>,
    most: usize,
    repairs: bool,
) -> Result<Option<Audit>, SetupError> {
    let Some(epoch) = epoch_in_use(loaded).await? else {
        return Ok(None);
    };
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
        (Arc::new(SystemClock), Arc::new(SystemRandom));
    let database = truth::of(loaded, &catalog, &clock, &random, None)?;
    database.start(Vec::new()).await?;
    let auditing = async {
        let redis = Redis::new(catalog, redis_settings(loaded)?).map_err(failed)?;
        let incarnation = redis.reach().await.map_err(failed)?;
        let mut audit = Audit::new(&redis, epoch, &incarnation, database.clone(), repairs);
        audit.run(most).await.map_err(failed)?;
        Ok(Some(audit))
    };
    let audited = auditing.await;
    database.stop().await;
    audited
}

/// Where the shared cache keeps the pending lists. None where nothing is shared, or it is not in use.
///
/// # Errors
/// When Redis or the truth cannot be used.
pub async fn pending_lists(
    loaded: &Loaded,
    catalog: Arc<Catalog>,
) -> Result<Option<RedisStorage>, SetupError> {
    let Some(epoch) = epoch_in_use(loaded).await? else {
        return Ok(None);
    };
    let redis = Redis::new(catalog, redis_settings(loaded)?).map_err(failed)?;
    let incarnation = redis.reach().await.map_err(failed)?;
    Ok(Some(redis.at(epoch, &incarnation, NOBODY)))
}

/// The epoch of the shared cache. None where nothing is shared, or it is not in use.
async fn epoch_in_use(loaded: &Loaded) -> Result<Option<Epoch>, SetupError> {
    if loaded.settings.tiers.cache_driver() != CacheDriver::Redis {
        return Ok(None);
    }
    let coordination = truth::coordination(loaded)?;
    let look = coordination.look(NOBODY, None).await;
    coordination.stop().await;
    Ok(match look.map_err(failed)?.gate {
        Gate::Open { epoch, .. } => Some(epoch),
        Gate::Closing(_) | Gate::Closed(_) => None,
    })
}

fn failed(error: Error) -> SetupError {
    SetupError::caused("the shared cache", error)
}

fn redis_settings(loaded: &Loaded) -> Result<RedisSettings, SetupError> {
    let settings = &loaded.settings.tiers.cache;
    let url = settings.redis.address();
    Ok(RedisSettings {
        url: url.ok_or_else(|| SetupError::new("Redis needs an address: set REDIS_ADDR"))?,
        prefix: format!("{}cache:", settings.redis.prefix),
        limit: settings.redis.timeout.0,
        max_memory: settings.max_memory.0,
        margin: settings.margin.0,
        lists: usize::try_from(settings.redis.lists.0).unwrap_or(usize::MAX),
        documents: usize::try_from(settings.redis.documents.0).unwrap_or(usize::MAX),
        has_recent: recent::is_wanted(loaded),
    })
}
