//! Binary keys: where a document stands in an order, and what a value is found by.
//!
//! Bytes compare as values do, so that whoever can only compare bytes (a sorted map, Redis) keeps
//! documents in their order. Each key of an order becomes
//!
//! * a byte for null or not, null being smaller;
//! * the value: numbers with their sign turned round and most significant byte first, floats by
//!   their bits, text with `00` as `00 FF` and `00 00` at its end, so that no value is the beginning
//!   of another;
//!
//! and, where the key is descending, all of that with every bit turned round. The id ends it, so it
//! can be read back from there.

use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    field::FieldType,
    id::Id,
    record::Record,
    schema::{Collection, SortKey},
    value::Value,
};

/// Bytes of an id.
const ID: usize = 16;

/// Where a document stands in an order.
///
/// Most orders are by one moment: with the id these are 25 bytes, which fit without an allocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(SmallVec<[u8; 32]>);

impl Position {
    /// Where a document stands. None where one of the values has no place in a binary order.
    pub fn of(order: &[SortKey], record: &impl Record) -> Option<Self> {
        Self::encode(order.iter().map(|key| (key, record.value(key.field))))
    }

    /// The same from the values of the order's keys.
    pub fn of_values(order: &[SortKey], values: &[Value]) -> Option<Self> {
        Self::encode(order.iter().zip(values))
    }

    fn encode<'a>(keys: impl Iterator<Item = (&'a SortKey, &'a Value)>) -> Option<Self> {
        let mut bytes = SmallVec::new();
        for (key, value) in keys {
            let from = bytes.len();
            match value {
                // The id ends every order, and is never null.
                Value::Uuid(uuid) if key.field == Collection::ID => {
                    bytes.extend_from_slice(uuid.as_bytes());
                }
                value => write(value, &mut bytes)?,
            }
            if key.descending {
                bytes[from..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        Some(Self(bytes))
    }

    /// The position with these bytes, which were a position's once.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id of the document that stands there, in an order of this direction at its end.
    pub fn id(&self, order: &[SortKey]) -> Option<Id> {
        let start = self.0.len().checked_sub(ID)?;
        let mut bytes: [u8; ID] = self.0.get(start..)?.try_into().ok()?;
        if order.last()?.descending {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Some(Id::from_uuid(Uuid::from_bytes(bytes)))
    }

    /// How many bytes of memory it takes beyond its own size.
    pub fn heap(&self) -> usize {
        match self.0.spilled() {
            true => self.0.capacity(),
            false => 0,
        }
    }
}

/// Whether documents can be ordered by a field of this type, and found by its values.
pub fn has_keys(kind: &FieldType) -> bool {
    matches!(
        kind,
        FieldType::Text
            | FieldType::Email
            | FieldType::Url
            | FieldType::Int
            | FieldType::BigInt
            | FieldType::Bool
            | FieldType::Uuid
            | FieldType::Ref(_)
            | FieldType::Timestamp
            | FieldType::Date
            | FieldType::Duration
    )
}

/// The type of a list's items, or the type itself.
pub fn item(kind: &FieldType) -> &FieldType {
    match kind {
        FieldType::List(item) => item,
        kind => kind,
    }
}

/// Appends what values of a field are found by, so that equal values give equal bytes and others
/// do not. False where a value of a field of this type cannot be that.
pub fn write_key(kind: &FieldType, value: &Value, bytes: &mut Vec<u8>) -> bool {
    use FieldType as T;
    let fits = matches!(
        (kind, value),
        (_, Value::Null)
            | (T::Text | T::Email | T::Url, Value::Text(_))
            | (T::Int | T::BigInt, Value::Int(_))
            | (T::Bool, Value::Bool(_))
            | (T::Uuid | T::Ref(_), Value::Uuid(_))
            | (T::Timestamp, Value::Timestamp(_))
            | (T::Date, Value::Date(_))
            | (T::Duration, Value::Duration(_))
    );
    let mut key = SmallVec::<[u8; 32]>::new();
    if !fits || write(value, &mut key).is_none() {
        return false;
    }
    bytes.extend_from_slice(&key);
    true
}

fn write(value: &Value, bytes: &mut SmallVec<[u8; 32]>) -> Option<()> {
    if value.is_null() {
        bytes.push(0);
        return Some(());
    }
    bytes.push(1);
    let number = |number: i64| (number ^ i64::MIN).to_be_bytes();
    match value {
        Value::Bool(value) => bytes.push(u8::from(*value)),
        Value::Int(value) => bytes.extend_from_slice(&number(*value)),
        Value::Timestamp(time) => bytes.extend_from_slice(&number(time.millis())),
        Value::Date(date) => bytes.extend_from_slice(&number(i64::from(date.days()))),
        Value::Duration(duration) => bytes.extend_from_slice(&number(duration.millis())),
        Value::Uuid(uuid) => bytes.extend_from_slice(uuid.as_bytes()),
        Value::Float(value) => {
            // Zero has two forms that are equal. Below zero, larger bits mean smaller numbers.
            let bits = if *value == 0.0 { 0 } else { value.to_bits() };
            let turned = match bits >> 63 {
                0 => bits ^ (1 << 63),
                _ => !bits,
            };
            bytes.extend_from_slice(&turned.to_be_bytes());
        }
        Value::Text(text) => {
            for byte in text.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(0xff);
                }
            }
            bytes.extend_from_slice(&[0, 0]);
        }
        _ => return None,
    }
    Some(())
}

/// Whether documents can be kept in an order: all of its keys have a binary form.
pub fn is_orderable(collection: &Collection, order: &[SortKey]) -> bool {
    order.iter().all(|key| {
        let kind = &collection.fields()[key.field].kind;
        has_keys(kind) || *kind == FieldType::Float
    })
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::{document::Document, time::Timestamp};

    /// Values of one kind in their order.
    fn ladders() -> Vec<Vec<Value>> {
        let texts = [
            "", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "aa", "b", "é", "日",
        ];
        let floats = [
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            1e-300,
            1.0,
            2.5,
            f64::MAX,
        ];
        let numbers = [i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX];
        vec![
            texts.iter().map(|t| Value::Text((*t).to_owned())).collect(),
            floats.iter().map(|f| Value::Float(*f)).collect(),
            numbers.iter().map(|n| Value::Int(*n)).collect(),
            vec![Value::Bool(false), Value::Bool(true)],
            [-5, 0, 7]
                .map(|t| Value::Timestamp(Timestamp::from_millis(t)))
                .to_vec(),
            [1, 2, u128::MAX]
                .map(|n| Value::Uuid(Uuid::from_u128(n)))
                .to_vec(),
        ]
    }

    fn position(value: &Value, id: u128, descending: bool) -> Position {
        let document = Document::from_values(vec![Value::Uuid(Uuid::from_u128(id)), value.clone()]);
        let key = |field| SortKey { field, descending };
        Position::of(&[key(1), key(0)], &document).unwrap()
    }

    #[test]
    fn bytes_compare_as_values_do() {
        for ladder in ladders() {
            let mut ladder = ladder;
            ladder.insert(0, Value::Null);
            for (a, first) in ladder.iter().enumerate() {
                for (b, second) in ladder.iter().enumerate() {
                    for (left, right) in [(3, 3), (3, 4), (4, 3)] {
                        let expected = a.cmp(&b).then(left.cmp(&right));
                        let up = position(first, left, false).cmp(&position(second, right, false));
                        assert_eq!(up, expected, "{first:?} {second:?}");
                        let down = position(first, left, true).cmp(&position(second, right, true));
                        assert_eq!(down, expected.reverse(), "{first:?} {second:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_bytes_is_that_of_lists() {
        for ladder in ladders() {
            for pair in ladder.windows(2) {
                assert_eq!(pair[0].sort_order(&pair[1]), Ordering::Less);
            }
        }
        let (minus, plus) = (Value::Float(-0.0), Value::Float(0.0));
        assert_eq!(position(&minus, 1, false), position(&plus, 1, false));
    }

    #[test]
    fn the_id_is_read_back() {
        for descending in [false, true] {
            let order = [SortKey {
                field: 0,
                descending,
            }];
            let position = position(&Value::Text("any".into()), 77, descending);
            assert_eq!(
                position.id(&order),
                Some(Id::from_uuid(Uuid::from_u128(77)))
            );
            assert_eq!(Position::from_bytes(position.bytes()), position);
        }
    }

    #[test]
    fn values_of_other_types_are_no_keys() {
        let mut bytes = Vec::new();
        assert!(!write_key(
            &FieldType::Int,
            &Value::Text("1".into()),
            &mut bytes
        ));
        assert!(!write_key(&FieldType::Text, &Value::Int(1), &mut bytes));
        assert!(bytes.is_empty());
        assert!(write_key(&FieldType::Int, &Value::Null, &mut bytes));
        assert!(write_key(&FieldType::Int, &Value::Int(1), &mut bytes));
        assert_eq!(bytes, [0, 1, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    }
}
