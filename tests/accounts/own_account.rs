//! One's own account and sessions.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::{CONFIGURATION, PASSWORD, Person, command_line, shared, site};

#[test]
fn one_changes_what_is_ones_own_and_no_more() {
    let person = Person::signed_up(shared());
    let change = json!({ "bio": "Likes rain", "display_name": "Rain" });
    let me = person.sends(shared(), "PATCH", "/me", &change).expect(200);
    assert_eq!(me["bio"], "Likes rain");
    for change in [
        json!({ "roles": ["admin"] }),
        json!({ "$push": { "roles": "admin" } }),
        json!({ "state": "banned" }),
        json!({ "email_verified": true }),
        json!({ "grade": 9 }),
        json!({ "login_count": 0, "grade": 2 }),
    ] {
        let answer = person.sends(shared(), "PATCH", "/me", &change);
        answer.problem(403, "field_not_writable");
    }
    person
        .sends(shared(), "PATCH", "/me", &json!({ "id": "x" }))
        .expect(422);
    let problem = person.sends(shared(), "PATCH", "/me", &json!({ "bioo": 1 }));
    assert_eq!(problem.expect(422)["errors"][0]["path"], "/bioo");
}

#[test]
fn a_new_password_needs_the_old_one_and_ends_other_sessions() {
    let phone = Person::signed_up(shared());
    let laptop = phone.again(shared());
    let body =
        |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let path = "/me/password";
    let wrong = body("not the password", "an early morning");
    phone
        .sends(shared(), "POST", path, &wrong)
        .problem(403, "wrong_password");
    let weak = body(PASSWORD, "password");
    phone.sends(shared(), "POST", path, &weak).expect(422);
    let good = body(PASSWORD, "an early morning");
    phone.sends(shared(), "POST", path, &good).expect(204);
    phone.asks(shared(), "GET", "/me").expect(200);
    laptop
        .asks(shared(), "GET", "/me")
        .problem(401, "revoked_token");
    let old = json!({ "identifier": phone.name, "password": PASSWORD });
    shared()
        .post("/login", &old)
        .problem(401, "invalid_credentials");
    let new = json!({ "identifier": phone.name, "password": "an early morning" });
    shared().post("/login", &new).expect(200);
    // There is no way around it.
    let change = json!({ "password": "another password" });
    let answer = phone.sends(shared(), "PATCH", "/me", &change);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let answer = phone.sends(shared(), "PATCH", &format!("/users/{}", phone.id), &change);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    shared().post("/login", &new).expect(200);
}

#[test]
fn sessions_are_listed_and_ended_one_by_one() {
    let phone = Person::signed_up(shared());
    let body = json!({ "identifier": phone.name, "password": PASSWORD,
        "device": { "name": "Laptop" } });
    let login = shared()
        .request("POST", "/login")
        .header("user-agent", "Rain/1.0");
    let laptop = Person::from(&login.json(&body).send().expect(200));
    let listed = phone.asks(shared(), "GET", "/me/sessions").expect(200);
    let listed = listed["data"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    let (own, others): (Vec<Json>, Vec<Json>) = listed
        .into_iter()
        .partition(|session| session["current"] == true);
    assert_eq!((own.len(), others.len()), (1, 1));
    assert!(others[0].get("refresh_token_hash").is_none());
    assert_eq!(others[0]["ip"], json!(["127.0.0.1"]));
    let device = others[0]["device_info"].to_string();
    assert!(
        device.contains("Laptop") && device.contains("Rain/1.0"),
        "{device}"
    );

    let stranger = Person::signed_up(shared());
    let path = format!("/me/sessions/{}", others[0]["id"].as_str().unwrap());
    stranger.asks(shared(), "DELETE", &path).expect(404);
    laptop.asks(shared(), "GET", "/me").expect(200);
    phone.asks(shared(), "DELETE", &path).expect(204);
    laptop
        .asks(shared(), "GET", "/me")
        .problem(401, "revoked_token");
    // Deleting the document of a session ends it as well.
    let path = format!("/sessions/{}", own[0]["id"].as_str().unwrap());
    stranger.asks(shared(), "DELETE", &path).expect(404);
    phone.asks(shared(), "DELETE", &path).expect(204);
    phone
        .asks(shared(), "GET", "/me")
        .problem(401, "revoked_token");
}

#[test]
fn a_deleted_account_leaves_its_posts_and_nothing_personal() {
    let site = site(CONFIGURATION);
    let root = crate::users::admin(&site);
    let server = site.start();
    let person = Person::signed_up(&server);
    let reader = Person::signed_up(&server);
    let change = json!({ "bio": "Likes rain", "phone": "+49 30 1", "birthdate": "1990-01-01" });
    person.sends(&server, "PATCH", "/me", &change).expect(200);
    let post = json!({ "content": "Hello" });
    let post = person.sends(&server, "POST", "/posts", &post).expect(201);
    person.asks(&server, "DELETE", "/me").expect(204);
    person
        .asks(&server, "GET", "/me")
        .problem(401, "revoked_token");
    let body = json!({ "refresh_token": person.refresh });
    server.post("/refresh", &body).expect(401);
    let login = json!({ "identifier": person.name, "password": PASSWORD });
    server
        .post("/login", &login)
        .problem(401, "invalid_credentials");
    let path = format!("/posts/{}", post["id"].as_str().unwrap());
    reader.asks(&server, "GET", &path).expect(200);
    let root = root.again(&server);
    let left = root
        .asks(&server, "GET", &format!("/users/{}", person.id))
        .expect(200);
    assert_eq!(left["state"], 0, "{left}");
    for field in [
        "bio",
        "phone",
        "birthdate",
        "display_name",
        "profile_picture_id",
    ] {
        assert!(left[field].is_null(), "{field}: {left}");
    }
    let words = left.to_string();
    assert!(!words.contains(&person.name), "{words}");
    assert!(!words.contains("First"), "{words}");
    // The name is free again.
    let mut application = crate::application(&person.name);
    application["first_name"] = "Somebody".into();
    server.post("/signup", &application).expect(201);
}

#[test]
fn nobody_can_keep_an_account_from_being_deleted() {
    let person = Person::signed_up(shared());
    for name in [
        format!("deleted-{}", person.id),
        format!("deleted_{}", person.id.replace('-', "")),
        person.id.replace('-', ""),
    ] {
        let mut squatter = crate::application(&crate::fresh_name());
        squatter["email"] = json!(format!("{name}@deleted.invalid"));
        squatter["username"] = json!(name);
        shared().post("/signup", &squatter).expect(201);
    }
    person.asks(shared(), "DELETE", "/me").expect(204);
}

#[test]
fn a_reset_password_is_not_overwritten_by_a_change_under_way() {
    let site = site(CONFIGURATION);
    let server = site.start();
    let person = Person::signed_up(&server);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            let (mut current, mut changes) = (PASSWORD.to_owned(), 0);
            while !stop.load(Ordering::SeqCst) {
                let new = format!("the thief's {changes}th evening");
                let body = json!({ "current_password": current, "new_password": new });
                match person.sends(&server, "POST", "/me/password", &body).status {
                    204 => current = new,
                    401 | 403 => break,
                    _ => {}
                }
                changes += 1;
            }
            (current, changes)
        });
        // While changes are being made.
        let other = Person::signed_up(&server);
        for _ in 0..20 {
            other.asks(&server, "GET", "/me").expect(200);
        }
        let arguments = ["users", "password", &person.name, "--password-stdin"];
        command_line::done(&command_line::pipe(
            &site,
            &arguments,
            "admin reset horse 99\n",
        ));
        let (thiefs, changes) = attack.join().unwrap();
        stop.store(true, Ordering::SeqCst);
        assert!(changes > 0, "there was something to overwrite");
        let login = |password: &str| json!({ "identifier": person.name, "password": password });
        server
            .post("/login", &login("admin reset horse 99"))
            .expect(200);
        server
            .post("/login", &login(&thiefs))
            .problem(401, "invalid_credentials");
    });
}
