//! What somebody sees: access rules, sub-queries and masked fields as the database executes them,
//! against the matcher over documents in memory. Rules, data, questions and readers are drawn at
//! random from what real collections have.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeMap;

use nubo_core::{
    access::View,
    caller::{Account, Caller},
    clock::Clock,
    document::Document,
    filter::{Expr, Select, SubQueries},
    id::Id,
    query::{Query, Related},
    schema::CollectionId,
    value::Value,
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::{Value as Json, json};
use world::{Driver, Home, World, choices::Choices, property};

/// How many readers ask how many questions of each world.
const QUESTIONS: usize = 24;

#[test]
fn views_of_sqlite_and_the_matcher_agree() {
    agrees(Driver::Sqlite);
}

#[test]
fn views_of_postgres_and_the_matcher_agree() {
    agrees(Driver::Postgres);
}

fn agrees(on: Driver) {
    let place = on.home();
    property::holds(100, 1500..2500, async |choices| {
        let home = place.emptied().unwrap_or_else(|| on.home());
        one_case(choices, home).await
    });
}

async fn one_case(choices: &mut Choices<'_>, home: Home) -> TestCaseResult {
    let declarations = declarations(choices);
    let world = World::at(declarations.clone(), home).await;
    let people: Vec<Id> = (0..4).map(|_| world.id()).collect();
    let memory = fill(&world, &people, choices).await;
    for _ in 0..QUESTIONS {
        let caller = match choices.below(6) {
            0 => Caller::Anonymous,
            1 => Caller::account(Account::new(people[0], vec!["moderator".into()])),
            _ => {
                let fields = BTreeMap::from([("level".to_owned(), Value::Int(2))]);
                let account = Account::new(*choices.pick(&people), vec!["user".into()]);
                Caller::account(account.with_fields(fields))
            }
        };
        let asked = Asked {
            world: &world,
            memory: &memory,
            view: world.collection("things").view(&caller, world.clock.now()),
            about: format!("{caller:?} of {declarations}"),
        };
        asked.compare(choices, &people).await?;
    }
    world.truth.stop().await;
    Ok(())
}

/// Things belong to somebody and to groups; groups have members; people say things of each other.
fn declarations(choices: &mut Choices<'_>) -> Json {
    let read: Vec<Json> = (0..1 + choices.below(3))
        .map(|_| rule(choices, 2))
        .collect();
    let shown = rule(choices, 1);
    let indexed = choices.once_in(2);
    json!([
        { "name": "groups", "fields": { "kind": "int", "heads": "uuid[]" } },
        { "name": "members", "fields": {
            "group": "ref(groups)", "person": "uuid", "state": "int" },
          "indexes": [{ "fields": ["group", "person"], "unique": true }] },
        { "name": "bonds", "fields": { "from": "uuid", "to": "uuid", "state": "int" },
          "indexes": if indexed { json!([["from", "to"], ["to"]]) } else { json!([]) } },
        { "name": "things", "owner": "owner", "fields": {
            "owner": "uuid", "group": "ref(groups)", "groups": "ref(groups)[]", "value": "int",
            "parent": "ref(things)",
            "secret": { "type": "text", "readable_by": shown } },
          "indexes": [["group", "-created_at"]],
          "access": { "read": read } },
    ])
}

/// A rule as people write them.
fn rule(choices: &mut Choices<'_>, depth: usize) -> Json {
    let words = ["owner", "public", "authenticated", "role:moderator", "none"];
    match choices.below(12) {
        0..=1 => (*choices.pick(&words)).into(),
        _ => condition(choices, depth),
    }
}

fn condition(choices: &mut Choices<'_>, depth: usize) -> Json {
    let state = choices.below(3);
    let of = ["owner", "group", "groups"];
    let leaf = |choices: &mut Choices<'_>| match choices.below(4) {
        0 => json!({ "owner": "$auth.id" }),
        1 => json!({ "value": { "$lt": "$auth.level" } }),
        2 => json!({ "value": { "$in": [state, null] } }),
        _ => json!({ "owner": { "$ne": "$auth.id" } }),
    };
    if depth == 0 {
        return leaf(choices);
    }
    let operator = *choices.pick(&["$in", "$nin"]);
    match choices.below(9) {
        0 => leaf(choices),
        1 => json!({ "$or": [condition(choices, depth - 1), condition(choices, depth - 1)] }),
        2 => json!({ "$nor": [condition(choices, depth - 1)] }),
        3 => json!({ choices.pick(&of[1..]).to_owned(): { operator: {
            "$select": "members.group",
            "$where": { "person": "$auth.id", "state": { "$ne": state } } } } }),
        4 => json!({ "owner": { operator: {
            "$select": "bonds.from", "$where": { "to": "$auth.id", "state": state } } } }),
        5 => json!({ "owner": { operator: { "$select": "groups.heads" } } }),
        6 => json!({ "owner": { operator: { "$select": "bonds.from",
            "$where": { "state": state, "to": { operator: { "$select": "bonds.from" } } } } } }),
        7 => json!({ "parent": { operator: { "$select": "things.id",
            "$where": condition(choices, depth - 1) } } }),
        _ => {
            json!({ "group": { "$in": { "$select": "members.group", "$where": { "person": "$auth.id",
            "group": { "$in": { "$select": "groups.id", "$where": { "kind": state } } } } } } })
        }
    }
}

async fn fill(world: &World, people: &[Id], choices: &mut Choices<'_>) -> Memory {
    let person = |choices: &mut Choices<'_>| match choices.once_in(6) {
        true => Json::Null,
        false => choices.pick(people).to_string().into(),
    };
    let mut groups = Vec::new();
    for _ in 0..3 {
        let heads = choices.several(2, |choices| choices.pick(people).to_string());
        let kind = choices.below(3);
        let group = world.given("groups", json!({ "kind": kind, "heads": heads }));
        groups.push(group.await.to_string());
    }
    let group = |choices: &mut Choices<'_>| match choices.once_in(5) {
        true => Json::Null,
        false => choices.pick(&groups).as_str().into(),
    };
    for _ in 0..6 {
        let member = json!({ "group": group(choices), "person": person(choices),
            "state": choices.below(3) });
        // A member twice is refused, and that is all right.
        world.create("members", member).await.ok();
    }
    for _ in 0..8 {
        let bond = json!({ "from": person(choices), "to": person(choices),
            "state": choices.below(3) });
        world.given("bonds", bond).await;
    }
    let mut things: Vec<String> = Vec::new();
    for _ in 0..12 {
        if choices.once_in(2) {
            world.clock.advance(1000);
        }
        let parent = match things.is_empty() || choices.once_in(2) {
            true => Json::Null,
            false => choices.pick(&things).as_str().into(),
        };
        let several = choices.several(2, |choices| choices.pick(&groups).clone());
        let several = match choices.once_in(4) {
            true => Json::Null,
            false => json!(several),
        };
        let value = match choices.below(4) {
            3 => Json::Null,
            some => some.into(),
        };
        let thing = json!({ "owner": person(choices), "group": group(choices), "parent": parent,
            "groups": several, "value": value, "secret": "s" });
        things.push(world.given("things", thing).await.to_string());
    }
    let mut memory = Memory::default();
    for collection in world.catalog.collections() {
        let documents = world.all(&collection.name).await;
        memory
            .collections
            .push((collection.fields().to_vec(), documents));
    }
    memory
}

/// All documents, and the matcher's answers about them.
#[derive(Default)]
struct Memory {
    /// Fields and documents, in the catalog's order.
    collections: Vec<(Vec<nubo_core::field::Field>, Vec<Document>)>,
}

impl Memory {
    fn of(&self, collection: CollectionId) -> &(Vec<nubo_core::field::Field>, Vec<Document>) {
        &self.collections[collection.index()]
    }

    fn matches(&self, expr: &Expr, collection: CollectionId, document: &Document) -> bool {
        expr.matches(document, &self.of(collection).0, self)
    }
}

impl SubQueries for Memory {
    fn contains(&self, select: &Select, value: &Value) -> bool {
        let (fields, documents) = self.of(select.collection);
        documents
            .iter()
            .filter(|document| select.condition.matches(document, fields, self))
            .any(|document| match document.value(select.field) {
                Value::List(items) => items.contains(value),
                one => !one.is_null() && one == value,
            })
    }
}

/// One reader's look at the things.
struct Asked<'a> {
    world: &'a World,
    memory: &'a Memory,
    view: View,
    about: String,
}

impl Asked<'_> {
    async fn compare(&self, choices: &mut Choices<'_>, people: &[Id]) -> TestCaseResult {
        let things = self.world.collection("things");
        let (_, documents) = self.memory.of(things.id);
        let asked = match choices.below(5) {
            0 => json!({ "owner": choices.pick(people).to_string() }),
            1 => json!({ "value": { "$ne": 1 } }),
            2 => {
                let groups = self.world.all("groups").await;
                json!({ "group": choices.pick(&groups).id().unwrap().to_string() })
            }
            3 => {
                let parents: Vec<String> = documents
                    .iter()
                    .map(|document| document.id().unwrap().to_string())
                    .collect();
                json!({ "$or": [{ "parent": choices.pick(&parents) }, { "value": 2 }] })
            }
            _ => json!({}),
        };
        let query = Query {
            sort: things
                .read_sort(choices.pick::<&str>(&["-created_at", "value,-id", "id"]))
                .unwrap(),
            ..self.world.query("things", &asked, 100)
        };
        let mut expected: Vec<Document> = documents
            .iter()
            .filter(|document| self.memory.matches(&query.filter, things.id, document))
            .filter(|document| {
                self.memory
                    .matches(&self.view.condition, things.id, document)
            })
            .map(|document| self.masked(document))
            .collect();
        expected.sort_by(|a, b| {
            let keys = query.sort.iter().map(|key| {
                let order = a.value(key.field).sort_order(b.value(key.field));
                if key.descending {
                    order.reverse()
                } else {
                    order
                }
            });
            keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        let about = format!("{asked} by {}", self.about);
        let truth = &self.world.truth;
        let found = truth.find(query.clone(), &self.view).await.unwrap();
        prop_assert_eq!(&found, &expected, "find {}", about);
        let count = truth.count(things.id, query.filter.clone(), &self.view);
        prop_assert_eq!(
            count.await.unwrap(),
            expected.len() as u64,
            "count {}",
            about
        );
        let page = truth.page(query.clone(), &self.view).await.unwrap();
        let sent: Vec<Vec<u8>> = expected
            .iter()
            .map(|document| self.written(document))
            .collect();
        prop_assert_eq!(page.documents, sent.join(&b",\n"[..]), "page {}", about);
        self.compare_one(choices, documents).await?;
        self.compare_related(choices).await
    }

    async fn compare_one(&self, choices: &mut Choices<'_>, all: &[Document]) -> TestCaseResult {
        let things = self.world.collection("things");
        let document = choices.pick(all);
        let seen = self
            .memory
            .matches(&self.view.condition, things.id, document);
        let expected = seen.then(|| self.written(&self.masked(document)));
        let found = self
            .world
            .truth
            .get(things.id, document.id().unwrap(), &self.view);
        let found = found.await.unwrap().map(|body| body.json.to_vec());
        prop_assert_eq!(found, expected, "get {}", &self.about);
        Ok(())
    }

    async fn compare_related(&self, choices: &mut Choices<'_>) -> TestCaseResult {
        let things = self.world.collection("things");
        let groups = self.world.all("groups").await;
        let group = choices.pick(&groups).value(0).clone();
        let (field, _) = things.field_named("groups").unwrap();
        let related = Related {
            collection: things.id,
            field,
            values: vec![group.clone()],
            sort: things.read_sort("id").unwrap(),
            limit_each: 50,
        };
        let listed = |document: &Document| match document.value(field) {
            Value::List(items) => items.contains(&group),
            _ => false,
        };
        let (_, documents) = self.memory.of(things.id);
        let mut expected: Vec<Document> = documents
            .iter()
            .filter(|document| listed(document))
            .filter(|document| {
                self.memory
                    .matches(&self.view.condition, things.id, document)
            })
            .map(|document| self.masked(document))
            .collect();
        expected.sort_by_key(|document| document.id());
        let found = self.world.truth.find_related(related, &self.view).await;
        let mut found = found.unwrap();
        found.dedup();
        prop_assert_eq!(found, expected, "related {}", &self.about);
        Ok(())
    }

    fn masked(&self, document: &Document) -> Document {
        let things = self.world.collection("things");
        let mut masked = document.clone();
        for mask in &self.view.masks {
            if !self.memory.matches(&mask.shown, things.id, document) {
                masked.set(mask.field, Value::Null);
            }
        }
        masked
    }

    fn written(&self, document: &Document) -> Vec<u8> {
        let mut out = Vec::new();
        document.write_json(self.world.collection("things"), &mut out);
        out
    }
}
