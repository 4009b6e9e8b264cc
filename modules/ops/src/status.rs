//! `/ping`, `/health` and `/ready`.

use std::{sync::Arc, time::Duration};

use nubo_core::{Error, clock::Clock, module::SetupError, store::Store};
use poem::{EndpointExt, IntoEndpoint, Request, Response, endpoint::BoxEndpoint, http::Method};
use poem_openapi::{ApiResponse, Object, OpenApi, OpenApiService, Tags, payload::Json};
use serde_json::Value;

use crate::Drain;

/// The paths that answer here.
pub(crate) const PATHS: [&str; 3] = ["/ping", "/health", "/ready"];

/// How long the store may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the routes know.
pub(crate) struct Status {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    drain: Drain,
    started: i64,
}

impl Status {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, drain: Drain) -> Self {
        Self {
            started: clock.micros(),
            store,
            clock,
            drain,
        }
    }

    async fn check(&self) -> Result<(), Error> {
        if self.drain.is_closing() {
            return Err(Error::unavailable("stopping", "the server is stopping"));
        }
        let asked = tokio::time::timeout(PATIENCE, self.store.ready());
        match asked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ Error::Unavailable { .. })) => Err(error),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the store is not ready"
                );
                Err(not_ready())
            }
            Err(_) => Err(not_ready()),
        }
    }
}

fn not_ready() -> Error {
    Error::unavailable("not_ready", "the store does not answer")
}

#[derive(Tags)]
enum Group {
    /// Whether the server lives and is ready.
    #[oai(rename = "operations")]
    Operations,
}

/// An answer, whatever else happens.
#[derive(Object)]
struct Pong {
    /// Always `pong`.
    message: String,
}

/// A sign of life.
#[derive(Object)]
struct Health {
    /// Always `ok`: a server that is not gives no answer.
    status: String,
    /// The server's version.
    version: String,
    /// Seconds since it was started.
    uptime_seconds: u64,
}

/// The server can do its work.
#[derive(Object)]
struct Ready {
    /// Always `ready`.
    status: String,
}

/// Why the server is not ready (RFC 9457).
#[derive(Object)]
#[oai(rename = "NotReadyProblem")]
struct Problem {
    /// Always `about:blank`: `code` says more.
    #[oai(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// Stable word for programs.
    code: String,
    /// What happened, in a sentence for people.
    detail: String,
}

#[derive(ApiResponse)]
enum Readiness {
    /// It can do its work.
    #[oai(status = 200)]
    Ready(Json<Ready>),
    /// It cannot, or not yet, or not any more.
    #[oai(status = 503, content_type = "application/problem+json")]
    NotReady(
        Json<Problem>,
        /// Seconds after which to ask again.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

#[derive(Clone)]
struct Api(Arc<Status>);

#[OpenApi(tag = "Group::Operations")]
impl Api {
    /// Answers
    ///
    /// Costs nothing and asks nobody: for measuring the way to the server.
    #[oai(path = "/ping", method = "get", operation_id = "ping")]
    async fn ping(&self) -> Json<Pong> {
        Json(Pong {
            message: "pong".into(),
        })
    }

    /// Tells that the server lives
    ///
    /// Asks nobody else. A server that does not answer here should be restarted.
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> Json<Health> {
        let micros = self.0.clock.micros().saturating_sub(self.0.started);
        Json(Health {
            status: "ok".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: u64::try_from(micros / 1_000_000).unwrap_or(0),
        })
    }

    /// Tells whether the server can do its work
    ///
    /// Asks the store. A server that is not ready should get no requests for the moment.
    #[oai(path = "/ready", method = "get", operation_id = "ready")]
    async fn ready(&self) -> Readiness {
        let Err(error) = self.0.check().await else {
            return Readiness::Ready(Json(Ready {
                status: "ready".into(),
            }));
        };
        let problem = error.problem();
        let retry_after = match &error {
            Error::Unavailable { retry_after, .. } => *retry_after,
            _ => 1,
        };
        Readiness::NotReady(
            Json(Problem {
                kind: problem.kind.into(),
                title: problem.title.into(),
                status: problem.status,
                code: problem.code.into(),
                detail: problem.detail.into_owned(),
            }),
            retry_after,
        )
    }
}

fn service(status: Arc<Status>) -> OpenApiService<Api, ()> {
    OpenApiService::new(Api(status), "Nubo", env!("CARGO_PKG_VERSION"))
}

/// What answers at [`PATHS`].
pub(crate) fn endpoint(status: Arc<Status>) -> BoxEndpoint<'static, Response> {
    service(status)
        .into_endpoint()
        .before(only_get)
        .map_to_response()
        .boxed()
}

async fn only_get(request: Request) -> poem::Result<Request> {
    match *request.method() {
        Method::GET | Method::HEAD => Ok(request),
        _ => Err(Error::MethodNotAllowed {
            method: request.method().to_string(),
            allow: "GET, HEAD".into(),
        }
        .into()),
    }
}

/// The routes' part of the OpenAPI document.
pub(crate) fn openapi(status: Arc<Status>) -> Result<Value, SetupError> {
    let text = service(status).spec();
    let broken = |error| SetupError::caused("the OpenAPI document of ops cannot be read", error);
    let mut document: Value = serde_json::from_str(&text).map_err(broken)?;
    if let Value::Object(parts) = &mut document {
        parts.retain(|key, _| ["paths", "components", "tags"].contains(&key.as_str()));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use async_trait::async_trait;
    use nubo_core::{
        Result,
        caller::Caller,
        document::Document,
        filter::Expr,
        id::Id,
        query::Query,
        schema::CollectionId,
        store::{Answer, Expansion},
        truth::{Body, Page},
        write::{Operation, Outcome, Sequence},
    };
    use poem::{Endpoint, http::StatusCode};

    use super::*;

    #[derive(Default)]
    struct Fake {
        broken: AtomicBool,
        micros: AtomicI64,
    }

    impl Clock for Fake {
        fn micros(&self) -> i64 {
            self.micros.load(Ordering::Relaxed)
        }
    }

    #[async_trait]
    impl Store for Fake {
        async fn write_with(
            &self,
            _: &Caller,
            _: Vec<Operation>,
            _: Vec<Operation>,
        ) -> Result<Vec<Outcome>> {
            unreachable!()
        }

        async fn write_each(
            &self,
            _: &Caller,
            _: Vec<Operation>,
            _: Sequence,
        ) -> Vec<Result<Outcome>> {
            unreachable!()
        }

        async fn get(&self, _: &Caller, _: CollectionId, _: Id) -> Result<Option<Answer<Body>>> {
            unreachable!()
        }

        async fn list(&self, _: &Caller, _: Query, _: &[Expansion]) -> Result<Answer<Page>> {
            unreachable!()
        }

        async fn list_at_once(&self, _: &Caller, _: Query) -> Result<Answer<Page>> {
            unreachable!()
        }

        async fn find(&self, _: &Caller, _: Query) -> Result<Vec<Document>> {
            unreachable!()
        }

        async fn count(&self, _: &Caller, _: CollectionId, _: Expr) -> Result<u64> {
            unreachable!()
        }

        async fn ready(&self) -> Result<()> {
            match self.broken.load(Ordering::Relaxed) {
                true => Err(Error::internal("the secret word of a driver")),
                false => Ok(()),
            }
        }
    }

    struct Routes {
        fake: Arc<Fake>,
        drain: Drain,
        endpoint: BoxEndpoint<'static, Response>,
    }

    fn routes() -> Routes {
        let fake = Arc::new(Fake::default());
        let drain = Drain::new();
        let status = Status::new(fake.clone(), fake.clone(), drain.clone());
        Routes {
            fake,
            drain,
            endpoint: endpoint(Arc::new(status)),
        }
    }

    impl Routes {
        async fn ask(&self, method: Method, path: &str) -> Response {
            let request = Request::builder().method(method).uri_str(path).finish();
            self.endpoint.get_response(request).await
        }

        async fn get(&self, path: &str) -> (StatusCode, Value) {
            let response = self.ask(Method::GET, path).await;
            let status = response.status();
            let text = response.into_body().into_string().await.unwrap();
            (status, serde_json::from_str(&text).unwrap())
        }
    }

    #[tokio::test]
    async fn ping_and_health_answer_whatever_the_store_does() {
        let routes = routes();
        routes.fake.broken.store(true, Ordering::Relaxed);
        routes.fake.micros.store(61_500_000, Ordering::Relaxed);
        let pong = serde_json::json!({ "message": "pong" });
        assert_eq!(routes.get("/ping").await, (StatusCode::OK, pong));
        let (status, health) = routes.get("/health").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(health["status"], "ok");
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(health["uptime_seconds"], 61);
    }

    #[tokio::test]
    async fn ready_follows_the_store_and_the_drain() {
        let routes = routes();
        assert_eq!(routes.get("/ready").await.0, StatusCode::OK);

        routes.fake.broken.store(true, Ordering::Relaxed);
        let response = routes.ask(Method::GET, "/ready").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.content_type(), Some("application/problem+json"));
        assert_eq!(response.header("retry-after"), Some("1"));
        let text = response.into_body().into_string().await.unwrap();
        assert!(
            text.contains("not_ready") && !text.contains("secret"),
            "{text}"
        );

        routes.fake.broken.store(false, Ordering::Relaxed);
        routes.drain.close();
        let (status, problem) = routes.get("/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem["code"], "stopping");
    }

    #[tokio::test]
    async fn other_methods_are_told_which_ones_there_are() {
        let routes = routes();
        let refused = routes.ask(Method::POST, "/ping").await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        let head = routes.ask(Method::HEAD, "/ping").await;
        assert_eq!(head.status(), StatusCode::OK);
    }

    #[test]
    fn the_document_has_every_path_and_the_problem() {
        let fake = Arc::new(Fake::default());
        let status = Status::new(fake.clone(), fake, Drain::new());
        let document = openapi(Arc::new(status)).unwrap();
        for path in PATHS {
            assert!(
                document["paths"][path]["get"]["operationId"].is_string(),
                "{path}"
            );
        }
        let refused = &document["paths"]["/ready"]["get"]["responses"]["503"]["content"];
        assert_eq!(
            refused["application/problem+json"]["schema"]["$ref"],
            "#/components/schemas/NotReadyProblem"
        );
        assert!(document["components"]["schemas"]["NotReadyProblem"].is_object());
        assert!(document.get("openapi").is_none() && document.get("info").is_none());
    }
}
