//! The edge: what every request passes on its way in and every answer on its way out.
//!
//! In: the request is counted, gets an id, and is refused where it is too large; a preflight is
//! answered. Then the routes have a limited time, and their panics end here. Out: errors of poem
//! become problem documents, what was left unread is taken in, headers are added, the body is
//! compressed for who asked for it, and the log gets its line.
//!
//! All of it stands in one endpoint rather than in a stack of middlewares, because the order is the
//! point: what a panic or a timeout leaves behind is still a problem document, with its id and its
//! line in the log. What a request does not ask for (an origin, an encoding) costs one look into its
//! headers.

mod access_log;
mod compress;
mod cors;
mod leftover;
mod refusal;
mod request_id;
#[cfg(test)]
mod tests;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use nubo_core::{
    Error,
    clock::{Clock, Random},
    module::SetupError,
};
use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{HeaderValue, Method, header},
};

use self::{
    access_log::{Entry, Log},
    cors::Cors,
    leftover::Leftover,
    refusal::Refusals,
    request_id::RequestIds,
};
use crate::{Drain, Settings};

/// Longest path and query of a request, in bytes.
const MAX_URI: usize = 16 * 1024;

/// How the edge is to behave.
pub struct EdgeOptions {
    /// The section `ops`.
    pub settings: Settings,
    /// Largest body of a request that any route takes, in bytes. Bodies that do not say their
    /// length are limited by the route that reads them.
    pub body_limit: u64,
    /// Whether answers are compressed for clients that ask for it.
    pub compression: bool,
    /// Origins whose pages may use the API; `*` for all.
    pub cors_origins: Vec<String>,
    /// Paths that exist, for the hint in a 404.
    pub paths: Vec<String>,
    /// Counts the requests under way.
    pub drain: Drain,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// Puts the edge around the routes.
///
/// # Errors
/// Where an origin or the time limit cannot be read.
pub fn edge<E: Endpoint>(routes: E, options: EdgeOptions) -> Result<Edge<E>, SetupError> {
    Ok(Edge {
        routes,
        timeout: options.settings.timeout()?,
        body_limit: options.body_limit,
        compression: options.compression,
        cors: Cors::new(&options.cors_origins)?,
        refusals: Refusals::new(options.paths, options.body_limit),
        ids: RequestIds::new(&*options.random),
        log: Log::new(options.settings.access_log, options.clock),
        drain: options.drain,
    })
}

/// The routes with the edge around them. Never fails: what the routes return as an error becomes a
/// problem document.
pub struct Edge<E> {
    routes: E,
    timeout: Duration,
    body_limit: u64,
    compression: bool,
    cors: Cors,
    refusals: Refusals,
    ids: RequestIds,
    log: Log,
    drain: Drain,
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let _in_flight = self.drain.enter();
        let id = self.ids.of(&request);
        let entry = self.log.begin(&request);
        let origin = self.cors.origin(&request);
        let head = request.method() == Method::HEAD;
        let compressed = self.compression && !head && compress::is_wanted(request.headers());
        let leftover = Leftover::watch(&mut request);

        let mut response = match origin
            .as_ref()
            .and_then(|origin| origin.preflight(&request))
        {
            Some(answer) => answer,
            None => self.answer(request, &entry).await,
        };

        if let Some(leftover) = leftover {
            leftover.discard().await;
        }
        if compressed {
            response = compress::compress(response).await;
        }
        let headers = response.headers_mut();
        if let Some(origin) = origin {
            origin.admit(headers);
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(request_id::HEADER, id.clone());
        self.log.end(entry, &response, &id);
        Ok(response)
    }
}

impl<E: Endpoint> Edge<E> {
    /// The routes' answer, or why there is none.
    async fn answer(&self, request: Request, entry: &Entry) -> Response {
        if let Err(error) = self.admit(&request) {
            return error.response();
        }
        // The routes share nothing with this request that a panic could leave half changed: what
        // they hold for longer is behind locks and channels of its own.
        let routed = AssertUnwindSafe(async { self.routes.call(request).await }).catch_unwind();
        match tokio::time::timeout(self.timeout, routed).await {
            Ok(Ok(Ok(answer))) => answer.into_response(),
            Ok(Ok(Err(error))) => self.refusals.convert(error, &entry.method, &entry.uri),
            Ok(Err(panic)) => refusal::of_panic(&*panic).response(),
            Err(_) => refusal::of_timeout(&entry.method, self.timeout).response(),
        }
    }

    /// Refuses what is too large before anything is done with it.
    fn admit(&self, request: &Request) -> Result<(), Error> {
        let uri = request
            .uri()
            .path_and_query()
            .map_or("", |uri| uri.as_str());
        if uri.len() > MAX_URI {
            return Err(Error::bad_request(
                "uri_too_long",
                format!("the path and query are longer than {MAX_URI} bytes"),
            ));
        }
        let length = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match length {
            Some(length) if length > self.body_limit => Err(Error::PayloadTooLarge {
                limit: self.body_limit,
            }),
            _ => Ok(()),
        }
    }
}
