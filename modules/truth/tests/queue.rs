//! The queue of writes that are acknowledged before they are carried out.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use nubo_core::{
    Error,
    document::Document,
    id::{Id, Revision},
    queue::{BUSY, Number, QueuedWrite, Refused, Which, WriteQueue},
    write::Transaction,
};
use serde_json::{Value as Json, json};
use world::{Driver, World};

fn declarations() -> Json {
    json!([
        { "name": "pages", "fields": { "title": "text", "views": { "type": "int", "default": 0 } },
          "write": "behind" },
        // Plain rows, in front of what they refer to when sorted by collection.
        { "name": "a_marks", "fields": { "page": "ref(pages)!" }, "write": "behind" },
        { "name": "visits", "fields": { "page": "ref(pages)!", "n": "int" }, "write": "behind",
          "effects": [{ "on": "create", "update": "pages", "where": { "id": "$doc.page" },
                        "change": { "$inc": { "views": 1 } } }] },
    ])
}

fn queue(world: &World) -> &dyn WriteQueue {
    world.truth.queue().unwrap()
}

fn write(world: &World, documents: Vec<(&str, Json)>) -> QueuedWrite {
    let documents = documents.into_iter().map(|(collection, json)| {
        let mut document: Document = world.document(collection, &json);
        document.set_revision(Revision::new(world::BEGINNING - 1));
        (world.collection(collection).id, document)
    });
    QueuedWrite {
        now: nubo_core::clock::Clock::now(world.clock.as_ref()),
        documents: documents.collect(),
    }
}

fn id(write: &QueuedWrite) -> Id {
    write.documents[0].1.id().unwrap()
}

fn text(id: Id) -> String {
    id.to_string()
}

/// Appends a write of one document and gives the document's id.
async fn append(world: &World, collection: &str, json: Json) -> Id {
    let write = write(world, vec![(collection, json)]);
    let id = id(&write);
    queue(world).append(vec![write]).await.unwrap();
    id
}

async fn waiting(world: &World) -> Vec<(Number, Transaction)> {
    let waiting = queue(world).waiting(1000).await.unwrap().into_iter();
    let read = waiting.map(|waiting| {
        let write = QueuedWrite::unpack(&waiting.packed, &world.catalog).unwrap();
        (waiting.number, write.into_transaction())
    });
    read.collect()
}

/// Carries out what waits; gives the codes of what was refused.
async fn carry_out(world: &World) -> Vec<Option<&'static str>> {
    let fates = queue(world).carry_out(waiting(world).await).await;
    let code = |fate: Result<(), Error>| fate.err().map(|error| error.code());
    fates.into_iter().map(code).collect()
}

fn refused(number: Number) -> Refused {
    Refused {
        number,
        problem: json!({ "code": "invalid" }).to_string(),
    }
}

on_each_truth!(what_is_appended_is_carried_out_once_and_in_order);
async fn what_is_appended_is_carried_out_once_and_in_order(on: Driver) {
    let world = on.world(declarations()).await;
    assert_eq!(queue(&world).standing().await.unwrap(), None);
    // Parents before children, whatever the engine would do with rows that come at the same time.
    let page = append(&world, "pages", json!({ "title": "one" })).await;
    let mark = append(&world, "a_marks", json!({ "page": text(page) })).await;
    let visit = append(&world, "visits", json!({ "page": text(page), "n": 1 })).await;
    let other = append(&world, "pages", json!({ "title": "two" })).await;
    let late = append(&world, "a_marks", json!({ "page": text(other) })).await;
    let standing = queue(&world).standing().await.unwrap().unwrap();
    assert_eq!(standing.span(), 5);
    assert!(world.see("pages", page).await.is_none());

    let writes = waiting(&world).await;
    let numbers: Vec<Number> = writes.iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let fates = queue(&world).carry_out(writes.clone()).await;
    assert!(fates.iter().all(Result::is_ok), "{fates:?}");
    let page = world.see("pages", page).await.unwrap();
    assert_eq!(page["views"], 1);
    let mark = world.see("a_marks", mark).await.unwrap();
    // As promised at the door.
    assert_eq!(mark["_rev"], world::BEGINNING - 1);
    assert!(world.see("visits", visit).await.is_some());
    assert!(world.see("a_marks", late).await.is_some());
    assert_eq!(queue(&world).standing().await.unwrap(), None);

    // Whoever tries the same again changes nothing.
    let again = queue(&world).carry_out(writes).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(world.count("visits", json!({})).await, 1);
    let number = append(&world, "pages", json!({})).await;
    let standing = queue(&world).standing().await.unwrap().unwrap();
    assert!(standing.first > numbers[4], "a number comes once");
    assert!(world.see("pages", number).await.is_none());
}

on_each_truth!(what_is_refused_stands_in_nobodys_way);
async fn what_is_refused_stands_in_nobodys_way(on: Driver) {
    let world = on.world(declarations()).await;
    let page = world.given("pages", json!({})).await;
    let bad: BTreeSet<usize> = [0, 77, 78, 199].into();
    let mut ids = Vec::new();
    for at in 0..200 {
        let page = if bad.contains(&at) { world.id() } else { page };
        let json = match at % 40 {
            // Some among the plain rows have effects.
            7 => ("visits", json!({ "page": text(page), "n": at })),
            _ => ("a_marks", json!({ "page": text(page) })),
        };
        ids.push((json.0, append(&world, json.0, json.1).await));
    }
    let writes = waiting(&world).await;
    let numbers: Vec<Number> = writes.iter().map(|(number, _)| *number).collect();
    let fates = queue(&world).carry_out(writes).await;
    for (at, fate) in fates.iter().enumerate() {
        match bad.contains(&at) {
            true => {
                let error = fate.as_ref().unwrap_err();
                assert_eq!(error.code(), "invalid", "{at}");
                assert_eq!(error.errors()[0].code, "unknown_reference", "{at}");
            }
            false => assert!(fate.is_ok(), "{at}: {fate:?}"),
        }
    }
    for (at, (collection, id)) in ids.iter().enumerate() {
        let is_there = world.see(collection, *id).await.is_some();
        assert_eq!(is_there, !bad.contains(&at), "{at}");
    }
    let left: Vec<Number> = waiting(&world).await.into_iter().map(|(n, _)| n).collect();
    let bad: Vec<Number> = bad.iter().map(|at| numbers[*at]).collect();
    assert_eq!(left, bad, "they wait for somebody to decide");

    let set_aside = bad.iter().map(|number| refused(*number)).collect();
    queue(&world).set_aside(set_aside).await.unwrap();
    assert_eq!(queue(&world).standing().await.unwrap(), None);
    let letters = queue(&world).dead_letters(Number(0), 10).await.unwrap();
    let kept: Vec<Number> = letters.iter().map(|letter| letter.number).collect();
    assert_eq!(kept, bad);
    // Not a second time.
    queue(&world)
        .set_aside(vec![refused(bad[0])])
        .await
        .unwrap();
    assert_eq!(queue(&world).count_dead_letters().await.unwrap(), 4);
    let after = queue(&world).dead_letters(bad[1], 1).await.unwrap();
    assert_eq!(after[0].number, bad[2]);
}

on_each_truth!(dead_letters_are_tried_again_or_forgotten);
async fn dead_letters_are_tried_again_or_forgotten(on: Driver) {
    let world = on.world(declarations()).await;
    // The page comes later than the visits that mention it.
    let page = write(&world, vec![("pages", json!({ "title": "late" }))]);
    let missing = id(&page);
    for n in 0..3 {
        append(&world, "visits", json!({ "page": text(missing), "n": n })).await;
    }
    let refusals = carry_out(&world).await;
    assert_eq!(refusals, [Some("invalid"); 3]);
    let numbers: Vec<Number> = waiting(&world).await.into_iter().map(|(n, _)| n).collect();
    let set_aside = numbers.iter().map(|number| refused(*number)).collect();
    queue(&world).set_aside(set_aside).await.unwrap();
    let letter = queue(&world)
        .dead_letter(numbers[1])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(letter.problem, json!({ "code": "invalid" }).to_string());
    let documents = QueuedWrite::unpack(&letter.packed, &world.catalog).unwrap();
    let visits = world.collection("visits");
    let (n, _) = visits.field_named("n").unwrap();
    assert_eq!(
        *documents.documents[0].1.value(n),
        nubo_core::value::Value::Int(1)
    );

    queue(&world).append(vec![page]).await.unwrap();
    let these = Which::These(vec![numbers[0], numbers[1], Number(i64::MAX)]);
    assert_eq!(queue(&world).retry(these).await.unwrap(), 2);
    let refusals = carry_out(&world).await;
    assert_eq!(refusals, [None; 3], "the page, and both visits behind it");
    assert_eq!(world.see("pages", missing).await.unwrap()["views"], 2);
    assert_eq!(queue(&world).forget(Which::All).await.unwrap(), 1);
    assert_eq!(queue(&world).count_dead_letters().await.unwrap(), 0);
    assert_eq!(queue(&world).retry(Which::All).await.unwrap(), 0);
    assert_eq!(world.count("visits", json!({})).await, 2);
}

on_each_truth!(documents_that_were_accepted_together_come_together);
async fn documents_that_were_accepted_together_come_together(on: Driver) {
    let world = on.world(declarations()).await;
    let page = write(&world, vec![("pages", json!({}))]);
    let page_id = id(&page);
    let mut together = page;
    let visit = write(&world, vec![("visits", json!({ "page": text(page_id) }))]);
    together.documents.extend(visit.documents);
    let lost = write(
        &world,
        vec![
            ("pages", json!({})),
            ("visits", json!({ "page": text(world.id()) })),
        ],
    );
    let lost_page = id(&lost);
    queue(&world).append(vec![together, lost]).await.unwrap();
    assert_eq!(carry_out(&world).await, [None, Some("invalid")]);
    assert_eq!(world.see("pages", page_id).await.unwrap()["views"], 1);
    assert!(
        world.see("pages", lost_page).await.is_none(),
        "all or nothing"
    );
}

on_each_truth!(the_queue_survives_a_stop);
async fn the_queue_survives_a_stop(on: Driver) {
    let world = on.world(declarations()).await;
    let page = append(&world, "pages", json!({ "title": "one" })).await;
    let world = world.reopened(declarations()).await.unwrap();
    assert_eq!(carry_out(&world).await, [None]);
    assert!(world.see("pages", page).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_carry_out_each_write_once() {
    let first = Driver::Postgres.world(declarations()).await;
    let second = World::at(declarations(), first.home.clone()).await;
    let page = first.given("pages", json!({})).await;
    // Both make up the same ids otherwise.
    second
        .random
        .0
        .store(1 << 40, std::sync::atomic::Ordering::SeqCst);
    for n in 0..60 {
        let world = if n % 2 == 0 { &first } else { &second };
        append(world, "visits", json!({ "page": text(page), "n": n })).await;
    }
    let writes = waiting(&first).await;
    assert_eq!(writes.len(), 60);
    let trying = |world: World| {
        let writes = writes.clone();
        async move {
            let mut done = 0;
            for writes in writes.chunks(7) {
                loop {
                    let fates = queue(&world).carry_out(writes.to_vec()).await;
                    let busy = |fate: &Result<(), Error>| {
                        matches!(fate, Err(Error::Unavailable { code: BUSY, .. }))
                    };
                    if fates.iter().all(Result::is_ok) {
                        done += 1;
                        break;
                    }
                    assert!(fates.iter().all(busy), "{fates:?}");
                    tokio::task::yield_now().await;
                }
            }
            done
        }
    };
    let third = World::at(declarations(), first.home.clone()).await;
    let done = join_all([trying(first), trying(second)]).await;
    assert_eq!(done, [9, 9]);
    assert_eq!(third.count("visits", json!({})).await, 60);
    assert_eq!(third.see("pages", page).await.unwrap()["views"], 60);
    assert_eq!(queue(&third).standing().await.unwrap(), None);
}
