//! How a document stands in MongoDB.
//!
//! Each field is one of the document's, under its own name and with the BSON type that people
//! expect, so that mongosh and other programs can read it:
//!
//! | field | BSON |
//! |---|---|
//! | `id` | `_id`: UUID (binary, subtype 4) |
//! | text, email, url, ip | string |
//! | int | 32-bit integer |
//! | bigint, duration (milliseconds), `_rev` | 64-bit integer |
//! | float | double |
//! | decimal | Decimal128 |
//! | bool | boolean |
//! | uuid, ref | UUID (binary, subtype 4) |
//! | timestamp, date (its midnight in UTC) | date |
//! | bytes | binary, subtype 0 |
//! | object, json, lists | document, array |
//!
//! What has no value is not there. Besides, there are `_last_use`, by which MongoDB throws out what
//! was not used for long, and `_epoch`, the number of the epoch that it belongs to. What was deleted
//! leaves a **tombstone**: `_id`, `_rev`, `_gone`, `_last_use`, `_epoch` and, on a cluster, what says
//! where it lies. It has no time of creation, which every list asks for. What has no `_epoch` is older
//! than any and seen in none. With `truth: none` the epoch says nothing: there is no other place from
//! which a later one could be filled.
//!
//! In MongoDB numbers, texts, times and ids compare as the filter language wants it: numbers by
//! their value whatever their type, text by its UTF-8 bytes, UUIDs by their bytes. Whole numbers in
//! json have the smallest type that holds them; they compare and are written alike.

mod decimal;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

use mongodb::bson::DateTime;
use nubo_core::{
    coordination::Epoch,
    field::FieldType,
    schema::{Collection, Tiers},
    time::Timestamp,
};

pub(crate) use decode::{NotStored, Row};
pub(crate) use encode::{Unstorable, add, bson, by_id, count, document, tombstone};

/// The document's id.
pub(crate) const ID: &str = "_id";
/// The version.
pub(crate) const REVISION: &str = "_rev";
/// When it was last of use. The index that throws documents out is on this.
pub(crate) const LAST_USE: &str = "_last_use";
/// The number of the epoch that it belongs to.
pub(crate) const EPOCH: &str = "_epoch";
/// Stands in tombstones alone.
pub(crate) const GONE: &str = "_gone";

/// What is noted of a document besides its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// The number of its epoch, as [`epoch`] gives it.
    pub epoch: i64,
    /// When it was last of use.
    pub last_use: Timestamp,
}

/// The number of an epoch as it is stored. None is as large as the largest.
pub(crate) fn epoch(epoch: Epoch) -> i64 {
    i64::try_from(epoch.number).unwrap_or(i64::MAX)
}

/// A moment as it is stored.
pub(crate) const fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.millis())
}

/// What a field is called in MongoDB.
pub(crate) fn name(collection: &Collection, field: usize) -> &str {
    match field {
        Collection::ID => ID,
        field => &collection.fields()[field].name,
    }
}

/// Whether a field is stored. The hash of a password is not, unless it has no other place: what is
/// read from here is on its way to somebody, and that never is.
pub(crate) fn holds(kind: &FieldType, tiers: &Tiers) -> bool {
    *kind != FieldType::Password || !tiers.truth
}
