//! What all collections share: errors, headers, parameters, `/batch`.

use serde_json::{Map, Value as Json, json};

use super::{
    Described, filters, operations::responses, reference, schema_ref, schemas::count_schema,
};
use crate::settings::Settings;

/// Names of the schemas here, which no collection's may have.
pub(super) const SCHEMAS: [&str; 40] = {
    let mut names = [""; 40];
    let own = [
        "Problem",
        "Violation",
        "Expanded",
        "Count",
        "Changed",
        "Deleted",
        "BatchOperation",
        "BatchResult",
    ];
    let mut at = 0;
    while at < own.len() {
        names[at] = own[at];
        at += 1;
    }
    let mut condition = 0;
    while condition < filters::CONDITIONS.len() {
        names[at + condition] = filters::CONDITIONS[condition];
        condition += 1;
    }
    names
};

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
            "responses": error_responses(),
        },
    })
}

fn batch(described: &[Described<'_>], settings: &Settings) -> Json {
    let operations = json!({
        "type": "array",
        "items": schema_ref("BatchOperation"),
        "maxItems": settings.max_batch,
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
    let mut errors = vec![400, 404, 409, 413, 415, 422, 500, 503];
    if described
        .iter()
        .any(|described| described.collection.append_only)
    {
        errors.push(403);
        errors.sort_unstable();
    }
    json!({
        "operationId": "batch",
        "summary": "Execute operations over several collections",
        "description": "All of them in one transaction, in their order; or, if one fails, none.",
        "tags": ["batch"],
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "anyOf": [
                operations,
                {
                    "type": "object",
                    "properties": { "operations": operations },
                    "required": ["operations"],
                    "additionalProperties": false,
                },
            ],
        } } } },
        "responses": responses([("200", answer)], &errors),
    })
}

/// An operation of any collection, told apart by its `collection`.
fn batch_operation(described: &[Described<'_>]) -> Json {
    let names = described.iter().map(|described| {
        let schema = schema_ref(&described.names.schema("BatchOperation"));
        (described.collection.name.clone(), schema)
    });
    let (mapping, all): (Map<String, Json>, Vec<Json>) = names
        .map(|(name, schema)| ((name, schema["$ref"].clone()), schema))
        .unzip();
    if all.is_empty() {
        return json!({ "type": "object" });
    }
    json!({
        "oneOf": all,
        "discriminator": { "propertyName": "collection", "mapping": mapping },
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
    let text = |description: &str| json!({ "type": "string", "description": description });
    let problem = object(
        "Why a request was not carried out (RFC 9457).",
        json!({
            "type": { "type": "string", "format": "uri-reference",
                "description": "Always `about:blank`: `code` says more.",
                "examples": ["about:blank"] },
            "title": text("The status in words."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599,
                "description": "The HTTP status." },
            "code": text("Stable word for programs."),
            "detail": text("What happened, in a sentence for people."),
            "errors": { "type": "array", "items": schema_ref("Violation"),
                "description": "Everything that is wrong with the input, place by place." },
        }),
        &["type", "title", "status", "code", "detail"],
    );
    let violation = object(
        "One thing wrong with an input.",
        json!({
            "path": { "type": "string", "format": "json-pointer",
                "description": "Where, as a JSON Pointer (RFC 6901) into the input." },
            "code": text("Stable word for programs."),
            "message": text("What is wrong, for people."),
        }),
        &["path", "code", "message"],
    );
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
        ("Problem".to_owned(), problem),
        ("Violation".to_owned(), violation),
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
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": usual });
    let flag = json!({ "type": "boolean", "default": false });
    json!({
        "Limit": query("limit", "Most documents of the answer.", limit.clone()),
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
            "Most documents of a page. Goes with neither `cursor` nor `limit`.",
            limit,
        ),
        "Consistent": query(
            "consistent",
            "Read the whole answer at one moment. For lists by cursor, without `expand`.",
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
            json!({ "type": "string", "examples": ["truth"] }),
        ),
        "X-Request-Id": header("Names the request in the server's log.", text),
        "Retry-After": header(
            "Seconds after which to try again.",
            json!({ "type": "integer", "minimum": 0 }),
        ),
    })
}

/// The name of the shared response with a status.
pub(super) const fn error_name(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
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

fn error_responses() -> Json {
    let mut responses = Map::new();
    let mut add =
        |status: u16, title: &str, description: &str, code: &str, detail: &str, errors: Json| {
            let mut example = json!({
                "type": "about:blank",
                "title": title,
                "status": status,
                "code": code,
                "detail": detail,
            });
            if !errors.is_null() {
                example["errors"] = errors;
            }
            let mut headers = json!({ "X-Request-Id": reference("headers", "X-Request-Id") });
            if status == 503 {
                headers["Retry-After"] = reference("headers", "Retry-After");
            }
            let response = json!({
                "description": description,
                "headers": headers,
                "content": { "application/problem+json": {
                    "schema": schema_ref("Problem"),
                    "example": example,
                } },
            });
            responses.insert(error_name(status).to_owned(), response);
        };
    let error = |path: &str, code: &str, message: &str| json!([{ "path": path, "code": code, "message": message }]);
    add(
        400,
        "Bad Request",
        "The request cannot be read: its query, filter, cursor, headers or the syntax of its body.",
        "invalid_filter",
        "the filter cannot be read",
        error(
            "/pice",
            "unknown_field",
            "unknown field `pice`; did you mean `price`?",
        ),
    );
    add(
        403,
        "Forbidden",
        "It may not be done.",
        "append_only",
        "documents of audit_logs stay as they are",
        Json::Null,
    );
    add(
        404,
        "Not Found",
        "There is no such document.",
        "not_found",
        "there is no such document in posts",
        Json::Null,
    );
    add(
        409,
        "Conflict",
        "A value that must be unique is there already, or the document is still referenced.",
        "duplicate",
        "another document has this value",
        error("/email", "duplicate", "is taken"),
    );
    add(
        412,
        "Precondition Failed",
        "The document is at another revision than If-Match says.",
        "precondition_failed",
        "the document has changed: it is now at revision 1795297500123456",
        Json::Null,
    );
    add(
        413,
        "Payload Too Large",
        "The body is too large.",
        "payload_too_large",
        "the body is larger than 1048576 bytes",
        Json::Null,
    );
    add(
        415,
        "Unsupported Media Type",
        "The body is of another type than those listed.",
        "unsupported_media_type",
        "the body must be application/json",
        Json::Null,
    );
    add(
        422,
        "Unprocessable Entity",
        "The body could be read, but does not fit the schema, or refers to what is not there.",
        "invalid",
        "the input does not fit the schema",
        error("/title", "too_long", "must have at most 500 characters"),
    );
    add(
        500,
        "Internal Server Error",
        "The server's own fault. The log says more, under the request's id.",
        "internal",
        "internal error",
        Json::Null,
    );
    add(
        503,
        "Service Unavailable",
        "The server cannot answer now. With the code `outcome_unknown`, a write may have happened.",
        "unavailable",
        "the server is shutting down",
        Json::Null,
    );
    let mut headers = Map::new();
    for name in [
        "ETag",
        "Cache-Control",
        "Vary",
        "X-Nubo-Tier",
        "X-Request-Id",
    ] {
        headers.insert(name.to_owned(), reference("headers", name));
    }
    responses.insert(
        "NotModified".into(),
        json!({ "description": "The client has this revision already.", "headers": headers }),
    );
    responses.into()
}
