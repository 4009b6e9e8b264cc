//! `PATCH /c?filter=` and `DELETE /c?filter=`: all documents that match.

use serde_json::{Value as Json, json};

use crate::{
    fresh_shelf, library,
    server::{Answer, Request},
    texts,
};

fn shelf_of(titles: &[&str]) -> String {
    let shelf = fresh_shelf();
    for (pages, title) in (10..).zip(titles) {
        library().create(
            "books",
            &json!({ "title": title, "shelf": shelf, "pages": pages }),
        );
    }
    shelf
}

fn patch(filter: &Json, change: &Json) -> Answer {
    matching("PATCH", filter).json(change).send()
}

fn matching(method: &str, filter: &Json) -> Request<'static> {
    library()
        .request(method, "/books")
        .query(&[("filter", &filter.to_string())])
}

#[test]
fn everything_that_matches_is_changed() {
    let shelf = shelf_of(&["a", "b", "c"]);
    let two = json!({ "shelf": shelf, "pages": { "$gte": 11 } });
    let answer = patch(&two, &json!({ "genre": "crime" }));
    assert_eq!(answer.expect(200), json!({ "matched": 2, "modified": 2 }));
    let answer = patch(&two, &json!({ "$inc": { "sold": 2 } }));
    assert_eq!(answer.expect(200), json!({ "matched": 2, "modified": 2 }));
    let list = library().list("books", &[("filter[shelf]", &shelf), ("sort", "title")]);
    let found: Vec<[&Json; 2]> = list["data"]
        .as_array()
        .expect("documents")
        .iter()
        .map(|book| [&book["genre"], &book["sold"]])
        .collect();
    assert_eq!(json!(found), json!([[null, 0], ["crime", 2], ["crime", 2]]));
    let none = json!({ "shelf": shelf, "title": "z" });
    assert_eq!(
        patch(&none, &json!({ "genre": "crime" })).expect(200),
        json!({ "matched": 0, "modified": 0 })
    );
}

#[test]
fn brackets_name_what_to_change_too() {
    let shelf = shelf_of(&["a", "b"]);
    let path = format!("/books?filter[shelf]={shelf}&filter[title]=a");
    assert_eq!(
        library().patch(&path, &json!({ "pages": 1 })).expect(200)["matched"],
        1
    );
    assert_eq!(library().delete(&path).expect(200), json!({ "deleted": 1 }));
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 1);
}

#[test]
fn one_that_may_not_be_changed_keeps_all_from_it() {
    let shelf = shelf_of(&["a", "b", "c"]);
    let all = json!({ "shelf": shelf });
    let before = library().list("books", &[("filter[shelf]", &shelf)]);
    patch(&all, &json!({ "$inc": { "pages": -10 } })).problem(422, "invalid");
    assert_eq!(
        library().list("books", &[("filter[shelf]", &shelf)]),
        before
    );
}

#[test]
fn everything_that_matches_is_deleted() {
    let shelf = shelf_of(&["a", "b", "c"]);
    let two = json!({ "shelf": shelf, "title": { "$in": ["a", "c"] } });
    let answer = matching("DELETE", &two).send();
    assert_eq!(answer.expect(200), json!({ "deleted": 2 }));
    assert_eq!(
        matching("DELETE", &two).send().expect(200),
        json!({ "deleted": 0 })
    );
    let list = library().list("books", &[("filter[shelf]", &shelf)]);
    assert_eq!(texts(&list, "title"), ["b"]);
}

#[test]
fn a_forgotten_filter_is_not_the_end_of_a_collection() {
    for colour in ["red", "green", "blue"] {
        library().create("pebbles", &json!({ "colour": colour }));
    }
    for path in [
        "/pebbles",
        "/pebbles?filter={}",
        "/pebbles?filter=%7B%22%24and%22%3A%5B%7B%7D%5D%7D",
        "/pebbles?all=false",
    ] {
        let path = path.replace("{}", "%7B%7D");
        library().delete(&path).problem(400, "empty_filter");
        library()
            .patch(&path, &json!({ "colour": "grey" }))
            .problem(400, "empty_filter");
    }
    assert_eq!(library().count("pebbles", &json!({})), 3);
    let painted = library().patch("/pebbles?all=true", &json!({ "colour": "grey" }));
    assert_eq!(painted.expect(200), json!({ "matched": 3, "modified": 3 }));
    assert_eq!(library().count("pebbles", &json!({ "colour": "grey" })), 3);
    assert_eq!(
        library().delete("/pebbles?all=true").expect(200),
        json!({ "deleted": 3 })
    );
    assert_eq!(library().count("pebbles", &json!({})), 0);
}

#[test]
fn a_condition_is_about_one_document() {
    let answer = matching("DELETE", &json!({ "shelf": "x" }))
        .header("if-match", "\"1\"")
        .send();
    answer.problem(400, "unexpected_condition");
}
