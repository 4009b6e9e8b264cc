//! The collections of a run, drawn from a seed, and what is there at first.

use fastrand::Rng;
use nubo_core::{id::Id, schema::Catalog};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::WINDOW;
use crate::workload;

/// People, rooms, memberships and notes: few enough that everybody meets everybody.
pub fn person(number: u8) -> Id {
    id(1, number)
}

pub fn room(number: u8) -> Id {
    id(2, number)
}

pub fn member(number: u8) -> Id {
    id(3, number)
}

pub fn note(number: u8) -> Id {
    id(4, number)
}

fn id(kind: u8, number: u8) -> Id {
    let uuid = Uuid::from_u128((u128::from(kind) << 8) | u128::from(number));
    Id::from_uuid(uuid)
}
/// What was there before anybody took notes for a recent tier: some notes, within its window for the most
/// part, and some of them created at the same time.
pub(super) fn old(random: &mut Rng) -> Vec<(&'static str, Id, Json, i64)> {
    let ages = [random.i64(0..WINDOW.0), random.i64(0..WINDOW.0 * 5 / 4)];
    let notes = (0..workload::NOTES).filter(|_| random.bool());
    let notes: Vec<u8> = notes.collect();
    let old = notes.into_iter().map(|number| {
        let document = workload::document(random);
        ("notes", note(number), document, ages[random.usize(..2)])
    });
    old.collect()
}

pub(super) fn catalog(random: &mut Rng, has_recent: bool) -> anyhow::Result<Catalog> {
    let membership = |condition: Json| json!({ "room": { "$in": { "$select": "members.room", "$where": condition } } });
    let rules = [
        json!("public"),
        membership(json!({ "person": "$auth.id" })),
        json!([
            "owner",
            membership(json!({ "person": "$auth.id", "role": 1 }))
        ]),
        json!({ "$nor": [membership(json!({ "person": "$auth.id", "role": 2 }))] }),
        membership(json!({ "person": "$auth.id", "room":
            { "$in": { "$select": "rooms.id", "$where": { "open": true } } } })),
        json!({ "$or": [{ "state": 0 }, membership(json!({ "person": "$auth.id" }))] }),
    ];
    let orders = [
        json!("-created_at"),
        json!("-rank"),
        json!("rank"),
        json!(["state", "-created_at"]),
        json!(["-rank", "created_at"]),
    ];
    let mut sets = vec!["room", "author", "state", "tags"];
    sets.retain(|_| random.u8(..3) > 0);
    let mut member_sets = vec!["room", "person"];
    member_sets.retain(|_| random.bool());
    let order = orders[random.usize(..orders.len())].clone();
    let rule = rules[random.usize(..rules.len())].clone();
    let entered = json!({ "$select": "members.room", "$where": { "person": "$auth.id" } });
    let room_rule = match random.u8(..3) {
        0 => json!({ "id": { "$in": entered } }),
        1 => json!({ "open": true }),
        _ => json!("public"),
    };
    let mask = match random.bool() {
        true => json!("owner"),
        false => membership(json!({ "person": "$auth.id" })),
    };
    let on_delete = ["cascade", "set_null"][random.usize(..2)];
    let mut notes = json!({
        "name": "notes", "owner": "author", "order": order,
        "fields": {
            "room": { "type": "ref", "to": "rooms", "on_delete": on_delete },
            "author": "uuid",
            "rank": "int",
            "state": "int",
            "tags": "text[]",
            "body": "text",
            "secret": { "type": "text", "readable_by": mask },
        },
        "access": { "read": rule },
        "tiers": { "cache": { "sets": sets } },
    });
    if random.u8(..6) == 0 {
        notes["tiers"]["cache"]["expires"] = json!("50ms");
    }
    let mut members = json!({
        "name": "members",
        "fields": { "room": "uuid!", "person": "uuid!", "role": "int" },
        "access": { "read": "public" },
        "tiers": { "cache": { "sets": member_sets } },
    });
    if random.u8(..5) == 0 {
        members["tiers"] = json!({});
    }
    let rooms = json!({
        "name": "rooms",
        "fields": { "open": "bool", "notes": "int" },
        "access": { "read": room_rule },
        "tiers": { "cache": { "sets": [] } },
    });
    if has_recent {
        // What goes on behind the recent tier is newest first.
        if random.u8(..4) > 0 {
            notes["order"] = orders[0].clone();
        }
        if random.u8(..3) == 0 {
            notes["tiers"] = json!({});
        }
        notes["tiers"]["recent"] = json!({ "window": WINDOW.1 });
        if random.bool() {
            members["tiers"]["recent"] = json!({ "window": WINDOW.1 });
        }
    }
    for (declaration, effects) in [
        (&mut notes, note_effects()),
        (&mut members, member_effects()),
    ] {
        let drawn: Vec<Json> = effects.into_iter().filter(|_| random.bool()).collect();
        declaration["effects"] = drawn.into();
    }
    let declarations = serde_json::from_value::<Vec<_>>(json!([notes, members, rooms]))?;
    Catalog::compile(&declarations, &[])
        .map_err(|mistakes| anyhow::anyhow!("the collections are wrong: {mistakes:?}"))
}

/// Rooms count their notes, and tell all of them when one has gone.
fn note_effects() -> Vec<Json> {
    let room = json!({ "id": "$doc.room" });
    let counts = |on: &str, by: i64| json!({ "on": on, "update": "rooms", "where": room, "change": { "$inc": { "notes": by } } });
    vec![
        counts("create", 1),
        counts("delete", -1),
        json!({ "on": "delete", "when": { "state": 1 }, "update": "notes",
            "where": { "room": "$doc.room" }, "set": { "rank": 2 } }),
        json!({ "on": "update", "when": { "rank": { "$gte": 3 } }, "delete": "notes",
            "where": { "id": "$doc.id" } }),
    ]
}

/// Whoever comes into a room finds what they wrote there, and takes it along on leaving.
fn member_effects() -> Vec<Json> {
    let theirs = json!({ "room": "$doc.room", "author": "$doc.person" });
    vec![
        json!({ "on": "create", "for_each": { "in": "notes", "where": theirs },
            "update": "notes", "where": { "id": "$each.id" }, "set": { "state": 1, "body": "again" } }),
        json!({ "on": "delete", "delete": "notes", "where": theirs }),
        json!({ "on": "delete", "create": "notes",
            "set": { "room": "$doc.room", "state": 0, "body": "has left" } }),
    ]
}
