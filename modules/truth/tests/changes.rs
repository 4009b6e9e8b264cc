//! Changes: what the truth stores is what `core` says, and what is refused leaves no trace.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use nubo_core::{
    change::{Change, read_patch, read_replacement},
    document::Document,
    field::FieldType,
    id::Id,
    schema::Collection,
    write::{Guard, Operation, Outcome, Target},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::{Map, Value as Json, json};
use world::{Driver, Home, World, choices::Choices, documents, property, schemas};

#[test]
fn sqlite_and_a_plain_map_agree() {
    agrees(Driver::Sqlite);
}

#[test]
fn postgres_and_a_plain_map_agree() {
    agrees(Driver::Postgres);
}

fn agrees(on: Driver) {
    let accepted = AtomicU64::new(0);
    let place = on.home();
    property::holds(60, 3000..4000, async |choices| {
        let home = place.emptied().unwrap_or_else(|| on.home());
        one_case(choices, home, &accepted).await
    });
    // A single case may by chance hold nothing but mistakes.
    assert!(accepted.into_inner() > 0);
}

async fn one_case(choices: &mut Choices<'_>, home: Home, accepted: &AtomicU64) -> TestCaseResult {
    let world = World::at(schemas::declarations(choices), home).await;
    for id in documents::TARGETS {
        world.given("targets", json!({ "id": id })).await;
    }
    let collection = world.collection("things");
    let mut model: BTreeMap<Id, Document> = BTreeMap::new();
    for _ in 0..30 {
        let (operations, expected) = transaction(choices, &world, collection, &model);
        let about = format!("{operations:?}\nover {model:?}");
        let result = world.together(operations).await;
        match (result, expected) {
            (Ok(outcomes), Some(mut after)) => {
                accepted.fetch_add(1, Ordering::Relaxed);
                adopt_revisions(&outcomes, &mut after, collection);
                model = after;
            }
            (Err(error), None) => {
                let code = error.code();
                let known = ["invalid", "not_found", "duplicate"].contains(&code);
                prop_assert!(known, "{error:?}: {about}");
            }
            (result, expected) => {
                return Err(TestCaseError::fail(format!(
                    "{result:?} where {expected:?} is right: {about}"
                )));
            }
        }
        let stored = world.all("things").await;
        let model: Vec<&Document> = model.values().collect();
        prop_assert_eq!(stored.iter().collect::<Vec<_>>(), model, "{}", about);
        if choices.once_in(3) {
            world.clock.advance(1000);
        }
    }
    world.truth.stop().await;
    Ok(())
}

/// Revisions and stamps are the truth's: what it answered is taken over, once it fits the model in
/// everything else.
fn adopt_revisions(
    outcomes: &[Outcome],
    model: &mut BTreeMap<Id, Document>,
    collection: &Collection,
) {
    for outcome in outcomes {
        let (Outcome::Created(document) | Outcome::Updated(document)) = outcome else {
            continue;
        };
        let id = document.id().unwrap();
        if let Some(known) = model.get_mut(&id) {
            assert!(document.revision() >= known.revision());
            for system in [collection.updated_at(), collection.revision()] {
                known.set(system, document.value(system).clone());
            }
        }
    }
}

/// One to three operations, and what the documents are after them; none where one is refused.
fn transaction(
    choices: &mut Choices<'_>,
    world: &World,
    collection: &Collection,
    model: &BTreeMap<Id, Document>,
) -> (Vec<Operation>, Option<BTreeMap<Id, Document>>) {
    let mut operations = Vec::new();
    let mut after = Some(model.clone());
    for _ in 0..1 + usize::from(choices.once_in(4)) + usize::from(choices.once_in(8)) {
        let ids: Vec<Id> = after.as_ref().unwrap_or(model).keys().copied().collect();
        let known = match ids.is_empty() || choices.once_in(12) {
            true => None,
            false => Some(*choices.pick(&ids)),
        };
        let id = known.unwrap_or_else(|| world.id());
        let change = match choices.below(8) {
            0..=1 => {
                let json = documents::document(choices, collection);
                let mut document = world.document("things", &json);
                if choices.once_in(10) {
                    document.set(Collection::ID, nubo_core::value::Value::Uuid(id.uuid()));
                }
                let new = document.id().unwrap();
                after = after
                    .filter(|after| !after.contains_key(&new))
                    .map(|mut after| {
                        after.insert(new, document.clone());
                        after.get_mut(&new).unwrap().normalize();
                        after
                    });
                operations.push(Operation::Create {
                    collection: collection.id,
                    document,
                });
                continue;
            }
            2 => {
                operations.push(world.removal("things", id));
                after = after.and_then(|mut after| after.remove(&id).map(|_| after));
                continue;
            }
            3 => {
                let json = documents::document(choices, collection);
                read_replacement(&world.catalog, collection, &json).unwrap()
            }
            _ => patch(choices, world, collection),
        };
        after = after.and_then(|mut after| {
            let document = after.get_mut(&id)?;
            change
                .apply(
                    document,
                    collection,
                    nubo_core::clock::Clock::now(world.clock.as_ref()),
                )
                .ok()?;
            document.normalize();
            Some(after)
        });
        operations.push(Operation::Update {
            collection: collection.id,
            target: Target::One {
                id,
                guard: Guard::default(),
            },
            change,
        });
    }
    (operations, after)
}

/// A patch that can be read: operators or a merge patch. Others are another test's.
fn patch(choices: &mut Choices<'_>, world: &World, collection: &Collection) -> Change {
    for _ in 0..20 {
        let json = match choices.once_in(4) {
            true => merge_patch(choices, collection),
            false => operators(choices, collection),
        };
        if let Ok(change) = read_patch(&world.catalog, collection, &json) {
            return change;
        }
    }
    Change { steps: Vec::new() }
}

fn merge_patch(choices: &mut Choices<'_>, collection: &Collection) -> Json {
    let fields: Vec<_> = collection.declared_fields().collect();
    let mut patch = Map::new();
    for _ in 0..1 + choices.below(2) {
        let (_, field) = choices.pick(&fields);
        let value = documents::field_value(choices, field).unwrap_or(Json::Null);
        patch.insert(field.name.clone(), value);
    }
    patch.into()
}

fn operators(choices: &mut Choices<'_>, collection: &Collection) -> Json {
    let mut patch = Map::new();
    for _ in 0..1 + choices.below(2) {
        let fields: Vec<_> = collection.declared_fields().collect();
        let (_, field) = choices.pick(&fields);
        let mut path = field.name.clone();
        let mut kind = &field.kind;
        while let FieldType::Object(fields) = kind {
            let inner = choices.pick(fields);
            path = format!("{path}.{}", inner.name);
            kind = &inner.kind;
        }
        if *kind == FieldType::Json && choices.once_in(2) {
            path = format!("{path}.{}", documents::askable_key(choices));
        }
        let item = match kind {
            FieldType::List(item) => item,
            kind => kind,
        };
        let mut names = vec!["$set", "$unset"];
        match kind {
            FieldType::List(_) => names.extend(["$push", "$addToSet", "$pull", "$addToSet"]),
            FieldType::Json => {
                names.extend(["$push", "$addToSet", "$pull", "$inc", "$mul", "$min"])
            }
            kind if kind.is_numeric() => names.extend(["$inc", "$mul", "$min", "$max"]),
            FieldType::Timestamp | FieldType::Date => names.extend(["$currentDate", "$max"]),
            kind if kind.is_ordered() => names.extend(["$min", "$max"]),
            _ => {}
        }
        let name = *choices.pick(&names);
        let operand = match name {
            "$unset" | "$currentDate" => json!(true),
            "$inc" | "$mul" if *kind == FieldType::Json => json!(choices.below(5)),
            "$push" | "$addToSet" if choices.once_in(3) => {
                json!({ "$each": choices.several(3, |choices| documents::value(choices, item)) })
            }
            "$pull" if choices.once_in(2) => {
                json!({ "$in": [one(choices, item), one(choices, item)] })
            }
            "$pull" => one(choices, item),
            _ => documents::value(choices, item),
        };
        let operand = match (name, kind) {
            ("$set", FieldType::List(_)) => documents::value(choices, kind),
            _ => operand,
        };
        patch.insert(name.into(), json!({ path: operand }));
    }
    patch.into()
}

fn one(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    match kind {
        FieldType::Json => documents::json_scalar(choices),
        kind => documents::value(choices, kind),
    }
}
