//! Every kind of change, planned, applied and taken back, on each database.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use nubo_core::id::Id;
use nubo_truth::{Migrations, Planned, Policy, Target};
use serde_json::{Value as Json, json};
use world::{Driver, Home, World, catalog, postgres_settings, sqlite_settings};

/// What leads from a home to declarations.
fn migrations(home: &Home, declarations: &Json, folder: &Path) -> Migrations {
    let target = match home {
        Home::File(place) => Target::Sqlite(sqlite_settings(World::file(place))),
        Home::Database(database) => Target::Postgres(postgres_settings(database.url.clone())),
    };
    Migrations::new(target, catalog(declarations.clone()), folder)
}

/// A database under its first declarations, with documents.
struct Scene {
    home: Home,
    folder: tempfile::TempDir,
    before: Json,
    /// How many ids were given out, so that none comes twice.
    given: AtomicU64,
}

impl Scene {
    /// Opens the database under declarations, does something with it, and closes it.
    async fn during<T>(&self, declarations: &Json, act: impl AsyncFnOnce(&World) -> T) -> T {
        let world = World::at(declarations.clone(), self.home.clone()).await;
        world.random.0.store(self.given.load(SeqCst), SeqCst);
        let result = act(&world).await;
        self.given.store(world.random.0.load(SeqCst), SeqCst);
        world.truth.stop().await;
        result
    }

    async fn new(on: Driver, before: Json) -> Self {
        let scene = Self {
            home: on.home(),
            folder: tempfile::tempdir().unwrap(),
            before,
            given: AtomicU64::new(0),
        };
        let before = scene.before.clone();
        // As a person begins who has files from the first day.
        let migrations = scene.migrations(&before);
        migrations.baseline(None).unwrap();
        migrations.up(None).await.unwrap();
        scene
    }

    fn migrations(&self, declarations: &Json) -> Migrations {
        migrations(&self.home, declarations, self.folder.path())
    }

    async fn given(&self, documents: &[(&str, Json)]) -> Vec<Id> {
        let before = self.before.clone();
        self.during(&before, async |world| {
            let mut ids = Vec::new();
            for (collection, document) in documents {
                ids.push(world.given(collection, document.clone()).await);
            }
            ids
        })
        .await
    }

    /// What differs, in words.
    async fn differs(&self, declarations: &Json) -> Vec<String> {
        let status = self.migrations(declarations).status().await.unwrap();
        status
            .changes
            .into_iter()
            .map(|change| change.why)
            .collect()
    }

    /// Plans, applies, and finds nothing left to do.
    async fn apply(&self, after: &Json, policy: Policy) {
        let migrations = self.migrations(after);
        let planned = migrations.plan(policy, Some("more")).await.unwrap();
        assert!(matches!(planned, Planned::Written(..)), "{planned:?}");
        let raised = migrations.up(None).await;
        if let Err(error) = &raised {
            panic!(
                "{error}: {:?}\n{}",
                std::error::Error::source(error),
                self.last()
            );
        }
        if policy != Policy::Keep {
            assert_eq!(
                self.differs(after).await,
                Vec::<String>::new(),
                "{}",
                self.last()
            );
        }
    }

    /// Takes the last one back, and the database is as it was before.
    async fn back(&self) {
        let taken = self.migrations(&self.before).down().await;
        if let Err(error) = &taken {
            panic!(
                "{error}: {:?}\n{}",
                std::error::Error::source(error),
                self.last()
            );
        }
        let differs = self.differs(&self.before).await;
        assert_eq!(differs, Vec::<String>::new(), "{}", self.last());
    }

    /// What a plan is refused with.
    async fn refusal(&self, after: &Json) -> String {
        let planned = self.migrations(after).plan(Policy::Safe, None).await;
        match planned.unwrap() {
            Planned::Refused(risks) => {
                assert!(risks.iter().all(|risk| !risk.instead.is_empty()));
                let words = risks.into_iter().map(|risk| risk.problem);
                words.collect::<Vec<_>>().join("\n")
            }
            other => panic!("{other:?}"),
        }
    }

    /// The files of the last migration.
    fn last(&self) -> String {
        let mut files = Vec::new();
        for dialect in ["sqlite", "postgres"] {
            let entries = std::fs::read_dir(self.folder.path().join(dialect));
            files.extend(
                entries
                    .into_iter()
                    .flatten()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        files.sort();
        let last = files.split_off(files.len().saturating_sub(2));
        let texts = last
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap());
        texts.collect::<Vec<_>>().join("\n=====\n")
    }

    async fn see(&self, declarations: &Json, collection: &str, id: Id) -> Json {
        self.during(declarations, async |world| {
            world.see(collection, id).await.unwrap()
        })
        .await
    }
}

fn notes(fields: Json) -> Json {
    json!([{ "name": "users", "fields": { "name": "text" } }, { "name": "notes", "fields": fields }])
}

on_each_truth!(fields_come_and_go_back);
async fn fields_come_and_go_back(on: Driver) {
    let scene = Scene::new(on, notes(json!({ "text": "text", "n": "int!" }))).await;
    let ids = scene
        .given(&[("notes", json!({ "text": "it's", "n": 1 }))])
        .await;
    let after = json!([
        { "name": "users", "fields": { "name": "text" } },
        { "name": "notes", "order": "-level", "fields": {
            "text": { "type": "text" },
            "extra": "json", "level": { "type": "int", "default": 3, "required": true },
            "word": { "type": "text", "default": "it's; -- no comment" },
            "price": { "type": "decimal", "default": "1.50" },
            "tags": { "type": "text[]", "default": ["a"] }, "secret": "password",
            "author": { "type": "ref", "to": "users" },
            "n": "bigint" },
          "indexes": [["level", "-text"], { "fields": ["n"], "where": { "level": 3 }, "unique": true }] },
        { "name": "words", "domain": "other", "fields": {
            "note": "ref(notes)!", "parent": "ref(words)", "text": { "type": "text", "unique": true } } },
    ]);
    scene.apply(&after, Policy::Safe).await;
    let seen = scene.see(&after, "notes", ids[0]).await;
    for (field, value) in [
        ("text", json!("it's")),
        ("n", json!(1)),
        ("level", json!(3)),
        ("price", json!("1.5")),
        ("word", json!("it's; -- no comment")),
        ("tags", json!(["a"])),
        ("author", Json::Null),
    ] {
        assert_eq!(seen[field], value, "{field}");
    }
    scene
        .during(&after, async |world| {
            world
                .given("words", json!({ "note": ids[0].to_string() }))
                .await;
            world
                .create("words", json!({ "note": world.id().to_string() }))
                .await
                .unwrap_err();
        })
        .await;
    scene.back().await;
    let seen = scene.see(&scene.before.clone(), "notes", ids[0]).await;
    assert_eq!((&seen["text"], &seen["n"]), (&json!("it's"), &json!(1)));
}

on_each_truth!(names_change_with_all_that_hangs_on_them);
async fn names_change_with_all_that_hangs_on_them(on: Driver) {
    let before = json!([
        { "name": "users", "fields": { "name": { "type": "text", "unique": true }, "code": "password" } },
        { "name": "notes", "domain": "content", "fields": {
            "text": "text!", "author": "ref(users)!", "parent": "ref(notes)", "friends": "ref(users)[]" },
          "indexes": [["author", "-created_at"], { "fields": ["text"], "where": { "text": "x" } }] },
    ]);
    let scene = Scene::new(on, before).await;
    let user = scene
        .given(&[("users", json!({ "name": "ada", "code": "correct horse" }))])
        .await[0];
    let note = json!({ "text": "x", "author": user.to_string(), "friends": [user.to_string()] });
    let note = scene.given(&[("notes", note)]).await[0];
    let after = json!([
        { "name": "people", "renamed_from": "users", "fields": {
            "nick": { "type": "text", "unique": true, "renamed_from": "name" },
            "pass": { "type": "password", "renamed_from": "code" } } },
        { "name": "memos", "domain": "messaging", "renamed_from": "notes", "fields": {
            "words": { "type": "text", "required": true, "renamed_from": "text" },
            "writer": { "type": "ref", "to": "people", "required": true, "renamed_from": "author" },
            "parent": "ref(memos)", "friends": "ref(people)[]" },
          "indexes": [["writer", "-created_at"], { "fields": ["words"], "where": { "words": "x" } }] },
    ]);
    let first = scene.see(&scene.before.clone(), "notes", note).await;
    scene.apply(&after, Policy::Safe).await;
    let seen = scene.see(&after, "memos", note).await;
    assert_eq!(seen["words"], "x");
    assert_eq!(seen["writer"], user.to_string());
    assert_eq!(seen["_rev"], first["_rev"]);
    scene
        .during(&after, async |world| {
            let twice = world
                .create("people", json!({ "nick": "ada", "pass": "correct horse" }))
                .await;
            assert_eq!(twice.unwrap_err().code(), "duplicate");
            world
                .create(
                    "memos",
                    json!({ "words": "y", "writer": world.id().to_string() }),
                )
                .await
                .unwrap_err();
        })
        .await;
    scene.back().await;
    assert_eq!(scene.see(&scene.before.clone(), "notes", note).await, first);
}

on_each_truth!(a_required_field_becomes_optional_and_back);
async fn a_required_field_becomes_optional_and_back(on: Driver) {
    let scene = Scene::new(
        on,
        notes(json!({ "text": "text!", "author": "ref(users)!" })),
    )
    .await;
    let user = scene.given(&[("users", json!({}))]).await[0];
    let note = json!({ "text": "x", "author": user.to_string() });
    let note = scene.given(&[("notes", note)]).await[0];
    let after = notes(json!({ "text": "text", "author": "ref(users)" }));
    scene.apply(&after, Policy::Safe).await;
    let lacking = scene
        .during(&after, async |world| world.given("notes", json!({})).await)
        .await;
    // What lacks a value keeps the way back closed, and nothing is half done.
    let error = scene.migrations(&scene.before).down().await.unwrap_err();
    assert!(error.to_string().contains("0002_more"), "{error}");
    assert_eq!(scene.differs(&after).await, Vec::<String>::new());
    scene
        .during(&after, async |world| {
            world.delete("notes", lacking).await.unwrap()
        })
        .await;
    scene.back().await;
    assert_eq!(
        scene.see(&scene.before.clone(), "notes", note).await["text"],
        "x"
    );
}

on_each_truth!(what_would_be_lost_is_refused_in_words);
async fn what_would_be_lost_is_refused_in_words(on: Driver) {
    let fields = json!({ "a": "text", "b": "bigint", "c": "text" });
    let scene = Scene::new(on, notes(fields)).await;
    let documents = [
        ("notes", json!({ "a": "1", "b": 5, "c": "same" })),
        ("notes", json!({ "a": "2", "c": "same" })),
    ];
    scene.given(&documents).await;
    for (fields, said) in [
        (
            json!({ "a": "text", "b": "bigint" }),
            "no field declares `notes.c`",
        ),
        (
            json!({ "a": "text", "b": "int", "c": "text" }),
            "`notes.b` is stored as bigint",
        ),
        (
            json!({ "a": "int", "b": "bigint", "c": "text" }),
            "`notes.a` is stored as text",
        ),
        (
            json!({ "a": "text", "b": "bigint!", "c": "text" }),
            "`notes.b` is required now",
        ),
        (
            json!({ "a": "text", "b": "bigint", "c": "text", "d": "text!" }),
            "`d` of `notes` is required",
        ),
        (
            json!({ "a": "text", "b": "bigint", "c": { "type": "text", "unique": true } }),
            "`c`",
        ),
    ] {
        let words = scene.refusal(&notes(fields.clone())).await;
        assert!(words.contains(said), "{fields}: {words}");
    }
    let gone = json!([{ "name": "users", "fields": { "name": "text" } }]);
    let words = scene.refusal(&gone).await;
    assert!(words.contains("`notes`"), "{words}");
    // Nothing was written.
    assert!(!scene.last().contains("0002"), "{}", scene.last());
}

on_each_truth!(what_is_lost_is_lost_when_somebody_says_so);
async fn what_is_lost_is_lost_when_somebody_says_so(on: Driver) {
    let scene = Scene::new(on, json!([
        { "name": "users", "fields": { "name": "text" } },
        { "name": "notes", "fields": { "a": "text!", "b": "bigint", "author": "ref(users)!" }, "indexes": [["a"], ["b"]] },
        { "name": "likes", "fields": { "note": "ref(notes)!" } },
    ])).await;
    let user = scene.given(&[("users", json!({ "name": "ada" }))]).await[0];
    let note = json!({ "a": "1", "b": 5, "author": user.to_string() });
    let note = scene.given(&[("notes", note)]).await[0];
    scene
        .given(&[("likes", json!({ "note": note.to_string() }))])
        .await;
    let after = json!([
        { "name": "users", "fields": { "name": "text" } },
        { "name": "notes", "fields": { "b": "int" }, "indexes": [["b"]] },
    ]);
    scene.apply(&after, Policy::Destructive).await;
    let seen = scene.see(&after, "notes", note).await;
    assert_eq!(seen.get("a"), None);
    scene
        .during(&after, async |world| {
            // Nothing that is gone keeps them from being deleted.
            world.delete("users", user).await.unwrap();
            world.delete("notes", note).await.unwrap();
        })
        .await;
    scene.back().await;
}

on_each_truth!(what_nobody_declares_is_kept_where_somebody_says_so);
async fn what_nobody_declares_is_kept_where_somebody_says_so(on: Driver) {
    let fields = json!({ "a": "text!", "b": "text", "old": "ref(users)!" });
    let scene = Scene::new(on, notes(fields)).await;
    let user = scene.given(&[("users", json!({ "name": "ada" }))]).await[0];
    let note = json!({ "a": "1", "b": "x", "old": user.to_string() });
    let note = scene.given(&[("notes", note)]).await[0];
    let after = notes(json!({ "b": "text", "new": "int" }));
    scene.apply(&after, Policy::Keep).await;
    scene
        .during(&after, async |world| {
            world.given("notes", json!({ "new": 1 })).await;
            world.delete("users", user).await.unwrap();
        })
        .await;
    assert_eq!(scene.see(&after, "notes", note).await["b"], "x");
    let again = notes(json!({ "a": "text", "b": "text", "new": "int" }));
    assert_eq!(scene.see(&again, "notes", note).await["a"], "1");
}

on_each_truth!(several_are_taken_back_down_to_a_number);
async fn several_are_taken_back_down_to_a_number(on: Driver) {
    let scene = Scene::new(on, notes(json!({ "a": "text" }))).await;
    let note = scene.given(&[("notes", json!({ "a": "x" }))]).await[0];
    for fields in [
        json!({ "a": "text", "b": "int" }),
        json!({ "a": "text", "b": "int", "c": "int" }),
    ] {
        scene.apply(&notes(fields), Policy::Safe).await;
    }
    let migrations = scene.migrations(&scene.before);
    let taken = migrations.down_to(1).await.unwrap();
    assert_eq!(taken, ["0003_more", "0002_more"]);
    assert_eq!(scene.differs(&scene.before).await, Vec::<String>::new());
    assert_eq!(
        scene.see(&scene.before.clone(), "notes", note).await["a"],
        "x"
    );
    let raised = migrations.up(None).await.unwrap();
    assert_eq!(raised.applied, ["0002_more", "0003_more"]);
}
