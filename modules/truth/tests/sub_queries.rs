//! Rules that ask for other documents.

#![allow(clippy::unwrap_used)]

mod world;

use nubo_core::{
    caller::{Account, Caller},
    clock::Clock,
    filter::Expr,
};
use serde_json::{Value as Json, json};
use world::{Driver, World};

async fn world(on: Driver, rule: Json) -> World {
    on.world(json!([
        { "name": "media", "fields": { "value": "int" }, "access": { "read": rule } },
        { "name": "posts", "fields": {
            "author": "uuid", "cover": { "type": "ref", "to": "media" },
            "value": { "type": "ref[]", "to": "media" } } },
    ]))
    .await
}

/// How many media somebody sees.
async fn seen(world: &World, caller: &Caller) -> u64 {
    let media = world.collection("media");
    let view = media.view(caller, world.clock.now());
    let everything = Expr::always();
    world
        .truth
        .count(media.id, everything, &view)
        .await
        .unwrap()
}

on_each_truth!(a_rule_may_select_a_value_or_the_items_of_a_list);
async fn a_rule_may_select_a_value_or_the_items_of_a_list(on: Driver) {
    for (field, expected) in [("cover", [1, 3]), ("value", [2, 2])] {
        let own = format!("posts.{field}");
        let rule =
            json!({ "id": { "$in": { "$select": own, "$where": { "author": "$auth.id" } } } });
        let world = world(on, rule.clone()).await;
        let other_world = self::world(on, json!({ "$not": rule })).await;
        let author = world.id();
        for world in [&world, &other_world] {
            let mut ids = Vec::new();
            for _ in 0..4 {
                ids.push(world.given("media", json!({})).await.to_string());
            }
            let lists = json!([ids[0], ids[1], ids[1]]);
            let post = json!({ "author": author.to_string(), "cover": ids[3], "value": lists });
            world.given("posts", post).await;
            let empty = json!({ "author": author.to_string(), "value": [] });
            world.given("posts", empty).await;
            let others =
                json!({ "author": world.id().to_string(), "cover": ids[2], "value": [ids[2]] });
            world.given("posts", others).await;
        }
        let somebody = Caller::account(Account::new(author, Vec::new()));
        assert_eq!(seen(&world, &somebody).await, expected[0], "{field}");
        // One post has no cover: a null among the selected must not hide what is not selected.
        assert_eq!(seen(&other_world, &somebody).await, expected[1], "{field}");
        assert_eq!(seen(&world, &Caller::Anonymous).await, 0);
        assert_eq!(seen(&other_world, &Caller::Anonymous).await, 0);
    }
}
