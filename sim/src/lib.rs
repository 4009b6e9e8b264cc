//! The store and the cache, run where time, order and failure are held in one hand.
//!
//! The code under test is the real one: [`nubo_sync::Tiers`] over [`nubo_cache::Shelves`] over
//! [`nubo_cache::Memory`]. Around it everything is drawn from a seed: the collections ([`world`]),
//! what clients do ([`workload`]), who goes on at each step ([`scheduler`]), what the truth takes back
//! ([`truth`]) and what the storage throws out ([`storage`]). When all is over, every answer is held
//! against the truth's history ([`check`]). A [`mutant`] is a deliberate mistake, and must be found.
//!
//! A seed is the whole of a run. [`run()`] runs one, [`shortest`] makes a failing one shorter.

#![forbid(unsafe_code)]

pub mod check;
pub mod history;
pub mod mutant;
mod of_late;
mod owned;
pub mod recent;
pub mod redis;
mod run;
pub mod scheduler;
pub mod storage;
mod together;
pub mod truth;
pub mod workload;
pub mod world;

pub use mutant::Mutant;
use run::now;
pub use run::{Failure, Report, Run, run, shortest};
