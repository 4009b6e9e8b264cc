//! Lists and counts.

use serde_json::{Value as Json, json};

use super::with_posts;
use crate::fake::{Answer, Server, id};

fn titles(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let data = json["data"].as_array().unwrap_or_else(|| panic!("{json}"));
    data.iter()
        .map(|post| post["title"].as_str().unwrap().to_owned())
        .collect()
}

/// A filter or other JSON, fit for a query string.
fn encoded(json: Json) -> String {
    let bytes = json.to_string().into_bytes();
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_list_is_walked_by_cursor() {
    let server = with_posts(5).await;
    let mut uri = "/posts".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = server.send("GET", &uri).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-nubo-tier"), Some("truth"));
        seen.push(titles(&answer).concat());
        match answer.json()["next_cursor"].as_str() {
            Some(cursor) => uri = format!("/posts?cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["ab", "cd", "e"]);

    let first = server.send("GET", "/posts?limit=3").await;
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let body = json!({"cursor": cursor, "limit": 10});
    let rest = server.json("POST", "/posts/query", body).await;
    assert_eq!(titles(&rest), ["d", "e"]);
    for uri in [
        format!("/posts?cursor={cursor}&sort=-id"),
        format!("/posts?cursor={cursor}&filter[price]=4"),
        "/posts?cursor=x".to_owned(),
    ] {
        assert_eq!(server.send("GET", &uri).await.status, 400, "{uri}");
    }
}

#[tokio::test]
async fn pages_are_numbered_from_one() {
    let server = with_posts(5).await;
    let answer = server.send("GET", "/posts?page=2&page_size=3").await;
    assert_eq!(titles(&answer), ["d", "e"]);
    let mut json = answer.json();
    json.as_object_mut().unwrap().remove("data");
    let expected = json!({"total": 5, "page": 2, "page_size": 3, "total_pages": 2});
    assert_eq!(json, expected);
    let answer = server.send("GET", "/posts?page_size=3").await;
    assert_eq!(
        (titles(&answer).len(), answer.json()["page"].as_i64()),
        (3, Some(1))
    );
    let past = server
        .send("GET", "/posts?page=4294967295&filter[price][$gt]=9")
        .await;
    assert_eq!(
        (titles(&past).len(), past.json()["total_pages"].as_i64()),
        (0, Some(0))
    );
}

#[tokio::test]
async fn filters_come_as_json_in_brackets_and_as_body() {
    let server = with_posts(4).await;
    let filter = json!({"price": {"$gt": 1, "$in": [1, 2, 3]}});
    let answer = server
        .send("GET", &format!("/posts?filter={}", encoded(filter.clone())))
        .await;
    assert_eq!(titles(&answer), ["b", "c"]);
    let brackets =
        "/posts?filter[price][$gt]=1&filter%5Bprice%5D%5B$in%5D[]=2&filter[price][$in][]=3";
    assert_eq!(titles(&server.send("GET", brackets).await), ["b", "c"]);
    let commas = "/posts?filter[price][$in]=2,3&filter[title]=b";
    assert_eq!(titles(&server.send("GET", commas).await), ["b"]);
    let body = json!({"filter": filter, "limit": null});
    assert_eq!(
        titles(&server.json("POST", "/posts/query", body).await),
        ["b", "c"]
    );
    let count = server
        .send("GET", "/posts/count?filter[price][$gte]=2")
        .await;
    assert_eq!(count.body, br#"{"count":3}"#);
}

#[tokio::test]
async fn the_place_of_a_wrong_filter_is_named() {
    let server = Server::new();
    let wrong = json!({"prise": 1, "price": {"$gt": "x"}});
    let uri = format!("/posts?filter={}", encoded(wrong.clone()));
    let answer = server.send("GET", &uri).await;
    assert_eq!((answer.status, &*answer.code()), (400, "invalid_filter"));
    assert_eq!(answer.places(), ["/prise", "/price/$gt"]);
    let answer = server
        .json("POST", "/posts/query", json!({"filter": wrong}))
        .await;
    assert_eq!(answer.places(), ["/filter/prise", "/filter/price/$gt"]);
    for query in [
        "filter={",
        "filter=",
        "filter={}&filter[price]=1",
        "filter[price]=x",
        "filter[secret]=x",
        "filter={\"price\":1,\"price\":2}",
    ] {
        let query = query
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22");
        let answer = server.send("GET", &format!("/posts?{query}")).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "invalid_filter"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let server = Server::new();
    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=11", "invalid_parameter"),
        ("limit=-1", "invalid_parameter"),
        ("limit=", "invalid_parameter"),
        ("page=0", "invalid_parameter"),
        ("page=1&page_size=11", "invalid_parameter"),
        ("page=1&page_size=0", "invalid_parameter"),
        ("page=99999999999", "invalid_parameter"),
        ("page=1&cursor=x", "contradicting_parameters"),
        ("page=1&limit=1", "contradicting_parameters"),
        ("limt=1", "unknown_parameter"),
        ("limit=1&limit=1", "duplicate_parameter"),
        ("limit=%zz", "invalid_encoding"),
        ("sort=%ff", "invalid_encoding"),
        ("sort=prise", "invalid_sort"),
        ("sort=", "invalid_sort"),
        ("fields=title,prise", "invalid_fields"),
        ("fields=secret", "invalid_fields"),
        ("expand=title", "invalid_expand"),
        ("consistent=yes", "invalid_parameter"),
        ("consistent=true&page=1", "invalid_parameter"),
    ] {
        let answer = server.send("GET", &format!("/posts?{query}")).await;
        assert_eq!((answer.status, &*answer.code()), (400, code), "{query}");
    }
    for body in [
        json!({"limt": 1}),
        json!({"limit": "1"}),
        json!({"limit": 1.5}),
        json!({"limit": 0}),
        json!({"sort": 1}),
        json!({"fields": ["title", 1]}),
        json!({"consistent": 1}),
        json!([]),
    ] {
        let answer = server.json("POST", "/posts/query", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test]
async fn fields_come_in_their_own_order_and_without_a_tag() {
    let server = with_posts(1).await;
    let expected = json!({"id": id(1).to_string(), "title": "a", "price": 1});
    let list = server.send("GET", "/posts?fields=price,title").await;
    assert_eq!(list.json()["data"][0].to_string(), expected.to_string());
    let uri = format!("/posts/{}?fields=price,title,id", id(1));
    let one = server.send("GET", &uri).await;
    assert_eq!(one.json().to_string(), expected.to_string());
    assert_eq!(one.header("etag"), None);
    assert_eq!(one.header("vary"), Some("Authorization"));
    let body = json!({"fields": ["price", "title"]});
    let list = server.json("POST", "/posts/query", body).await;
    assert_eq!(list.json()["data"][0].to_string(), expected.to_string());
    let uri = format!("/posts/{}?field=price", id(1));
    assert_eq!(server.send("GET", &uri).await.code(), "unknown_parameter");
}

#[tokio::test]
async fn expansions_reach_the_store() {
    let server = with_posts(1).await;
    for uri in [
        "/posts?expand=author,comments(post).author&fields=title".to_owned(),
        format!("/posts/{}?expand=author,comments(post).author", id(1)),
    ] {
        let answer = server.send("GET", &uri).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("etag"), None);
        let expanded = std::mem::take(&mut *server.store.expanded.lock().unwrap());
        let names: Vec<_> = expanded.iter().map(|e| (&*e.name, e.inner.len())).collect();
        assert_eq!(names, [("author", 0), ("comments", 1)]);
    }
}
