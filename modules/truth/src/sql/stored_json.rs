//! Values inside stored JSON, the same in every database: numbers stay numbers, what JSON has no
//! better form for is the text that is sent.

use nubo_core::{
    field::{Field, FieldType, Source},
    id::Id,
    time::Duration,
    value::{Value, normalize_numbers},
};
use serde_json::Value as Json;

/// A value as it stands inside stored JSON.
pub(crate) fn of(value: &Value) -> Json {
    match value {
        // Sent as text beyond what every reader holds exactly.
        Value::Int(number) => (*number).into(),
        Value::Duration(duration) => duration.millis().into(),
        Value::Json(json) => json.clone(),
        Value::List(items) => items.iter().map(of).collect(),
        // Objects stand in no list; elsewhere their fields' names are known.
        scalar => as_sent(scalar),
    }
}

/// A value as it stands in untyped json, where numbers have one form.
pub(crate) fn untyped(value: &Value) -> Json {
    let mut json = of(value);
    normalize_numbers(&mut json);
    json
}

/// A single value as it is sent.
fn as_sent(value: &Value) -> Json {
    let mut out = Vec::new();
    value.write_scalar_json(&mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}

/// An object with the names of its fields.
pub(crate) fn object(fields: &[Field], values: &[Value]) -> Json {
    fields
        .iter()
        .zip(values)
        .map(|(field, value)| {
            let json = match (&field.kind, value) {
                (FieldType::Object(fields), Value::Object(values)) => object(fields, values),
                _ => of(value),
            };
            (field.name.clone(), json)
        })
        .collect()
}

/// A value that JSON has no better form for than text, such as bytes, as that text.
pub(crate) fn text_of(value: &Value) -> String {
    match of(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// A value of a type from stored JSON; none where it is no such value.
pub(crate) fn decode(kind: &FieldType, json: Json) -> Option<Value> {
    Some(match (kind, json) {
        (_, Json::Null) => Value::Null,
        (FieldType::List(item), Json::Array(items)) => Value::List(
            items
                .into_iter()
                .map(|json| decode(item, json))
                .collect::<Option<_>>()?,
        ),
        (FieldType::Object(fields), Json::Object(mut entries)) => Value::Object(
            fields
                .iter()
                .map(|field| decode(&field.kind, entries.remove(&field.name).unwrap_or_default()))
                .collect::<Option<_>>()?,
        ),
        (FieldType::Json, mut json) => {
            normalize_numbers(&mut json);
            Value::Json(json)
        }
        (FieldType::Bool, Json::Bool(flag)) => Value::Bool(flag),
        (FieldType::Float, Json::Number(number)) => Value::Float(number.as_f64()?),
        (FieldType::Int | FieldType::BigInt, Json::Number(number)) => Value::Int(number.as_i64()?),
        (FieldType::Duration, Json::Number(number)) => {
            Value::Duration(Duration::from_millis(number.as_i64()?))
        }
        (FieldType::Bytes, json @ Json::String(_)) => kind.read(
            &json,
            Source::Json,
            &mut nubo_core::Pointer::root(),
            &mut Vec::new(),
        )?,
        (kind, Json::String(text)) => from_text(kind, text)?,
        _ => return None,
    })
}

/// A value of a type whose stored form is text.
pub(crate) fn from_text(kind: &FieldType, text: String) -> Option<Value> {
    Some(match kind {
        FieldType::Text | FieldType::Email | FieldType::Url | FieldType::Password => {
            Value::Text(text)
        }
        FieldType::Decimal => Value::Decimal(text.parse().ok()?),
        FieldType::Uuid | FieldType::Ref(_) => Value::Uuid(text.parse::<Id>().ok()?.uuid()),
        FieldType::Timestamp => Value::Timestamp(text.parse().ok()?),
        FieldType::Date => Value::Date(text.parse().ok()?),
        FieldType::Ip => Value::Ip(text.parse().ok()?),
        _ => return None,
    })
}
