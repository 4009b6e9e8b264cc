//! Random values and documents, with a liking for the edges.

use nubo_core::{
    field::{Field, FieldType},
    schema::Collection,
};
use serde_json::{Map, Value as Json, json};

use super::choices::Choices;

/// The ids of the documents that references may name.
pub const TARGETS: [&str; 3] = [
    "00000000-0000-7000-8000-000000000001",
    "00000000-0000-7000-8000-000000000002",
    "ffffffff-ffff-7fff-bfff-ffffffffffff",
];

const TEXTS: [&str; 34] = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "ba",
    "z",
    "Z",
    "ä",
    "Ä",
    "a\u{308}",
    "ß",
    "\u{212a}",
    "k",
    "😀",
    "😀a",
    "𝄞",
    "\u{ffff}",
    "it's",
    "\"q\"",
    "back\\slash",
    "%",
    "_",
    "*",
    "a%",
    "a_b",
    "a*",
    "line\nbreak",
    "\u{1}\t\r",
    "\u{7f}",
    "\u{2028}",
    "null",
    "12",
];

const FLOATS: [f64; 20] = [
    0.0,
    1.0,
    -1.0,
    0.1,
    0.2,
    0.30000000000000004,
    1e300,
    -1e300,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    9007199254740992.0,
    9007199254740994.0,
    1e22,
    1e23,
    9.007199254740993e15,
    1.5,
    123456.789,
    1e15,
    4.35,
];

const INTEGERS: [i64; 14] = [
    0,
    1,
    -1,
    2,
    12,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53),
    -(1 << 53) - 1,
    i64::MAX,
    i64::MIN,
    i64::MAX - 1,
    1_000_000_007,
    4_294_967_296,
];

const DECIMALS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "0.1",
    "10",
    "9",
    "1.50",
    "12345678901234567890.12345678",
    "12345678901234567890.12345679",
    "-79228162514264337593543950335",
    "79228162514264337593543950335",
    "0.0000000000000000000000000001",
    "100",
    "-0.5",
];

/// Keys inside json. Not all of them can be asked for.
const KEYS: [&str; 14] = [
    "a", "b", "a b", "ä", "😀", "0", "it's", "[0]", "#-1", "", "x\"y", "back\\", "$k", "n\nl",
];
/// How many of [`KEYS`] a filter may name.
const ASKABLE: usize = 9;

/// A key that a path may have.
pub fn askable_key(choices: &mut Choices<'_>) -> &'static str {
    // The first ones more often, so that paths meet documents.
    let bound = if choices.once_in(3) { ASKABLE } else { 2 };
    KEYS[choices.below(bound)]
}

/// A new document as a client would send it.
pub fn document(choices: &mut Choices<'_>, collection: &Collection) -> Json {
    let mut document = Map::new();
    for (_, field) in collection.declared_fields() {
        if let Some(value) = field_value(choices, field) {
            document.insert(field.name.clone(), value);
        }
    }
    document.into()
}

/// A value of a field, or none where it may lack one.
pub fn field_value(choices: &mut Choices<'_>, field: &Field) -> Option<Json> {
    if !field.required && choices.once_in(4) {
        return match choices.once_in(2) {
            true => Some(Json::Null),
            false => None,
        };
    }
    Some(value(choices, &field.kind))
}

/// A value of a type.
pub fn value(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    match kind {
        FieldType::Text => json!(text(choices)),
        FieldType::Int => match choices.below(8) {
            0 => json!(i32::MIN),
            1 => json!(i32::MAX),
            _ => json!(choices.below(5) as i64 - 2),
        },
        FieldType::BigInt => {
            let number = integer(choices);
            match choices.once_in(3) {
                true => json!(number.to_string()),
                false => json!(number),
            }
        }
        FieldType::Float => json!(float(choices)),
        FieldType::Decimal => json!(*choices.pick(&DECIMALS)),
        FieldType::Bool => json!(choices.once_in(2)),
        FieldType::Uuid => match choices.below(3) {
            0 => json!(TARGETS[choices.below(3)].to_uppercase()),
            _ => json!(TARGETS[choices.below(3)]),
        },
        FieldType::Ref(_) => json!(TARGETS[choices.below(3)]),
        FieldType::Timestamp => json!(choices.pick(&[
            "2026-11-21T21:45:00.123Z",
            "2026-11-21T21:45:00.124Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "1969-12-31T23:59:59.999Z",
            "2026-11-21T23:45:00.123456+02:00",
            "2026-11-21T21:45:00Z",
        ])),
        FieldType::Date => json!(choices.pick(&[
            "2026-11-21",
            "0001-01-01",
            "9999-12-31",
            "2024-02-29",
            "1969-12-31",
        ])),
        FieldType::Duration => json!(choices.pick(&[
            "PT0S", "PT1S", "-PT1S", "P1D", "PT24H", "PT0.001S", "P100000D", "PT9S",
        ])),
        FieldType::Json => json_value(choices, 3),
        FieldType::Object(fields) => {
            let mut object = Map::new();
            for field in fields {
                if let Some(value) = field_value(choices, field) {
                    object.insert(field.name.clone(), value);
                }
            }
            object.into()
        }
        FieldType::Ip => json!(choices.pick(&[
            "127.0.0.1",
            "::1",
            "2001:DB8::1",
            "::ffff:1.2.3.4",
            "255.255.255.255",
        ])),
        FieldType::Email => json!(choices.pick(&["a@b", "A@b.c", "it's_%@x.org", "z@z"])),
        FieldType::Url => json!(choices.pick(&[
            "https://example.org/",
            "https://example.org/%5F?a=*&b='",
            "ftp://a/b",
        ])),
        FieldType::Bytes => json!(choices.pick(&["", "AA==", "/+8=", "aGVsbG8=", "AAECAwQ="])),
        FieldType::Password => json!("a long enough password"),
        FieldType::List(item) => choices.several(3, |choices| value(choices, item)).into(),
    }
}

/// Something that is not null, anywhere in json.
fn json_value(choices: &mut Choices<'_>, depth: usize) -> Json {
    match choices.below(if depth > 0 { 10 } else { 5 }) {
        0..=4 => loop {
            let scalar = json_scalar(choices);
            if !scalar.is_null() || depth < 3 {
                break scalar;
            }
        },
        5..=7 => {
            let mut object = Map::new();
            for _ in 0..choices.below(4) {
                let key = match choices.once_in(3) {
                    true => *choices.pick(&KEYS),
                    false => KEYS[choices.below(2)],
                };
                object.insert(key.to_owned(), json_value(choices, depth - 1));
            }
            object.into()
        }
        _ => choices
            .several(3, |choices| json_value(choices, depth - 1))
            .into(),
    }
}

/// A scalar of json, null among them.
pub fn json_scalar(choices: &mut Choices<'_>) -> Json {
    match choices.below(8) {
        0 => json!(1),
        1 => json!(1.0),
        2 => json!(choices.once_in(2)),
        3 => json!(integer(choices)),
        4 => json!(float(choices)),
        5 => match choices.below(6) {
            0 => json!(-0.0),
            1 => json!(u64::MAX),
            2 => json!(9_223_372_036_854_775_808u64),
            _ => Json::Null,
        },
        _ => json!(text(choices)),
    }
}

pub fn text(choices: &mut Choices<'_>) -> String {
    match choices.below(12) {
        0 => format!("{}{}", choices.pick(&TEXTS), choices.pick(&TEXTS)),
        1 => char::from_u32(1 + choices.number() % 0x10_ffff)
            .unwrap_or('?')
            .to_string(),
        2 => char::from_u32(1 + choices.number() % 0x7f)
            .unwrap_or('?')
            .to_string(),
        _ => (*choices.pick(&TEXTS)).to_owned(),
    }
}

fn integer(choices: &mut Choices<'_>) -> i64 {
    match choices.below(5) {
        0 => choices.long() as i64,
        _ => *choices.pick(&INTEGERS),
    }
}

fn float(choices: &mut Choices<'_>) -> f64 {
    match choices.below(4) {
        0 => Some(f64::from_bits(choices.long()))
            .filter(|number| number.is_finite())
            .unwrap_or(0.5),
        1 => choices.number() as f64 / 1000.0,
        _ => *choices.pick(&FLOATS),
    }
}
