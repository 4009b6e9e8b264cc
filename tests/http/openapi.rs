//! The OpenAPI document, as the server gives it.

use std::fs;

use serde_json::Value as Json;

use crate::{library, server::Site, shipped};

#[test]
fn the_document_that_is_served_is_the_one_that_is_printed() {
    let site = Site::with_folder_opened("collections");
    let printed = site
        .command(&["openapi"])
        .output()
        .expect("the binary runs");
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    let served = shipped().get("/openapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.text(), String::from_utf8_lossy(&printed.stdout));
    let tag = served.header("etag").expect("a tag");
    let again = shipped()
        .request("GET", "/openapi.json")
        .header("if-none-match", tag)
        .send();
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn it_describes_every_route_there_is() {
    for (server, folder) in [
        (shipped(), "collections"),
        (library(), "tests/http/collections"),
    ] {
        let document = server.get("/openapi.json").expect(200);
        let version = document["openapi"].as_str().expect("a version");
        assert!(version.starts_with("3.1."), "{version}");
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        let paths = document["paths"].as_object().expect("paths");
        for path in ["/ping", "/health", "/ready", "/batch"] {
            assert!(paths.contains_key(path), "{path}");
        }
        for entry in fs::read_dir(folder).expect("collections") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let append_only = fs::read_to_string(&path)
                .expect("text")
                .contains("append_only: true");
            let changes: &[&str] = if append_only {
                &[]
            } else {
                &["patch", "delete"]
            };
            for (path, methods) in [
                (format!("/{name}"), [&["get", "post"], changes].concat()),
                (format!("/{name}/query"), vec!["post"]),
                (format!("/{name}/count"), vec!["get"]),
                (format!("/{name}/bulk"), vec!["post"]),
                (format!("/{name}/{{id}}"), [&["get"], changes].concat()),
            ] {
                for method in methods {
                    let operation = &document["paths"][&path][method];
                    assert!(operation["operationId"].is_string(), "{method} {path}");
                    assert!(operation["responses"].is_object(), "{method} {path}");
                }
            }
        }
    }
}

#[test]
fn it_holds_together() {
    let document = shipped().get("/openapi.json").expect(200);
    let mut references = Vec::new();
    let mut operations = Vec::new();
    collect(&document, &mut references, &mut operations);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference
            .strip_prefix('#')
            .expect("a place in this document");
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let number = operations.len();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(
        operations.len(),
        number,
        "each operation has a name of its own"
    );
    // Every schema is one, as JSON Schema 2020-12 says, and none speaks of what never leaves.
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let words = document.to_string();
    for hidden in ["password_hash", "refresh_token_hash"] {
        assert!(!words.contains(hidden), "{hidden}");
    }
}

#[test]
fn what_is_sent_is_what_is_described() {
    let document = library().get("/openapi.json").expect(200);
    let operation = &document["paths"]["/books/{id}"]["get"]["responses"]["200"];
    let response = match operation["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect("a response"),
        None => operation,
    };
    let schema = &response["content"]["application/json"]["schema"];
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let full = serde_json::json!({
        "title": "x", "pages": 3, "sold": "9007199254740993", "price": "1.5", "rating": 2.5,
        "published": "2026-01-01", "released_at": "2026-01-01T00:00:00Z", "reading_time": "PT1H",
        "cover": "AA==", "site": "https://example.org", "address": "::1", "tags": ["a"],
        "scores": [1], "format": { "width": 1 }, "meta": { "a": [1] }, "genre": "crime",
    });
    for book in [full, serde_json::json!({ "title": "x" })] {
        let book = library().create("books", &book);
        let errors: Vec<String> = validator
            .iter_errors(&book)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}: {book}");
    }
    assert!(!validator.is_valid(&serde_json::json!({ "title": 1 })));
}

#[test]
fn people_can_read_it() {
    let page = library().get("/docs");
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(page.text().contains("openapi.json"));
}

fn collect<'a>(json: &'a Json, references: &mut Vec<&'a str>, operations: &mut Vec<&'a str>) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value) {
                    ("$ref", Json::String(reference)) => references.push(reference),
                    ("operationId", Json::String(name)) => operations.push(name),
                    _ => collect(value, references, operations),
                }
            }
        }
        Json::Array(items) => items
            .iter()
            .for_each(|item| collect(item, references, operations)),
        _ => {}
    }
}
