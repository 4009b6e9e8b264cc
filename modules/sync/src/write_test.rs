use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    caller::Caller,
    change,
    hook::Hook,
    id::Id,
    schema::{Catalog, Collection},
    store::Store,
    value::Value,
    write::{Guard, Operation, Outcome, Sequence, Target, Transaction},
};
use serde_json::{Value as Json, json};

use crate::fake::{START, World, somebody};

fn value(world: &World, collection: &str, id: Id, field: &str) -> Value {
    let schema = world.catalog.named(collection).unwrap();
    let document = world.truth.document(schema.id, id).unwrap();
    document.value(schema.field_named(field).unwrap().0).clone()
}

fn update(world: &World, collection: &str, id: Id, patch: &Json) -> Operation {
    let schema = world.catalog.named(collection).unwrap();
    Operation::Update {
        collection: schema.id,
        target: one(id),
        change: change::read_patch(&world.catalog, schema, patch).unwrap(),
    }
}

fn delete(world: &World, collection: &str, id: Id) -> Operation {
    Operation::Delete {
        collection: world.id(collection),
        target: one(id),
    }
}

fn one(id: Id) -> Target {
    Target::One {
        id,
        guard: Guard::default(),
    }
}

fn codes(results: &[Result<Outcome>]) -> Vec<&'static str> {
    let code = |result: &Result<Outcome>| result.as_ref().map_or_else(Error::code, |_| "ok");
    results.iter().map(code).collect()
}

#[tokio::test]
async fn a_new_document_gets_what_it_lacks() {
    let world = World::new();
    let id = world.add("users", json!({ "name": "Ada" })).await;
    assert_eq!(id.uuid().get_version_num(), 7);
    let me = somebody().account_id().unwrap().uuid();
    assert_eq!(value(&world, "users", id, "creator"), Value::Uuid(me));
    let Value::Timestamp(created) = value(&world, "users", id, "created_at") else {
        panic!("no timestamp");
    };
    assert_eq!(created.millis(), START / 1000 + 1000);
}

#[tokio::test]
async fn passwords_reach_the_truth_as_hashes() {
    let world = World::new();
    let user = json!({ "name": "Ada", "password": "abc" });
    let id = world.add("users", user).await;
    assert_eq!(
        value(&world, "users", id, "password"),
        Value::Text("cba".into())
    );

    for patch in [
        json!({ "password": "xyz" }),
        json!({ "$set": { "password": "xyz" } }),
    ] {
        let change = update(&world, "users", id, &patch);
        world.tiers.write(&somebody(), vec![change]).await.unwrap();
        assert_eq!(
            value(&world, "users", id, "password"),
            Value::Text("zyx".into())
        );
    }
}

#[tokio::test]
async fn operations_of_their_own_are_handed_over_at_once_and_fail_alone() {
    let world = World::new();
    let taken = world.add("users", json!({ "name": "Ada" })).await;
    let handed = world.truth.handed.load(Ordering::Relaxed);
    let operations = || {
        vec![
            world.create("users", json!({ "name": "1" })),
            world.create("users", json!({ "name": "2", "id": taken.to_string() })),
            delete(&world, "logs", taken),
            world.create("users", json!({ "name": "3" })),
        ]
    };
    let results = world
        .tiers
        .write_each(&somebody(), operations(), Sequence::Independent)
        .await;
    assert_eq!(codes(&results), ["ok", "duplicate", "append_only", "ok"]);
    assert_eq!(world.truth.handed.load(Ordering::Relaxed), handed + 1);

    let results = world
        .tiers
        .write_each(&somebody(), operations(), Sequence::StopAtError)
        .await;
    assert_eq!(codes(&results)[..2], ["ok", "duplicate"]);
    assert_eq!(codes(&results)[2..], ["not_tried", "not_tried"]);
}

#[tokio::test]
async fn a_refusal_before_the_truth_stops_a_sequence_too() {
    let world = World::new();
    let id = world.add("logs", json!({ "line": "x" })).await;
    let operations = vec![
        world.create("users", json!({ "name": "1" })),
        delete(&world, "logs", id),
        world.create("users", json!({ "name": "2" })),
    ];
    let results = world
        .tiers
        .write_each(&somebody(), operations, Sequence::StopAtError)
        .await;
    assert_eq!(codes(&results), ["ok", "append_only", "not_tried"]);
    assert_eq!(world.count("users", &json!({})).await, 1);
}

#[tokio::test]
async fn what_is_append_only_stays_unless_the_server_wants_it_gone() {
    let world = World::new();
    let id = world.add("logs", json!({ "line": "x" })).await;
    for operation in [
        delete(&world, "logs", id),
        update(&world, "logs", id, &json!({ "line": "y" })),
    ] {
        let refused = world.tiers.write(&somebody(), vec![operation]).await;
        assert!(matches!(
            refused,
            Err(Error::Forbidden {
                code: "append_only",
                ..
            })
        ));
    }
    let gone = world
        .tiers
        .write(&Caller::Server, vec![delete(&world, "logs", id)])
        .await;
    assert_eq!(gone.unwrap(), [Outcome::Deleted]);
}

/// Does to every user who is created what the name says.
struct Meddling;

#[async_trait]
impl Hook for Meddling {
    async fn before_write(&self, transaction: &mut Transaction, catalog: &Catalog) -> Result<()> {
        let users = catalog.named("users").unwrap();
        let logs = catalog.named("logs").unwrap();
        let (name, _) = users.field_named("name").unwrap();
        let (line, _) = logs.field_named("line").unwrap();
        let mut appended = Vec::new();
        for operation in &mut transaction.operations {
            let Operation::Create {
                collection,
                document,
            } = operation
            else {
                continue;
            };
            if *collection != users.id {
                continue;
            }
            assert!(document.id().is_some());
            match document.value(name) {
                Value::Text(text) if text == "refused" => {
                    return Err(Error::Forbidden {
                        code: "refused",
                        detail: "not you".into(),
                    });
                }
                Value::Text(text) => {
                    let mut log = nubo_core::document::Document::empty(logs);
                    log.set(line, Value::Text(text.clone()));
                    appended.push(Operation::Create {
                        collection: logs.id,
                        document: log,
                    });
                    document.set(name, Value::Text("changed".into()));
                }
                _ => {}
            }
        }
        transaction.operations.append(&mut appended);
        Ok(())
    }
}

/// Checks that what other hooks append is complete.
struct Watching;

#[async_trait]
impl Hook for Watching {
    async fn before_write(&self, transaction: &mut Transaction, _: &Catalog) -> Result<()> {
        for operation in &transaction.operations {
            if let Operation::Create { document, .. } = operation {
                assert!(!document.value(Collection::ID).is_null());
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn hooks_change_append_and_refuse() {
    let world = World::new();
    let hooks: Vec<Arc<dyn Hook>> = vec![Arc::new(Meddling), Arc::new(Watching)];
    world.tiers.set_hooks(hooks).unwrap();
    let id = world.add("users", json!({ "name": "Ada" })).await;
    assert_eq!(
        value(&world, "users", id, "name"),
        Value::Text("changed".into())
    );
    assert_eq!(world.count("logs", &json!({ "line": "Ada" })).await, 1);

    // One operation was asked for; the places in its errors do not tell of the appended one.
    let again = world.create("users", json!({ "name": "Ada", "id": id.to_string() }));
    let refused = world.tiers.write(&somebody(), vec![again.clone()]).await;
    assert_eq!(refused.unwrap_err().errors()[0].path, "/id");
    let refused = world
        .tiers
        .write_each(&somebody(), vec![again], Sequence::Independent)
        .await;
    assert_eq!(refused[0].as_ref().unwrap_err().errors()[0].path, "/id");

    let operations = vec![
        world.create("users", json!({ "name": "Bob" })),
        world.create("users", json!({ "name": "refused" })),
    ];
    let refused = world.tiers.write(&somebody(), operations).await;
    assert_eq!(refused.unwrap_err().code(), "refused");
    assert_eq!(world.count("users", &json!({})).await, 1);
}

/// An id that somebody has chosen.
const NAMED: &str = "00000000-0000-4000-8000-000000000007";

/// Gives every new document an id of its choice.
struct Renaming;

#[async_trait]
impl Hook for Renaming {
    async fn before_write(&self, transaction: &mut Transaction, _: &Catalog) -> Result<()> {
        for operation in &mut transaction.operations {
            if let Operation::Create { document, .. } = operation {
                let id: Id = NAMED.parse().unwrap();
                document.set(Collection::ID, Value::Uuid(id.uuid()));
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn ids_are_new_unless_somebody_has_named_one() {
    let world = World::new();
    let new = || world.truth.with_new_ids.load(Ordering::Relaxed);
    let write = async |names: &[Json]| {
        let operations = names.iter().map(|name| world.create("users", name.clone()));
        let written = world.tiers.write(&somebody(), operations.collect()).await;
        written.unwrap();
    };
    write(&[json!({ "name": "Ada" }), json!({ "name": "Bob" })]).await;
    assert_eq!(new(), 1);
    let named = json!({ "name": "Cleo", "id": NAMED });
    write(&[json!({ "name": "Dora" }), named]).await;
    assert_eq!(new(), 1);
    world.tiers.set_hooks(vec![Arc::new(Meddling)]).unwrap();
    write(&[json!({ "name": "Eve" })]).await;
    assert_eq!(new(), 2);

    let world = World::new();
    world.tiers.set_hooks(vec![Arc::new(Renaming)]).unwrap();
    world.add("users", json!({ "name": "Ada" })).await;
    assert_eq!(world.truth.with_new_ids.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn hooks_are_set_once() {
    let world = World::new();
    assert!(world.tiers.set_hooks(Vec::new()).is_ok());
    assert!(world.tiers.set_hooks(Vec::new()).is_err());
}
