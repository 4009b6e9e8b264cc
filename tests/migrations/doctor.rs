//! `nubo doctor`.

use serde_json::Value as Json;

use crate::place::{Driver, Place};

fn findings(place: &Place, environment: &[(&str, &str)], code: i32) -> Vec<Json> {
    let outcome = place.run_with(&["doctor", "--json"], environment);
    assert_eq!(outcome.code, Some(code), "{}{}", outcome.out, outcome.err);
    let found: Json = serde_json::from_str(&outcome.out).expect("JSON");
    assert_eq!(found["ok"], code == 0);
    found["findings"].as_array().expect("a list").clone()
}

fn state<'a>(findings: &'a [Json], check: &str) -> (&'a str, String) {
    let found = findings.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("nothing about {check}: {findings:#?}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let state = found["state"].as_str().expect("a state");
    (state, format!("{} → {}", text("message"), text("advice")))
}

pub fn says_what_is_wrong_and_what_to_do(on: Driver) {
    let place = Place::new(on);
    let found = findings(&place, &[], 0);
    assert_eq!(state(&found, "schema").0, "ok");
    assert_eq!(state(&found, "migrations").0, "warning");
    place.done(&["migrate", "up"]);
    let found = findings(&place, &[], 0);
    for check in ["configuration", "database", "migrations", "schema"] {
        assert_eq!(state(&found, check).0, "ok", "{found:#?}");
    }
    let said = place.done(&["doctor"]);
    let version = match on {
        Driver::Sqlite => "SQLite 3.",
        Driver::Postgres => "PostgreSQL ",
    };
    assert!(said.contains(version), "{said}");

    place.edit("posts", "fields:\n", "fields:\n  mood: text\n");
    let found = findings(&place, &[], 1);
    let (health, words) = state(&found, "schema");
    assert_eq!(health, "error");
    assert!(
        words.contains("`mood` of `posts`") && words.contains("nubo migrate plan"),
        "{words}"
    );

    if on == Driver::Postgres {
        let nowhere = "postgres://nubo:hunter2@127.0.0.1:1/nubo";
        let secret = "a secret of at least thirty-two bytes";
        let environment = [("DATABASE_URL", nowhere), ("JWT_SECRET", secret)];
        let found = findings(&place, &environment, 1);
        assert_eq!(state(&found, "database").0, "error");
        assert_eq!(state(&found, "tokens").0, "ok");
        let all = Json::Array(found).to_string();
        assert!(!all.contains("hunter2") && !all.contains(secret), "{all}");
    }

    place.edit("posts", "fields:\n", "felds:\n");
    let found = findings(&place, &[], 1);
    assert!(
        found
            .iter()
            .all(|finding| finding["check"] == "configuration")
    );
    let all = Json::Array(found).to_string();
    assert!(all.contains("felds") && all.contains("nubo check"), "{all}");
}
