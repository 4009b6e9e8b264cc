//! Collections that change between one start and the next.

use serde_json::{Value as Json, json};

use crate::server::{Site, text};

const NOTES: &str = "name: notes\nfields:\n  words: text!\n  stars: int\naccess: { read: public, create: public, update: public, delete: public }\n";

fn with_note(stars: Json) -> (Site, String) {
    let site = Site::with_collection("notes", NOTES);
    let server = site.start();
    let id = server.create_id("notes", &json!({ "words": "kept", "stars": stars }));
    server.stop();
    (site, id)
}

#[test]
fn a_new_file_is_a_new_collection() {
    let (site, id) = with_note(json!(3));
    site.collection(
        "films",
        "name: films\nfields:\n  title: text!\n  note_id: ref(notes)\naccess: { read: public, create: public, update: public, delete: public }\n",
    );
    let server = site.start();
    let film = server.create("films", &json!({ "title": "x", "note_id": id }));
    let path = format!("/films/{}?expand=note_id", text(&film["id"]));
    assert_eq!(
        server.get(&path).expect(200)["_expand"]["note_id"]["words"],
        "kept"
    );
    server
        .post("/films", &json!({}))
        .problem_at(422, "invalid", &["/title"]);
    let document = server.get("/openapi.json").expect(200);
    for path in [
        "/films",
        "/films/{id}",
        "/films/query",
        "/films/count",
        "/films/bulk",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    server.stop();
}

#[test]
fn a_new_optional_field_keeps_what_is_there() {
    let (site, id) = with_note(json!(3));
    let more = NOTES.replace(
        "  stars: int\n",
        concat!(
            "  stars: int\n  mood: { type: text, enum: [good, bad] }\n",
            "  likes: { type: int, default: 0 }\n  tags: \"text[]\"\n  meta: json\n",
        ),
    );
    site.collection("notes", &more);
    let server = site.start();
    let note = server.read("notes", &id);
    assert_eq!(
        (&note["words"], &note["stars"], &note["mood"]),
        (&json!("kept"), &json!(3), &Json::Null)
    );
    let changed = json!({ "$set": { "mood": "good" }, "$push": { "tags": "new" } });
    let note = server.patch(&format!("/notes/{id}"), &changed).expect(200);
    assert_eq!(
        (&note["mood"], &note["tags"]),
        (&json!("good"), &json!(["new"]))
    );
    assert_eq!(server.count("notes", &json!({ "mood": "good" })), 1);
    assert_eq!(
        server.create("notes", &json!({ "words": "new" }))["likes"],
        0
    );
    server.stop();
    // And back again: the server goes on without the fields.
    site.collection("notes", NOTES);
    let server = site.start();
    assert_eq!(server.read("notes", &id).get("mood"), None);
    server.create("notes", &json!({ "words": "after" }));
    server.stop();
}

#[test]
fn a_new_index_is_made_and_a_unique_one_held_to() {
    let (site, id) = with_note(json!(3));
    let unique = NOTES.replace(
        "  words: text!\n",
        "  words: { type: text, required: true, unique: true }\n",
    ) + "indexes:\n  - [stars]\n";
    site.collection("notes", &unique);
    let server = site.start();
    server
        .post("/notes", &json!({ "words": "kept" }))
        .problem_at(409, "duplicate", &["/words"]);
    assert_eq!(server.read("notes", &id)["words"], "kept");
    server.stop();
}

#[test]
fn a_change_that_would_lose_something_is_refused() {
    let (site, id) = with_note(json!(3));
    for (words, stars, said) in [
        ("text!", "text", "notes.stars"),
        ("int!", "int", "notes.words"),
    ] {
        let changed = NOTES
            .replace("text!", words)
            .replace("stars: int", &format!("stars: {stars}"));
        site.collection("notes", &changed);
        let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
        assert_eq!(refusal.code, Some(1));
        assert!(refusal.stderr.contains(said), "{}", refusal.stderr);
        assert!(!refusal.stderr.contains("panicked"), "{}", refusal.stderr);
    }
    site.collection(
        "notes",
        &NOTES.replace("stars: int", "stars: int\n  author: text!"),
    );
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(
        refusal.code,
        Some(1),
        "there is no value for those that are there"
    );
    assert!(refusal.stderr.contains("author"), "{}", refusal.stderr);
    // Nothing was done on the way.
    site.collection("notes", NOTES);
    let server = site.start();
    assert_eq!(server.read("notes", &id)["words"], "kept");
    server.stop();
}

#[test]
fn values_that_are_not_unique_refuse_a_unique_field() {
    let site = Site::with_collection("notes", NOTES);
    let server = site.start();
    for _ in 0..2 {
        server.create("notes", &json!({ "words": "twice" }));
    }
    server.stop();
    let unique = NOTES.replace(
        "  words: text!\n",
        "  words: { type: text, required: true, unique: true }\n",
    );
    site.collection("notes", &unique);
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(refusal.code, Some(1));
    assert!(
        refusal.stderr.contains("notes") && refusal.stderr.contains("words"),
        "{}",
        refusal.stderr
    );
    site.collection("notes", NOTES);
    let server = site.start();
    assert_eq!(server.count("notes", &json!({})), 2);
    server.stop();
}

#[test]
fn a_collection_whose_file_is_gone_keeps_its_documents() {
    let (site, id) = with_note(json!(1));
    let file = site.path("collections/notes.yaml");
    std::fs::rename(&file, site.path("notes.yaml")).expect("the file moves");
    let server = site.start();
    server.get("/notes").problem(404, "unknown_path");
    server.stop();
    std::fs::rename(site.path("notes.yaml"), &file).expect("the file moves");
    let server = site.start();
    assert_eq!(server.read("notes", &id)["words"], "kept");
    server.stop();
}
