//! Components that every document has, so that the fragments of all modules can refer to them: the
//! problem document and the answers that consist of one. [`crate::assemble`] leaves out what nobody
//! refers to.

use nubo_core::{Problem, Violation};
use serde_json::{Map, Value as Json, json};

/// An error answer: its name among `responses` and what is said of it.
struct Failure {
    name: &'static str,
    status: u16,
    title: &'static str,
    description: &'static str,
    /// Of the example.
    code: &'static str,
    detail: &'static str,
    /// Path, code and message.
    violation: Option<[&'static str; 3]>,
}

const FAILURES: [Failure; 12] = [
    Failure {
        name: "BadRequest",
        status: 400,
        title: "Bad Request",
        description: "The request cannot be read: its query, filter, cursor, headers or the syntax \
                      of its body.",
        code: "invalid_filter",
        detail: "the filter cannot be read",
        violation: Some([
            "/pice",
            "unknown_field",
            "unknown field `pice`; did you mean `price`?",
        ]),
    },
    Failure {
        name: "Unauthorized",
        status: 401,
        title: "Unauthorized",
        description: "Nobody is signed in, or the token is not valid any more.",
        code: "expired_token",
        detail: "the access token has expired",
        violation: None,
    },
    Failure {
        name: "Forbidden",
        status: 403,
        title: "Forbidden",
        description: "It may be seen, but not done: an access rule stands against it.",
        code: "forbidden",
        detail: "the access rules of posts do not allow this",
        violation: None,
    },
    Failure {
        name: "NotFound",
        status: 404,
        title: "Not Found",
        description: "There is no such document.",
        code: "not_found",
        detail: "there is no such document in posts",
        violation: None,
    },
    Failure {
        name: "Conflict",
        status: 409,
        title: "Conflict",
        description: "A value that must be unique is there already, or the document is still \
                      referenced.",
        code: "duplicate",
        detail: "another document has this value",
        violation: Some(["/email", "duplicate", "is taken"]),
    },
    Failure {
        name: "PreconditionFailed",
        status: 412,
        title: "Precondition Failed",
        description: "The document is at another revision than If-Match says.",
        code: "precondition_failed",
        detail: "the document has changed: it is now at revision 1795297500123456",
        violation: None,
    },
    Failure {
        name: "PayloadTooLarge",
        status: 413,
        title: "Payload Too Large",
        description: "The body is too large.",
        code: "payload_too_large",
        detail: "the body is larger than 1048576 bytes",
        violation: None,
    },
    Failure {
        name: "UnsupportedMediaType",
        status: 415,
        title: "Unsupported Media Type",
        description: "The body is of another type than those listed.",
        code: "unsupported_media_type",
        detail: "the body must be application/json",
        violation: None,
    },
    Failure {
        name: "UnprocessableContent",
        status: 422,
        title: "Unprocessable Entity",
        description: "The body could be read, but does not fit the schema, or refers to what is \
                      not there.",
        code: "invalid",
        detail: "the input does not fit the schema",
        violation: Some(["/title", "too_long", "must have at most 500 characters"]),
    },
    Failure {
        name: "TooManyRequests",
        status: 429,
        title: "Too Many Requests",
        description: "More requests than this client may send.",
        code: "too_many_requests",
        detail: "too many requests; try again in 5 s",
        violation: None,
    },
    Failure {
        name: "InternalServerError",
        status: 500,
        title: "Internal Server Error",
        description: "The server's own fault. Its log says more, under the request's id.",
        code: "internal",
        detail: "internal error",
        violation: None,
    },
    Failure {
        name: "ServiceUnavailable",
        status: 503,
        title: "Service Unavailable",
        description: "The server cannot answer now. With the code `outcome_unknown`, a write may \
                      have happened.",
        code: "stopping",
        detail: "the server is stopping",
        violation: None,
    },
];

/// All of them, by kind and name.
pub(crate) fn components() -> Json {
    let responses: Map<String, Json> = FAILURES
        .iter()
        .map(|failure| (failure.name.to_owned(), failure.response()))
        .collect();
    json!({
        "schemas": { "Problem": Problem::json_schema(), "Violation": Violation::json_schema() },
        "headers": {
            "X-Request-Id": {
                "description": "Names the request in the server's log.",
                "schema": { "type": "string" },
            },
            "WWW-Authenticate": {
                "description": "What is wrong with the token (RFC 6750).",
                "schema": { "type": "string" },
            },
            "Retry-After": {
                "description": "Seconds after which to try again.",
                "schema": { "type": "integer", "minimum": 0 },
            },
        },
        "responses": responses,
        "securitySchemes": { BEARER: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token that signing up, signing in and refreshing give.",
        } },
    })
}

/// Name of the one way to say who asks, as the `security` of operations mentions it.
pub(crate) const BEARER: &str = "bearer";

impl Failure {
    fn response(&self) -> Json {
        let mut example = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        });
        if let Some([path, code, message]) = self.violation {
            example["errors"] = json!([{ "path": path, "code": code, "message": message }]);
        }
        let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
        let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
        if matches!(self.status, 429 | 503) {
            headers["Retry-After"] = header("Retry-After");
        }
        if self.status == 401 {
            headers["WWW-Authenticate"] = header("WWW-Authenticate");
        }
        json!({
            "description": self.description,
            "headers": headers,
            "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Problem" },
                "example": example,
            } },
        })
    }
}
