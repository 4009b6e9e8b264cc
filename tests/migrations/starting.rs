//! What a server does at start where the database differs from the collections.

use std::fs;

use serde_json::json;

use crate::place::{Driver, Place};

const CHECK: [(&str, &str); 1] = [("NUBO_TIERS__TRUTH__MIGRATE", "check")];

pub fn a_server_that_checks_says_what_is_missing(on: Driver) {
    let place = Place::new(on);
    place.done(&["migrate", "up"]);
    drop(place.serve("data", &CHECK).expect("it starts"));
    place.edit("posts", "fields:\n", "fields:\n  mood: text\n");
    // On PostgreSQL that is how it is unless something else is said.
    let settings = match on {
        Driver::Sqlite => &CHECK[..],
        Driver::Postgres => &[],
    };
    let said = place.serve("data", settings).err().expect("it is refused");
    for words in [
        "`mood` of `posts`",
        "`nubo migrate plan`",
        "`nubo migrate up`",
    ] {
        assert!(said.contains(words), "{said}");
    }
    place.done(&["migrate", "plan", "--name", "mood"]);
    let said = place.serve("data", settings).err().expect("it is refused");
    assert!(said.contains("_mood`"), "{said}");
    place.done(&["migrate", "up"]);
    drop(place.serve("data", settings).expect("it starts"));
}

/// By the migrations where there are any; otherwise by what is declared. Servers that start together
/// do not get into each other's way.
pub fn an_empty_database_is_set_up(on: Driver) {
    for with_files in [true, false] {
        let place = Place::new(on);
        if !with_files {
            fs::remove_dir_all(place.migrations()).expect("a folder");
        }
        let servers = match on {
            // One data folder, one server.
            Driver::Sqlite => 1,
            Driver::Postgres => 3,
        };
        let names: Vec<String> = (0..servers).map(|number| format!("data{number}")).collect();
        let servers: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = names
                .iter()
                .map(|data| scope.spawn(|| place.serve(data, &CHECK)))
                .collect();
            starting
                .into_iter()
                .map(|thread| thread.join().expect("a thread").expect("it starts"))
                .collect()
        });
        for server in &servers {
            assert_eq!(server.get("/ready").0, 200);
        }
        drop(servers);
        let said = place.run(&["--data", &names[0], "migrate", "status"]).out;
        assert!(
            said.contains("the database is as the collections declare"),
            "{said}"
        );
        let applied = said
            .lines()
            .any(|line| line.split_whitespace().eq(["0001_initial", "applied"]));
        assert_eq!(applied, with_files, "{said}");
    }
}

/// An account that may change documents and nothing else serves, where another one has applied the
/// migrations.
#[test]
fn a_server_needs_no_right_to_change_the_schema() {
    let place = Place::new(Driver::Postgres);
    place.done(&["migrate", "up"]);
    let role = format!("clerk_{}", std::process::id());
    place.sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'clerk'; \
         GRANT USAGE ON SCHEMA nubo, auth, content, messaging, moderation TO {role}; \
         DO $$ DECLARE name text; BEGIN \
         FOREACH name IN ARRAY ARRAY['nubo', 'auth', 'content', 'messaging', 'moderation'] LOOP \
         EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO {role}', name); \
         END LOOP; END $$"
    ));
    let url = place.url_for(&role, "clerk");
    let started = place.serve("data", &[("DATABASE_URL", &url)]);
    let created = started.map(|server| {
        let account = json!({ "username": "ada", "email": "ada@example.org",
            "password": "correct horse", "first_name": "Ada", "last_name": "Lovelace" });
        server.post("/signup", &account)
    });
    place.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    let (status, body) = created.expect("it starts");
    assert_eq!(status, 201, "{body}");
}
