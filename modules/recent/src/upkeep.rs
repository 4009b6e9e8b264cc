//! What keeps the tier small: noting what is used, and deleting what is not, or belongs to an earlier
//! epoch.

use std::time::Duration;

use mongodb::{
    Collection as MongoCollection, Cursor,
    bson::{Bson, Document, doc},
};
use nubo_core::{Result, id::Id, time::Timestamp, value::Value};

use crate::{fault, limit::in_time, stored};

/// How many documents are changed together.
const TOGETHER: usize = 1000;

/// Notes that documents of an epoch were used. `limit` is for each command.
pub(crate) async fn touch(
    place: &MongoCollection<Document>,
    epoch: i64,
    ids: &[Id],
    now: Timestamp,
    limit: Duration,
) -> Result<()> {
    let change = doc! { "$max": { stored::LAST_USE: stored::date(now) } };
    for ids in ids.chunks(TOGETHER) {
        let ids = ids.iter().map(|id| stored::bson(&Value::Uuid(id.uuid())));
        // An end is not used: it stays as long as an older version may come late.
        let used = doc! {
            stored::ID: { "$in": ids.collect::<Vec<Bson>>() },
            stored::EPOCH: epoch,
            stored::GONE: { "$ne": true },
        };
        let touching = async {
            let touched = place.update_many(used, change.clone()).await;
            touched.map_err(fault::failure)
        };
        in_time(limit, touching).await?;
    }
    Ok(())
}

/// Deletes what belongs to earlier epochs, and what was not used since a moment. How many documents.
/// `limit` is for each command.
pub(crate) async fn clean(
    place: &MongoCollection<Document>,
    epoch: i64,
    used_before: Option<Timestamp>,
    limit: Duration,
) -> Result<u64> {
    let mut reasons = vec![
        doc! { stored::EPOCH: { "$lt": epoch } },
        // What is older than epochs.
        doc! { stored::EPOCH: Bson::Null },
    ];
    reasons.extend(
        used_before.map(|moment| doc! { stored::LAST_USE: { "$lt": stored::date(moment) } }),
    );
    let outdated = doc! { "$or": reasons };
    let finding = async {
        place
            .find(outdated.clone())
            .projection(doc! { stored::ID: 1 })
            .await
            .map_err(fault::failure)
    };
    let mut cursor = in_time(limit, finding).await?;
    let mut deleted = 0;
    loop {
        let ids = in_time(limit, next_ids(&mut cursor)).await?;
        if ids.is_empty() {
            return Ok(deleted);
        }
        // Somebody may have used it since, or brought it again.
        let still = doc! { "$and": [{ stored::ID: { "$in": ids } }, outdated.clone()] };
        let deleting = async { place.delete_many(still).await.map_err(fault::failure) };
        deleted += in_time(limit, deleting).await?.deleted_count;
    }
}

async fn next_ids(cursor: &mut Cursor<Document>) -> Result<Vec<Bson>> {
    let mut ids = Vec::new();
    while ids.len() < TOGETHER && cursor.advance().await.map_err(fault::failure)? {
        let mut document = cursor.deserialize_current().map_err(fault::failure)?;
        ids.extend(document.remove(stored::ID));
    }
    Ok(ids)
}
