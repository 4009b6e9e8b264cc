//! From a document to what is stored, and from operands to what they are compared with.

use mongodb::bson::{
    Binary, Bson, DateTime, RawArrayBuf, RawBinaryRef, RawBsonRef, RawDocumentBuf,
    raw::{BindRawBsonRef, CStr, cstr},
    spec::BinarySubtype,
};
use nubo_core::{
    document::Document,
    field::{Field, FieldType},
    id::{Id, Revision},
    schema::Collection,
    time::Date,
    value::{self, Value},
};
use serde_json::Value as Json;

use super::{EPOCH, GONE, LAST_USE, REVISION, Stamp, date, decimal, holds, name};

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;

/// A name that MongoDB cannot hold: it has the character U+0000 in it, which no input may have.
#[derive(Debug, thiserror::Error)]
#[error("a key with the character U+0000 cannot be stored in MongoDB")]
pub struct Unstorable;

/// A document as it is stored.
///
/// # Errors
/// Where it has a key that MongoDB cannot hold.
pub(crate) fn document(
    document: &Document,
    collection: &Collection,
    stamp: Stamp,
) -> Result<RawDocumentBuf, Unstorable> {
    let mut out = RawDocumentBuf::new();
    for (index, field) in collection.fields().iter().enumerate() {
        if holds(&field.kind, &collection.tiers) {
            let place = Entry::new(&mut out, name(collection, index))?;
            put(place, &field.kind, document.value(index))?;
        }
    }
    put_stamp(&mut out, stamp)?;
    Ok(out)
}

fn put_stamp(out: &mut RawDocumentBuf, stamp: Stamp) -> Result<(), Unstorable> {
    Entry::new(out, LAST_USE)?.put(date(stamp.last_use));
    Entry::new(out, EPOCH)?.put(stamp.epoch);
    Ok(())
}

/// What a deleted document leaves behind. On a sharded cluster it lies where the document did, and
/// has what says so: a field and its value.
///
/// # Errors
/// Where the field has a name that MongoDB cannot hold.
pub(crate) fn tombstone(
    id: Id,
    revision: Revision,
    shard: Option<(&Field, &Value)>,
    stamp: Stamp,
) -> Result<RawDocumentBuf, Unstorable> {
    let mut out = by_id(id);
    if let Some((field, value)) = shard {
        add(&mut out, field, value)?;
    }
    Entry::new(&mut out, REVISION)?.put(revision.number());
    Entry::new(&mut out, GONE)?.put(true);
    put_stamp(&mut out, stamp)?;
    Ok(out)
}

/// The question for a document by its id.
pub(crate) fn by_id(id: Id) -> RawDocumentBuf {
    let mut out = RawDocumentBuf::new();
    out.append(cstr!("_id"), uuid(id.uuid().as_bytes()));
    out
}

/// Adds a field and its value.
///
/// # Errors
/// Where the field has a name that MongoDB cannot hold.
pub(crate) fn add(
    out: &mut RawDocumentBuf,
    field: &Field,
    value: &Value,
) -> Result<(), Unstorable> {
    put(Entry::new(out, &field.name)?, &field.kind, value)
}

/// A value by which documents are looked for. Of a list its items.
pub(crate) fn bson(value: &Value) -> Bson {
    match value {
        Value::Null | Value::Secret(_) => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Int(number) => Bson::Int64(*number),
        Value::Float(number) => Bson::Double(*number),
        Value::Decimal(number) => Bson::Decimal128(decimal::write(number)),
        Value::Text(text) => Bson::String(text.clone()),
        Value::Uuid(id) => Bson::Binary(Binary {
            subtype: BinarySubtype::Uuid,
            bytes: id.as_bytes().to_vec(),
        }),
        Value::Timestamp(time) => Bson::DateTime(date(*time)),
        Value::Date(day) => Bson::DateTime(midnight(*day)),
        Value::Duration(duration) => Bson::Int64(duration.millis()),
        Value::Ip(address) => Bson::String(address.to_string()),
        Value::Bytes(bytes) => Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: bytes.clone(),
        }),
        Value::List(items) => Bson::Array(items.iter().map(bson).collect()),
        // Neither is an operand of anything but `null` and `$exists`.
        Value::Json(_) | Value::Object(_) => Bson::Null,
    }
}

/// A number of items. No list has more than the largest.
pub(crate) fn count(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Where a value goes.
trait Place {
    fn put(self, value: impl BindRawBsonRef);
}

/// A field of a document.
struct Entry<'a> {
    document: &'a mut RawDocumentBuf,
    key: &'a CStr,
}

impl<'a> Entry<'a> {
    fn new(document: &'a mut RawDocumentBuf, key: &'a str) -> Result<Self, Unstorable> {
        let key = key.try_into().map_err(|_| Unstorable)?;
        Ok(Self { document, key })
    }
}

impl Place for Entry<'_> {
    fn put(self, value: impl BindRawBsonRef) {
        self.document.append(self.key, value);
    }
}

/// The end of a list.
impl Place for &mut RawArrayBuf {
    fn put(self, value: impl BindRawBsonRef) {
        self.push(value);
    }
}

/// Puts a value where it belongs, and nothing where there is none.
fn put(place: impl Place, kind: &FieldType, value: &Value) -> Result<(), Unstorable> {
    match (kind, value) {
        (_, Value::Null | Value::Secret(_)) => {}
        (_, Value::Bool(value)) => place.put(*value),
        (FieldType::Int, Value::Int(number)) => put_whole(place, *number),
        (_, Value::Int(number)) => place.put(*number),
        (_, Value::Float(number)) => place.put(*number),
        (_, Value::Decimal(number)) => place.put(decimal::write(number)),
        (_, Value::Text(text)) => place.put(text.as_str()),
        (_, Value::Uuid(id)) => place.put(uuid(id.as_bytes())),
        (_, Value::Timestamp(time)) => place.put(date(*time)),
        (_, Value::Date(day)) => place.put(midnight(*day)),
        (_, Value::Duration(duration)) => place.put(duration.millis()),
        (_, Value::Ip(address)) => place.put(address.to_string()),
        (_, Value::Bytes(bytes)) => place.put(RawBinaryRef {
            subtype: BinarySubtype::Generic,
            bytes,
        }),
        (_, Value::Json(json)) => put_json(place, json)?,
        (FieldType::List(item), Value::List(items)) => {
            let mut list = RawArrayBuf::new();
            for value in items {
                put(&mut list, item, value)?;
            }
            place.put(list);
        }
        (FieldType::Object(fields), Value::Object(values)) => {
            let mut object = RawDocumentBuf::new();
            for (field, value) in fields.iter().zip(values) {
                put(Entry::new(&mut object, &field.name)?, &field.kind, value)?;
            }
            place.put(object);
        }
        // The schema does not let it come to this.
        (_, Value::List(_) | Value::Object(_)) => {}
    }
    Ok(())
}

fn put_json(place: impl Place, json: &Json) -> Result<(), Unstorable> {
    match json {
        Json::Null => place.put(RawBsonRef::Null),
        Json::Bool(value) => place.put(*value),
        Json::Number(number) => match value::number_value(number) {
            Value::Int(number) => put_whole(place, number),
            _ => place.put(number.as_f64().unwrap_or(f64::MAX)),
        },
        Json::String(text) => place.put(text.as_str()),
        Json::Array(items) => {
            let mut list = RawArrayBuf::new();
            for item in items {
                put_json(&mut list, item)?;
            }
            place.put(list);
        }
        Json::Object(entries) => {
            let mut object = RawDocumentBuf::new();
            for (key, item) in entries {
                put_json(Entry::new(&mut object, key)?, item)?;
            }
            place.put(object);
        }
    }
    Ok(())
}

/// A whole number in the type that mongosh shows as a plain number, where that holds it.
fn put_whole(place: impl Place, number: i64) {
    match i32::try_from(number) {
        Ok(small) => place.put(small),
        Err(_) => place.put(number),
    }
}

const fn uuid(bytes: &[u8; 16]) -> RawBinaryRef<'_> {
    RawBinaryRef {
        subtype: BinarySubtype::Uuid,
        bytes,
    }
}

fn midnight(day: Date) -> DateTime {
    DateTime::from_millis(i64::from(day.days()) * DAY)
}
