//! What all collections share: `/batch`, parameters, headers. Problem documents and the answers that
//! are one belong to every module; they are in the document without being brought.

use serde_json::{Map, Value as Json, json};

use super::{
    Described, filters,
    operations::{body, responses},
    reference, schema_ref,
    schemas::count_schema,
};
use crate::settings::Settings;

/// Names of the schemas here, besides those of [`filters`], which no collection's may have.
pub(super) const SCHEMAS: [&str; 6] = [
    "Expanded",
    "Count",
    "Changed",
    "Deleted",
    "BatchOperation",
    "BatchResult",
];

/// The fragment that goes with those of the collections.
pub(super) fn fragment(described: &[Described<'_>], settings: &Settings) -> Json {
    let mut schemas = schemas();
    schemas.insert("BatchOperation".into(), batch_operation(described));
    schemas.insert(
        "BatchResult".into(),
        result(
            json!({
                "type": "object",
                "description": "The document as it is now.",
            }),
            false,
        ),
    );
    schemas.extend(filters::shared(described));
    json!({
        "tags": [{
            "name": "batch",
            "description": "Operations over several collections, in one transaction.",
        }],
        "paths": { "/batch": { "post": batch(described, settings) } },
        "components": {
            "schemas": schemas,
            "parameters": parameters(settings),
            "headers": headers(),
            "responses": { "NotModified": not_modified() },
        },
    })
}

fn batch(described: &[Described<'_>], settings: &Settings) -> Json {
    let operations = json!({
        "type": "array",
        "items": schema_ref("BatchOperation"),
        "description": format!("At most {} operations.", settings.max_batch),
    });
    let answer = json!({
        "description": "A result for each operation; all of them were executed.",
        "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
        "content": { "application/json": { "schema": {
            "type": "object",
            "properties": { "results": { "type": "array", "items": schema_ref("BatchResult") } },
            "required": ["results"],
            "additionalProperties": false,
        } } },
    });
    let errors = [400, 401, 403, 404, 409, 413, 415, 422, 500, 503];
    json!({
        "operationId": "batch",
        "summary": "Execute operations over several collections",
        "description": "All of them in one transaction, in their order; or, if one fails, none.",
        "tags": ["batch"],
        "security": super::operations::security(true),
        "requestBody": body(
            json!({ "anyOf": [
                operations,
                {
                    "type": "object",
                    "properties": { "operations": operations },
                    "required": ["operations"],
                    "additionalProperties": false,
                },
            ] }),
            described.first().and_then(Described::sample).map(|sample| {
                json!([{ "collection": described[0].collection.name, "create": sample }])
            }),
        ),
        "responses": responses([("200", answer)], &errors),
    })
}

/// An operation of any collection. What it brings is described with the collection: all of them in
/// one schema would be too much for most tools.
fn batch_operation(described: &[Described<'_>]) -> Json {
    let names: Vec<&str> = described
        .iter()
        .map(|described| described.collection.name.as_str())
        .collect();
    let brings = |description: &str| json!({ "type": "object", "description": description });
    json!({
        "type": "object",
        "description": "One operation: the collection, and exactly one of the other keys.",
        "properties": {
            "collection": { "type": "string", "enum": names },
            "create": brings("A new document, as POST takes it."),
            "update": brings(
                "`change`, as PATCH takes it, and `id` or `filter` (with `all` where that says \
                 nothing).",
            ),
            "replace": brings("`id`, and `document` as PUT takes it."),
            "delete": brings("`id` or `filter` (with `all` where that says nothing)."),
        },
        "required": ["collection"],
        "minProperties": 2,
        "maxProperties": 2,
        "additionalProperties": false,
    })
}

/// What became of an operation of a bulk request or a batch, which alone never fails in part.
pub(super) fn result(document: Json, may_fail: bool) -> Json {
    let mut schema = json!({
        "type": "object",
        "description": "What became of an operation.",
        "properties": {
            "status": {
                "type": "integer",
                "description": "The status that the operation alone would have been answered with.",
            },
            "document": document,
            "matched": count_schema("Documents that matched."),
            "modified": count_schema("Documents that are different now."),
            "deleted": count_schema("Documents that are gone."),
        },
        "required": ["status"],
        "additionalProperties": false,
    });
    if may_fail {
        schema["properties"]["status"]["description"] =
            "The status that the operation alone would have been answered with; 424 where it was \
             not tried."
                .into();
        schema["properties"]["error"] = schema_ref("Problem");
    }
    schema
}

fn schemas() -> Map<String, Json> {
    let object = |description: &str, properties: Json, required: &[&str]| {
        json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "required": required,
        })
    };
    let expanded = json!({
        "type": "object",
        "description": "Related documents, by the name of the field or collection; only with \
                        `expand`. One that cannot be seen is null.",
        "additionalProperties": {
            "anyOf": [
                { "type": "object" },
                { "type": "array", "items": { "type": "object" } },
                { "type": "null" },
            ],
        },
    });
    let counts = |description: &str, names: &[(&str, &str)]| {
        let properties: Map<String, Json> = names
            .iter()
            .map(|(name, description)| ((*name).to_owned(), count_schema(description)))
            .collect();
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let mut schema = object(description, properties.into(), &names);
        schema["additionalProperties"] = false.into();
        schema
    };
    Map::from_iter([
        ("Expanded".to_owned(), expanded),
        (
            "Count".to_owned(),
            counts(
                "A number of documents.",
                &[("count", "Documents that match.")],
            ),
        ),
        (
            "Changed".to_owned(),
            counts(
                "What a change did.",
                &[
                    ("matched", "Documents that matched."),
                    ("modified", "Those of them that are different now."),
                ],
            ),
        ),
        (
            "Deleted".to_owned(),
            counts(
                "What a deletion did.",
                &[("deleted", "Documents that are gone.")],
            ),
        ),
    ])
}

fn parameters(settings: &Settings) -> Json {
    let query = |name: &str, description: &str, schema: Json| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "description": description,
            "schema": { "type": "string", "pattern": r#"^(?:\*|(?:W/)?"[0-9]{1,18}"(?:, (?:W/)?"[0-9]{1,18}")*)$"# },
        })
    };
    let (most, usual) = (settings.max_limit, settings.default_limit);
    // Said in words: a tool that fills in defaults would send `limit` with `page`, which is refused.
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": most });
    let flag = json!({ "type": "boolean", "default": false });
    json!({
        "Limit": query("limit", &format!("Most documents of the answer; {usual} where absent."), limit.clone()),
        "Cursor": query(
            "cursor",
            "`next_cursor` of the answer before, to go on behind it. It belongs to its filter and \
             sort.",
            json!({ "type": "string" }),
        ),
        "Page": query(
            "page",
            "Number of a page, from 1. Goes with neither `cursor` nor `limit`.",
            json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        ),
        "PageSize": query(
            "page_size",
            &format!("Most documents of a page; {usual} where absent. Goes with neither `cursor` nor `limit`."),
            limit,
        ),
        "Consistent": query(
            "consistent",
            "Read the whole answer at one moment. For lists by cursor, without `expand`.",
            flag.clone(),
        ),
        "Explain": query(
            "explain",
            "Say in `X-Nubo-Explain` why the answer comes from its tier. For admins, and for \
             everybody where the server is set up so.",
            flag.clone(),
        ),
        "All": query("all", "Every document is meant, where the filter says nothing.", flag.clone()),
        "Ordered": query("ordered", "Stop at the first operation that fails.", flag),
        "IfMatch": header(
            "If-Match",
            "Only if the document is at one of these revisions: tags as ETag gave them, or `*`.",
        ),
        "IfNoneMatch": header(
            "If-None-Match",
            "Send the document only if it is at none of these revisions; else 304.",
        ),
    })
}

fn headers() -> Json {
    let header =
        |description: &str, schema: Json| json!({ "description": description, "schema": schema });
    let text = json!({ "type": "string" });
    json!({
        "ETag": header(
            "Revision of the document, in quotation marks. Not with `fields` or `expand`.",
            json!({ "type": "string", "pattern": "^\"[0-9]+\"$", "examples": ["\"1795297500123456\""] }),
        ),
        "Location": header(
            "Path of the new document.",
            json!({ "type": "string", "format": "uri-reference" }),
        ),
        "Cache-Control": header(
            "Caches ask each time before they use what they keep, and keep it for one person.",
            json!({ "type": "string", "examples": ["private, no-cache"] }),
        ),
        "Vary": header("What else the answer depends on.", text.clone()),
        "X-Nubo-Tier": header(
            "The tier that gave the answer.",
            json!({ "type": "string", "examples": ["cache", "truth"] }),
        ),
        "X-Nubo-Explain": header(
            "Why it was that tier, where the request asks.",
            json!({ "type": "string", "examples": ["a document was not in the cache"] }),
        ),
    })
}

/// The name of the response with a status, which every document has.
pub(super) const fn error_name(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        412 => "PreconditionFailed",
        413 => "PayloadTooLarge",
        415 => "UnsupportedMediaType",
        422 => "UnprocessableContent",
        503 => "ServiceUnavailable",
        _ => "InternalServerError",
    }
}

fn not_modified() -> Json {
    let mut headers = Map::new();
    for name in [
        "ETag",
        "Cache-Control",
        "Vary",
        "X-Nubo-Tier",
        "X-Nubo-Explain",
        "X-Request-Id",
    ] {
        headers.insert(name.to_owned(), reference("headers", name));
    }
    json!({ "description": "The client has this revision already.", "headers": headers })
}
