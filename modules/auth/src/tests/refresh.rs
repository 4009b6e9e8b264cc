//! Refresh tokens: used once, or twice at the same moment, or copied.

use nubo_core::value::Value;
use serde_json::json;

use crate::fake::{Server, quick};

#[tokio::test]
async fn a_refresh_token_is_replaced_each_time() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await;
    server.clock.pass(3_600_000);
    let second = server.refresh(&first.refresh()).await;
    assert_eq!(second.status, 200, "{}", second.json());
    assert_eq!(second.json()["user"]["username"], "ada");
    assert_ne!(second.refresh(), first.refresh());
    assert_eq!(server.get("/me", &second.access()).await.status, 200);
    server.clock.pass(3_600_000);
    let third = server.refresh(&second.refresh()).await;
    assert_eq!(third.status, 200);

    let session = &server.store.all("sessions")[0];
    assert_eq!(
        server.store.value("sessions", session, "generation"),
        Value::Int(2)
    );
    let stored = server
        .store
        .value("sessions", session, "refresh_token_hash");
    assert!(!format!("{stored:?}").contains(&third.refresh()));
    assert_eq!(server.store.all("sessions").len(), 1);
}

#[tokio::test]
async fn use_keeps_a_session_alive() {
    let server = Server::new().await;
    let mut token = server.sign_up("ada").await.refresh();
    for _ in 0..3 {
        server.clock.pass(29 * 86_400_000);
        let answer = server.refresh(&token).await;
        assert_eq!(answer.status, 200);
        token = answer.refresh();
    }
    server.clock.pass(30 * 86_400_000);
    let over = server.refresh(&token).await;
    assert_eq!(
        (over.status, over.code().as_str()),
        (401, "expired_refresh_token")
    );
}

#[tokio::test]
async fn two_tabs_get_the_same_token() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await.refresh();
    let one = server.refresh(&first).await;
    server.clock.pass(10_000);
    let other = server.refresh(&first).await;
    assert_eq!(other.status, 200);
    assert_eq!(other.refresh(), one.refresh());
    assert_eq!(server.get("/me", &other.access()).await.status, 200);
    // Both go on with it.
    assert_eq!(server.refresh(&one.refresh()).await.status, 200);
}

#[tokio::test]
async fn a_tab_that_comes_in_between_is_no_harm() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await.refresh();
    let store = server.store.clone();
    // The session changes between reading and replacing.
    let touch = move || store.set_all("sessions", "device_info", &Value::Json(json!({})));
    *server.store.interruption.lock().unwrap() = Some(Box::new(touch));
    assert_eq!(server.refresh(&first).await.status, 200);
}

#[tokio::test]
async fn a_copied_token_ends_the_session() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await;
    let second = server.refresh(&first.refresh()).await;
    server.clock.pass(10_001);
    let again = server.refresh(&first.refresh()).await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (401, "reused_refresh_token")
    );
    // For the thief and for the owner alike, and for what they hold already.
    let owner = server.refresh(&second.refresh()).await;
    assert_eq!(
        (owner.status, owner.code().as_str()),
        (401, "revoked_token")
    );
    assert_eq!(
        server.get("/me", &second.access()).await.code(),
        "revoked_token"
    );

    let entries = server.store.all("audit_logs");
    assert_eq!(entries.len(), 1);
    let said = |field| format!("{:?}", server.store.value("audit_logs", &entries[0], field));
    assert_eq!(said("action"), "\"refresh_token_reused\"");
    assert_eq!(said("collection"), "\"sessions\"");
    assert_eq!(said("ip"), "\"10.0.0.1\"");
    assert_eq!(
        said("actor_id"),
        format!("\"{}\"", server.store.all("users")[0].id().unwrap())
    );
    let session = server.store.all("sessions")[0].id().unwrap();
    assert_eq!(said("document_id"), format!("\"{session}\""));
}

#[tokio::test]
async fn an_old_token_is_a_copy_even_at_once() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await.refresh();
    let second = server.refresh(&first).await.refresh();
    server.refresh(&second).await;
    assert_eq!(server.refresh(&first).await.code(), "reused_refresh_token");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let server = Server::new().await;
    let real = server.sign_up("ada").await;
    let flipped = |at: usize| {
        let mut text = real.refresh().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let others = [
        String::new(),
        "x".into(),
        real.access(),
        flipped(3),
        flipped(25),
        flipped(60),
    ];
    for text in others {
        let refused = server.refresh(&text).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "invalid_refresh_token")
        );
    }
    // A guess ends nobody's session.
    assert_eq!(server.refresh(&real.refresh()).await.status, 200);
    let errors = server
        .post("/refresh", json!({ "token": "x" }))
        .await
        .errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[tokio::test]
async fn a_closed_account_gets_nothing() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.refresh();
    server.store.set_all("users", "state", &Value::Int(2));
    assert_eq!(server.refresh(&token).await.code(), "revoked_token");
    server.store.set_all("users", "state", &Value::Int(1));
    assert_eq!(server.refresh(&token).await.status, 200);
}

#[tokio::test]
async fn an_address_refreshes_only_so_often() {
    let mut settings = quick();
    settings["throttle"] = json!({ "refresh_per_address": { "burst": 2, "per": "1s" } });
    let server = Server::with(settings).await;
    assert_eq!(server.refresh("x").await.status, 401);
    assert_eq!(server.refresh("x").await.status, 401);
    assert_eq!(server.refresh("x").await.status, 429);
}
