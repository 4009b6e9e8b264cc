//! Rows about posts, comments and feeds.

use serde_json::json;

use crate::scene::Scene;

/// A post as a row calls it.
pub fn post(scene: &Scene, what: &str) -> Option<String> {
    let (visibility, setting) = match what {
        "a public post" => ("public", None),
        "a post for friends" => ("friends", None),
        "a private post" => ("private", None),
        "a public post of somebody whose posts are for friends" => {
            ("public", Some(("posts", "friends")))
        }
        "a public post of somebody whose posts are private" => {
            ("public", Some(("posts", "private")))
        }
        "a post for friends of somebody whose posts are private" => {
            ("friends", Some(("posts", "private")))
        }
        "a public post of somebody whose profile is private" => {
            ("public", Some(("profile", "private")))
        }
        _ => return None,
    };
    if let Some((what, whom)) = setting {
        scene.owner().prefers(what, whom);
    }
    Some(scene.post(visibility))
}

pub fn posts(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| post(scene, what)) {
        return Some(answer);
    }
    let change = json!({ "content": "Never mind" });
    Some(match action {
        "create in one's own name" => scene.create(&json!({ "content": "Mine" })),
        "create in another's name" => {
            scene.create(&json!({ "content": "Theirs", "user_id": scene.owner().id() }))
        }
        "create with likes" => scene.create(&json!({ "content": "Loved", "like_count": 5 })),
        "create with a picture of one's own" => {
            let picture = match scene.me().has_account() {
                true => scene.upload(&scene.who),
                false => scene.upload("owner"),
            };
            scene.create(&json!({ "media_ids": [picture] }))
        }
        "create with a picture of another's" => {
            scene.create(&json!({ "media_ids": [scene.upload("owner")] }))
        }
        "update a public post" => scene.update(&scene.post("public"), &change),
        "update a private post" => scene.update(&scene.post("private"), &change),
        "update: replace a public post" => scene.replace(&scene.post("public"), &change),
        "update: take over by changing the owner" => {
            scene.take_over(&scene.post("public"), "user_id")
        }
        "update: set the number of likes" => {
            scene.update(&scene.post("public"), &json!({ "like_count": 5 }))
        }
        "update: add a picture of another's" => {
            let picture = scene.upload("photographer");
            scene.update(&scene.post("public"), &json!({ "media_ids": [picture] }))
        }
        "delete a public post" => scene.delete(&scene.post("public")),
        "delete a private post" => scene.delete(&scene.post("private")),
        _ => return None,
    })
}

/// A comment as a row says where it stands.
fn comment(scene: &Scene, what: &str) -> Option<String> {
    Some(match what {
        "below a private post" => {
            let post = scene.post("public");
            let comment = scene.comment("commenter", &post);
            let change = json!({ "visibility": "private" });
            scene.owner().update("posts", &post, &change);
            comment
        }
        "where the commenter has blocked who reads" => {
            let comment = scene.comment("commenter", &scene.post("public"));
            scene.person("commenter").says("blocked", &scene.me());
            comment
        }
        what => {
            let comment = scene.comment("commenter", &post(scene, what.strip_prefix("below ")?)?);
            // To follow somebody hides nothing from them.
            scene.part_follows_me("commenter");
            comment
        }
    })
}

pub fn comments(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| comment(scene, what)) {
        return Some(answer);
    }
    if let Some(what) = action.strip_prefix("create below ") {
        let comment = json!({ "post_id": post(scene, what)?, "content": "Well said" });
        return Some(scene.create(&comment));
    }
    let mine = || scene.comment("commenter", &scene.post("public"));
    let after_a_block = || {
        let comment = mine();
        let commenter = scene.person("commenter");
        scene.owner().says("blocked", &commenter);
        comment
    };
    let change = json!({ "content": "Badly said" });
    Some(match action {
        "create in another's name" => scene.create(&json!({
            "post_id": scene.post("public"),
            "content": "Theirs",
            "user_id": scene.person("commenter").id(),
        })),
        "create with likes" => scene.create(&json!({
            "post_id": scene.post("public"), "content": "Loved", "like_count": 5,
        })),
        "update" => scene.update(&mine(), &change),
        "update after the owner has blocked the commenter" => {
            scene.update(&after_a_block(), &change)
        }
        "update: take over by changing the owner" => {
            scene.take_over_from("commenter", &mine(), "user_id")
        }
        "update: move to another post" => {
            let post = scene.post("public");
            scene.update(&mine(), &json!({ "post_id": post }))
        }
        "update: set the number of likes" => scene.update(&mine(), &json!({ "like_count": 5 })),
        "delete" => scene.delete(&mine()),
        "delete after the owner has blocked the commenter" => scene.delete(&after_a_block()),
        _ => return None,
    })
}

pub fn feed_cache(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    let feed = || {
        let feed = json!({ "user_id": scene.owner().id(), "items": [] });
        scene.person("admin").create("feed_cache", &feed)
    };
    Some(match action {
        "read" => scene.read(&feed()),
        "list" => scene.list(&feed()),
        "create for oneself" => scene.create(&json!({ "user_id": scene.me().id() })),
        "create for another" => scene.create(&json!({ "user_id": scene.owner().id() })),
        "update" => scene.update(&feed(), &json!({ "items": ["x"] })),
        "update: take over by changing the owner" => scene.take_over(&feed(), "user_id"),
        "delete" => scene.delete(&feed()),
        _ => return None,
    })
}
