//! Rows about reports and logs.

use serde_json::{Value as Json, json};

use crate::{
    people::{AUDIT_ENTRY, stage},
    scene::Scene,
};

pub fn reports(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    let report = |extra: &[(&str, Json)]| {
        let target = scene.person("target").id();
        let mut report = json!({ "target_type": 3, "target_id": target, "reason": "Spam" });
        for (field, value) in extra {
            report[*field] = value.clone();
        }
        report
    };
    let made = || scene.owner().create("reports", &report(&[]));
    Some(match action {
        "read" => scene.read(&made()),
        "list" => scene.list(&made()),
        "create in one's own name" => scene.create(&report(&[])),
        "create in another's name" => {
            scene.create(&report(&[("actor_id", json!(scene.owner().id()))]))
        }
        "create one that is resolved" => scene.create(&report(&[("state", json!("resolved"))])),
        "update the state" => scene.update(&made(), &json!({ "state": "reviewed" })),
        "update the reason" => scene.update(&made(), &json!({ "reason": "None" })),
        "update: take over by changing the owner" => scene.take_over(&made(), "actor_id"),
        "delete" => scene.delete(&made()),
        _ => return None,
    })
}

pub fn admin_actions(scene: &Scene, action: &str) -> Option<String> {
    scene.cast("owner", stage().colleague.clone());
    let noted = || {
        scene
            .owner()
            .create("admin_actions", &json!({ "action": "ban" }))
    };
    Some(match action {
        "read" => scene.read(&noted()),
        "list" => scene.list(&noted()),
        "create in one's own name" => scene.create(&json!({ "action": "ban" })),
        "create in another's name" => {
            scene.create(&json!({ "action": "ban", "admin_id": scene.owner().id() }))
        }
        "update" => scene.update(&noted(), &json!({ "action": "praise" })),
        "delete" => scene.delete(&noted()),
        _ => return None,
    })
}

pub fn audit_logs(scene: &Scene, action: &str) -> Option<String> {
    Some(match action {
        "read" => scene.read(AUDIT_ENTRY),
        "list" => scene.list(AUDIT_ENTRY),
        "create" => scene.create(&json!({ "action": "update" })),
        "update" => scene.update(AUDIT_ENTRY, &json!({ "action": "nothing" })),
        "delete" => scene.delete(AUDIT_ENTRY),
        _ => return None,
    })
}

pub fn user_activity_logs(scene: &Scene, action: &str) -> Option<String> {
    scene.me();
    let noted = || {
        scene
            .owner()
            .create("user_activity_logs", &json!({ "event": "screen_opened" }))
    };
    Some(match action {
        "read" => scene.read(&noted()),
        "list" => scene.list(&noted()),
        "create in one's own name" => scene.create(&json!({ "event": "screen_opened" })),
        "create in another's name" => {
            scene.create(&json!({ "event": "signed_out", "user_id": scene.owner().id() }))
        }
        "update" => scene.update(&noted(), &json!({ "event": "nothing" })),
        "delete" => scene.delete(&noted()),
        _ => return None,
    })
}
