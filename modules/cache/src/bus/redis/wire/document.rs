//! Documents by the names of their fields.

use nubo_core::{
    Pointer,
    document::Document,
    field::{DefaultValue, Field, FieldType, Source},
    schema::Collection,
    value::Value,
};
use serde_json::{Map, Value as Json};

use super::Unreadable;

/// The document with these fields, as far as they are needed. Those that are unknown here are passed
/// over, and those that were not sent have their default.
pub(super) fn read(
    collection: &Collection,
    needed: &[usize],
    mut sent: Map<String, Json>,
) -> Result<Document, Unreadable> {
    let mut document = Document::empty(collection);
    for &index in needed {
        let field = &collection.fields()[index];
        let value = read_field(field, &mut sent).map_err(|kind| Unreadable::Field {
            collection: collection.name.clone(),
            field: field.name.clone(),
            kind,
        })?;
        document.set(index, value);
    }
    Ok(document)
}

fn read_field(field: &Field, sent: &mut Map<String, Json>) -> Result<Value, String> {
    let former = field.renamed_from.as_deref();
    let json = sent.remove(&field.name);
    match json.or_else(|| former.and_then(|name| sent.remove(name))) {
        Some(json) => read_value(&field.kind, json),
        None => Ok(match &field.default {
            Some(DefaultValue::Literal(value)) => value.clone(),
            _ => Value::Null,
        }),
    }
}

/// The error is the word for what was expected.
fn read_value(kind: &FieldType, json: Json) -> Result<Value, String> {
    match (kind, json) {
        (_, Json::Null) => Ok(Value::Null),
        // As it is: what was stored once may be deeper than what is accepted now.
        (FieldType::Json, json) => Ok(Value::Json(json)),
        (FieldType::Object(fields), Json::Object(mut sent)) => {
            let values = fields.iter().map(|field| read_field(field, &mut sent));
            Ok(Value::Object(values.collect::<Result<_, _>>()?))
        }
        (kind, json) => {
            let mut violations = Vec::new();
            let value = kind.read(&json, Source::Json, &mut Pointer::root(), &mut violations);
            value.ok_or_else(|| kind.word())
        }
    }
}
