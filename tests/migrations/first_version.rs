//! A database that the first version has made, with the data of that time in `first/`.

use std::fs;

use crate::place::{Driver, Place};

/// A place with that database.
fn place(on: Driver) -> Place {
    let place = Place::new(on);
    place.sql(match on {
        Driver::Sqlite => include_str!("first/sqlite.sql"),
        Driver::Postgres => include_str!("first/postgres.sql"),
    });
    place
}

/// The documents of a collection, a line each.
fn documents(place: &Place, collection: &str) -> String {
    place.done(&["export", "--collection", collection])
}

pub fn a_database_of_it_is_brought_up_with_its_data(on: Driver) {
    let place = place(on);
    // It is where the first migrations lead, and is told so.
    let said = place.done(&["migrate", "up", "--adopt", "1"]);
    assert!(said.contains("noted 0001_initial"), "{said}");
    // On PostgreSQL it did not note yet which types its fields have.
    place.done(&["migrate", "plan", "--name", "notes"]);
    place.done(&["migrate", "up"]);
    place.done(&["migrate", "status"]);
    let users = documents(&place, "users");
    assert!(users.contains("\"username\":\"ada\""), "{users}");

    place.edit(
        "media",
        "  width:",
        "  pixels:\n    renamed_from: width\n    type: bigint\n  was:",
    );
    place.edit(
        "posts",
        "fields:\n",
        "fields:\n  mood: { type: text, required: true, default: calm }\n",
    );
    fs::rename(
        place.path("collections/media_metadata.yaml"),
        place.path("collections/media_details.yaml"),
    )
    .expect("a file");
    place.edit(
        "media_details",
        "name: media_metadata\n",
        "name: media_details\nrenamed_from: media_metadata\n",
    );
    place.done(&["migrate", "plan", "--name", "more"]);
    place.done(&["migrate", "up"]);
    place.done(&["migrate", "status"]);
    let media = documents(&place, "media");
    assert!(media.contains("\"pixels\":640"), "{media}");
    assert!(media.contains("\"size\":\"9007199254740993\""), "{media}");
    let posts = documents(&place, "posts");
    assert!(posts.contains("\"mood\":\"calm\""), "{posts}");
    assert!(
        posts.contains("It's the engine") && posts.contains("\"comment_count\":1"),
        "{posts}"
    );
    assert!(documents(&place, "comments").contains("Première — ☕"));
    assert_eq!(documents(&place, "users"), users);
}

pub fn a_server_finds_its_data(on: Driver) {
    let place = place(on);
    // Whatever is not there yet is made at start where that is asked for.
    place.edit(
        "posts",
        "fields:\n",
        "fields:\n  mood: { type: text, default: calm }\n",
    );
    let auto = [("NUBO_TIERS__TRUTH__MIGRATE", "auto")];
    let server = place.serve("data", &auto).expect("it starts");
    assert_eq!(server.get("/ready").0, 200);
    drop(server);
    let posts = place
        .run_with(&["export", "--collection", "posts"], &auto)
        .out;
    assert!(
        posts.contains("It's the engine") && posts.contains("\"mood\":\"calm\""),
        "{posts}"
    );
}
