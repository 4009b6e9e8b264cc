//! Hooks: where a module takes part in what the store does.

use async_trait::async_trait;

use crate::{error::Result, schema::Catalog, write::Transaction};

/// Takes part in every write.
#[async_trait]
pub trait Hook: Send + Sync + 'static {
    /// Runs before a transaction goes to the truth. New documents have their id and defaults.
    /// It may change the operations, append others (answers are given for the first ones only), or
    /// refuse the whole with an error.
    async fn before_write(&self, transaction: &mut Transaction, catalog: &Catalog) -> Result<()>;
}
