//! A gate held against a document lets the same callers through as the rule does, bound to each of
//! them and held against the document by the matcher of `core`: whatever the rule, and however what
//! it looks up changes meanwhile. `NUBO_CASES` says how many cases there are.

mod rules;
mod world;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use serde_json::{Value as Json, json};

use rules::{rule, stored, thing};
use world::{Look, World, callers};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A document of what is looked up is there, in the place of another.
    Put(usize, Json),
    Delete(usize),
    /// The hub hears of the commit that waits longest.
    Hear,
    /// The gate is held against one of the things.
    Look(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..rules::STORED, stored()).prop_map(|(at, document)| Step::Put(at, document)),
        1 => (0..rules::STORED).prop_map(Step::Delete),
        3 => Just(Step::Hear),
        3 => any::<Index>().prop_map(Step::Look),
    ];
    prop::collection::vec(step, 0..24)
}

fn holds<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let wanted = std::env::var("NUBO_CASES").ok();
    let mut runner = TestRunner::new(Config {
        cases: wanted
            .and_then(|wanted| wanted.parse().ok())
            .unwrap_or(cases),
        failure_persistence: None,
        ..Config::default()
    });
    runner.run(&strategy, property).unwrap();
}

#[test]
fn a_gate_lets_through_whom_the_rule_lets_through() {
    let things = prop::collection::vec(thing(), 1..4);
    let held = prop::collection::vec(stored(), 0..rules::STORED);
    holds(1000, (rule(), things, held), |(rule, things, held)| {
        let mut world = World::new(&rule);
        for (at, document) in held.iter().enumerate() {
            world.put(at, document);
        }
        for thing in &things {
            agree(&mut world, &rule, thing)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_known_of_look_ups_is_kept_right_in_whatever_order_things_happen() {
    let things = prop::collection::vec(thing(), 1..4);
    holds(1000, (rule(), things, steps()), |(rule, things, steps)| {
        let mut world = World::new(&rule);
        for step in steps {
            match step {
                Step::Put(at, document) => world.put(at, &document),
                Step::Delete(at) => world.delete(at),
                Step::Hear => drop(world.hear()),
                Step::Look(thing) => {
                    // It need not be right before everything is heard; it must not spoil anything.
                    world.audience(thing.get(&things));
                }
            }
        }
        while world.hear().is_some() {}
        world.rows();
        for thing in &things {
            agree(&mut world, &rule, thing)?;
        }
        Ok(())
    });
}

#[test]
fn whoever_sees_more_or_less_because_of_a_look_up_is_named() {
    let things = prop::collection::vec(thing(), 1..4);
    let puts = prop::collection::vec((0..rules::STORED, prop::option::of(stored())), 1..12);
    holds(500, (rule(), things, puts), |(rule, things, puts)| {
        let mut world = World::new(&rule);
        for (at, put) in puts {
            let before = world.seen(&things);
            match &put {
                Some(document) => world.put(at, document),
                None => world.delete(at),
            }
            let Some((touched, affected)) = world.hear() else {
                continue;
            };
            let after = world.seen(&things);
            for (caller, (before, after)) in callers().iter().zip(before.iter().zip(&after)) {
                let is_named = affected.iter().any(|affected| {
                    affected.collections.contains(&world.things().id)
                        && affected.accounts.as_ref().is_none_or(|accounts| {
                            let account = caller.account_id();
                            account.is_some_and(|account| accounts.contains(&account))
                        })
                });
                // What can only be asked for is not listened to.
                if before != after && !world.asks() {
                    prop_assert!(is_named, "{caller:?} by {touched:?} under {rule}");
                }
            }
        }
        Ok(())
    });
}

/// The gate and the matcher must say the same of every caller.
fn agree(world: &mut World, rule: &Json, thing: &Json) -> TestCaseResult {
    let audience = world.audience(thing);
    for caller in callers() {
        let Look { says, bound } = world.look(&audience, &caller, thing);
        prop_assert_eq!(
            says,
            bound,
            "{:?} and {} under {}, where {:?}",
            caller,
            thing,
            rule,
            audience
        );
    }
    Ok(())
}

/// Under a rule: a thing, what is held, and who of [`callers`] sees it.
#[track_caller]
fn sees(rule: Json, thing: Json, held: &[Json], expected: &[usize]) {
    let mut world = World::new(&rule);
    for (at, document) in held.iter().enumerate() {
        world.put(at, document);
    }
    let audience = world.audience(&thing);
    let callers = callers();
    let seen: Vec<usize> = (0..callers.len())
        .filter(|index| world.look(&audience, &callers[*index], &thing).says)
        .collect();
    assert_eq!(seen, expected, "{rule}");
    agree(&mut world, &rule, &thing).unwrap();
}

#[test]
fn whoever_lacks_what_a_rule_mentions_is_shut_out_under_negation_too() {
    // Only callers 1 and 2 have a city; 0 has no account.
    let other = json!({ "$not": { "city": "$auth.city" } });
    sees(other, json!({ "city": "Rome" }), &[], &[2]);
    let not_mine = json!({ "owner_id": { "$ne": "$auth.id" } });
    sees(
        not_mine,
        json!({ "owner_id": rules::PEOPLE[0] }),
        &[],
        &[2, 3, 4],
    );
    let not_a_member = json!({ "$nor": [{ "room_id": { "$in": {
        "$select": "members.room_id", "$where": { "user_id": "$auth.id" } } } }] });
    let member = json!({ "room_id": rules::ROOMS[0], "user_id": rules::PEOPLE[0] });
    sees(
        not_a_member,
        json!({ "room_id": rules::ROOMS[0] }),
        &[member],
        &[2, 3, 4],
    );
}

#[test]
fn members_may_be_listed_in_one_document() {
    let rule = json!({ "room_id": { "$in": {
        "$select": "members.room_id", "$where": { "people": "$auth.id" } } } });
    let member =
        json!({ "room_id": rules::ROOMS[0], "people": [rules::PEOPLE[0], rules::PEOPLE[1]] });
    sees(
        rule,
        json!({ "room_id": rules::ROOMS[0] }),
        &[member],
        &[1, 2],
    );
}

#[test]
fn what_is_known_takes_a_limited_room_even_where_nothing_is_found() {
    let rule = json!({ "number": { "$in": {
        "$select": "members.level", "$where": { "user_id": "$auth.id" } } } });
    let mut world = World::new(&rule);
    world.limit(10);
    for number in 0..100 {
        world.audience(&json!({ "number": number }));
        assert!(world.rows() <= 11, "{}", world.rows());
    }
}

#[test]
fn what_one_document_needs_may_be_more_than_there_is_room_for() {
    let rule = json!({ "people": { "$in": {
        "$select": "members.user_id", "$where": { "level": "$auth.level" } } } });
    let mut world = World::new(&rule);
    world.limit(1);
    let thing = json!({ "people": rules::PEOPLE });
    for _ in 0..2 {
        world.put(0, &json!({ "user_id": rules::PEOPLE[1], "level": 2 }));
        while world.hear().is_some() {}
        agree(&mut world, &rule, &thing).unwrap();
        assert_eq!(world.rows(), 4);
    }
}
