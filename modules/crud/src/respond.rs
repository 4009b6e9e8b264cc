//! Answers: bodies with their headers, built without a builder because every read passes here.

use bytes::Bytes;
use nubo_core::{
    document::Document,
    id::Revision,
    schema::Collection,
    store::{Answer, Tier},
    truth::Body,
};
use poem::{
    Body as HttpBody, Response, ResponseParts,
    http::{
        Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
        header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, VARY},
    },
};

/// Names the tier that gave an answer.
static TIER: HeaderName = HeaderName::from_static("x-nubo-tier");
/// Says why from there, to those who ask.
static WHY: HeaderName = HeaderName::from_static("x-nubo-explain");

/// Where an answer comes from, as far as its reader is told.
pub(crate) struct Told {
    tier: Tier,
    why: Option<HeaderValue>,
}

impl Told {
    /// The tier, and why it was that one where `explain` says so.
    pub fn of<T>(answer: &Answer<T>, explain: bool) -> Self {
        let why = explain.then(|| HeaderValue::from_str(&answer.why).ok());
        Self {
            tier: answer.tier,
            why: why.flatten(),
        }
    }

    /// From the truth, as everything that is counted.
    pub const fn truth() -> Self {
        Self {
            tier: Tier::Truth,
            why: None,
        }
    }
}

/// Bytes a document has room for before its buffer grows.
const DOCUMENT_CAPACITY: usize = 512;

fn answer(status: StatusCode, headers: HeaderMap, body: HttpBody) -> Response {
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
fn read_headers(headers: &mut HeaderMap, told: Told) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    headers.insert(TIER.clone(), HeaderValue::from_static(told.tier.name()));
    if let Some(why) = told.why {
        headers.insert(WHY.clone(), why);
    }
}

/// 200 to a read: a list, a count, a document with something more or less than itself.
pub(crate) fn read(body: impl Into<Bytes>, told: Told) -> Response {
    let mut headers = json_headers();
    read_headers(&mut headers, told);
    answer(StatusCode::OK, headers, HttpBody::from_bytes(body.into()))
}

/// 200 to a read of a bare document.
pub(crate) fn bare_document(body: Body, told: Told) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(body.revision));
    read_headers(&mut headers, told);
    answer(StatusCode::OK, headers, HttpBody::from_bytes(body.json))
}

/// 304: the client has it.
pub(crate) fn not_modified(revision: Revision, told: Told) -> Response {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ETAG, etag(revision));
    read_headers(&mut headers, told);
    answer(StatusCode::NOT_MODIFIED, headers, HttpBody::empty())
}

/// 200 to a write: the document as it is now.
pub(crate) fn written(collection: &Collection, document: &Document) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(document.revision()));
    answer(
        StatusCode::OK,
        headers,
        HttpBody::from_vec(document_json(collection, document)),
    )
}

/// 201: the new document and where it is, below the path that took it.
pub(crate) fn created(collection: &Collection, document: &Document, path: &str) -> Response {
    new_document(StatusCode::CREATED, collection, document, path)
}

/// 202: the document as it is going to be, and where.
pub(crate) fn accepted(collection: &Collection, document: &Document, path: &str) -> Response {
    new_document(StatusCode::ACCEPTED, collection, document, path)
}

fn new_document(
    status: StatusCode,
    collection: &Collection,
    document: &Document,
    path: &str,
) -> Response {
    let mut headers = json_headers();
    headers.insert(ETAG, etag(document.revision()));
    if let Some(id) = document.id() {
        let location = format!("{}/{id}", path.trim_end_matches('/'));
        if let Ok(location) = HeaderValue::try_from(location) {
            headers.insert(LOCATION, location);
        }
    }
    answer(
        status,
        headers,
        HttpBody::from_vec(document_json(collection, document)),
    )
}

/// 200 with JSON to a write.
pub(crate) fn done(body: impl Into<Bytes>) -> Response {
    answer(
        StatusCode::OK,
        json_headers(),
        HttpBody::from_bytes(body.into()),
    )
}

/// 204
pub(crate) fn nothing() -> Response {
    answer(StatusCode::NO_CONTENT, HeaderMap::new(), HttpBody::empty())
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
    Response::from_parts(parts, HttpBody::empty())
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
