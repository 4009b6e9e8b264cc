//! What is kept in memory, in this process or in Redis: the cache, and the bus.
//!
//! The cache is [`Shelves`], written once against [`Storage`], which says what a place must be able
//! to do to hold documents and sets. [`Memory`] is the one in this process, [`Redis`] the one that
//! several instances share. Neither asks the truth anything: who reads puts there what was found, and
//! the rules of [`nubo_core::cache`] say what of it counts.
//!
//! [`LocalBus`] carries events from those who write to those who listen as long as both are in this
//! process, and keeps the last minutes of what was heard. It knows nothing of access rules or of
//! WebSockets; what it carries is `core`'s [`Event`](nubo_core::bus::Event).

#![forbid(unsafe_code)]

mod bus;
mod memory;
mod others;
mod redis;
mod sets;
pub mod shared;
mod shelves;
pub mod storage;
#[cfg(test)]
mod storage_tests;

pub use self::redis::{Redis, RedisSettings, RedisStorage, RedisWatch};
pub use bus::{LocalBus, LocalBusSettings};
pub use memory::{Budget, Memory, MemoryWatch};
pub use shared::{Keeper, Shared};
pub use shelves::Shelves;
pub use storage::Storage;
