//! One filter language: documents in memory, in SQL, in MongoDB and in the cache's sets give the same
//! answers.
//!
//! Random schemas, documents, filters, orders and access rules; the matcher of `core` says what is
//! right. Each case is one database and many filters. `NUBO_CASES` says how many cases there are.

#![allow(clippy::unwrap_used)]

mod cached;
mod recent;
mod truth;
#[path = "../../../modules/truth/tests/world/mod.rs"]
mod world;

use std::cmp::Ordering;

use cached::{Cached, Share};
use nubo_core::{
    access::View,
    document::Document,
    filter::{Expr, Reader},
    query::{Cursor, Query, Start},
    schema::{Collection, SortKey},
    truth::Page,
    write::{Operation, Outcome, Sequence, Transaction},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use recent::Mongo;
use serde_json::json;
use truth::{Answers, same_json};
use world::{Driver, Home, World, choices::Choices, documents, filters, property, schemas};

/// How many filters each schema is asked.
const FILTERS: usize = 24;
/// In one of how many cases MongoDB is asked too: what takes its place may be slow.
const WITH_MONGO: usize = 4;

#[test]
fn all_executors_agree() {
    let place = Driver::Postgres.home();
    let share = Share::default();
    property::holds(200, 4000..5000, async |choices| {
        let homes = [Driver::Sqlite.home(), place.emptied().unwrap()];
        one_case(choices, homes, &share).await
    });
    share.check();
}

async fn one_case(choices: &mut Choices<'_>, homes: [Home; 2], share: &Share) -> TestCaseResult {
    let mut declarations = schemas::declarations(choices);
    declarations[0]["tiers"] = json!({ "recent": {} });
    cached::declare(choices, &mut declarations);
    let [sqlite, postgres] = homes;
    let sqlite = World::closed(declarations.clone(), sqlite);
    let cached = Cached::start(&sqlite, &declarations, share).await;
    let postgres = World::at(declarations.clone(), postgres).await;
    let mongo = match choices.once_in(WITH_MONGO) {
        true => Some(Mongo::new(sqlite.catalog.clone()).await),
        false => None,
    };
    let collection = sqlite.collection("things");
    let documents = fill(&sqlite, &postgres, choices).await?;
    for world in [&sqlite, &postgres] {
        for document in &documents {
            let body = world
                .truth
                .get(collection.id, document.id().unwrap(), &View::all())
                .await
                .unwrap()
                .unwrap();
            let expected = written(document, collection);
            same_json(&body.json, &expected, world, &declarations)?;
            prop_assert_eq!(body.revision, document.revision());
        }
    }
    if let Some(mongo) = &mongo {
        mongo.fill(choices, collection, &documents).await?;
    }
    for _ in 0..FILTERS {
        let (json, sort) = match choices.once_in(2) {
            true => (
                cached::narrow_filter(choices, collection, &documents),
                cached::order(&declarations),
            ),
            false => (
                filters::filter(choices, collection),
                filters::sort(choices, collection),
            ),
        };
        let about = format!("filter {json}\nsort {sort}\nschema {declarations}");
        let filter = match Reader::of_client(&sqlite.catalog, collection).read(&json) {
            Ok(filter) => filter,
            // The only limit that random filters may meet.
            Err(error) if error.errors().iter().all(|e| e.code == "too_deep") => continue,
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}\n{about}"))),
        };
        let sort = collection.read_sort(&sort).unwrap();
        let question = Question {
            collection,
            expected: expected(collection, &documents, &filter, &sort),
            query: Query {
                collection: collection.id,
                filter,
                sort,
                start: Start::First,
                limit: 100,
                fields: None,
            },
            offset: choices.below(6),
            limit: 1 + choices.below(4),
            about,
        };
        for world in [&sqlite, &postgres] {
            let question = &question;
            Answers { world, question }.compare().await?;
        }
        cached.compare(&question).await?;
        if let Some(mongo) = &mongo {
            mongo.compare(choices, &question).await?;
        }
    }
    sqlite.truth.stop().await;
    postgres.truth.stop().await;
    if let Some(mongo) = mongo {
        mongo.end().await;
    }
    Ok(())
}

/// Creates the targets of references and the same random documents in two worlds; gives the latter
/// as they were stored.
async fn fill(
    world: &World,
    other: &World,
    choices: &mut Choices<'_>,
) -> Result<Vec<Document>, TestCaseError> {
    for id in documents::TARGETS {
        world.given("targets", json!({ "id": id })).await;
        other.given("targets", json!({ "id": id })).await;
    }
    let collection = world.collection("things");
    let mut transactions = Vec::new();
    for _ in 0..choices.below(14) {
        if choices.once_in(2) {
            world.clock.advance(1000);
            other.clock.advance(1000);
        }
        let json = documents::document(choices, collection);
        let document = world.try_document("things", &json);
        let document = document.map_err(|error| {
            TestCaseError::fail(format!("{json} is refused: {:?}", error.errors()))
        })?;
        transactions.push(world.transaction(vec![Operation::Create {
            collection: collection.id,
            document,
        }]));
    }
    let stored = create(world, transactions.clone()).await?;
    prop_assert_eq!(&create(other, transactions).await?, &stored);
    Ok(stored)
}

async fn create(
    world: &World,
    transactions: Vec<Transaction>,
) -> Result<Vec<Document>, TestCaseError> {
    let results = world
        .truth
        .transact(transactions, Sequence::Independent)
        .await;
    let mut stored = Vec::new();
    for result in results {
        match result.map(|mut outcomes| outcomes.remove(0)) {
            Ok(Outcome::Created(document)) => stored.push(document),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
    Ok(stored)
}

/// What is asked, and what is right.
pub struct Question<'a> {
    collection: &'a Collection,
    /// The whole list.
    query: Query,
    expected: Vec<&'a Document>,
    /// How many documents are skipped.
    offset: usize,
    /// How many there are on a page.
    limit: usize,
    about: String,
}

impl Question<'_> {
    /// Two documents from somewhere on.
    fn skipping(&self) -> Query {
        Query {
            start: Start::Offset(self.offset as u64),
            limit: 2,
            ..self.query.clone()
        }
    }

    /// The first page.
    fn in_steps(&self) -> Query {
        Query {
            limit: self.limit as u32,
            ..self.query.clone()
        }
    }

    /// Page by page to the end, each cursor through the form that clients hold. Who asks compares
    /// what is on a page.
    async fn walk(
        &self,
        expected: &[&Document],
        ask: impl AsyncFn(Query, &[&Document]) -> Result<Page, TestCaseError>,
    ) -> TestCaseResult {
        let mut query = self.in_steps();
        let mut rest = expected;
        loop {
            let (now, later) = rest.split_at(self.limit.min(rest.len()));
            let page = ask(query.clone(), now).await?;
            prop_assert_eq!(page.count as usize, now.len());
            prop_assert_eq!(page.next.is_some(), !later.is_empty(), "{}", &self.about);
            let Some(keys) = page.next else { return Ok(()) };
            let cursor = Cursor::encode_keys(&query, self.collection, &keys);
            query.start = Cursor::decode(&cursor, &query, self.collection)
                .map_err(|error| TestCaseError::fail(format!("{error}: {}", self.about)))?;
            let last = now.last().unwrap();
            let exact = query.sort.iter().map(|key| last.value(key.field).clone());
            let exact = Start::After(exact.collect());
            prop_assert_eq!(&query.start, &exact, "{}", &self.about);
            rest = later;
        }
    }
}

/// What matches, in its order.
fn expected<'a>(
    collection: &Collection,
    documents: &'a [Document],
    filter: &Expr,
    sort: &[SortKey],
) -> Vec<&'a Document> {
    let fields = collection.fields();
    let mut expected: Vec<&Document> = documents
        .iter()
        .filter(|document| filter.matches(document, fields, &()))
        .collect();
    expected.sort_by(|a, b| {
        sort.iter()
            .map(|key| {
                let order = a.value(key.field).sort_order(b.value(key.field));
                if key.descending {
                    order.reverse()
                } else {
                    order
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    expected
}

fn written(document: &Document, collection: &Collection) -> Vec<u8> {
    let mut out = Vec::new();
    document.write_json(collection, &mut out);
    out
}
// What random cases meet too seldom to rely on them.
on_each_truth!(rare_finds_stay_found);
async fn rare_finds_stay_found(on: Driver) {
    let world = on
        .world(json!([{ "name": "things", "fields": {
        "o": { "type": "object", "fields": { "l": "float[]" } }, "tags": "text[]" } }]))
        .await;
    world
        .given("things", json!({ "o": { "l": null }, "tags": ["a", "b"] }))
        .await;
    // No list is no number beyond all others.
    assert_eq!(
        world
            .count("things", json!({ "o.l": { "$gt": 1e196 } }))
            .await,
        0
    );
    // One document is one document, however many of its items pass.
    let query = Query {
        start: Start::Offset(1),
        ..world.query("things", &json!({ "tags": { "$gte": "a" } }), 10)
    };
    assert_eq!(
        world.truth.page(query, &View::all()).await.unwrap().count,
        0
    );
}
