//! Signing in.

use std::sync::atomic::Ordering;

use nubo_core::value::Value;
use poem::Request;
use serde_json::json;

use crate::fake::{Answer, PASSWORD, Server, account, quick};

async fn with_ada() -> Server {
    let server = Server::new().await;
    server.sign_up("ada").await;
    server
}

#[tokio::test]
async fn every_name_of_an_account_will_do() {
    let server = with_ada().await;
    let bodies = [
        json!({ "identifier": "ADA", "password": PASSWORD }),
        json!({ "identifier": " Ada@Example.org ", "password": PASSWORD }),
        json!({ "username": "ada", "password": PASSWORD }),
        json!({ "email": "ada@example.org", "password": PASSWORD, "device": { "a": 1 } }),
    ];
    for body in bodies {
        let answer = server.post("/login", body.clone()).await;
        assert_eq!(answer.status, 200, "{body}");
        assert_eq!(answer.json()["user"]["username"], "ada");
    }
    // The key says which field is meant.
    let mistaken = json!({ "email": "ada", "password": PASSWORD });
    assert_eq!(server.post("/login", mistaken).await.status, 401);
}

#[tokio::test]
async fn sign_ins_are_counted() {
    let server = with_ada().await;
    server.clock.pass(5000);
    server.log_in("ada", PASSWORD).await;
    let user = server.log_in("ada", PASSWORD).await.json()["user"].clone();
    assert_eq!(user["login_count"], 2);
    assert!(user["last_login"].is_string());
    assert_eq!(server.log_in("ada", "wrong").await.status, 401);
    let stored = &server.store.all("users")[0];
    assert_eq!(
        server.store.value("users", stored, "login_count"),
        Value::Int(2)
    );
}

#[tokio::test]
async fn unknown_accounts_and_wrong_passwords_look_alike() {
    let server = with_ada().await;
    let shared = server.auth.shared.get().unwrap();
    let verified = || shared.passwords.verified.load(Ordering::Relaxed);
    let before = verified();
    let wrong = server.log_in("ada", "wrong password").await;
    assert_eq!(verified(), before + 1);
    for name in [
        "nobody",
        "x",
        "nobody@example.org",
        "a\0b",
        &"x".repeat(5000),
    ] {
        let before = verified();
        let unknown = server.log_in(name, "wrong password").await;
        assert_eq!(verified(), before + 1, "as much work as for an account");
        assert_eq!(
            (unknown.status, unknown.code().as_str()),
            (401, "invalid_credentials")
        );
        assert_eq!(unknown.json(), wrong.json());
        assert!(unknown.header("www-authenticate").is_some());
    }
    // What the work is done on costs as much as a real hash.
    let dummy = shared.dummy.hash(&shared.passwords).await.unwrap();
    assert!(!shared.passwords.needs_rehash(&dummy));
}

#[tokio::test]
async fn a_refused_state_is_told_to_the_owner_alone() {
    let server = with_ada().await;
    server.store.set_all("users", "state", &Value::Int(2));
    let banned = server.log_in("ada", PASSWORD).await;
    assert_eq!(
        (banned.status, banned.code().as_str()),
        (403, "account_banned")
    );
    assert_eq!(
        server.log_in("ada", "wrong").await.code(),
        "invalid_credentials"
    );
    server.store.set_all("users", "state", &Value::Int(3));
    assert_eq!(
        server.log_in("ada", PASSWORD).await.code(),
        "account_suspended"
    );
    server.store.set_all("users", "state", &Value::Int(0));
    let deleted = server.log_in("ada", PASSWORD).await;
    assert_eq!(
        (deleted.status, deleted.code().as_str()),
        (401, "invalid_credentials")
    );
}

#[tokio::test]
async fn nobody_stands_in_the_way_of_an_address() {
    let server = with_ada().await;
    let mut eve = account("eve");
    eve["username"] = "ada@example.org".into();
    eve["password"] = "something else".into();
    assert_eq!(server.post("/signup", eve).await.status, 201);
    let answer = server.log_in("ada@example.org", PASSWORD).await;
    assert_eq!(answer.json()["user"]["username"], "ada");
}

#[tokio::test]
async fn an_outdated_hash_is_replaced() {
    let server = with_ada().await;
    let old = {
        let mut settings = quick();
        settings["passwords"]["iterations"] = 2.into();
        let other = Server::with(settings).await;
        other.sign_up("ada").await;
        other
            .store
            .value("users", &other.store.all("users")[0], "password")
    };
    server.store.set_all("users", "password", &old);
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
    let new = server
        .store
        .value("users", &server.store.all("users")[0], "password");
    assert!(format!("{new:?}").contains("t=1"), "{new:?}");
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
}

async fn fail(server: &Server, name: &str) -> (u16, Option<String>) {
    let answer = server.log_in(name, "wrong password").await;
    (
        answer.status,
        answer.header("retry-after").map(str::to_owned),
    )
}

#[tokio::test]
async fn guessing_comes_to_an_end() {
    let server = with_ada().await;
    for name in ["ada", "nobody"] {
        for _ in 0..10 {
            assert_eq!(fail(&server, name).await.0, 401);
        }
        assert_eq!(
            fail(&server, name).await,
            (429, Some("60".into())),
            "{name}"
        );
    }
    // Nor does the right password help before its time, or another spelling.
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 429);
    assert_eq!(server.log_in("ADA", PASSWORD).await.status, 429);
    server.clock.pass(60_000);
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
    // That was none of the failures.
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn spaces_around_an_address_are_no_way_around() {
    let server = with_ada().await;
    for spaces in 0..10 {
        let name = format!("{}ada@example.org", " ".repeat(spaces));
        assert_eq!(fail(&server, &name).await.0, 401);
    }
    assert_eq!(fail(&server, "           ada@example.org").await.0, 429);
}

#[tokio::test]
async fn an_address_tries_only_so_often() {
    let mut settings = quick();
    settings["throttle"] = json!({ "login_per_address": { "burst": 3, "per": "1s" } });
    let server = Server::with(settings).await;
    server.sign_up("ada").await;
    for _ in 0..3 {
        assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
    }
    assert_eq!(server.log_in("bob", PASSWORD).await.status, 429);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = with_ada().await;
    let refused = |body| {
        let server = &server;
        async move { server.post("/login", body).await.errors() }
    };
    let expect = |path: &str, code: &str| vec![(path.to_owned(), code.to_owned())];
    let errors = refused(json!({ "identifier": "a", "password": "b", "passwort": 1 })).await;
    assert_eq!(errors, expect("/passwort", "unknown_field"));
    let errors = refused(json!({ "identifier": "a", "email": "b", "password": "c" })).await;
    assert_eq!(errors, expect("/email", "ambiguous"));
    let errors = refused(json!({ "identifier": 7, "password": "c" })).await;
    assert_eq!(errors, expect("/identifier", "wrong_type"));
    assert_eq!(refused(json!({})).await.len(), 2);
    let large = json!({ "a": "x".repeat(4096) });
    let errors = refused(json!({ "identifier": "a", "password": "b", "device": large })).await;
    assert_eq!(errors, expect("/device", "too_long"));

    let raw = |kind: &'static str, body: &'static str| {
        let request = Request::builder()
            .method(poem::http::Method::POST)
            .uri_str("/login");
        let request = request.header("content-type", kind).body(body);
        let server = &server;
        async move { server.pass_on(request, "").await }
    };
    let status = |answer: Answer| (answer.status, answer.code());
    assert_eq!(status(raw("text/plain", "{}").await).0, 415);
    assert_eq!(
        status(raw("application/json", "{").await),
        (400, "malformed_json".into())
    );
    let twice = r#"{"password":"a","password":"b"}"#;
    assert_eq!(
        status(raw("application/json", twice).await),
        (400, "duplicate_key".into())
    );
    let large = json!({ "password": "x".repeat(70_000) });
    assert_eq!(server.post("/login", large).await.status, 413);
    let unknown = server.post("/login?next=/", json!({})).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (400, "unknown_parameter")
    );
    let other = server.get("/login", "").await;
    assert_eq!(
        (other.status, other.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
    assert_eq!(
        other.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(server.send("OPTIONS", "/login", "", None).await.status, 204);
}

#[tokio::test]
async fn a_password_that_is_replaced_meanwhile_lets_nobody_in() {
    let server = with_ada().await;
    let other = Server::new().await;
    other.sign_up("ada").await;
    let replaced = other
        .store
        .value("users", &other.store.all("users")[0], "password");
    let (store, hash) = (server.store.clone(), replaced.clone());
    let replace = move || store.set_all("users", "password", &Value::Text(format!("{hash:?}")));
    *server.store.interruption.lock().unwrap() = Some(Box::new(replace));
    assert_eq!(
        server.log_in("ada", PASSWORD).await.code(),
        "invalid_credentials"
    );
    assert_eq!(
        server.store.all("sessions").len(),
        1,
        "the one of the sign-up"
    );

    // Any other change is no harm.
    server.store.set_all("users", "password", &replaced);
    let store = server.store.clone();
    let touch = move || store.set_all("users", "bio", &Value::Text("engines".into()));
    *server.store.interruption.lock().unwrap() = Some(Box::new(touch));
    assert_eq!(
        server.log_in("ada", PASSWORD).await.json()["user"]["bio"],
        "engines"
    );
}

#[tokio::test]
async fn sessions_are_forgotten_some_time_after_their_end() {
    let server = with_ada().await;
    server.clock.pass(59 * 86_400_000);
    server.log_in("ada", PASSWORD).await;
    assert_eq!(server.store.all("sessions").len(), 2);
    server.clock.pass(2 * 86_400_000);
    server.log_in("ada", PASSWORD).await;
    assert_eq!(server.store.all("sessions").len(), 2);
}
