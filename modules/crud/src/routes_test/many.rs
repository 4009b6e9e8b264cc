//! Many documents: by filter, in bulk, as a batch.

use serde_json::{Value as Json, json};

use super::with_posts;
use crate::fake::{Answer, Server, id};

/// The statuses of the results.
fn statuses(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, 200, "{}", answer.json());
    let json = answer.json();
    let results = json["results"].as_array().unwrap().iter();
    results
        .map(|result| result["status"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn many_documents_change_and_go_by_filter() {
    let server = with_posts(4).await;
    let change = json!({"$max": {"price": 3}});
    let answer = server
        .json("PATCH", "/posts?filter[price][$lt]=4", change.clone())
        .await;
    assert_eq!(answer.body, br#"{"matched":3,"modified":2}"#);
    let answer = server.send("DELETE", "/posts?filter[title]=a").await;
    assert_eq!(answer.body, br#"{"deleted":1}"#);
    for filter in [
        "",
        "?filter=%7B%7D",
        "?all=false",
        "?filter=%7B%22$and%22:%5B%7B%7D%5D%7D",
    ] {
        let uri = format!("/posts{filter}");
        let removed = server.send("DELETE", &uri).await;
        assert_eq!(
            (removed.status, &*removed.code()),
            (400, "empty_filter"),
            "{filter}"
        );
        let changed = server.json("PATCH", &uri, change.clone()).await;
        assert_eq!(changed.code(), "empty_filter");
    }
    assert_eq!(
        server.send("DELETE", "/posts?limit=1").await.code(),
        "unknown_parameter"
    );
    let answer = server
        .json("PATCH", "/posts?all=true", json!({"price": 9}))
        .await;
    assert_eq!(answer.body, br#"{"matched":3,"modified":3}"#);
    let answer = server.send("DELETE", "/posts?all=true").await;
    assert_eq!(answer.body, br#"{"deleted":3}"#);
}

#[tokio::test]
async fn each_item_of_a_bulk_has_its_own_fate() {
    let server = with_posts(2).await;
    let body = json!([
        {"create": {"title": "c"}},
        {"create": {"title": "a"}},
        {"update": {"id": id(1).to_string(), "change": {"price": 7}}},
        {"replace": {"id": id(2).to_string(), "document": {"title": "bb"}}},
        {"create": {"titel": "d"}},
    ]);
    let answer = server.json("POST", "/posts/bulk", body).await;
    assert_eq!(statuses(&answer), [201, 409, 200, 200, 422]);
    let results = &answer.json()["results"];
    assert_eq!(results[0]["document"]["title"], "c");
    assert_eq!(results[1]["error"]["code"], "duplicate");
    assert_eq!(results[1]["error"]["errors"][0]["path"], "/1/create/title");
    assert_eq!(results[2]["document"]["price"], 7);
    assert_eq!(results[3]["document"]["price"], Json::Null);
    assert_eq!(results[4]["error"]["errors"][0]["path"], "/4/create/titel");

    let body = json!({"operations": [
        {"update": {"filter": {"title": {"$in": ["a", "c"]}}, "change": {"$set": {"price": 7}}}},
        {"delete": {"id": id(1).to_string()}},
        {"delete": {"id": id(1).to_string()}},
        {"delete": {"filter": {}}},
        {"delete": {"filter": {}, "all": true}},
    ]});
    let answer = server.json("POST", "/posts/bulk", body).await;
    assert_eq!(statuses(&answer), [200, 204, 404, 400, 200]);
    let results = &answer.json()["results"];
    assert_eq!(
        results[0],
        json!({"status": 200, "matched": 2, "modified": 1})
    );
    assert_eq!(results[1], json!({"status": 204}));
    assert_eq!(results[4], json!({"status": 200, "deleted": 2}));
}

#[tokio::test]
async fn an_ordered_bulk_stops_at_the_first_failure() {
    let items = json!([
        {"create": {"title": "a"}},
        {"create": {"title": "a"}},
        {"create": {"title": "b"}},
        {"create": {"title": 1}},
    ]);
    let unread = json!([
        {"create": {"title": "a"}},
        {"create": {"title": 1}},
        {"create": {"title": "b"}},
    ]);
    for (uri, body, expected) in [
        ("/posts/bulk", items.clone(), vec![201, 409, 201, 422]),
        (
            "/posts/bulk?ordered=false",
            items.clone(),
            vec![201, 409, 201, 422],
        ),
        (
            "/posts/bulk?ordered=true",
            items.clone(),
            vec![201, 409, 424, 424],
        ),
        (
            "/posts/bulk",
            json!({"ordered": true, "operations": items}),
            vec![201, 409, 424, 424],
        ),
        ("/posts/bulk?ordered=true", unread, vec![201, 422, 424]),
    ] {
        let server = Server::new();
        let answer = server.json("POST", uri, body).await;
        assert_eq!(statuses(&answer), expected, "{uri}");
        let last = &answer.json()["results"][expected.len() - 1];
        if last["status"] == 424 {
            assert_eq!(last["error"]["code"], "not_tried");
        }
        let made = expected.iter().filter(|status| **status == 201).count();
        let count = server.send("GET", "/posts/count").await;
        assert_eq!(count.json()["count"], made);
    }
}

#[tokio::test]
async fn a_bulk_must_be_a_list_of_operations() {
    let server = Server::new();
    let six = vec![json!({"create": {"title": "a"}}); 6];
    for (uri, body, status) in [
        ("/posts/bulk", json!(1), 422),
        ("/posts/bulk", json!({}), 422),
        ("/posts/bulk", json!({"operations": {}}), 422),
        ("/posts/bulk", json!({"operations": [], "order": true}), 422),
        ("/posts/bulk", json!({"operations": [], "ordered": 1}), 422),
        (
            "/posts/bulk?ordered=true",
            json!({"operations": [], "ordered": false}),
            400,
        ),
        ("/posts/bulk?ordered=1", json!([]), 400),
        ("/posts/bulk", json!(six), 400),
        ("/posts/bulk", json!([]), 200),
        ("/batch", json!(six), 400),
        ("/batch", json!({"operations": [], "ordered": true}), 422),
        ("/batch?ordered=true", json!([]), 400),
        ("/batch", json!([]), 200),
    ] {
        let answer = server.json("POST", uri, body.clone()).await;
        assert_eq!(answer.status, status, "{uri} {body}");
    }
    let items =
        json!([1, {}, {"upsert": {}}, {"create": {}, "delete": {}}, {"update": {"change": {}}}]);
    let answer = server.json("POST", "/posts/bulk", items).await;
    assert_eq!(statuses(&answer), [422; 5]);
    let path = |index: usize| answer.json()["results"][index]["error"]["errors"][0]["path"].clone();
    let places: Vec<_> = (0..5).map(path).collect();
    assert_eq!(places, ["/0", "/1", "/2/upsert", "/3", "/4/update"]);
}

#[tokio::test]
async fn logs_are_only_added_to_in_bulk_too() {
    let server = Server::new();
    let one = json!({"id": id(1).to_string()});
    let body = json!([{"create": {"line": "x"}}, {"delete": one}]);
    let answer = server.json("POST", "/logs/bulk", body).await;
    assert_eq!(statuses(&answer), [201, 403]);
    assert_eq!(answer.json()["results"][1]["error"]["code"], "append_only");
    let body = json!([{"collection": "logs", "delete": one}]);
    assert_eq!(server.json("POST", "/batch", body).await.status, 403);
}

#[tokio::test]
async fn a_batch_happens_as_a_whole() {
    let server = Server::new();
    let author = id(7).to_string();
    let body = json!({"operations": [
        {"collection": "users", "create": {"id": author, "name": "Ada"}},
        {"collection": "posts", "create": {"title": "a", "author": author}},
        {"collection": "posts", "update": {"filter": {"title": "a"}, "change": {"price": 3}}},
    ]});
    let answer = server.json("POST", "/batch", body).await;
    assert_eq!(statuses(&answer), [201, 201, 200]);
    assert_eq!(answer.json()["results"][0]["document"]["name"], "Ada");
    assert_eq!(
        answer.json()["results"][1]["document"]["author"],
        json!(author)
    );

    let body = json!([
        {"collection": "posts", "create": {"title": "b"}},
        {"collection": "posts", "create": {"title": "a"}},
    ]);
    let answer = server.json("POST", "/batch", body.clone()).await;
    assert_eq!(
        (answer.status, answer.places()),
        (409, vec!["/1/create/title".into()])
    );
    let answer = server
        .json("POST", "/batch", json!({"operations": body}))
        .await;
    assert_eq!(answer.places(), ["/operations/1/create/title"]);
    let answer = server.json("POST", "/batch", json!([body[1]])).await;
    assert_eq!(answer.places(), ["/0/create/title"]);
    let count = server.send("GET", "/posts/count").await;
    assert_eq!(count.json()["count"], 1);
}

#[tokio::test]
async fn everything_wrong_with_a_batch_is_said_at_once() {
    let server = Server::new();
    let body = json!({"operations": [
        {"collection": "postz", "create": {"title": "a"}},
        {"create": {"title": "a"}},
        {"collection": "posts", "create": {"title": 1, "price": "x"}},
        {"collection": "posts", "update": {"id": id(1).to_string(), "change": {"$inc": {"title": 1}}}},
    ]});
    let answer = server.json("POST", "/batch", body).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.places(),
        [
            "/operations/0/collection",
            "/operations/1/collection",
            "/operations/2/create/title",
            "/operations/2/create/price",
            "/operations/3/update/change/$inc/title",
        ]
    );
    let body = json!([{"collection": "posts", "delete": {"id": "x"}}]);
    let answer = server.json("POST", "/batch", body).await;
    assert_eq!(
        (answer.status, answer.places()),
        (400, vec!["/0/delete/id".into()])
    );
}
