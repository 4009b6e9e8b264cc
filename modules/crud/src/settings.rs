//! The section `crud` of `nubo.yaml`. The comments here are the users' documentation.

use nubo_core::module::SetupError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much one request to the routes of the collections may ask for or bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Most documents of one list: what `limit` and `page_size` may say at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_limit: u32,
    /// Documents of a list whose request does not say how many.
    #[schemars(range(min = 1, max = 10_000))]
    pub default_limit: u32,
    /// Most operations of one request to `bulk`.
    #[schemars(range(min = 1))]
    pub max_bulk: usize,
    /// Most operations of one request to `/batch`. They are one transaction, and while it is
    /// written no other write is.
    #[schemars(range(min = 1))]
    pub max_batch: usize,
    /// Largest body of a request, in bytes; larger ones get 413.
    #[schemars(range(min = 1))]
    pub body_limit: u64,
    /// Largest body of a request to `bulk` and `/batch`, in bytes.
    #[schemars(range(min = 1))]
    pub bulk_limit: u64,
    /// Whether everybody may ask with `explain=true` why an answer comes from the tier it comes
    /// from. Admins always may. For development: it tells what the server has read of late.
    pub explain: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_limit: 200,
            default_limit: 20,
            max_bulk: 1000,
            max_batch: 1000,
            body_limit: 1 << 20,
            bulk_limit: 16 << 20,
            explain: false,
        }
    }
}

impl Settings {
    /// What the schema alone cannot say.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        if self.default_limit == 0 || self.default_limit > self.max_limit {
            return Err(SetupError::new(format!(
                "crud.default_limit must be from 1 to crud.max_limit, which is {}",
                self.max_limit
            )));
        }
        Ok(())
    }
}
