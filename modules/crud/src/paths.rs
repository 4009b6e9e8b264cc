//! Which path answers which method, and in which file.
//!
//! Every path is one endpoint that answers all methods. Errors are values all the way up to
//! [`Outermost`], which alone turns them into answers.

use std::sync::Arc;

use nubo_core::{Error, Result, module::Route, schema::Catalog, store::Store};
use poem::{Endpoint, EndpointExt, Request, Response, http::Method};

use crate::{
    batch, bulk, change, count, create, list, many, query, read, remove, resource::Resource,
    respond, settings::Settings,
};

/// All routes of all collections, and `/batch`.
pub(crate) fn routes(
    catalog: &Arc<Catalog>,
    store: &Arc<dyn Store>,
    settings: &Arc<Settings>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for collection in catalog.collections() {
        let resource = Arc::new(Resource {
            collection: Arc::clone(collection),
            catalog: Arc::clone(catalog),
            store: Arc::clone(store),
            settings: Arc::clone(settings),
        });
        let base = format!("/{}", collection.name);
        routes.push(route(base.clone(), Documents(Arc::clone(&resource))));
        routes.push(route(format!("{base}/query"), Query(Arc::clone(&resource))));
        routes.push(route(format!("{base}/count"), Count(Arc::clone(&resource))));
        routes.push(route(format!("{base}/bulk"), Bulk(Arc::clone(&resource))));
        routes.push(route(format!("{base}/:id"), Document(resource)));
    }
    let batch = batch::Batch {
        catalog: Arc::clone(catalog),
        store: Arc::clone(store),
        settings: Arc::clone(settings),
    };
    routes.push(route("/batch".to_owned(), batch));
    routes
}

fn route(path: String, answer: impl Answer) -> Route {
    Route {
        path,
        endpoint: Outermost(answer).boxed(),
    }
}

/// What answers at one path.
pub(crate) trait Answer: Send + Sync + 'static {
    /// The methods it knows, as the header Allow lists them.
    fn allow(&self) -> &'static str;

    /// Answers a request, or says why not.
    fn answer(&self, request: &mut Request) -> impl Future<Output = Result<Response>> + Send;

    /// Answers a method that means nothing special here.
    fn other(&self, method: &Method) -> Result<Response> {
        if method == Method::OPTIONS {
            return Ok(respond::options(self.allow()));
        }
        Err(Error::MethodNotAllowed {
            method: method.to_string(),
            allow: self.allow().to_owned(),
        })
    }
}

/// Where errors become answers.
struct Outermost<A>(A);

impl<A: Answer> Endpoint for Outermost<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let head = request.method() == Method::HEAD;
        let response = match self.0.answer(&mut request).await {
            Ok(response) => response,
            Err(error) => error.response(),
        };
        if head {
            return Ok(respond::without_body(response).await);
        }
        Ok(response)
    }
}

/// `/c`
struct Documents(Arc<Resource>);

impl Answer for Documents {
    fn allow(&self) -> &'static str {
        match self.0.collection.append_only {
            true => "GET, HEAD, POST, OPTIONS",
            false => "GET, HEAD, POST, PATCH, DELETE, OPTIONS",
        }
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        let changeable = !self.0.collection.append_only;
        match *request.method() {
            Method::GET | Method::HEAD => list::list(&self.0, request).await,
            Method::POST => create::create(&self.0, request).await,
            Method::PATCH if changeable => many::change(&self.0, request).await,
            Method::DELETE if changeable => many::remove(&self.0, request).await,
            ref other => self.other(other),
        }
    }
}

/// `/c/{id}`
struct Document(Arc<Resource>);

impl Answer for Document {
    fn allow(&self) -> &'static str {
        match self.0.collection.append_only {
            true => "GET, HEAD, OPTIONS",
            false => "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
        }
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        let changeable = !self.0.collection.append_only;
        match *request.method() {
            Method::GET | Method::HEAD => read::read(&self.0, request).await,
            Method::PATCH if changeable => change::patch(&self.0, request).await,
            Method::PUT if changeable => change::replace(&self.0, request).await,
            Method::DELETE if changeable => remove::remove(&self.0, request).await,
            ref other => self.other(other),
        }
    }
}

/// `/c/query`
struct Query(Arc<Resource>);

impl Answer for Query {
    fn allow(&self) -> &'static str {
        "POST, OPTIONS"
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        match *request.method() {
            Method::POST => query::query(&self.0, request).await,
            ref other => self.other(other),
        }
    }
}

/// `/c/count`
struct Count(Arc<Resource>);

impl Answer for Count {
    fn allow(&self) -> &'static str {
        "GET, HEAD, OPTIONS"
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        match *request.method() {
            Method::GET | Method::HEAD => count::count(&self.0, request).await,
            ref other => self.other(other),
        }
    }
}

/// `/c/bulk`
struct Bulk(Arc<Resource>);

impl Answer for Bulk {
    fn allow(&self) -> &'static str {
        "POST, OPTIONS"
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        match *request.method() {
            Method::POST => bulk::bulk(&self.0, request).await,
            ref other => self.other(other),
        }
    }
}

impl Answer for batch::Batch {
    fn allow(&self) -> &'static str {
        "POST, OPTIONS"
    }

    async fn answer(&self, request: &mut Request) -> Result<Response> {
        match *request.method() {
            Method::POST => self.execute(request).await,
            ref other => self.other(other),
        }
    }
}
