//! Values made of values: `json`, `object`, `T[]`.

use serde_json::Value as Json;

use super::{Field, FieldType, Reading, Refusal, Source};
use crate::{
    mistake::{nearest, with_hint},
    value::Value,
    violation::{Pointer, Violation, kind_of},
};

/// How deep json may nest. Deep enough for any document, shallow enough for every stack.
const MAX_JSON_DEPTH: usize = 64;
/// Most items in a typed list.
const MAX_LIST_ITEMS: usize = 10_000;

pub(super) fn read_json(json: &Json, source: Source) -> Reading {
    let parsed;
    let json = match (json, source) {
        (Json::String(text), Source::Plain) => {
            parsed = serde_json::from_str(text).unwrap_or_else(|_| json.clone());
            &parsed
        }
        _ => json,
    };
    check_json(json, MAX_JSON_DEPTH)?;
    Ok(match json {
        Json::Null => Value::Null,
        json => Value::Json(json.clone()),
    })
}

fn check_json(json: &Json, depth: usize) -> Result<(), Refusal> {
    let deeper = || {
        depth.checked_sub(1).ok_or_else(|| {
            Refusal::new(
                "too_deep",
                format!("nests deeper than {MAX_JSON_DEPTH} levels"),
            )
        })
    };
    let text = |text: &str| match text.contains('\0') {
        true => Err(Refusal::new(
            "invalid_character",
            "must not contain the character U+0000",
        )),
        false => Ok(()),
    };
    match json {
        Json::String(value) => text(value),
        Json::Array(items) => {
            let depth = deeper()?;
            items.iter().try_for_each(|item| check_json(item, depth))
        }
        Json::Object(entries) => {
            let depth = deeper()?;
            entries.iter().try_for_each(|(key, value)| {
                text(key)?;
                check_json(value, depth)
            })
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}

/// Reads every field inside, so that all violations come at once. Fields without a value get their
/// default.
pub(super) fn read_object(
    fields: &[Field],
    json: &Json,
    source: Source,
    at: &mut Pointer,
    violations: &mut Vec<Violation>,
) -> Option<Value> {
    let Json::Object(entries) = json else {
        violations.push(Refusal::kind("an object", json).at(at));
        return None;
    };
    let before = violations.len();
    for key in entries.keys() {
        if !fields.iter().any(|field| field.name == *key) {
            violations.push(at.at(key, |at| {
                at.violation("unknown_field", unknown_field(key, fields))
            }));
        }
    }
    let values = fields
        .iter()
        .map(|field| {
            let given = entries.get(&field.name).filter(|json| !json.is_null());
            match (given, &field.default) {
                (Some(json), _) => at
                    .at(&field.name, |at| field.read(json, source, at, violations))
                    .unwrap_or(Value::Null),
                (None, Some(super::DefaultValue::Literal(value))) => value.clone(),
                (None, _) => {
                    at.at(&field.name, |at| field.check(&Value::Null, at, violations));
                    Value::Null
                }
            }
        })
        .collect();
    (violations.len() == before).then_some(Value::Object(values))
}

pub(super) fn read_list(
    item: &FieldType,
    json: &Json,
    source: Source,
    at: &mut Pointer,
    violations: &mut Vec<Violation>,
) -> Option<Value> {
    let Json::Array(items) = json else {
        violations.push(at.violation(
            "wrong_type",
            format!("must be a list, not {}", kind_of(json)),
        ));
        return None;
    };
    if items.len() > MAX_LIST_ITEMS {
        violations.push(at.violation(
            "too_long",
            format!("must have at most {MAX_LIST_ITEMS} items"),
        ));
        return None;
    }
    let before = violations.len();
    let values = items
        .iter()
        .enumerate()
        .filter_map(|(index, json)| {
            at.at(index, |at| match json {
                Json::Null => {
                    violations.push(at.violation("wrong_type", "must not be null"));
                    None
                }
                json => item.read(json, source, at, violations),
            })
        })
        .collect();
    (violations.len() == before).then_some(Value::List(values))
}

pub(super) fn write_object(fields: &[Field], values: &[Value], out: &mut Vec<u8>) {
    out.push(b'{');
    let sent = fields
        .iter()
        .zip(values)
        .filter(|(field, _)| field.is_sent());
    for (index, (field, value)) in sent.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        // Names come from the schema and need no escaping.
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        field.kind.write_json(value, out);
    }
    out.push(b'}');
}

/// Says that a field does not exist, and which one may have been meant.
pub(crate) fn unknown_field(name: &str, fields: &[Field]) -> String {
    let names = fields
        .iter()
        .filter(|field| !field.hidden)
        .map(|field| field.name.as_str());
    with_hint(format!("unknown field `{name}`"), nearest(name, names))
}
