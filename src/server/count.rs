//! Where it is counted what is limited: in this process, or in a Redis that several servers share.

use std::sync::Arc;

use nubo_cache::{BucketWatch, RedisBucketSettings, RedisBuckets};
use nubo_core::{
    clock::Clock,
    module::SetupError,
    throttle::{LocalBuckets, TokenBuckets},
};

use crate::config::{CacheDriver, Loaded};

/// How many buckets are remembered where no setting says it.
const REMEMBERED: usize = 100_000;

/// What counts.
pub(super) enum Counted {
    Here(Arc<LocalBuckets>),
    Together(Arc<RedisBuckets>),
}

impl Counted {
    /// In Redis where that holds the cache.
    ///
    /// # Errors
    /// Where its address is missing or cannot be read.
    pub fn new(loaded: &Loaded, clock: &Arc<dyn Clock>) -> Result<Self, SetupError> {
        let auth = loaded.sections.get("auth");
        let remembered = auth.and_then(|auth| auth["throttle"]["remembered"].as_u64());
        let remembered = remembered.and_then(|remembered| usize::try_from(remembered).ok());
        let local = LocalBuckets::new(remembered.unwrap_or(REMEMBERED), clock.clone());
        if loaded.settings.tiers.cache_driver() != CacheDriver::Redis {
            return Ok(Self::Here(Arc::new(local)));
        }
        let redis = &loaded.settings.tiers.cache.redis;
        let url = redis.address();
        let settings = RedisBucketSettings {
            url: url.ok_or_else(|| SetupError::new("Redis needs an address: set REDIS_ADDR"))?,
            prefix: format!("{}count:", redis.prefix),
            limit: redis.timeout.0,
        };
        let buckets = RedisBuckets::new(settings, local);
        let buckets = buckets.map_err(|error| SetupError::caused("the address of Redis", error))?;
        Ok(Self::Together(Arc::new(buckets)))
    }

    /// For those who count.
    pub fn buckets(&self) -> Arc<dyn TokenBuckets> {
        match self {
            Self::Here(buckets) => buckets.clone(),
            Self::Together(buckets) => buckets.clone(),
        }
    }

    /// Begins to look after the connection, where there is one.
    pub async fn start(&self) -> Option<BucketWatch> {
        match self {
            Self::Here(_) => None,
            Self::Together(buckets) => Some(BucketWatch::start(buckets.clone()).await),
        }
    }
}
