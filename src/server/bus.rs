//! What carries events: this process alone, or a Redis server between several.

use std::sync::Arc;

use nubo_cache::{LocalBus, LocalBusSettings, RedisBus, RedisBusSettings};
use nubo_core::{
    bus::Bus,
    clock::{Clock, Random},
    module::SetupError,
    schema::Catalog,
};

use crate::config::{CacheDriver, Loaded};

/// The bus, and what it is made of.
pub(super) enum Line {
    Local(Arc<LocalBus>),
    Redis(Arc<RedisBus>),
}

impl Line {
    /// Over Redis where that holds the cache.
    ///
    /// # Errors
    /// Where its address cannot be read.
    pub fn new(
        loaded: &Loaded,
        catalog: &Arc<Catalog>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, SetupError> {
        let redis = &loaded.settings.tiers.cache.redis;
        if loaded.settings.tiers.cache_driver() != CacheDriver::Redis {
            let settings = LocalBusSettings::default();
            let bus = LocalBus::new(settings, clock.clone(), &**random);
            return Ok(Self::Local(Arc::new(bus)));
        }
        let url = redis.address();
        let settings = RedisBusSettings {
            url: url.ok_or_else(|| SetupError::new("Redis needs an address: set REDIS_ADDR"))?,
            // On a cluster, what stands in the braces says where everything lies together.
            prefix: format!("{{{}bus}}:", redis.prefix),
            ..RedisBusSettings::default()
        };
        let bus = RedisBus::new(settings, catalog.clone(), clock.clone(), random.clone());
        let bus = bus.map_err(|error| SetupError::caused("the address of Redis", error))?;
        Ok(Self::Redis(Arc::new(bus)))
    }

    /// The bus.
    pub fn bus(&self) -> Arc<dyn Bus> {
        match self {
            Self::Local(bus) => bus.clone(),
            Self::Redis(bus) => bus.clone(),
        }
    }

    /// Begins to connect.
    pub fn start(&self) {
        if let Self::Redis(bus) = self {
            bus.start();
        }
    }

    /// Tells what is left to be told, and ends. Nothing may be published any more.
    pub async fn stop(&self) {
        if let Self::Redis(bus) = self {
            bus.stop().await;
        }
    }
}
