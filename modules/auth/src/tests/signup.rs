//! Signing up.

use nubo_core::value::Value;
use serde_json::json;

use crate::fake::{PASSWORD, Server, account, quick};

#[tokio::test]
async fn who_has_signed_up_is_signed_in() {
    let server = Server::new().await;
    let signed_up = server.sign_up("Ada").await;
    let json = signed_up.json();
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 900);
    assert_eq!(json["user"]["username"], "ada");
    assert_eq!(json["user"]["email"], "ada@example.org");
    assert_eq!(json["user"]["roles"], json!(["user"]));
    assert!(json["user"].get("password").is_none());
    assert_eq!(signed_up.header("cache-control"), Some("no-store"));

    let me = server.get("/me", &signed_up.access()).await;
    assert_eq!(me.status, 200);
    assert_eq!(me.json(), json["user"]);
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_field_that_is_taken_is_named() {
    let server = Server::new().await;
    server.sign_up("ada").await;
    let mut second = account("bob");
    second["email"] = " ADA@example.org ".into();
    let taken = server.post("/signup", second).await;
    assert_eq!(taken.status, 409);
    assert_eq!(taken.errors(), [("/email".into(), "duplicate".into())]);
    assert_eq!(server.store.all("users").len(), 1);
    assert_eq!(server.store.all("sessions").len(), 1, "both or neither");
}

#[tokio::test]
async fn nobody_signs_up_with_power() {
    let server = Server::new().await;
    for (field, value) in [
        ("roles", json!(["admin"])),
        ("state", json!("banned")),
        ("login_count", json!(7)),
    ] {
        let mut body = account("ada");
        body[field] = value;
        let refused = server.post("/signup", body).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "field_not_writable"),
            "{field}"
        );
    }
    let mut body = account("ada");
    body["roles"] = json!(["user"]);
    body["state"] = json!("active");
    assert_eq!(
        server.post("/signup", body).await.status,
        201,
        "the defaults are no power"
    );
}

#[tokio::test]
async fn everything_that_does_not_fit_is_named() {
    let server = Server::new().await;
    let body = json!({ "username": "a", "email": "nowhere", "password": "short", "age": 3 });
    let refused = server.post("/signup", body).await;
    assert_eq!(refused.status, 422);
    let mut errors = refused.errors();
    errors.sort();
    let expected = [
        ("/age", "unknown_field"),
        ("/email", "invalid_email"),
        ("/first_name", "required"),
        ("/password", "too_short"),
        ("/username", "too_short"),
    ];
    assert_eq!(
        errors,
        expected.map(|(path, code)| (path.to_owned(), code.to_owned()))
    );

    let mut own = account("ada");
    own["id"] = json!("0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11");
    own["device"] = json!("phone");
    let errors = server.post("/signup", own).await.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(server.post("/signup", json!([])).await.status, 422);
    assert!(server.store.all("users").is_empty());
}

#[tokio::test]
async fn a_password_that_is_guessed_first_is_refused() {
    let server = Server::new().await;
    let long = "x".repeat(129);
    let cases = [
        ("password1", "too_common"),
        ("12345678", "too_common"),
        ("Qwertyuiop", "too_common"),
        ("aaaaaaaaaa", "too_common"),
        ("Charles Babbage", "too_common"),
        ("Charles@example.org", "too_common"),
        (&long, "too_long"),
    ];
    for (password, code) in cases {
        let mut body = account("charles");
        body["username"] = "charles babbage".into();
        body["password"] = password.into();
        let refused = server.post("/signup", body).await;
        assert_eq!(refused.status, 422, "{password}");
        assert_eq!(
            refused.errors(),
            [("/password".into(), code.into())],
            "{password}"
        );
    }
    let mut settings = quick();
    settings["passwords"]["refuse_common"] = false.into();
    let server = Server::with(settings).await;
    let mut body = account("ada");
    body["password"] = "password1".into();
    assert_eq!(server.post("/signup", body).await.status, 201);
}

#[tokio::test]
async fn the_session_knows_the_device() {
    let server = Server::new().await;
    let mut body = account("ada");
    body["device"] = json!({ "name": "phone" });
    assert_eq!(server.post("/signup", body).await.status, 201);
    let session = &server.store.all("sessions")[0];
    let info = server.store.value("sessions", session, "device_info");
    let expected = json!({ "user_agent": "test/1", "device": { "name": "phone" } });
    assert_eq!(info, Value::Json(expected));
    let addresses = server.store.value("sessions", session, "ip");
    assert_eq!(format!("{addresses:?}"), "[\"10.0.0.1\"]");
}

#[tokio::test]
async fn an_address_signs_up_only_so_often() {
    let mut settings = quick();
    settings["throttle"] = json!({ "signup_per_address": { "burst": 2, "per": "1m" } });
    let server = Server::with(settings).await;
    server.sign_up("ada").await;
    server.sign_up("bob").await;
    let refused = server.post("/signup", account("eve")).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("60"))
    );
    server.clock.pass(60_000);
    server.sign_up("eve").await;
}
