//! Bodies of requests: what they are, how large they may be, and the JSON in them.

use crate::error::{Error, Result};
use bytes::Bytes;
use poem::{
    Request,
    error::ReadBodyError,
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use serde_json::Value as Json;

use super::json;

/// Which media types a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// `application/json` and `…+json`.
    Json,
    /// The same. `application/merge-patch+json` is one of them; it is named where another type
    /// is refused.
    Patch,
}

/// Reads the JSON of a body: 415, 413 or 400 where there is none.
pub async fn read(request: &mut Request, accepts: Accepts, limit: u64) -> Result<Json> {
    let named = check_headers(request.headers(), accepts)?;
    let bytes = read_bytes(request, limit).await?;
    if bytes.is_empty() {
        return Err(Error::bad_request("empty_body", "the body is empty"));
    }
    if !named {
        return Err(accepts.refusal());
    }
    json::read(&bytes, "the body")
}

impl Accepts {
    fn refusal(self) -> Error {
        Error::UnsupportedMediaType {
            expected: match self {
                Self::Json => "application/json",
                Self::Patch => "application/json or application/merge-patch+json",
            },
        }
    }
}

/// Whether the headers name a type at all; one that is not accepted is refused before the body is
/// read.
fn check_headers(headers: &HeaderMap, accepts: Accepts) -> Result<bool> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Error::UnsupportedMediaType {
            expected: "sent as it is, without Content-Encoding",
        });
    }
    match headers.get(CONTENT_TYPE) {
        None => Ok(false),
        Some(value) if is_json(value.as_bytes()) => Ok(true),
        Some(_) => Err(accepts.refusal()),
    }
}

/// `application/json` or `…/…+json`, whatever its parameters say: JSON is UTF-8 (RFC 8259 §8.1).
fn is_json(value: &[u8]) -> bool {
    if value == b"application/json" {
        return true;
    }
    let end = value.iter().position(|byte| *byte == b';');
    let kind = value[..end.unwrap_or(value.len())].trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
        || (kind.contains(&b'/')
            && kind.len() > 5
            && kind[kind.len() - 5..].eq_ignore_ascii_case(b"+json"))
}

async fn read_bytes(request: &mut Request, limit: u64) -> Result<Bytes> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = request.take_body();
    let read = match announced {
        Some(length) if length > limit => return Err(Error::PayloadTooLarge { limit }),
        // HTTP holds the body to what was announced; the bytes need not be counted again.
        Some(_) => body.into_bytes().await,
        // Boxed for its buffer, which would make the future of every request that much larger.
        None => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            Box::pin(body.into_bytes_limit(limit)).await
        }
    };
    read.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => Error::PayloadTooLarge { limit },
        _ => Error::bad_request("incomplete_body", "the body ended too early"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_json_by_its_names() {
        for name in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
            "application/vnd.api+json ;v=1",
        ] {
            assert!(is_json(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "+json",
            "text/plain",
            "application/jsonx",
            "json",
            "text/json",
        ] {
            assert!(!is_json(name.as_bytes()), "{name}");
        }
    }
}
