//! Rules that ask for other documents.

#![allow(clippy::unwrap_used)]

mod world;

use nubo_core::{
    filter::{Bindings, Expr, Variable},
    id::Id,
    schema::Rule,
    truth::Truth,
    value::Value,
};
use serde_json::{Value as Json, json};
use world::World;

/// Somebody who is logged in, or nobody.
struct Auth(Option<Id>);

impl Bindings for Auth {
    fn value_of(&self, variable: &Variable) -> Value {
        match variable {
            Variable::Auth(name) if name == "id" => {
                self.0.map_or(Value::Null, |id| Value::Uuid(id.uuid()))
            }
            _ => Value::Null,
        }
    }
}

async fn world(rule: Json) -> World {
    World::new(json!([
        { "name": "media", "fields": { "value": "int" }, "access": { "read": rule } },
        { "name": "posts", "fields": {
            "author": "uuid", "cover": { "type": "ref", "to": "media" },
            "value": { "type": "ref[]", "to": "media" } } },
    ]))
    .await
}

/// How many media the rule lets somebody see; none where it is false as a whole.
async fn seen(world: &World, auth: &Auth) -> Option<u64> {
    let media = world.collection("media");
    let Some(Rule::Filter(rule)) = &media.access.read else {
        panic!("there is no such rule");
    };
    let filter: Expr = rule.bind(auth)?;
    Some(world.truth.count(media.id, filter).await.unwrap())
}

#[tokio::test]
async fn a_rule_may_select_a_value_or_the_items_of_a_list() {
    for (field, expected) in [("cover", [1, 3]), ("value", [2, 2])] {
        let own = format!("posts.{field}");
        let rule =
            json!({ "id": { "$in": { "$select": own, "$where": { "author": "$auth.id" } } } });
        let world = world(rule.clone()).await;
        let other_world = self::world(json!({ "$not": rule })).await;
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
        let somebody = Auth(Some(author));
        assert_eq!(seen(&world, &somebody).await, Some(expected[0]), "{field}");
        // One post has no cover: a null among the selected must not hide what is not selected.
        assert_eq!(
            seen(&other_world, &somebody).await,
            Some(expected[1]),
            "{field}"
        );
        assert_eq!(seen(&world, &Auth(None)).await, None);
        assert_eq!(seen(&other_world, &Auth(None)).await, None);
    }
}
