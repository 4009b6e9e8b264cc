//! What is said of each collection: its documents, writes to them, and events about them.

use nubo_core::schema::{Catalog, Collection, DocumentSchemas};
use serde_json::{Value as Json, json};

use super::{
    control::{DONE, expires_in, remains, uuid},
    draft::{Draft, answer, event, request, schema_ref},
};

/// Events about the documents of a stored collection.
const CHANGES: [&str; 4] = ["created", "updated", "deleted", "left"];

/// The names of the events about a collection.
pub(super) fn events(collection: &Collection) -> Vec<String> {
    let name = |event: &&str| format!("{}.{event}", collection.name);
    match collection.is_flux {
        true => vec![name(&"published")],
        false => CHANGES.iter().map(name).collect(),
    }
}

pub(super) fn describe_stored(draft: &mut Draft, catalog: &Catalog, collection: &Collection) {
    let documents = DocumentSchemas::new(catalog, collection);
    let required = documents_heard(draft, &documents, collection, &["id"]);
    draft.schema(&named(collection, "create"), documents.create());
    let saved = json!({ "allOf": [
        schema_ref(&named(collection, "document")),
        { "required": required },
    ] });
    draft.said(
        &named(collection, "saved"),
        format!("The {} as it is now, on disk", collection.singular),
        answer(&["document"], json!({ "document": saved })),
    );
    write(
        draft,
        collection,
        ("create", "Create"),
        &["document"],
        json!({ "document": schema_ref(&named(collection, "create")) }),
    );
    if !collection.append_only {
        draft.schema(&named(collection, "change"), documents.merge_patch());
        let change = json!({ "anyOf": [
            schema_ref(&named(collection, "change")),
            schema_ref("Operators"),
        ] });
        write(
            draft,
            collection,
            ("update", "Change"),
            &["document_id", "change"],
            json!({ "document_id": uuid(), "change": change, "if_match": if_match() }),
        );
        write(
            draft,
            collection,
            ("delete", "Delete"),
            &["document_id"],
            json!({ "document_id": uuid(), "if_match": if_match() }),
        );
    }
    if collection.realtime.announced {
        changes(draft, collection);
    }
}

pub(super) fn describe_flux(draft: &mut Draft, catalog: &Catalog, collection: &Collection) {
    let documents = DocumentSchemas::new(catalog, collection);
    documents_heard(draft, &documents, collection, &[]);
    draft.schema(&named(collection, "create"), documents.create());
    let message = named(collection, "publish");
    draft.said(
        &message,
        format!("A {} that is not stored", collection.singular),
        request(
            "publish",
            &["collection", "document"],
            json!({
                "collection": { "const": collection.name },
                "document": schema_ref(&named(collection, "create")),
                "expires_in": expires_in(),
            }),
        ),
    );
    draft.asked(
        &format!("publish.{}", collection.name),
        format!("Tell those who listen of a {}", collection.singular),
        &message,
        DONE,
    );
    draft.event(
        &named(collection, "published"),
        format!("A {} that is not stored", collection.singular),
        event(
            "published",
            json!({
                "collection": { "const": collection.name },
                "document": schema_ref(&named(collection, "document")),
            }),
        ),
    );
}

fn named(collection: &Collection, what: &str) -> String {
    format!("{}.{what}", collection.name)
}

/// The document as it is heard, of which `fields` may leave out all but a few. The names of all that
/// are there otherwise.
fn documents_heard(
    draft: &mut Draft,
    documents: &DocumentSchemas<'_>,
    collection: &Collection,
    always: &[&str],
) -> Json {
    let mut document = documents.announced();
    let required = std::mem::replace(&mut document["required"], json!(always));
    draft.schema(&named(collection, "document"), document);
    required
}

fn revision(description: &str) -> Json {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

/// The revisions of which the document must have one.
fn if_match() -> Json {
    let one = revision("The revision that the document must have.");
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A write, which is that of the route: same rules, same errors.
fn write(
    draft: &mut Draft,
    collection: &Collection,
    (op, verb): (&str, &str),
    required: &[&str],
    properties: Json,
) {
    let mut all = json!({ "collection": { "const": collection.name } });
    if let (Json::Object(all), Json::Object(properties)) = (&mut all, properties) {
        all.extend(properties);
    }
    let required: Vec<&str> = std::iter::once("collection")
        .chain(required.iter().copied())
        .collect();
    let message = named(collection, op);
    let summary = format!("{verb} a {}", collection.singular);
    draft.said(&message, summary.clone(), request(op, &required, all));
    let saved = named(collection, "saved");
    let answer = match op {
        "delete" => DONE,
        _ => &saved,
    };
    draft.asked(
        &format!("{op}.{}", collection.name),
        summary,
        &message,
        answer,
    );
}

fn changes(draft: &mut Draft, collection: &Collection) {
    let document = schema_ref(&named(collection, "document"));
    let now = revision("The `_rev` that the document has now.");
    let before = revision("The `_rev` that it had in the subscriber's view.");
    let either = json!({
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "The `_rev` that it had in the subscriber's view; null where it has come into \
            it.",
    });
    let nothing = json!({ "type": "null" });
    let one = &collection.singular;
    for (name, summary, revision, previous, document) in [
        (
            "created",
            format!("A {one} is new"),
            &now,
            &nothing,
            &document,
        ),
        (
            "updated",
            format!("A {one} has changed, or has come into view"),
            &now,
            &either,
            &document,
        ),
        (
            "deleted",
            format!("A {one} is gone"),
            &nothing,
            &before,
            &remains(),
        ),
        (
            "left",
            format!("A {one} is no longer among what the subscription shows"),
            &nothing,
            &before,
            &remains(),
        ),
    ] {
        let payload = json!({
            "collection": { "const": collection.name },
            "revision": revision,
            "previous": previous,
            "document": document,
        });
        draft.event(&named(collection, name), summary, event(name, payload));
    }
}
