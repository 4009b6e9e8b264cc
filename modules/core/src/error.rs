//! The one error type: its variants are what a client can see.
//!
//! Every module answers with it, and only this file maps errors to HTTP. What a client must not
//! see (SQL, a driver's words, a cause) travels in [`Error::Internal`] and goes to the log.

use std::borrow::Cow;

use poem::{
    IntoResponse, Response,
    error::ResponseError,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::violation::Violation;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400: the request cannot be read (query, filter, cursor, syntax of the body).
    #[error("{detail}")]
    BadRequest {
        code: &'static str,
        detail: String,
        errors: Vec<Violation>,
    },
    /// 401: who is it?
    #[error("{detail}")]
    Unauthorized { code: &'static str, detail: String },
    /// 403: may be seen, but not that way.
    #[error("{detail}")]
    Forbidden { code: &'static str, detail: String },
    /// 404
    #[error("{detail}")]
    NotFound { code: &'static str, detail: String },
    /// 405
    #[error("this path does not answer {method}")]
    MethodNotAllowed { method: String, allow: String },
    /// 409: duplicate, or still referenced.
    #[error("{detail}")]
    Conflict {
        code: &'static str,
        detail: String,
        errors: Vec<Violation>,
    },
    /// 412: If-Match names another revision.
    #[error("the document has changed: it is now at revision {current}")]
    PreconditionFailed { current: i64 },
    /// 413
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge { limit: u64 },
    /// 415
    #[error("the body must be {expected}")]
    UnsupportedMediaType { expected: &'static str },
    /// 422: the body could be read, but does not fit the schema.
    #[error("the input does not fit the schema")]
    Invalid(Vec<Violation>),
    /// 429
    #[error("too many requests; try again in {retry_after} s")]
    TooManyRequests { retry_after: u32 },
    /// 503
    #[error("{detail}")]
    Unavailable {
        code: &'static str,
        detail: String,
        retry_after: u32,
    },
    /// 500: the server's own fault. The cause is logged, never sent.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What every fallible operation of the product returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A problem document (RFC 9457), as it is sent.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    /// Always `about:blank`: `code` says more than a URL would.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'a str,
    pub status: u16,
    /// Stable word for programs.
    pub code: &'a str,
    pub detail: Cow<'a, str>,
    #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
    pub errors: &'a [Violation],
}

impl Problem<'_> {
    /// What it looks like in the API's documentation, where the schema of a [`Violation`] has that
    /// name.
    pub fn json_schema() -> Json {
        let text = |description: &str| json!({ "type": "string", "description": description });
        json!({
            "type": "object",
            "description": "Why a request was not carried out (RFC 9457).",
            "properties": {
                "type": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "Always `about:blank`: `code` says more.",
                    "examples": ["about:blank"],
                },
                "title": text("The status in words."),
                "status": {
                    "type": "integer",
                    "minimum": 400,
                    "maximum": 599,
                    "description": "The HTTP status.",
                },
                "code": text("Stable word for programs."),
                "detail": text("What happened, in a sentence for people."),
                "errors": {
                    "type": "array",
                    "items": { "$ref": "#/components/schemas/Violation" },
                    "description": "Everything that is wrong with the input, place by place.",
                },
            },
            "required": ["type", "title", "status", "code", "detail"],
        })
    }
}

impl Error {
    /// 400 with one sentence.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::BadRequest {
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// 401 where nobody said who they are and somebody is needed.
    pub fn missing_token() -> Self {
        Self::Unauthorized {
            code: "missing_token",
            detail: "this needs an account: sign in and send the access token as \
                     `Authorization: Bearer …`"
                .into(),
        }
    }

    /// 403 by an access rule.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::Forbidden {
            code: "forbidden",
            detail: detail.into(),
        }
    }

    /// 404 for a document.
    pub fn no_document(collection: &str) -> Self {
        Self::NotFound {
            code: "not_found",
            detail: format!("there is no such document in {collection}"),
        }
    }

    /// 500 with its cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// 503 while the server goes down or is not up yet.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Unavailable {
            code,
            detail: detail.into(),
            retry_after: 1,
        }
    }

    /// The same failure for several; only what a client can see is copied.
    #[must_use]
    pub fn copied(&self) -> Self {
        match self {
            Self::Unavailable {
                code,
                detail,
                retry_after,
            } => Self::Unavailable {
                code,
                detail: detail.clone(),
                retry_after: *retry_after,
            },
            other => Self::internal(chain(other)),
        }
    }

    /// The HTTP status.
    pub fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { code, .. }
            | Self::Unauthorized { code, .. }
            | Self::Forbidden { code, .. }
            | Self::NotFound { code, .. }
            | Self::Conflict { code, .. }
            | Self::Unavailable { code, .. } => code,
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::Invalid(_) => "invalid",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Internal(_) => "internal",
        }
    }

    /// What is wrong with which part of the input.
    pub fn errors(&self) -> &[Violation] {
        match self {
            Self::BadRequest { errors, .. } | Self::Conflict { errors, .. } => errors,
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }

    /// The same error with every place moved one key deeper, for inputs that are part of another.
    pub fn nested(mut self, prefix: &str) -> Self {
        if let Self::BadRequest { errors, .. }
        | Self::Conflict { errors, .. }
        | Self::Invalid(errors) = &mut self
        {
            for violation in errors {
                violation.path.insert_str(0, prefix);
            }
        }
        self
    }

    /// The problem document.
    pub fn problem(&self) -> Problem<'_> {
        let status = self.status_code();
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code(),
            detail: Cow::Owned(self.to_string()),
            errors: self.errors(),
        }
    }

    /// The HTTP answer.
    pub fn response(&self) -> Response {
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = Response::builder()
            .status(self.status_code())
            .content_type("application/problem+json")
            .body(body);
        let headers = response.headers_mut();
        match self {
            Self::TooManyRequests { retry_after } | Self::Unavailable { retry_after, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
            }
            Self::MethodNotAllowed { allow, .. } => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, allow);
                }
            }
            // RFC 6750 §3.1: who has sent no access token is told no error.
            Self::Unauthorized { code, .. } => {
                let challenge = match *code {
                    "missing_token"
                    | "invalid_credentials"
                    | "invalid_refresh_token"
                    | "expired_refresh_token"
                    | "reused_refresh_token" => "Bearer realm=\"nubo\"".to_owned(),
                    code => format!(
                        "Bearer realm=\"nubo\", error=\"invalid_token\", \
                         error_description=\"{code}\""
                    ),
                };
                if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
            }
            _ => {}
        }
        if let Self::Internal(cause) = self {
            response
                .extensions_mut()
                .insert(Cause(chain(cause.as_ref())));
        }
        response
    }
}

/// The words of an internal error and all its causes, carried to the access log beside the answer.
#[derive(Debug, Clone)]
pub struct Cause(pub String);

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl ResponseError for Error {
    fn status(&self) -> StatusCode {
        self.status_code()
    }

    fn as_response(&self) -> Response {
        self.response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.response()
    }
}
