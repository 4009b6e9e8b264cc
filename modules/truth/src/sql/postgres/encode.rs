//! Values in PostgreSQL's binary format: for arguments, for the items of arrays and for COPY.

use std::net::IpAddr;

use nubo_core::{
    field::{Field, FieldType},
    value::Value,
};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::types::{Scalar, Type};
use crate::sql::stored_json;

/// Milliseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(super) const EPOCH_MS: i64 = 946_684_800_000;
/// The same in days.
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// An argument as it goes over the wire; null where there are no bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Argument {
    pub kind: Type,
    pub bytes: Option<Vec<u8>>,
}

impl Argument {
    /// A value of a type. What is no value of it is null: it equals nothing.
    pub fn new(kind: Type, value: &Value) -> Self {
        let mut bytes = Vec::new();
        let written = write(kind, value, &mut bytes);
        Self {
            kind,
            bytes: written.then_some(bytes),
        }
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self {
            kind: Type::One(Scalar::Text),
            bytes: Some(text.as_bytes().to_vec()),
        }
    }

    /// A number.
    pub fn integer(number: i64) -> Self {
        Self {
            kind: Type::One(Scalar::Bigint),
            bytes: Some(number.to_be_bytes().to_vec()),
        }
    }

    /// Any JSON.
    pub fn json(json: &Json) -> Self {
        let mut bytes = Vec::new();
        write_json(json, &mut bytes);
        Self {
            kind: Type::One(Scalar::Jsonb),
            bytes: Some(bytes),
        }
    }

    /// Whether it is one value, and no array.
    pub const fn is_single(&self) -> bool {
        matches!(self.kind, Type::One(_))
    }

    /// Several arguments of one type as an array.
    pub fn list<'a>(scalar: Scalar, arguments: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut bytes = Vec::new();
        array(scalar, arguments, &mut bytes, |argument, out| {
            let value = argument.bytes.as_deref();
            out.extend_from_slice(value.unwrap_or_default());
            value.is_some()
        });
        Self {
            kind: Type::Array(scalar),
            bytes: Some(bytes),
        }
    }

    /// Several values of one type; nulls among them stay nulls.
    pub fn array<'a>(scalar: Scalar, values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut bytes = Vec::new();
        write_items(scalar, values, &mut bytes);
        Self {
            kind: Type::Array(scalar),
            bytes: Some(bytes),
        }
    }
}

/// Appends a field's value as its column holds it. Says whether there is one.
pub(crate) fn write_field(field: &Field, value: &Value, out: &mut Vec<u8>) -> bool {
    match (&field.kind, value) {
        (FieldType::Object(fields), Value::Object(values)) => {
            write_json(&stored_json::object(fields, values), out);
            true
        }
        (kind, value) => write(Type::of(kind), value, out),
    }
}

/// Appends a value. Nothing is written for null and for what is no value of the type.
pub(super) fn write(kind: Type, value: &Value, out: &mut Vec<u8>) -> bool {
    match (kind, value) {
        (Type::Array(scalar), Value::List(items)) => {
            write_items(scalar, items, out);
            true
        }
        (Type::Array(_), _) => false,
        (Type::One(scalar), value) => write_scalar(scalar, value, out),
    }
}

fn write_scalar(scalar: Scalar, value: &Value, out: &mut Vec<u8>) -> bool {
    match (scalar, value) {
        // A secret in clear never reaches the database: nothing is stored in its place.
        (_, Value::Null | Value::Secret(_)) => return false,
        (Scalar::Boolean, Value::Bool(flag)) => out.push(u8::from(*flag)),
        (Scalar::Integer, Value::Int(number)) => match i32::try_from(*number) {
            Ok(number) => out.extend_from_slice(&number.to_be_bytes()),
            Err(_) => return false,
        },
        (Scalar::Bigint, Value::Int(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Scalar::Bigint, Value::Duration(duration)) => {
            out.extend_from_slice(&duration.millis().to_be_bytes());
        }
        (Scalar::Double, Value::Float(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Scalar::Double, Value::Int(number)) => {
            out.extend_from_slice(&(*number as f64).to_be_bytes());
        }
        (Scalar::Numeric, Value::Decimal(number)) => write_numeric(number, out),
        (Scalar::Text, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (Scalar::Uuid, Value::Uuid(uuid)) => out.extend_from_slice(uuid.as_bytes()),
        // An id that stands in json.
        (Scalar::Uuid, Value::Text(text)) => match text.parse::<nubo_core::id::Id>() {
            Ok(id) if id.to_string() == *text => out.extend_from_slice(id.uuid().as_bytes()),
            _ => return false,
        },
        (Scalar::Timestamp, Value::Timestamp(time)) => {
            let micros = (time.millis() - EPOCH_MS) * 1000;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        (Scalar::Date, Value::Date(date)) => {
            out.extend_from_slice(&(date.days() - EPOCH_DAYS).to_be_bytes());
        }
        (Scalar::Inet, Value::Ip(address)) => write_inet(address, out),
        (Scalar::Bytea, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Scalar::Jsonb, Value::Json(json)) => write_json(json, out),
        (Scalar::Jsonb, value) => write_json(&stored_json::untyped(value), out),
        _ => return false,
    }
    true
}

/// `jsonb_send`: a version, then text.
fn write_json(json: &Json, out: &mut Vec<u8>) {
    out.push(1);
    // Writing plain data into memory cannot fail.
    let written = serde_json::to_writer(&mut *out, json);
    debug_assert!(written.is_ok());
}

/// `array_send`: one dimension, counted from 1.
fn write_items<'a>(scalar: Scalar, values: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) {
    array(scalar, values, out, |value, out| {
        write_scalar(scalar, value, out)
    });
}

/// An array whose items are written by `each`, which says whether there was a value.
pub(crate) fn array<T>(
    scalar: Scalar,
    values: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>) -> bool,
) {
    let head = out.len();
    out.extend_from_slice(&[0; 20]);
    let (mut count, mut has_null) = (0i32, false);
    for value in values {
        has_null |= !write_sized(out, |out| each(value, out));
        count += 1;
    }
    let dimensions = i32::from(count > 0);
    let header = [
        dimensions,
        i32::from(has_null),
        scalar.oids().0 as i32,
        count,
        1,
    ];
    for (slot, number) in out[head..head + 20].chunks_exact_mut(4).zip(header) {
        slot.copy_from_slice(&number.to_be_bytes());
    }
    if count == 0 {
        out.truncate(head + 12);
    }
}

/// A value with its length before it, which is -1 where `write` says that there is none.
pub(crate) fn write_sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let present = write(out);
    let length = match present {
        true => (out.len() - at - 4) as i32,
        false => -1,
    };
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    present
}

/// `inet_send`: family, bits, whether it is a network, length, address.
fn write_inet(address: &IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            out.extend_from_slice(&[2, 32, 0, 4]);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(&[3, 128, 0, 16]);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// `numeric_send`: number of digits to the base of 10,000, exponent of the first, sign, decimals,
/// digits.
fn write_numeric(number: &Decimal, out: &mut Vec<u8>) {
    let scale = number.scale();
    let mut mantissa = number.mantissa().unsigned_abs();
    // Lowest first. Digits begin at the point, so the last one is filled up with zeros.
    let mut digits: Vec<i16> = Vec::with_capacity(9);
    let odd = scale % 4;
    if odd > 0 {
        let low = mantissa % 10u128.pow(odd);
        mantissa /= 10u128.pow(odd);
        digits.push((low * 10u128.pow(4 - odd)) as i16);
    }
    while mantissa > 0 {
        digits.push((mantissa % 10_000) as i16);
        mantissa /= 10_000;
    }
    let weight = digits.len() as i16 - scale.div_ceil(4) as i16 - 1;
    // Zeros at the end are not written.
    let start = digits.iter().position(|digit| *digit != 0);
    let digits = &digits[start.unwrap_or(digits.len())..];
    let sign: u16 = if number.is_sign_negative() && !digits.is_empty() {
        0x4000
    } else {
        0
    };
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(scale as i16).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}
