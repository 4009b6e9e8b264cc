//! The schemas of documents: as they are read, created and replaced, and lists of them.

use nubo_core::field::{Direction, FieldType};
use serde_json::{Map, Value as Json, json};

use super::{Described, schema_ref, shared};

/// All of them, by name.
pub(super) fn of(described: &Described<'_>) -> Map<String, Json> {
    let names = described.names;
    let one = &described.collection.singular;
    let document = described.documents().read();
    let mut schemas = Map::new();
    schemas.insert(names.schema("Create"), described.documents().create());
    if !described.collection.append_only {
        schemas.insert(names.schema("Replace"), described.replace());
    }
    schemas.insert(names.schema("Selection"), described.selection(&document));
    schemas.insert(names.schema(""), document);
    schemas.insert(
        names.schema("List"),
        json!({
            "type": "object",
            "description": format!("A stretch of a list of {}.", described.collection.name),
            "properties": {
                "data": { "type": "array", "items": schema_ref(&names.schema("Selection")) },
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Continues the list behind the last document; null at its end.",
                },
            },
            "required": ["data", "next_cursor"],
            "additionalProperties": false,
        }),
    );
    schemas.insert(
        names.schema("Page"),
        json!({
            "type": "object",
            "description": format!("A numbered page of {}.", described.collection.name),
            "properties": {
                "data": { "type": "array", "items": schema_ref(&names.schema("Selection")) },
                "total": count_schema("Documents that match."),
                "page": count_schema("Number of this page, from 1."),
                "page_size": count_schema("Most documents of a page."),
                "total_pages": count_schema("How many pages there are."),
            },
            "required": ["data", "total", "page", "page_size", "total_pages"],
            "additionalProperties": false,
        }),
    );
    schemas.insert(
        names.schema("Query"),
        described.query(&format!(
            "Which {one} documents, in which order, and what of them."
        )),
    );
    schemas.insert(names.schema("BulkOperation"), described.item());
    schemas.insert(
        names.schema("BulkResult"),
        shared::result(schema_ref(&names.schema("")), true),
    );
    schemas
}

/// A whole number from 0.
pub(super) fn count_schema(description: &str) -> Json {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "description": description })
}

impl Described<'_> {
    /// A document as it is read: what was asked for, and what comes along with it.
    fn selection(&self, document: &Json) -> Json {
        let mut schema = document.clone();
        schema["description"] = format!(
            "A {} as it is read. Without `fields` all properties are there, with `fields` those \
             that it names and `id`.",
            self.collection.singular
        )
        .into();
        schema["required"] = json!(["id"]);
        schema["properties"]["_expand"] = schema_ref("Expanded");
        schema
    }

    /// What PUT takes: what was read may be sent back.
    fn replace(&self) -> Json {
        let documents = self.documents();
        let mut properties = documents.accepted(|_| true, Direction::Input);
        for field in self.collection.fields().iter().filter(|field| field.system) {
            let mut schema = field.json_schema(Direction::Output);
            schema["description"] = "May be sent back as it was read; has no effect.".into();
            schema["readOnly"] = true.into();
            properties.insert(field.name.clone(), schema);
        }
        documents.input(
            format!(
                "A {} as a whole. A field that is absent gets its default or becomes null. What \
                 cannot be changed, passwords and other fields that are never sent stay where \
                 they are absent.",
                self.collection.singular
            ),
            properties,
            |field| {
                let kept = field.kind == FieldType::Password || field.write_only || field.immutable;
                field.required && !kept && field.default.is_none()
            },
        )
    }

    /// An item of `/c/bulk`.
    fn item(&self) -> Json {
        let schema = |suffix| schema_ref(&self.names.schema(suffix));
        let id = json!({ "type": "string", "format": "uuid" });
        let all = json!({
            "type": "boolean",
            "default": false,
            "description": "Every document is meant, where the filter says nothing.",
        });
        let either = json!([{ "required": ["id"] }, { "required": ["filter"] }]);
        let mut properties = json!({ "create": schema("Create") });
        if !self.collection.append_only {
            properties["update"] = json!({
                "type": "object",
                "description": "A change to the document with this id, or to all that match.",
                "properties": {
                    "id": id,
                    "filter": schema("Filter"),
                    "all": all,
                    "change": schema("Update"),
                },
                "required": ["change"],
                "oneOf": either,
                "additionalProperties": false,
            });
            properties["replace"] = json!({
                "type": "object",
                "properties": { "id": id, "document": schema("Replace") },
                "required": ["id", "document"],
                "additionalProperties": false,
            });
            properties["delete"] = json!({
                "type": "object",
                "description": "The end of the document with this id, or of all that match.",
                "properties": { "id": id, "filter": schema("Filter"), "all": all },
                "oneOf": either,
                "additionalProperties": false,
            });
        }
        json!({
            "type": "object",
            "description": "One operation: exactly one of the keys.",
            "properties": properties,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        })
    }

    /// A new document as one might send it: what is required, and what stands for itself.
    pub fn sample(&self) -> Option<Json> {
        let mut sample = Map::new();
        for (index, field) in self.collection.declared_fields() {
            let refers = match &field.kind {
                FieldType::List(item) => matches!(**item, FieldType::Ref(_)),
                kind => matches!(kind, FieldType::Ref(_)),
            };
            let rules = self.collection.access.fields.iter();
            let guarded = rules
                .filter(|rule| rule.field == index)
                .any(|rule| rule.writable_by.is_some());
            let wanted = match field.required {
                true => field.default.is_none(),
                false => !refers && !guarded && field.default.is_none(),
            };
            if !wanted || !field.is_accepted() {
                continue;
            }
            match sample_of(&field.json_schema(Direction::Input)) {
                Some(value) => {
                    sample.insert(field.name.clone(), value);
                }
                None if field.required => return None,
                None => {}
            }
        }
        Some(sample.into())
    }
}

impl Described<'_> {
    /// A change of one field, as one might send it.
    pub fn sample_change(&self) -> Option<Json> {
        let sample = self.sample()?;
        let (name, value) = sample.as_object()?.iter().find(|(name, _)| {
            let found = self.collection.field_named(name);
            found.is_some_and(|(_, field)| !field.immutable && field.kind != FieldType::Password)
        })?;
        Some(json!({ name: value }))
    }
}

/// A value that fits a schema, from its examples.
fn sample_of(schema: &Json) -> Option<Json> {
    if let Some(example) = schema.pointer("/examples/0") {
        return Some(example.clone());
    }
    let properties = schema.get("properties")?.as_object()?;
    let samples: Map<String, Json> = properties
        .iter()
        .filter_map(|(name, schema)| Some((name.clone(), sample_of(schema)?)))
        .collect();
    (samples.len() == properties.len()).then(|| samples.into())
}
