//! Documents that stay elsewhere: they leave the truth, and are taken in again before they change.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicI64},
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    alone::{Alone, Leaving, UNAVAILABLE},
    caller::Caller,
    clock::{Clock, Random},
    coordination::Epoch,
    document::Document,
    id::{Id, Revision},
    position::Position,
    query::{Query, Start},
    schema::Catalog,
    truth::Truth,
    value::Value,
    write::{Operation, Sequence, Transaction},
};
use nubo_truth::PostgresTruth;
use serde_json::json;
use tokio::sync::oneshot;
use world::{BEGINNING, Counter, Driver, HandClock, Home, World, catalog, postgres_settings};

/// Where the documents are.
struct Elsewhere {
    catalog: Arc<Catalog>,
    documents: Mutex<BTreeMap<Id, Document>>,
    is_away: Mutex<bool>,
    /// Says that it was asked, and answers when it is told to: once, what was there when it was asked.
    gate: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

#[async_trait]
impl Alone for Elsewhere {
    async fn find(&self, query: &Query) -> Result<Vec<Document>> {
        if *self.is_away.lock().unwrap() {
            return Err(Error::unavailable(UNAVAILABLE, "it is away"));
        }
        let mut found: Vec<Document> = {
            let fields = self.catalog.get(query.collection).fields();
            let documents = self.documents.lock().unwrap();
            let all = documents.values();
            all.filter(|document| query.filter.matches(*document, fields, &()))
                .cloned()
                .collect()
        };
        found.sort_by_key(|document| Position::of(&query.sort, document));
        if let Start::After(keys) = &query.start {
            let after = Position::of_values(&query.sort, keys);
            found.retain(|document| Position::of(&query.sort, document) > after);
        }
        found.truncate(query.limit as usize);
        let gate = self.gate.lock().unwrap().take();
        if let Some((asked, go)) = gate {
            asked.send(()).unwrap();
            go.await.unwrap();
        }
        Ok(found)
    }
}

impl Elsewhere {
    /// The next question is answered when somebody says so.
    fn close(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (asked, was_asked) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        *self.gate.lock().unwrap() = Some((asked, may_go));
        (was_asked, go)
    }

    /// Has documents leave the truth, whatever it knows of them there.
    async fn take(&self, world: &World, ids: &[Id]) {
        let documents = world.all("news").await.into_iter();
        let leaving: Vec<Document> = documents
            .filter(|document| document.id().is_some_and(|id| ids.contains(&id)))
            .collect();
        let versions = leaving.iter().map(version);
        assert!(leave(world, versions.collect()).await);
        let mut own = self.documents.lock().unwrap();
        own.extend(leaving.into_iter().map(|one| (one.id().unwrap(), one)));
    }
}

fn version(document: &Document) -> (Id, Revision) {
    (document.id().unwrap(), document.revision())
}

async fn leave(world: &World, documents: Vec<(Id, Revision)>) -> bool {
    let leaving = Leaving {
        collection: world.collection("news").id,
        documents,
        ends: Vec::new(),
    };
    let room = world.truth.waiting_room().unwrap();
    room.leave(Epoch::NONE, &leaving).await.unwrap()
}

/// Some servers over one database, and the place beside it.
async fn worlds<const COUNT: usize>() -> ([World; COUNT], Arc<Elsewhere>) {
    let declarations = json!([
        { "name": "people", "fields": { "name": "text" } },
        { "name": "news", "fields": {
            "who": { "type": "ref", "to": "people", "on_delete": "cascade" }, "text": "text",
            "stars": { "type": "int", "default": 0 }, "secret": { "type": "text", "hidden": true } },
          "tiers": { "recent": {}, "truth": "none" } },
    ]);
    let catalog = catalog(declarations);
    let elsewhere = Arc::new(Elsewhere {
        catalog: catalog.clone(),
        documents: Mutex::default(),
        is_away: Mutex::new(false),
        gate: Mutex::default(),
    });
    let home = Driver::Postgres.home();
    let Home::Database(database) = &home else {
        panic!("it is a database");
    };
    let mut worlds = Vec::new();
    for number in 0..COUNT {
        let clock = Arc::new(HandClock(AtomicI64::new(BEGINNING)));
        let random = Arc::new(Counter::default());
        // Their ids differ.
        for _ in 0..number * 1000 {
            random.fill(&mut [0]);
        }
        let truth = PostgresTruth::new(
            postgres_settings(database.url.clone()),
            catalog.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random) as Arc<dyn Random>,
        );
        let truth = truth.beside(elsewhere.clone());
        truth.start(Vec::new()).await.unwrap();
        worlds.push(World {
            truth: Arc::new(truth),
            catalog: catalog.clone(),
            clock,
            random,
            home: home.clone(),
        });
    }
    let worlds = worlds.try_into().ok().unwrap();
    (worlds, elsewhere)
}

fn transaction(world: &World, operation: Operation) -> Transaction {
    Transaction {
        operations: vec![operation],
        permits: Vec::new(),
        caller: Caller::Server,
        now: world.clock.now(),
        new_ids: false,
    }
}

async fn stop<const COUNT: usize>(worlds: [World; COUNT]) {
    for world in worlds {
        world.truth.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_left_is_taken_in_before_it_changes() {
    let ([world], elsewhere) = worlds().await;
    let ann = world.given("people", json!({ "name": "Ann" })).await;
    let new = json!({ "who": ann.to_string(), "text": "x" });
    let secret = world.collection("news").field_named("secret").unwrap().0;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut document = world.document("news", &new);
        document.set(secret, Value::Text("hush".into()));
        ids.push(document.id().unwrap());
        let collection = world.collection("news").id;
        let creation = Operation::Create {
            collection,
            document,
        };
        world.run(creation).await.unwrap();
    }
    elsewhere.take(&world, &ids).await;
    assert!(world.all("news").await.is_empty());
    world.clock.advance(1000);
    let changed = world.update("news", ids[0], json!({ "$inc": { "stars": 1 } }));
    let changed = changed.await.unwrap();
    // With everything that it has.
    assert_eq!(*changed.value(secret), Value::Text("hush".into()));
    assert!(changed.revision() > elsewhere.documents.lock().unwrap()[&ids[0]].revision());
    // Only what was asked for is back.
    assert_eq!(world.all("news").await.len(), 1);
    // An id that is elsewhere is taken.
    let mut again = new.clone();
    again["id"] = ids[1].to_string().into();
    let taken = world.create("news", again).await.unwrap_err();
    assert!(matches!(taken, Error::Conflict { .. }), "{taken}");
    // Those that match, wherever they are. What is here is what counts.
    let none = json!({ "stars": 0 });
    let many = world.change_many("news", &none, &json!({ "$set": { "text": "y" } }));
    let many = world.run(many).await.unwrap();
    let two = nubo_core::write::Outcome::Changed {
        matched: 2,
        modified: 2,
    };
    assert_eq!(many, two);
    elsewhere.take(&world, &ids).await;
    // And what refers to a document goes with it.
    world.delete("people", ann).await.unwrap();
    assert!(world.all("news").await.is_empty());
    let room = world.truth.waiting_room().unwrap();
    let ends = room.ends(world.collection("news").id, &ids).await.unwrap();
    assert_eq!(ends.len(), 3);
    // What has ended does not come back, whatever is elsewhere.
    let missing = world.update("news", ids[0], json!({ "text": "z" })).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    stop([world]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_away_nobody_else_fails() {
    let ([world], elsewhere) = worlds().await;
    let id = world.given("news", json!({ "text": "x" })).await;
    elsewhere.take(&world, &[id]).await;
    *elsewhere.is_away.lock().unwrap() = true;
    let transactions = [
        world.change("news", id, &json!({ "text": "y" })),
        world.creation("people", &json!({ "name": "Ann" })),
        world.creation("news", &json!({ "text": "z" })),
    ];
    let mut transactions = transactions.map(|one| transaction(&world, one));
    transactions[2].new_ids = true;
    let results = world
        .truth
        .transact(transactions.to_vec(), Sequence::Independent);
    let codes: Vec<Option<&str>> = results
        .await
        .iter()
        .map(|result| result.as_ref().err().map(Error::code))
        .collect();
    assert_eq!(codes, [Some(UNAVAILABLE), None, None]);
    *elsewhere.is_away.lock().unwrap() = false;
    world
        .update("news", id, json!({ "text": "y" }))
        .await
        .unwrap();
    assert_eq!(world.all("news").await.len(), 2);
    stop([world]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_while_somebody_recalls_or_has_changed_it() {
    let ([world], elsewhere) = worlds().await;
    let world = Arc::new(world);
    let [left, stays] = [
        world.given("news", json!({ "text": "x" })).await,
        world.given("news", json!({ "text": "x" })).await,
    ];
    elsewhere.take(&world, &[left]).await;
    let waiting = world
        .all("news")
        .await
        .iter()
        .map(version)
        .collect::<Vec<_>>();
    let (asked, go) = elsewhere.close();
    let changing = {
        let world = world.clone();
        tokio::spawn(async move { world.update("news", left, json!({ "text": "y" })).await })
    };
    asked.await.unwrap();
    assert!(!leave(&world, waiting.clone()).await);
    go.send(()).unwrap();
    changing.await.unwrap().unwrap();
    // Another version of it stays.
    world.clock.advance(1000);
    world
        .update("news", stays, json!({ "text": "y" }))
        .await
        .unwrap();
    assert!(leave(&world, waiting).await);
    assert_eq!(world.all("news").await.len(), 2);
    // In another epoch nothing leaves.
    let room = world.truth.waiting_room().unwrap();
    let leaving = Leaving {
        collection: world.collection("news").id,
        documents: world.all("news").await.iter().map(version).collect(),
        ends: Vec::new(),
    };
    let another = Epoch {
        number: 7,
        nonce: 7,
    };
    assert!(!room.leave(another, &leaving).await.unwrap());
    assert!(room.leave(Epoch::NONE, &leaving).await.unwrap());
    assert!(world.all("news").await.is_empty());
    world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_meanwhile_is_not_taken_in() {
    let ([one, two], elsewhere) = worlds().await;
    let id = one.given("news", json!({ "text": "x" })).await;
    elsewhere.take(&one, &[id]).await;
    let (asked, go) = elsewhere.close();
    let one = Arc::new(one);
    let changing = {
        let one = one.clone();
        tokio::spawn(async move { one.update("news", id, json!({ "text": "y" })).await })
    };
    asked.await.unwrap();
    // The other server deletes it while the first has its old version in hand.
    two.delete("news", id).await.unwrap();
    go.send(()).unwrap();
    let missing = changing.await.unwrap();
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
    assert!(two.all("news").await.is_empty());
    // Its next life is another version.
    let next = two
        .create("news", json!({ "id": id.to_string(), "text": "z" }))
        .await
        .unwrap();
    let room = two.truth.waiting_room().unwrap();
    let ends = room.ends(two.collection("news").id, &[id]).await.unwrap();
    assert!(next.revision() > ends[0].1);
    one.truth.stop().await;
    two.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_are_kept_until_somebody_says_so() {
    let ([world], _elsewhere) = worlds().await;
    let collection = world.collection("news").id;
    let news = world.given("news", json!({ "text": "x" })).await;
    let person = world.given("people", json!({ "name": "Ann" })).await;
    world.delete("news", news).await.unwrap();
    world.delete("people", person).await.unwrap();
    let room = world.truth.waiting_room().unwrap();
    assert!(
        room.long_ended(collection, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    world.clock.advance(2 * 86_400_000_000);
    // A write has what is old swept.
    world.given("people", json!({ "name": "Bob" })).await;
    world
        .update(
            "people",
            world.given("people", json!({ "name": "Eve" })).await,
            json!({ "name": "X" }),
        )
        .await
        .unwrap();
    let ended = room.long_ended(collection, None, 10).await.unwrap();
    assert_eq!(ended.len(), 1);
    let gone = room
        .ends(world.collection("people").id, &[person])
        .await
        .unwrap();
    assert!(gone.is_empty());
    let leaving = Leaving {
        collection,
        documents: Vec::new(),
        ends: ended,
    };
    assert!(room.leave(Epoch::NONE, &leaving).await.unwrap());
    assert!(room.ends(collection, &[news]).await.unwrap().is_empty());
    stop([world]).await;
}
