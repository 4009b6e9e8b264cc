//! Where it is counted what is limited: in this process, or in a Redis that several servers share.

use std::sync::Arc;

use nubo_cache::{BucketWatch, RedisBucketSettings, RedisBuckets};
use nubo_core::{
    clock::Clock,
    module::SetupError,
    throttle::{LocalBuckets, TokenBuckets},
};

use crate::config::Loaded;

/// How many buckets are remembered where no setting says it.
const REMEMBERED: usize = 100_000;

/// What counts.
pub(super) enum Counted {
    Here(Arc<LocalBuckets>),
    Together(Arc<RedisBuckets>),
}

impl Counted {
    /// By the settings.
    ///
    /// # Errors
    /// Where the address of Redis is none.
    pub fn new(loaded: &Loaded, clock: &Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::with(loaded, clock, redis(loaded))
    }

    fn with(
        loaded: &Loaded,
        clock: &Arc<dyn Clock>,
        redis: Option<RedisBucketSettings>,
    ) -> Result<Self, SetupError> {
        let auth = loaded.sections.get("auth");
        let remembered = auth.and_then(|auth| auth["throttle"]["remembered"].as_u64());
        let remembered = remembered.and_then(|remembered| usize::try_from(remembered).ok());
        let local = LocalBuckets::new(remembered.unwrap_or(REMEMBERED), clock.clone());
        Ok(match redis {
            None => Self::Here(Arc::new(local)),
            Some(settings) => {
                let buckets = RedisBuckets::new(settings, local);
                let refused = |error| SetupError::caused("the address of Redis", error);
                Self::Together(Arc::new(buckets.map_err(refused)?))
            }
        })
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

/// The Redis that counts, where one holds the cache.
const fn redis(_: &Loaded) -> Option<RedisBucketSettings> {
    None
}
