//! What OpenAPI 3.0 says differently than 3.1, in fragments that are still made that way.

use serde_json::{Map, Value as Json, json};

/// A fragment as OpenAPI 3.1 has it. What is 3.1 already stays as it is.
pub(crate) fn fragment(mut fragment: Json) -> Json {
    if let Some(Json::Object(schemas)) = fragment.pointer_mut("/components/schemas") {
        schemas.values_mut().for_each(schema);
    }
    around_schemas(&mut fragment);
    fragment
}

/// Walks to every schema outside `components.schemas`.
fn around_schemas(json: &mut Json) {
    match json {
        Json::Object(entries) => {
            content_types(entries);
            for (key, value) in entries.iter_mut() {
                match key.as_str() {
                    "schema" => schema(value),
                    "schemas" | "example" | "examples" => {}
                    _ => around_schemas(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(around_schemas),
        _ => {}
    }
}

/// A media type needs no parameters here, and JSON has none.
fn content_types(entries: &mut Map<String, Json>) {
    if let Some(Json::Object(content)) = entries.get_mut("content") {
        *content = std::mem::take(content)
            .into_iter()
            .map(|(name, media)| {
                let bare = name.split(';').next().unwrap_or_default().trim();
                (bare.to_owned(), media)
            })
            .collect();
    }
}

fn schema(json: &mut Json) {
    let Json::Object(entries) = json else {
        return;
    };
    for (key, value) in entries.iter_mut() {
        match (key.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "dependentSchemas",
                Json::Object(inside),
            ) => {
                inside.values_mut().for_each(schema);
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Json::Array(inside)) => {
                inside.iter_mut().for_each(schema);
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames"
                | "if"
                | "then"
                | "else",
                inside,
            ) => schema(inside),
            _ => {}
        }
    }
    if let Some(example) = entries.shift_remove("example") {
        entries
            .entry("examples")
            .or_insert_with(|| json!([example]));
    }
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match entries.get(flag) {
            Some(Json::Bool(true)) => {
                if let Some(limit) = entries.shift_remove(bound) {
                    entries.insert(flag.to_owned(), limit);
                }
            }
            Some(Json::Bool(false)) => {
                entries.shift_remove(flag);
            }
            _ => {}
        }
    }
    if entries.shift_remove("nullable") == Some(Json::Bool(true)) {
        nullable(json);
    }
}

fn nullable(json: &mut Json) {
    if let Some(Json::Array(values)) = json.get_mut("enum") {
        values.push(Json::Null);
    }
    match json.get_mut("type") {
        Some(Json::String(kind)) => {
            let kinds = json!([kind, "null"]);
            json["type"] = kinds;
        }
        Some(_) => {}
        None => *json = json!({ "anyOf": [json.take(), { "type": "null" }] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_zero_becomes_three_one() {
        let old = json!({
            "paths": { "/a": { "get": { "responses": { "200": { "content": {
                "application/json; charset=utf-8": { "schema": {
                    "type": "string", "nullable": true, "example": "x",
                } },
            } } } } } },
            "components": { "schemas": { "A": {
                "type": "object",
                "properties": {
                    "nullable": { "type": "integer", "minimum": 0, "exclusiveMinimum": true },
                    "other": { "$ref": "#/components/schemas/B", "nullable": true },
                    "kind": { "type": "string", "enum": ["a"], "nullable": true },
                },
                "example": { "nullable": true },
            } } },
        });
        let new = json!({
            "paths": { "/a": { "get": { "responses": { "200": { "content": {
                "application/json": { "schema": {
                    "type": ["string", "null"], "examples": ["x"],
                } },
            } } } } } },
            "components": { "schemas": { "A": {
                "type": "object",
                "properties": {
                    "nullable": { "type": "integer", "exclusiveMinimum": 0 },
                    "other": { "anyOf": [
                        { "$ref": "#/components/schemas/B" },
                        { "type": "null" },
                    ] },
                    "kind": { "type": ["string", "null"], "enum": ["a", null] },
                },
                "examples": [{ "nullable": true }],
            } } },
        });
        assert_eq!(fragment(old), new);
        assert_eq!(fragment(new.clone()), new);
    }
}
