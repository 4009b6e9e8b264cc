//! Which pages of other origins may use the API (Fetch Standard, "HTTP extensions").
//!
//! Credentials in the standard's sense (cookies) are never allowed: tokens travel in a header that
//! a page has to set itself. Where no origin is configured, nothing is said at all, and browsers
//! keep foreign pages out.

use nubo_core::module::SetupError;
use poem::{
    Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

/// How long a browser may remember a preflight, in seconds; none remembers longer.
const MAX_AGE: &str = "7200";

/// The origins that are let in.
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
    all: bool,
}

/// An origin that is let in, as its request named it.
pub(super) struct Origin {
    allowed: HeaderValue,
    /// Whether another origin would get another answer.
    varies: bool,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Result<Self, SetupError> {
        let read = |origin: &String| {
            let parts = origin.split_once("://");
            let host = parts
                .filter(|(scheme, _)| !scheme.is_empty())
                .map(|(_, host)| host);
            let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains('/'));
            let value = HeaderValue::from_str(origin).ok();
            value.filter(|_| origin == "*" || is_origin).ok_or_else(|| {
                SetupError::new(format!(
                    "server.cors.origins: `{origin}` is no origin such as https://app.example.org \
                     (without a slash at its end)"
                ))
            })
        };
        Ok(Self {
            all: origins.iter().any(|origin| origin == "*"),
            origins: origins.iter().map(read).collect::<Result<_, _>>()?,
        })
    }

    /// The origin a request comes from, where it has one that is let in.
    pub(super) fn origin(&self, request: &Request) -> Option<Origin> {
        let origin = request.headers().get(header::ORIGIN)?;
        if self.all {
            return Some(Origin {
                allowed: HeaderValue::from_static("*"),
                varies: false,
            });
        }
        self.origins.contains(origin).then(|| Origin {
            allowed: origin.clone(),
            varies: true,
        })
    }
}

impl Origin {
    /// The answer to a preflight; none where the request is not one.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asked = request.headers();
        if request.method() != Method::OPTIONS
            || !asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
        );
        if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE),
        );
        Some(response)
    }

    /// Lets the page read the answer.
    pub(super) fn admit(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allowed);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "ETag, Location, Retry-After, X-Nubo-Explain, X-Nubo-Tier, X-Request-Id",
            ),
        );
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}
