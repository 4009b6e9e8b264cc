//! `POST /c` and everything at `/c/{id}`: the life of one document.

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

use crate::{
    fresh_id, library, number,
    server::{Answer, text},
};

fn new_book(document: Json) -> (String, Answer) {
    let answer = library().post("/books", &document);
    (text(&answer.expect(201)["id"]), answer)
}

#[test]
fn a_created_document_says_where_it_is_and_what_it_became() {
    let (id, answer) = new_book(json!({
        "title": "Emma", "state": "published", "sold": "12", "price": "12.50", "genre": "crime",
        "released_at": "2026-11-21T22:45:00.123456+01:00", "published": "1815-12-23",
        "reading_time": "P1W", "rating": 3, "cover": "AP8=", "tags": ["a", "b"],
        "address": "::FFFF:0:1", "site": "https://example.org/emma",
        "format": { "width": 12 }, "meta": { "any": [1, { "thing": null }] },
        "code": "019AA8C4-5D5E-7C3A-9F6E-1B0F5F2F8F11",
    }));
    let book = answer.json();
    assert_eq!(answer.header("location"), Some(&*format!("/books/{id}")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.header("etag"),
        Some(&*format!("\"{}\"", book["_rev"]))
    );
    for (field, value) in [
        ("title", json!("Emma")),
        ("state", json!(1)),
        ("sold", json!(12)),
        ("price", json!("12.5")),
        ("released_at", json!("2026-11-21T21:45:00.123Z")),
        ("published", json!("1815-12-23")),
        ("reading_time", json!("P7D")),
        ("rating", json!(3.0)),
        ("cover", json!("AP8=")),
        ("tags", json!(["a", "b"])),
        ("format", json!({ "width": 12, "unit": "cm" })),
        ("meta", json!({ "any": [1, { "thing": null }] })),
        ("code", json!("019aa8c4-5d5e-7c3a-9f6e-1b0f5f2f8f11")),
        ("available", json!(true)),
        ("author_id", json!(null)),
        ("pages", json!(null)),
    ] {
        assert_eq!(book[field], value, "{field}");
    }
    assert_eq!(book["created_at"], book["updated_at"]);
    assert_eq!(&id[14..15], "7", "ids grow with time");
    let read = library().get(&format!("/books/{id}"));
    assert_eq!(
        read.body, answer.body,
        "it reads as it was answered, byte for byte"
    );
    assert_eq!(read.header("etag"), answer.header("etag"));
    assert_eq!(read.header("vary"), Some("Authorization"));
}

#[test]
fn defaults_fill_in_for_what_is_absent_or_null() {
    let (_, answer) = new_book(json!({ "title": "x", "sold": null }));
    let book = answer.json();
    assert_eq!(book["state"], 0);
    assert_eq!(book["sold"], 0);
    assert_eq!(book["available"], true);
    assert_eq!(book["code"].as_str().map(str::len), Some(36));
    assert_eq!(book["format"], Json::Null);
}

#[test]
fn a_client_may_give_the_id_once() {
    let id = fresh_id();
    let created = library().create("books", &json!({ "id": id, "title": "mine" }));
    assert_eq!(created["id"], id);
    library()
        .post(
            "/books",
            &json!({ "id": id.to_uppercase(), "title": "another" }),
        )
        .problem_at(409, "duplicate", &["/id"]);
    assert_eq!(library().read("books", &id)["title"], "mine");
    library()
        .post("/books", &json!({ "id": "17", "title": "x" }))
        .problem_at(422, "invalid", &["/id"]);
}

#[test]
fn unique_values_are_given_once() {
    let isbn = format!("{}-{}", std::process::id(), number());
    let first = library().create_id("books", &json!({ "title": "x", "isbn": isbn }));
    library()
        .post("/books", &json!({ "title": "y", "isbn": isbn }))
        .problem_at(409, "duplicate", &["/isbn"]);
    let second = library().create_id("books", &json!({ "title": "y" }));
    library()
        .patch(&format!("/books/{second}"), &json!({ "isbn": isbn }))
        .problem_at(409, "duplicate", &["/isbn"]);
    assert_eq!(library().read("books", &second)["isbn"], Json::Null);
    // Any number may have none, and a value is free again when its document is gone.
    library().create("books", &json!({ "title": "z", "isbn": null }));
    library().delete(&format!("/books/{first}")).expect(204);
    library()
        .patch(&format!("/books/{second}"), &json!({ "isbn": isbn }))
        .expect(200);
}

#[test]
fn head_says_what_get_says_without_the_body() {
    let (id, _) = new_book(json!({ "title": "x" }));
    for path in [
        format!("/books/{id}"),
        "/books?limit=1".to_owned(),
        "/books/count".to_owned(),
    ] {
        let get = library().get(&path);
        let head = library().request("HEAD", &path).send();
        assert_eq!((get.status, head.status), (200, 200));
        assert!(head.body.is_empty());
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_eq!(head.header("content-type"), get.header("content-type"));
        if path.contains(&id) {
            assert_eq!(
                head.header("content-length"),
                Some(&*get.body.len().to_string())
            );
        }
    }
    let missing = library()
        .request("HEAD", &format!("/books/{}", fresh_id()))
        .send();
    assert_eq!((missing.status, missing.body.len()), (404, 0));
}

#[test]
fn who_has_the_document_already_is_not_sent_it() {
    let (id, created) = new_book(json!({ "title": "x" }));
    let path = format!("/books/{id}");
    let tag = created.header("etag").expect("a tag").to_owned();
    let ask = |tag: &str| {
        library()
            .request("GET", &path)
            .header("if-none-match", tag)
            .send()
    };
    for known in [&*tag, "*", &*format!("\"0\", W/{tag}")] {
        let answer = ask(known);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(&*tag));
    }
    library().patch(&path, &json!({ "title": "y" })).expect(200);
    let changed = ask(&tag);
    assert_eq!(changed.expect(200)["title"], "y");
    assert_ne!(changed.header("etag"), Some(&*tag));
    ask("no tag").problem(400, "invalid_condition");
}

#[test]
fn a_change_can_demand_the_revision_it_was_made_for() {
    let (id, created) = new_book(json!({ "title": "x" }));
    let path = format!("/books/{id}");
    let old = created.header("etag").expect("a tag").to_owned();
    let send = |method: &str, tag: &str| {
        library()
            .request(method, &path)
            .header("if-match", tag)
            .json(&json!({ "title": "y" }))
            .send()
    };
    let changed = send("PATCH", &old);
    changed.expect(200);
    let now = changed.header("etag").expect("a tag").to_owned();
    for method in ["PATCH", "PUT"] {
        let refused = send(method, &old);
        let problem = refused.problem(412, "precondition_failed");
        let current = now.trim_matches('"');
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|words| words.contains(current))
        );
        send(method, &format!("W/{now}")).problem(412, "precondition_failed");
    }
    let delete = |tag: &str| {
        library()
            .request("DELETE", &path)
            .header("if-match", tag)
            .send()
    };
    delete(&old).problem(412, "precondition_failed");
    assert_eq!(send("PUT", &format!("{old}, {now}")).status, 200);
    assert_eq!(send("PATCH", "*").status, 200);
    delete(&now).problem(412, "precondition_failed");
    assert_eq!(delete("*").status, 204);
    // There is nothing any more that could have any revision.
    assert!([404, 412].contains(&send("PATCH", "*").status));
}

#[test]
fn a_merge_patch_touches_what_it_names() {
    let (id, _) = new_book(json!({
        "title": "x", "pages": 10, "genre": "crime", "format": { "width": 5, "unit": "in" },
        "meta": { "a": 1, "b": { "c": 2, "d": 3 } }, "tags": ["a", "b"],
    }));
    let path = format!("/books/{id}");
    let patch = json!({
        "genre": null, "format": { "width": 6 }, "meta": { "a": null, "b": { "c": 9 }, "e": [] },
        "tags": ["z"],
    });
    let patched = library()
        .request("PATCH", &path)
        .body("application/merge-patch+json", patch.to_string())
        .send();
    let book = patched.expect(200);
    assert_eq!(book["genre"], Json::Null);
    assert_eq!(book["pages"], 10);
    assert_eq!(book["format"], json!({ "width": 6, "unit": "in" }));
    assert_eq!(book["meta"], json!({ "b": { "c": 9, "d": 3 }, "e": [] }));
    assert_eq!(book["tags"], json!(["z"]));
    assert_eq!(
        patched.header("etag"),
        Some(&*format!("\"{}\"", book["_rev"]))
    );
    assert_eq!(library().read("books", &id), book);
    // A required field may not lose its value, and nothing of a refused patch is done.
    library()
        .patch(&path, &json!({ "pages": 11, "title": null }))
        .problem_at(422, "invalid", &["/title"]);
    assert_eq!(library().read("books", &id), book);
}

#[test]
fn operators_change_in_place() {
    let (id, _) = new_book(json!({
        "title": "x", "pages": 10, "sold": 5, "rating": 2.5, "price": "10", "tags": ["a", "b"],
        "scores": [1, 5, 9], "meta": { "n": 1, "list": ["x"] }, "published": "2000-01-01",
    }));
    let path = format!("/books/{id}");
    for (change, field, value) in [
        (json!({ "$set": { "title": "y" } }), "title", json!("y")),
        (
            json!({ "$unset": { "published": true } }),
            "published",
            json!(null),
        ),
        (json!({ "$inc": { "sold": 3 } }), "sold", json!(8)),
        (json!({ "$inc": { "pages": -3 } }), "pages", json!(7)),
        (
            json!({ "$inc": { "price": "0.25" } }),
            "price",
            json!("10.25"),
        ),
        (json!({ "$mul": { "rating": 2 } }), "rating", json!(5.0)),
        (json!({ "$min": { "pages": 5 } }), "pages", json!(5)),
        (json!({ "$min": { "pages": 50 } }), "pages", json!(5)),
        (json!({ "$max": { "pages": 50 } }), "pages", json!(50)),
        (
            json!({ "$push": { "tags": "b" } }),
            "tags",
            json!(["a", "b", "b"]),
        ),
        (
            json!({ "$addToSet": { "tags": { "$each": ["b", "c"] } } }),
            "tags",
            json!(["a", "b", "b", "c"]),
        ),
        (
            json!({ "$pull": { "tags": "b" } }),
            "tags",
            json!(["a", "c"]),
        ),
        (
            json!({ "$pull": { "scores": { "$gt": 4 } } }),
            "scores",
            json!([1]),
        ),
        (
            json!({ "$inc": { "meta.n": 4 } }),
            "meta",
            json!({ "n": 5, "list": ["x"] }),
        ),
        (
            json!({ "$push": { "meta.list": "y" } }),
            "meta",
            json!({ "n": 5, "list": ["x", "y"] }),
        ),
        (
            json!({ "$set": { "meta.o.p": 1 }, "$unset": { "meta.list": true } }),
            "meta",
            json!({ "n": 5, "o": { "p": 1 } }),
        ),
        (
            json!({ "$set": { "format.width": 3, "format.unit": "in" } }),
            "format",
            json!({ "width": 3, "unit": "in" }),
        ),
        (
            json!({ "$set": { "format.width": 4 } }),
            "format",
            json!({ "width": 4, "unit": "in" }),
        ),
    ] {
        let book = library().patch(&path, &change).expect(200);
        assert_eq!(book[field], value, "{change}");
        assert_eq!(library().read("books", &id)[field], value, "{change}");
    }
    let dated = library().patch(&path, &json!({ "$currentDate": { "released_at": true } }));
    let dated = text(&dated.expect(200)["released_at"]);
    let year = 1970
        + SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs()
            / 31_556_952;
    assert!(dated.starts_with(&year.to_string()), "{dated}");
}

#[test]
fn operators_are_held_to_the_limits_of_the_field() {
    let (id, _) = new_book(json!({ "title": "x", "pages": 10, "sold": 5 }));
    let path = format!("/books/{id}");
    let before = library().read("books", &id);
    for (change, place) in [
        (json!({ "$inc": { "sold": -6 } }), "/sold"),
        (json!({ "$inc": { "pages": i32::MAX } }), "/pages"),
        (json!({ "$inc": { "sold": i64::MAX } }), "/sold"),
        (json!({ "$set": { "title": "" } }), "/$set/title"),
        (json!({ "$unset": { "title": true } }), "/title"),
        (json!({ "$inc": { "title": 1 } }), "/$inc/title"),
        (json!({ "$push": { "title": "x" } }), "/$push/title"),
        (json!({ "$set": { "genre": "cookery" } }), "/$set/genre"),
        (json!({ "$set": { "shelf": "x" } }), "/shelf"),
        (json!({ "$set": { "id": "x" } }), "/$set/id"),
        (json!({ "$set": { "_rev": 1 } }), "/$set/_rev"),
        (
            json!({ "$inc": { "sold": 1 }, "$rename": { "title": "name" } }),
            "/$rename",
        ),
    ] {
        let problem = library().patch(&path, &change).problem(422, "invalid");
        let found = text(&problem["errors"][0]["path"]);
        // What only the result shows is said of the field, without the operator.
        assert!(found.ends_with(place), "{change}: {problem}");
        assert_eq!(
            problem["errors"].as_array().map(Vec::len),
            Some(1),
            "{change}: {problem}"
        );
    }
    library()
        .patch(&path, &json!({ "$inc": { "sold": 1 }, "title": "y" }))
        .problem(400, "mixed_patch");
    assert_eq!(library().read("books", &id), before);
}

#[test]
fn put_replaces_everything() {
    let book = json!({ "title": "x", "pages": 10, "state": 2, "meta": { "a": 1 }, "shelf": "s" });
    let (id, _) = new_book(book);
    let path = format!("/books/{id}");
    let before = library().read("books", &id);
    let book = json!({ "title": "y", "sold": 3, "shelf": "s" });
    let book = library().put(&path, &book).expect(200);
    assert_eq!(book["title"], "y");
    assert_eq!(book["sold"], 3);
    for (field, value) in [
        ("pages", json!(null)),
        ("state", json!(0)),
        ("meta", json!(null)),
    ] {
        assert_eq!(book[field], value, "{field}");
    }
    assert_eq!(book["created_at"], before["created_at"]);
    assert!(book["_rev"].as_i64() > before["_rev"].as_i64());
    // What was read can be sent back.
    let again = library().put(&path, &book).expect(200);
    assert_eq!(again["title"], "y");
    library()
        .put(&path, &json!({ "pages": 1 }))
        .problem_at(422, "invalid", &["/title"]);
    // What cannot be changed is said as it is.
    let moved = json!({ "title": "y", "shelf": "another" });
    library()
        .put(&path, &moved)
        .problem_at(422, "invalid", &["/shelf"]);
    library()
        .put(&path, &json!({ "id": fresh_id(), "title": "z" }))
        .problem_at(422, "invalid", &["/id"]);
    let missing = format!("/books/{}", fresh_id());
    library()
        .put(&missing, &json!({ "title": "z" }))
        .problem(404, "not_found");
}

#[test]
fn a_deleted_document_is_gone() {
    let (id, _) = new_book(json!({ "title": "x" }));
    let path = format!("/books/{id}");
    let deleted = library().delete(&path);
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    library().get(&path).problem(404, "not_found");
    library().delete(&path).problem(404, "not_found");
    library()
        .patch(&path, &json!({ "title": "y" }))
        .problem(404, "not_found");
    assert_eq!(library().count("books", &json!({ "id": id })), 0);
    // Whoever remembers a revision of it must not take a successor for it.
    let successor = library().create("books", &json!({ "id": id, "title": "again" }));
    assert_eq!(successor["title"], "again");
}

#[test]
fn a_successor_has_a_later_revision() {
    let (id, created) = new_book(json!({ "title": "x" }));
    library().delete(&format!("/books/{id}")).expect(204);
    let successor = library().create("books", &json!({ "id": id, "title": "y" }));
    assert!(successor["_rev"].as_i64() > created.json()["_rev"].as_i64());
}

#[test]
fn what_is_no_id_is_refused() {
    for id in [
        "17",
        "x",
        "019aa8c45d5e7c3a9f6e1b0f5f2f8f11",
        "..%2Fusers",
        "%00",
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            let answer = library().request(method, &format!("/books/{id}")).send();
            assert_eq!(answer.status, 400, "{method} {id}");
        }
        library()
            .get(&format!("/books/{id}"))
            .problem(400, "invalid_id");
        library()
            .patch(&format!("/books/{id}"), &json!({}))
            .problem(400, "invalid_id");
    }
    let (id, _) = new_book(json!({ "title": "x" }));
    assert_eq!(library().read("books", &id.to_uppercase())["id"], id);
}

#[test]
fn references_must_lead_somewhere() {
    library()
        .post("/books", &json!({ "title": "x", "author_id": fresh_id() }))
        .problem_at(422, "invalid", &["/author_id"]);
}

#[test]
fn passwords_and_hidden_fields_stay_inside() {
    let name = fresh_id();
    let visitor = json!({ "name": name, "password": "correct horse" });
    let created = library().create("visitors", &visitor);
    let id = text(&created["id"]);
    let path = format!("/visitors/{id}");
    // A password that is not sent again stays, so that PUT need not know it.
    let replaced = library()
        .put(&path, &json!({ "name": name, "nickname": "n" }))
        .expect(200);
    let listed = library().list("visitors", &[("filter[name]", &name)]);
    for seen in [
        &created,
        &replaced,
        &library().read("visitors", &id),
        &listed["data"][0],
    ] {
        let words = seen.to_string();
        assert!(
            !words.contains("password") && !words.contains("argon2"),
            "{words}"
        );
    }
    for asked in [
        "/visitors?fields=password",
        "/visitors?sort=password_hash",
        "/visitors?filter[password]=x",
    ] {
        assert_eq!(library().get(asked).status, 400, "{asked}");
    }
    library()
        .post(
            "/visitors",
            &json!({ "name": fresh_id(), "password": "short" }),
        )
        .problem_at(422, "invalid", &["/password"]);
    library()
        .patch(&path, &json!({ "password_hash": "$argon2id$" }))
        .problem_at(422, "invalid", &["/password_hash"]);
    library()
        .post("/books", &json!({ "title": "x", "secret": "mine" }))
        .problem_at(422, "invalid", &["/secret"]);
}

#[test]
fn an_append_only_collection_keeps_what_it_has() {
    let id = library().create_id("journal", &json!({ "words": "first" }));
    let path = format!("/journal/{id}");
    for method in ["PATCH", "PUT", "DELETE"] {
        let answer = library()
            .request(method, &path)
            .json(&json!({ "words": "x" }))
            .send();
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    library()
        .delete("/journal?all=true")
        .problem(405, "method_not_allowed");
    let update = json!([{ "update": { "id": id, "change": { "words": "x" } } }]);
    let results = library().post("/journal/bulk", &update).expect(200);
    assert_eq!(results["results"][0]["status"], 403);
    assert_eq!(library().read("journal", &id)["words"], "first");
}

#[test]
fn a_change_that_changes_nothing_is_still_answered() {
    let (id, created) = new_book(json!({ "title": "x" }));
    let same = library().patch(&format!("/books/{id}"), &json!({}));
    assert_eq!(same.expect(200)["title"], "x");
    assert_eq!(created.json()["created_at"], same.json()["created_at"]);
}
