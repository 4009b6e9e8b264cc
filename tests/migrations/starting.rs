//! What a server does at start where the database differs from the collections.

use std::fs;

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
        assert_eq!(said.contains("0001_initial  applied"), with_files, "{said}");
    }
}
