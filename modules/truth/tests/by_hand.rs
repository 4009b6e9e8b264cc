//! Somebody else writes to PostgreSQL, with SQL: observers hear which documents, and what those are.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    id::Id,
    observe::{BatchId, Foreign, Observer},
    schema::CollectionId,
    value::Value,
};
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Notify, time::timeout};
use world::{Driver, Home, World, postgres::Database};

/// Longer than it may take to notice.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was heard.
#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    news: Notify,
}

#[derive(Default)]
struct Heard {
    doubted: HashMap<BatchId, Vec<Id>>,
    /// Texts of documents as they were told last; none of those that are gone.
    known: HashMap<Id, Option<String>>,
    overtaken: usize,
}

#[async_trait]
impl Observer for Ear {
    fn observes(&self, _: CollectionId) -> bool {
        true
    }

    async fn doubt(&self, batch: BatchId, documents: &[(CollectionId, Id)]) {
        let ids = documents.iter().map(|(_, id)| *id).collect();
        let before = self.heard.lock().unwrap().doubted.insert(batch, ids);
        assert_eq!(before, None, "a number that was used");
    }

    async fn resolve(&self, batch: BatchId, documents: &[Foreign]) {
        let mut heard = self.heard.lock().unwrap();
        let doubted = heard.doubted.remove(&batch).unwrap();
        let mut told: Vec<Id> = documents.iter().map(|foreign| foreign.id).collect();
        for foreign in documents {
            let text = foreign.now.as_ref().map(|now| match now.value(TEXT) {
                Value::Text(text) => text.to_string(),
                other => panic!("{other:?}"),
            });
            heard.known.insert(foreign.id, text);
        }
        told.sort();
        let mut doubted = doubted;
        doubted.sort();
        assert_eq!(told, doubted);
        self.news.notify_one();
    }

    async fn overtaken(&self) {
        self.heard.lock().unwrap().overtaken += 1;
        self.news.notify_one();
    }
}

impl Ear {
    /// Waits until what was heard is as wanted.
    async fn hears(&self, what: &str, wanted: impl Fn(&Heard) -> bool) {
        let waiting = async {
            while !wanted(&self.heard.lock().unwrap()) {
                self.news.notified().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect(what);
    }

    async fn hears_of(&self, id: Id, text: Option<&str>) {
        let text = text.map(str::to_owned);
        self.hears("a document", |heard| heard.known.get(&id) == Some(&text))
            .await;
    }

    fn overtaken(&self) -> usize {
        self.heard.lock().unwrap().overtaken
    }

    /// Waits until everything was taken for out of date once more.
    async fn is_overtaken(&self, times: usize) {
        self.hears("everything", |heard| heard.overtaken > times)
            .await;
    }
}

fn declarations() -> Json {
    json!([{ "name": "notes", "domain": "content", "fields": { "text": "text!", "size": "int" } }])
}

/// Where the text stands among the fields.
const TEXT: usize = 1;

/// A truth that is watched, and a way around it.
struct Scene {
    world: World,
    ear: Arc<Ear>,
}

impl Scene {
    async fn new() -> Self {
        let world = World::closed(declarations(), Driver::Postgres.home());
        let fields = world.collection("notes").fields();
        assert_eq!(fields[TEXT].name, "text");
        let ear = Arc::new(Ear::default());
        world.truth.start(vec![ear.clone()]).await.unwrap();
        Self { world, ear }
    }

    fn database(&self) -> &Database {
        match &self.world.home {
            Home::Database(database) => database,
            Home::File(_) => panic!("PostgreSQL has no file"),
        }
    }

    async fn hand(&self) -> PgConnection {
        let options: PgConnectOptions = self.database().url.parse().unwrap();
        options.connect().await.unwrap()
    }

    async fn given(&self, text: &str) -> Id {
        self.world.given("notes", json!({ "text": text })).await
    }

    fn noted(&self) -> usize {
        let count = self.database().sql("SELECT count(*) FROM nubo.by_others");
        count.parse().unwrap()
    }
}

async fn run(hand: &mut PgConnection, sql: impl Into<String>) {
    hand.execute(AssertSqlSafe(sql.into())).await.unwrap();
}

fn rename(id: Id, text: &str) -> String {
    format!("UPDATE content.notes SET text = '{text}' WHERE id = '{id}'")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_came_and_is_gone_is_told() {
    let scene = Scene::new().await;
    let (changed, gone) = (scene.given("one").await, scene.given("two").await);
    let (new, moved) = (scene.world.id(), scene.world.id());
    let mut hand = scene.hand().await;
    run(&mut hand, rename(changed, "by hand")).await;
    scene.ear.hears_of(changed, Some("by hand")).await;

    run(
        &mut hand,
        format!(
            "INSERT INTO content.notes (id, text, created_at, updated_at, _rev) \
             VALUES ('{new}', 'new', now(), now(), 1)"
        ),
    )
    .await;
    scene.ear.hears_of(new, Some("new")).await;
    run(
        &mut hand,
        format!("DELETE FROM content.notes WHERE id = '{gone}'"),
    )
    .await;
    scene.ear.hears_of(gone, None).await;

    // Another id is two documents.
    run(
        &mut hand,
        format!("UPDATE content.notes SET id = '{moved}' WHERE id = '{new}'"),
    )
    .await;
    scene.ear.hears_of(moved, Some("new")).await;
    scene.ear.hears_of(new, None).await;
    assert_eq!(scene.ear.overtaken(), 0);
    scene.world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ones_own_is_not_noted() {
    let scene = Scene::new().await;
    let id = scene.given("mine").await;
    let patch = json!({ "text": "mine as well" });
    scene.world.update("notes", id, patch).await.unwrap();
    // So many are copied in.
    let many: Vec<_> = (0..600)
        .map(|n| {
            scene
                .world
                .creation("notes", &json!({ "text": format!("{n}") }))
        })
        .collect();
    scene.world.together(many).await.unwrap();
    let all: Json = json!({ "size": null });
    let change = scene
        .world
        .change_many("notes", &all, &json!({ "size": 3 }));
    scene.world.together(vec![change]).await.unwrap();
    let removal = scene.world.removal_of_many("notes", &json!({ "size": 3 }));
    scene.world.together(vec![removal]).await.unwrap();
    let count = scene.database().sql("SELECT count(*) FROM content.notes");
    assert_eq!((count.as_str(), scene.noted()), ("0", 0));
    scene.world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_commits_late_is_not_missed() {
    let scene = Scene::new().await;
    let (first, second) = (scene.given("one").await, scene.given("two").await);
    let (mut slow, mut quick) = (scene.hand().await, scene.hand().await);
    run(&mut slow, "BEGIN").await;
    run(&mut slow, rename(first, "late")).await;
    run(&mut quick, rename(second, "early")).await;
    scene.ear.hears_of(second, Some("early")).await;
    run(&mut slow, "COMMIT").await;
    scene.ear.hears_of(first, Some("late")).await;
    let numbers = scene
        .database()
        .sql("SELECT string_agg(id::text, ',' ORDER BY transaction, number) FROM nubo.by_others");
    assert_eq!(numbers, format!("{first},{second}"));

    // What is rolled back is not told, nor is what a savepoint takes back.
    run(&mut slow, "BEGIN; SAVEPOINT here").await;
    run(&mut slow, rename(second, "never")).await;
    run(&mut slow, "ROLLBACK TO here").await;
    run(&mut slow, rename(first, "later")).await;
    run(&mut slow, "COMMIT").await;
    scene.ear.hears_of(first, Some("later")).await;
    scene.ear.hears_of(second, Some("early")).await;
    assert_eq!(scene.noted(), 3);
    scene.world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_or_has_no_rows_is_everything() {
    let scene = Scene::new().await;
    let mut hand = scene.hand().await;
    let fill = |count: u32| {
        format!(
            "INSERT INTO content.notes (id, text, created_at, updated_at, _rev) \
             SELECT gen_random_uuid(), 'one of many', now(), now(), 1 FROM generate_series(1, {count})"
        )
    };
    // As many as are looked at one by one, then one more.
    run(&mut hand, fill(1000)).await;
    scene
        .ear
        .hears("a thousand", |heard| heard.known.len() == 1000)
        .await;
    assert_eq!((scene.ear.overtaken(), scene.noted()), (0, 1000));
    run(&mut hand, fill(5000)).await;
    scene.ear.is_overtaken(0).await;
    assert_eq!(scene.noted(), 2001);

    for (at, change) in [
        "TRUNCATE content.notes",
        "ALTER TABLE content.notes ALTER COLUMN size TYPE integer USING size + 1, \
         ALTER COLUMN text TYPE text COLLATE \"C\" USING upper(text)",
        "ALTER TABLE content.notes DISABLE TRIGGER USER; \
         ALTER TABLE content.notes ENABLE ALWAYS TRIGGER nubo_by_others",
    ]
    .into_iter()
    .enumerate()
    {
        run(&mut hand, fill(1)).await;
        let before = scene.ear.overtaken();
        run(&mut hand, change).await;
        scene.ear.is_overtaken(before).await;
        assert!(scene.ear.overtaken() > at + 1, "{change}");
    }
    scene.world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_catches_up() {
    let scene = Scene::new().await;
    let ids = [scene.given("one").await, scene.given("two").await];
    let mut hand = scene.hand().await;
    for round in 0..5 {
        for id in ids {
            run(
                &mut hand,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'nubo-test'",
            )
            .await;
            run(&mut hand, rename(id, &format!("round {round}"))).await;
        }
        for id in ids {
            scene
                .ear
                .hears_of(id, Some(&format!("round {round}")))
                .await;
        }
    }
    assert_eq!(scene.ear.overtaken(), 0);
    scene.world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_before_the_start_is_told_at_the_start() {
    let scene = Scene::new().await;
    let id = scene.given("one").await;
    scene.world.truth.stop().await;
    run(&mut scene.hand().await, rename(id, "meanwhile")).await;
    let again = World::closed(declarations(), scene.world.home.clone());
    let ear = Arc::new(Ear::default());
    again.truth.start(vec![ear.clone()]).await.unwrap();
    ear.hears_of(id, Some("meanwhile")).await;
    again.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_write_documents_is_noticed() {
    let scene = Scene::new().await;
    let id = scene.given("one").await;
    let mut hand = scene.hand().await;
    // A subscription works in this role, and so does who loads a dump in parts.
    run(&mut hand, "SET session_replication_role = replica").await;
    run(&mut hand, rename(id, "as a replica")).await;
    scene.ear.hears_of(id, Some("as a replica")).await;

    // Somebody who may do nothing in the schema `nubo`.
    let role = format!("nubo_test_hand_{}", std::process::id());
    run(
        &mut hand,
        format!(
            "RESET session_replication_role; DROP ROLE IF EXISTS {role}; CREATE ROLE {role}; \
             GRANT USAGE ON SCHEMA content TO {role}; \
             GRANT SELECT, UPDATE ON content.notes TO {role}; SET ROLE {role}"
        ),
    )
    .await;
    run(&mut hand, rename(id, "by somebody")).await;
    scene.ear.hears_of(id, Some("by somebody")).await;
    run(
        &mut hand,
        format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
    scene.world.truth.stop().await;
}
