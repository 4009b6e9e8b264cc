//! What is PostgreSQL's alone: what it is checked for at start, and what the tables look like.

#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;

use futures_util::future::join_all;
use nubo_core::{
    clock::{Clock, Random},
    truth::Truth,
};
use nubo_truth::PostgresTruth;
use serde_json::{Value as Json, json};
use world::{Counter, Driver, Home, World, catalog, postgres::Database, postgres_settings};

fn declarations() -> Json {
    json!([
        { "name": "people", "domain": "auth", "fields": {
            "name": { "type": "text", "required": true, "unique": true }, "born": "date",
            "nick": { "type": "text", "unique": true }, "password": "password" } },
        { "name": "posts", "domain": "content", "order": "-created_at", "fields": {
            "author": { "type": "ref", "to": "people", "required": true },
            "readers": { "type": "ref[]", "to": "people" },
            "tags": "text[]", "meta": "json", "place": { "type": "object", "fields": { "x": "float" } },
            "price": "decimal", "ip": "ip", "raw": "bytes", "size": "bigint", "stars": "int",
            "score": "float", "open": "bool", "at": "timestamp", "took": "duration" },
          "indexes": [["author", "-created_at"], { "fields": ["meta"], "using": "gin" },
                      { "fields": ["stars"], "where": { "open": true } }],
          "tiers": { "truth": { "table": "post_index" } } },
    ])
}

/// A truth at an address, which need not lead anywhere.
fn truth_at(url: &str) -> PostgresTruth {
    let clock: Arc<dyn Clock> = Arc::new(world::HandClock(world::BEGINNING.into()));
    let random: Arc<dyn Random> = Arc::new(Counter::default());
    let settings = postgres_settings(url.to_owned());
    PostgresTruth::new(settings, catalog(declarations()), clock, random)
}

/// What a start is refused with, causes and all.
async fn refusal(url: &str) -> String {
    let error = truth_at(url).start(Vec::new()).await.unwrap_err();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_comes_to_nothing_says_why_and_keeps_the_password() {
    let nobody = "postgres://somebody:hunter2@127.0.0.1:1/nubo";
    let words = refusal(nobody).await;
    assert!(words.contains("cannot connect"), "{words}");
    assert!(words.contains("somebody@127.0.0.1:1/nubo"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");
    let words = refusal("postgres://somebody:hunter2@:x/").await;
    assert!(!words.contains("hunter2"), "{words}");

    let database = Database::new();
    let missing = format!("{}_missing", database.url);
    let words = refusal(&missing).await;
    assert!(words.contains("does not exist"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_will_not_do_is_refused() {
    let database = Database::new();
    let ascii = format!("{}_ascii", database.url.rsplit_once('/').unwrap().1);
    database.sql(&format!(
        "CREATE DATABASE {ascii} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    ));
    let url = database
        .url
        .replace(database.url.rsplit_once('/').unwrap().1, &ascii);
    let words = refusal(&url).await;
    database.sql(&format!("DROP DATABASE {ascii}"));
    assert!(
        words.contains("SQL_ASCII") && words.contains("UTF8"),
        "{words}"
    );

    // Somebody who may connect and nothing else.
    let role = format!("guest_of_{ascii}");
    database.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'"));
    let (_, at) = database.url.split_once('@').unwrap();
    let words = refusal(&format!("postgres://{role}:hunter2@{at}")).await;
    database.sql(&format!("DROP OWNED BY {role}"));
    database.sql(&format!("DROP ROLE {role}"));
    assert!(words.contains("grant it CREATE"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_have_real_types_keys_and_indexes() {
    let home = Driver::Postgres.home();
    let world = World::at(declarations(), home.clone()).await;
    let Home::Database(database) = &home else {
        panic!("there is no database");
    };
    let columns = database.sql(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) || coalesce(' ' || collname, '') \
         FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation \
         WHERE attrelid = 'content.post_index'::regclass AND attnum > 0 ORDER BY attnum",
    );
    let expected = [
        "id uuid",
        "author uuid",
        "readers uuid[]",
        "tags text[] C",
        "meta jsonb",
        "place jsonb",
        "price numeric",
        "ip inet",
        "raw bytea",
        "size bigint",
        "stars integer",
        "score double precision",
        "open boolean",
        "at timestamp(3) with time zone",
        "took bigint",
        "created_at timestamp(3) with time zone",
        "updated_at timestamp(3) with time zone",
        "_rev bigint",
    ];
    assert_eq!(columns.lines().collect::<Vec<_>>(), expected);
    let definitions = database.sql(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'content' \
         UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE conrelid = 'content.post_index'::regclass AND contype = 'f' ORDER BY 1",
    );
    let expected = [
        "CREATE INDEX post_index_author_created_at_desc_idx ON content.post_index \
         USING btree (author, created_at DESC, id DESC)",
        "CREATE INDEX post_index_created_at_desc_id_desc_idx ON content.post_index \
         USING btree (created_at DESC, id DESC)",
        "CREATE INDEX post_index_meta_gin ON content.post_index USING gin (meta)",
        "CREATE UNIQUE INDEX post_index_pkey ON content.post_index USING btree (id)",
        "FOREIGN KEY (author) REFERENCES auth.people(id)",
    ];
    let definitions: Vec<&str> = definitions.lines().collect();
    for definition in expected {
        assert!(
            definitions.contains(&definition),
            "{definition}: {definitions:#?}"
        );
    }
    let partial = "USING btree (stars NULLS FIRST, id) WHERE (open = true)";
    assert!(
        definitions.iter().any(|one| one.ends_with(partial)),
        "{definitions:#?}"
    );
    let hash = "SELECT count(*) FROM pg_attribute \
                WHERE attrelid = 'auth.people'::regclass AND attname = 'password_hash'";
    assert_eq!(database.sql(hash), "1");
    // Started again over the same tables it finds nothing to do.
    world
        .reopened(declarations())
        .await
        .unwrap()
        .truth
        .stop()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_fit_is_left_alone() {
    let home = Driver::Postgres.home();
    let before = json!([{ "name": "notes", "fields": { "a": "int", "b": "text" } }]);
    let world = World::at(before.clone(), home).await;
    let id = world.given("notes", json!({ "a": 1 })).await;
    let seen = world.see("notes", id).await;
    let home = world.home.clone();
    let after = json!([{ "name": "notes", "fields": { "a": "text", "b": "text!", "c": "int!" } }]);
    let words = world.reopened(after).await.err().unwrap();
    for place in ["`notes.a`", "`notes.b`", "`c`"] {
        assert!(words.contains(place), "{words}");
    }
    let more = json!([{ "name": "notes", "fields": {
        "a": "int", "b": "text", "c": { "type": "int", "required": true, "default": 7 } } }]);
    let world = World::at(before, home).await;
    assert_eq!(world.see("notes", id).await, seen);
    let world = world.reopened(more).await.unwrap();
    assert_eq!(world.see("notes", id).await.unwrap()["c"], 7);
    world.truth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_start_together_prepare_once() {
    let home = Driver::Postgres.home();
    let worlds: Vec<World> = (0..4)
        .map(|_| World::closed(declarations(), home.clone()))
        .collect();
    let starts = worlds.iter().map(|world| world.truth.start(Vec::new()));
    for started in futures_util::future::join_all(starts).await {
        started.unwrap();
    }
    worlds[0]
        .given("people", json!({ "name": "a", "password": "long enough" }))
        .await;
    assert_eq!(worlds[3].count("people", json!({})).await, 1);
    for world in worlds {
        world.truth.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_are_absent_are_not_the_same() {
    let world = Driver::Postgres.world(declarations()).await;
    for name in ["a", "b"] {
        world
            .given("people", json!({ "name": name, "password": "long enough" }))
            .await;
    }
    let twice = json!({ "name": "c", "nick": "n", "password": "long enough" });
    world.given("people", twice.clone()).await;
    let error = world.create(
        "people",
        json!({ "name": "d", "nick": "n", "password": "long enough" }),
    );
    let error = error.await.unwrap_err();
    assert_eq!(error.code(), "duplicate");
    assert_eq!(error.errors()[0].path, "/nick");
    world.truth.stop().await;
}

/// Four reads of the same form that take long stand ahead of some that do not, and that go together
/// when they have waited for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_wait_for_those_that_take_long() {
    let database = Arc::new(Database::new());
    let declared = json!([{ "name": "things", "fields": { "name": "text", "slow": "int" } }]);
    let world = World::at(declared, Home::Database(Arc::clone(&database))).await;
    let world = Arc::new(world);
    let mut slow = Vec::new();
    for n in 0..4 {
        let thing = json!({ "name": format!("slow {n}"), "slow": 5 });
        slow.push(world.given("things", thing).await);
    }
    let mut quick = Vec::new();
    for n in 0..3 {
        let thing = json!({ "name": format!("quick {n}") });
        quick.push(world.given("things", thing).await);
    }
    database.sql(
        "ALTER TABLE main.things RENAME TO stored; \
         CREATE VIEW main.things AS SELECT id, \
           CASE WHEN slow > 0 THEN (SELECT name FROM pg_sleep(slow)) ELSE name END AS name, \
           slow, created_at, updated_at, _rev FROM main.stored",
    );
    let slow: Vec<_> = slow
        .into_iter()
        .map(|id| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.see("things", id).await.unwrap()["name"].clone() })
        })
        .collect();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while database.sql(asleep) != "4" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let found = join_all(quick.iter().map(|id| world.see("things", *id))).await;
    for (n, found) in found.into_iter().enumerate() {
        assert_eq!(found.unwrap()["name"], format!("quick {n}"));
    }
    let together = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND pid <> pg_backend_pid() AND query LIKE '%FROM unnest%nubo_asked%'";
    assert_eq!(database.sql(together), "1", "one statement for all three");
    assert!(slow.iter().all(|slow| !slow.is_finished()));
    for (n, slow) in slow.into_iter().enumerate() {
        assert_eq!(slow.await.unwrap(), format!("slow {n}"));
    }
}
