//! Answers: bodies with their headers, built without a builder because every read passes here.

use bytes::Bytes;
use nubo_core::{document::Document, id::Revision, schema::Collection};
use poem::{
    Body, Response, ResponseParts,
    http::{
        Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
        header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, VARY},
    },
};

/// Names the tier that gave an answer.
static TIER: HeaderName = HeaderName::from_static("x-nubo-tier");

/// Bytes a document has room for before its buffer grows.
const DOCUMENT_CAPACITY: usize = 512;

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let parts = ResponseParts {
        status,
        version: Version::default(),
        headers,
        extensions: Extensions::default(),
    };
    Response::from_parts(parts, body)
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Caches may keep what was read if they ask each time, and for the same person only.
fn read_headers(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    headers.insert(TIER.clone(), HeaderValue::from_static("truth"));
}

/// 200 to a read: a list, a count, a document with something more or less than itself.
pub(crate) fn read(body: impl Into<Bytes>) -> Response {
    let mut headers = json_headers();
    read_headers(&mut headers);
    answer(StatusCode::OK, headers, Body::from_bytes(body.into()))
}

/// 200 to a read of a bare document.
pub(crate) fn bare_document(body: Bytes, revision: Revision) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(revision));
    read_headers(&mut headers);
    answer(StatusCode::OK, headers, Body::from_bytes(body))
}

/// 304: the client has it.
pub(crate) fn not_modified(revision: Revision) -> Response {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ETAG, etag(revision));
    read_headers(&mut headers);
    answer(StatusCode::NOT_MODIFIED, headers, Body::empty())
}

/// 200 to a write: the document as it is now.
pub(crate) fn written(collection: &Collection, document: &Document) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(document.revision()));
    answer(
        StatusCode::OK,
        headers,
        Body::from_vec(document_json(collection, document)),
    )
}

/// 201: the new document and where it is, below the path that took it.
pub(crate) fn created(collection: &Collection, document: &Document, path: &str) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(document.revision()));
    if let Some(id) = document.id() {
        let location = format!("{}/{id}", path.trim_end_matches('/'));
        if let Ok(location) = HeaderValue::try_from(location) {
            headers.insert(LOCATION, location);
        }
    }
    answer(
        StatusCode::CREATED,
        headers,
        Body::from_vec(document_json(collection, document)),
    )
}

/// 200 with JSON to a write.
pub(crate) fn done(body: impl Into<Bytes>) -> Response {
    answer(
        StatusCode::OK,
        json_headers(),
        Body::from_bytes(body.into()),
    )
}

/// 204
pub(crate) fn nothing() -> Response {
    answer(StatusCode::NO_CONTENT, HeaderMap::new(), Body::empty())
}

/// 204 to OPTIONS.
pub(crate) fn options(allow: &'static str) -> Response {
    let mut response = nothing();
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// The same answer to HEAD: it says how long the body would be.
pub(crate) async fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let has_length = !matches!(
        parts.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    // Every body of this module is in memory, so there is nothing to wait for or to fail.
    if let (true, Ok(bytes)) = (has_length, body.into_bytes().await) {
        let length = HeaderValue::from(bytes.len());
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    Response::from_parts(parts, Body::empty())
}

fn document_json(collection: &Collection, document: &Document) -> Vec<u8> {
    let mut json = Vec::with_capacity(DOCUMENT_CAPACITY);
    document.write_json(collection, &mut json);
    json
}

/// A revision as an entity tag: `"1763761500123456"`.
fn etag(revision: Revision) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(revision.number()).as_bytes();
    // The longest number of 64 bits has 20 characters.
    let mut tag = [b'"'; 22];
    tag[1..=digits.len()].copy_from_slice(digits);
    tag[digits.len() + 1] = b'"';
    HeaderValue::from_bytes(&tag[..digits.len() + 2])
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_quoted_revisions() {
        assert_eq!(etag(Revision::new(17)), "\"17\"");
        assert_eq!(etag(Revision::new(i64::MIN)), "\"-9223372036854775808\"");
    }
}
