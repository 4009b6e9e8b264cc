//! The migrations that ship, and one more.

use std::fs;

use crate::place::{Driver, Place};

const AS_DECLARED: &str = "the database is as the collections declare";

/// When this fails, `nubo migrate up` and `nubo migrate plan`, with an empty database, write the
/// migration that is missing.
pub fn migrations_lead_to_the_collections(on: Driver) {
    let place = Place::new(on);
    let said = place.failed(&["migrate", "status"]);
    let is_pending = |line: &str| line.starts_with("0001_initial ") && line.ends_with(" pending");
    assert!(said.lines().any(is_pending), "{said}");
    assert!(said.contains("the database is empty"), "{said}");
    let said = place.done(&["migrate", "up"]);
    assert!(said.contains("applied 0001_initial"), "{said}");
    let said = place.done(&["migrate", "status"]);
    assert!(said.contains(AS_DECLARED), "{said}");
    let said = place.done(&["migrate", "plan"]);
    assert!(said.contains(AS_DECLARED), "{said}");
    let said = place.done(&["migrate", "up"]);
    assert!(said.contains("nothing to apply"), "{said}");
}

pub fn a_change_is_planned_applied_and_taken_back(on: Driver) {
    let place = Place::new(on);
    place.done(&["migrate", "up"]);
    place.edit(
        "posts",
        "fields:\n",
        "fields:\n  mood: { type: text, default: calm }\n",
    );
    let said = place.done(&["migrate", "plan", "--name", "A mood"]);
    assert!(
        said.contains("a_mood.sql") && said.contains("`mood` of `posts`"),
        "{said}"
    );
    let files: Vec<_> = fs::read_dir(place.migrations())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains("a_mood"))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let said = place.failed(&["migrate", "status"]);
    assert!(
        said.contains("a_mood") && said.contains("pending"),
        "{said}"
    );
    let said = place.done(&["migrate", "up"]);
    assert!(said.contains("a_mood"), "{said}");
    place.done(&["migrate", "status"]);
    // What is applied is not changed any longer.
    let file = files
        .iter()
        .find(|path| !path.to_string_lossy().contains("down"));
    let file = file.expect("a file");
    let text = fs::read_to_string(file).expect("a file");
    fs::write(file, format!("{text}-- more\n")).expect("a file");
    let said = place.failed(&["migrate", "up"]);
    assert!(
        said.contains("a_mood` was changed after it had been applied"),
        "{said}"
    );
    fs::write(file, text).expect("a file");
    let said = place.done(&["migrate", "down"]);
    assert!(said.contains("took back"), "{said}");
    let said = place.failed(&["migrate", "status"]);
    assert!(said.contains("`mood` of `posts`"), "{said}");
    // What would lose data is refused, and nothing written.
    place.edit("posts", "  mood: { type: text, default: calm }\n", "");
    place.edit("posts", "  location:", "  place:");
    for path in files {
        fs::remove_file(path).expect("a file");
    }
    let said = place.failed(&["migrate", "plan"]);
    for words in ["`posts.location`", "1. ", "--allow-destructive"] {
        assert!(said.contains(words), "{said}");
    }
    let said = place.done(&["migrate", "plan", "--allow-destructive"]);
    assert!(
        said.contains("! No field declares `posts.location`"),
        "{said}"
    );
}
