//! One document: created, read, changed, replaced, deleted.

use serde_json::{Value as Json, json};

use super::with_posts;
use crate::fake::{Server, id};

#[tokio::test]
async fn a_document_is_created_and_found_again() {
    let server = Server::new();
    let created = server.json("POST", "/posts", json!({"title": "a"})).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert!(
        created
            .header("location")
            .unwrap()
            .ends_with(&format!("/{}", id(1)))
    );
    assert_eq!(created.json()["title"], "a");
    assert_eq!(created.json()["_rev"], 1);

    let read = server.send("GET", &format!("/posts/{}", id(1))).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.body, created.body);
    assert_eq!(read.header("etag"), Some("\"1\""));
    assert_eq!(read.header("cache-control"), Some("private, no-cache"));
    assert_eq!(read.header("vary"), Some("Authorization"));
    assert_eq!(read.header("x-nubo-tier"), Some("truth"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::new();
    for method in ["GET", "DELETE"] {
        let answer = server.send(method, &format!("/posts/{}", id(1))).await;
        assert_eq!((answer.status, &*answer.code()), (404, "not_found"));
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
    for method in ["PATCH", "PUT"] {
        let uri = format!("/posts/{}", id(1));
        let answer = server.json(method, &uri, json!({"title": "b"})).await;
        assert_eq!(answer.status, 404);
    }
    let shaped = format!("/posts/{}?fields=title", id(1));
    assert_eq!(server.send("GET", &shaped).await.status, 404);
}

#[tokio::test]
async fn ids_are_uuids() {
    let server = Server::new();
    for text in ["1", "%FF", "00000000000070008000000000000001", "aggregate"] {
        let answer = server.send("GET", &format!("/posts/{text}")).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "invalid_id"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_client_that_has_the_document_is_told_so() {
    let server = with_posts(1).await;
    let uri = format!("/posts/{}", id(1));
    for (tags, status) in [
        ("\"1\"", 304),
        ("W/\"1\"", 304),
        ("\"0\", \"1\"", 304),
        ("*", 304),
        ("\"2\"", 200),
        ("1", 400),
    ] {
        let headers = [("if-none-match", tags)];
        let answer = server.send_with("GET", &uri, &headers, "").await;
        assert_eq!(answer.status, status, "{tags}");
        if status == 304 {
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), Some("\"1\""));
            assert_eq!(answer.header("vary"), Some("Authorization"));
            assert_eq!(answer.header("content-length"), None);
        }
    }
}

#[tokio::test]
async fn patches_come_in_three_media_types() {
    let server = with_posts(1).await;
    let uri = format!("/posts/{}", id(1));
    for (number, kind) in [
        "application/json",
        "application/merge-patch+json",
        "a/b+json",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"price": number + 10}).to_string();
        let headers = [("content-type", kind)];
        let answer = server.send_with("PATCH", &uri, &headers, body).await;
        assert_eq!(answer.status, 200, "{kind}");
        assert_eq!(answer.json()["price"], number + 10);
        assert_eq!(answer.json()["title"], "a");
        let etag = format!("\"{}\"", number + 2);
        assert_eq!(answer.header("etag"), Some(&*etag));
    }
    let answer = server
        .json("PATCH", &uri, json!({"$inc": {"price": 5}}))
        .await;
    assert_eq!(answer.json()["price"], 17);
    let mixed = json!({"$inc": {"price": 5}, "title": "x"});
    let answer = server.json("PATCH", &uri, mixed).await;
    assert_eq!((answer.status, &*answer.code()), (400, "mixed_patch"));
    let answer = server.json("PATCH", &uri, json!({"title": null})).await;
    assert_eq!(
        (answer.status, answer.places()),
        (422, vec!["/title".into()])
    );
}

#[tokio::test]
async fn a_replacement_leaves_nothing_behind() {
    let server = with_posts(1).await;
    let uri = format!("/posts/{}", id(1));
    let answer = server
        .json("PUT", &uri, json!({"id": id(1).to_string(), "title": "b"}))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (&answer.json()["title"], &answer.json()["price"]),
        (&json!("b"), &Json::Null)
    );
    let other = json!({"id": id(2).to_string(), "title": "b"});
    let answer = server.json("PUT", &uri, other).await;
    assert_eq!((answer.status, answer.places()), (422, vec!["/id".into()]));
}

#[tokio::test]
async fn a_write_may_insist_on_a_revision() {
    let server = with_posts(1).await;
    let uri = format!("/posts/{}", id(1));
    let json = ("content-type", "application/json");
    for (tags, status, price) in [
        ("\"2\"", 412, 10),
        ("W/\"1\"", 412, 11),
        ("\"nonsense\"", 412, 12),
        ("1", 400, 13),
        ("\"7\", \"1\"", 200, 14),
        ("*", 200, 15),
    ] {
        let headers = [json, ("if-match", tags)];
        let body = json!({"price": price}).to_string();
        let answer = server.send_with("PATCH", &uri, &headers, body).await;
        assert_eq!(answer.status, status, "{tags}");
    }
    let headers = [json, ("if-match", "\"1\"")];
    for (method, body) in [("PUT", "{\"title\":\"b\"}"), ("DELETE", "")] {
        let answer = server.send_with(method, &uri, &headers, body).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (412, "precondition_failed")
        );
    }
    let headers = [("if-match", "\"3\"")];
    assert_eq!(
        server.send_with("DELETE", &uri, &headers, "").await.status,
        204
    );
    let answer = server
        .send_with("DELETE", "/posts?all=true", &headers, "")
        .await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (400, "unexpected_condition")
    );
}
