//! Revisions order the versions of a document, whatever the clock does.

#![allow(clippy::unwrap_used)]

mod world;

use nubo_core::{id::Revision, write::Outcome};
use serde_json::{Value as Json, json};
use world::Driver;

fn declarations() -> Json {
    json!([{ "name": "notes", "fields": {
        "text": "text",
        "n": { "type": "int", "default": 0 },
        "changed": { "type": "timestamp", "on_update": "$now" },
    } }])
}

on_each_truth!(they_grow_while_the_clock_stands_still_or_goes_back);
async fn they_grow_while_the_clock_stands_still_or_goes_back(on: Driver) {
    let world = on.world(declarations()).await;
    let id = world.given("notes", json!({})).await;
    let mut last = world.all("notes").await[0].revision();
    let time = |seen: &Json| seen["updated_at"].as_str().unwrap_or_default().to_owned();
    let mut before = time(&world.see("notes", id).await.unwrap());
    for (round, step) in [0, 0, -5_000_000, 10, -1, 20_000_000, -60_000_000, 0]
        .into_iter()
        .enumerate()
    {
        world.clock.advance(step);
        let note = world
            .update("notes", id, json!({ "n": round + 1 }))
            .await
            .unwrap();
        assert!(note.revision() > last, "{round}");
        last = note.revision();
        let seen = world.see("notes", id).await.unwrap();
        assert_eq!(seen["_rev"], last.number());
        assert!(time(&seen) >= before);
        before = time(&seen);
    }
}

on_each_truth!(an_id_that_comes_back_goes_on_where_it_ended);
async fn an_id_that_comes_back_goes_on_where_it_ended(on: Driver) {
    let mut world = on.world(declarations()).await;
    let id = world.given("notes", json!({})).await;
    let mut last = Revision::new(0);
    for round in 0..6 {
        for n in 0..3 {
            let note = world
                .update("notes", id, json!({ "n": round * 10 + n + 1 }))
                .await
                .unwrap();
            last = note.revision();
        }
        world.clock.advance(-1_000_000);
        match round {
            0..=2 => {
                world.delete("notes", id).await.unwrap();
                if round == 2 {
                    world = world.reopened(declarations()).await.unwrap();
                }
                let json = json!({ "id": id.to_string() });
                let again = world.create("notes", json).await.unwrap();
                assert!(again.revision() > last, "{round}");
            }
            _ => {
                // In one transaction.
                let creation = world.creation("notes", &json!({ "id": id.to_string() }));
                let outcomes = world
                    .together(vec![world.removal("notes", id), creation])
                    .await
                    .unwrap();
                let Outcome::Created(again) = &outcomes[1] else {
                    panic!()
                };
                assert!(again.revision() > last, "{round}");
            }
        }
    }
}

on_each_truth!(what_changes_nothing_leaves_the_revision);
async fn what_changes_nothing_leaves_the_revision(on: Driver) {
    let world = on.world(declarations()).await;
    let id = world.given("notes", json!({ "text": "a", "n": 1 })).await;
    let before = world.see("notes", id).await;
    world.clock.advance(7_000_000);
    for patch in [
        json!({}),
        json!({ "text": "a" }),
        json!({ "$set": { "n": 1 } }),
        json!({ "$inc": { "n": 0 } }),
        json!({ "$max": { "n": 0 } }),
    ] {
        world.update("notes", id, patch).await.unwrap();
        assert_eq!(world.see("notes", id).await, before);
    }
    let all = world.change_many("notes", &json!({}), &json!({ "text": "a" }));
    let outcome = world.run(all).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::Changed {
            matched: 1,
            modified: 0
        }
    );
    assert_eq!(world.see("notes", id).await, before);
}

on_each_truth!(a_guard_lets_only_its_revision_pass);
async fn a_guard_lets_only_its_revision_pass(on: Driver) {
    let world = on.world(declarations()).await;
    let note = world.create("notes", json!({})).await.unwrap();
    let id = note.id().unwrap();
    let old = note.revision();
    let guarded = |revisions: Vec<Revision>| {
        world.guarded_change("notes", id, &json!({ "$inc": { "n": 1 } }), Some(revisions))
    };
    let now = match world.run(guarded(vec![old])).await.unwrap() {
        Outcome::Updated(note) => note.revision(),
        other => panic!("{other:?}"),
    };
    let error = world.run(guarded(vec![old])).await.unwrap_err();
    assert_eq!(error.code(), "precondition_failed");
    assert!(error.to_string().contains(&now.to_string()));
    world.run(guarded(vec![old, now])).await.unwrap();
    let error = world.run(guarded(vec![])).await.unwrap_err();
    assert_eq!(error.code(), "precondition_failed");
    assert_eq!(world.see("notes", id).await.unwrap()["n"], 2);
    // Of two with the same guard in one batch one wins.
    let current = world.all("notes").await[0].revision();
    let transactions = (0..2)
        .map(|_| world.transaction(vec![guarded(vec![current])]))
        .collect();
    let results = world
        .truth
        .transact(transactions, nubo_core::write::Sequence::Independent)
        .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

on_each_truth!(many_are_changed_and_deleted_beyond_one_stretch);
async fn many_are_changed_and_deleted_beyond_one_stretch(on: Driver) {
    let world = on.world(declarations()).await;
    let transactions = (0..1203)
        .map(|n| world.transaction(vec![world.creation("notes", &json!({ "n": n }))]))
        .collect();
    let results = world
        .truth
        .transact(transactions, nubo_core::write::Sequence::Independent)
        .await;
    assert!(results.iter().all(Result::is_ok));
    let filter = json!({ "n": { "$gte": 3 } });
    let change = world.change_many("notes", &filter, &json!({ "$inc": { "n": 10_000 } }));
    let outcome = world.run(change).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::Changed {
            matched: 1200,
            modified: 1200
        }
    );
    assert_eq!(
        world
            .count("notes", json!({ "n": { "$gte": 10_003 } }))
            .await,
        1200
    );
    let removal = world.removal_of_many("notes", &json!({ "n": { "$gte": 10_000 } }));
    assert_eq!(world.run(removal).await.unwrap(), Outcome::Removed(1200));
    assert_eq!(world.count("notes", json!({})).await, 3);
}
