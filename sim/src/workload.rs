//! What clients do: a list of actions for each, drawn before anything runs, so that a failing history
//! can be made shorter by leaving actions out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use fastrand::Rng;
use nubo_core::{
    caller::Caller,
    change::read_patch,
    field::Source,
    filter::{Expr, Reader},
    id::Id,
    query::{Query, Start},
    schema::{Collection, CollectionId},
    store::{Expansion, ExpansionKind, Store, Tier},
    value::Value,
    write::{Guard, Operation, Target},
};
use nubo_sync::Tiers;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use crate::{
    scheduler::{Moment, WORLD},
    world::{self, World},
};

/// How many of each there are.
pub const NOTES: u8 = 5;
pub const ROOMS: u8 = 2;
pub const PEOPLE: u8 = 2;
pub const MEMBERS: u8 = 4;

/// What one client does, in this order.
#[derive(Debug, Clone)]
pub struct Client {
    pub actions: Vec<Action>,
}

/// Something that a client does.
#[derive(Debug, Clone)]
pub enum Action {
    /// A transaction.
    Write(Vec<Write>),
    Get {
        caller: Option<u8>,
        collection: &'static str,
        id: Id,
        /// Only if it is another than the one that the client has, as with `If-None-Match`.
        if_new: bool,
    },
    List {
        caller: Option<u8>,
        filter: Json,
        limit: u32,
        /// Whether it goes on where the list before has ended.
        continues: bool,
        expand: bool,
        /// In another order than the collection's.
        other_order: bool,
    },
    /// Throws out a document or a set.
    Evict,
    /// Throws out everything.
    Clear,
    /// Does nothing for so many milliseconds.
    Wait(i64),
}

/// A part of a transaction.
#[derive(Debug, Clone)]
pub enum Write {
    Create(&'static str, Id, Json),
    Change(&'static str, Id, Json),
    ChangeMany(&'static str, Json, Json),
    Delete(&'static str, Id),
    DeleteMany(&'static str, Json),
}

/// Draws what everybody does.
pub fn draw(random: &mut Rng) -> Vec<Client> {
    let clients = random.usize(3..8);
    let actions = |random: &mut Rng| {
        let count = random.usize(2..9);
        (0..count).map(|_| action(random)).collect()
    };
    let mut all: Vec<Client> = (0..clients)
        .map(|_| Client {
            actions: actions(random),
        })
        .collect();
    if random.u8(..3) == 0 {
        all.push(Client {
            actions: vec![Action::Evict; random.usize(5..30)],
        });
    }
    if random.u8(..3) == 0 {
        all.extend(expulsion(random));
    }
    if random.u8(..3) == 0 {
        all.extend(wandering(random));
    }
    all
}

/// A note goes from one room to another and back, while both are looked at and things are thrown
/// out.
fn wandering(random: &mut Rng) -> [Client; 3] {
    let note = world::note(random.u8(..NOTES));
    let (here, there) = (world::room(0).to_string(), world::room(1).to_string());
    let mut goes = vec![Action::Write(vec![Write::Create(
        "notes",
        note,
        json!({ "room": here, "state": 0 }),
    )])];
    let (mut looks, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..random.usize(2..6) {
        for room in [&there, &here] {
            let change = Write::Change("notes", note, json!({ "room": room }));
            goes.push(Action::Write(vec![change]));
            looks.push(Action::List {
                caller: None,
                filter: json!({ "room": room }),
                limit: 3,
                continues: false,
                expand: false,
                other_order: false,
            });
            reads.push(Action::Get {
                caller: None,
                collection: "notes",
                id: note,
                if_new: false,
            });
        }
        reads.push(Action::Evict);
    }
    [goes, looks, reads].map(|actions| Client { actions })
}

/// Somebody is put out of a room before something is said there, again and again, while they look.
fn expulsion(random: &mut Rng) -> [Client; 2] {
    let who = random.u8(..PEOPLE);
    let room = room(random);
    let note = world::note(random.u8(..NOTES));
    let member = world::member(random.u8(..MEMBERS));
    let said = |random: &mut Rng| random.u16(..).to_string();
    let mut acts = vec![Action::Write(vec![Write::Create(
        "notes",
        note,
        json!({ "room": room, "state": 1, "body": said(random), "secret": said(random) }),
    )])];
    let mut looks = Vec::new();
    for _ in 0..random.usize(2..5) {
        let membership = json!({
            "room": room, "person": world::person(who).to_string(), "role": random.u8(..3) });
        acts.push(Action::Write(vec![Write::Create(
            "members", member, membership,
        )]));
        acts.push(Action::Write(vec![Write::Delete("members", member)]));
        let change = json!({ "body": said(random) });
        acts.push(Action::Write(vec![Write::Change("notes", note, change)]));
        looks.extend((0..3).map(|_| Action::Get {
            caller: Some(who),
            collection: "notes",
            id: note,
            if_new: true,
        }));
    }
    [Client { actions: acts }, Client { actions: looks }]
}

/// Something that anybody may do.
pub fn action(random: &mut Rng) -> Action {
    let caller = |random: &mut Rng| match random.u8(..8) {
        0 => None,
        _ => Some(random.u8(..PEOPLE)),
    };
    match random.u8(..20) {
        0..=7 => Action::Write(transaction(random)),
        8..=11 => {
            let (collection, id) = match random.u8(..10) {
                0 => ("members", world::member(random.u8(..MEMBERS))),
                1 => ("rooms", world::room(random.u8(..ROOMS))),
                _ => ("notes", world::note(random.u8(..NOTES))),
            };
            Action::Get {
                caller: caller(random),
                collection,
                id,
                if_new: random.bool(),
            }
        }
        12..=17 => Action::List {
            caller: caller(random),
            filter: filter(random),
            limit: random.u32(1..4),
            continues: random.u8(..3) == 0,
            expand: random.u8(..6) == 0,
            other_order: random.u8(..12) == 0,
        },
        18 => Action::Evict,
        _ => match random.u8(..3) {
            0 => Action::Clear,
            _ => Action::Evict,
        },
    }
}

fn transaction(random: &mut Rng) -> Vec<Write> {
    let parts = match random.u8(..6) {
        0 => 3,
        1 => 2,
        _ => 1,
    };
    (0..parts).map(|_| write(random)).collect()
}

fn write(random: &mut Rng) -> Write {
    let note = world::note(random.u8(..NOTES));
    let member = world::member(random.u8(..MEMBERS));
    match random.u8(..20) {
        0..=4 => Write::Create("notes", note, document(random)),
        5..=8 => Write::Change("notes", note, change(random)),
        9 => {
            // Replaced: nothing of it stays.
            let mut document = document(random);
            for name in ["room", "author", "rank", "state", "tags", "body", "secret"] {
                if document.get(name).is_none() {
                    document[name] = Json::Null;
                }
            }
            Write::Change("notes", note, document)
        }
        10..=11 => Write::Delete("notes", note),
        12 => Write::ChangeMany("notes", filter(random), change(random)),
        13 => Write::DeleteMany("notes", json!({ "room": room(random) })),
        14..=15 => Write::Create(
            "members",
            member,
            json!({ "room": room(random), "person": person(random), "role": random.u8(..3) }),
        ),
        16 => Write::Change("members", member, json!({ "role": random.u8(..3) })),
        17 => Write::Delete("members", member),
        18 if random.u8(..3) == 0 => Write::Delete("rooms", world::room(random.u8(..ROOMS))),
        18 => Write::Create(
            "rooms",
            world::room(random.u8(..ROOMS)),
            json!({ "open": random.bool() }),
        ),
        _ => Write::Change(
            "rooms",
            world::room(random.u8(..ROOMS)),
            json!({ "open": random.bool() }),
        ),
    }
}

fn room(random: &mut Rng) -> String {
    world::room(random.u8(..ROOMS)).to_string()
}

fn person(random: &mut Rng) -> String {
    world::person(random.u8(..PEOPLE)).to_string()
}

/// A note.
pub fn document(random: &mut Rng) -> Json {
    let mut document = json!({
        "body": random.u16(..).to_string(),
        "rank": random.u8(..3),
        "state": random.u8(..2),
    });
    if random.u8(..8) > 0 {
        document["room"] = room(random).into();
    }
    if random.bool() {
        document["author"] = person(random).into();
        document["secret"] = random.u16(..).to_string().into();
    }
    match random.u8(..4) {
        0 => document["tags"] = json!(["a"]),
        1 => document["tags"] = json!(["a", "b"]),
        2 => document["tags"] = json!([]),
        _ => {}
    }
    document
}

/// A change of a note.
pub fn change(random: &mut Rng) -> Json {
    match random.u8(..6) {
        0 => json!({ "room": room(random) }),
        1 => json!({ "rank": random.u8(..3) }),
        2 => json!({ "state": random.u8(..2), "body": random.u16(..).to_string() }),
        3 => json!({ "$inc": { "rank": 1 } }),
        4 => json!({ "tags": ["b"] }),
        _ => json!({ "author": person(random), "secret": random.u16(..).to_string() }),
    }
}

fn filter(random: &mut Rng) -> Json {
    match random.u8(..12) {
        0 | 1 => json!({}),
        2..=4 => json!({ "room": room(random) }),
        5 => json!({ "room": { "$in": [room(random), world::room(0).to_string(), null] } }),
        6 => json!({ "author": person(random) }),
        7 => json!({ "state": random.u8(..2) }),
        8 => json!({ "room": room(random), "state": random.u8(..2) }),
        9 => json!({ "tags": "a" }),
        10 => json!({ "room": null }),
        _ => json!({ "id": { "$in": [
            world::note(0).to_string(), world::note(random.u8(..NOTES)).to_string()] } }),
    }
}

/// What somebody was told.
#[derive(Debug, Clone)]
pub struct Observed {
    pub client: usize,
    pub from: Moment,
    pub to: Moment,
    pub caller: Caller,
    pub what: What,
    /// Whether the cache gave the answer.
    pub cached: bool,
    /// Whether the recent tier did.
    pub recent: bool,
}

/// A question and its answer.
#[derive(Debug, Clone)]
pub enum What {
    One {
        collection: CollectionId,
        id: Id,
        found: Option<(Json, i64)>,
    },
    List {
        query: Query,
        documents: Vec<Json>,
        next: Option<Vec<Value>>,
    },
    /// An answer that nobody should get.
    Error(String),
}

/// All answers.
#[derive(Clone, Default)]
pub struct Observations(Arc<Mutex<Vec<Observed>>>);

impl Observations {
    fn add(&self, observed: Observed) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(observed);
    }

    /// All answers so far.
    pub fn all(&self) -> Vec<Observed> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What a client remembers between its actions.
#[derive(Clone, Default)]
struct Memory {
    /// Where the list before has ended, and which list that was.
    ended: Option<(Json, Vec<Value>)>,
    /// The documents that it has, and as whom it got them.
    kept: BTreeMap<(Option<u8>, &'static str, Id), (Json, i64)>,
}

/// Does what a client does: each action on any of the processes, which may die over it.
pub async fn run(world: Arc<World>, number: usize, client: Client, observations: Observations) {
    let mut memory = Memory::default();
    for action in client.actions {
        if let Action::Wait(millis) = action {
            world
                .scheduler
                .sleep(world.clock.steps(millis * 1_000))
                .await;
            continue;
        }
        let instance = loop {
            match world.any() {
                Some(instance) => break instance,
                // The only one is dead, and another one about to start.
                None => world.scheduler.step("nobody is there").await,
            }
        };
        let acting = act(
            world.clone(),
            instance.tiers.clone(),
            number,
            action,
            std::mem::take(&mut memory),
            observations.clone(),
        );
        if instance.group == WORLD {
            memory = acting.await;
            continue;
        }
        let (done, end) = oneshot::channel();
        world
            .scheduler
            .spawn_in(instance.group, format!("request {number}"), async move {
                // Who waits for it is there to the end.
                done.send(acting.await).ok();
            });
        memory = end.await.unwrap_or_default();
    }
}

async fn act(
    world: Arc<World>,
    tiers: Arc<Tiers>,
    number: usize,
    action: Action,
    mut memory: Memory,
    observations: Observations,
) -> Memory {
    world.scheduler.step("begin an action").await;
    world.scheduler.note(|| format!("{action:?}"));
    match action {
        Action::Write(writes) => {
            let operations: Vec<Operation> =
                writes.iter().filter_map(|w| operation(&world, w)).collect();
            // What became of it is in the history.
            let result = tiers.write(&Caller::Server, operations).await;
            world.scheduler.note(|| match result {
                Ok(_) => "is told that it is written".into(),
                Err(error) => format!("is told {error}"),
            });
        }
        Action::Get {
            caller,
            collection,
            id,
            if_new,
        } => {
            let whose = (caller, collection, id);
            let caller = caller.map_or(Caller::Server, world::caller);
            let known = memory.kept.remove(&whose).filter(|_| if_new);
            let got = get(&world, &tiers, number, caller, (collection, id), known);
            if let Some(got) = got.await.noted(&observations) {
                memory.kept.insert(whose, got);
            }
        }
        Action::List {
            caller,
            filter,
            limit,
            continues,
            expand,
            other_order,
        } => {
            let collection = world.named("notes");
            let start = match (&memory.ended, continues && !other_order) {
                (Some((of, keys)), true) if *of == filter => Start::After(keys.clone()),
                _ => Start::First,
            };
            let Some(query) = query(&world, collection, &filter, start, limit, other_order) else {
                return memory;
            };
            let caller = caller.map_or(Caller::Server, world::caller);
            let listed = list(&world, &tiers, number, caller, query, expand);
            let next = listed.await.noted(&observations);
            if !other_order {
                memory.ended = next.map(|keys| (filter, keys));
            }
        }
        Action::Evict => match (world.storage(), &world.redis) {
            (Some(storage), _) => storage.evict_any().await,
            (None, Some(redis)) => redis.evict_any().await,
            (None, None) => {}
        },
        Action::Clear => {
            use nubo_cache::Storage as _;
            if let Some(storage) = world.storage()
                && let Err(error) = storage.clear().await
            {
                world.scheduler.note(|| format!("cannot clear: {error}"));
            }
        }
        Action::Wait(_) => {}
    }
    memory
}

/// An answer, and what a client keeps of it.
pub struct Told<T> {
    observed: Observed,
    kept: Option<T>,
}

impl<T> Told<T> {
    /// Notes the answer.
    pub fn noted(self, observations: &Observations) -> Option<T> {
        observations.add(self.observed);
        self.kept
    }
}

/// Reads one document: what the client has in the end. Where that is still the newest version it keeps
/// what it knows, as after `304 Not Modified`.
pub async fn get(
    world: &World,
    tiers: &Tiers,
    client: usize,
    caller: Caller,
    (name, id): (&str, Id),
    known: Option<(Json, i64)>,
) -> Told<(Json, i64)> {
    let collection = world.named(name);
    let from = world.scheduler.now();
    let answer = tiers.get(&caller, collection.id, id).await;
    let to = world.scheduler.now();
    let tier = answer
        .as_ref()
        .ok()
        .and_then(|a| a.as_ref())
        .map(|a| a.tier);
    let what = match answer {
        Ok(answer) => {
            let found = answer.map(|answer| {
                let revision = answer.content.revision.number();
                let kept =
                    known.filter(|(_, known)| *known == revision && collection.looks_the_same());
                kept.unwrap_or_else(|| {
                    let json = serde_json::from_slice(&answer.content.json).unwrap_or_default();
                    (json, revision)
                })
            });
            What::One {
                collection: collection.id,
                id,
                found,
            }
        }
        Err(error) => What::Error(error.to_string()),
    };
    world.scheduler.note(|| format!("is told {}", told(&what)));
    let kept = match &what {
        What::One { found, .. } => found.clone(),
        _ => None,
    };
    let observed = Observed {
        client,
        from,
        to,
        caller,
        what,
        cached: tier == Some(Tier::Cache),
        recent: tier == Some(Tier::Recent),
    };
    Told { observed, kept }
}

/// Reads a list. Where it goes on.
pub async fn list(
    world: &World,
    tiers: &Tiers,
    client: usize,
    caller: Caller,
    query: Query,
    expand: bool,
) -> Told<Vec<Value>> {
    let notes = world.named("notes");
    let expansions = match (expand, notes.field_named("room")) {
        (true, Some((field, _))) => vec![Expansion {
            name: "room".into(),
            kind: ExpansionKind::Forward {
                field,
                target: world.named("rooms").id,
            },
            inner: Vec::new(),
        }],
        _ => Vec::new(),
    };
    let from = world.scheduler.now();
    let answer = tiers.list(&caller, query.clone(), &expansions).await;
    let to = world.scheduler.now();
    let tier = answer.as_ref().ok().map(|answer| answer.tier);
    let (what, next) = match answer {
        Ok(answer) => {
            let page = answer.content;
            let json = [b"[", &page.documents[..], b"]"].concat();
            let documents = serde_json::from_slice(&json).unwrap_or_default();
            let what = What::List {
                query,
                documents,
                next: page.next.clone(),
            };
            (what, page.next)
        }
        Err(error) => (What::Error(error.to_string()), None),
    };
    world.scheduler.note(|| format!("is told {}", told(&what)));
    let observed = Observed {
        client,
        from,
        to,
        caller,
        what,
        cached: tier == Some(Tier::Cache),
        recent: tier == Some(Tier::Recent),
    };
    Told {
        observed,
        kept: next,
    }
}

fn told(what: &What) -> String {
    match what {
        What::One { found: None, .. } => "that there is none".into(),
        What::One {
            found: Some((json, _)),
            ..
        } => json.to_string(),
        What::List {
            documents, next, ..
        } => format!("{} next {next:?}", Json::from(documents.clone())),
        What::Error(error) => error.clone(),
    }
}

/// A list of notes.
pub fn query(
    world: &World,
    collection: &Collection,
    filter: &Json,
    start: Start,
    limit: u32,
    other_order: bool,
) -> Option<Query> {
    let filter = expr(world, collection, filter)?;
    let sort = match other_order {
        true => collection.read_sort("state,-id").ok()?,
        false => collection.order.clone(),
    };
    Some(Query {
        collection: collection.id,
        filter,
        sort,
        start,
        limit,
        fields: None,
    })
}

fn expr(world: &World, collection: &Collection, filter: &Json) -> Option<Expr> {
    Reader::of_client(&world.catalog, collection)
        .read(filter)
        .ok()
}

fn operation(world: &World, write: &Write) -> Option<Operation> {
    let one = |id: Id| Target::One {
        id,
        guard: Guard::default(),
    };
    Some(match write {
        Write::Create(name, id, json) => {
            let collection = world.named(name);
            let mut json = json.clone();
            json["id"] = id.to_string().into();
            Operation::Create {
                collection: collection.id,
                document: collection.read_document(&json, Source::Json).ok()?,
            }
        }
        Write::Change(name, id, json) => {
            let collection = world.named(name);
            Operation::Update {
                collection: collection.id,
                target: one(*id),
                change: read_patch(&world.catalog, collection, json).ok()?,
            }
        }
        Write::ChangeMany(name, filter, json) => {
            let collection = world.named(name);
            Operation::Update {
                collection: collection.id,
                target: Target::Matching(expr(world, collection, filter)?),
                change: read_patch(&world.catalog, collection, json).ok()?,
            }
        }
        Write::Delete(name, id) => Operation::Delete {
            collection: world.named(name).id,
            target: one(*id),
        },
        Write::DeleteMany(name, filter) => {
            let collection = world.named(name);
            Operation::Delete {
                collection: collection.id,
                target: Target::Matching(expr(world, collection, filter)?),
            }
        }
    })
}
