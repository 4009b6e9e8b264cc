//! Rows about who takes part in a conversation.

use serde_json::{Value as Json, json};

use crate::{people::Person, scene::Scene};

pub fn conversation_members(scene: &Scene, action: &str) -> Option<String> {
    let themself = |what: &str| {
        let kind = match what {
            "a member of a group" => "group",
            "a member of a community" => "community",
            _ => return None,
        };
        let conversation = scene.conversation(kind, &["themself", "manager"]);
        Some(conversation.members["themself"].clone())
    };
    if let Some(answer) = scene.looks(action, themself) {
        return Some(answer);
    }
    if let Some(what) = action.strip_prefix("create: join ") {
        return join(scene, what);
    }
    if let Some(what) = action.strip_prefix("create: add ") {
        return add(scene, what);
    }
    if let Some(what) = action.strip_prefix("create: write to an owner who lets ") {
        return write_to_owner(scene, what);
    }
    let group = || scene.conversation("group", &["themself", "manager"]);
    Some(match action {
        "see how much a member has not read" => {
            scene.see(&group().members["themself"], &["unread_count"])
        }
        "create: open a conversation, as its creator" => {
            scene.create(&json!({ "conversation_id": empty(scene), "role": "creator" }))
        }
        "create: open a conversation, as a plain member" => {
            scene.create(&json!({ "conversation_id": empty(scene), "role": "member" }))
        }
        "create: open a conversation with somebody else as its creator" => {
            let other = scene.person("newcomer").id();
            let id = empty(scene);
            scene.create(&json!({ "conversation_id": id, "user_id": other, "role": "creator" }))
        }
        "create: become creator of a group that all have left after something was said" => {
            let group = scene.conversation("group", &[]);
            scene.message("creator", &group.id);
            let path = format!("/conversation_members/{}", group.members["creator"]);
            scene.person("creator").delete(&path).expect(204);
            scene.create(&json!({ "conversation_id": group.id, "role": "creator" }))
        }
        "create: become creator of a group that has members" => {
            // Whoever is in it already would be there twice; only a way around the rules gets there.
            scene.create(&json!({ "conversation_id": group().id, "role": "creator" }))
        }
        "delete a member of a group" => scene.delete(&group().members["themself"]),
        "delete the creator of a group" => scene.delete(&group().members["creator"]),
        "delete the other of a direct conversation" => {
            scene.delete(&scene.direct("themself").members["themself"])
        }
        _ => return update(scene, action),
    })
}

/// A new conversation that nobody takes part in yet, of the one who tries something.
fn empty(scene: &Scene) -> String {
    let me = scene.me();
    let opener = if me.has_account() {
        me
    } else {
        scene.person("creator")
    };
    opener.create("conversations", &json!({ "type": "group" }))
}

fn update(scene: &Scene, action: &str) -> Option<String> {
    let group = || scene.conversation("group", &["themself", "manager"]);
    let change = |part: &str, change: Json| scene.update(&group().members[part], &change);
    Some(match action {
        "update: make a member an admin" => change("themself", json!({ "role": "admin" })),
        "update: make a member the creator" => change("themself", json!({ "role": "creator" })),
        "update: put down the creator" => change("creator", json!({ "role": "member" })),
        "update: have read everything" => {
            let group = group();
            scene.message("creator", &group.id);
            scene.update(&group.members["themself"], &json!({ "unread_count": 0 }))
        }
        "update: take over by changing the owner" => {
            scene.take_over_from("themself", &group().members["themself"], "user_id")
        }
        "update: move to another conversation" => {
            let member = group().members["themself"].clone();
            scene.update(&member, &json!({ "conversation_id": group().id }))
        }
        _ => return None,
    })
}

/// Rows about adding oneself.
fn join(scene: &Scene, what: &str) -> Option<String> {
    let me = scene.me();
    let archived = || {
        let community = scene.conversation("community", &[]);
        let change = json!({ "state": "archived" });
        scene
            .person("creator")
            .update("conversations", &community.id, &change);
        community
    };
    let conversation = match what {
        "a direct conversation" => scene.direct("member"),
        "a group" => scene.conversation("group", &[]),
        "an announcement" => scene.conversation("announcement", &[]),
        "a community" | "a community as its admin" => {
            let community = scene.conversation("community", &[]);
            if scene.who != "creator" {
                // To follow somebody keeps them from nothing.
                scene.person("creator").says("following", &me);
            }
            community
        }
        "a community whose creator has blocked who joins" => {
            let community = scene.conversation("community", &[]);
            scene.person("creator").says("blocked", &me);
            community
        }
        "an archived community" => archived(),
        _ => return None,
    };
    let mut membership = json!({ "conversation_id": conversation.id });
    if what == "a community as its admin" {
        membership["role"] = json!("admin");
    }
    Some(scene.create(&membership))
}

/// Rows about adding somebody else.
fn add(scene: &Scene, what: &str) -> Option<String> {
    let (me, newcomer) = (scene.me(), scene.person("newcomer"));
    let (kind, role) = match what {
        "somebody to a group as its admin" => ("group", "admin"),
        "somebody to a group as its creator" => ("group", "creator"),
        "somebody to a community" => ("community", "member"),
        "a third to a direct conversation"
        | "another to a direct conversation that its creator has left"
        | "another to a direct conversation that somebody has left" => ("direct", "member"),
        _ => ("group", "member"),
    };
    let conversation = match kind {
        "direct" => scene.direct("member"),
        kind => scene.conversation(kind, &["themself"]),
    };
    let befriend = |newcomer: &Person| newcomer.says("friend", &me);
    match what {
        "somebody who has blocked who adds them" => newcomer.says("blocked", &me),
        "somebody whom who adds them has blocked" => me.says("blocked", &newcomer),
        "somebody who lets only friends write" => {
            newcomer.prefers("messages", "friends");
            newcomer.says("friend", &scene.person("pal"));
        }
        "somebody who lets friends write, as their friend" => {
            newcomer.prefers("messages", "friends");
            befriend(&newcomer);
        }
        "somebody who lets nobody write, as their friend" => {
            newcomer.prefers("messages", "private");
            befriend(&newcomer);
        }
        "another to a direct conversation that somebody has left" => {
            // Something was said in it that is not for whoever comes next.
            scene.message("creator", &conversation.id);
            let path = format!("/conversation_members/{}", conversation.members["member"]);
            scene.person("member").delete(&path).expect(204);
        }
        "another to a direct conversation that its creator has left" => {
            let path = format!("/conversation_members/{}", conversation.members["creator"]);
            scene.person("creator").delete(&path).expect(204);
        }
        // A block by somebody else is none of this one's business.
        "somebody to a group" => scene.person("pal").says("blocked", &newcomer),
        "somebody to a group as its admin"
        | "somebody to a group as its creator"
        | "somebody to a community"
        | "a third to a direct conversation" => {}
        _ => return None,
    }
    Some(scene.create(&json!({
        "conversation_id": conversation.id, "user_id": newcomer.id(), "role": role,
    })))
}

/// Rows about opening a direct conversation with the owner of an account.
fn write_to_owner(scene: &Scene, whom: &str) -> Option<String> {
    let setting = match whom {
        "everybody" | "everybody, in a conversation that has ended" => "public",
        "friends" => "friends",
        "nobody" => "private",
        _ => return None,
    };
    let (me, owner) = (scene.me(), scene.owner());
    owner.prefers("messages", setting);
    owner.says("friend", &scene.person("pal"));
    let opener = if me.has_account() {
        me
    } else {
        scene.person("creator")
    };
    let id = opener.create("conversations", &json!({ "type": "direct" }));
    opener.create(
        "conversation_members",
        &json!({ "conversation_id": id, "role": "creator" }),
    );
    if whom.ends_with("has ended") {
        opener.update("conversations", &id, &json!({ "state": "deleted" }));
    }
    Some(scene.create(&json!({ "conversation_id": id, "user_id": owner.id() })))
}
