//! From what is stored to the bytes that are sent, with no value in between where none is needed.

use bytes::Bytes;
use mongodb::bson::{
    RawArray, RawBsonRef, RawDocument, error::Error as BsonError, spec::BinarySubtype,
};
use nubo_core::{
    cache::Held,
    document::{self, Document},
    field::{Field, FieldType},
    id::Revision,
    record::{Excerpt, Excerpts},
    schema::Collection,
    time::{Date, Duration, Timestamp},
    value::{self, Value},
};
use serde_json::{Map, Value as Json};
use smallvec::SmallVec;
use uuid::Uuid;

use super::{EPOCH, GONE, ID, decimal, encode::DAY};

/// How many bytes a document's JSON has room for before its buffer grows.
const JSON_CAPACITY: usize = 512;
/// How many fields a collection has that needs no allocation for them.
const FIELDS: usize = 24;

/// What stands in MongoDB is no document of the collection. Somebody else has written it.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The bytes are no BSON.
    #[error("a document of `{collection}` cannot be read: {cause}")]
    Malformed {
        collection: String,
        #[source]
        cause: BsonError,
    },
    /// A field has a value that its type does not have.
    #[error("`{field}` of a document of `{collection}` is no {kind}")]
    Unfit {
        collection: String,
        field: String,
        kind: String,
    },
}

/// A document as it stands in MongoDB, its fields found.
pub(crate) struct Row<'a> {
    collection: &'a Collection,
    values: SmallVec<[Option<RawBsonRef<'a>>; FIELDS]>,
    /// Whether it is what a deleted document has left behind.
    pub gone: bool,
    /// The number of the epoch that it belongs to. None where it belongs to none.
    pub epoch: Option<i64>,
}

impl<'a> Row<'a> {
    /// Finds the fields. Those that the collection does not know are left alone.
    pub fn read(raw: &'a RawDocument, collection: &'a Collection) -> Result<Self, NotStored> {
        let fields = collection.fields();
        let mut row = Self {
            collection,
            values: SmallVec::from_elem(None, fields.len()),
            gone: false,
            epoch: None,
        };
        // They come in the order of the collection as long as it has not changed.
        let mut next = 0;
        for element in raw.iter_elements() {
            let element = element.map_err(|cause| row.malformed(cause))?;
            let key = element.key().as_str();
            let ahead = fields.iter().skip(next).position(|field| field.name == key);
            let index = match (key, ahead) {
                (ID, _) => Collection::ID,
                (GONE, _) => {
                    row.gone = true;
                    continue;
                }
                (EPOCH, _) => {
                    let number = element.value().map_err(|cause| row.malformed(cause))?;
                    row.epoch = number.as_i64();
                    continue;
                }
                (_, Some(distance)) => next + distance,
                (_, None) => match collection.field_named(key) {
                    Some((index, _)) => index,
                    None => continue,
                },
            };
            next = index + 1;
            let value = element.value().map_err(|cause| row.malformed(cause))?;
            row.values[index] = Some(value);
        }
        Ok(row)
    }

    /// The version.
    pub fn revision(&self) -> Result<Revision, NotStored> {
        match self.value(self.collection.revision())? {
            Value::Int(number) => Ok(Revision::new(number)),
            _ => Err(self.unfit(self.collection.revision())),
        }
    }

    /// The id.
    pub fn id(&self) -> Result<Uuid, NotStored> {
        match self.value(Collection::ID)? {
            Value::Uuid(id) => Ok(id),
            _ => Err(self.unfit(Collection::ID)),
        }
    }

    /// The document as it is sent, with those of its values that are asked about.
    pub fn held(&self, excerpts: &Excerpts) -> Result<Held, NotStored> {
        Ok(Held {
            json: self.json()?,
            revision: self.revision()?,
            excerpt: self.excerpt(excerpts)?,
        })
    }

    /// The document with all of its fields, also those that are never sent.
    pub fn whole(&self) -> Result<Document, NotStored> {
        let fields = 0..self.collection.fields().len();
        let values = fields.map(|field| self.value(field));
        Ok(Document::from_values(values.collect::<Result<_, _>>()?))
    }

    fn json(&self) -> Result<Bytes, NotStored> {
        let mut out = Vec::with_capacity(JSON_CAPACITY);
        let collection = self.collection;
        document::write_fields(
            collection,
            collection.sent_fields(),
            &mut out,
            |index, out| {
                let field = &collection.fields()[index];
                write(field, self.values[index], out).ok_or_else(|| self.unfit(index))
            },
        )?;
        Ok(out.into())
    }

    fn excerpt(&self, excerpts: &Excerpts) -> Result<Excerpt, NotStored> {
        let values = excerpts.fields().iter().map(|field| self.value(*field));
        Ok(excerpts.from_values(values.collect::<Result<_, _>>()?))
    }

    fn value(&self, field: usize) -> Result<Value, NotStored> {
        let kind = &self.collection.fields()[field].kind;
        match self.values[field] {
            None => Ok(Value::Null),
            Some(raw) => read(kind, raw).ok_or_else(|| self.unfit(field)),
        }
    }

    fn malformed(&self, cause: BsonError) -> NotStored {
        NotStored::Malformed {
            collection: self.collection.name.clone(),
            cause,
        }
    }

    fn unfit(&self, field: usize) -> NotStored {
        let field = &self.collection.fields()[field];
        NotStored::Unfit {
            collection: self.collection.name.clone(),
            field: field.name.clone(),
            kind: field.kind.word(),
        }
    }
}

/// Appends the value of a field as it is sent. None where it is none of its type.
fn write(field: &Field, raw: Option<RawBsonRef<'_>>, out: &mut Vec<u8>) -> Option<()> {
    match raw {
        None => out.extend_from_slice(b"null"),
        Some(raw) if field.system => field.write_json(&read(&field.kind, raw)?, out),
        Some(raw) => write_typed(&field.kind, raw, out)?,
    }
    Some(())
}

fn write_typed(kind: &FieldType, raw: RawBsonRef<'_>, out: &mut Vec<u8>) -> Option<()> {
    match (kind, raw) {
        (FieldType::Text | FieldType::Email | FieldType::Url, RawBsonRef::String(text)) => {
            value::write_text(text, out);
        }
        (FieldType::Json, raw) => write_json(raw, out)?,
        (FieldType::List(item), RawBsonRef::Array(list)) => {
            write_all(list, out, |raw, out| write_typed(item, raw, out))?;
        }
        (FieldType::Object(fields), RawBsonRef::Document(object)) => {
            out.push(b'{');
            let sent = fields.iter().filter(|field| field.is_sent());
            for (position, field) in sent.enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                value::write_text(&field.name, out);
                out.push(b':');
                write(field, object.get(&field.name).ok()?, out)?;
            }
            out.push(b'}');
        }
        (kind, raw) => kind.write_json(&read(kind, raw)?, out),
    }
    Some(())
}

/// Appends what stands in untyped json.
fn write_json(raw: RawBsonRef<'_>, out: &mut Vec<u8>) -> Option<()> {
    match raw {
        RawBsonRef::String(text) => value::write_text(text, out),
        RawBsonRef::Array(list) => write_all(list, out, write_json)?,
        RawBsonRef::Document(object) => {
            out.push(b'{');
            for (position, element) in object.iter_elements().enumerate() {
                let element = element.ok()?;
                if position > 0 {
                    out.push(b',');
                }
                value::write_text(element.key().as_str(), out);
                out.push(b':');
                write_json(element.value().ok()?, out)?;
            }
            out.push(b'}');
        }
        scalar => Value::Json(read_scalar(scalar)?).write_scalar_json(out),
    }
    Some(())
}

fn write_all(
    list: &RawArray,
    out: &mut Vec<u8>,
    mut each: impl FnMut(RawBsonRef<'_>, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    out.push(b'[');
    for (position, raw) in list.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        each(raw.ok()?, out)?;
    }
    out.push(b']');
    Some(())
}

/// A value of a type. None where it is none.
fn read(kind: &FieldType, raw: RawBsonRef<'_>) -> Option<Value> {
    use FieldType as T;
    use RawBsonRef as B;
    Some(match (kind, raw) {
        (_, B::Null) => Value::Null,
        (T::Text | T::Email | T::Url | T::Password, B::String(text)) => Value::Text(text.into()),
        (T::Int | T::BigInt, B::Int32(number)) => Value::Int(number.into()),
        (T::Int | T::BigInt, B::Int64(number)) => Value::Int(number),
        (T::Float, B::Double(number)) if number.is_finite() => Value::Float(number),
        (T::Decimal, B::Decimal128(number)) => Value::Decimal(decimal::read(number)?),
        (T::Bool, B::Boolean(value)) => Value::Bool(value),
        (T::Uuid | T::Ref(_), B::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => {
            Value::Uuid(Uuid::from_slice(binary.bytes).ok()?)
        }
        (T::Timestamp, B::DateTime(time)) => {
            Value::Timestamp(Timestamp::from_millis(time.timestamp_millis()))
        }
        (T::Date, B::DateTime(time)) => {
            let days = time.timestamp_millis().div_euclid(DAY);
            Value::Date(Date::from_days(i32::try_from(days).ok()?))
        }
        (T::Duration, B::Int64(millis)) => Value::Duration(Duration::from_millis(millis)),
        (T::Ip, B::String(text)) => Value::Ip(text.parse().ok()?),
        (T::Bytes, B::Binary(binary)) if binary.subtype == BinarySubtype::Generic => {
            Value::Bytes(binary.bytes.into())
        }
        (T::Json, raw) => Value::Json(read_json(raw)?),
        (T::List(item), B::Array(list)) => {
            let items = list.into_iter().map(|raw| read(item, raw.ok()?));
            Value::List(items.collect::<Option<_>>()?)
        }
        (T::Object(fields), B::Document(object)) => {
            let values = fields
                .iter()
                .map(|field| match object.get(&field.name).ok()? {
                    None => Some(Value::Null),
                    Some(raw) => read(&field.kind, raw),
                });
            Value::Object(values.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn read_json(raw: RawBsonRef<'_>) -> Option<Json> {
    Some(match raw {
        RawBsonRef::Array(list) => {
            let items = list.into_iter().map(|raw| read_json(raw.ok()?));
            Json::Array(items.collect::<Option<_>>()?)
        }
        RawBsonRef::Document(object) => {
            let mut entries = Map::new();
            for element in object.iter_elements() {
                let element = element.ok()?;
                let item = read_json(element.value().ok()?)?;
                entries.insert(element.key().as_str().to_owned(), item);
            }
            Json::Object(entries)
        }
        scalar => read_scalar(scalar)?,
    })
}

/// What is a scalar of json. The other types of BSON have no place there.
fn read_scalar(raw: RawBsonRef<'_>) -> Option<Json> {
    Some(match raw {
        RawBsonRef::Null => Json::Null,
        RawBsonRef::Boolean(value) => value.into(),
        RawBsonRef::Int32(number) => number.into(),
        RawBsonRef::Int64(number) => number.into(),
        RawBsonRef::Double(number) => Json::Number(serde_json::Number::from_f64(number)?),
        RawBsonRef::String(text) => text.into(),
        _ => return None,
    })
}
