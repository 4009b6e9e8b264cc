//! The bus: within one process, or between several over Redis.
//!
//! [`LocalBus`] is the model of how a bus behaves, and what one instance needs. [`RedisBus`] makes
//! several instances behave as one. [`waiting`] is what both have in common: what was heard and has
//! not been taken yet.

mod local;
mod redis;
#[cfg(test)]
mod tests;
mod waiting;

pub use self::{
    local::{LocalBus, LocalBusSettings},
    redis::{RedisBus, RedisBusSettings},
};
