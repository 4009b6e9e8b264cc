//! What a field looks like in the API's documentation: JSON Schema (2020-12), as OpenAPI 3.1 uses
//! it.

use serde_json::{Map, Value as Json, json};

use super::{Bound, DefaultValue, Field, FieldType};
use crate::value::Value;

/// Which side of the API a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send.
    Input,
    /// What the server sends.
    Output,
}

impl FieldType {
    /// The schema of a value that is not null.
    pub fn json_schema(&self, direction: Direction) -> Json {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Int => json!({ "type": "integer", "format": "int32",
                "minimum": i32::MIN, "maximum": i32::MAX }),
            Self::BigInt => json!({ "type": ["integer", "string"], "format": "int64",
                "pattern": "^-?[0-9]{1,19}$",
                "minimum": i64::MIN, "maximum": i64::MAX }),
            Self::Float => json!({ "type": "number", "format": "double" }),
            Self::Decimal if direction == Direction::Input => json!({
                "type": ["string", "number"], "format": "decimal",
                "pattern": "^-?[0-9]{1,28}(\\.[0-9]{1,28})?$", "examples": ["12.50"] }),
            Self::Decimal => json!({ "type": "string", "format": "decimal",
                "examples": ["12.5"] }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Uuid | Self::Ref(_) => json!({ "type": "string", "format": "uuid",
                "examples": ["0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11"] }),
            Self::Timestamp => json!({ "type": "string", "format": "date-time",
                "examples": ["2026-11-21T21:45:00.123Z"] }),
            Self::Date => json!({ "type": "string", "format": "date",
                "examples": ["2026-11-21"] }),
            Self::Duration => json!({ "type": "string", "format": "duration",
                "examples": ["P1DT2H30M"] }),
            Self::Json => json!({}),
            Self::Object(fields) => object_schema(fields, direction),
            Self::Ip => {
                json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }],
                "examples": ["192.0.2.1", "2001:db8::1"] })
            }
            Self::Email => json!({ "type": "string", "format": "email", "maxLength": 254,
                "examples": ["ada@example.org"] }),
            Self::Url => json!({ "type": "string", "format": "uri", "maxLength": 8192,
                "examples": ["https://example.org/"] }),
            Self::Bytes => json!({ "type": "string", "contentEncoding": "base64",
                "examples": ["aGVsbG8="] }),
            Self::Password => json!({ "type": "string", "format": "password", "maxLength": 1024 }),
            Self::List(item) => json!({ "type": "array", "items": item.json_schema(direction) }),
        }
    }
}

impl Field {
    /// The schema of the field, with its limits, default and description.
    pub fn json_schema(&self, direction: Direction) -> Json {
        let mut schema = self.kind.json_schema(direction);
        let (outer, in_items) = match &self.kind {
            FieldType::List(_) => (&mut schema, true),
            _ => (&mut schema, false),
        };
        if let Json::Object(schema) = outer {
            self.describe_length(schema);
            if in_items {
                if let Some(Json::Object(items)) = schema.get_mut("items") {
                    self.describe_value(items, direction);
                }
            } else {
                self.describe_value(schema, direction);
            }
            self.describe_field(schema, direction);
        }
        if !self.required && !self.system {
            allow_null(&mut schema);
        }
        schema
    }

    fn describe_length(&self, schema: &mut Map<String, Json>) {
        let (min, max) = match self.kind {
            FieldType::List(_) => ("minItems", "maxItems"),
            FieldType::Bytes => return,
            _ => ("minLength", "maxLength"),
        };
        for (key, length) in [(min, self.limits.min_length), (max, self.limits.max_length)] {
            if let Some(length) = length {
                schema.insert(key.into(), length.into());
            }
        }
    }

    fn describe_value(&self, schema: &mut Map<String, Json>, direction: Direction) {
        let numeric = self.kind.is_numeric();
        for (key, bound) in [("minimum", &self.limits.min), ("maximum", &self.limits.max)] {
            if let Some(Bound::Fixed(value)) = bound
                && numeric
            {
                schema.insert(key.into(), to_json(&self.kind, value));
            }
        }
        if let Some(pattern) = &self.limits.pattern {
            schema.insert("pattern".into(), pattern.as_str().into());
        }
        if !self.limits.choices.is_empty() {
            let item = match &self.kind {
                FieldType::List(item) => item,
                kind => kind,
            };
            let names = self.limits.choices.iter().filter_map(|c| c.name.as_deref());
            let mut values: Vec<Json> = self
                .limits
                .choices
                .iter()
                .map(|choice| to_json(item, &choice.value))
                .collect();
            if direction == Direction::Input {
                values.extend(names.map(Json::from));
                schema.remove("type");
                schema.remove("format");
            }
            schema.retain(|key, _| !matches!(key.as_str(), "minimum" | "maximum"));
            schema.insert("enum".into(), values.into());
        }
    }

    fn describe_field(&self, schema: &mut Map<String, Json>, direction: Direction) {
        let names: Vec<String> = self
            .limits
            .choices
            .iter()
            .filter_map(|c| c.name.as_ref().map(|name| format!("{:?} {name}", c.value)))
            .collect();
        let sentences = [
            self.description.clone(),
            (!names.is_empty()).then(|| names.join(", ")),
            match (&self.limits.min, &self.limits.max) {
                (Some(Bound::YearsFromToday(min)), Some(Bound::YearsFromToday(max))) => {
                    Some(format!("From {} to {} years ago.", -max, -min))
                }
                _ => None,
            },
        ];
        let description: Vec<String> = sentences.into_iter().flatten().collect();
        if !description.is_empty() {
            schema.insert("description".into(), description.join(" — ").into());
        }
        if let (Some(DefaultValue::Literal(value)), Direction::Input) = (&self.default, direction) {
            schema.insert("default".into(), to_json(&self.kind, value));
        }
        if self.kind == FieldType::Password || self.write_only {
            schema.insert("writeOnly".into(), true.into());
        }
        if self.system {
            schema.insert("readOnly".into(), true.into());
        }
    }
}

/// The schema of an object made of these fields.
pub(crate) fn object_schema(fields: &[Field], direction: Direction) -> Json {
    let side = |field: &&Field| match direction {
        Direction::Input => field.is_accepted(),
        Direction::Output => field.is_sent(),
    };
    let properties: Map<String, Json> = fields
        .iter()
        .filter(side)
        .map(|field| (field.name.clone(), field.json_schema(direction)))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(side)
        .filter(|field| match direction {
            Direction::Input => field.required && field.default.is_none(),
            Direction::Output => true,
        })
        .map(|field| field.name.as_str())
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Lets a schema accept null as well.
fn allow_null(schema: &mut Json) {
    let Json::Object(entries) = schema else {
        return;
    };
    match entries.get_mut("type") {
        Some(Json::String(kind)) => {
            let both = json!([kind, "null"]);
            entries.insert("type".into(), both);
        }
        Some(Json::Array(kinds)) => kinds.push("null".into()),
        _ => {}
    }
    if let Some(Json::Array(values)) = entries.get_mut("enum") {
        values.push(Json::Null);
    }
    // A format cannot be asked of null, and `anyOf` over formats alone does not.
}

/// A value as JSON, as it is sent.
pub(crate) fn to_json(kind: &FieldType, value: &Value) -> Json {
    let mut out = Vec::new();
    kind.write_json(value, &mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}
