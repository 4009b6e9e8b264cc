//! Answers.

use bytes::Bytes;
use nubo_core::id::Revision;
use poem::{
    Body, Response,
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, ETAG, VARY},
    },
};
use serde_json::json;

/// JSON that no cache keeps: what the module answers is for one person.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::builder()
        .status(status)
        .content_type("application/json")
        .body(Body::from_bytes(body.into()));
    private(&mut response);
    response
}

fn private(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
}

/// Tokens and, behind them, the account, which is JSON already.
pub(crate) fn tokens(
    status: StatusCode,
    access: &str,
    seconds: i64,
    refresh: &str,
    user: &[u8],
) -> Response {
    let tokens = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": seconds,
        "refresh_token": refresh,
    });
    let mut body = tokens.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"user\":");
    body.extend_from_slice(user);
    body.push(b'}');
    json(status, body)
}

/// A document with its revision.
pub(crate) fn document(body: impl Into<Bytes>, revision: Revision) -> Response {
    let mut response = json(StatusCode::OK, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// 204
pub(crate) fn nothing() -> Response {
    Response::builder().status(StatusCode::NO_CONTENT).finish()
}

/// 204 to OPTIONS.
pub(crate) fn options(allow: &'static str) -> Response {
    let mut response = nothing();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The same answer to HEAD: it says how long the body would be.
pub(crate) async fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // Every body of this module is in memory.
    if parts.status != StatusCode::NO_CONTENT
        && let Ok(bytes) = body.into_bytes().await
    {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    Response::from_parts(parts, Body::empty())
}
