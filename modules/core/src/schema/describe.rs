//! The documents of a collection in JSON Schema: as they are sent, as they are created, and what may
//! be changed of them. What describes the API says it with these, whatever way documents go.
//!
//! What a single field is says [`field`](crate::field); here is what only the catalog knows.

use serde_json::{Map, Value as Json, json};

use super::{Catalog, Collection};
use crate::field::{Direction, Field, FieldType, allow_null};

/// The schemas of a collection's documents.
#[derive(Clone, Copy)]
pub struct DocumentSchemas<'a> {
    catalog: &'a Catalog,
    collection: &'a Collection,
}

impl<'a> DocumentSchemas<'a> {
    /// Those of a collection of the catalog.
    pub const fn new(catalog: &'a Catalog, collection: &'a Collection) -> Self {
        Self {
            catalog,
            collection,
        }
    }

    /// A field's schema.
    pub fn field(&self, index: usize, field: &Field, direction: Direction) -> Json {
        let mut schema = field.json_schema(direction);
        let item = match &field.kind {
            FieldType::List(item) => &**item,
            kind => kind,
        };
        if let FieldType::Ref(target) = item {
            let target = &self.catalog.get(target.collection).name;
            let says = match direction {
                Direction::Output => format!("Refers to `{target}`."),
                _ => format!("Refers to `{target}`; must exist."),
            };
            schema["description"] = match schema.get("description").and_then(Json::as_str) {
                Some(before) => format!("{before} {says}"),
                None => says,
            }
            .into();
        }
        let rules = &self.collection.access.fields;
        let guarded = rules
            .iter()
            .any(|rule| rule.field == index && rule.readable_by.is_some());
        if guarded && direction == Direction::Output {
            // Null for those who may not read it.
            allow_null(&mut schema);
        }
        schema
    }

    /// A document as a read answers it, whole: what is stored, and what is found out at each read.
    pub fn read(&self) -> Json {
        let mut schema = self.sent(self.collection.sent_fields());
        for (name, field) in self.collection.virtual_fields() {
            schema["properties"][name] = field.json_schema();
        }
        schema
    }

    /// A document as it is written and announced, whole. Without storage it is what was published:
    /// it has no id, no times and no revision.
    pub fn announced(&self) -> Json {
        self.sent(self.collection.announced_fields())
    }

    fn sent(&self, fields: &[usize]) -> Json {
        let (properties, names): (Map<String, Json>, Vec<&str>) = fields
            .iter()
            .map(|&index| {
                let field = &self.collection.fields()[index];
                let schema = self.field(index, field, Direction::Output);
                ((field.name.clone(), schema), field.name.as_str())
            })
            .unzip();
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "required": names,
            "additionalProperties": false,
        });
        if let Some(description) = &self.collection.description {
            schema["description"] = description.as_str().into();
        }
        schema
    }

    /// A new document.
    pub fn create(&self) -> Json {
        let mut properties = Map::new();
        if !self.collection.is_flux {
            properties.insert(
                "id".into(),
                json!({
                    "type": "string",
                    "format": "uuid",
                    "description": "UUID, chosen by the client; version 7 made by the server where absent.",
                }),
            );
        }
        properties.extend(self.accepted(|_| true, Direction::Input));
        self.input(
            format!("A new {}.", self.collection.singular),
            properties,
            |field| field.required && field.default.is_none(),
        )
    }

    /// A change of a document, as a JSON merge patch.
    pub fn merge_patch(&self) -> Json {
        json!({
            "type": "object",
            "description": format!(
                "A JSON merge patch (RFC 7396) of a {}: what is named gets the value that is there, \
                 null removes it. Fields that cannot be changed are not among them.",
                self.collection.singular
            ),
            "properties": self.accepted(|field| !field.immutable, Direction::Change),
            "additionalProperties": false,
        })
    }

    /// The fields that clients may give a value.
    pub fn accepted(
        &self,
        wanted: impl Fn(&Field) -> bool,
        direction: Direction,
    ) -> Map<String, Json> {
        self.collection
            .declared_fields()
            .filter(|(_, field)| field.is_accepted() && wanted(field))
            .map(|(index, field)| (field.name.clone(), self.field(index, field, direction)))
            .collect()
    }

    /// An object of these properties, in which the fields that are `required` must be.
    pub fn input(
        &self,
        description: String,
        properties: Map<String, Json>,
        required: impl Fn(&Field) -> bool,
    ) -> Json {
        let required: Vec<&str> = self
            .collection
            .declared_fields()
            .filter(|(_, field)| field.is_accepted() && required(field))
            .map(|(_, field)| field.name.as_str())
            .collect();
        let mut schema = json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }
}
