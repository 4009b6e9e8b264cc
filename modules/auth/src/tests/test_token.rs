//! Tokens for tests.

use nubo_core::value::Value;

use crate::fake::{Server, quick};

#[tokio::test]
async fn test_tokens_are_there_where_they_are_wanted() {
    let server = Server::new().await;
    server.sign_up("ada").await;
    let id = server.store.all("users")[0].id().unwrap();
    let path = format!("/token?sub={id}");
    assert_eq!(server.get(&path, "").await.status, 404);

    let mut settings = quick();
    settings["dev_tokens"] = true.into();
    let server = Server::with(settings).await;
    server.sign_up("ada").await;
    let id = server.store.all("users")[0].id().unwrap();
    let path = format!("/token?sub={id}");
    let token = server.get(&path, "").await.access();
    let signed_in = server.sessions.authenticate(&token).await.unwrap();
    assert_eq!(signed_in.session, None);
    assert!(signed_in.caller.has_role("user"));
    assert_eq!(server.get("/me", &token).await.json()["username"], "ada");
    assert_eq!(
        server.send("POST", "/logout", &token, None).await.status,
        204
    );

    let token = server
        .get(&format!("{path}&roles=admin,moderator"), "")
        .await
        .access();
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert_eq!(caller.account_id(), Some(id));
    assert!(caller.has_role("admin") && caller.has_role("moderator") && !caller.has_role("user"));

    let nobody = "/token?sub=0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11";
    assert_eq!(server.get(nobody, "").await.status, 404);
    assert_eq!(
        server.get("/token?sub=7", "").await.code(),
        "invalid_parameter"
    );
    assert_eq!(server.get("/token", "").await.code(), "invalid_parameter");
    server.store.set_all("users", "state", &Value::Int(2));
    assert_eq!(server.get(&path, "").await.status, 404);
}
