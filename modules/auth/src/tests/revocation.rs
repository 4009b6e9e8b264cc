//! Who is let in, and from when on no longer.

use std::sync::{Arc, atomic::Ordering};

use nubo_core::{Error, id::Id, time::Timestamp, value::Value};
use serde_json::json;

use crate::fake::{Dice, PASSWORD, Server, account};

async fn code(server: &Server, token: &str) -> &'static str {
    match server.sessions.authenticate(token).await {
        Ok(_) => "let in",
        Err(Error::Unauthorized { code, .. }) => code,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_request_is_let_in_without_asking_the_store() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    assert_eq!(code(&server, &token).await, "let in");
    let before = server.store.finds.load(Ordering::Relaxed);
    for _ in 0..10 {
        assert_eq!(code(&server, &token).await, "let in");
    }
    assert_eq!(server.store.finds.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn whoever_signs_out_is_out_at_once() {
    let server = Server::new().await;
    let here = server.sign_up("ada").await;
    let there = server.log_in("ada", PASSWORD).await;
    assert_eq!(code(&server, &here.access()).await, "let in");
    assert_eq!(
        server
            .send("POST", "/logout", &here.access(), None)
            .await
            .status,
        204
    );
    assert_eq!(code(&server, &here.access()).await, "revoked_token");
    assert_eq!(
        server.refresh(&here.refresh()).await.code(),
        "revoked_token"
    );
    assert_eq!(code(&server, &there.access()).await, "let in");

    let again = server.log_in("ada", PASSWORD).await;
    let all = Some(json!({ "all": true }));
    assert_eq!(
        server
            .send("POST", "/logout", &there.access(), all)
            .await
            .status,
        204
    );
    for token in [there.access(), again.access()] {
        assert_eq!(code(&server, &token).await, "revoked_token");
    }
    let nobody = server.send("POST", "/logout", "", None).await;
    assert_eq!(
        (nobody.status, nobody.code().as_str()),
        (401, "missing_token")
    );
}

#[tokio::test]
async fn what_becomes_of_an_account_shows_at_once() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert!(caller.has_role("user") && !caller.has_role("admin"));

    let roles = Value::List(vec![Value::Text("admin".into())]);
    server.store.set_all("users", "roles", &roles);
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert!(caller.has_role("admin") && !caller.has_role("user"));

    for (state, expected) in [(2, "revoked_token"), (1, "let in"), (0, "revoked_token")] {
        server.store.set_all("users", "state", &Value::Int(state));
        assert_eq!(code(&server, &token).await, expected, "{state}");
    }
}

#[tokio::test]
async fn rules_learn_what_they_mention_of_the_account() {
    let server = Server::new().await;
    let mut body = account("ada");
    body["company"] = "acme".into();
    let token = server.post("/signup", body).await.access();
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    let notes = server.store.catalog.named("notes").unwrap();
    let view = notes.view(&caller, Timestamp::from_millis(0));
    assert!(format!("{:?}", view.condition).contains("acme"));
}

#[tokio::test]
async fn an_end_during_a_load_is_not_forgotten() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let store = Arc::clone(&server.store);
    // The session is read as live, ends, and only then arrives.
    let end = move || store.set_all("sessions", "revoked", &Value::Bool(true));
    *server.store.interruption.lock().unwrap() = Some(Box::new(end));
    assert_eq!(
        code(&server, &token).await,
        "let in",
        "it was live when this was asked"
    );
    assert_eq!(code(&server, &token).await, "revoked_token");

    let token = server.log_in("ada", PASSWORD).await.access();
    assert_eq!(code(&server, &token).await, "let in");
}

#[tokio::test]
async fn a_token_fits_its_own_session_only() {
    let server = Server::new().await;
    let ada = server.sign_up("ada").await;
    server.sign_up("bob").await;
    let shared = server.auth.shared.get().unwrap();
    let users = server.store.all("users");
    let sessions = server.store.all("sessions");
    let (bob, of_ada) = (users[1].id().unwrap(), sessions[0].id().unwrap());
    let issue = |account: Id, session: Option<Id>| {
        let access = shared.keys.access().unwrap();
        access
            .issue(account, session, None, shared.clock.now(), &Dice::default())
            .unwrap()
    };
    assert_eq!(
        code(&server, &issue(bob, Some(of_ada))).await,
        "revoked_token"
    );
    assert_eq!(code(&server, &issue(bob, Some(bob))).await, "revoked_token");
    assert_eq!(code(&server, &issue(bob, None)).await, "revoked_token");
    assert_eq!(code(&server, &ada.access()).await, "let in");
}

#[tokio::test]
async fn tokens_end_by_themselves() {
    let server = Server::new().await;
    let signed_up = server.sign_up("ada").await;
    let signed_in = server
        .sessions
        .authenticate(&signed_up.access())
        .await
        .unwrap();
    assert_eq!(signed_in.session, server.store.all("sessions")[0].id());
    server.clock.pass(899_999);
    assert_eq!(code(&server, &signed_up.access()).await, "let in");
    server.clock.pass(1);
    assert_eq!(code(&server, &signed_up.access()).await, "expired_token");
    // A session that is over takes its tokens along, however long these last.
    let token = server.refresh(&signed_up.refresh()).await.access();
    assert_eq!(code(&server, &token).await, "let in");
    let past = Value::Timestamp(Timestamp::from_millis(0));
    server.store.set_all("sessions", "expires_at", &past);
    assert_eq!(code(&server, &token).await, "revoked_token");
}
