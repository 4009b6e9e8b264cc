//! Values in a compact binary form, for those who keep them outside of this process.
//!
//! A value is a byte that says of which kind it is, and what that kind needs: numbers least
//! significant byte first, lengths in groups of seven bits, the last of which has its high bit
//! unset. What is read back is the value that was written, to the bit. These bytes have no order;
//! [`crate::position`] is for that.

use std::net::IpAddr;

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    time::{Date, Duration, Timestamp},
    value::Value,
};

/// How deep lists and objects may be inside one another. Bytes that say more are no value.
const DEPTH: usize = 64;

/// What kind of value follows.
mod kind {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DECIMAL: u8 = 5;
    pub const TEXT: u8 = 6;
    pub const UUID: u8 = 7;
    pub const TIMESTAMP: u8 = 8;
    pub const DATE: u8 = 9;
    pub const DURATION: u8 = 10;
    pub const IP_V4: u8 = 11;
    pub const IP_V6: u8 = 12;
    pub const BYTES: u8 = 13;
    pub const JSON: u8 = 14;
    pub const LIST: u8 = 15;
    pub const OBJECT: u8 = 16;
}

/// Appends a value. A secret leaves this process in no form: it becomes null.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    let mut fixed = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null | Value::Secret(_) => fixed(kind::NULL, &[]),
        Value::Bool(false) => fixed(kind::FALSE, &[]),
        Value::Bool(true) => fixed(kind::TRUE, &[]),
        Value::Int(number) => fixed(kind::INT, &number.to_le_bytes()),
        Value::Float(number) => fixed(kind::FLOAT, &number.to_bits().to_le_bytes()),
        Value::Decimal(number) => fixed(kind::DECIMAL, &number.serialize()),
        Value::Uuid(uuid) => fixed(kind::UUID, uuid.as_bytes()),
        Value::Timestamp(time) => fixed(kind::TIMESTAMP, &time.millis().to_le_bytes()),
        Value::Date(date) => fixed(kind::DATE, &date.days().to_le_bytes()),
        Value::Duration(duration) => fixed(kind::DURATION, &duration.millis().to_le_bytes()),
        Value::Ip(IpAddr::V4(address)) => fixed(kind::IP_V4, &address.octets()),
        Value::Ip(IpAddr::V6(address)) => fixed(kind::IP_V6, &address.octets()),
        Value::Text(text) => write_sized(kind::TEXT, text.as_bytes(), out),
        Value::Bytes(bytes) => write_sized(kind::BYTES, bytes, out),
        Value::Json(json) => write_sized(kind::JSON, json.to_string().as_bytes(), out),
        Value::List(items) => write_all(kind::LIST, items, out),
        Value::Object(values) => write_all(kind::OBJECT, values, out),
    }
}

/// Reads the value that the bytes begin with, and leaves what follows it. None where they begin with
/// no value.
pub fn read(bytes: &mut &[u8]) -> Option<Value> {
    read_nested(bytes, DEPTH)
}

fn write_sized(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_all(kind: u8, values: &[Value], out: &mut Vec<u8>) {
    out.push(kind);
    write_length(values.len(), out);
    for value in values {
        write(value, out);
    }
}

/// Appends a length.
pub fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads a length, and leaves what follows it.
pub fn read_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    for group in 0.. {
        let [byte] = take(bytes)?;
        let bits = usize::from(byte & 0x7f);
        let place = group * 7;
        if place >= usize::BITS || bits > usize::MAX >> place {
            return None;
        }
        length |= bits << place;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(length)
}

/// Takes so many bytes from the front.
pub fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(front)
}

/// Takes an array from the front.
pub fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*front)
}

fn read_nested(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    let [kind] = take(bytes)?;
    Some(match kind {
        kind::NULL => Value::Null,
        kind::FALSE => Value::Bool(false),
        kind::TRUE => Value::Bool(true),
        kind::INT => Value::Int(i64::from_le_bytes(take(bytes)?)),
        kind::FLOAT => Value::Float(f64::from_bits(u64::from_le_bytes(take(bytes)?))),
        kind::DECIMAL => Value::Decimal(Decimal::deserialize(take(bytes)?)),
        kind::UUID => Value::Uuid(Uuid::from_bytes(take(bytes)?)),
        kind::TIMESTAMP => {
            Value::Timestamp(Timestamp::from_millis(i64::from_le_bytes(take(bytes)?)))
        }
        kind::DATE => Value::Date(Date::from_days(i32::from_le_bytes(take(bytes)?))),
        kind::DURATION => Value::Duration(Duration::from_millis(i64::from_le_bytes(take(bytes)?))),
        kind::IP_V4 => Value::Ip(IpAddr::from(take::<4>(bytes)?)),
        kind::IP_V6 => Value::Ip(IpAddr::from(take::<16>(bytes)?)),
        kind::TEXT => Value::Text(String::from_utf8(sized(bytes)?.to_vec()).ok()?),
        kind::BYTES => Value::Bytes(sized(bytes)?.to_vec()),
        kind::JSON => Value::Json(serde_json::from_slice(sized(bytes)?).ok()?),
        kind::LIST => Value::List(read_all(bytes, depth)?),
        kind::OBJECT => Value::Object(read_all(bytes, depth)?),
        _ => return None,
    })
}

fn read_all(bytes: &mut &[u8], depth: usize) -> Option<Vec<Value>> {
    let depth = depth.checked_sub(1)?;
    let length = read_length(bytes)?;
    // Each takes a byte at least, so that a wrong length is noticed before room is made for it.
    if length > bytes.len() {
        return None;
    }
    (0..length).map(|_| read_nested(bytes, depth)).collect()
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read_length(bytes)?;
    split(bytes, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(|number| json!(number)),
            ".*".prop_map(Into::into),
        ];
        scalar.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec((".*", inner), 0..4)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            (any::<i64>(), 0..=28_u32)
                .prop_map(|(n, scale)| Value::Decimal(Decimal::new(n, scale))),
            ".*".prop_map(Value::Text),
            any::<u128>().prop_map(|n| Value::Uuid(Uuid::from_u128(n))),
            (0..253_402_300_799_999_i64).prop_map(|n| Value::Timestamp(Timestamp::from_millis(n))),
            (-700_000..2_900_000).prop_map(|n| Value::Date(Date::from_days(n))),
            any::<i64>().prop_map(|n| Value::Duration(Duration::from_millis(n))),
            any::<IpAddr>().prop_map(Value::Ip),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
            json().prop_map(Value::Json),
        ];
        scalar.prop_recursive(3, 24, 6, |inner| {
            let items = prop::collection::vec(inner, 0..6);
            prop_oneof![
                items.clone().prop_map(Value::List),
                items.prop_map(Value::Object)
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(values in prop::collection::vec(value(), 0..5)) {
            let mut bytes = Vec::new();
            for value in &values {
                write(value, &mut bytes);
            }
            let mut rest = &bytes[..];
            for value in &values {
                let read = read(&mut rest);
                prop_assert_eq!(read.as_ref(), Some(value));
            }
            prop_assert!(rest.is_empty());
            // None of them is whole without its last byte.
            if let Some((_, most)) = bytes.split_last() {
                let mut most = &bytes[..most.len()];
                let whole = values.iter().take_while(|_| read(&mut most).is_some()).count();
                prop_assert!(whole < values.len());
            }
        }

        #[test]
        fn any_bytes_are_a_value_or_none(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut rest = &bytes[..];
            while read(&mut rest).is_some() {}
        }

        #[test]
        fn lengths_come_back(length in any::<usize>()) {
            let mut bytes = Vec::new();
            write_length(length, &mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(read_length(&mut rest), Some(length));
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_secret_stays_here() {
        let mut bytes = Vec::new();
        write(&Value::Secret("hunter2".into()), &mut bytes);
        assert_eq!(read(&mut &bytes[..]), Some(Value::Null));
    }

    #[test]
    fn bytes_that_nest_without_end_are_no_value() {
        let bytes: Vec<u8> = [kind::LIST, 1].repeat(100_000);
        assert_eq!(read(&mut &bytes[..]), None);
    }
}
