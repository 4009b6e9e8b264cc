//! Cheating by ids: changing them and guessing them.

use serde_json::json;

use crate::{
    people::{Person, fresh_id},
    ways,
};

#[test]
fn an_id_cannot_be_changed() {
    let (owner, other) = (Person::sign_up(), Person::sign_up());
    let post = owner.create("posts", &json!({ "content": "x" }));
    for (collection, id, new) in [
        ("posts", &post, fresh_id()),
        ("users", &owner.id(), other.id()),
    ] {
        let before = owner.read(collection, id);
        for change in [
            json!({ "id": new }),
            json!({ "_rev": 1 }),
            json!({ "created_at": "2001-01-01T00:00:00Z" }),
        ] {
            for tried in ways::change(&owner, collection, id, &change) {
                let nothing = tried.body["modified"] == 0;
                let refused = matches!(tried.status, 400 | 403 | 422);
                assert!(
                    refused || nothing,
                    "{change} by {}: {}",
                    tried.way,
                    tried.status
                );
            }
        }
        assert_eq!(owner.read(collection, id), before, "{collection}");
    }
    let status = owner.patch("/me", &json!({ "id": other.id() })).status;
    assert!(matches!(status, 400 | 403 | 422), "{status}");
    assert_eq!(owner.get("/me").expect(200)["id"], owner.id());
}

#[test]
fn what_is_hidden_looks_like_what_is_not_there() {
    let (owner, guest) = (Person::sign_up(), Person::sign_up());
    let hidden = owner.create("posts", &json!({ "content": "x", "visibility": "private" }));
    let absent = fresh_id();
    let told = |method: &str, id: &str, header: Option<(&str, &str)>| {
        let mut request = guest.request(method, &format!("/posts/{id}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if matches!(method, "PATCH" | "PUT") {
            request = request.json(&json!({ "content": "y" }));
        }
        let answer = request.send();
        let names = ["etag", "location", "last-modified", "x-nubo-tier"];
        let headers = names.map(|name| answer.header(name).map(str::to_owned));
        (answer.status, answer.text().replace(id, "ID"), headers)
    };
    for method in ["GET", "HEAD", "PATCH", "PUT", "DELETE"] {
        assert_eq!(
            told(method, &hidden, None),
            told(method, &absent, None),
            "{method}"
        );
        for header in [
            ("if-match", "\"1\""),
            ("if-match", "*"),
            ("if-none-match", "*"),
        ] {
            let (there, nowhere) = (
                told(method, &hidden, Some(header)),
                told(method, &absent, Some(header)),
            );
            assert_eq!(there, nowhere, "{method} with {header:?}");
        }
        assert_eq!(told(method, &hidden, None).0, 404, "{method}");
    }
    for query in [
        "?expand=user_id",
        "?expand=comments(post_id)",
        "?fields=content",
    ] {
        let answer = guest.get(&format!("/posts/{hidden}{query}"));
        answer.problem(404, "not_found");
    }
    // What refers to a hidden document is refused like what refers to none.
    let comment = |post: &str| {
        guest
            .post("/comments", &json!({ "post_id": post, "content": "x" }))
            .status
    };
    assert_eq!(comment(&hidden), 403);
    assert_eq!(comment(&absent), 403);
    owner.read("posts", &hidden);
}

#[test]
fn without_an_account_every_id_is_the_same() {
    let owner = Person::sign_up();
    let post = owner.create("posts", &json!({ "content": "x" }));
    let nobody = Person::anonymous();
    for id in [post, fresh_id()] {
        nobody
            .get(&format!("/posts/{id}"))
            .problem(401, "missing_token");
        nobody
            .delete(&format!("/posts/{id}"))
            .problem(401, "missing_token");
        nobody
            .patch(&format!("/posts/{id}"), &json!({ "content": "y" }))
            .problem(401, "missing_token");
    }
    nobody.get("/posts").problem(401, "missing_token");
    nobody.get("/posts/count").problem(401, "missing_token");
    nobody
        .post("/posts/query", &json!({}))
        .problem(401, "missing_token");
    nobody.delete("/posts?all=true&filter={}").expect(401);
    nobody.get("/users").problem(401, "missing_token");
}
