//! `POST /c/bulk`: many operations, each for itself.

use serde_json::{Value as Json, json};

use crate::{fresh_id, fresh_shelf, library, server::text, texts};

fn statuses(answer: &Json) -> Vec<u64> {
    let results = answer["results"].as_array().expect("results");
    results
        .iter()
        .filter_map(|result| result["status"].as_u64())
        .collect()
}

#[test]
fn every_kind_of_operation_gets_its_result() {
    let shelf = fresh_shelf();
    let book = |title: &str| json!({ "title": title, "shelf": shelf });
    let [one, two, three, four] =
        ["1", "2", "3", "4"].map(|t| library().create_id("books", &book(t)));
    let answer = library().post(
        "/books/bulk",
        &json!([
            { "create": { "title": "new", "shelf": shelf } },
            { "update": { "id": one, "change": { "$inc": { "sold": 1 } } } },
            { "update": { "id": one, "change": { "genre": "crime" } } },
            { "replace": { "id": two, "document": { "title": "other", "shelf": shelf } } },
            { "delete": { "id": three } },
            { "update": { "filter": { "shelf": shelf, "title": "4" }, "change": { "pages": 4 } } },
            { "delete": { "filter": { "shelf": shelf, "title": "nobody" } } },
        ]),
    );
    let answer = answer.expect(200);
    assert_eq!(statuses(&answer), [201, 200, 200, 200, 204, 200, 200]);
    let results = &answer["results"];
    assert_eq!(results[0]["document"]["title"], "new");
    assert_eq!(results[2]["document"]["sold"], 1);
    assert_eq!(results[2]["document"]["genre"], "crime");
    assert_eq!(results[4].get("document"), None);
    assert_eq!(
        (&results[5]["matched"], &results[5]["modified"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(results[6]["deleted"], 0);
    let created = text(&results[0]["document"]["id"]);
    assert_eq!(library().read("books", &created), results[0]["document"]);
    assert_eq!(library().read("books", &two)["title"], "other");
    assert_eq!(library().read("books", &four)["pages"], 4);
    library()
        .get(&format!("/books/{three}"))
        .problem(404, "not_found");
}

#[test]
fn a_failure_is_its_own_unless_the_order_matters() {
    let (shelf, taken) = (fresh_shelf(), fresh_id());
    library().create(
        "books",
        &json!({ "id": taken, "title": "taken", "shelf": shelf }),
    );
    let operations = json!([
        { "create": { "title": "a", "shelf": shelf } },
        { "create": { "title": "", "shelf": shelf } },
        { "create": { "title": "b", "shelf": shelf, "id": taken } },
        { "delete": { "id": fresh_id() } },
        { "create": { "title": "c", "shelf": shelf } },
    ]);
    let answer = library().post("/books/bulk", &operations).expect(200);
    assert_eq!(statuses(&answer), [201, 422, 409, 404, 201]);
    let errors = |n: usize| &answer["results"][n]["error"];
    assert_eq!(errors(1)["errors"][0]["path"], "/1/create/title");
    assert_eq!(errors(2)["errors"][0]["path"], "/2/create/id");
    assert_eq!(errors(2)["code"], "duplicate");
    assert_eq!(errors(3)["code"], "not_found");
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 3);

    for (path, body) in [
        ("/books/bulk?ordered=true", operations.clone()),
        (
            "/books/bulk",
            json!({ "operations": operations, "ordered": true }),
        ),
    ] {
        let answer = library().post(path, &body).expect(200);
        assert_eq!(statuses(&answer), [201, 422, 424, 424, 424]);
        assert_eq!(answer["results"][4]["error"]["code"], "not_tried");
    }
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 5);
}

#[test]
fn in_order_the_second_sees_what_the_first_did() {
    let (shelf, id) = (fresh_shelf(), fresh_id());
    let answer = library().post(
        "/books/bulk?ordered=true",
        &json!([
            { "create": { "id": id, "title": "a", "shelf": shelf, "sold": 1 } },
            { "update": { "id": id, "change": { "$mul": { "sold": 10 } } } },
            { "delete": { "id": id } },
            { "update": { "id": id, "change": { "$mul": { "sold": 10 } } } },
        ]),
    );
    let answer = answer.expect(200);
    assert_eq!(statuses(&answer), [201, 200, 204, 404]);
    assert_eq!(answer["results"][1]["document"]["sold"], 10);
}

#[test]
fn a_thousand_documents_in_one_request() {
    let shelf = fresh_shelf();
    let creates = |number: usize| -> Vec<Json> {
        (0..number)
            .map(|n| json!({ "create": { "title": format!("{n:04}"), "shelf": shelf } }))
            .collect()
    };
    let answer = library()
        .post("/books/bulk", &json!(creates(1000)))
        .expect(200);
    assert!(statuses(&answer).iter().all(|status| *status == 201));
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 1000);
    let first = [
        ("filter[shelf]", &*shelf),
        ("sort", "title"),
        ("limit", "3"),
    ];
    assert_eq!(
        texts(&library().list("books", &first), "title"),
        ["0000", "0001", "0002"]
    );
    library()
        .post("/books/bulk", &json!(creates(1001)))
        .problem(400, "too_many_operations");
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 1000);
    assert_eq!(
        library().post("/books/bulk", &json!([])).expect(200),
        json!({ "results": [] })
    );
}

#[test]
fn items_that_make_no_sense_are_told_apart() {
    let id = fresh_id();
    let answer = library().post(
        "/books/bulk",
        &json!([
            { "insert": { "title": "x" } },
            {},
            { "create": { "title": "x" }, "delete": { "id": id } },
            { "update": { "id": id } },
            { "update": { "id": id, "filter": {}, "change": {} } },
            { "delete": { "filter": {} } },
            { "delete": { "id": "17" } },
            { "delete": { "filter": { "nope": 1 } } },
            { "update": { "id": id, "change": { "$in": {} } } },
            7,
        ]),
    );
    let answer = answer.expect(200);
    assert_eq!(
        statuses(&answer),
        [422, 422, 422, 422, 422, 400, 400, 400, 422, 422]
    );
    let places: Vec<&Json> = (0..10)
        .map(|n| &answer["results"][n]["error"]["errors"][0]["path"])
        .collect();
    assert_eq!(
        json!(places),
        json!([
            "/0/insert",
            "/1",
            "/2",
            "/3/update/change",
            "/4/update",
            null,
            "/6/delete/id",
            "/7/delete/filter/nope",
            "/8/update/change/$in",
            "/9"
        ])
    );
    for (body, place) in [
        (json!({}), "/operations"),
        (json!(7), ""),
        (json!({ "operation": [] }), "/operation"),
    ] {
        library()
            .post("/books/bulk", &body)
            .problem_at(422, "invalid", &[place]);
    }
}
