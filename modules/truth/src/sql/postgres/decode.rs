//! Values from PostgreSQL's binary format.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nubo_core::{
    field::{Field, FieldType},
    time::{Date, Duration, Timestamp},
    value::{Value, write_text},
};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    encode::{EPOCH_DAYS, EPOCH_MS},
    types::{Scalar, Type},
};
use crate::sql::{Corrupt, stored_json};

/// The value of a field from its column.
pub(crate) fn decode(field: &Field, stored: Option<&[u8]>) -> Result<Value, Corrupt> {
    match stored {
        None => Ok(Value::Null),
        Some(bytes) => decode_kind(&field.kind, bytes).ok_or_else(|| Corrupt::of(field)),
    }
}

/// Appends the value of a field as it is sent.
pub(crate) fn write_json(
    field: &Field,
    stored: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Corrupt> {
    match (&field.kind, stored) {
        // Most of a document is text, which needs no copy in between.
        (FieldType::Text | FieldType::Email | FieldType::Url, Some(bytes)) => {
            let text = str::from_utf8(bytes).map_err(|_| Corrupt::of(field))?;
            write_text(text, out);
        }
        _ => field.write_json(&decode(field, stored)?, out),
    }
    Ok(())
}

/// A value of a type.
pub(super) fn decode_kind(kind: &FieldType, bytes: &[u8]) -> Option<Value> {
    match (Type::of(kind), kind) {
        (Type::Array(_), FieldType::List(item)) => decode_array(item, bytes),
        (Type::Array(_), _) => None,
        (Type::One(scalar), kind) => decode_scalar(scalar, kind, bytes),
    }
}

fn decode_scalar(scalar: Scalar, kind: &FieldType, bytes: &[u8]) -> Option<Value> {
    Some(match scalar {
        Scalar::Boolean => Value::Bool(*bytes.first()? != 0),
        Scalar::Integer => Value::Int(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        Scalar::Bigint => {
            let number = i64::from_be_bytes(bytes.try_into().ok()?);
            match kind {
                FieldType::Duration => Value::Duration(Duration::from_millis(number)),
                _ => Value::Int(number),
            }
        }
        Scalar::Double => Value::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        Scalar::Numeric => Value::Decimal(decode_numeric(bytes)?),
        Scalar::Text => Value::Text(str::from_utf8(bytes).ok()?.to_owned()),
        Scalar::Uuid => Value::Uuid(Uuid::from_slice(bytes).ok()?),
        Scalar::Timestamp => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            Value::Timestamp(Timestamp::from_millis(micros.div_euclid(1000) + EPOCH_MS))
        }
        Scalar::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            Value::Date(Date::from_days(days.checked_add(EPOCH_DAYS)?))
        }
        Scalar::Inet => Value::Ip(decode_inet(bytes)?),
        Scalar::Bytea => Value::Bytes(bytes.to_vec()),
        // A version, then text.
        Scalar::Jsonb => {
            let json = serde_json::from_slice(bytes.split_first()?.1).ok()?;
            stored_json::decode(kind, json)?
        }
    })
}

fn decode_array(item: &FieldType, bytes: &[u8]) -> Option<Value> {
    let scalar = Scalar::of(item);
    let items = array_items(bytes)?.into_iter();
    let items = items.map(|bytes| decode_scalar(scalar, item, bytes));
    Some(Value::List(items.collect::<Option<_>>()?))
}

/// The items of an array of one dimension without nulls.
fn array_items(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (dimensions, rest) = number(bytes)?;
    let (_has_null, rest) = number(rest)?;
    let (_item_type, rest) = number(rest)?;
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let (count, rest) = number(rest)?;
    let (_lower_bound, mut rest) = number(rest)?;
    if dimensions != 1 {
        return None;
    }
    let mut items = Vec::with_capacity(usize::try_from(count).ok()?);
    for _ in 0..count {
        let (length, behind) = number(rest)?;
        let (item, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        items.push(item);
        rest = behind;
    }
    Some(items)
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((i32::from_be_bytes(*number), rest))
}

fn decode_inet(bytes: &[u8]) -> Option<IpAddr> {
    match bytes {
        [2, 32, _, 4, address @ ..] => Some(IpAddr::V4(Ipv4Addr::from(
            <[u8; 4]>::try_from(address).ok()?,
        ))),
        [3, 128, _, 16, address @ ..] => Some(IpAddr::V6(Ipv6Addr::from(
            <[u8; 16]>::try_from(address).ok()?,
        ))),
        _ => None,
    }
}

fn decode_numeric(bytes: &[u8]) -> Option<Decimal> {
    let mut words = bytes
        .chunks_exact(2)
        .map(|word| i16::from_be_bytes([word[0], word[1]]));
    let count = words.next()?;
    let weight = i32::from(words.next()?);
    let sign = words.next()? as u16;
    let _scale = words.next()?;
    if sign != 0 && sign != 0x4000 {
        return None;
    }
    let mut mantissa = 0i128;
    for _ in 0..count {
        mantissa = mantissa
            .checked_mul(10_000)?
            .checked_add(i128::from(words.next()?))?;
    }
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    // The last digit stands for 10,000 to the power of this.
    let exponent = 4 * (weight - i32::from(count) + 1);
    let mut scale = -exponent;
    while scale < 0 {
        mantissa = mantissa.checked_mul(10)?;
        scale += 1;
    }
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if sign == 0x4000 {
        mantissa = -mantissa;
    }
    Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok()
}

/// A value as the text that its type reads; none where the bytes are no such value.
pub(super) fn scalar_text(scalar: Scalar, bytes: &[u8]) -> Option<String> {
    // A field's type that is held so, whose text the type reads.
    let kind = match scalar {
        Scalar::Boolean => FieldType::Bool,
        Scalar::Integer => FieldType::Int,
        Scalar::Bigint => FieldType::BigInt,
        Scalar::Double => FieldType::Float,
        Scalar::Numeric => FieldType::Decimal,
        Scalar::Text => FieldType::Text,
        Scalar::Uuid => FieldType::Uuid,
        Scalar::Timestamp => FieldType::Timestamp,
        Scalar::Date => FieldType::Date,
        Scalar::Inet => FieldType::Ip,
        Scalar::Bytea => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return Some(format!("\\x{hex}"));
        }
        Scalar::Jsonb => return Some(str::from_utf8(bytes.split_first()?.1).ok()?.to_owned()),
    };
    Some(stored_json::text_of(&decode_scalar(scalar, &kind, bytes)?))
}

/// An array as the text that its type reads.
pub(super) fn array_text(scalar: Scalar, bytes: &[u8]) -> Option<String> {
    let mut text = String::from("{");
    for item in array_items(bytes)? {
        if text.len() > 1 {
            text.push(',');
        }
        let item = scalar_text(scalar, item)?;
        text.push('"');
        text.push_str(&item.replace('\\', "\\\\").replace('"', "\\\""));
        text.push('"');
    }
    text.push('}');
    Some(text)
}
