//! Texts that do not change while the server runs, with a tag by which clients know them again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use poem::{
    Endpoint, EndpointExt, Request, Response,
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, ETAG, IF_NONE_MATCH},
    },
};

use crate::{Error, Result, module::Route};

const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// A JSON document that is there when every module has been set up.
pub fn late_document(path: &str, document: Arc<OnceLock<String>>) -> Route {
    let known = OnceLock::new();
    route(path, move || {
        let text = document
            .get()
            .ok_or_else(|| Error::unavailable("starting", "the server is starting"))?;
        let tag = known.get_or_init(|| tag(text));
        Ok(Text {
            bytes: text.as_bytes().to_vec().into(),
            kind: "application/json",
            tag: tag.clone(),
        })
    })
}

/// A text that is known from the beginning.
pub fn fixed(path: &str, kind: &'static str, text: String) -> Route {
    let text = Text {
        tag: tag(&text),
        bytes: text.into_bytes().into(),
        kind,
    };
    route(path, move || Ok(text.clone()))
}

#[derive(Clone)]
struct Text {
    bytes: bytes::Bytes,
    kind: &'static str,
    tag: HeaderValue,
}

fn route(path: &str, text: impl Fn() -> Result<Text> + Send + Sync + 'static) -> Route {
    Route {
        path: path.to_owned(),
        endpoint: Served(text).boxed(),
    }
}

struct Served<F>(F);

impl<F: Fn() -> Result<Text> + Send + Sync + 'static> Endpoint for Served<F> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self
            .answer(&request)
            .unwrap_or_else(|error| error.response()))
    }
}

impl<F: Fn() -> Result<Text>> Served<F> {
    fn answer(&self, request: &Request) -> Result<Response> {
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => {
                let answer = Response::builder().status(StatusCode::NO_CONTENT);
                return Ok(answer.header(ALLOW, ALLOWED).finish());
            }
            ref other => {
                return Err(Error::MethodNotAllowed {
                    method: other.to_string(),
                    allow: ALLOWED.to_owned(),
                });
            }
        }
        let text = (self.0)()?;
        let answer = Response::builder()
            .header(ETAG, text.tag.clone())
            .header(CACHE_CONTROL, "no-cache");
        let known = request.headers().get_all(IF_NONE_MATCH).iter();
        let known = known.filter_map(|value| value.to_str().ok());
        let tag = text.tag.to_str().unwrap_or_default();
        if known
            .flat_map(|tags| tags.split(','))
            .any(|known| known.trim() == tag)
        {
            return Ok(answer.status(StatusCode::NOT_MODIFIED).finish());
        }
        let answer = answer.content_type(text.kind);
        Ok(match *request.method() {
            Method::HEAD => answer.header(CONTENT_LENGTH, text.bytes.len()).finish(),
            _ => answer.body(text.bytes),
        })
    }
}

fn tag(text: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
