//! Spreading collections over a cluster.
//!
//! By the id alone a collection is spread evenly, hashed. By another field, documents with the same
//! value are found in one place; the id follows it, so that there is no value that one place could
//! not hold.

use mongodb::{
    Client,
    bson::{Document, doc},
};
use nubo_core::schema::Collection;

use crate::{
    fault::{self, code},
    stored,
};

/// The key by which a collection is spread.
pub(crate) fn key(collection: &Collection) -> Document {
    let field = collection
        .tiers
        .recent
        .as_ref()
        .and_then(|recent| recent.shard_key);
    match field {
        Some(field) => doc! { stored::name(collection, field): 1, stored::ID: 1 },
        None => doc! { stored::ID: "hashed" },
    }
}

/// Has the cluster spread a collection, which has an index on the key. One that is spread otherwise
/// stays as it is.
pub(crate) async fn apply(
    client: &Client,
    database: &str,
    collection: &Collection,
) -> Result<(), mongodb::error::Error> {
    let Some(tier) = &collection.tiers.recent else {
        return Ok(());
    };
    let place = format!("{database}.{}", tier.collection);
    let command = doc! { "shardCollection": &place, "key": key(collection) };
    match client.database("admin").run_command(command).await {
        Err(error) if fault::code_of(&error) == Some(code::ALREADY_INITIALIZED) => {
            tracing::warn!(
                collection = place,
                "is spread over the cluster by another key"
            );
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}
