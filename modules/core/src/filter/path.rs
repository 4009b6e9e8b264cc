//! Where in a document a test looks.

use crate::{
    document::Document,
    field::{Field, FieldType},
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

    /// The index of the field, where the path is a whole field.
    pub fn whole_field(&self) -> Option<usize> {
        match self.root {
            Root::Field(index) if self.segments.is_empty() => Some(index),
            _ => None,
        }
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

    /// What stands at the path in a document of the collection with these fields.
    pub(super) fn find<'a>(&self, document: &'a Document, fields: &[Field]) -> Found<'a> {
        match self.root {
            Root::Field(index) => self.walk(
                Found::Typed(document.value(index)),
                fields.get(index).map(|field| &field.kind),
            ),
            Root::Item => Found::Nothing,
        }
    }
}
