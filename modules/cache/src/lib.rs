//! What is kept in memory, in this process or in Redis: the cache, the bus, and counters.
//!
//! The cache is [`Shelves`], written once against [`Storage`], which says what a place must be able
//! to do to hold documents and sets. [`Memory`] is the one in this process, [`Redis`] the one that
//! several instances share. Neither asks the truth anything: who reads puts there what was found, and
//! the rules of [`nubo_core::cache`] say what of it counts. Where there is a recent tier, the cache keeps
//! what is on its way there, too: [`Claims`].
//!
//! [`LocalBus`] carries events from those who write to those who listen as long as both are in this
//! process, and keeps the last minutes of what was heard; [`RedisBus`] does the same between several
//! processes that share a Redis. They know nothing of access rules or of
//! WebSockets; what they carry is `core`'s [`Event`](nubo_core::bus::Event).
//!
//! [`RedisBuckets`] keeps `core`'s [token buckets](nubo_core::throttle) where all instances find them.

#![forbid(unsafe_code)]

mod bus;
mod claims;
mod memory;
mod others;
mod redis;
#[cfg(test)]
#[path = "../../../tests/services/redis.rs"]
mod redis_service;
mod sets;
pub mod shared;
mod shelves;
pub mod storage;
#[cfg(test)]
mod storage_tests;

pub use self::redis::{
    Audit, BucketWatch, Difference, Redis, RedisBucketSettings, RedisBuckets, RedisSettings,
    RedisStorage, RedisWatch, is_redis_address,
};
pub use bus::{LocalBus, LocalBusSettings, RedisBus, RedisBusSettings};
pub use claims::Claims;
pub use memory::{Budget, Memory, MemoryWatch};
pub use shared::{Keeper, Shared};
pub use shelves::Shelves;
pub use storage::Storage;
