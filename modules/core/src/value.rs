//! The value of one field, and how values compare and are sent.

use std::{cmp::Ordering, fmt, io::Write, net::IpAddr};

use base64::Engine;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::time::{Date, Duration, Timestamp};

/// The largest integer that every JSON reader holds exactly; larger ones are sent as text.
pub const MAX_SAFE_INTEGER: i64 = 1 << 53;

/// The value of a field. Absent and null are the same thing: [`Value::Null`].
#[derive(Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// `int` and `bigint`.
    Int(i64),
    /// Finite.
    Float(f64),
    Decimal(Decimal),
    /// `text`, `email`, `url`, and the hash of a password.
    Text(String),
    /// `uuid`, `ref` and `id`.
    Uuid(Uuid),
    Timestamp(Timestamp),
    Date(Date),
    Duration(Duration),
    Ip(IpAddr),
    Bytes(Vec<u8>),
    /// `json`: anything, null excepted.
    Json(Json),
    /// `T[]`, without nulls.
    List(Vec<Value>),
    /// `object`: one value per declared field inside.
    Object(Vec<Value>),
    /// A password in clear, on its way to its hash. Never stored, never sent, never logged.
    Secret(String),
}

impl Value {
    /// Gives the numbers of json inside the one form in which all tiers hold them.
    pub fn normalize(&mut self) {
        match self {
            Self::Json(json) => normalize_numbers(json),
            Self::List(items) | Self::Object(items) => items.iter_mut().for_each(Self::normalize),
            _ => {}
        }
    }

    /// Whether it is the absence of a value.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// How many bytes of memory it takes, about.
    pub fn size(&self) -> usize {
        let beyond = match self {
            Self::Text(text) | Self::Secret(text) => text.capacity(),
            Self::Bytes(bytes) => bytes.capacity(),
            Self::Json(json) => json_size(json),
            Self::List(items) | Self::Object(items) => items.iter().map(Self::size).sum(),
            _ => 0,
        };
        size_of::<Self>() + beyond
    }

    /// How two values of one kind compare: text by code point, numbers as numbers, ids by byte,
    /// false before true. None for values of different kinds and for kinds without an order.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Float(b)) => Some(compare_int_float(*a, *b)),
            (Self::Float(a), Self::Int(b)) => Some(compare_int_float(*b, *a).reverse()),
            (Self::Decimal(a), Self::Decimal(b)) => Some(a.cmp(b)),
            // UTF-8 sorts by byte as its code points do.
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Uuid(a), Self::Uuid(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Whether two values are the same, numbers of different kinds by their number.
    pub fn same(&self, other: &Self) -> bool {
        self == other || self.compare(other) == Some(Ordering::Equal)
    }

    /// The order of lists: nulls first, then by [`Value::compare`].
    pub fn sort_order(&self, other: &Self) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (false, false) => self.compare(other).unwrap_or(Ordering::Equal),
            (a, b) => b.cmp(&a),
        }
    }

    /// The value a scalar inside untyped json has.
    pub fn from_json_scalar(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number_value(number),
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// Appends the value as it is sent. Objects need their fields' names and are written by
    /// [`crate::field::FieldType::write_json`].
    pub fn write_scalar_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null | Self::Secret(_) | Self::List(_) | Self::Object(_) => {
                out.extend_from_slice(b"null");
            }
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(number) => {
                let quote = number.unsigned_abs() > MAX_SAFE_INTEGER as u64;
                let mut buffer = itoa::Buffer::new();
                if quote {
                    out.push(b'"');
                }
                out.extend_from_slice(buffer.format(*number).as_bytes());
                if quote {
                    out.push(b'"');
                }
            }
            Self::Float(number) => write_serde(out, number),
            Self::Decimal(number) => write_quoted(out, number),
            Self::Text(text) => write_text(text, out),
            Self::Uuid(uuid) => {
                let mut buffer = [0; 36];
                push_quoted(
                    out,
                    uuid.as_hyphenated().encode_lower(&mut buffer).as_bytes(),
                );
            }
            Self::Timestamp(time) => push_quoted(out, &time.text()),
            Self::Date(date) => push_quoted(out, &date.text()),
            Self::Duration(duration) => write_quoted(out, duration),
            Self::Ip(address) => write_quoted(out, address),
            Self::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                write_quoted(out, &text);
            }
            Self::Json(json) => write_serde(out, json),
        }
    }
}

impl fmt::Debug for Value {
    /// As it would be sent, for messages and tests; a secret stays one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("<secret>"),
            Self::List(items) | Self::Object(items) => f.debug_list().entries(items).finish(),
            scalar => {
                let mut out = Vec::new();
                scalar.write_scalar_json(&mut out);
                f.write_str(&String::from_utf8_lossy(&out))
            }
        }
    }
}

/// A JSON number as an integer where it is one that fits, else as a float.
pub fn number_value(number: &serde_json::Number) -> Value {
    match number.as_i64() {
        Some(integer) => Value::Int(integer),
        None => Value::Float(number.as_f64().unwrap_or(f64::MAX)),
    }
}

/// Gives every number in JSON the one form in which all tiers hold it, since some know integers of
/// 64 bits and floats only, and others no floats: a whole number is an integer as far as those go,
/// and everything else is a float.
pub fn normalize_numbers(json: &mut Json) {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match json {
        Json::Number(number) if !number.is_i64() => {
            let float = number.as_f64().unwrap_or(f64::MAX);
            *json = match float.fract() == 0.0 && (-LIMIT..LIMIT).contains(&float) {
                true => (float as i64).into(),
                false => float.into(),
            };
        }
        Json::Array(items) => items.iter_mut().for_each(normalize_numbers),
        Json::Object(entries) => entries.values_mut().for_each(normalize_numbers),
        _ => {}
    }
}

/// What JSON takes beyond the value itself, about.
fn json_size(json: &Json) -> usize {
    match json {
        Json::String(text) => text.capacity(),
        Json::Array(items) => items
            .iter()
            .map(|item| size_of::<Json>() + json_size(item))
            .sum(),
        // An entry has its hash and its place in the order beside key and value.
        Json::Object(entries) => entries
            .iter()
            .map(|(key, item)| key.capacity() + 2 * size_of::<Json>() + json_size(item))
            .sum(),
        _ => 0,
    }
}

/// Compares exactly, also where the integer has more digits than a float can hold.
pub fn compare_int_float(integer: i64, float: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    integer.cmp(&(whole as i64)).then_with(|| {
        0.0f64
            .partial_cmp(&(float - whole))
            .unwrap_or(Ordering::Equal)
    })
}

/// Appends a text as it is sent.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write_serde(out, text);
}

fn write_serde<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing plain data into memory cannot fail.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// Puts bytes that need no escaping between quotes.
fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Writes something whose text needs no escaping.
fn write_quoted(out: &mut Vec<u8>, value: &impl fmt::Display) {
    out.push(b'"');
    // Writing into memory cannot fail.
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly() {
        let big = (1i64 << 53) + 1;
        assert_eq!(
            compare_int_float(big, 9_007_199_254_740_992.0),
            Ordering::Greater
        );
        assert_eq!(compare_int_float(1, 1.5), Ordering::Less);
        assert_eq!(compare_int_float(-1, -1.5), Ordering::Greater);
        assert_eq!(compare_int_float(2, 2.0), Ordering::Equal);
        assert_eq!(compare_int_float(i64::MAX, 1e300), Ordering::Less);
        assert_eq!(
            compare_int_float(i64::MIN, -9_223_372_036_854_775_808.0),
            Ordering::Equal
        );
    }

    #[test]
    fn large_integers_are_sent_as_text() {
        assert_eq!(format!("{:?}", Value::Int(1 << 53)), "9007199254740992");
        assert_eq!(
            format!("{:?}", Value::Int((1 << 53) + 1)),
            "\"9007199254740993\""
        );
    }

    #[test]
    fn numbers_in_json_have_one_form() {
        let mut json =
            serde_json::json!([1.0, -0.0, 1.5, 1e15, 1e22, u64::MAX, i64::MIN, {"a": 2.0}]);
        normalize_numbers(&mut json);
        let whole = 18_446_744_073_709_551_616.0;
        let expected = serde_json::json!([1, 0, 1.5, 1_000_000_000_000_000i64, 1e22, whole, i64::MIN, {"a": 2}]);
        assert_eq!(json, expected);
    }

    #[test]
    fn nulls_sort_first() {
        assert_eq!(Value::Null.sort_order(&Value::Int(0)), Ordering::Less);
        assert_eq!(Value::Int(0).sort_order(&Value::Null), Ordering::Greater);
        assert_eq!(Value::Null.sort_order(&Value::Null), Ordering::Equal);
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Value::Secret("hunter2".into())), "<secret>");
    }
}
