//! The end of an account.

use nubo_core::value::Value;
use serde_json::json;

use crate::fake::{PASSWORD, Server, account, catalog_of, declarations, quick, set_up};

#[tokio::test]
async fn nothing_personal_is_left() {
    let server = Server::new().await;
    let mut body = account("ada");
    body["bio"] = "engines".into();
    body["birthdate"] = "1985-12-10".into();
    body["grade"] = 7.into();
    let token = server.post("/signup", body).await.access();
    let other = server.log_in("ada", PASSWORD).await;
    assert_eq!(server.send("DELETE", "/me", &token, None).await.status, 204);

    let users = server.store.all("users");
    let value = |field| server.store.value("users", &users[0], field);
    let Value::Text(name) = value("username") else {
        panic!("a name");
    };
    assert!(name.starts_with("deleted-"), "{name}");
    let id = users[0].id().unwrap().to_string();
    assert!(!name.contains(&id), "nobody can know it beforehand");
    assert_eq!(
        value("email"),
        Value::Text(format!("{name}@deleted.invalid"))
    );
    assert_eq!(value("first_name"), Value::Text(String::new()));
    assert_eq!(value("bio"), Value::Null);
    assert_eq!(value("birthdate"), Value::Null);
    assert_eq!(value("grade"), Value::Int(1), "its default");
    assert_eq!(value("state"), Value::Int(0));
    assert_eq!(value("login_count"), Value::Int(1), "a counter stays");
    assert_eq!(
        value("roles"),
        Value::List(vec![Value::Text("user".into())])
    );
    assert!(!format!("{users:?}").contains("ada"));

    for session in server.store.all("sessions") {
        for personal in ["device_info", "ip"] {
            assert_eq!(
                server.store.value("sessions", &session, personal),
                Value::Null
            );
        }
        assert_eq!(
            server.store.value("sessions", &session, "revoked"),
            Value::Bool(true)
        );
    }
    for token in [token, other.access()] {
        assert_eq!(server.get("/me", &token).await.code(), "revoked_token");
    }
    assert_eq!(
        server.refresh(&other.refresh()).await.code(),
        "revoked_token"
    );
    let name = format!("deleted-{id}");
    assert_eq!(
        server.log_in(&name, PASSWORD).await.code(),
        "invalid_credentials"
    );
    // The names are free again.
    server.sign_up("ada").await;
}

#[tokio::test]
async fn names_that_must_look_a_certain_way_still_do() {
    let mut declarations = declarations();
    declarations[0]["fields"]["username"]["pattern"] = "^[a-z0-9_]+$".into();
    declarations[0]["fields"]["first_name"]["min_length"] = 2.into();
    let server = Server::over(&catalog_of(declarations), quick()).await;
    let token = server.sign_up("ada").await.access();
    assert_eq!(server.send("DELETE", "/me", &token, None).await.status, 204);
    let users = server.store.all("users");
    let value = |field| server.store.value("users", &users[0], field);
    let Value::Text(name) = value("username") else {
        panic!("a name");
    };
    assert!(name.starts_with("deleted_") && name.len() == 40, "{name}");
    assert_eq!(value("first_name"), Value::Text("deleted".into()));
}

#[test]
fn what_cannot_be_cleared_must_be_kept_on_purpose() {
    let mut declarations = declarations();
    declarations[0]["fields"]["birthdate"] = "date!".into();
    let catalog = catalog_of(declarations);
    let error = set_up(&catalog, quick()).err().unwrap().to_string();
    assert!(
        error.contains("`users.birthdate`") && error.contains("kept_on_deletion"),
        "{error}"
    );
    let mut settings = quick();
    settings["accounts"] = json!({ "kept_on_deletion": ["roles", "birthdate"] });
    assert!(set_up(&catalog, settings).is_ok());
}
