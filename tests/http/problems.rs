//! Problem documents, word for word: clients show and programs read them, so that they must not
//! drift.

use serde_json::{Value as Json, json};

use crate::{
    library,
    server::{Answer, encode},
};

/// An id that no document has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";
/// An id that one account has.
const TAKEN: &str = "00000000-0000-7000-8000-000000000001";

fn filter(filter: &Json) -> Answer {
    library().get(&format!("/books?filter={}", encode(&filter.to_string())))
}

#[test]
fn problem_documents() {
    let account = json!({ "id": TAKEN, "balance": 5 });
    library().post("/accounts", &account).expect(201);
    let vault = json!({ "id": TAKEN, "words": "shut" });
    library().post("/vaults", &vault).expect(201);
    let author = json!({ "id": TAKEN, "name": "x" });
    library().post("/authors", &author).expect(201);
    library().create(
        "reviews",
        &json!({
            "author_id": TAKEN, "book_id": library().create_id("books", &json!({ "title": "x" })),
        }),
    );
    let text = |method: &str, path: &str, kind: &str, body: &str| {
        library().request(method, path).body(kind, body).send()
    };
    for (name, answer) in [
        ("malformed body", text("POST", "/books", "application/json", "{\"title\": }")),
        ("duplicate key", text("POST", "/books", "application/json", "{\"title\":1,\"title\":2}")),
        ("no json", text("POST", "/books", "text/plain", "title")),
        ("body that does not fit", library().post("/books", &json!({
            "titel": "x", "pages": "many", "genre": "cookery", "price": -1, "published": "2026-02-30",
            "format": { "width": 0, "depth": 1 }, "scores": [1, "two"], "author_id": "17",
        }))),
        ("unknown fields and operators in a filter", filter(&json!({
            "titel": 1, "pages": { "$after": 1 }, "$xor": [], "format.depth": 1,
        }))),
        ("operands of another type", filter(&json!({
            "pages": { "$gt": "many" }, "published": "yesterday", "title": { "$size": 1 },
            "tags": { "$elemMatch": 1 }, "cover": { "$lt": "AA==" },
        }))),
        ("unknown parameters", library().get("/books?limt=5&sort=title&sort=pages")),
        ("unknown sort", library().get("/books?sort=titel,-tags")),
        ("broken cursor", library().get("/books?cursor=abc")),
        ("no such document", library().get(&format!("/books/{NOBODY}"))),
        ("no id", library().get("/books/17")),
        ("no such path", library().get("/boks/17")),
        ("method that is not answered", library().put("/books", &json!({}))),
        ("duplicate id", library().post("/accounts", &account)),
        ("still referred to", library().delete(&format!("/authors/{TAKEN}"))),
        ("another revision", library()
            .request("PATCH", &format!("/accounts/{TAKEN}"))
            .header("if-match", "\"1\"")
            .json(&json!({}))
            .send()),
        ("mixed patch", library().patch(&format!("/accounts/{TAKEN}"), &json!({ "$inc": { "visits": 1 }, "visits": 2 }))),
        ("failing operation of a batch", library().post("/batch", &json!([
            { "collection": "accounts", "update": { "id": TAKEN, "change": { "$inc": { "visits": 1 } } } },
            { "collection": "accounts", "update": { "id": TAKEN, "change": { "$inc": { "balance": -6 } } } },
        ]))),
        ("forgotten filter", library().delete("/books")),
        ("no account", library().delete(&format!("/vaults/{TAKEN}"))),
        ("no token", library()
            .request("GET", "/books")
            .header("authorization", "Basic YTpi")
            .send()),
        ("rule against it", library().patch(&format!("/vaults/{TAKEN}"), &json!({ "words": "open" }))),
        ("field that may not be written", library().post("/vaults", &json!({ "words": "x", "secret": "y" }))),
        ("field that may not be read", library().get("/vaults?filter[secret]=y")),
        ("body that is too large", library()
            .request("POST", "/books")
            .body("application/json", vec![b' '; (1 << 20) + 1])
            .send()),
    ] {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        let mut problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{name}");
        if answer.status == 412 {
            // The revision is another one in each run.
            let detail = problem["detail"].as_str().expect("words");
            let stable = detail.trim_end_matches(|c: char| c.is_ascii_digit());
            problem["detail"] = json!(format!("{stable}…"));
        }
        insta::with_settings!({ snapshot_path => "problems", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_json_snapshot!(name.replace(' ', "_"), problem);
        });
    }
}
