//! Collections, drawn from a seed: in which order they are kept, by which fields, and who may read.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use fastrand::Rng;
use nubo_cache::{Memory, Shelves};
use nubo_core::{
    Result,
    bus::NoBus,
    caller::{Account, Caller},
    clock::{Clock, Random},
    id::Id,
    passwords::Passwords,
    schema::{Catalog, Collection},
    truth::Truth,
};
use nubo_sync::Tiers;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{mutant::Mutant, scheduler::Scheduler, storage::Stepping, truth::SimTruth};

/// 2026-11-21T21:45:00Z
const START: i64 = 1_795_297_500_000_000;

/// Everything that a run works with.
pub struct World {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<SimTruth>,
    pub storage: Arc<Stepping>,
    pub tiers: Arc<Tiers>,
    pub clock: Arc<SimClock>,
    pub scheduler: Scheduler,
}

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

/// Somebody who reads.
pub fn caller(number: u8) -> Caller {
    Caller::account(Account::new(person(number), Vec::new()))
}

impl World {
    /// The world of a seed.
    pub async fn new(
        random: &mut Rng,
        scheduler: Scheduler,
        mutant: Option<Mutant>,
    ) -> anyhow::Result<Self> {
        let catalog = Arc::new(catalog(random)?);
        let clock = Arc::new(SimClock {
            micros: AtomicI64::new(START),
            scheduler: scheduler.clone(),
        });
        let memory = Memory::divided(1, &catalog, clock.clone(), usize::MAX);
        let storage = Arc::new(Stepping::new(memory, scheduler.clone(), mutant));
        let cache = Arc::new(Shelves::new(catalog.clone(), storage.clone()));
        let counting = Arc::new(Counting::default());
        let truth = Arc::new(SimTruth::new(
            catalog.clone(),
            clock.clone(),
            counting.clone(),
            scheduler.clone(),
            mutant,
        ));
        truth.start(vec![cache.clone()]).await?;
        let tiers = Tiers::new(
            catalog.clone(),
            truth.clone(),
            Arc::new(NoBus),
            Arc::new(NoPasswords),
            clock.clone(),
            counting,
        );
        let tiers = tiers
            .with_cache(cache)
            .flawed(mutant.and_then(Mutant::flaw));
        Ok(Self {
            catalog,
            truth,
            storage,
            tiers: Arc::new(tiers),
            clock,
            scheduler,
        })
    }

    /// A collection.
    pub fn named(&self, name: &str) -> &Arc<Collection> {
        match self.catalog.named(name) {
            Some(found) => found,
            // The names are those below.
            None => &self.catalog.collections()[0],
        }
    }
}

fn catalog(random: &mut Rng) -> anyhow::Result<Catalog> {
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

/// Goes on as steps are made, sometimes not at all and sometimes backwards.
pub struct SimClock {
    micros: AtomicI64,
    scheduler: Scheduler,
}

impl Clock for SimClock {
    fn micros(&self) -> i64 {
        let by = self.scheduler.draw(|random| match random.u8(..10) {
            0 => -3_000,
            1..=5 => 0,
            _ => random.i64(1..4_000),
        });
        self.micros.fetch_add(by, Ordering::Relaxed) + by
    }
}

/// Counts, so that a run is the same every time.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().rev().zip(number.iter().rev()) {
            *to = *from;
        }
    }
}

struct NoPasswords;

#[async_trait]
impl Passwords for NoPasswords {
    async fn hash(&self, password: String) -> Result<String> {
        Ok(password)
    }

    fn refusal(&self, _: &str) -> Option<(&'static str, String)> {
        None
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        Ok(password == hash)
    }
}
