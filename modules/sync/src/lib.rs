//! The store: all tiers as one.
//!
//! [`Tiers`] is what modules read from and write to. So far there is one tier, the truth: reads go
//! straight to it, and a write is prepared here ([`write`](mod@write)) and carried out there. What a
//! list brings along is put together in [`expand`], and [`retention`] deletes what has expired.
//! This crate knows no SQL and no HTTP.

#![forbid(unsafe_code)]

mod expand;
#[cfg(test)]
mod expand_test;
#[cfg(test)]
mod fake;
mod retention;
#[cfg(test)]
mod retention_test;
mod write;
#[cfg(test)]
mod write_test;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Result,
    caller::Caller,
    clock::{Clock, Random},
    filter::Expr,
    hook::Hook,
    id::Id,
    module::SetupError,
    passwords::Passwords,
    query::Query,
    schema::{Catalog, CollectionId},
    store::{Expansion, Store},
    truth::{Body, Page, Truth},
    write::{Operation, Outcome, Sequence},
};

pub use retention::{Retention, Sweep};

/// All tiers as one store.
pub struct Tiers {
    catalog: Arc<Catalog>,
    truth: Arc<dyn Truth>,
    passwords: Arc<dyn Passwords>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Set once every module has been set up; modules need the store before that.
    hooks: OnceLock<Vec<Arc<dyn Hook>>>,
}

impl Tiers {
    /// A store over the truth.
    pub fn new(
        catalog: Arc<Catalog>,
        truth: Arc<dyn Truth>,
        passwords: Arc<dyn Passwords>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            catalog,
            truth,
            passwords,
            clock,
            random,
            hooks: OnceLock::new(),
        }
    }

    /// The hooks of all modules, in the order in which they run.
    ///
    /// # Errors
    /// When they have been set before.
    pub fn set_hooks(&self, hooks: Vec<Arc<dyn Hook>>) -> Result<(), SetupError> {
        let twice = |_| SetupError::new("the hooks of the store are set twice");
        self.hooks.set(hooks).map_err(twice)
    }
}

#[async_trait]
impl Store for Tiers {
    async fn write(&self, caller: &Caller, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        self.write_together(caller, operations).await
    }

    async fn write_each(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        sequence: Sequence,
    ) -> Vec<Result<Outcome>> {
        self.write_apart(caller, operations, sequence).await
    }

    async fn get(&self, _: &Caller, collection: CollectionId, id: Id) -> Result<Option<Body>> {
        self.truth.get(collection, id).await
    }

    async fn list(&self, _: &Caller, query: Query, expand: &[Expansion]) -> Result<Page> {
        if expand.is_empty() {
            self.truth.page(query).await
        } else {
            self.expanded_page(query, expand).await
        }
    }

    async fn count(&self, _: &Caller, collection: CollectionId, filter: Expr) -> Result<u64> {
        self.truth.count(collection, filter).await
    }

    async fn ready(&self) -> Result<()> {
        self.truth.ping().await
    }
}
