//! What must not get in: each request gets a problem document that says what is wrong and where,
//! nothing of it is stored, and the server goes on.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use crate::{
    fresh_id, fresh_shelf, library,
    server::{Answer, encode, text},
    texts,
};

fn post(body: impl Into<Vec<u8>>) -> Answer {
    library()
        .request("POST", "/books")
        .body("application/json", body)
        .send()
}

fn filtered(filter: &str) -> Answer {
    library().get(&format!("/books?filter={}", encode(filter)))
}

#[test]
fn bodies_that_are_no_json() {
    for (body, code) in [
        (&b"{\"title\": \"x\""[..], "malformed_json"),
        (b"{title: 1}", "malformed_json"),
        (b"{\"title\": \"x\",}", "malformed_json"),
        (b"{\"title\": 'x'}", "malformed_json"),
        (b"{\"title\": NaN}", "malformed_json"),
        (b"{\"pages\": 1e999}", "malformed_json"),
        (b"{\"pages\": 01}", "malformed_json"),
        (b"{} {}", "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"{\"title\": \"\xff\"}", "malformed_json"),
        (b"{\"title\": \"\\ud800\"}", "malformed_json"),
        (b"{\"title\": \"a\nb\"}", "malformed_json"),
        (b"{\"title\": \"x\", \"title\": \"y\"}", "duplicate_key"),
        (
            b"{\"title\": \"x\", \"meta\": {\"a\": 1, \"a\": 2}}",
            "duplicate_key",
        ),
        (b"   ", "malformed_json"),
    ] {
        let problem = post(body).problem(400, code);
        assert!(problem.get("errors").is_none(), "{problem}");
    }
    post("").problem(400, "empty_body");
    for body in ["[]", "7", "\"text\"", "null", "true"] {
        post(body).problem_at(422, "invalid", &[""]);
    }
}

#[test]
fn deep_nesting_has_an_end() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"title\":\"x\",\"meta\":{open}{close}}}")
    };
    post(nested(60)).expect(201);
    for depth in [64, 65, 1000, 100_000] {
        let answer = post(nested(depth));
        assert!(
            [400, 422].contains(&answer.status),
            "{depth}: {}",
            answer.text()
        );
        let code = text(&answer.json()["code"]);
        answer.problem(answer.status, &code);
    }
    let deep = |depth: usize| {
        format!(
            "{}{{\"pages\":1}}{}",
            "{\"$not\":".repeat(depth),
            "}".repeat(depth)
        )
    };
    filtered(&deep(5)).expect(200);
    filtered(&deep(20)).problem(400, "invalid_filter");
    let question = format!("{{\"filter\":{}}}", deep(500));
    let answer = library()
        .request("POST", "/books/query")
        .body("application/json", question)
        .send();
    assert_eq!(answer.status, 400);
    let brackets = format!("/books?filter{}=1", "[a]".repeat(500));
    library().get(&brackets).problem(400, "invalid_filter");
    let wide: Vec<Json> = (0..300).map(|n| json!({ "pages": n })).collect();
    filtered(&json!({ "$or": wide }).to_string()).problem(400, "invalid_filter");
    let long: Vec<u32> = (0..1001).collect();
    let question = json!({ "filter": { "pages": { "$in": long } } });
    library().post("/books/query", &question).problem_at(
        400,
        "invalid_filter",
        &["/filter/pages/$in"],
    );
}

#[test]
fn values_that_are_none_of_the_type() {
    for (field, values) in [
        (
            "title",
            json!([1, true, [], {}, "", "x".repeat(201), "a\0b"]),
        ),
        ("pages", json!([1.5, "12", true, 0, 2_147_483_648_u64, [1]])),
        ("sold", json!(["9223372036854775808", "1.5", "", -1, 1e30])),
        ("rating", json!(["4", true, []])),
        (
            "price",
            json!([
                "abc",
                -0.01,
                "1e400",
                [],
                "0x10",
                "12345678901234567890123456789012"
            ]),
        ),
        ("available", json!(["true", 1, 0])),
        (
            "published",
            json!([
                "2026-02-29",
                "2026-13-01",
                "1.1.2026",
                "0000-01-01",
                20260101,
                "2026-1-1"
            ]),
        ),
        (
            "released_at",
            json!([
                "2026-02-30T00:00:00Z",
                "2026-01-01T25:00:00Z",
                "2026-01-01",
                "now",
                0,
                "2026-01-01T00:00:00"
            ]),
        ),
        ("reading_time", json!(["P1M", "P1Y", "1h", "P", "PT", 5])),
        (
            "code",
            json!(["17", 17, "019aa8c45d5e7c3a9f6e1b0f5f2f8f11"]),
        ),
        (
            "site",
            json!(["example.org", "javascript:alert(1)", "//x", "http://", 1]),
        ),
        (
            "address",
            json!(["256.0.0.1", "10.0.0.0/8", "::1::", "localhost", 1]),
        ),
        ("cover", json!(["AA=", "####", 1])),
        ("genre", json!(["Crime", 1, ""])),
        ("state", json!(["Draft", 7, 1.5, -1])),
        ("tags", json!(["a", [1], [null], { "a": 1 }])),
        ("scores", json!([["1"], [1.5], [[1]]])),
        ("isbn", json!(["x", "1 2"])),
        (
            "format",
            json!([[], "x", { "width": "1" }, { "unit": "mm" }, { "depth": 1 }]),
        ),
        ("id", json!(["17", 17, [], {}])),
        ("author_id", json!(["x", 1, fresh_id()])),
    ] {
        for value in values.as_array().expect("values") {
            let mut book = json!({ "title": "x", "shelf": "bad values" });
            book[field] = value.clone();
            let problem = library().post("/books", &book).problem(422, "invalid");
            let path = text(&problem["errors"][0]["path"]);
            let place = format!("/{field}");
            assert!(
                path == place || path.starts_with(&format!("{place}/")),
                "{book}: {problem}"
            );
        }
    }
    assert_eq!(
        library().count("books", &json!({ "shelf": "bad values" })),
        0
    );
    for name in [
        "_rev",
        "created_at",
        "updated_at",
        "nope",
        "Title",
        "title ",
        "$set",
        "a.b",
        "",
    ] {
        let book = json!({ "title": "x", name: 1 });
        let place = format!("/{name}");
        library()
            .post("/books", &book)
            .problem_at(422, "invalid", &[&place]);
    }
    // The pointer escapes what it is made of (RFC 6901).
    let book = json!({ "title": "x", "a/b~c": 1 });
    library()
        .post("/books", &book)
        .problem_at(422, "invalid", &["/a~1b~0c"]);
}

#[test]
fn filters_that_make_no_sense() {
    for (filter, place) in [
        (json!({ "nope": 1 }), "/nope"),
        (json!({ "titel": "x" }), "/titel"),
        (json!({ "secret": "hush" }), "/secret"),
        (json!({ "title": { "$regex": ".*" } }), "/title/$regex"),
        (json!({ "$where": "1" }), "/$where"),
        (json!({ "title": { "$gt": 5 } }), "/title/$gt"),
        (json!({ "title": { "$gt": null } }), "/title/$gt"),
        (json!({ "title": {} }), "/title"),
        (json!({ "title": { "x": 1 } }), "/title/x"),
        (json!({ "title.x": 1 }), "/title.x"),
        (json!({ "title": { "$not": "x" } }), "/title/$not"),
        (json!({ "pages": { "$in": 5 } }), "/pages/$in"),
        (json!({ "pages": { "$in": [1, "x"] } }), "/pages/$in/1"),
        (json!({ "pages": { "$exists": "yes" } }), "/pages/$exists"),
        (json!({ "pages": { "$contains": "1" } }), "/pages/$contains"),
        (json!({ "tags": { "$size": -1 } }), "/tags/$size"),
        (json!({ "format": { "width": 1 } }), "/format/width"),
        (json!({ "format.depth": 1 }), "/format.depth"),
        (json!({ "meta.a": { "b": 1 } }), "/meta.a/b"),
        (json!({ "meta.$x": 1 }), "/meta.$x"),
        (json!({ "meta..x": 1 }), "/meta..x"),
        (json!({ "meta.a\"b": 1 }), "/meta.a\"b"),
        (
            json!({ "published": { "$lt": "2026-02-30" } }),
            "/published/$lt",
        ),
        (json!({ "released_at": "yesterday" }), "/released_at"),
        (json!({ "id": "17" }), "/id"),
        (json!({ "$or": [] }), "/$or"),
        (json!({ "$or": { "a": 1 } }), "/$or"),
        (json!({ "$and": [{ "title": "x" }, 7] }), "/$and/1"),
        (
            json!({ "title": { "$select": "users.id" } }),
            "/title/$select",
        ),
        (
            json!({ "title": { "$in": { "$select": "authors.name" } } }),
            "/title/$in",
        ),
    ] {
        filtered(&filter.to_string()).problem_at(400, "invalid_filter", &[place]);
        let question = json!({ "filter": filter });
        let nested = format!("/filter{place}");
        library()
            .post("/books/query", &question)
            .problem_at(400, "invalid_filter", &[&nested]);
        let path = format!("/books?filter={}", encode(&filter.to_string()));
        library()
            .delete(&path)
            .problem_at(400, "invalid_filter", &[place]);
        library()
            .patch(&path, &json!({}))
            .problem_at(400, "invalid_filter", &[place]);
        let path = path.replace("/books", "/books/count");
        library()
            .get(&path)
            .problem_at(400, "invalid_filter", &[place]);
    }
    for broken in ["{", "x", "{\"title\":1,\"title\":2}", ""] {
        filtered(broken).problem(400, "invalid_filter");
    }
    for not_an_object in ["7", "[]", "null", "\"x\""] {
        filtered(not_an_object).problem_at(400, "invalid_filter", &[""]);
    }
    for query in [
        "filter[title=1",
        "filter[]=1",
        "filter[title]x=1",
        "filter[title]=1&filter[title]=2",
        "filter[title]=1&filter[title][$ne]=2",
        "filter[[title]]=1",
        "filter={}&filter[title]=1",
        "filter[nope]=1",
        "filter[pages]=x",
        "filter[pages][$or]=1",
    ] {
        let path = format!("/books?{}", query.replace('{', "%7B").replace('}', "%7D"));
        library().get(&path).problem(400, "invalid_filter");
    }
}

#[test]
fn parameters_that_are_unknown_or_stand_twice() {
    let id = fresh_id();
    for (method, path, places) in [
        ("GET", "/books?limt=1&_sort=x", &["/limt", "/_sort"][..]),
        ("GET", "/books?limit=1&limit=2", &["/limit"]),
        ("GET", "/books?Limit=1", &["/Limit"]),
        ("GET", "/books?=1", &["/"]),
        ("GET", "/books/count?sort=title", &["/sort"]),
        ("GET", &format!("/books/{id}?filter=x"), &["/filter"]),
        ("POST", "/books?fields=title", &["/fields"]),
        ("POST", "/books/query?limit=1", &["/limit"]),
        ("POST", "/books/bulk?order=true", &["/order"]),
        ("POST", "/batch?x", &["/x"]),
        ("PATCH", &format!("/books/{id}?upsert=true"), &["/upsert"]),
        ("PATCH", "/books?limit=1", &["/limit"]),
        ("DELETE", &format!("/books/{id}?force=1"), &["/force"]),
    ] {
        let answer = library().request(method, path).json(&json!({})).send();
        let code = if path.contains("limit=2") {
            "duplicate_parameter"
        } else {
            "unknown_parameter"
        };
        answer.problem_at(400, code, places);
    }
    for path in [
        "/books?limit=-1",
        "/books?limit=x",
        "/books?limit=",
        "/books?limit=1.5",
        "/books?limit=1e2",
        "/books?limit=99999999999999999999",
        "/books?page=99999999999999999999",
        "/books?page=x",
        "/books?consistent=yes",
        "/books?consistent=true&page=1",
    ] {
        library().get(path).problem(400, "invalid_parameter");
    }
    for path in ["/books?page=1&limit=5", "/books?page_size=5&cursor=x"] {
        library().get(path).problem(400, "contradicting_parameters");
    }
    library()
        .get("/books?page=4294967295&page_size=200")
        .expect(200);
    for question in [
        json!({ "limit": "5" }),
        json!({ "limit": -1 }),
        json!({ "sort": 5 }),
        json!({ "sort": [5] }),
    ] {
        library()
            .post("/books/query", &question)
            .problem(400, "invalid_parameter");
    }
    library()
        .post("/books/query", &json!({ "limt": 5 }))
        .problem_at(400, "unknown_parameter", &["/limt"]);
    library()
        .post("/books/query", &json!([]))
        .problem(400, "invalid_query");
    for sort in [
        "nope",
        "-",
        "title,,id",
        "tags",
        "meta",
        "meta.a",
        "format.width",
        "--title",
        "title,title",
        "",
    ] {
        let path = format!("/books?sort={sort}");
        library().get(&path).problem(400, "invalid_sort");
    }
    library().get("/books?sort=nope,title,-tags").problem_at(
        400,
        "invalid_sort",
        &["/sort", "/sort"],
    );
    library().get("/books?fields=nope,title,").problem_at(
        400,
        "invalid_fields",
        &["/fields", "/fields"],
    );
}

#[test]
fn cursors_that_are_broken_or_of_another_list() {
    let shelf = fresh_shelf();
    for title in ["a", "b", "c"] {
        library().create("books", &json!({ "title": title, "shelf": shelf }));
    }
    let path = format!("/books?filter[shelf]={shelf}&sort=title&limit=1");
    let cursor = text(&library().get(&path).expect(200)["next_cursor"]);
    let list = library()
        .get(&format!("{path}&cursor={cursor}"))
        .expect(200);
    assert_eq!(texts(&list, "title"), ["b"]);
    for other in [
        format!("/books?filter[shelf]={shelf}&sort=-title"),
        format!("/books?filter[shelf]={shelf}&sort=title,pages"),
        format!("/books?filter[shelf]={shelf}"),
        "/books?filter[shelf]=other&sort=title".to_owned(),
        "/books?sort=title".to_owned(),
        "/authors?sort=name".to_owned(),
    ] {
        let join = if other.contains('?') { '&' } else { '?' };
        library()
            .get(&format!("{other}{join}cursor={cursor}"))
            .problem(400, "cursor_mismatch");
    }
    let halved = &cursor[..cursor.len() / 2];
    for broken in [
        "",
        "x",
        "%00",
        "..",
        halved,
        "bnVsbA",
        "W10",
        "WzEsWzFdXQ",
        "WzEsMl0",
        &"A".repeat(5000),
    ] {
        let answer = library().get(&format!("{path}&cursor={broken}"));
        assert_eq!(answer.status, 400, "{broken}");
        let code = text(&answer.json()["code"]);
        assert!(
            ["invalid_cursor", "cursor_mismatch"].contains(&&*code),
            "{broken}: {code}"
        );
        answer.problem(400, &code);
    }
}

#[test]
fn injections_are_only_words() {
    let shelf = fresh_shelf();
    let words = [
        "'; DROP TABLE books; --",
        "\" OR \"\"=\"",
        "1) OR (1=1",
        "%",
        "_",
        "\\",
        "\\'",
        "$auth.id",
        "$now",
        "{\"$gt\":\"\"}",
        "*",
        "[a-z]",
        "x' || (SELECT secret FROM books) || '",
        "?1",
        ":id",
        "\u{202e}\u{feff}",
        "<script>",
        "../../etc/passwd",
        "\r\nX-Injected: 1",
    ];
    for word in words {
        let book = json!({ "title": word, "shelf": shelf, "meta": { "k": word }, "tags": [word] });
        let book = library().create("books", &book);
        assert_eq!(book["title"], word);
        for filter in [
            json!({ "shelf": shelf, "title": word }),
            json!({ "shelf": shelf, "title": { "$contains": word } }),
            json!({ "shelf": shelf, "title": { "$startsWith": word } }),
            json!({ "shelf": shelf, "tags": { "$in": [word] } }),
            json!({ "shelf": shelf, "meta.k": word }),
        ] {
            let list = filtered(&filter.to_string()).expect(200);
            assert!(texts(&list, "title").contains(&word), "{filter}");
            let exact = !filter["title"].is_object();
            assert!(
                !exact || texts(&list, "title") == [word],
                "{filter}: {list}"
            );
        }
        let encoded = encode(word);
        for path in [
            format!("/books?sort={encoded}"),
            format!("/books?fields={encoded}"),
            format!("/books?expand={encoded}"),
            format!("/books?filter[{encoded}]=1"),
            format!("/books?filter[title][{encoded}]=1"),
            format!("/books?{encoded}=1"),
            format!("/books?cursor={encoded}"),
            format!("/books?limit={encoded}"),
            format!("/books/{encoded}"),
        ] {
            let answer = library().get(&path);
            // A slash in an id is a path that is not there.
            assert!(
                [400, 404].contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
            let code = text(&answer.json()["code"]);
            answer.problem(answer.status, &code);
            assert_eq!(answer.header("x-injected"), None);
        }
        let key = json!({ "$set": { format!("meta.{word}"): 1 } });
        let id = text(&book["id"]);
        let changed = library().patch(&format!("/books/{id}"), &key);
        assert!(
            [200, 422].contains(&changed.status),
            "{key}: {}",
            changed.text()
        );
        assert_eq!(library().read("books", &id)["title"], word);
    }
    assert_eq!(
        library().count("books", &json!({ "shelf": shelf })),
        words.len() as u64
    );
}

#[test]
fn bytes_that_are_no_text() {
    for path in [
        "/books?filter=%FF",
        "/books?filter[title]=%C3%28",
        "/books?%FF=1",
        "/books?sort=%ZZ",
        "/books?sort=%2",
        "/books?sort=%",
    ] {
        library().get(path).problem(400, "invalid_encoding");
    }
    let raw = |request: &[u8]| library().raw(request);
    let line =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for target in ["/books/%FF", "/%FF", "/books/%00"] {
        let answer = raw(line(target).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 40"), "{target}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{target}: {answer}"
        );
    }
    for request in [
        &b"GET /books?filter=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"[..],
        b"NONSENSE\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /books HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /books HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST /books HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /books HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let answer = raw(request);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    library().get("/ping").expect(200);
}

#[test]
fn types_that_are_no_json() {
    let send = |kind: &str| {
        library()
            .request("POST", "/books")
            .body(kind, "{\"title\":\"x\"}")
            .send()
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/json",
        "json",
        "application/jsonx",
        "",
    ] {
        send(kind).problem(415, "unsupported_media_type");
    }
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        send(kind).expect(201);
    }
    let bare = library()
        .request("POST", "/books")
        .bare_body("{\"title\":\"x\"}")
        .send();
    bare.problem(415, "unsupported_media_type");
    let packed = library()
        .request("POST", "/books")
        .header("content-encoding", "gzip");
    packed
        .json(&json!({ "title": "x" }))
        .send()
        .problem(415, "unsupported_media_type");
    for (method, path) in [
        ("PATCH", "/books/x"),
        ("PUT", "/books/x"),
        ("POST", "/books/query"),
        ("POST", "/books/bulk"),
        ("POST", "/batch"),
    ] {
        let path = path.replace('x', &fresh_id());
        let answer = library()
            .request(method, &path)
            .body("text/plain", "{}")
            .send();
        answer.problem(415, "unsupported_media_type");
    }
}

#[test]
fn bodies_that_are_too_large() {
    let shelf = fresh_shelf();
    let book = |length: usize| {
        json!({ "title": "x", "shelf": shelf, "note_to_staff": "x".repeat(length) }).to_string()
    };
    post(book((1 << 20) - 200)).expect(201);
    post(book(1 << 20)).problem(413, "payload_too_large");
    let bulk = |length| {
        library()
            .request("POST", "/books/bulk")
            .body("application/json", vec![b' '; length])
            .send()
    };
    bulk(2 << 20).problem(400, "malformed_json");
    bulk((16 << 20) + 1).problem(413, "payload_too_large");
    // Without a length the server counts.
    let mut chunked = String::from(
        "POST /books HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for _ in 0..20 {
        write!(chunked, "{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16)).expect("text");
    }
    chunked.push_str("0\r\n\r\n");
    let answer = library().raw(chunked.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A length alone is enough to know.
    let announced = "POST /books HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n";
    assert!(
        library()
            .raw(announced.as_bytes())
            .starts_with("HTTP/1.1 413")
    );
    let long = format!("/books?filter[title]={}", "x".repeat(17_000));
    library().get(&long).problem(400, "uri_too_long");
    assert_eq!(library().count("books", &json!({ "shelf": shelf })), 1);
    library().get("/ping").expect(200);
}

#[test]
fn paths_and_methods_that_are_not_there() {
    for path in [
        "/",
        "/nope",
        "/book",
        "/books/x/y",
        "/books/query/x",
        "/admin",
        "/..%2Fbooks",
        "//books",
        "/BOOKS",
    ] {
        library().get(path).problem(404, "unknown_path");
    }
    let hint = text(&library().get("/book").json()["detail"]);
    assert!(hint.contains("did you mean `/books`?"), "{hint}");
    let id = fresh_id();
    for (method, path, allow) in [
        ("PUT", "/books", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        (
            "POST",
            &*format!("/books/{id}"),
            "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
        ),
        ("GET", "/books/query", "POST, OPTIONS"),
        ("DELETE", "/books/count", "GET, HEAD, OPTIONS"),
        ("GET", "/books/bulk", "POST, OPTIONS"),
        ("GET", "/batch", "POST, OPTIONS"),
        ("BREW", "/books", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        ("TRACE", "/books", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        ("DELETE", "/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        let answer = library().request(method, path).send();
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn conditions_that_cannot_be_read() {
    let id = library().create_id("books", &json!({ "title": "x" }));
    for tag in ["17", "\"1", "x\"1\"", ","] {
        let request = library()
            .request("PATCH", &format!("/books/{id}"))
            .header("if-match", tag);
        request
            .json(&json!({ "title": "y" }))
            .send()
            .problem(400, "invalid_condition");
    }
    assert_eq!(library().read("books", &id)["title"], "x");
}

#[test]
fn texts_of_every_kind_come_back_as_they_went() {
    for word in [
        "",
        " ",
        "  padded  ",
        "e\u{301}",
        "é",
        "👩‍👩‍👧‍👦",
        "\u{10ffff}",
        "\u{1}\u{7f}\u{85}",
        "a\tb\\n\"",
        "null",
        "\u{2028}",
    ] {
        let book = json!({ "title": "x", "meta": { word: word, "list": [word] }, "tags": [word] });
        let created = library().create("books", &book);
        assert_eq!(created["meta"], book["meta"], "{word:?}");
        let id = text(&created["id"]);
        assert_eq!(
            library().read("books", &id)["meta"],
            book["meta"],
            "{word:?}"
        );
        assert_eq!(
            library().read("books", &id)["tags"],
            book["tags"],
            "{word:?}"
        );
    }
}

#[test]
fn texts_that_are_too_long_to_be_looked_for() {
    let find = |length: usize| {
        let filter = json!({ "title": { "$contains": "x".repeat(length) } });
        library().post("/books/query", &json!({ "filter": filter }))
    };
    find(256).expect(200);
    find(257).problem(400, "invalid_filter");
}
