//! What the settings name, and what is said where it is not there.

use nubo_core::{Error, module::SetupError};
use serde_json::{Value as Json, json};

use crate::{
    Settings,
    fake::{Server, catalog_of, declarations, quick, set_up},
};

fn refusal(declarations: Json, settings: Json) -> String {
    let refused: SetupError = set_up(&catalog_of(declarations), settings).err().unwrap();
    refused.to_string()
}

fn with(section: &str, value: Json) -> Json {
    let mut settings = quick();
    settings[section] = value;
    settings
}

#[tokio::test]
async fn without_accounts_nobody_is_anybody() {
    for declarations in [
        json!([{ "name": "films", "fields": { "title": "text" } }]),
        // People may call anything users.
        json!([{ "name": "users", "fields": { "name": "text" } }]),
        // Nowhere to keep sessions.
        json!([{ "name": "users", "fields": {
            "password": "password!", "email": { "type": "email", "unique": true } } }]),
    ] {
        let set_up = set_up(&catalog_of(declarations), quick()).unwrap();
        assert!(set_up.contribution.routes.is_empty() && set_up.contribution.openapi.is_empty());
        assert!(set_up.contribution.observers.is_empty());
        assert!(set_up.auth.accounts().is_none());
        let sessions = set_up.contribution.sessions.unwrap();
        let refused = sessions.authenticate("a.b.c").await;
        assert!(matches!(refused, Err(Error::Unauthorized { .. })));
        use nubo_core::module::Module;
        set_up.auth.start().await.unwrap();
    }
}

#[test]
fn what_is_written_must_be_there() {
    let cases = [
        (
            json!({ "collection": "usres" }),
            "auth.accounts.collection: there is no collection `usres`; did you mean `users`?",
        ),
        (
            json!({ "password": "pasword" }),
            "auth.accounts.password: `users` has no field `pasword`; did you mean `password`?",
        ),
        (
            json!({ "password": "bio" }),
            "auth.accounts.password: `users.bio` is text; it must be a password",
        ),
        (
            json!({ "identifiers": ["username", "bio"] }),
            "auth.accounts.identifiers: `users.bio` is text; it must be a unique text or email",
        ),
        (
            json!({ "roles": "role" }),
            "auth.accounts.roles: `users` has no field `role`; did you mean `roles`?",
        ),
        (
            json!({ "refused_states": ["baned"] }),
            "auth.accounts.refused_states: \"baned\" is no value of `users.state`; did you mean `banned`?",
        ),
        (
            json!({ "deleted_state": 9 }),
            "auth.accounts.deleted_state: 9 is no value of `users.state`",
        ),
        (
            json!({ "login_count": "bio" }),
            "auth.accounts.login_count: `users.bio` is text; it must be a whole number",
        ),
        (
            json!({ "kept_on_deletion": ["bioo"] }),
            "auth.accounts.kept_on_deletion: `users` has no field `bioo`; did you mean `bio`?",
        ),
    ];
    for (accounts, expected) in cases {
        assert_eq!(
            refusal(declarations(), with("accounts", accounts)),
            expected
        );
    }
    let sessions = with("sessions", json!("session"));
    assert!(refusal(declarations(), sessions).contains("auth.sessions.collection"));
    let sessions = with("sessions", json!({ "account": "revoked" }));
    assert!(refusal(declarations(), sessions).contains("auth.sessions.account"));
    assert!(refusal(declarations(), with("audit", json!("audit"))).contains("auth.audit"));
    assert!(set_up(&catalog_of(declarations()), with("audit", json!(null))).is_ok());
    let tokens = with("tokens", json!({ "access": "soon" }));
    assert!(refusal(declarations(), tokens).contains("auth.tokens.access"));
    let weak = refusal(declarations(), with("jwt_secret", json!("changeme")));
    assert!(
        weak.contains("auth.jwt_secret") && !weak.contains("changeme"),
        "{weak}"
    );
}

#[test]
fn what_is_built_in_may_be_missing() {
    let mut fewer = declarations();
    let fields = fewer[0]["fields"].as_object_mut().unwrap();
    for name in ["username", "state", "roles", "login_count", "last_login"] {
        fields.remove(name);
    }
    let fields = fewer[1]["fields"].as_object_mut().unwrap();
    fields.remove("ip");
    fields.remove("device_info");
    fewer.as_array_mut().unwrap().remove(2);
    assert!(set_up(&catalog_of(fewer), quick()).is_ok());
}

#[test]
fn a_hash_must_not_leave() {
    let mut open = declarations();
    open[1]["fields"]["refresh_token_hash"] = "text!".into();
    assert!(refusal(open, quick()).contains("must be hidden"));
}

#[test]
fn rules_mention_what_accounts_have() {
    let rule = |rule: Json| {
        let mut declarations = declarations();
        declarations[3]["access"]["update"] = rule;
        set_up(&catalog_of(declarations), quick())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let said = rule(json!({ "$not": { "team": { "$in": ["a", "$auth.compny"] } } }));
    let expected = "a rule of `notes` mentions `$auth.compny`: accounts (`users`) have no field `compny`; did you mean `$auth.company`?";
    assert_eq!(said.unwrap_err(), expected);
    let said = rule(json!(["role:admin", { "team": "$auth.password" }]));
    assert!(said.unwrap_err().contains("`users.password` is a password"));
    let select = json!({ "team": { "$in": { "$select": "notes.team", "$where": { "team": "$auth.nobody" } } } });
    assert!(rule(select).unwrap_err().contains("`$auth.nobody`"));
    assert!(rule(json!({ "team": { "$in": "$auth.roles" } })).is_ok());
}

#[tokio::test]
async fn names_are_nothing_special() {
    let declarations = json!([
        {
            "name": "members",
            "owner": "id",
            "fields": {
                "handle": { "type": "text", "unique": true, "required": true },
                "secret": { "type": "password", "required": true },
                "groups": { "type": "text[]", "default": ["plain"] },
                "standing": { "type": "text", "default": "good" },
            },
            "access": { "create": "owner", "read": "owner", "update": "owner" },
        },
        {
            "name": "logins",
            "fields": {
                "member": { "type": "ref", "to": "members", "required": true },
                "token": { "type": "text", "hidden": true, "required": true },
                "turn": "int", "at": "timestamp", "until": "timestamp!", "over": "bool",
            },
        },
    ]);
    let settings = json!({
        "passwords": quick()["passwords"],
        "accounts": {
            "collection": "members", "identifiers": ["handle"], "password": "secret",
            "roles": "groups", "state": "standing", "refused_states": ["out"],
            "deleted_state": "gone", "login_count": null, "last_login": null,
            "kept_on_deletion": [],
        },
        "sessions": {
            "collection": "logins", "account": "member", "refresh_token_hash": "token",
            "generation": "turn", "refreshed_at": "at", "expires_at": "until", "revoked": "over",
            "device_info": null, "ip": null,
        },
    });
    let server = Server::over(&catalog_of(declarations), settings).await;
    let body = json!({ "handle": "Ada", "secret": "correct horse battery" });
    let signed_up = server.post("/signup", body).await;
    assert_eq!(signed_up.status, 201, "{}", signed_up.json());
    let login = json!({ "handle": "Ada", "password": "correct horse battery" });
    let signed_in = server.post("/login", login.clone()).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.json());
    assert_eq!(server.refresh(&signed_in.refresh()).await.status, 200);
    let caller = server
        .sessions
        .authenticate(&signed_in.access())
        .await
        .unwrap()
        .caller;
    assert!(caller.has_role("plain"));
    server.store.set_all(
        "members",
        "standing",
        &nubo_core::value::Value::Text("out".into()),
    );
    assert_eq!(server.post("/login", login).await.code(), "account_out");
}

#[test]
fn the_built_in_settings_fit_their_own_schema() {
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    assert_eq!(defaults["accounts"]["collection"], "users");
    assert_eq!(defaults["sessions"], "sessions");
    assert_eq!(defaults["audit"], "audit_logs");
    let back: Settings = serde_json::from_value(defaults).unwrap();
    assert_eq!(back, Settings::default());
}
