//! Rows about conversations, messages and notifications.

use serde_json::json;

use crate::{
    people::stage,
    scene::{Conversation, Scene},
};

/// A conversation as a row calls it.
fn conversation(scene: &Scene, what: &str) -> Option<String> {
    let archived = |conversation: Conversation| {
        let change = json!({ "state": "archived" });
        scene
            .person("creator")
            .update("conversations", &conversation.id, &change);
        conversation
    };
    let conversation = match what {
        "a direct conversation" => {
            let direct = scene.direct("member");
            if scene.who != "former" {
                // A block of somebody else is none of the creator's business.
                scene.person("member").says("blocked", &stage().pest);
            }
            direct
        }
        "a group" => scene.conversation("group", &[]),
        "a community" => scene.conversation("community", &[]),
        "an archived community" => archived(scene.conversation("community", &[])),
        "an announcement" => scene.conversation("announcement", &[]),
        _ => return None,
    };
    Some(conversation.id)
}

pub fn conversations(scene: &Scene, action: &str) -> Option<String> {
    if let Some(answer) = scene.looks(action, |what| conversation(scene, what)) {
        return Some(answer);
    }
    if let Some(what) = action.strip_prefix("see the last words of ") {
        let id = conversation(scene, what)?;
        scene.message("creator", &id);
        return Some(scene.see(&id, &["last_message_text"]));
    }
    let title = json!({ "title": "Book club" });
    if let Some(what) = action.strip_prefix("update the title of ") {
        let id = match what.strip_suffix(" with somebody who has blocked the creator") {
            None => conversation(scene, what)?,
            Some(what) => {
                let id = conversation(scene, what)?;
                let creator = scene.person("creator");
                scene.person("member").says("blocked", &creator);
                id
            }
        };
        return Some(scene.update(&id, &title));
    }
    let group = || scene.conversation("group", &[]).id;
    Some(match action {
        "create" => scene.create(&json!({ "type": "group", "title": "Book club" })),
        "create with last words" => {
            scene.create(&json!({ "type": "group", "last_message_text": "I said" }))
        }
        "update: end a group" => scene.update(&group(), &json!({ "state": "deleted" })),
        "update: make a direct conversation a community" => {
            scene.update(&scene.direct("member").id, &json!({ "type": "community" }))
        }
        "update: set the last words" => {
            scene.update(&group(), &json!({ "last_message_text": "I said" }))
        }
        "delete a group" => scene.delete(&group()),
        _ => return None,
    })
}

/// A conversation with a message of the sender, as a row calls it: its id and that of the message.
fn said(scene: &Scene, place: &str) -> Option<(String, String)> {
    let conversation = match place {
        "in a group" => scene.conversation("group", &["sender"]),
        "in a community" => scene.conversation("community", &["sender"]),
        "in a direct conversation" => scene.direct("sender"),
        _ => return None,
    };
    let message = scene.message("sender", &conversation.id);
    Some((conversation.id, message))
}

pub fn messages(scene: &Scene, action: &str) -> Option<String> {
    let find = |what: &str| said(scene, what).map(|(_, message)| message);
    if let Some(answer) = scene.looks(action, find) {
        return Some(answer);
    }
    if let Some(place) = action.strip_prefix("create in ") {
        return write(scene, place);
    }
    let change = json!({ "content": "I mean" });
    let after_leaving = || {
        let group = scene.conversation("group", &["sender"]);
        let message = scene.message("sender", &group.id);
        let path = format!("/conversation_members/{}", group.members["sender"]);
        scene.person("sender").delete(&path).expect(204);
        message
    };
    Some(match action {
        "update in a group" => scene.update(&find("in a group")?, &change),
        "update in a direct conversation with somebody who has blocked the sender" => {
            let message = find("in a direct conversation")?;
            scene
                .person("creator")
                .says("blocked", &scene.person("sender"));
            scene.update(&message, &change)
        }
        "update: take over by changing the owner" => {
            scene.take_over_from("sender", &find("in a group")?, "sender_id")
        }
        "update: move to another conversation" => {
            let message = find("in a group")?;
            let other = scene.conversation("group", &["sender"]).id;
            scene.update(&message, &json!({ "conversation_id": other }))
        }
        "update after having left" => scene.update(&after_leaving(), &change),
        "delete in a group" => scene.delete(&find("in a group")?),
        "delete in a direct conversation" => scene.delete(&find("in a direct conversation")?),
        "delete after having left" => scene.delete(&after_leaving()),
        _ => return None,
    })
}

/// Rows about writing somewhere.
fn write(scene: &Scene, place: &str) -> Option<String> {
    let me = scene.me();
    let in_state = |kind: &str, state: &str| {
        let group = scene.conversation(kind, &["sender"]);
        scene
            .person("creator")
            .update("conversations", &group.id, &json!({ "state": state }));
        group
    };
    // The two of a direct conversation, of whom one has blocked the other.
    let with_block = |by_me: bool| {
        let direct = scene.direct("sender");
        let other = match &*scene.who {
            "creator" => scene.person("sender"),
            _ => scene.person("creator"),
        };
        match by_me {
            true => me.says("blocked", &other),
            false => other.says("blocked", &me),
        }
        direct
    };
    let conversation = match place {
        "a group" => scene.conversation("group", &["sender"]),
        "a community" => scene.conversation("community", &["sender"]),
        "an announcement" => scene.conversation("announcement", &[]),
        "an archived group" => in_state("group", "archived"),
        "a group that has ended" => in_state("group", "deleted"),
        "an announcement that has ended" => in_state("announcement", "deleted"),
        "a group with somebody who has blocked the writer" => {
            let group = scene.conversation("group", &["themself"]);
            scene.person("themself").says("blocked", &me);
            group
        }
        "a direct conversation" => {
            let direct = scene.direct("sender");
            // Neither to follow each other nor a block by somebody else keeps anybody from writing.
            let (creator, sender) = (scene.person("creator"), scene.person("sender"));
            creator.says("following", &sender);
            sender.says("following", &creator);
            scene.person("pal").says("blocked", &creator);
            scene.person("pal").says("blocked", &sender);
            direct
        }
        "a direct conversation with somebody who has blocked the writer" => with_block(false),
        "a direct conversation with somebody whom the writer has blocked" => with_block(true),
        "another's name" => {
            let group = scene.conversation("group", &["sender"]);
            return Some(scene.create(&json!({
                "conversation_id": group.id,
                "content": "I was wrong",
                "sender_id": scene.person("sender").id(),
            })));
        }
        _ => return None,
    };
    Some(scene.create(&json!({ "conversation_id": conversation.id, "content": "Hello" })))
}

pub fn notifications(scene: &Scene, action: &str) -> Option<String> {
    let me = scene.me();
    if let Some(what) = action.strip_prefix("hear of a message") {
        let group = scene.conversation("group", &["sender"]);
        if what == " of somebody whom one has blocked" {
            me.says("blocked", &scene.person("sender"));
        }
        let message = scene.message("sender", &group.id);
        let told = me.find("notifications", &json!({ "payload.message_id": message }));
        return Some(if told.is_empty() { "unseen" } else { "seen" }.into());
    }
    let note = || {
        let note = json!({ "user_id": scene.owner().id(), "kind": "note" });
        scene.person("admin").create("notifications", &note)
    };
    Some(match action {
        "read" => scene.read(&note()),
        "list" => scene.list(&note()),
        "create for oneself" => scene.create(&json!({ "user_id": me.id(), "kind": "note" })),
        "create for another" => {
            scene.create(&json!({ "user_id": scene.owner().id(), "kind": "note" }))
        }
        "update: mark as read" => scene.update(&note(), &json!({ "read": true })),
        "update: say something else" => scene.update(&note(), &json!({ "kind": "like" })),
        "update: take over by changing the owner" => scene.take_over(&note(), "user_id"),
        "delete" => scene.delete(&note()),
        _ => return None,
    })
}
