//! Every kind of change, planned as a file, applied and taken back, on each database.

#![allow(clippy::unwrap_used)]

mod world;

use std::{fs, path::Path};

use nubo_truth::{Migrations, Planned, Policy, State, Target};
use serde_json::{Value as Json, json};
use world::{Driver, Home, World, catalog, postgres_settings, sqlite_settings};

/// The migrations of a place, for these collections.
fn migrations(home: &Home, declarations: &Json, folder: &Path) -> Migrations {
    let target = match home {
        Home::File(folder) => Target::Sqlite(sqlite_settings(World::file(folder))),
        Home::Database(database) => Target::Postgres(postgres_settings(database.url.clone())),
    };
    Migrations::new(target, catalog(declarations.clone()), folder)
}

/// What leads from the database to the collections, in words.
async fn changes(migrations: &Migrations) -> Vec<String> {
    let status = migrations.status().await.unwrap();
    status
        .changes
        .into_iter()
        .map(|change| change.why)
        .collect()
}

async fn written(migrations: &Migrations, policy: Policy) -> String {
    match migrations.plan(policy, Some("Next one!")).await.unwrap() {
        Planned::Written(files, _) => {
            assert!(files[0].ends_with("0002_next_one.sql"), "{files:?}");
            assert!(files[1].ends_with("0002_next_one.down.sql"), "{files:?}");
            fs::read_to_string(&files[0]).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

async fn refused(migrations: &Migrations, policy: Policy) -> Vec<String> {
    match migrations.plan(policy, None).await.unwrap() {
        Planned::Refused(risks) => {
            assert!(risks.iter().all(|risk| !risk.instead.is_empty()));
            risks.into_iter().map(|risk| risk.problem).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Notes that a place that the server has made by itself is where the first migration leads.
async fn begun(home: &Home, declarations: &Json, folder: &Path) -> Migrations {
    let migrations = migrations(home, declarations, folder);
    migrations.baseline(None).unwrap();
    let raised = migrations.up(None).await.unwrap();
    assert_eq!(raised.adopted, ["0001_initial"]);
    assert_eq!(raised.applied, [""; 0]);
    migrations
}

/// A place that was made for some collections and is empty otherwise.
async fn made(on: Driver, declarations: &Json) -> Home {
    let world = on.world(declarations.clone()).await;
    world.truth.stop().await;
    world.home.clone()
}

fn notes(fields: Json) -> Json {
    notes_with(fields, json!([]))
}

fn notes_with(fields: Json, indexes: Json) -> Json {
    json!([
        { "name": "people", "fields": { "name": { "type": "text", "unique": true } } },
        { "name": "notes", "fields": fields, "indexes": indexes },
    ])
}

/// Collections before and after, for each kind of change.
fn kinds() -> Vec<(&'static str, Json, Json)> {
    let some = json!({ "a": "int", "b": "text!" });
    let reference = json!({ "type": "ref", "to": "people" });
    let partial =
        |state: i32| json!([{ "fields": ["b"], "where": { "a": state }, "unique": true }]);
    vec![
        (
            "a new field",
            notes(some.clone()),
            notes(
                json!({ "a": "int", "b": "text!", "c": "timestamp", "d": "decimal",
                "e": { "type": "text[]", "default": ["it's"] } }),
            ),
        ),
        (
            "a new required field with a default",
            notes(some.clone()),
            notes(json!({ "a": "int", "b": "text!",
                "c": { "type": "int", "required": true, "default": 3 } })),
        ),
        (
            "a new required field without one, where nothing is stored",
            notes(some.clone()),
            notes(json!({ "a": "int", "b": "text!", "c": "date!" })),
        ),
        (
            "a field less",
            notes_with(
                json!({ "a": "int", "b": "text!", "c": reference }),
                json!([["c", "-a"]]),
            ),
            notes(some.clone()),
        ),
        (
            "a field of another name",
            notes_with(
                json!({ "a": "int", "b": "text!", "c": { "type": "ref", "to": "people" },
                    "p": "password", "j": "json" }),
                json!([["c", "-a"], { "fields": ["b"], "where": { "a": 1 } }]),
            ),
            notes_with(
                json!({ "z": { "type": "int", "renamed_from": "a" }, "b": "text!",
                    "y": { "type": "ref", "to": "people", "renamed_from": "c" },
                    "q": { "type": "password", "renamed_from": "p" },
                    "k": { "type": "json", "renamed_from": "j" }, "more": "bool" }),
                json!([["y", "-z"], { "fields": ["b"], "where": { "z": 1 } }]),
            ),
        ),
        (
            "a collection of another name",
            json!([
                { "name": "people", "fields": { "boss": "ref(people)", "name": "text!" } },
                { "name": "notes", "fields": { "of": "ref(people)!", "to": "ref(people)[]" } },
            ]),
            json!([
                { "name": "persons", "renamed_from": "people",
                  "fields": { "boss": "ref(persons)", "name": "text", "age": "int" } },
                { "name": "notes", "fields": { "of": "ref(persons)!", "to": "ref(persons)[]" } },
            ]),
        ),
        (
            "a collection of another domain",
            json!([{ "name": "notes", "domain": "one", "fields": { "a": "int" } }]),
            json!([{ "name": "notes", "domain": "two", "fields": { "a": "int", "b": "int" } }]),
        ),
        (
            "a new collection, in a circle of references",
            notes(some.clone()),
            json!([
                { "name": "people", "fields": { "name": { "type": "text", "unique": true },
                    "last": "ref(notes)" } },
                { "name": "notes", "fields": { "a": "int", "b": "text!", "by": "ref(tags)" } },
                { "name": "tags", "fields": { "first": "ref(notes)!", "of": "ref(people)" } },
            ]),
        ),
        (
            "a wider type",
            notes(
                json!({ "a": "int", "b": "date", "c": "uuid", "d": "text[]", "e": "email",
                "f": "ip", "g": "timestamp", "h": "uuid[]" }),
            ),
            notes(
                json!({ "a": "bigint", "b": "text", "c": "text", "d": "json", "e": "text",
                "f": "text", "g": "text", "h": "text[]" }),
            ),
        ),
        (
            "another type",
            notes_with(json!({ "a": "int", "b": "text!" }), json!([["a"]])),
            notes_with(json!({ "a": "timestamp", "b": "decimal" }), json!([["a"]])),
        ),
        (
            "another type inside of an object",
            notes(json!({ "o": { "type": "object", "fields": { "a": "int" } } })),
            notes(json!({ "o": { "type": "object", "fields": { "a": "text", "b": "int" } } })),
        ),
        (
            "required, and optional",
            notes_with(json!({ "a": "int", "b": "text!" }), json!([["-a"], ["b"]])),
            notes_with(json!({ "a": "int!", "b": "text" }), json!([["-a"], ["b"]])),
        ),
        (
            "unique, and not",
            notes(json!({ "a": { "type": "int", "unique": true }, "b": "text!" })),
            notes(json!({ "a": "int", "b": { "type": "text", "unique": true, "required": true } })),
        ),
        (
            "indexes",
            notes_with(some.clone(), json!([["a", "-b"], ["b"]])),
            notes_with(
                json!({ "a": "int", "b": "text!", "m": "json" }),
                json!([["-a", "b"], { "fields": ["m"], "using": "gin" }]),
            ),
        ),
        (
            "the condition of an index",
            notes_with(some.clone(), partial(1)),
            notes_with(some.clone(), partial(2)),
        ),
        (
            "an id becomes a reference, and a reference an id",
            notes(json!({ "a": "uuid", "b": "ref(people)" })),
            notes(json!({ "a": "ref(people)", "b": "uuid" })),
        ),
        (
            "a reference to somebody else",
            notes(json!({ "a": "ref(people)" })),
            notes(json!({ "a": "ref(notes)" })),
        ),
    ]
}

on_each_truth!(every_kind_of_change_leads_there_and_back);
async fn every_kind_of_change_leads_there_and_back(on: Driver) {
    for (kind, before, after) in kinds() {
        let home = made(on, &before).await;
        let folder = tempfile::tempdir().unwrap();
        let then = begun(&home, &before, folder.path()).await;
        assert_eq!(changes(&then).await, [""; 0], "{kind}: as it was made");
        let now = migrations(&home, &after, folder.path());
        let sql = written(&now, Policy::Destructive).await;
        now.up(None)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error:?}\n{sql}"));
        assert_eq!(changes(&now).await, [""; 0], "{kind}: there\n{sql}");
        // What a server needs is there, and it works.
        let world = World::at(after, home.clone()).await;
        world.truth.stop().await;
        assert_eq!(now.down().await.unwrap().unwrap(), "0002_next_one");
        let left = changes(&then).await;
        let sql = fs::read_to_string(now.folder().join("0002_next_one.down.sql")).unwrap();
        assert_eq!(left, [""; 0], "{kind}: and back\n{sql}");
        World::at(before, home).await.truth.stop().await;
    }
}

on_each_truth!(an_empty_database_becomes_what_is_declared);
async fn an_empty_database_becomes_what_is_declared(on: Driver) {
    for (kind, _, declared) in kinds() {
        let home = on.home();
        let folder = tempfile::tempdir().unwrap();
        let migrations = migrations(&home, &declared, folder.path());
        migrations.baseline(Some("Next one!")).unwrap();
        assert!(migrations.status().await.unwrap().is_new, "{kind}");
        assert_eq!(
            migrations.up(None).await.unwrap().applied,
            ["0001_next_one"]
        );
        assert_eq!(changes(&migrations).await, [""; 0], "{kind}");
        // Once more, there is nothing to do.
        assert_eq!(migrations.up(None).await.unwrap(), Default::default());
        let nothing = migrations.plan(Policy::Safe, None).await.unwrap();
        assert!(matches!(nothing, Planned::Nothing), "{nothing:?}");
    }
}

on_each_truth!(values_go_with_their_names_and_types);
async fn values_go_with_their_names_and_types(on: Driver) {
    let before = json!([
        { "name": "people", "fields": { "name": "text!" } },
        { "name": "notes", "fields": {
            "by": "ref(people)!", "a": "int", "day": "date", "ip": "ip", "at": "timestamp",
            "tags": "text[]", "gone": "text" } },
    ]);
    let after = json!([
        { "name": "persons", "renamed_from": "people", "fields": { "name": "text!" } },
        { "name": "notes", "fields": {
            "author": { "type": "ref", "to": "persons", "required": true, "renamed_from": "by" },
            "a": "bigint", "day": "text", "ip": "text", "at": "text", "tags": "json",
            "level": { "type": "int", "required": true, "default": 7 } } },
    ]);
    let world = on.world(before.clone()).await;
    let person = world.given("people", json!({ "name": "Ada" })).await;
    let note = json!({ "by": person.to_string(), "a": 1, "day": "2026-11-21", "ip": "::1",
        "at": "2026-11-21T21:45:00.120Z", "tags": ["x", "it's"], "gone": "!" });
    let id = world.given("notes", note).await;
    let deleted = world.given("people", json!({ "name": "Bob" })).await;
    let revision = world.all("people").await.last().unwrap().revision();
    world.delete("people", deleted).await.unwrap();
    world.truth.stop().await;
    let folder = tempfile::tempdir().unwrap();
    begun(&world.home, &before, folder.path()).await;
    let migrations = migrations(&world.home, &after, folder.path());
    let problems = refused(&migrations, Policy::Safe).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("`notes.gone`"), "{problems:?}");
    let sql = written(&migrations, Policy::Destructive).await;
    assert!(
        sql.contains("-- LOSES DATA: no field declares `notes.gone`"),
        "{sql}"
    );
    migrations.up(None).await.unwrap();
    let world = World::at(after, world.home.clone()).await;
    let seen = world.see("notes", id).await.unwrap();
    assert_eq!(seen["author"], person.to_string());
    assert_eq!(seen["a"], 1);
    assert_eq!(seen["day"], "2026-11-21");
    assert_eq!(seen["ip"], "::1");
    assert_eq!(seen["at"], "2026-11-21T21:45:00.120Z");
    assert_eq!(seen["tags"], json!(["x", "it's"]));
    assert_eq!(seen["level"], 7);
    assert_eq!(world.see("persons", person).await.unwrap()["name"], "Ada");
    // What was deleted is remembered under the new name: its id goes on above.
    let again = json!({ "id": deleted.to_string(), "name": "Bob" });
    let again = world.create("persons", again).await.unwrap();
    assert!(again.revision() > revision);
    world.truth.stop().await;
}

on_each_truth!(what_loses_data_is_refused_with_a_way_around);
async fn what_loses_data_is_refused_with_a_way_around(on: Driver) {
    let before = notes(json!({ "a": "bigint", "b": "text", "c": "text!" }));
    let world = on.world(before.clone()).await;
    let id = world.given("notes", json!({ "a": 1, "c": "x" })).await;
    world.truth.stop().await;
    let home = world.home.clone();
    let folder = tempfile::tempdir().unwrap();
    let unchanged = begun(&home, &before, folder.path()).await;
    let narrowed = notes(json!({ "a": "int", "b": "text!", "d": "int!" }));
    let narrowed = migrations(&home, &narrowed, folder.path());
    let problems = refused(&narrowed, Policy::Safe).await;
    let expected = [
        "`notes.a` is stored as bigint and would now be int".to_owned(),
        format!("`notes.b` is required now, but there are documents without a value, such as {id}"),
        "the new field `d` of `notes` is required and has no default, so the documents that exist \
         would have no value"
            .to_owned(),
        "no field declares `notes.c` any longer, and its values would be lost".to_owned(),
    ];
    assert_eq!(problems, expected);
    assert_eq!(fs::read_dir(narrowed.folder()).unwrap().count(), 2);
    // To keep what nobody declares loses nothing; the rest does.
    assert_eq!(refused(&narrowed, Policy::Keep).await, expected[..3]);
    // Nobody but a person can say which value the documents get: until then the database refuses.
    let sql = written(&narrowed, Policy::Destructive).await;
    assert!(sql.contains("Documents that exist need a value"), "{sql}");
    narrowed.up(None).await.unwrap_err();
    assert_eq!(changes(&unchanged).await, [""; 0]);

    let fewer = notes(json!({ "a": "bigint", "b": "text" }));
    for ending in ["sql", "down.sql"] {
        fs::remove_file(narrowed.folder().join(format!("0002_next_one.{ending}"))).unwrap();
    }
    let fewer = migrations(&home, &fewer, folder.path());
    let sql = written(&fewer, Policy::Keep).await;
    assert!(!sql.contains("DROP COLUMN"), "{sql}");
    fewer.up(None).await.unwrap();
    // It is there still, and nobody has to give it a value.
    let world = World::at(notes(json!({ "a": "bigint", "b": "text" })), home.clone()).await;
    world.clock.advance(1_000_000);
    world.given("notes", json!({ "a": 2 })).await;
    world.truth.stop().await;
    let world = World::at(
        notes(json!({ "a": "bigint", "b": "text", "c": "text" })),
        home,
    )
    .await;
    assert_eq!(world.see("notes", id).await.unwrap()["c"], "x");
    world.truth.stop().await;
}

on_each_truth!(files_that_were_applied_stay_as_they_are);
async fn files_that_were_applied_stay_as_they_are(on: Driver) {
    let home = on.home();
    let folder = tempfile::tempdir().unwrap();
    let declared = notes(json!({ "a": "int" }));
    let migrations = migrations(&home, &declared, folder.path());
    migrations.baseline(None).unwrap();
    migrations.up(None).await.unwrap();
    let file = migrations.folder().join("0001_initial.sql");
    let text = fs::read_to_string(&file).unwrap();
    // How a checkout ends its lines makes no difference.
    fs::write(&file, text.replace('\n', "\r\n")).unwrap();
    migrations.up(None).await.unwrap();
    fs::write(&file, format!("{text}-- a word more\n")).unwrap();
    let status = migrations.status().await.unwrap();
    assert_eq!(
        status.migrations,
        [("0001_initial".to_owned(), State::Changed)]
    );
    for refusal in [
        migrations.up(None).await.unwrap_err(),
        migrations.down().await.unwrap_err(),
        migrations.plan(Policy::Safe, None).await.unwrap_err(),
    ] {
        let words = refusal.to_string();
        assert!(words.contains("`0001_initial` was changed"), "{words}");
    }
    fs::remove_file(&file).unwrap();
    let words = migrations.up(None).await.unwrap_err().to_string();
    assert!(
        words.contains("`0001_initial` was applied, and its file is missing"),
        "{words}"
    );
}

on_each_truth!(a_migration_that_fails_changes_nothing);
async fn a_migration_that_fails_changes_nothing(on: Driver) {
    let home = on.home();
    let folder = tempfile::tempdir().unwrap();
    let declared = notes(json!({ "a": "int" }));
    let migrations = migrations(&home, &declared, folder.path());
    migrations.baseline(None).unwrap();
    let broken = "CREATE TABLE more (id integer); INSERT INTO nowhere VALUES (1);";
    fs::write(migrations.folder().join("0002_broken.sql"), broken).unwrap();
    let words = migrations.up(None).await.unwrap_err().to_string();
    assert!(words.contains("`0002_broken`"), "{words}");
    // Each is a transaction of its own: the one before stays, and of this one there is nothing.
    let status = migrations.status().await.unwrap();
    assert!(status.changes.is_empty());
    let states: Vec<State> = status.migrations.iter().map(|(_, state)| *state).collect();
    assert_eq!(states, [State::Applied, State::Pending]);
    // A plan would repeat what waits.
    let words = migrations
        .plan(Policy::Safe, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(words.contains("`0002_broken`"), "{words}");
    fs::write(
        migrations.folder().join("0002_broken.sql"),
        "CREATE TABLE more (id integer);",
    )
    .unwrap();
    let raised = migrations.up(None).await.unwrap();
    assert_eq!(raised.applied, ["0002_broken"]);
}

on_each_truth!(those_who_migrate_together_do_so_once);
async fn those_who_migrate_together_do_so_once(on: Driver) {
    let home = on.home();
    let folder = tempfile::tempdir().unwrap();
    let declared = notes(json!({ "a": "int" }));
    let first = migrations(&home, &declared, folder.path());
    first.baseline(None).unwrap();
    let second = migrations(&home, &declared, folder.path());
    let third = migrations(&home, &declared, folder.path());
    let (a, b, c) = tokio::join!(first.up(None), second.up(None), third.up(None));
    let applied: Vec<String> = [a, b, c]
        .into_iter()
        .flat_map(|raised| raised.unwrap().applied)
        .collect();
    assert_eq!(applied, ["0001_initial"]);
    assert_eq!(changes(&first).await, [""; 0]);
}

on_each_truth!(a_database_that_was_there_before_adopts_what_it_has);
async fn a_database_that_was_there_before_adopts_what_it_has(on: Driver) {
    let before = notes(json!({ "a": "int" }));
    let after = notes(json!({ "a": "int", "b": "text" }));
    let home = made(on, &before).await;
    let folder = tempfile::tempdir().unwrap();
    // A plan says what there is, too.
    let now = migrations(&home, &after, folder.path());
    match now.plan(Policy::Safe, None).await.unwrap() {
        Planned::Written(files, _) => assert_eq!(files.len(), 4, "{files:?}"),
        other => panic!("{other:?}"),
    }
    // It has tables, and not all that is declared: which file it is at cannot be told.
    let words = now.up(None).await.unwrap_err().to_string();
    assert!(words.contains("--adopt"), "{words}");
    let raised = now.up(Some(1)).await.unwrap();
    assert_eq!(raised.adopted, ["0001_initial"]);
    assert_eq!(raised.applied, ["0002_change"]);
    assert_eq!(changes(&now).await, [""; 0]);
    // And the files alone lead there from nothing.
    let empty = on.home();
    let other = migrations(&empty, &after, folder.path());
    assert_eq!(
        other.up(None).await.unwrap().applied,
        ["0001_initial", "0002_change"]
    );
    assert_eq!(changes(&other).await, [""; 0]);
}

on_each_truth!(what_belongs_to_somebody_else_is_left_alone);
async fn what_belongs_to_somebody_else_is_left_alone(on: Driver) {
    let before = notes(json!({ "a": "int!" }));
    let home = made(on, &before).await;
    let folder = tempfile::tempdir().unwrap();
    let table = match on {
        Driver::Sqlite => "notes",
        Driver::Postgres => "main.notes",
    };
    let theirs = migrations(&home, &before, folder.path());
    fs::create_dir_all(theirs.folder()).unwrap();
    let sql = format!(
        "CREATE TABLE theirs (x integer); CREATE INDEX for_reports ON {table} (\"a\", \"_rev\");"
    );
    fs::write(theirs.folder().join("0001_theirs.sql"), sql).unwrap();
    theirs.up(Some(0)).await.unwrap();
    assert_eq!(changes(&theirs).await, [""; 0]);
    // Even where the table is made anew: what was not there any longer could not be dropped.
    let after = notes(json!({ "a": "int" }));
    let world = World::at(after.clone(), home.clone()).await;
    world.truth.stop().await;
    let drop = match on {
        Driver::Sqlite => "DROP INDEX for_reports; DROP TABLE theirs;",
        Driver::Postgres => "DROP INDEX main.for_reports; DROP TABLE theirs;",
    };
    fs::write(theirs.folder().join("0002_drop.sql"), drop).unwrap();
    assert_eq!(theirs.up(None).await.unwrap().applied, ["0002_drop"]);
}
