//! `POST /batch`: operations over any collections, all of them or none.

use serde_json::json;

use crate::{fresh_id, fresh_shelf, library, server::text};

#[test]
fn all_of_it_is_done() {
    let (author, book, shelf) = (fresh_id(), fresh_id(), fresh_shelf());
    let answer = library().post("/batch", &json!({ "operations": [
        { "collection": "authors", "create": { "id": author, "name": "Ada" } },
        { "collection": "books", "create": { "id": book, "title": "x", "author_id": author, "shelf": shelf } },
        { "collection": "reviews", "create": { "book_id": book, "stars": 5 } },
        { "collection": "books", "update": { "id": book, "change": { "$inc": { "sold": 2 } } } },
        { "collection": "books", "update": { "filter": { "shelf": shelf }, "change": { "$inc": { "sold": 1 } } } },
        { "collection": "reviews", "delete": { "filter": { "book_id": book, "stars": 5 } } },
    ]}));
    let results = answer.expect(200)["results"].clone();
    assert_eq!(
        results[3]["document"]["sold"], 2,
        "each sees what those before it did"
    );
    assert_eq!(
        results[4],
        json!({ "status": 200, "matched": 1, "modified": 1 })
    );
    assert_eq!(results[5], json!({ "status": 200, "deleted": 1 }));
    assert_eq!(library().read("books", &book)["sold"], 3);
    assert_eq!(library().read("authors", &author)["name"], "Ada");
    // A bare list is the same.
    let bare = json!([{ "collection": "authors", "delete": { "id": fresh_id() } }]);
    library().post("/batch", &bare).problem(404, "not_found");
    assert_eq!(
        library().post("/batch", &json!([])).expect(200),
        json!({ "results": [] })
    );
}

#[test]
fn one_that_fails_undoes_the_rest_and_is_named() {
    let (shelf, taken) = (fresh_shelf(), fresh_id());
    library().create("books", &json!({ "id": taken, "title": "taken" }));
    let first = json!({ "collection": "books", "create": { "title": "a", "shelf": shelf } });
    let third = json!({ "collection": "books", "create": { "title": "c", "shelf": shelf } });
    for (second, status, code, place) in [
        (
            json!({ "create": { "id": taken, "title": "b" } }),
            409,
            "duplicate",
            "/operations/1/create/id",
        ),
        (
            json!({ "create": { "title": "b", "author_id": taken } }),
            422,
            "invalid",
            "/operations/1/create/author_id",
        ),
        (
            json!({ "update": { "id": taken, "change": { "$inc": { "sold": -1 } } } }),
            422,
            "invalid",
            "/operations/1/update/change/sold",
        ),
        (
            json!({ "create": { "title": "" } }),
            422,
            "invalid",
            "/operations/1/create/title",
        ),
        (
            json!({ "create": { "titel": "b" } }),
            422,
            "invalid",
            "/operations/1/create/titel",
        ),
        (
            json!({ "delete": { "id": "17" } }),
            400,
            "invalid_id",
            "/operations/1/delete/id",
        ),
        (
            json!({ "update": { "filter": { "nope": 1 }, "change": {} } }),
            400,
            "invalid_filter",
            "/operations/1/update/filter/nope",
        ),
    ] {
        let mut second = second;
        second["collection"] = json!("books");
        let operations = json!({ "operations": [first, second, third] });
        let problem = library().post("/batch", &operations).problem(status, code);
        let found = text(&problem["errors"][0]["path"]);
        assert!(
            found == place
                || (place.contains("/change/")
                    && found.ends_with("/sold")
                    && found.starts_with("/operations/1/update/change/")),
            "{problem}"
        );
        assert_eq!(
            library().count("books", &json!({ "shelf": shelf })),
            0,
            "{problem}"
        );
    }
    // Without the object around it the pointer starts at the list.
    let bare = json!([first, { "collection": "books", "create": { "title": "" } }]);
    let problem = library().post("/batch", &bare);
    problem.problem_at(422, "invalid", &["/1/create/title"]);
}

#[test]
fn what_is_missing_is_named_by_its_operation() {
    let missing = json!([
        { "collection": "authors", "create": { "name": "x" } },
        { "collection": "books", "update": { "id": fresh_id(), "change": { "title": "y" } } },
    ]);
    let problem = library().post("/batch", &missing).problem(404, "not_found");
    assert!(text(&problem["detail"]).contains("books"), "{problem}");
}

#[test]
fn every_mistake_of_every_operation_is_told() {
    let operations = json!({ "operations": [
        { "collection": "bookz", "create": {} },
        { "create": {} },
        { "collection": "books", "create": { "pages": 0, "genre": "x" } },
        { "collection": "books", "upsert": {} },
        { "collection": 7, "create": {} },
    ]});
    let problem = library().post("/batch", &operations).problem_at(
        422,
        "invalid",
        &[
            "/operations/0/collection",
            "/operations/1/collection",
            "/operations/2/create/title",
            "/operations/2/create/genre",
            "/operations/2/create/pages",
            "/operations/3/upsert",
            "/operations/4/collection",
        ],
    );
    assert!(
        problem.to_string().contains("did you mean `books`?"),
        "{problem}"
    );
}

#[test]
fn logs_can_be_written_and_not_rewritten() {
    let id = library().create_id("journal", &json!({ "words": "x" }));
    let operations = json!([
        { "collection": "journal", "create": { "words": "y" } },
        { "collection": "journal", "delete": { "id": id } },
    ]);
    library()
        .post("/batch", &operations)
        .problem(403, "append_only");
}

#[test]
fn too_many_operations_are_refused() {
    let operation = json!({ "collection": "pebbles", "delete": { "id": fresh_id() } });
    let operations = vec![operation; 1001];
    library()
        .post("/batch", &json!(operations))
        .problem(400, "too_many_operations");
    let misplaced = json!({ "operations": [], "ordered": true });
    library()
        .post("/batch", &misplaced)
        .problem_at(422, "invalid", &["/ordered"]);
}
