//! `nubo users`, with and without a running server.

use std::process::Output;

use serde_json::json;

use crate::{
    CONFIGURATION, PASSWORD, Person,
    command_line::{done, make_root, pipe},
    server::Site,
    site,
};

/// Runs `nubo users …` with a password on standard input.
fn users(site: &Site, arguments: &[&str]) -> Output {
    pipe(site, &[&["users"], arguments].concat(), PASSWORD)
}

/// Makes an admin called root, who is not signed in anywhere.
#[track_caller]
pub fn admin(site: &Site) -> Person {
    make_root(site, PASSWORD);
    Person {
        id: String::new(),
        name: "root".into(),
        access: String::new(),
        refresh: String::new(),
    }
}

#[test]
fn an_admin_is_made_before_the_server_starts() {
    let site = site(CONFIGURATION);
    let root = admin(&site);
    let listed = done(&users(&site, &["list"]));
    assert!(
        listed.contains("root") && listed.contains("admin"),
        "{listed}"
    );
    let server = site.start();
    let root = root.again(&server);
    let logs = root.asks(&server, "GET", "/audit_logs");
    logs.expect(200);
    server.stop();
    assert!(!site.path("data/control.sock").exists());
}

#[test]
fn everything_works_while_the_server_runs() {
    let site = site(CONFIGURATION);
    let server = site.start();
    let person = Person::signed_up(&server);
    person.asks(&server, "GET", "/audit_logs").expect(200)["data"]
        .as_array()
        .map(|data| assert!(data.is_empty()))
        .unwrap();

    done(&users(&site, &["roles", &person.name, "user", "admin"]));
    let me = person.asks(&server, "GET", "/me").expect(200);
    assert_eq!(me["roles"], json!(["user", "admin"]));

    let sessions = done(&users(&site, &["sessions", &person.name]));
    assert_eq!(sessions.lines().count(), 2, "{sessions}");
    done(&users(&site, &["revoke", &person.name]));
    person
        .asks(&server, "GET", "/me")
        .problem(401, "revoked_token");

    let again = person.again(&server);
    done(&users(
        &site,
        &["password", &person.name, "--password-stdin"],
    ));
    again
        .asks(&server, "GET", "/me")
        .problem(401, "revoked_token");
    person.again(&server);

    admin(&site).again(&server);
}

#[test]
fn refusals_are_told_in_words() {
    let site = site(CONFIGURATION);
    let output = users(&site, &["roles", "nobody", "admin"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nobody"), "{said}");
    let output = users(&site, &["create", "username=xy", "password=secret words"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--password-stdin"), "{said}");
    let arguments = ["create", "username=x", "--password-stdin"];
    let server = site.start();
    let output = users(&site, &arguments);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("email"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    server.stop();
}
