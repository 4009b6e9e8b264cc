//! What the store says of itself: to which epoch of which truth it belongs, and how far each process
//! has come.
//!
//! A store that was set back to an older copy has an older state, or older marks, than it should;
//! that is how it is found out. So both are written like what must not be lost: to most servers, and
//! into their journals.

use std::{collections::HashMap, time::Duration};

use mongodb::{
    Collection as MongoCollection, Database,
    bson::{Bson, Document, doc, spec::BinarySubtype},
    options::{Acknowledgment, WriteConcern},
};
use nubo_core::{
    Error, Result,
    coordination::Epoch,
    id::Id,
    recent::{Founding, Sight},
    value::Value,
};
use uuid::Uuid;

use crate::{
    fault::{self, code},
    stored,
};

/// Holds the state, which is one document.
const STATE: &str = "nubo_state";
/// Holds the marks, a document for each process.
const MARKS: &str = "nubo_marks";
/// The id of the state.
const TIER: &str = "tier";

const NUMBER: &str = "number";
const NONCE: &str = "nonce";
const TRUTH: &str = "truth";
const MARK: &str = "mark";

/// Reads the state and the marks of its epoch.
pub(crate) async fn read(database: &Database, connections: u64, limit: Duration) -> Result<Sight> {
    let Some(founding) = founding(database, limit).await? else {
        return Ok(Sight {
            connections,
            ..Sight::default()
        });
    };
    Ok(Sight {
        epoch: Some(founding.epoch),
        truth: Some(founding.truth),
        marks: marks(database, founding.epoch, limit).await?,
        connections,
        server: None,
    })
}

/// Has the store belong to an epoch, unless it belongs to a later one or somebody else is quicker.
/// Whether it does. Marks of earlier epochs are worth nothing then, and go.
pub(crate) async fn found(
    database: &Database,
    founding: &Founding,
    limit: Duration,
) -> Result<bool> {
    let number = stored::epoch(founding.epoch);
    let earlier = doc! { stored::ID: TIER, NUMBER: { "$lt": number } };
    let ours = doc! { "$set": {
        NUMBER: number,
        NONCE: i64::from(founding.epoch.nonce),
        TRUTH: &founding.truth,
    } };
    let replaced = place(database, STATE)
        .update_one(earlier, ours)
        .upsert(true)
        .write_concern(lasting())
        .await;
    // There is one that is not earlier. It may be ours, of which we have not heard.
    if is_there_already(replaced)?
        && self::founding(database, limit).await?.as_ref() != Some(founding)
    {
        return Ok(false);
    }
    place(database, MARKS)
        .delete_many(doc! { NUMBER: { "$lt": number } })
        .write_concern(lasting())
        .await
        .map_err(fault::failure)?;
    Ok(true)
}

/// Moves the mark of a process by one. False where it does not stand there, or the store belongs to
/// another epoch.
pub(crate) async fn mark(
    database: &Database,
    epoch: Epoch,
    process: Id,
    from: i64,
    limit: Duration,
) -> Result<bool> {
    let number = stored::epoch(epoch);
    let process = stored::bson(&Value::Uuid(process.uuid()));
    // The first one is new, or replaces that of an earlier epoch. Where there is one of this epoch a
    // second one is put beside it, which fails.
    let is_first = from == 0;
    let stands = match is_first {
        true => doc! { stored::ID: process, NUMBER: { "$lt": number } },
        false => doc! { stored::ID: process, NUMBER: number, MARK: from },
    };
    let moved = place(database, MARKS)
        .update_one(
            stands,
            doc! { "$set": { NUMBER: number, MARK: from.saturating_add(1) } },
        )
        .upsert(is_first)
        .write_concern(lasting())
        .await;
    let has_moved = match &moved {
        Ok(moved) => moved.matched_count > 0 || moved.upserted_id.is_some(),
        Err(_) => false,
    };
    if is_there_already(moved)? || !has_moved {
        return Ok(false);
    }
    let founding = founding(database, limit).await?;
    Ok(founding.is_some_and(|founding| founding.epoch == epoch))
}

/// To what the store belongs. None where it is new.
async fn founding(database: &Database, limit: Duration) -> Result<Option<Founding>> {
    let state = place(database, STATE)
        .find_one(doc! { stored::ID: TIER })
        .max_time(limit)
        .await
        .map_err(fault::failure)?;
    let Some(state) = state else {
        return Ok(None);
    };
    let read = || {
        let number = u64::try_from(state.get_i64(NUMBER).ok()?).ok()?;
        let nonce = u32::try_from(state.get_i64(NONCE).ok()?).ok()?;
        Some(Founding {
            epoch: Epoch { number, nonce },
            truth: state.get_str(TRUTH).ok()?.to_owned(),
        })
    };
    read().map(Some).ok_or_else(|| unreadable(STATE))
}

/// The marks of an epoch.
async fn marks(database: &Database, epoch: Epoch, limit: Duration) -> Result<HashMap<Id, i64>> {
    let mut cursor = place(database, MARKS)
        .find(doc! { NUMBER: stored::epoch(epoch) })
        .max_time(limit)
        .await
        .map_err(fault::failure)?;
    let mut marks = HashMap::new();
    while cursor.advance().await.map_err(fault::failure)? {
        let mark = cursor.deserialize_current().map_err(fault::failure)?;
        let (process, number) = process_and_mark(&mark).ok_or_else(|| unreadable(MARKS))?;
        marks.insert(process, number);
    }
    Ok(marks)
}

fn process_and_mark(mark: &Document) -> Option<(Id, i64)> {
    match mark.get(stored::ID)? {
        Bson::Binary(id) if id.subtype == BinarySubtype::Uuid => {
            let process = Id::from_uuid(Uuid::from_slice(&id.bytes).ok()?);
            Some((process, mark.get_i64(MARK).ok()?))
        }
        _ => None,
    }
}

/// Whether a document kept another one with its id out.
fn is_there_already<T>(written: Result<T, mongodb::error::Error>) -> Result<bool> {
    match written {
        Ok(_) => Ok(false),
        Err(error) if fault::code_of(&error) == Some(code::DUPLICATE_KEY) => Ok(true),
        Err(error) => Err(fault::failure(error)),
    }
}

fn place(database: &Database, name: &str) -> MongoCollection<Document> {
    database.collection(name)
}

/// On most servers, and in their journals.
fn lasting() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

fn unreadable(collection: &str) -> Error {
    Error::internal(format!("`{collection}` in MongoDB cannot be read"))
}
