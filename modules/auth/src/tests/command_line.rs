//! What whoever runs the server can do.

use nubo_core::value::Value;
use serde_json::{Map, Value as Json, json};

use crate::fake::{PASSWORD, Server, account};

fn fields(name: &str) -> Map<String, Json> {
    account(name).as_object().unwrap().clone()
}

#[tokio::test]
async fn accounts_are_made_with_roles() {
    let server = Server::new().await;
    let accounts = server.auth.accounts().unwrap();
    let mut ada = fields("Ada");
    // Everything that comes from a command line is text.
    ada.insert("grade".into(), json!("7"));
    ada.insert("state".into(), json!("active"));
    let made = accounts.create(ada, vec!["admin".into()]).await.unwrap();
    assert_eq!(server.store.value("users", &made, "grade"), Value::Int(7));
    let token = server.log_in("ada", PASSWORD).await.access();
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert!(caller.has_role("admin"));

    let taken = accounts
        .create(fields("ada"), Vec::new())
        .await
        .unwrap_err();
    assert_eq!(taken.errors()[0].path, "/username");
    let mut common = fields("bob");
    common.insert("password".into(), json!("password1"));
    let refused = accounts.create(common, Vec::new()).await.unwrap_err();
    assert_eq!(
        (refused.errors()[0].code, refused.errors()[0].path.as_str()),
        ("too_common", "/password")
    );
    assert!(accounts.create(Map::new(), Vec::new()).await.is_err());
    assert_eq!(accounts.list(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn accounts_are_found_by_every_name_and_their_id() {
    let server = Server::new().await;
    server.sign_up("ada").await;
    let accounts = server.auth.accounts().unwrap();
    let id = server.store.all("users")[0].id().unwrap();
    for name in ["ada", "ADA", "ada@example.org", &id.to_string()] {
        let found = accounts.find(name).await.unwrap().unwrap();
        assert_eq!(found.id(), Some(id), "{name}");
    }
    assert!(accounts.find("bob").await.unwrap().is_none());
    for error in [
        accounts.set_roles("bob", Vec::new()).await.err(),
        accounts.set_password("bob", "another horse").await.err(),
        accounts.sessions("bob").await.err(),
        accounts.revoke("bob", None).await.err(),
    ] {
        assert_eq!(error.unwrap().code(), "not_found");
    }
}

#[tokio::test]
async fn roles_and_passwords_are_set_from_outside() {
    let server = Server::new().await;
    let token = server.sign_up("ada").await.access();
    let accounts = server.auth.accounts().unwrap();
    accounts
        .set_roles("ada", vec!["moderator".into()])
        .await
        .unwrap();
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert!(caller.has_role("moderator") && !caller.has_role("user"));

    let refused = accounts.set_password("ada", "short").await.unwrap_err();
    assert_eq!(refused.errors()[0].code, "too_short");
    accounts.set_password("ada", "another horse").await.unwrap();
    assert!(server.sessions.authenticate(&token).await.is_err());
    assert_eq!(server.log_in("ada", PASSWORD).await.status, 401);
    assert_eq!(server.log_in("ada", "another horse").await.status, 200);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_from_outside() {
    let server = Server::new().await;
    let first = server.sign_up("ada").await;
    let second = server.log_in("ada", PASSWORD).await;
    server.sign_up("bob").await;
    let accounts = server.auth.accounts().unwrap();
    let sessions = accounts.sessions("ada").await.unwrap();
    assert_eq!(sessions.len(), 2);
    let latest = sessions[0].id();
    assert_eq!(
        accounts.revoke("bob", latest).await.unwrap(),
        0,
        "not one of bob's"
    );
    assert_eq!(accounts.revoke("ada", latest).await.unwrap(), 1);
    assert!(
        server
            .sessions
            .authenticate(&second.access())
            .await
            .is_err()
    );
    assert!(server.sessions.authenticate(&first.access()).await.is_ok());
    let over = 31 * 86_400_000;
    server.clock.pass(over);
    assert!(
        accounts.sessions("ada").await.unwrap().is_empty(),
        "its time is over"
    );
    server.clock.pass(-over);
    assert_eq!(accounts.sessions("ada").await.unwrap().len(), 1);
    assert_eq!(accounts.revoke("ada", None).await.unwrap(), 1);
    assert!(server.sessions.authenticate(&first.access()).await.is_err());
    assert!(accounts.sessions("ada").await.unwrap().is_empty());
}
