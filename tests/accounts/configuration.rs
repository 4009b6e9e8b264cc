//! What `nubo check` says of accounts and of rules that mention them.

use crate::{CONFIGURATION, site};

#[test]
fn a_variable_that_no_account_has_is_named_with_its_place() {
    let site = site(CONFIGURATION);
    let notes = "\
name: notes
owner: author
fields:
  author: { type: ref, to: users, default: $auth.id }
  level: { type: int, readable_by: { level: { $lt: $auth.password } } }
access:
  read:
    - owner
    - { level: { $lt: $auth.grad } }
";
    site.collection("notes", notes);
    let output = site.command(&["check"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = "collections/notes.yaml:5:";
    assert!(
        said.contains(first) && said.contains("is a password"),
        "{said}"
    );
    let second = "collections/notes.yaml:9:23: ";
    assert!(
        said.contains(second) && said.contains("`$auth.grade`"),
        "{said}"
    );
}

#[test]
fn accounts_that_are_not_there_are_a_mistake_only_where_they_are_asked_for() {
    let site = site("auth: { accounts: { collection: peple } }\n");
    let output = site.command(&["check"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("nubo.yaml:1:"), "{said}");
    assert!(said.contains("peple"), "{said}");

    let without = crate::Site::with_collection("notes", "name: notes\nfields: { a: text }\n");
    let output = without.command(&["check"]).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn doors_that_stand_open_are_pointed_out() {
    let site = site(
        "auth:\n  throttle: { enabled: false }\n  jwt_secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
    );
    let users = std::fs::read_to_string(site.path("collections/users.yaml")).unwrap();
    let (before, roles) = users.split_once("\n  roles:\n").unwrap();
    let roles = roles.replacen("    writable_by: role:admin\n", "", 1);
    site.collection("users", &format!("{before}\n  roles:\n{roles}"));
    let output = site.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "may set its own `roles`",
        "guessing passwords",
        "can be guessed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!output.status.success(), "such a secret is no secret");
}
