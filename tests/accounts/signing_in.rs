//! Signing up, in and out.

use serde_json::json;

use crate::{PASSWORD, Person, application, fresh_name, shared};

#[test]
fn signing_up_signs_in() {
    let name = fresh_name();
    let answer = shared().post("/signup", &application(&name)).expect(201);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 900);
    assert_eq!(answer["user"]["username"], name.as_str());
    assert_eq!(answer["user"]["email"], format!("{name}@example.org"));
    assert_eq!(answer["user"]["roles"], json!(["user"]));
    assert!(answer["user"].get("password").is_none());
    assert!(answer["user"].get("password_hash").is_none());
    let person = Person::from(&answer);
    let me = person.asks(shared(), "GET", "/me").expect(200);
    assert_eq!(me["id"], person.id.as_str());
    // Settings come with the account.
    let path = format!("/user_settings?filter[user_id]={}", person.id);
    let settings = person.asks(shared(), "GET", &path).expect(200);
    assert_eq!(settings["data"][0]["privacy"]["posts"], "public");
}

#[test]
fn a_taken_name_is_named() {
    let taken = Person::signed_up(shared());
    let mut application = application(&fresh_name());
    application["username"] = taken.name.to_uppercase().into();
    let problem = shared().post("/signup", &application).expect(409);
    assert_eq!(problem["errors"][0]["path"], "/username");
    application["username"] = fresh_name().into();
    application["email"] = format!(" {}@EXAMPLE.org ", taken.name).into();
    let problem = shared().post("/signup", &application).expect(409);
    assert_eq!(problem["errors"][0]["path"], "/email");
}

#[test]
fn what_does_not_fit_is_said_at_once() {
    let body = json!({ "username": "x", "emial": "a@b.c", "password": "short" });
    let problem = shared().post("/signup", &body).expect(422);
    let places: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["path"].as_str().unwrap())
        .collect();
    for place in ["/username", "/emial", "/email", "/password", "/first_name"] {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
}

#[test]
fn passwords_that_everybody_guesses_are_refused() {
    for password in ["password1", "12345678", "qwertyuiop"] {
        let mut application = application(&fresh_name());
        application["password"] = password.into();
        let problem = shared().post("/signup", &application).expect(422);
        assert_eq!(problem["errors"][0]["path"], "/password", "{password}");
        assert_eq!(problem["errors"][0]["code"], "too_common", "{password}");
    }
    let mut application = application(&fresh_name());
    application["password"] = "x1 ".repeat(500).into();
    let problem = shared().post("/signup", &application).expect(422);
    assert_eq!(problem["errors"][0]["path"], "/password");
}

#[test]
fn one_signs_in_by_name_or_address() {
    let person = Person::signed_up(shared());
    let email = format!("{}@example.org", person.name);
    for body in [
        json!({ "identifier": person.name, "password": PASSWORD }),
        json!({ "identifier": email, "password": PASSWORD }),
        json!({ "identifier": person.name.to_uppercase(), "password": PASSWORD }),
        json!({ "username": person.name, "password": PASSWORD }),
        json!({ "email": email, "password": PASSWORD, "device": { "name": "Phone" } }),
    ] {
        let answer = shared().post("/login", &body).expect(200);
        assert_eq!(answer["user"]["id"], person.id.as_str(), "{body}");
    }
    let me = person.asks(shared(), "GET", "/me").expect(200);
    assert!(me["login_count"].as_u64().unwrap() >= 5, "{me}");
    assert!(me["last_login"].is_string(), "{me}");
}

#[test]
fn nobody_learns_which_accounts_exist() {
    let person = Person::signed_up(shared());
    let wrong = json!({ "identifier": person.name, "password": "not the password" });
    let unknown = json!({ "identifier": fresh_name(), "password": "not the password" });
    let known = shared().post("/login", &wrong);
    let mut known_problem = known.problem(401, "invalid_credentials");
    let unknown = shared().post("/login", &unknown);
    let mut unknown_problem = unknown.problem(401, "invalid_credentials");
    // Whatever names the request differs anyway.
    for problem in [&mut known_problem, &mut unknown_problem] {
        problem.as_object_mut().unwrap().shift_remove("request_id");
    }
    assert_eq!(known_problem, unknown_problem);
    assert!(known.header("www-authenticate").is_some());
}

#[test]
fn signing_out_ends_a_session_at_once() {
    let phone = Person::signed_up(shared());
    let laptop = phone.again(shared());
    phone.asks(shared(), "POST", "/logout").expect(204);
    let answer = phone.asks(shared(), "GET", "/me");
    answer.problem(401, "revoked_token");
    laptop.asks(shared(), "GET", "/me").expect(200);
    let third = phone.again(shared());
    third
        .sends(shared(), "POST", "/logout", &json!({ "all": true }))
        .expect(204);
    for person in [&laptop, &third] {
        person
            .asks(shared(), "GET", "/me")
            .problem(401, "revoked_token");
        let body = json!({ "refresh_token": person.refresh });
        shared().post("/refresh", &body).expect(401);
    }
}

#[test]
fn banned_and_suspended_accounts_stay_outside() {
    let site = crate::site(crate::CONFIGURATION);
    let root = crate::users::admin(&site);
    let server = site.start();
    let root = root.again(&server);
    let person = Person::signed_up(&server);
    for state in ["banned", "suspended"] {
        let path = format!("/users/{}", person.id);
        let change = json!({ "state": state });
        root.sends(&server, "PATCH", &path, &change).expect(200);
        // Who is signed in is outside from this moment on.
        person
            .asks(&server, "GET", "/me")
            .problem(401, "revoked_token");
        let login = json!({ "identifier": person.name, "password": PASSWORD });
        let answer = server.post("/login", &login);
        answer.problem(403, &format!("account_{state}"));
        // Only who knows the password is told.
        let wrong = json!({ "identifier": person.name, "password": "something else" });
        server
            .post("/login", &wrong)
            .problem(401, "invalid_credentials");
        let body = json!({ "refresh_token": person.refresh });
        server.post("/refresh", &body).expect(401);
    }
    let change = json!({ "state": "active" });
    let path = format!("/users/{}", person.id);
    root.sends(&server, "PATCH", &path, &change).expect(200);
    person.again(&server);
}
