//! One document from many fragments.
//!
//! The same fragments make the same text, byte by byte, because the document is checked in and
//! compared.

use std::collections::{BTreeMap, HashMap, HashSet};

use nubo_core::module::SetupError;
use serde_json::{Map, Value as Json, json};

use crate::{settings::Settings, shared, upgrade};

/// Group of the tags that belong to no domain.
const SERVER: &str = "server";
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// Makes one OpenAPI 3.1 document of what the modules bring. `settings` is the section `openapi` of
/// the configuration; what it leaves out has its default.
///
/// A fragment is an object with `tags`, `paths` and `components`; whatever else is in it is passed
/// over. A tag may have `x-domain`, the group it belongs to. The schemas `Problem` and `Violation`, the
/// headers `X-Request-Id` and `Retry-After`, and a response for each error (`BadRequest`, `NotFound`
/// and so on) are there without being brought; what a fragment has under these names is passed over.
///
/// # Errors
/// The settings cannot be read, or two fragments have the same path, the same operation id, or
/// different components under one name.
pub fn assemble(
    settings: &Json,
    base_path: &str,
    fragments: Vec<Json>,
) -> Result<Json, SetupError> {
    let settings: Settings = serde_json::from_value(settings.clone())
        .map_err(|error| SetupError::caused("the section `openapi`", error))?;
    let mut parts = Parts {
        shared: shared::components(),
        ..Parts::default()
    };
    for fragment in fragments {
        parts.add(upgrade::fragment(fragment))?;
    }
    parts.finish(&settings, base_path)
}

#[derive(Default)]
struct Parts {
    tags: Vec<Map<String, Json>>,
    paths: Map<String, Json>,
    components: BTreeMap<String, BTreeMap<String, Json>>,
    /// By kind and name.
    shared: Json,
}

impl Parts {
    fn add(&mut self, mut fragment: Json) -> Result<(), SetupError> {
        if let Json::Array(tags) = fragment["tags"].take() {
            for tag in tags {
                if let Json::Object(tag) = tag {
                    self.add_tag(tag);
                }
            }
        }
        if let Json::Object(paths) = fragment["paths"].take() {
            for (path, item) in paths {
                if self.paths.contains_key(&path) {
                    return Err(twice("path", &path));
                }
                self.paths.insert(path, item);
            }
        }
        if let Json::Object(components) = fragment["components"].take() {
            for (kind, entries) in components {
                let Json::Object(entries) = entries else {
                    continue;
                };
                for (name, component) in entries {
                    if self.shared[&kind].get(&name).is_some() {
                        continue;
                    }
                    let there = self.components.entry(kind.clone()).or_default();
                    match there.get(&name) {
                        Some(other) if *other != component => {
                            return Err(twice("component", &name));
                        }
                        _ => there.insert(name, component),
                    };
                }
            }
        }
        Ok(())
    }

    /// A tag that stands twice is one; what the first does not say, the second may.
    fn add_tag(&mut self, tag: Map<String, Json>) {
        let name = tag.get("name").cloned();
        match self
            .tags
            .iter_mut()
            .find(|there| there.get("name") == name.as_ref())
        {
            None => self.tags.push(tag),
            Some(there) => {
                for (key, value) in tag {
                    there.entry(key).or_insert(value);
                }
            }
        }
    }

    fn finish(mut self, settings: &Settings, base_path: &str) -> Result<Json, SetupError> {
        self.check_operations()?;
        self.add_shared();
        let (tags, groups) = self.sorted_tags();
        let servers = match settings.servers.as_slice() {
            [] if base_path.is_empty() => json!([{ "url": "/" }]),
            [] => json!([{ "url": base_path }]),
            servers => json!(servers),
        };
        let mut info = json!({ "title": settings.title, "version": settings.version });
        if let Some(description) = &settings.description {
            info["description"] = description.as_str().into();
        }
        if let Some(license) = &settings.license {
            info["license"] = json!(license);
        }
        Ok(json!({
            "openapi": "3.1.0",
            "info": info,
            "servers": servers,
            "tags": tags,
            "x-tagGroups": groups,
            "security": [],
            "paths": self.paths,
            "components": self.components,
        }))
    }

    /// Ids are unique; an operation without a tag gets one, and every tag that is used is listed,
    /// as is the way to say who asks, where any operation wants to know.
    fn check_operations(&mut self) -> Result<(), SetupError> {
        let mut ids = HashSet::new();
        let mut used = Vec::new();
        let mut secured = false;
        let items = self.paths.values_mut().filter_map(Json::as_object_mut);
        for item in items {
            for (_, operation) in item
                .iter_mut()
                .filter(|(key, _)| METHODS.contains(&&***key))
            {
                if let Some(id) = operation.get("operationId").and_then(Json::as_str)
                    && !ids.insert(id.to_owned())
                {
                    return Err(twice("operation id", id));
                }
                let ways = operation.get("security").and_then(Json::as_array);
                secured |= ways
                    .is_some_and(|ways| ways.iter().any(|way| way.get(shared::BEARER).is_some()));
                let tags = operation.get("tags").and_then(Json::as_array);
                if tags.is_none_or(Vec::is_empty) {
                    operation["tags"] = json!([SERVER]);
                }
                let tags = operation.get("tags").and_then(Json::as_array);
                used.extend(tags.into_iter().flatten().cloned());
            }
        }
        if secured {
            let schemes = self.components.entry("securitySchemes".into()).or_default();
            let scheme = self.shared["securitySchemes"][shared::BEARER].clone();
            schemes.insert(shared::BEARER.into(), scheme);
        }
        for name in used {
            self.add_tag(Map::from_iter([("name".to_owned(), name)]));
        }
        Ok(())
    }

    /// Adds the shared components that are referred to, and those that these refer to.
    fn add_shared(&mut self) {
        let mut wanted = Vec::new();
        let parts = self.paths.values();
        let components = self.components.values().flat_map(BTreeMap::values);
        parts
            .chain(components)
            .for_each(|part| references(part, &mut wanted));
        while let Some(reference) = wanted.pop() {
            let place = reference.strip_prefix("#/components/");
            let Some((kind, name)) = place.and_then(|place| place.split_once('/')) else {
                continue;
            };
            let there = self.components.entry(kind.to_owned()).or_default();
            if let Some(component) = self.shared[kind].get(name)
                && !there.contains_key(name)
            {
                references(component, &mut wanted);
                there.insert(name.to_owned(), component.clone());
            }
        }
    }

    /// Tags by domain and name, those without a domain last, and the domains as groups.
    fn sorted_tags(&mut self) -> (Vec<Json>, Vec<Json>) {
        let mut tags: Vec<(Option<String>, String, Map<String, Json>)> = self
            .tags
            .drain(..)
            .map(|mut tag| {
                let text = |json: Option<Json>| match json {
                    Some(Json::String(text)) => Some(text),
                    _ => None,
                };
                let domain = text(tag.shift_remove("x-domain"));
                let name = text(tag.get("name").cloned()).unwrap_or_default();
                (domain, name, tag)
            })
            .collect();
        tags.sort_by(|(a, a_name, _), (b, b_name, _)| {
            (a.is_none(), a, a_name).cmp(&(b.is_none(), b, b_name))
        });
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (domain, name, _) in &tags {
            let domain = domain.as_deref().unwrap_or(SERVER);
            let place = *places.entry(domain.to_owned()).or_insert_with(|| {
                groups.push((domain.to_owned(), Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(name.clone());
        }
        let groups = groups
            .into_iter()
            .map(|(name, tags)| json!({ "name": name, "tags": tags }));
        (
            tags.into_iter().map(|(_, _, tag)| tag.into()).collect(),
            groups.collect(),
        )
    }
}

/// Collects where a part of the document refers to.
fn references(part: &Json, found: &mut Vec<String>) {
    match part {
        Json::Object(entries) => {
            if let Some(Json::String(target)) = entries.get("$ref") {
                found.push(target.clone());
            }
            entries.values().for_each(|value| references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn twice(what: &str, name: &str) -> SetupError {
    SetupError::new(format!("the API's document has the {what} `{name}` twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, id: &str, tag: &str) -> Json {
        json!({ "paths": { path: { "get": { "operationId": id, "tags": [tag] } } } })
    }

    fn document(fragments: Vec<Json>) -> Json {
        assemble(&json!({}), "", fragments).unwrap()
    }

    #[test]
    fn tags_are_sorted_by_domain() {
        let tagged = json!({ "tags": [
            { "name": "posts", "x-domain": "content", "description": "What people publish." },
            { "name": "users", "x-domain": "auth" },
            { "name": "comments", "x-domain": "content" },
        ] });
        let document = document(vec![path("/ping", "ping", "health"), tagged]);
        assert_eq!(
            document["tags"],
            json!([
                { "name": "users" },
                { "name": "comments" },
                { "name": "posts", "description": "What people publish." },
                { "name": "health" },
            ])
        );
        assert_eq!(
            document["x-tagGroups"],
            json!([
                { "name": "auth", "tags": ["users"] },
                { "name": "content", "tags": ["comments", "posts"] },
                { "name": "server", "tags": ["health"] },
            ])
        );
    }

    #[test]
    fn nothing_stands_twice() {
        let refused = |fragments| {
            let assembled = assemble(&json!({}), "", fragments);
            assembled.unwrap_err().to_string()
        };
        assert!(refused(vec![path("/a", "a", "t"), path("/a", "b", "t")]).contains("path `/a`"));
        assert!(refused(vec![path("/a", "a", "t"), path("/b", "a", "t")]).contains("id `a`"));
        let component =
            |kind: &str| json!({ "components": { "schemas": { "A": { "type": kind } } } });
        assert!(refused(vec![component("string"), component("object")]).contains("component `A`"));
        assert_eq!(
            document(vec![component("string"), component("string")])["components"],
            component("string")["components"]
        );
    }

    #[test]
    fn servers_are_where_the_document_is() {
        let with = |base_path| assemble(&json!({}), base_path, Vec::new()).unwrap();
        assert_eq!(with("")["servers"], json!([{ "url": "/" }]));
        assert_eq!(with("/api")["servers"], json!([{ "url": "/api" }]));
    }

    #[test]
    fn an_operation_without_a_tag_gets_one() {
        let bare = json!({ "paths": { "/ping": { "get": { "operationId": "ping" } } } });
        let document = document(vec![bare]);
        assert_eq!(document["paths"]["/ping"]["get"]["tags"], json!(["server"]));
        assert_eq!(document["tags"], json!([{ "name": "server" }]));
    }

    #[test]
    fn shared_components_are_there_where_they_are_meant() {
        let failing = json!({ "paths": { "/a": { "get": { "operationId": "a", "responses": {
            "404": { "$ref": "#/components/responses/NotFound" },
        } } } }, "components": { "schemas": { "Problem": { "type": "string" } } } });
        let document = document(vec![failing]);
        let components = &document["components"];
        assert!(components["responses"]["NotFound"]["content"].is_object());
        assert!(components["responses"].get("Conflict").is_none());
        assert_eq!(components["schemas"]["Problem"]["type"], "object");
        assert!(components["schemas"]["Violation"].is_object());
        assert!(components["headers"]["X-Request-Id"].is_object());
    }
}
