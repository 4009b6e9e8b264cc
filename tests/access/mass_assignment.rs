//! Cheating by sending more fields than one is asked for.

use serde_json::{Value as Json, json};

use crate::{
    people::{PASSWORD, Person, application, fresh_id},
    ways,
};

/// What nobody gives themselves.
fn power() -> Vec<(&'static str, Json)> {
    vec![
        ("roles", json!(["user", "admin"])),
        ("roles", json!([])),
        ("state", json!("banned")),
        ("email_verified", json!(true)),
        ("phone_verified", json!(true)),
        ("grade", json!(7)),
        ("badges", json!(["founder"])),
        ("login_count", json!(1000)),
        ("last_login", json!("2020-01-01T00:00:00Z")),
    ]
}

#[test]
fn signing_up_gives_no_power() {
    for (field, value) in power() {
        let application = application(&[(field, value)]);
        let nobody = Person::anonymous();
        nobody
            .post("/signup", &application)
            .problem(403, "field_not_writable");
        let credentials = json!({ "email": application["email"], "password": PASSWORD });
        assert_eq!(
            nobody.post("/login", &credentials).status,
            401,
            "{field}: there is no account"
        );
    }
}

#[test]
fn what_everybody_gets_anyway_may_be_sent() {
    let extra = [
        ("roles", json!(["user"])),
        ("state", json!("active")),
        ("grade", json!(1)),
    ];
    let person = Person::sign_up_with(&extra);
    assert_eq!(person.read("users", &person.id())["roles"], json!(["user"]));
}

#[test]
fn signing_up_reaches_no_hidden_field_and_no_other_account() {
    let nobody = Person::anonymous();
    for field in ["password_hash", "_rev", "is_admin"] {
        let application = application(&[(field, json!("x"))]);
        assert_eq!(nobody.post("/signup", &application).status, 422, "{field}");
    }
    let somebody = Person::sign_up();
    // The server gives the id.
    for id in [somebody.id(), fresh_id()] {
        let application = application(&[("id", json!(id))]);
        nobody
            .post("/signup", &application)
            .problem_at(422, "invalid", &["/id"]);
    }
    assert_eq!(
        somebody.read("users", &somebody.id())["username"],
        somebody.name
    );
}

#[test]
fn no_route_lets_anybody_empower_themselves() {
    let person = Person::sign_up();
    let before = person.read("users", &person.id());
    for (field, value) in power() {
        let change = json!({ field: value });
        for tried in ways::change(&person, "users", &person.id(), &change) {
            assert_eq!(tried.status, 403, "{change} by {}", tried.way);
        }
        let me = person.patch("/me", &change).status;
        assert_eq!(me, 403, "{change} by /me");
        let mut whole = application(&[("username", json!(person.name))]);
        whole[field] = change[field].clone();
        for tried in ways::replace(&person, "users", &person.id(), &whole) {
            assert_eq!(tried.status, 403, "{change} by {}", tried.way);
        }
    }
    for operators in [
        json!({ "$push": { "roles": "admin" } }),
        json!({ "$addToSet": { "roles": "admin" } }),
        json!({ "$pull": { "roles": "user" } }),
        json!({ "$unset": { "roles": true } }),
        json!({ "$inc": { "login_count": 1 } }),
        json!({ "$max": { "grade": 9 } }),
    ] {
        let path = format!("/users/{}", person.id());
        let status = person.patch(&path, &operators).status;
        assert!(matches!(status, 403 | 422), "{operators}: {status}");
    }
    assert_eq!(person.read("users", &person.id()), before);
    assert_eq!(person.get("/admin_actions").expect(200)["data"], json!([]));
}

#[test]
fn no_route_creates_in_another_name_or_with_counters() {
    let (cheat, victim) = (Person::sign_up(), Person::sign_up());
    for (collection, document) in [
        ("posts", json!({ "user_id": victim.id(), "content": "x" })),
        ("posts", json!({ "content": "x", "like_count": 9 })),
        ("posts", json!({ "content": "x", "comment_count": -1 })),
        (
            "relations",
            json!({ "primary_id": victim.id(), "secondary_id": cheat.id(), "state": "friend" }),
        ),
        ("media", json!({ "owner_id": victim.id() })),
        ("media", json!({ "processing_state": "done" })),
        (
            "user_activity_logs",
            json!({ "user_id": victim.id(), "event": "x" }),
        ),
        (
            "reports",
            json!({ "actor_id": victim.id(), "target_type": 0, "target_id": fresh_id() }),
        ),
        (
            "notifications",
            json!({ "user_id": victim.id(), "kind": "x" }),
        ),
        ("user_settings", json!({ "user_id": victim.id() })),
        ("users", application(&[("roles", json!(["admin"]))])),
    ] {
        for tried in ways::create(&cheat, collection, &document) {
            assert_eq!(tried.status, 403, "{collection}, {}: {document}", tried.way);
        }
    }
}
