//! One's own account, password and sessions.

use poem::{Request, http::Method};
use serde_json::json;

use crate::fake::{PASSWORD, Server, catalog_of, declarations, quick};

#[tokio::test]
async fn owners_read_and_change_their_account() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let me = server.get("/me", &token).await;
    let tag = me.header("etag").unwrap().to_owned();

    let patch = Some(json!({ "bio": "engines", "first_name": "Augusta" }));
    let changed = server.send("PATCH", "/me", &token, patch).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["bio"], "engines");
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    assert_eq!(server.get("/me", &token).await.json(), changed.json());
    let operators = Some(json!({ "$unset": { "bio": true } }));
    let changed = server.send("PATCH", "/me", &token, operators).await;
    assert_eq!(
        (changed.status, changed.json()["bio"].clone()),
        (200, json!(null))
    );

    let stale = Request::builder()
        .method(Method::PATCH)
        .uri_str("/me")
        .header("if-match", &tag)
        .header("content-type", "application/merge-patch+json")
        .body("{\"bio\":\"late\"}");
    assert_eq!(server.pass_on(stale, &token).await.status, 412);
}

#[tokio::test]
async fn owners_have_no_power_over_their_account() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let roles = Some(json!({ "roles": ["admin"] }));
    assert_eq!(
        server.send("PATCH", "/me", &token, roles).await.code(),
        "field_not_writable"
    );
    let password = Some(json!({ "password": "something new" }));
    let refused = server.send("PATCH", "/me", &token, password).await;
    assert_eq!(refused.errors(), [("/password".into(), "read_only".into())]);
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn without_a_token_there_is_no_me() {
    let server = Server::new().await;
    for (method, path) in [
        ("GET", "/me"),
        ("HEAD", "/me"),
        ("PATCH", "/me"),
        ("DELETE", "/me"),
        ("POST", "/me/password"),
        ("GET", "/me/sessions"),
        ("DELETE", "/me/sessions/x"),
    ] {
        let refused = server.send(method, path, "", None).await;
        assert_eq!(refused.status, 401, "{method} {path}");
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Bearer realm=\"nubo\"")
        );
        let refused = server.send(method, path, "nonsense", None).await;
        assert_eq!(refused.status, 401);
        if method != "HEAD" {
            assert_eq!(refused.code(), "malformed_token");
        }
    }
    let other = server.send("PUT", "/me", "", None).await;
    assert_eq!(
        other.header("allow"),
        Some("GET, HEAD, PATCH, DELETE, OPTIONS")
    );
}

#[tokio::test]
async fn owners_read_themselves_whatever_the_rules_say() {
    let mut declarations = declarations();
    declarations[0]["access"]["read"] = "role:admin".into();
    let server = Server::over(&catalog_of(declarations), quick()).await;
    let signed_up = server.sign_up("ada").await;
    let me = server.get("/me", &signed_up.access()).await;
    assert_eq!(
        (me.status, me.json()["username"].clone()),
        (200, json!("ada"))
    );
    assert!(me.json().get("password").is_none());
    let signed_in = server.log_in("ada", PASSWORD).await;
    assert_eq!(signed_in.json()["user"]["username"], "ada");
}

async fn change(server: &Server, token: &str, current: &str, new: &str) -> (u16, String) {
    let body = json!({ "current_password": current, "new_password": new });
    let answer = server.send("POST", "/me/password", token, Some(body)).await;
    let code = match answer.errors().first() {
        Some((path, code)) => format!("{path} {code}"),
        None => answer.code(),
    };
    (answer.status, code)
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let server = Server::new().await;
    let here = server.sign_up("ada").await.access();
    let there = server.log_in("ada", PASSWORD).await;
    assert_eq!(
        change(&server, &here, PASSWORD, "another horse").await.0,
        204
    );
    assert_eq!(server.get("/me", &here).await.status, 200);
    assert_eq!(
        server.get("/me", &there.access()).await.code(),
        "revoked_token"
    );
    assert_eq!(
        server.refresh(&there.refresh()).await.code(),
        "revoked_token"
    );
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 401);
    assert_eq!(server.log_in("ada", "another horse").await.status, 200);
}

#[tokio::test]
async fn a_new_password_takes_the_old_one() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let refused = |code: &str| (422, format!("/new_password {code}"));
    assert_eq!(
        change(&server, &token, PASSWORD, "short").await,
        refused("too_short")
    );
    assert_eq!(
        change(&server, &token, PASSWORD, "password1").await,
        refused("too_common")
    );
    assert_eq!(
        change(&server, &token, PASSWORD, "Ada@example.org").await,
        refused("too_common")
    );
    let wrong = (403, "wrong_password".to_owned());
    for _ in 0..10 {
        assert_eq!(
            change(&server, &token, "a guess", "another horse").await,
            wrong
        );
    }
    assert_eq!(
        change(&server, &token, PASSWORD, "another horse").await.0,
        429
    );
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn owners_see_their_sessions_and_end_them() {
    let server = Server::new().await;
    let here = server.sign_up("ada").await.access();
    let there = server.log_in("ada", PASSWORD).await.access();
    let bob = server.sign_up("bob").await.access();
    let over = server.log_in("ada", PASSWORD).await.access();
    assert_eq!(
        server.send("POST", "/logout", &over, None).await.status,
        204
    );

    let listed = server.get("/me/sessions", &here).await.json();
    let sessions = listed["data"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{listed}");
    let current: Vec<bool> = sessions
        .iter()
        .map(|s| s["current"].as_bool().unwrap())
        .collect();
    assert_eq!(current, [false, true], "the latest first");
    assert_eq!(sessions[0]["device_info"]["user_agent"], "test/1");
    assert!(sessions[0].get("refresh_token_hash").is_none());
    assert!(sessions[0].get("generation").is_none());

    let path = format!("/me/sessions/{}", sessions[0]["id"].as_str().unwrap());
    assert_eq!(
        server.send("DELETE", &path, &bob, None).await.status,
        404,
        "not one's own"
    );
    assert_eq!(server.send("DELETE", &path, &here, None).await.status, 204);
    assert_eq!(server.get("/me", &there).await.code(), "revoked_token");
    assert_eq!(
        server.send("DELETE", &path, &here, None).await.status,
        404,
        "it has ended"
    );
    assert_eq!(
        server
            .send("DELETE", "/me/sessions/x", &here, None)
            .await
            .status,
        400
    );
}
