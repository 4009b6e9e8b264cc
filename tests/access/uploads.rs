//! Rows about uploads and what was found out about them.

use serde_json::json;

use crate::scene::Scene;

/// An upload of the owner, as a row calls it.
fn upload(scene: &Scene, what: &str) -> Option<String> {
    let id = scene.upload("owner");
    let owner = scene.owner();
    let on_profile = |open_to: &str| {
        owner.prefers("profile", open_to);
        owner.update("users", &owner.id(), &json!({ "profile_picture_id": id }));
    };
    let in_post_of = |setting: &str| {
        owner.prefers("posts", setting);
        let post = json!({ "visibility": "public", "media_ids": [id] });
        owner.create("posts", &post)
    };
    let in_post = |visibility: &str| {
        owner.create(
            "posts",
            &json!({ "visibility": visibility, "media_ids": [id] }),
        )
    };
    match what {
        "an upload that is shown nowhere" => {}
        "the picture of a profile" | "the picture of a profile that is open to everybody" => {
            on_profile("public");
        }
        "the picture of a profile for friends" => on_profile("friends"),
        "the picture of a private profile" => on_profile("private"),
        "a picture in a public post" => drop(in_post("public")),
        "a picture in a post for friends" => drop(in_post("friends")),
        "a picture in a private post" => drop(in_post("private")),
        "a picture in a public post of somebody whose posts are for friends" => {
            drop(in_post_of("friends"));
        }
        "a picture in a public post of somebody whose posts are private" => {
            drop(in_post_of("private"));
        }
        "a picture that was put into a public post later" => {
            let post = owner.create("posts", &json!({ "content": "Soon" }));
            owner.update("posts", &post, &json!({ "media_ids": [id] }));
        }
        "a picture that was taken out of a public post" => {
            let post = in_post("public");
            owner.update("posts", &post, &json!({ "media_ids": [] }));
        }
        "a picture of a public post that shows none any more" => {
            let post = in_post("public");
            owner.update("posts", &post, &json!({ "media_ids": null }));
        }
        _ => return None,
    }
    Some(id)
}

pub fn media(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| upload(scene, what)) {
        return Some(answer);
    }
    if let Some(what) = action.strip_prefix("delete ") {
        return Some(scene.delete(&upload(scene, what)?));
    }
    if let Some(what) = action.strip_prefix("update ") {
        return Some(scene.update(&upload(scene, what)?, &json!({ "width": 640 })));
    }
    let mut new = json!({ "mime": "image/webp" });
    Some(match action {
        "create in one's own name" => scene.create(&new),
        "create in another's name" => {
            new["owner_id"] = json!(scene.owner().id());
            scene.create(&new)
        }
        "create: say where the bytes are" => {
            new["storage_path"] = json!("somewhere/else");
            scene.create(&new)
        }
        "create: say that a post shows it" => {
            new["post_id"] = json!(scene.post("public"));
            scene.create(&new)
        }
        "update: say where the bytes are" => scene.update(
            &scene.upload("owner"),
            &json!({ "storage_path": "somewhere/else" }),
        ),
        "update: take over by changing the owner" => {
            scene.take_over(&scene.upload("owner"), "owner_id")
        }
        _ => return None,
    })
}

pub fn media_metadata(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    if action == "create" {
        return Some(scene.create(&json!({ "media_id": scene.upload("owner") })));
    }
    let (verb, what) = action.split_once(" of ")?;
    let found = json!({ "media_id": upload(scene, what)?, "labels": ["cat"] });
    let id = scene.person("admin").create("media_metadata", &found);
    Some(match verb {
        "read" => scene.read(&id),
        "list" => scene.list(&id),
        "update" => scene.update(&id, &json!({ "labels": ["dog"] })),
        "delete" => scene.delete(&id),
        _ => return None,
    })
}
