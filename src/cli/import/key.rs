//! Ids from natural keys: the same key gives the same id, on every machine and for ever.
//!
//! An id is a UUID version 5 (RFC 9562) of the key's values, written as a JSON array in the form in
//! which the API sends them, in a namespace that belongs to the collection. So null and empty text
//! are different keys, and so are `1` and `"1"`.

use nubo_core::{
    Pointer,
    field::{DefaultValue, Field, FieldType, Source},
    id::Id,
    schema::Collection,
    value::Value,
};
use serde_json::Value as Json;
use uuid::Uuid;

/// What all natural keys are named in. Changing it gives every imported document another id.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d5f_3a10_52c4_4f0b_9a41_2f7c_86e0_b3d9);

/// The fields that tell rows apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    fields: Vec<usize>,
}

impl Key {
    /// The key of these fields; none where there is none.
    pub fn new(fields: Vec<usize>) -> Option<Self> {
        (!fields.is_empty()).then_some(Self { fields })
    }

    /// The index of a field that may be part of a key.
    ///
    /// # Errors
    /// Why it may not, without a full stop.
    pub fn field(collection: &Collection, name: &str) -> Result<usize, String> {
        match collection.field_named(name) {
            Some((Collection::ID, _)) => {
                Err("the id is made from the key and cannot be part of it".to_owned())
            }
            Some((index, field)) if field.is_accepted() => match &field.kind {
                FieldType::Json | FieldType::Object(_) | FieldType::Password => {
                    let kind = field.kind.word();
                    Err(format!(
                        "`{name}` is of the type {kind}, which tells nothing apart"
                    ))
                }
                _ => Ok(index),
            },
            Some((_, field)) if field.system => Err(format!("`{name}` is given by the server")),
            _ => Err(format!("unknown field `{name}` in {}", collection.name)),
        }
    }

    /// The id of a row; none if one of the key's values cannot be read, which reading the document
    /// will say.
    pub fn id_of(&self, row: &Json, collection: &Collection) -> Option<Id> {
        let mut text = b"[".to_vec();
        for (position, index) in self.fields.iter().enumerate() {
            if position > 0 {
                text.push(b',');
            }
            let field = &collection.fields()[*index];
            field.kind.write_json(&value_of(field, row)?, &mut text);
        }
        text.push(b']');
        let namespace = Uuid::new_v5(&NAMESPACE, collection.name.as_bytes());
        Some(Id::from_uuid(Uuid::new_v5(&namespace, &text)))
    }
}

/// The value that the document will have.
fn value_of(field: &Field, row: &Json) -> Option<Value> {
    let given = row.get(&field.name).filter(|json| !json.is_null());
    match (given, &field.default) {
        (Some(json), _) => {
            let (mut at, mut violations) = (Pointer::root(), Vec::new());
            field.read(json, Source::Json, &mut at, &mut violations)
        }
        (None, Some(DefaultValue::Literal(value))) => Some(value.clone()),
        (None, _) => Some(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::import::fixture;

    fn id(key: &[&str], row: Json) -> Option<String> {
        let (_, films) = fixture::films();
        let fields = key.iter().map(|name| Key::field(&films, name).unwrap());
        let key = Key::new(fields.collect()).unwrap();
        key.id_of(&row, &films).map(|id| id.to_string())
    }

    #[test]
    fn ids_never_change() {
        // What any other implementation of RFC 9562 makes of `["Ran","1985-06-01"]`. Whoever has
        // imported a file relies on it.
        assert_eq!(
            id(
                &["title", "released"],
                json!({"title": "Ran", "released": "1985-06-01"})
            )
            .as_deref(),
            Some("990eb6b3-c2cf-5978-bcd5-f2cb6071e194")
        );
    }

    #[test]
    fn null_and_empty_text_are_different_keys() {
        let absent = id(&["title"], json!({}));
        assert_eq!(absent, id(&["title"], json!({"title": null})));
        assert_ne!(absent, id(&["title"], json!({"title": ""})));
        assert_ne!(absent, id(&["title"], json!({"title": "null"})));
        assert_ne!(
            id(&["title", "country"], json!({"title": "a\",\"b"})),
            id(&["title", "country"], json!({"title": "a", "country": "b"}))
        );
    }

    #[test]
    fn the_key_is_the_value_as_it_is_stored() {
        assert_eq!(
            id(&["country"], json!({"country": " FR "})),
            id(&["country"], json!({"country": "fr"}))
        );
        assert_eq!(
            id(&["rating"], json!({"rating": 8})),
            id(&["rating"], json!({"rating": 8.0}))
        );
        // A default is a value too.
        assert_eq!(
            id(&["votes"], json!({})),
            id(&["votes"], json!({"votes": 0}))
        );
        assert_eq!(id(&["rating"], json!({"rating": "good"})), None);
    }

    #[test]
    fn not_everything_can_be_a_key() {
        let (_, films) = fixture::films();
        for (name, expected) in [
            ("id", "made from the key"),
            ("_rev", "given by the server"),
            ("notes", "type json"),
            ("secret", "type password"),
            ("hidden", "unknown field"),
            ("titel", "unknown field `titel` in films"),
        ] {
            let message = Key::field(&films, name).unwrap_err();
            assert!(message.contains(expected), "{name}: {message}");
        }
    }
}
