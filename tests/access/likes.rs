//! Rows about likes, of posts, comments and messages.

use serde_json::{Value as Json, json};

use crate::{content::post, people::fresh_id, scene::Scene};

fn like(kind: &str, target: &str) -> Json {
    json!({ "target_type": kind, "target_id": target })
}

/// A like as a row says of what.
fn given(scene: &Scene, what: &str) -> Option<String> {
    let by = |part: &str, kind: &str, target: &str| {
        scene.person(part).create("likes", &like(kind, target))
    };
    Some(match what {
        "on a private post" => {
            let post = scene.post("public");
            let like = by("liker", "post", &post);
            scene
                .owner()
                .update("posts", &post, &json!({ "visibility": "private" }));
            like
        }
        "on a comment below a post for friends" => {
            let comment = scene.comment("liker", &scene.post("friends"));
            by("liker", "comment", &comment)
        }
        "where the liker has blocked who reads" => {
            let like = by("liker", "post", &scene.post("public"));
            scene.person("liker").says("blocked", &scene.me());
            like
        }
        "on a message" => {
            let group = scene.conversation("group", &["sender"]);
            by("sender", "message", &scene.message("creator", &group.id))
        }
        what => {
            let like = by("liker", "post", &post(scene, what.strip_prefix("on ")?)?);
            // To follow somebody hides nothing from them.
            scene.part_follows_me("liker");
            like
        }
    })
}

pub fn likes(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| given(scene, what)) {
        return Some(answer);
    }
    let create = |kind: &str, target: &str| scene.create(&like(kind, target));
    let mine = || given(scene, "on a public post");
    let after_a_block = || {
        let like = mine();
        let liker = scene.person("liker");
        scene.owner().says("blocked", &liker);
        like
    };
    Some(match action {
        "create: like a comment below a public post" => {
            create("comment", &scene.comment("liker", &scene.post("public")))
        }
        "create: like a comment below a post for friends" => {
            create("comment", &scene.comment("liker", &scene.post("friends")))
        }
        "create: like a public post a second time" => {
            let post = scene.post("public");
            create("post", &post);
            create("post", &post)
        }
        "create: like a message" => {
            let group = scene.conversation("group", &[]);
            create("message", &scene.message("creator", &group.id))
        }
        "create: like what is not there" => create("post", &fresh_id()),
        "create in another's name" => {
            let mut like = like("post", &scene.post("public"));
            like["user_id"] = json!(scene.person("liker").id());
            scene.create(&like)
        }
        "update: point at something else" => {
            let post = scene.post("public");
            scene.update(&mine()?, &json!({ "target_id": post }))
        }
        "update: take over by changing the owner" => {
            scene.take_over_from("liker", &mine()?, "user_id")
        }
        "delete" => scene.delete(&mine()?),
        "delete after the owner has blocked the liker" => scene.delete(&after_a_block()?),
        _ => create("post", &post(scene, action.strip_prefix("create: like ")?)?),
    })
}
