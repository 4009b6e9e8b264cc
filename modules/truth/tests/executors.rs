//! One filter language: documents in memory and documents in SQL give the same answers.
//!
//! Random schemas, documents, filters and orders; the matcher of `core` says what is right. Each
//! case is one database and many filters. `NUBO_CASES` says how many cases there are.

#![allow(clippy::unwrap_used)]

mod world;

use std::cmp::Ordering;

use nubo_core::{
    access::View,
    document::Document,
    filter::{Expr, Reader},
    query::{Cursor, Query, Start},
    schema::{Collection, SortKey},
    write::{Outcome, Sequence, Transaction},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::{Value as Json, json};
use world::{Driver, Home, World, choices::Choices, documents, filters, property, schemas};

/// How many filters each schema is asked.
const FILTERS: usize = 24;

#[test]
fn the_matcher_sqlite_and_postgres_agree() {
    let place = Driver::Postgres.home();
    property::holds(200, 4000..5000, async |choices| {
        let homes = [Driver::Sqlite.home(), place.emptied().unwrap()];
        one_case(choices, homes).await
    });
}

async fn one_case(choices: &mut Choices<'_>, homes: [Home; 2]) -> TestCaseResult {
    let declarations = schemas::declarations(choices);
    let [sqlite, postgres] = homes;
    let sqlite = World::at(declarations.clone(), sqlite).await;
    let postgres = World::at(declarations.clone(), postgres).await;
    let documents = fill(&sqlite, &postgres, choices).await?;
    for world in [&sqlite, &postgres] {
        let collection = world.collection("things");
        for document in &documents {
            let body = world
                .truth
                .get(collection.id, document.id().unwrap(), &View::all())
                .await
                .unwrap()
                .unwrap();
            same_json(
                &body.json,
                &written(document, collection),
                world,
                &declarations,
            )?;
            prop_assert_eq!(body.revision, document.revision());
        }
    }
    let collection = sqlite.collection("things");
    for _ in 0..FILTERS {
        let filter = filters::filter(choices, collection);
        let sort = filters::sort(choices, collection);
        let (offset, limit) = (choices.below(6), 1 + choices.below(4));
        for world in [&sqlite, &postgres] {
            let asked = Asked {
                world,
                collection,
                documents: &documents,
                about: format!("filter {filter}\nsort {sort}\nschema {declarations}"),
            };
            asked.compare(&filter, &sort, offset, limit).await?;
        }
    }
    sqlite.truth.stop().await;
    postgres.truth.stop().await;
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
        transactions.push(world.transaction(vec![nubo_core::write::Operation::Create {
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

/// What is asked of which documents.
struct Asked<'a> {
    world: &'a World,
    collection: &'a Collection,
    documents: &'a [Document],
    about: String,
}

impl Asked<'_> {
    async fn compare(
        &self,
        filter: &Json,
        sort: &str,
        offset: usize,
        limit: usize,
    ) -> TestCaseResult {
        let reader = Reader::of_client(&self.world.catalog, self.collection);
        let filter = match reader.read(filter) {
            Ok(filter) => filter,
            // The only limit that random filters may meet.
            Err(error) if error.errors().iter().all(|e| e.code == "too_deep") => return Ok(()),
            Err(error) => return Err(self.failed(error)),
        };
        let sort = self.collection.read_sort(sort).unwrap();
        let expected = self.expected(&filter, &sort);
        let query = Query {
            collection: self.collection.id,
            filter,
            sort,
            start: Start::First,
            limit: 100,
            fields: None,
        };
        self.compare_whole(&query, &expected).await?;
        self.compare_offset(&query, &expected, offset).await?;
        self.compare_walk(&query, &expected, limit).await
    }

    fn expected(&self, filter: &Expr, sort: &[SortKey]) -> Vec<&Document> {
        let fields = self.collection.fields();
        let mut expected: Vec<&Document> = self
            .documents
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

    async fn compare_whole(&self, query: &Query, expected: &[&Document]) -> TestCaseResult {
        let truth = &self.world.truth;
        let found = truth
            .find(query.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        let found: Vec<&Document> = found.iter().collect();
        prop_assert_eq!(&found[..], expected, "find: {}", &self.about);
        let count = truth
            .count(query.collection, query.filter.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        prop_assert_eq!(count, expected.len() as u64, "count: {}", &self.about);
        let page = truth
            .page(query.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        prop_assert_eq!(page.count as usize, expected.len());
        prop_assert_eq!(page.next, None);
        let all: Vec<Vec<u8>> = expected
            .iter()
            .map(|document| written(document, self.collection))
            .collect();
        self.same(&page.documents, &all)
    }

    async fn compare_offset(
        &self,
        query: &Query,
        expected: &[&Document],
        offset: usize,
    ) -> TestCaseResult {
        let query = Query {
            start: Start::Offset(offset as u64),
            limit: 2,
            fields: Some(vec![Collection::ID]),
            ..query.clone()
        };
        let page = self.world.truth.page(query.clone(), &View::all()).await;
        let page = page.map_err(|e| self.failed(e))?;
        let rest: Vec<&Document> = expected.iter().skip(offset).copied().collect();
        let ids: Vec<Vec<u8>> = rest
            .iter()
            .take(2)
            .map(|document| {
                let mut out = Vec::new();
                document.write_fields(self.collection, &[Collection::ID], &mut out);
                out
            })
            .collect();
        self.same(&page.documents, &ids)?;
        prop_assert_eq!(page.next.is_some(), rest.len() > 2);
        let found = self.world.truth.find(query, &View::all()).await;
        let found = found.map_err(|e| self.failed(e))?;
        prop_assert_eq!(found.len(), rest.len().min(2));
        Ok(())
    }

    /// Page by page to the end, each cursor through the form that clients hold.
    async fn compare_walk(
        &self,
        query: &Query,
        expected: &[&Document],
        limit: usize,
    ) -> TestCaseResult {
        let mut query = Query {
            limit: limit as u32,
            ..query.clone()
        };
        let mut rest = expected;
        loop {
            let page = self.world.truth.page(query.clone(), &View::all()).await;
            let page = page.map_err(|e| self.failed(e))?;
            let (now, later) = rest.split_at(limit.min(rest.len()));
            let all: Vec<Vec<u8>> = now
                .iter()
                .map(|document| written(document, self.collection))
                .collect();
            self.same(&page.documents, &all)?;
            prop_assert_eq!(page.count as usize, now.len());
            prop_assert_eq!(page.next.is_some(), !later.is_empty(), "{}", &self.about);
            let Some(keys) = page.next else { return Ok(()) };
            let cursor = Cursor::encode_keys(&query, self.collection, &keys);
            query.start = Cursor::decode(&cursor, &query, self.collection)
                .map_err(|error| TestCaseError::fail(format!("{error}: {}", self.about)))?;
            let last = now.last().unwrap();
            let exact = query.sort.iter().map(|key| last.value(key.field).clone());
            prop_assert_eq!(
                &query.start,
                &Start::After(exact.collect()),
                "{}",
                &self.about
            );
            rest = later;
        }
    }

    /// Documents joined as they are in a page.
    fn same(&self, found: &[u8], expected: &[Vec<u8>]) -> TestCaseResult {
        same_json(found, &expected.join(&b",\n"[..]), self.world, &self.about)
    }

    fn failed(&self, error: nubo_core::Error) -> TestCaseError {
        TestCaseError::fail(format!("{error:?}\n{}", self.about))
    }
}

fn written(document: &Document, collection: &Collection) -> Vec<u8> {
    let mut out = Vec::new();
    document.write_json(collection, &mut out);
    out
}

/// The bytes are the same. PostgreSQL does not keep the order of keys in json: there, documents must
/// be the same values, one on each line.
fn same_json(
    found: &[u8],
    expected: &[u8],
    world: &World,
    about: &impl std::fmt::Display,
) -> TestCaseResult {
    let found = String::from_utf8_lossy(found);
    let expected = String::from_utf8_lossy(expected);
    if matches!(world.home, Home::Database(_)) && found != expected {
        prop_assert_eq!(values(&found), values(&expected), "{}", about);
        return Ok(());
    }
    prop_assert_eq!(found, expected, "{} {}", about, driver(world));
    Ok(())
}

fn values(documents: &str) -> Vec<Json> {
    let lines = documents.split(",\n");
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn driver(world: &World) -> &'static str {
    match world.home {
        Home::File(_) => "in SQLite",
        Home::Database(_) => "in PostgreSQL",
    }
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
