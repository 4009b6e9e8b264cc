//! Where in a document a test looks.

use crate::{
    document::Document,
    field::{Field, FieldType},
    record::Record,
    value::Value,
};

/// A place in a document: a field, and the way into it where it is an object or json.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub root: Root,
    /// Keys inside typed objects and json, outermost first.
    pub segments: Vec<String>,
    /// Type of what is there; [`FieldType::Json`] where nobody declared it.
    pub leaf: FieldType,
}

/// Where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// At a field, by its index in the collection.
    Field(usize),
    /// At the item of the list that `$elemMatch` looks at.
    Item,
}

/// What stands at a path in a document.
pub(super) enum Found<'a> {
    Typed(&'a Value),
    Json(&'a serde_json::Value),
    Nothing,
}

impl Path {
    /// The path to a whole field.
    pub fn to_field(index: usize, field: &Field) -> Self {
        Self {
            root: Root::Field(index),
            segments: Vec::new(),
            leaf: field.kind.clone(),
        }
    }

    /// The index of the field that it leads into, where it starts at one.
    pub const fn field(&self) -> Option<usize> {
        match self.root {
            Root::Field(index) => Some(index),
            Root::Item => None,
        }
    }

    /// The index of the field, where the path is a whole field.
    pub fn whole_field(&self) -> Option<usize> {
        match self.root {
            Root::Field(index) if self.segments.is_empty() => Some(index),
            _ => None,
        }
    }

    /// Goes further in, key by key. `field` is what the path leads to so far, where that was
    /// declared; what comes back is the same at the end. The error says which key leads nowhere.
    pub(crate) fn descend<'f, 'k>(
        &mut self,
        mut field: Option<&'f Field>,
        keys: impl Iterator<Item = &'k str>,
        name: &str,
    ) -> Result<Option<&'f Field>, String> {
        for key in keys {
            match self.leaf {
                FieldType::Json => field = None,
                FieldType::Object(_) => {
                    let inner = match field.map(|field| &field.kind) {
                        Some(FieldType::Object(fields)) => {
                            fields.iter().find(|field| field.name == key)
                        }
                        _ => None,
                    };
                    let Some(inner) = inner else {
                        return Err(format!("unknown field `{key}` in `{name}`"));
                    };
                    self.leaf = inner.kind.clone();
                    field = Some(inner);
                }
                _ => {
                    return Err(format!(
                        "`{name}` goes into a value that has no fields inside"
                    ));
                }
            }
            self.segments.push(key.to_owned());
        }
        Ok(field)
    }

    /// Walks from the field (or item) to the end of the path. `kind` is the type of `start`.
    pub(super) fn walk<'a>(&self, start: Found<'a>, kind: Option<&FieldType>) -> Found<'a> {
        let mut found = start;
        let mut kind = kind;
        for segment in &self.segments {
            found = match (found, kind) {
                (Found::Typed(Value::Object(values)), Some(FieldType::Object(fields))) => {
                    match fields.iter().position(|field| field.name == *segment) {
                        Some(index) => {
                            kind = Some(&fields[index].kind);
                            Found::Typed(&values[index])
                        }
                        None => Found::Nothing,
                    }
                }
                (Found::Typed(Value::Json(json)), _) | (Found::Json(json), _) => {
                    kind = None;
                    json.get(segment.as_str())
                        .filter(|_| json.is_object())
                        .map_or(Found::Nothing, Found::Json)
                }
                _ => Found::Nothing,
            };
        }
        match found {
            Found::Typed(Value::Null) | Found::Json(serde_json::Value::Null) => Found::Nothing,
            Found::Typed(Value::Json(json)) => Found::Json(json),
            found => found,
        }
    }

    /// The single values at the path in a document of the collection with these fields: the items
    /// of a list, or the one that is there.
    pub fn values(&self, document: &Document, fields: &[Field]) -> Vec<Value> {
        match self.find(document, fields) {
            Found::Nothing => Vec::new(),
            Found::Typed(Value::List(items)) => items.clone(),
            Found::Typed(value) => vec![value.clone()],
            Found::Json(serde_json::Value::Array(items)) => {
                items.iter().filter_map(Value::from_json_scalar).collect()
            }
            Found::Json(json) => Value::from_json_scalar(json).into_iter().collect(),
        }
    }

    /// What stands at the path in a document of the collection with these fields.
    pub(super) fn find<'a>(&self, record: &'a impl Record, fields: &[Field]) -> Found<'a> {
        match self.root {
            Root::Field(index) => self.walk(
                Found::Typed(record.value(index)),
                fields.get(index).map(|field| &field.kind),
            ),
            Root::Item => Found::Nothing,
        }
    }
}
