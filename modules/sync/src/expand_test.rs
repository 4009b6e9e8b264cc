use std::sync::atomic::Ordering;

use nubo_core::{
    id::Id,
    query::Query,
    schema::CollectionId,
    store::{Expansion, ExpansionKind, Store},
    truth::Page,
};
use serde_json::{Value as Json, json};

use crate::fake::{World, documents, somebody};

fn forward(world: &World, from: &str, field: &str, inner: Vec<Expansion>) -> Expansion {
    let (index, _) = world
        .catalog
        .named(from)
        .unwrap()
        .field_named(field)
        .unwrap();
    Expansion {
        name: field.into(),
        kind: ExpansionKind::Forward {
            field: index,
            target: world.id("users"),
        },
        inner,
    }
}

fn reverse(world: &World, from: &str, field: &str, inner: Vec<Expansion>) -> Expansion {
    let collection: CollectionId = world.id(from);
    let (index, _) = world.catalog.get(collection).field_named(field).unwrap();
    Expansion {
        name: from.into(),
        kind: ExpansionKind::Reverse {
            collection,
            field: index,
        },
        inner,
    }
}

async fn list(world: &World, query: Query, expand: &[Expansion]) -> Page {
    world
        .tiers
        .list(&somebody(), query, expand)
        .await
        .unwrap()
        .content
}

async fn one(world: &World, collection: &str, id: Id, expand: &[Expansion]) -> Json {
    let query = world.query(collection, &json!({ "id": id.to_string() }), 20);
    documents(&list(world, query, expand).await).remove(0)
}

#[tokio::test]
async fn a_list_without_expansion_is_the_truths_own_page() {
    let world = World::new();
    let page = list(&world, world.query("posts", &json!({}), 20), &[]).await;
    assert_eq!(
        documents(&page),
        [json!({ "from": "the truth's own page" })]
    );
    assert_eq!(world.truth.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reference_brings_its_document_and_leaves_the_rest_as_it_was() {
    let world = World::new();
    let ada = world.add("users", json!({ "name": "Ada" })).await;
    let post = world
        .add(
            "posts",
            json!({ "title": "a\nb", "author": ada.to_string() }),
        )
        .await;
    let mut shown = one(
        &world,
        "posts",
        post,
        &[forward(&world, "posts", "author", vec![])],
    )
    .await;
    let expand = shown
        .as_object_mut()
        .unwrap()
        .shift_remove("_expand")
        .unwrap();
    let user = world.tiers.get(&somebody(), world.id("users"), ada).await;
    let user: Json = serde_json::from_slice(&user.unwrap().unwrap().content.json).unwrap();
    assert_eq!(expand, json!({ "author": user }));
    let bare = world.tiers.get(&somebody(), world.id("posts"), post).await;
    let bare: Json = serde_json::from_slice(&bare.unwrap().unwrap().content.json).unwrap();
    assert_eq!(shown, bare);
}

#[tokio::test]
async fn what_is_missing_is_null_or_left_out() {
    let world = World::new();
    let ada = world.add("users", json!({ "name": "Ada" })).await;
    let bob = world.add("users", json!({ "name": "Bob" })).await;
    let eve = world.add("users", json!({ "name": "Eve" })).await;
    let post = world
        .add(
            "posts",
            json!({ "title": "x", "author": eve.to_string(),
                "likers": [bob.to_string(), eve.to_string(), ada.to_string(), bob.to_string()] }),
        )
        .await;
    let lonely = world.add("posts", json!({ "title": "y" })).await;
    world.truth.remove(world.id("users"), eve);
    let expand = [
        forward(&world, "posts", "author", vec![]),
        forward(&world, "posts", "likers", vec![]),
    ];
    let shown = one(&world, "posts", post, &expand).await;
    assert_eq!(shown["_expand"]["author"], Json::Null);
    let names: Vec<&Json> = shown["_expand"]["likers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["name"])
        .collect();
    assert_eq!(names, ["Bob", "Ada", "Bob"]);
    let shown = one(&world, "posts", lonely, &expand).await;
    assert_eq!(shown["_expand"], json!({ "author": null, "likers": null }));
}

#[tokio::test]
async fn three_levels_take_one_question_each() {
    let world = World::new();
    let ada = world.add("users", json!({ "name": "Ada" })).await;
    let bob = world.add("users", json!({ "name": "Bob" })).await;
    for title in ["one", "two", "three"] {
        let post = world
            .add(
                "posts",
                json!({ "title": title, "author": ada.to_string() }),
            )
            .await;
        for text in ["first", "second"] {
            world
                .add(
                    "comments",
                    json!({ "post": post.to_string(), "author": bob.to_string(), "text": text }),
                )
                .await;
        }
    }
    let of_authors = reverse(&world, "posts", "author", vec![]);
    let authors = forward(&world, "comments", "author", vec![of_authors]);
    let comments = reverse(&world, "comments", "post", vec![authors]);
    let query = world.query("posts", &json!({}), 2);
    let page = list(&world, query, &[comments]).await;
    assert_eq!(world.truth.asked.load(Ordering::Relaxed), 4);

    let posts = documents(&page);
    assert_eq!(page.count, 2);
    assert_eq!(posts[0]["title"], "three");
    assert_eq!(posts[1]["title"], "two");
    let comments = &posts[0]["_expand"]["comments"];
    assert_eq!(comments["next_cursor"], Json::Null);
    assert_eq!(comments["data"][0]["text"], "second");
    assert_eq!(comments["data"][1]["text"], "first");
    let author = &comments["data"][0]["_expand"]["author"];
    assert_eq!(author["name"], "Bob");
    assert_eq!(
        author["_expand"]["posts"],
        json!({ "data": [], "next_cursor": null })
    );

    // The page goes on where an unexpanded one would.
    let rest = nubo_core::query::Start::After(page.next.unwrap());
    let query = Query {
        start: rest,
        ..world.query("posts", &json!({}), 2)
    };
    let page = list(&world, query, &[forward(&world, "posts", "author", vec![])]).await;
    assert_eq!(documents(&page)[0]["title"], "one");
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn the_cursor_of_a_related_list_continues_the_request_for_that_list() {
    let world = World::new();
    let post = world.add("posts", json!({ "title": "x" })).await;
    for number in 0..23 {
        let text = number.to_string();
        world
            .add(
                "comments",
                json!({ "post": post.to_string(), "text": text }),
            )
            .await;
    }
    let comments = reverse(&world, "comments", "post", vec![]);
    let shown = one(&world, "posts", post, std::slice::from_ref(&comments)).await;
    let list = &shown["_expand"]["comments"];
    assert_eq!(list["data"].as_array().unwrap().len(), 20);
    assert_eq!(list["data"][0]["text"], "22");
    assert_eq!(list["data"][19]["text"], "3");

    let request = world.query("comments", &json!({ "post": post.to_string() }), 20);
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = world.continued(request, cursor).unwrap();
    let authors = [forward(&world, "comments", "author", vec![])];
    let rest = documents(
        &world
            .tiers
            .list(&somebody(), rest, &authors)
            .await
            .unwrap()
            .content,
    );
    let texts: Vec<&Json> = rest.iter().map(|comment| &comment["text"]).collect();
    assert_eq!(texts, ["2", "1", "0"]);

    let other = world.query("comments", &json!({}), 20);
    assert!(world.continued(other, cursor).is_err());
}

#[tokio::test]
async fn a_document_that_references_several_belongs_to_each() {
    let world = World::new();
    let ada = world.add("users", json!({ "name": "Ada" })).await;
    let bob = world.add("users", json!({ "name": "Bob" })).await;
    let both = [ada.to_string(), bob.to_string()];
    let only = [bob.to_string(), bob.to_string()];
    world
        .add("posts", json!({ "title": "early", "likers": both }))
        .await;
    world
        .add("posts", json!({ "title": "late", "likers": only }))
        .await;
    for number in 0..20 {
        let likers = [bob.to_string()];
        world
            .add(
                "posts",
                json!({ "title": number.to_string(), "likers": likers }),
            )
            .await;
    }
    let liked = reverse(&world, "posts", "likers", vec![]);
    let query = world.query("users", &json!({}), 20);
    let users = documents(&list(&world, query, &[liked]).await);
    let titles = |user: &Json| -> Vec<String> {
        let posts = user["_expand"]["posts"]["data"].as_array().unwrap();
        posts
            .iter()
            .map(|post| post["title"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(users[0]["name"], "Bob");
    let bobs = titles(&users[0]);
    assert_eq!((bobs.len(), &*bobs[0], &*bobs[19]), (20, "19", "0"));
    assert_eq!(titles(&users[1]), ["early"]);

    let request = world.query("posts", &json!({ "likers": bob.to_string() }), 20);
    let cursor = users[0]["_expand"]["posts"]["next_cursor"]
        .as_str()
        .unwrap();
    let rest = world.continued(request, cursor).unwrap();
    let authors = [forward(&world, "posts", "author", vec![])];
    let rest = documents(&list(&world, rest, &authors).await);
    assert_eq!(
        rest.iter().map(|post| &post["title"]).collect::<Vec<_>>(),
        ["late", "early"]
    );
}

#[tokio::test]
async fn a_projection_is_for_the_outer_documents_only() {
    let world = World::new();
    let ada = world.add("users", json!({ "name": "Ada" })).await;
    world
        .add("posts", json!({ "title": "x", "author": ada.to_string() }))
        .await;
    let expand = [forward(&world, "posts", "author", vec![])];
    let posts = world.catalog.named("posts").unwrap();
    let (title, _) = posts.field_named("title").unwrap();
    for (fields, keys) in [
        (vec![title], vec!["title", "_expand"]),
        (vec![], vec!["_expand"]),
    ] {
        let query = Query {
            fields: Some(fields),
            ..world.query("posts", &json!({}), 20)
        };
        let shown = documents(&list(&world, query, &expand).await).remove(0);
        assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert_eq!(shown["_expand"]["author"]["name"], "Ada");
    }
}

#[tokio::test]
async fn an_expansion_has_an_end() {
    let world = World::new();
    for first in [0, 6_000] {
        let ids = (first..first + 6_000).map(|n| uuid::Uuid::from_u128(n).to_string());
        let likers: Vec<String> = ids.collect();
        world
            .add("posts", json!({ "title": "liked", "likers": likers }))
            .await;
    }
    let likers = [forward(&world, "posts", "likers", vec![])];
    let page = list(&world, world.query("posts", &json!({}), 1), &likers).await;
    assert_eq!(page.count, 1);
    let both = world.query("posts", &json!({}), 2);
    let refused = world.tiers.list(&somebody(), both, &likers).await;
    assert_eq!(refused.unwrap_err().code(), "expansion_too_large");
}
