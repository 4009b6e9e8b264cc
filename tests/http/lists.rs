//! `GET /c`, `POST /c/query` and `GET /c/count`: finding documents.

use serde_json::{Value as Json, json};

use crate::{
    fresh_id, fresh_shelf, library,
    server::{encode, text},
    texts,
};

/// Five books on a shelf of their own, named `a` to `e`.
struct Shelf(String);

impl Shelf {
    fn new() -> Self {
        let shelf = fresh_shelf();
        for book in [
            json!({
                "title": "a", "genre": "crime", "state": "published", "pages": 100, "sold": 5,
                "rating": 4.5, "price": "9.90", "published": "1999-12-31",
                "released_at": "2000-01-01T00:30:00+01:00", "reading_time": "PT90M",
                "tags": ["old", "Gold"], "scores": [1, 9],
                "format": { "width": 12 }, "meta": { "count": 5, "hashtags": ["rust", "sql"] },
            }),
            json!({
                "title": "b", "genre": "poetry", "state": "draft", "pages": 200,
                "sold": "9007199254740993", "rating": 3.0, "price": "19.9",
                "published": "2000-01-01", "released_at": "2000-01-01T00:00:00.001Z",
                "reading_time": "P1D", "tags": ["new"], "scores": [6], "available": false,
                "format": { "width": 20, "unit": "in" },
                "meta": { "count": "5", "mentions": [{ "id": 7, "role": "author" }, { "id": 8 }] },
            }),
            json!({ "title": "c", "genre": "crime", "state": 2, "pages": 300, "tags": [], "scores": [] }),
            json!({ "title": "d", "meta": { "count": 5.0, "deep": { "er": true } } }),
            json!({ "title": "é_100%", "genre": "travel", "pages": 100, "price": 9.9 }),
        ] {
            let mut book = book;
            book["shelf"] = json!(shelf);
            library().create("books", &book);
        }
        Self(shelf)
    }

    /// The titles of those that match, by title.
    #[track_caller]
    fn find(&self, filter: Json) -> String {
        let whole = json!({ "$and": [{ "shelf": self.0 }, filter] });
        let query = [("filter", &*whole.to_string()), ("sort", "title")];
        let found = texts(&library().list("books", &query), "title").join(" ");
        assert_eq!(
            library().count("books", &whole),
            found.split_whitespace().count() as u64,
            "the count of {filter}"
        );
        found
    }

    /// The same with a filter in brackets.
    #[track_caller]
    fn brackets(&self, query: &[(&str, &str)]) -> String {
        let mut whole = vec![("filter[shelf]", &*self.0), ("sort", "title")];
        whole.extend(query);
        texts(&library().list("books", &whole), "title").join(" ")
    }
}

#[test]
fn every_operator_finds_what_it_says() {
    let shelf = Shelf::new();
    for (filter, found) in [
        (json!({}), "a b c d é_100%"),
        (json!({ "genre": "crime" }), "a c"),
        (json!({ "genre": { "$eq": "crime" } }), "a c"),
        (json!({ "genre": null }), "d"),
        (json!({ "genre": { "$ne": "crime" } }), "b d é_100%"),
        (json!({ "pages": { "$gt": 100 } }), "b c"),
        (
            json!({ "pages": { "$gte": 100, "$lt": 300 } }),
            "a b é_100%",
        ),
        (json!({ "pages": { "$lte": 100 } }), "a é_100%"),
        (
            json!({ "genre": { "$in": ["poetry", "travel"] } }),
            "b é_100%",
        ),
        (json!({ "genre": { "$in": ["poetry", null] } }), "b d"),
        (json!({ "genre": { "$in": [] } }), ""),
        (
            json!({ "genre": { "$nin": ["poetry", "travel"] } }),
            "a c d",
        ),
        (json!({ "genre": { "$nin": [] } }), "a b c d é_100%"),
        (json!({ "price": { "$exists": true } }), "a b é_100%"),
        (json!({ "price": { "$exists": false } }), "c d"),
        (json!({ "tags": { "$all": ["Gold", "old"] } }), "a"),
        (json!({ "tags": { "$all": [] } }), ""),
        (json!({ "tags": { "$size": 0 } }), "c"),
        (json!({ "tags": { "$size": 2 } }), "a"),
        (json!({ "tags": "new" }), "b"),
        (json!({ "tags": ["old", "Gold"] }), "a"),
        (json!({ "tags": ["Gold", "old"] }), ""),
        (json!({ "tags": { "$ne": "new" } }), "a c d é_100%"),
        (json!({ "tags": null }), "d é_100%"),
        (json!({ "scores": { "$gt": 5, "$lt": 8 } }), "a b"),
        (
            json!({ "scores": { "$elemMatch": { "$gt": 5, "$lt": 8 } } }),
            "b",
        ),
        (json!({ "title": { "$startsWith": "é" } }), "é_100%"),
        (json!({ "title": { "$contains": "_" } }), "é_100%"),
        (json!({ "title": { "$contains": "0%" } }), "é_100%"),
        (json!({ "title": { "$contains": "1%0" } }), ""),
        (json!({ "title": { "$icontains": "É" } }), ""),
        (json!({ "title": { "$istartsWith": "B" } }), "b"),
        (json!({ "title": { "$icontains": "D" } }), "d"),
        (json!({ "tags": { "$istartsWith": "GO" } }), "a"),
        (json!({ "tags": { "$startsWith": "go" } }), ""),
        (json!({ "pages": { "$not": { "$gt": 100 } } }), "a d é_100%"),
        (
            json!({ "$not": { "genre": "crime", "pages": 100 } }),
            "b c d é_100%",
        ),
        (
            json!({ "$or": [{ "genre": "poetry" }, { "pages": 300 }] }),
            "b c",
        ),
        (
            json!({ "$and": [{ "genre": "crime" }, { "pages": 300 }] }),
            "c",
        ),
        (
            json!({ "$nor": [{ "genre": "crime" }, { "pages": 100 }] }),
            "b d",
        ),
    ] {
        assert_eq!(shelf.find(filter.clone()), found, "{filter}");
    }
}

#[test]
fn operands_are_read_as_the_type_reads_its_input() {
    let shelf = Shelf::new();
    for (filter, found) in [
        (json!({ "state": "published" }), "a"),
        (json!({ "state": { "$in": ["draft", 2] } }), "b c d é_100%"),
        (json!({ "price": { "$lte": "9.900" } }), "a é_100%"),
        (json!({ "price": 19.9 }), "b"),
        (json!({ "sold": { "$gte": "9007199254740993" } }), "b"),
        (json!({ "sold": { "$gt": "9007199254740993" } }), ""),
        (json!({ "published": { "$lt": "2000-01-01" } }), "a"),
        (
            json!({ "released_at": { "$lt": "2000-01-01T01:00:00+01:00" } }),
            "a",
        ),
        (json!({ "released_at": "1999-12-31T23:30:00.000Z" }), "a"),
        (json!({ "reading_time": "PT1H30M" }), "a"),
        (json!({ "reading_time": { "$gte": "PT24H" } }), "b"),
        (json!({ "available": false }), "b"),
        (json!({ "rating": { "$gte": 3, "$lt": 4.5 } }), "b"),
        (json!({ "format.width": { "$gt": 12 } }), "b"),
        (json!({ "format.unit": "cm" }), "a"),
        (json!({ "format": null }), "c d é_100%"),
        (json!({ "meta.count": 5 }), "a d"),
        (json!({ "meta.count": "5" }), "b"),
        (json!({ "meta.count": { "$gte": 5 } }), "a d"),
        (json!({ "meta.hashtags": "rust" }), "a"),
        (json!({ "meta.deep.er": true }), "d"),
        (json!({ "meta.mentions.id": 7 }), ""),
        (
            json!({ "meta.mentions": { "$elemMatch": { "id": 7, "role": "author" } } }),
            "b",
        ),
        (
            json!({ "meta.mentions": { "$elemMatch": { "id": 8, "role": "author" } } }),
            "",
        ),
        (json!({ "meta.mentions": { "$size": 2 } }), "b"),
    ] {
        assert_eq!(shelf.find(filter.clone()), found, "{filter}");
    }
}

#[test]
fn filters_can_be_spelled_out_in_brackets() {
    let shelf = Shelf::new();
    for (query, found) in [
        (&[][..], "a b c d é_100%"),
        (&[("filter[genre]", "crime")], "a c"),
        (
            &[
                ("filter[pages][$gte]", "200"),
                ("filter[pages][$lt]", "300"),
            ],
            "b",
        ),
        (&[("filter[genre][$in]", "poetry,travel")], "b é_100%"),
        (
            &[
                ("filter[genre][$in][]", "poetry"),
                ("filter[genre][$in][]", "travel"),
            ],
            "b é_100%",
        ),
        (
            &[
                ("filter[genre][$nin]", "poetry,travel"),
                ("filter[genre][$exists]", "true"),
            ],
            "a c",
        ),
        (&[("filter[price][$exists]", "false")], "c d"),
        (&[("filter[available]", "false")], "b"),
        (&[("filter[published][$gt]", "1999-12-31")], "b"),
        (&[("filter[state]", "published")], "a"),
        (&[("filter[format.width]", "12")], "a"),
        (&[("filter[meta.count]", "5")], "a d"),
        (&[("filter[meta.count]", "\"5\"")], "b"),
        (&[("filter[tags][$size]", "2")], "a"),
        (&[("filter[title][$icontains]", "100%")], "é_100%"),
        (&[("filter[pages][$not][$gt]", "100")], "a d é_100%"),
    ] {
        assert_eq!(shelf.brackets(query), found, "{query:?}");
    }
    let counted = library()
        .request("GET", "/books/count")
        .query(&[("filter[shelf]", &shelf.0), ("filter[genre]", "crime")])
        .send();
    assert_eq!(counted.expect(200), json!({ "count": 2 }));
}

#[test]
fn nulls_come_first_ascending_and_last_descending() {
    let shelf = Shelf::new();
    let filter = json!({ "shelf": shelf.0 }).to_string();
    for (sort, titles) in [
        ("pages,title", "d a é_100% b c"),
        ("-pages,title", "c b a é_100% d"),
        ("genre,-title", "d c a b é_100%"),
        ("price,title", "c d a é_100% b"),
        ("-rating,-title", "a b é_100% d c"),
        ("sold,title", "c d é_100% a b"),
        ("-title", "é_100% d c b a"),
    ] {
        let list = library().list("books", &[("filter", &filter), ("sort", sort)]);
        assert_eq!(texts(&list, "title").join(" "), titles, "{sort}");
    }
    // Without a sort the newest come first; the id breaks ties.
    let list = library().list("books", &[("filter", &filter)]);
    let documents = list["data"].as_array().expect("documents");
    let order: Vec<_> = documents
        .iter()
        .map(|book| (text(&book["created_at"]), text(&book["id"])))
        .collect();
    assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
}

#[test]
fn a_walk_by_cursor_meets_every_document_once() {
    let shelf = fresh_shelf();
    let operations: Vec<Json> = (0..57)
        .map(|n| {
            // Many ties, and some without a value.
            let pages = (n % 4 > 0).then_some(n % 4);
            json!({ "create": { "title": format!("{n}"), "shelf": shelf, "pages": pages } })
        })
        .collect();
    library()
        .post("/books/bulk", &json!(operations))
        .expect(200);
    let filter = json!({ "shelf": shelf }).to_string();
    let whole = |sort: &str| {
        let query = [("filter", &*filter), ("sort", sort), ("limit", "200")];
        let list = library().list("books", &query);
        assert_eq!(list["next_cursor"], Json::Null);
        ids(&list)
    };
    for sort in [
        "pages",
        "-pages",
        "genre",
        "pages,-title",
        "-created_at",
        "-_rev",
        "id",
    ] {
        let expected = whole(sort);
        assert_eq!(expected.len(), 57);
        for limit in ["1", "5", "19", "57"] {
            let mut found = Vec::new();
            let mut cursor = String::new();
            let mut requests = 0;
            loop {
                let mut query = vec![("filter", &*filter), ("sort", sort), ("limit", limit)];
                if !cursor.is_empty() {
                    query.push(("cursor", &cursor));
                }
                let list = library().list("books", &query);
                found.extend(ids(&list));
                requests += 1;
                match &list["next_cursor"] {
                    Json::Null => break,
                    next => cursor = text(next),
                }
            }
            assert_eq!(found, expected, "{sort} by {limit}");
            assert_eq!(
                requests,
                57_usize.div_ceil(limit.parse().unwrap()),
                "{sort} by {limit}"
            );
        }
    }
    let ascending = whole("pages");
    let mut descending = whole("-pages");
    descending.reverse();
    assert_eq!(
        ascending, descending,
        "the id breaks ties in the direction of the last key"
    );
}

#[test]
fn a_walk_is_not_shifted_by_what_comes_and_goes_elsewhere() {
    let shelf = fresh_shelf();
    let create =
        |title: &str| library().create_id("books", &json!({ "title": title, "shelf": shelf }));
    let early: Vec<String> = ["b", "d", "f", "h"].map(create).into();
    let filter = json!({ "shelf": shelf }).to_string();
    let query = [("filter", &*filter), ("sort", "title"), ("limit", "2")];
    let first = library().list("books", &query);
    assert_eq!(texts(&first, "title"), ["b", "d"]);
    create("a");
    create("g");
    // Even the document that the cursor stands on may go.
    library()
        .delete(&format!("/books/{}", early[1]))
        .expect(204);
    let cursor = text(&first["next_cursor"]);
    // What is shown, and how much of it, may change on the way.
    let second = library().list(
        "books",
        &[
            ("filter", &filter),
            ("sort", "title"),
            ("limit", "10"),
            ("fields", "title"),
            ("cursor", &cursor),
        ],
    );
    assert_eq!(texts(&second, "title"), ["f", "g", "h"]);
    assert_eq!(second["next_cursor"], Json::Null);
}

#[test]
fn pages_say_how_many_there_are() {
    let shelf = Shelf::new();
    let filter = json!({ "shelf": shelf.0 }).to_string();
    let page = |number, size| {
        let query = [
            ("filter", &*filter),
            ("sort", "title"),
            ("page", number),
            ("page_size", size),
        ];
        library().list("books", &query)
    };
    let first = page("1", "2");
    assert_eq!(texts(&first, "title"), ["a", "b"]);
    assert_eq!(
        [
            &first["total"],
            &first["page"],
            &first["page_size"],
            &first["total_pages"]
        ],
        [5, 1, 2, 3]
    );
    assert!(first.get("next_cursor").is_none());
    assert_eq!(texts(&page("3", "2"), "title"), ["é_100%"]);
    assert_eq!(texts(&page("4", "2"), "title").len(), 0);
    assert_eq!(page("4", "2")["total"], 5);
    let usual = library().list("books", &[("filter", &filter), ("page", "1")]);
    assert_eq!(
        (&usual["page_size"], &usual["total_pages"]),
        (&json!(20), &json!(1))
    );
    let none = json!({ "shelf": shelf.0, "title": "z" }).to_string();
    let none = library().list("books", &[("filter", &none), ("page_size", "7")]);
    assert_eq!(none["data"], json!([]));
    assert_eq!(
        (&none["total"], &none["total_pages"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn a_list_has_20_documents_unless_said_and_200_at_most() {
    let shelf = fresh_shelf();
    let operations: Vec<Json> = (0..201)
        .map(|n| json!({ "create": { "title": format!("{n}"), "shelf": shelf } }))
        .collect();
    library()
        .post("/books/bulk", &json!(operations))
        .expect(200);
    let filter = json!({ "shelf": shelf }).to_string();
    let list = library().list("books", &[("filter", &filter)]);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(20));
    assert!(list["next_cursor"].is_string());
    let list = library().list("books", &[("filter", &filter), ("limit", "200")]);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(200));
    for (name, value) in [
        ("limit", "201"),
        ("limit", "0"),
        ("page_size", "201"),
        ("page", "0"),
    ] {
        let answer = library().get(&format!("/books?{name}={value}"));
        answer.problem_at(400, "invalid_parameter", &[&format!("/{name}")]);
    }
}

#[test]
fn only_the_fields_asked_for_are_sent() {
    let shelf = Shelf::new();
    let filter = json!({ "shelf": shelf.0, "title": "a" }).to_string();
    let list = library().list("books", &[("filter", &filter), ("fields", "pages,title")]);
    let book = list["data"][0].as_object().expect("a document");
    let mut keys: Vec<&String> = book.keys().collect();
    keys.sort();
    assert_eq!(keys, ["id", "pages", "title"]);
    let id = text(&list["data"][0]["id"]);
    let alone = library().get(&format!("/books/{id}?fields=title"));
    assert_eq!(alone.expect(200), json!({ "id": id, "title": "a" }));
    assert_eq!(alone.header("etag"), None, "it is not the bare document");
    let whole = library().read("books", &id);
    for never in ["secret", "note_to_staff"] {
        assert!(whole.get(never).is_none(), "{never} is never sent");
        library().get(&format!("/books?fields={never}")).problem_at(
            400,
            "invalid_fields",
            &["/fields"],
        );
        library()
            .get(&format!("/books?sort={never}"))
            .problem(400, "invalid_sort");
        library()
            .get(&format!("/books?filter[{never}]=hush"))
            .problem_at(400, "invalid_filter", &[&format!("/{never}")]);
    }
}

#[test]
fn a_body_can_hold_the_question() {
    let shelf = Shelf::new();
    let filter = json!({ "shelf": shelf.0, "pages": { "$gte": 100 } });
    let by_url = library().list(
        "books",
        &[
            ("filter", &filter.to_string()),
            ("sort", "-pages,title"),
            ("limit", "2"),
            ("fields", "title"),
        ],
    );
    for (sort, fields) in [
        (json!("-pages,title"), json!("title")),
        (json!(["-pages", "title"]), json!(["title"])),
    ] {
        let question = json!({ "filter": filter, "sort": sort, "limit": 2, "fields": fields });
        let mut answer = library().post("/books/query", &question);
        assert_eq!(answer.expect(200), by_url);
        let mut more = question;
        more["cursor"] = by_url["next_cursor"].clone();
        answer = library().post("/books/query", &more);
        assert_eq!(texts(&answer.expect(200), "title"), ["a", "é_100%"]);
    }
    let page = json!({ "filter": filter, "page": 2, "page_size": 3, "sort": "title" });
    let page = library().post("/books/query", &page).expect(200);
    assert_eq!(texts(&page, "title"), ["é_100%"]);
    assert_eq!(page["total"], 4);
    let one_moment = json!({ "filter": filter, "consistent": true });
    library().post("/books/query", &one_moment).expect(200);
    library()
        .post("/books/query", &json!({ "filter": { "nope": 1 } }))
        .problem_at(400, "invalid_filter", &["/filter/nope"]);
    library().post("/books/query", &json!({})).expect(200);
}

#[test]
fn ids_that_are_named_twice_come_once() {
    let id = library().create_id("books", &json!({ "title": "a", "shelf": fresh_shelf() }));
    let filter = json!({ "id": { "$in": [id, id] } }).to_string();
    // The second time it may come from the cache.
    for _ in 0..2 {
        let list = library().list("books", &[("filter", &*filter)]);
        assert_eq!(ids(&list), [&*id]);
    }
}

#[test]
fn an_empty_list_is_no_mistake() {
    let filter = json!({ "id": fresh_id() }).to_string();
    let answer = library().get(&format!("/books?filter={}", encode(&filter)));
    assert_eq!(
        answer.expect(200),
        json!({ "data": [], "next_cursor": null })
    );
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("x-nubo-tier"), Some("truth"));
}

fn ids(list: &Json) -> Vec<String> {
    texts(list, "id").into_iter().map(str::to_owned).collect()
}
