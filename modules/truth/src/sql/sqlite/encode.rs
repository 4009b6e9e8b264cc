//! Values as SQLite stores them, and back.
//!
//! What has a canonical text that sorts as it should (ids, timestamps, dates) is stored as that
//! text, so that a page's JSON can be built without touching it; durations are milliseconds,
//! decimals text under a collation of their own, objects and lists canonical JSON.

use std::{cmp::Ordering, str::FromStr};

use nubo_core::{
    field::{Field, FieldType},
    time::Duration,
    value::Value,
};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::{Argument, page::MAX_JSON_FIELDS};
use crate::sql::{Corrupt, stored_json};

/// Name of the collation that compares decimals by their number.
pub(crate) const DECIMAL_COLLATION: &str = "NUBO_DECIMAL";

/// The collation itself. What is no decimal sorts behind, as text.
pub(crate) fn compare_decimals(a: &str, b: &str) -> Ordering {
    match (Decimal::from_str(a), Decimal::from_str(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// Name of the collation that compares the texts of JSON numbers by their number.
pub(crate) const NUMBER_COLLATION: &str = "NUBO_NUMBER";

/// The collation itself: as [`Value::compare`], exact for integers and floats alike.
pub(crate) fn compare_numbers(a: &str, b: &str) -> Ordering {
    let read = |text: &str| match text.parse() {
        Ok(integer) => Some(Value::Int(integer)),
        Err(_) => text.parse().ok().map(Value::Float),
    };
    read(a)
        .zip(read(b))
        .and_then(|(a, b)| a.compare(&b))
        .unwrap_or_else(|| a.cmp(b))
}

/// A number as JSON has it.
pub(crate) fn number_text(value: &Value) -> String {
    stored_json::of(value).to_string()
}

/// The declared type of a column, for STRICT tables.
pub(crate) fn column_type(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::Int | FieldType::BigInt | FieldType::Bool | FieldType::Duration => "INTEGER",
        FieldType::Float => "REAL",
        FieldType::Bytes => "BLOB",
        _ => "TEXT",
    }
}

/// A value as an argument.
pub(crate) fn encode(value: &Value) -> Argument {
    match value {
        // A secret in clear never reaches the database: nothing is stored in its place.
        Value::Null | Value::Secret(_) => Argument::Null,
        Value::Bool(value) => Argument::Integer(i64::from(*value)),
        Value::Int(number) => Argument::Integer(*number),
        Value::Float(number) => Argument::Real(*number),
        Value::Decimal(number) => Argument::Text(number.to_string()),
        Value::Text(text) => Argument::Text(text.clone()),
        Value::Uuid(uuid) => Argument::Text(uuid.as_hyphenated().to_string()),
        Value::Timestamp(time) => Argument::Text(time.to_string()),
        Value::Date(date) => Argument::Text(date.to_string()),
        Value::Duration(duration) => Argument::Integer(duration.millis()),
        Value::Ip(address) => Argument::Text(address.to_string()),
        Value::Bytes(bytes) => Argument::Blob(bytes.clone()),
        Value::Json(json) => Argument::Text(json.to_string()),
        Value::List(_) | Value::Object(_) => Argument::Text(stored_json::of(value).to_string()),
    }
}

/// A value of a field as an argument: objects need their fields' names.
pub(crate) fn encode_field(field: &Field, value: &Value) -> Argument {
    match (&field.kind, value) {
        (FieldType::Object(fields), Value::Object(values)) => {
            Argument::Text(stored_json::object(fields, values).to_string())
        }
        _ => encode(value),
    }
}

/// The text of a whole list, to be compared with a stored one.
pub(crate) fn whole_list(items: &[Value]) -> Argument {
    let json: Json = items.iter().map(stored_json::of).collect();
    Argument::Text(json.to_string())
}

/// A value read from a column.
pub(crate) fn decode(field: &Field, stored: Argument) -> Result<Value, Corrupt> {
    decode_kind(&field.kind, stored).ok_or_else(|| Corrupt::of(field))
}

fn decode_kind(kind: &FieldType, stored: Argument) -> Option<Value> {
    Some(match (kind, stored) {
        (_, Argument::Null) => Value::Null,
        (FieldType::Bool, Argument::Integer(number)) => Value::Bool(number != 0),
        (FieldType::Int | FieldType::BigInt, Argument::Integer(number)) => Value::Int(number),
        (FieldType::Duration, Argument::Integer(number)) => {
            Value::Duration(Duration::from_millis(number))
        }
        (FieldType::Float, Argument::Real(number)) => Value::Float(number),
        (FieldType::Bytes, Argument::Blob(bytes)) => Value::Bytes(bytes),
        (FieldType::Json | FieldType::List(_) | FieldType::Object(_), Argument::Text(text)) => {
            stored_json::decode(kind, serde_json::from_str(&text).ok()?)?
        }
        (kind, Argument::Text(text)) => stored_json::from_text(kind, text)?,
        _ => return None,
    })
}

/// Whether a list's JSON can be built by the database byte for byte as [`Value`] writes it: not
/// where a value is stored in another form than it is sent.
pub(crate) fn is_sent_as_stored(kind: &FieldType) -> bool {
    fn inside_json(kind: &FieldType) -> bool {
        match kind {
            FieldType::BigInt | FieldType::Duration => false,
            FieldType::List(item) => inside_json(item),
            FieldType::Object(fields) => {
                fields.len() <= MAX_JSON_FIELDS
                    && fields.iter().all(|field| inside_json(&field.kind))
            }
            _ => true,
        }
    }
    match kind {
        FieldType::Float | FieldType::Bytes | FieldType::Duration => false,
        FieldType::List(_) | FieldType::Object(_) => inside_json(kind),
        _ => true,
    }
}
