//! Rows about accounts, settings, sign-ins and what accounts say about each other.

use serde_json::json;

use crate::{
    people::{PASSWORD, application, fresh_id},
    scene::Scene,
    server::text,
};

const PERSONAL: [&str; 6] = [
    "email",
    "email_verified",
    "phone",
    "birthdate",
    "roles",
    "login_count",
];

/// What somebody asks for whose profile is said to be open to these.
fn profile(scene: &Scene, what: &str) -> Option<String> {
    let open_to = match what {
        "a profile that is open to everybody" => "public",
        "a profile for friends" => "friends",
        "a private profile" => "private",
        _ => return None,
    };
    let owner = scene.owner();
    owner.prefers("profile", open_to);
    Some(owner.id())
}

fn fresh_address() -> String {
    format!("{}@example.org", fresh_id())
}

pub fn users(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| profile(scene, what)) {
        return Some(answer);
    }
    let id = scene.owner().id();
    let update = |field: &str, value| scene.update(&id, &json!({ field: value }));
    Some(match action {
        "see names and bio" => scene.see(&id, &["username", "first_name", "last_name", "bio"]),
        "see what is personal" => scene.see(&id, &PERSONAL),
        "create an account for somebody else" => scene.create(&application(&[])),
        "create an account under an id that is taken: one's own" => {
            scene.create(&application(&[("id", json!(scene.me().id()))]))
        }
        "update the bio" => update("bio", json!("writes novels")),
        "update the bio of a private profile" => {
            scene.owner().prefers("profile", "private");
            update("bio", json!("writes novels"))
        }
        "update the email" => update("email", json!(fresh_address())),
        "update the email after it was confirmed" => {
            let confirmed = json!({ "email_verified": true });
            scene.person("admin").update("users", &id, &confirmed);
            update("email", json!(fresh_address()))
        }
        "give the role of an admin" => update("roles", json!(["user", "admin"])),
        "set the state" => update("state", json!("inactive")),
        "confirm the email" => update("email_verified", json!(true)),
        "give a badge" => update("badges", json!(["founder"])),
        "set the number of sign-ins" => update("login_count", json!(1000)),
        "set a picture that the owner uploaded" => {
            update("profile_picture_id", json!(scene.upload("owner")))
        }
        "set a picture that somebody else uploaded" => {
            update("profile_picture_id", json!(scene.upload("photographer")))
        }
        "delete the document" => scene.delete(&id),
        _ => return None,
    })
}

pub fn user_settings(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    let id = scene.owner().settings();
    Some(match action {
        "read" => scene.read(&id),
        "list" => scene.list(&id),
        "create in one's own name" => scene.create(&json!({ "user_id": scene.me().id() })),
        "update" => scene.update(&id, &json!({ "theme": 3 })),
        "update: take over by changing the owner" => scene.take_over(&id, "user_id"),
        "delete" => scene.delete(&id),
        _ => return None,
    })
}

pub fn sessions(scene: &Scene, action: &str) -> Option<String> {
    let (me, owner) = (scene.me(), scene.owner());
    let later = json!("2099-01-01T00:00:00Z");
    // One that is not spoken through.
    let credentials = json!({ "identifier": owner.name, "password": PASSWORD });
    owner.post("/login", &credentials).expect(200);
    let id = text(&owner.find("sessions", &json!({}))[0]["id"]);
    Some(match action {
        "read" => scene.read(&id),
        "list" => scene.list(&id),
        "create in one's own name" => {
            scene.create(&json!({ "user_id": me.id(), "expires_at": later }))
        }
        "create in another's name" => {
            scene.create(&json!({ "user_id": owner.id(), "expires_at": later }))
        }
        "update: make it last longer" => scene.update(&id, &json!({ "expires_at": later })),
        "update: take over by changing the owner" => scene.take_over(&id, "user_id"),
        "delete" => scene.delete(&id),
        _ => return None,
    })
}

pub fn relations(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    let create =
        |state: &str| scene.create(&json!({ "secondary_id": scene.owner().id(), "state": state }));
    Some(match action {
        "create: follow the owner" => create("following"),
        "create: ask the owner for friendship" => create("requested"),
        "create: call the owner a friend" => create("friend"),
        "create: block the owner" => create("blocked"),
        "create in the owner's name: be called a friend" => scene.create(&json!({
            "primary_id": scene.owner().id(), "secondary_id": scene.me().id(), "state": "friend",
        })),
        "create in the owner's name: have somebody else blocked" => scene.create(&json!({
            "primary_id": scene.owner().id(),
            "secondary_id": scene.person("rival").id(),
            "state": "blocked",
        })),
        _ => return statements(scene, action),
    })
}

/// Rows about what the owner has said about the other.
fn statements(scene: &Scene, action: &str) -> Option<String> {
    let said = |state: &str| {
        let (owner, other) = (scene.owner(), scene.person("other"));
        owner.says(state, &other);
        let filter = json!({ "primary_id": owner.id(), "secondary_id": other.id() });
        scene.found("owner", "relations", &filter)
    };
    // The owner followed, then the other has blocked the owner.
    let blocked_since = || {
        let id = said("following");
        scene.person("other").says("blocked", &scene.owner());
        id
    };
    let (verb, what) = action.split_once(' ').unwrap_or((action, ""));
    let state = |what: &str| match what {
        "a friendship" => Some("friend"),
        "a following" => Some("following"),
        "a request" => Some("requested"),
        "a block" => Some("blocked"),
        _ => None,
    };
    let update = |id: String, state: &str| scene.update(&id, &json!({ "state": state }));
    Some(match (verb, what) {
        ("read", what) => scene.read(&said(state(what)?)),
        ("list", what) => scene.list(&said(state(what)?)),
        ("delete", what) => scene.delete(&said(state(what)?)),
        ("update", "a following: call the other a friend") => update(said("following"), "friend"),
        ("update", "a following: block the other") => update(said("following"), "blocked"),
        ("update", "a block: lift it") => update(said("blocked"), "inactive"),
        ("update:", "follow again somebody who has blocked the owner since") => {
            update(blocked_since(), "following")
        }
        ("update:", "block somebody who has blocked the owner since") => {
            update(blocked_since(), "blocked")
        }
        ("update:", "take over by changing the owner") => {
            scene.take_over(&said("following"), "primary_id")
        }
        ("update:", "say it about somebody else") => {
            let rival = scene.person("rival").id();
            scene.update(&said("following"), &json!({ "secondary_id": rival }))
        }
        _ => return None,
    })
}
