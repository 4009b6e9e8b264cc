//! Problem documents for everything that goes wrong outside of our own code: poem's errors, panics,
//! timeouts.

use std::{any::Any, time::Duration};

use nubo_core::{Error, nearest};
use poem::{
    Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{Method, StatusCode, Uri},
};

/// Most characters of a path that are repeated in an answer.
const MAX_SHOWN: usize = 200;

/// Turns poem's errors into problem documents.
pub(super) struct Refusals {
    /// Paths that exist.
    paths: Vec<String>,
    body_limit: u64,
}

impl Refusals {
    pub(super) fn new(paths: Vec<String>, body_limit: u64) -> Self {
        Self { paths, body_limit }
    }

    /// The answer for an error that the routes returned.
    pub(super) fn convert(&self, error: poem::Error, method: &Method, uri: &Uri) -> Response {
        if error.is::<Error>() {
            return error.into_response();
        }
        if error.is::<NotFoundError>() {
            return self.no_path(uri).response();
        }
        if error.is::<MethodNotAllowedError>() {
            return not_allowed(method).response();
        }
        let status = error.status();
        // Somebody's answer in the shape of an error: a redirect, say.
        if !status.is_client_error() && !status.is_server_error() {
            return error.into_response();
        }
        let detail = error.to_string();
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized {
                code: "unauthorized",
                detail,
            },
            StatusCode::FORBIDDEN => Error::Forbidden {
                code: "forbidden",
                detail,
            },
            StatusCode::NOT_FOUND => Error::NotFound {
                code: "not_found",
                detail,
            },
            StatusCode::METHOD_NOT_ALLOWED => not_allowed(method),
            StatusCode::PAYLOAD_TOO_LARGE => Error::PayloadTooLarge {
                limit: self.body_limit,
            },
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::UnsupportedMediaType {
                expected: "of a type that this path reads",
            },
            StatusCode::TOO_MANY_REQUESTS => Error::TooManyRequests { retry_after: 1 },
            StatusCode::SERVICE_UNAVAILABLE => Error::unavailable("unavailable", detail),
            // What extractors say of the request.
            status if status.is_client_error() => Error::bad_request("bad_request", detail),
            _ => Error::internal(error),
        }
        .response()
    }

    /// 404 for a path that no route has, with the nearest one that exists.
    fn no_path(&self, uri: &Uri) -> Error {
        let path = uri.path();
        let known = self.paths.iter().map(String::as_str);
        let hint = if path.chars().count() > MAX_SHOWN {
            None
        } else {
            // `/postz/0190…`: what matters is the part that a route begins with.
            std::iter::successors(Some(path), |path| {
                path.rsplit_once('/').map(|(parent, _)| parent)
            })
            .filter(|path| !path.is_empty())
            .find_map(|path| nearest(path, known.clone()).filter(|found| *found != path))
        };
        let shown: String = path.chars().take(MAX_SHOWN).collect();
        let hint = hint.map(|path| format!("; did you mean `{path}`?"));
        Error::NotFound {
            code: "unknown_path",
            detail: format!("there is nothing at `{shown}`{}", hint.unwrap_or_default()),
        }
    }
}

fn not_allowed(method: &Method) -> Error {
    Error::MethodNotAllowed {
        method: method.to_string(),
        // Poem does not say which methods the path has; an empty list is allowed to the header.
        allow: String::new(),
    }
}

/// 500 for a route that panicked. The words go to the log with the answer.
pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without words".to_owned());
    Error::internal(format!("a route panicked: {words}"))
}

/// 503 for a route that took too long. What has been handed to the truth by then goes on there.
pub(super) fn of_timeout(method: &Method, limit: Duration) -> Error {
    let limit = limit.as_secs_f64();
    if method.is_safe() {
        let detail = format!("the request took longer than {limit} s");
        return Error::unavailable("timeout", detail);
    }
    Error::unavailable(
        "outcome_unknown",
        format!("the request took longer than {limit} s; it may have been carried out"),
    )
}
