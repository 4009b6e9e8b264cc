//! What holds for every request: signs of life, ids, compression, other origins, headers.

use serde_json::{Value as Json, json};

use crate::{
    fresh_id, fresh_shelf, library,
    server::{Answer, Server, Site, text},
};

const NOTES: &str = "name: notes\nfields: { words: text! }\naccess: { read: public, create: public, update: public, delete: public }\n";

#[test]
fn the_server_gives_signs_of_life() {
    assert_eq!(
        library().get("/ping").expect(200),
        json!({ "message": "pong" })
    );
    let health = library().get("/health").expect(200);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptime_seconds"].is_u64());
    assert_eq!(
        library().get("/ready").expect(200),
        json!({ "status": "ready" })
    );
    for path in ["/ping", "/health", "/ready"] {
        let head = library().request("HEAD", path).send();
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let answer = library().post(path, &json!({}));
        answer.problem(405, "method_not_allowed");
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("GET")),
            "{path}"
        );
    }
}

#[test]
fn every_answer_has_an_id_and_says_how_it_is_to_be_taken() {
    let answers: Vec<Answer> = [
        "/ping",
        "/books?limit=1",
        "/nothing",
        "/books/17",
        "/openapi.json",
        "/docs",
    ]
    .map(|path| library().get(path))
    .into();
    let mut ids: Vec<&str> = Vec::new();
    for answer in &answers {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        ids.push(answer.header("x-request-id").expect("an id"));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), answers.len());
    let named = |id: &str| {
        library()
            .request("GET", "/nothing")
            .header("x-request-id", id)
            .send()
    };
    assert_eq!(
        named("order-42/a").header("x-request-id"),
        Some("order-42/a")
    );
    for id in ["two words", &"x".repeat(129)] {
        assert_ne!(
            named(id).header("x-request-id"),
            Some(id),
            "not fit for a log"
        );
    }
}

#[test]
fn answers_are_compressed_for_who_asks() {
    let shelf = fresh_shelf();
    let books: Vec<Json> = (0..30)
        .map(
            |n| json!({ "create": { "title": format!("A book like others {n}"), "shelf": shelf } }),
        )
        .collect();
    library().post("/books/bulk", &json!(books)).expect(200);
    let path = format!("/books?limit=30&filter[shelf]={shelf}");
    let ask = |encodings: &str| {
        library()
            .request("GET", &path)
            .header("accept-encoding", encodings)
            .send()
    };
    let plain = library().get(&path);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(ask("br, identity").body, plain.body);
    assert_eq!(ask("gzip;q=0").body, plain.body);
    let packed = ask("deflate, gzip");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() * 3 < plain.body.len());
    assert!(packed.header("vary").is_some());
    let small = library()
        .request("GET", "/ping")
        .header("accept-encoding", "gzip")
        .send();
    assert_eq!(small.header("content-encoding"), None);
}

#[test]
fn pages_of_other_origins_are_let_in_where_that_is_configured() {
    let asked = |server: &Server, origin: &str| {
        server
            .request("GET", "/notes")
            .header("origin", origin)
            .send()
    };
    let preflight = |server: &Server, origin: &str| {
        server
            .request("OPTIONS", "/notes")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "content-type,if-match")
            .send()
    };
    let site = Site::with_collection("notes", NOTES);
    let origin = "https://app.example.org";
    let server = site.start();
    assert_eq!(
        asked(&server, origin).header("access-control-allow-origin"),
        None
    );
    assert_eq!(
        preflight(&server, origin).header("access-control-allow-origin"),
        None
    );
    server.stop();
    site.file(
        "nubo.yaml",
        &format!("server: {{ cors: {{ origins: [\"{origin}\"] }} }}\n"),
    );
    let server = site.start();
    assert_eq!(
        asked(&server, origin).header("access-control-allow-origin"),
        Some(origin)
    );
    assert_eq!(
        asked(&server, "https://evil.example").header("access-control-allow-origin"),
        None
    );
    let answer = preflight(&server, origin);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert!(
        answer
            .header("access-control-allow-methods")
            .is_some_and(|m| m.contains("PATCH"))
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type,if-match")
    );
    assert_eq!(
        preflight(&server, "https://evil.example").header("access-control-allow-origin"),
        None
    );
    server.stop();
}

#[test]
fn options_tells_what_a_path_answers() {
    let id = fresh_id();
    for (path, allow) in [
        ("/books", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        (
            &*format!("/books/{id}"),
            "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
        ),
        ("/books/query", "POST, OPTIONS"),
        ("/books/count", "GET, HEAD, OPTIONS"),
        ("/books/bulk", "POST, OPTIONS"),
        ("/batch", "POST, OPTIONS"),
        ("/journal", "GET, HEAD, POST, OPTIONS"),
        (&*format!("/journal/{id}"), "GET, HEAD, OPTIONS"),
    ] {
        let answer = library().request("OPTIONS", path).send();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (204, Some(allow)),
            "{path}"
        );
    }
}

#[test]
fn everything_can_be_below_a_prefix() {
    let site = Site::with_collection("notes", NOTES);
    site.file("nubo.yaml", "server: { base_path: /api/v1 }\n");
    // The address that the server logs has the prefix.
    let server = site.start();
    let answer = server.post("/notes", &json!({ "words": "x" }));
    let id = answer.expect(201)["id"].clone();
    let location = answer.header("location").expect("a place").to_owned();
    assert_eq!(
        Json::String(location),
        format!("/api/v1/notes/{}", id.as_str().expect("an id"))
    );
    for path in [
        "/ready",
        "/health",
        "/openapi.json",
        "/docs",
        "/notes/count",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let document = server.get("/openapi.json").expect(200);
    assert!(document.to_string().contains("/api/v1"), "{document}");
    let hint = server.get("/note").problem(404, "unknown_path");
    assert!(
        hint.to_string().contains("did you mean `/api/v1/notes`?"),
        "{hint}"
    );
    let outside = server.raw(b"GET /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(outside.starts_with("HTTP/1.1 404"), "{outside}");
    server.stop();
}

#[test]
fn what_is_sensitive_is_in_no_log() {
    let site = Site::with_folder("collections");
    site.file(
        "nubo.yaml",
        "log: { level: trace }\nops: { access_log: info }\nauth: { passwords: { memory_kib: 64 } }\n",
    );
    let server = site.start();
    let user = json!({
        "username": "ada", "email": "ada@example.org", "password": "correct horse battery",
        "first_name": "Ada", "last_name": "L", "phone": "+49-30-1234567",
    });
    let mut secrets = vec!["correct horse".to_owned(), "ada@example".to_owned()];
    secrets.extend(["1234567".to_owned(), "argon2id$".to_owned()]);
    let signed_up = server.post("/signup", &user).expect(201);
    let login = json!({ "identifier": "ada@example.org", "password": "correct horse battery" });
    let signed_in = server.post("/login", &login).expect(200);
    let refresh = json!({ "refresh_token": signed_in["refresh_token"] });
    let refreshed = server.post("/refresh", &refresh).expect(200);
    for answer in [&signed_up, &signed_in, &refreshed] {
        secrets.extend(["access_token", "refresh_token"].map(|name| text(&answer[name])));
        let bearer = format!("Bearer {}", text(&answer["access_token"]));
        let path = "/users?filter[username]=ada&sort=username";
        let request = server.request("GET", path).header("authorization", &bearer);
        request.send().expect(200);
    }
    let path = "/users?filter[email]=ada@example.org";
    server.get(path).expect(401);
    server.post("/signup", &user).problem(409, "duplicate");
    let written = server.log();
    for secret in secrets {
        assert!(!written.contains(&secret), "`{secret}` is in the log");
    }
    assert!(written.contains("/users"), "the access log has the paths");
    server.stop();
}
