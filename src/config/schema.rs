//! The JSON Schemas of `nubo.yaml` and of a collection file, put together from the types that hold
//! them and from the sections that the modules bring.

use nubo_core::{declare::CollectionDeclaration, module::Section};
use serde_json::{Map, Value as Json, json};

use super::{settings::Settings, shape::Shape};

/// The JSON Schema of a collection file.
pub fn collection() -> Json {
    schemars::schema_for!(CollectionDeclaration).to_value()
}

/// The JSON Schema of `nubo.yaml` for a server with these modules.
pub fn nubo(sections: &[(&'static str, Section)]) -> Json {
    let mut root = schemars::schema_for!(Settings).to_value();
    let mut definitions = take_map(&mut root, "$defs");
    let mut properties = take_map(&mut root, "properties");

    let mut switches = Map::new();
    for (name, section) in sections {
        let switch = json!({ "type": "boolean", "default": true });
        switches.insert((*name).to_owned(), switch);
        let section = adopt(section.schema.clone().to_value(), name, &mut definitions);
        if takes_settings(&section) {
            properties.insert((*name).to_owned(), section);
        }
    }
    if let Some(modules) = properties.get_mut("modules") {
        modules["properties"] = Json::Object(switches);
        modules["additionalProperties"] = false.into();
    }
    properties.insert("collections".into(), collections(&mut definitions));

    root["properties"] = Json::Object(properties);
    root["$defs"] = Json::Object(definitions);
    root
}

/// Collections declared in `nubo.yaml` itself: a list, or names and what they stand for.
fn collections(definitions: &mut Map<String, Json>) -> Json {
    let listed = adopt(collection(), "collection", definitions);
    let mut named = listed.clone();
    if let Some(required) = named.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|key| key != "name");
    }
    definitions.insert("collection".into(), listed);
    definitions.insert("collection.named".into(), named);
    json!({
        "description": "Collections declared here rather than in files of their own.",
        "anyOf": [
            { "type": "array", "items": { "$ref": "#/$defs/collection" } },
            { "type": "object", "additionalProperties": { "$ref": "#/$defs/collection.named" } },
        ],
    })
}

/// Makes a schema part of a larger one: its definitions move over, under names that begin with
/// `owner`, so that those of two modules cannot meet.
fn adopt(mut schema: Json, owner: &str, definitions: &mut Map<String, Json>) -> Json {
    for (name, mut definition) in take_map(&mut schema, "$defs") {
        rename_references(&mut definition, owner);
        definitions.insert(format!("{owner}.{name}"), definition);
    }
    rename_references(&mut schema, owner);
    if let Some(keywords) = schema.as_object_mut() {
        keywords.shift_remove("$schema");
        keywords.shift_remove("title");
    }
    schema
}

fn rename_references(schema: &mut Json, owner: &str) {
    match schema {
        Json::Object(keywords) => {
            if let Some(Json::String(reference)) = keywords.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{owner}.{name}");
            }
            for value in keywords.values_mut() {
                rename_references(value, owner);
            }
        }
        Json::Array(items) => {
            for item in items {
                rename_references(item, owner);
            }
        }
        _ => {}
    }
}

fn takes_settings(section: &Json) -> bool {
    let known = Shape::root(section).properties();
    known.is_some_and(|known| !known.is_empty())
        || section.get("additionalProperties") != Some(&Json::Bool(false))
}

fn take_map(schema: &mut Json, keyword: &str) -> Map<String, Json> {
    match schema
        .as_object_mut()
        .and_then(|keywords| keywords.shift_remove(keyword))
    {
        Some(Json::Object(entries)) => entries,
        _ => Map::new(),
    }
}

/// A configuration as it may be shown: what its schema marks as secret (`format: password`) is
/// replaced.
pub fn redacted(schema: &Json, value: &Json) -> Json {
    hide(Shape::root(schema), value)
}

fn hide(shape: Shape<'_>, value: &Json) -> Json {
    if shape.is_secret() && !value.is_null() {
        return "(secret)".into();
    }
    let mut alternatives = shape.branches();
    alternatives.push(shape);
    let within = |key: &str, value: &Json| {
        // Secret in one alternative is secret in all: better to hide too much.
        let views = alternatives.iter().filter_map(|shape| shape.property(key));
        views.fold(value.clone(), |value, shape| hide(shape, &value))
    };
    match value {
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), within(key, value)))
            .collect(),
        Json::Array(items) => {
            let schemas = alternatives.iter().filter_map(|shape| shape.get("items"));
            let views: Vec<_> = schemas.map(|schema| shape.with(schema)).collect();
            let hidden = |item: &Json| {
                views
                    .iter()
                    .fold(item.clone(), |item, shape| hide(*shape, &item))
            };
            items.iter().map(hidden).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Serialize;

    use super::*;

    #[derive(Default, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Mail {
        limits: Limits,
        server: Option<Login>,
    }

    #[derive(Default, Serialize, JsonSchema)]
    struct Limits {
        per_hour: u32,
    }

    #[derive(Default, Serialize, JsonSchema)]
    struct Login {
        user: String,
        #[schemars(extend("format" = "password"))]
        password: Option<String>,
    }

    fn sections() -> Vec<(&'static str, Section)> {
        vec![
            ("mail", Section::of::<Mail>()),
            ("post", Section::of::<Mail>()),
            ("plain", Section::of::<nubo_core::module::NoSettings>()),
        ]
    }

    #[test]
    fn each_module_has_a_switch_and_a_section_if_it_takes_settings() {
        let schema = nubo(&sections());
        let switches = &schema["properties"]["modules"]["properties"];
        assert!(switches["plain"].is_object());
        assert!(schema["properties"]["plain"].is_null());
        assert_eq!(
            schema.pointer("/properties/mail/properties/limits/$ref"),
            Some(&json!("#/$defs/mail.Limits"))
        );
        assert!(schema["$defs"]["post.Limits"].is_object());
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let value = json!({"mail": {"server": {"user": "a", "password": "hunter2"}}});
        assert_eq!(
            redacted(&nubo(&sections()), &value),
            json!({"mail": {"server": {"user": "a", "password": "(secret)"}}})
        );
    }
}
