//! Endpoints: which methods a path knows, and where errors become answers.

use std::{future::Future, pin::Pin, sync::Arc};

use nubo_core::{Error, Result, module::Route};
use poem::{Endpoint, EndpointExt, Request, Response, http::Method};

use crate::{respond, shared::Shared};

/// What answers one method at one path.
pub(crate) type Answer = for<'a> fn(
    &'a Shared,
    &'a mut Request,
) -> Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>;

/// One path, and what it answers.
pub(crate) struct Path {
    pub shared: Arc<Shared>,
    /// The methods it knows, as the header Allow lists them.
    pub allow: &'static str,
    pub methods: Vec<(Method, Answer)>,
}

impl Path {
    /// The path as a route.
    pub fn route(self, path: &str) -> Route {
        Route {
            path: path.to_owned(),
            endpoint: self.boxed(),
        }
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        let method = request.method().clone();
        // HEAD is GET without the body.
        let wanted = match method {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        let found = self.methods.iter().find(|(known, _)| *known == wanted);
        match found {
            Some((_, answer)) => answer(&self.shared, request).await,
            None if method == Method::OPTIONS => Ok(respond::options(self.allow)),
            None => Err(Error::MethodNotAllowed {
                method: method.to_string(),
                allow: self.allow.to_owned(),
            }),
        }
    }
}

impl Endpoint for Path {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let head = request.method() == Method::HEAD;
        let response = match self.answer(&mut request).await {
            Ok(response) => response,
            Err(error) => error.response(),
        };
        match head {
            true => Ok(respond::without_body(response).await),
            false => Ok(response),
        }
    }
}
