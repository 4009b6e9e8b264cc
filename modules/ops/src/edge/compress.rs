//! Compression of answers with gzip, which every client knows that knows any.
//!
//! Only bodies that lie in memory are compressed, which are all but streams.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, combinators::BoxBody};
use poem::{
    Body, Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

/// Smaller bodies fit into one packet anyway.
const MIN_SIZE: u64 = 1024;
/// Larger bodies take milliseconds, which other requests on this thread should not wait for.
const MAX_INLINE: usize = 128 * 1024;

/// Whether a client takes gzip: named with a weight above zero (RFC 9110 §12.5.3).
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or("").split(',') {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            let accepted = weight
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight > 0.0);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") => return accepted,
                "*" => any = Some(accepted),
                _ => {}
            }
        }
    }
    any.unwrap_or(false)
}

/// The answer with its body compressed, where that is worth it.
pub(super) async fn compress(mut response: Response) -> Response {
    if !is_compressible(&response) {
        return response;
    }
    let body: BoxBody<Bytes, std::io::Error> = response.take_body().into();
    let worth_it = exact_size(&body).is_some_and(|size| size >= MIN_SIZE);
    if !worth_it {
        response.set_body(Body::from(body));
        return response;
    }
    // A body whose size is known lies in memory, so that this neither waits nor fails.
    let Ok(plain) = Body::from(body).into_bytes().await else {
        return nubo_core::Error::internal("the body of an answer cannot be read").response();
    };
    let packed = if plain.len() <= MAX_INLINE {
        gzip(&plain)
    } else {
        let plain = plain.clone();
        let packing = tokio::task::spawn_blocking(move || gzip(&plain));
        packing.await.ok().flatten()
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    match packed.filter(|packed| packed.len() < plain.len()) {
        Some(packed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.remove(header::CONTENT_LENGTH);
            response.set_body(packed);
        }
        None => response.set_body(plain),
    }
    response
}

fn exact_size(body: &impl BodyExt) -> Option<u64> {
    body.size_hint().exact()
}

fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let kind = response.content_type().unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    let text = kind.starts_with("text/")
        || kind.ends_with("json")
        || kind.ends_with("xml")
        || kind.ends_with("javascript");
    text && kind != "text/event-stream"
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// At the fastest level: most of the gain for a fraction of the time.
fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
