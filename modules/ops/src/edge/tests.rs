use std::{
    collections::HashSet,
    io::Read,
    sync::{Mutex, atomic::AtomicI64, atomic::Ordering},
};

use poem::{
    EndpointExt, IntoEndpoint, Route, get, handler,
    http::StatusCode,
    post,
    web::{Json, Path},
};
use serde_json::Value;
use tracing::Level;

use super::*;
use crate::AccessLog;

struct Fixed(AtomicI64);

impl Clock for Fixed {
    fn micros(&self) -> i64 {
        self.0.fetch_add(10, Ordering::Relaxed)
    }
}

struct Zeros;

impl Random for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

#[handler]
fn small() -> &'static str {
    "small"
}

#[handler]
fn large() -> Response {
    let body = format!("[{}0]", "\"some text\",".repeat(500));
    Response::builder()
        .content_type("application/json")
        .body(body)
}

#[handler]
fn huge() -> String {
    "some text ".repeat(50_000)
}

#[handler]
fn image() -> Response {
    Response::builder()
        .content_type("image/png")
        .body(vec![0; 5000])
}

#[handler]
fn typed(Path(number): Path<u32>) -> String {
    number.to_string()
}

#[handler]
fn echo(Json(body): Json<Value>) -> String {
    body.to_string()
}

#[handler]
fn panics() -> String {
    panic!("the secret words")
}

#[handler]
async fn never() -> String {
    std::future::pending().await
}

#[handler]
fn refuses() -> poem::Result<String> {
    Err(Error::no_document("posts").into())
}

#[handler]
fn fails() -> poem::Result<String> {
    Err(poem::error::InternalServerError(std::io::Error::other(
        "the secret words",
    )))
}

fn options() -> EdgeOptions {
    EdgeOptions {
        settings: Settings::default(),
        body_limit: 100,
        compression: true,
        cors_origins: Vec::new(),
        paths: vec!["/posts".into(), "/comments".into()],
        drain: Drain::new(),
        clock: Arc::new(Fixed(AtomicI64::new(0))),
        random: Arc::new(Zeros),
    }
}

fn server(options: EdgeOptions) -> Edge<impl Endpoint> {
    let routes = Route::new()
        .at("/small", get(small))
        .at("/large", get(large))
        .at("/huge", get(huge))
        .at("/image", get(image))
        .at("/typed/:number", get(typed))
        .at("/echo", post(echo))
        .at("/panics", get(panics))
        .at("/never", get(never).post(never))
        .at("/refuses", get(refuses))
        .at("/fails", get(fails));
    edge(routes.into_endpoint().boxed(), options).unwrap()
}

async fn ask(server: &impl Endpoint<Output = Response>, request: Request) -> Response {
    server.call(request).await.unwrap()
}

fn to(path: &str) -> Request {
    Request::builder().uri_str(path).finish()
}

fn with(path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = to(path);
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().insert(*name, value);
    }
    request
}

async fn problem(response: Response) -> (u16, Value) {
    assert_eq!(response.content_type(), Some("application/problem+json"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert!(response.header("x-request-id").is_some());
    let status = response.status().as_u16();
    let text = response.into_body().into_string().await.unwrap();
    assert!(!text.contains("secret"), "{text}");
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let server = server(options());
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let response = ask(&server, to("/small")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        seen.insert(response.header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|id| id.len() == 16));
}

#[tokio::test]
async fn an_id_from_outside_is_kept_if_it_is_sane() {
    let server = server(options());
    for (given, kept) in [
        ("req-42/a.b", true),
        ("", false),
        ("two words", false),
        (&*"x".repeat(128), true),
        (&*"x".repeat(129), false),
    ] {
        let response = ask(&server, with("/small", &[("x-request-id", given)])).await;
        assert_eq!(
            response.header("x-request-id") == Some(given),
            kept,
            "{given}"
        );
    }
}

#[tokio::test]
async fn poems_errors_become_problem_documents() {
    let server = server(options());
    let (status, body) = problem(ask(&server, to("/post")).await).await;
    assert_eq!((status, &body["code"]), (404, &"unknown_path".into()));
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean `/posts`?"),
        "{body}"
    );
    let (_, body) = problem(ask(&server, to("/coments/1?x=y")).await).await;
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean `/comments`?"),
        "{body}"
    );
    let (_, body) = problem(ask(&server, to("/elsewhere")).await).await;
    assert!(
        !body["detail"].as_str().unwrap().contains("did you mean"),
        "{body}"
    );

    let request = Request::builder()
        .method(Method::DELETE)
        .uri_str("/small")
        .finish();
    let (status, body) = problem(ask(&server, request).await).await;
    assert_eq!((status, &body["code"]), (405, &"method_not_allowed".into()));

    let (status, body) = problem(ask(&server, to("/typed/abc")).await).await;
    assert_eq!((status, &body["code"]), (400, &"bad_request".into()));

    let request = Request::builder()
        .method(Method::POST)
        .uri_str("/echo")
        .body("{}");
    assert_eq!(problem(ask(&server, request).await).await.0, 415);

    let (status, body) = problem(ask(&server, to("/refuses")).await).await;
    assert_eq!((status, &body["code"]), (404, &"not_found".into()));

    let (status, body) = problem(ask(&server, to("/fails")).await).await;
    assert_eq!((status, &body["code"]), (500, &"internal".into()));
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_is_none_the_worse() {
    let server = server(options());
    let response = ask(&server, to("/panics")).await;
    let cause = response
        .data::<nubo_core::error::Cause>()
        .unwrap()
        .0
        .clone();
    assert!(cause.contains("the secret words"));
    assert_eq!(problem(response).await.0, 500);
    assert_eq!(server.drain.in_flight(), 0);
    assert_eq!(ask(&server, to("/small")).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let server = server(options());
    let response = ask(&server, to("/never")).await;
    assert!(response.header("retry-after").is_some());
    let (status, body) = problem(response).await;
    assert_eq!((status, &body["code"]), (503, &"timeout".into()));
    let request = Request::builder()
        .method(Method::POST)
        .uri_str("/never")
        .finish();
    let (status, body) = problem(ask(&server, request).await).await;
    assert_eq!((status, &body["code"]), (503, &"outcome_unknown".into()));
}

#[tokio::test]
async fn requests_under_way_are_counted_until_their_clients_hang_up() {
    let options = options();
    let drain = options.drain.clone();
    let server = server(options);
    let mut call = Box::pin(server.call(to("/never")));
    assert!(futures_util::poll!(&mut call).is_pending());
    assert_eq!(drain.in_flight(), 1);
    drop(call);
    assert_eq!(drain.in_flight(), 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = server(options());
    let request = Request::builder()
        .method(Method::POST)
        .uri_str("/echo")
        .content_type("application/json")
        .header("content-length", 101)
        .body("{}");
    assert_eq!(problem(ask(&server, request).await).await.0, 413);
    let long = format!("/small?{}", "x".repeat(MAX_URI));
    let (status, body) = problem(ask(&server, to(&long)).await).await;
    assert_eq!((status, &body["code"]), (400, &"uri_too_long".into()));
}

#[tokio::test]
async fn what_was_left_unread_is_taken_in_before_the_answer() {
    let server = server(options());
    for (path, length, expected) in [
        ("/echo", Some("50000"), 413),
        ("/nowhere", None, 404),
        ("/refuses", Some("100"), 405),
    ] {
        let taken = Arc::new(AtomicI64::new(0));
        let counted = taken.clone();
        let parts = futures_util::stream::iter((0..50).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b' '; 1000])
        }));
        let mut request = to(path);
        request.set_method(Method::POST);
        let (name, value) = match length {
            Some(length) => (header::CONTENT_LENGTH, length),
            None => (header::TRANSFER_ENCODING, "chunked"),
        };
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
        request.set_body(poem::Body::from_bytes_stream(parts));
        assert_eq!(problem(ask(&server, request).await).await.0, expected);
        assert_eq!(taken.load(Ordering::Relaxed), 50, "{path}");
    }
}

#[tokio::test]
async fn large_texts_are_compressed_for_those_who_ask() {
    let server = server(options());
    for (path, accepted, compressed) in [
        ("/large", "gzip, deflate, br", true),
        ("/large", "br;q=1.0, gzip;q=0.5", true),
        ("/large", "*", true),
        ("/huge", "gzip", true),
        ("/large", "gzip;q=0, *", false),
        ("/large", "br", false),
        ("/large", "identity", false),
        ("/small", "gzip", false),
        ("/image", "gzip", false),
    ] {
        let plain = ask(&server, to(path)).await;
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), None);
        let plain = plain.into_body().into_bytes().await.unwrap();
        let response = ask(&server, with(path, &[("accept-encoding", accepted)])).await;
        let is_gzip = response.header("content-encoding") == Some("gzip");
        assert_eq!(is_gzip, compressed, "{path} {accepted}");
        let varies = response.header("vary") == Some("Accept-Encoding");
        assert_eq!(varies, compressed, "{path} {accepted}");
        let mut body = response.into_body().into_vec().await.unwrap();
        if compressed {
            assert!(body.len() < plain.len());
            let packed = std::mem::take(&mut body);
            let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
            decoder.read_to_end(&mut body).unwrap();
        }
        assert!(body == plain, "{path} {accepted}");
    }
}

#[tokio::test]
async fn pages_of_configured_origins_are_let_in() {
    let server = server(EdgeOptions {
        cors_origins: vec!["https://app.example.org".into()],
        ..options()
    });
    let origin = ("origin", "https://app.example.org");
    let response = ask(&server, with("/small", &[origin])).await;
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some(origin.1)
    );
    assert_eq!(response.header("vary"), Some("Origin"));
    let refused = ask(&server, with("/nowhere", &[origin])).await;
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some(origin.1)
    );

    for request in [
        to("/small"),
        with("/small", &[("origin", "https://evil.example.org")]),
    ] {
        let response = ask(&server, request).await;
        assert_eq!(response.header("access-control-allow-origin"), None);
    }

    let mut preflight = with(
        "/echo",
        &[
            origin,
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization, content-type",
            ),
        ],
    );
    preflight.set_method(Method::OPTIONS);
    let response = ask(&server, preflight).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some(origin.1)
    );
    assert!(
        response
            .header("access-control-allow-methods")
            .unwrap()
            .contains("PATCH")
    );
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("authorization, content-type")
    );
}

#[tokio::test]
async fn a_star_lets_everyone_in_and_nothing_lets_in_nobody() {
    let origin = ("origin", "https://any.example.org");
    let open = server(EdgeOptions {
        cors_origins: vec!["*".into()],
        ..options()
    });
    let response = ask(&open, with("/small", &[origin])).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("vary"), None);
    let closed = server(options());
    let response = ask(&closed, with("/small", &[origin])).await;
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[test]
fn settings_that_cannot_be_read_are_refused() {
    for origin in [
        "app.example.org",
        "https://app.example.org/",
        "https://",
        "",
        "a b",
    ] {
        let options = EdgeOptions {
            cors_origins: vec![origin.into()],
            ..options()
        };
        assert!(edge(Route::new(), options).is_err(), "{origin}");
    }
    let options = EdgeOptions {
        settings: Settings {
            request_timeout: "soon".into(),
            ..Settings::default()
        },
        ..options()
    };
    assert!(edge(Route::new(), options).is_err());
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_are_logged_at_their_level_and_faults_always() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let logging = |access_log| {
        server(EdgeOptions {
            settings: Settings {
                access_log,
                ..Settings::default()
            },
            ..options()
        })
    };
    let taken = || String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();

    let quiet = logging(AccessLog::Debug);
    ask(&quiet, to("/small")).await;
    assert_eq!(taken(), "");
    ask(&quiet, to("/fails")).await;
    let logged = taken();
    assert!(
        logged.contains("ERROR") && logged.contains("the secret words"),
        "{logged}"
    );

    let chatty = logging(AccessLog::Info);
    ask(
        &chatty,
        with("/small?filter=ada@example.org", &[("x-request-id", "abc")]),
    )
    .await;
    let logged = taken();
    for part in [
        "INFO",
        "method=GET",
        "path=\"/small\"",
        "status=200",
        "micros=10",
        "\"abc\"",
    ] {
        assert!(logged.contains(part), "{part}: {logged}");
    }
    assert!(!logged.contains("ada@"), "{logged}");
}
