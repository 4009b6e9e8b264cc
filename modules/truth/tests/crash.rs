//! Killed at any moment, the truth has everything that it acknowledged.
//!
//! The test runs its own program again as the writer, which tells every acknowledged write on its
//! standard output, and kills it without warning.

#![allow(clippy::unwrap_used)]

mod world;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicI64},
};

use nubo_core::{clock::Clock, write::Outcome};
use nubo_truth::{SqliteSettings, SqliteTruth};
use serde_json::{Value as Json, json};
use world::{Counter, HandClock, Home, World, catalog};

const FILE: &str = "NUBO_CRASH_FILE";
const ROUND: &str = "NUBO_CRASH_ROUND";
const ROUNDS: usize = 5;

fn declarations() -> Json {
    json!([
        { "name": "sums", "fields": { "n": { "type": "int", "default": 0 } } },
        { "name": "notes", "fields": { "n": "int", "sum": { "type": "ref", "to": "sums" } },
          "effects": [{ "on": "create", "update": "sums", "where": { "id": "$doc.sum" },
                        "change": { "$inc": { "n": 1 } } }] },
        { "name": "plain", "fields": { "text": "text" } },
    ])
}

fn open(path: PathBuf, round: i64) -> World {
    let catalog = catalog(declarations());
    let clock = Arc::new(HandClock(AtomicI64::new(
        world::BEGINNING + round * 60_000_000,
    )));
    let random = Arc::new(Counter::default());
    let settings = SqliteSettings {
        path,
        readers: 1,
        page_cache: 1 << 20,
        statement_limit: std::time::Duration::from_secs(60),
        at_start: nubo_truth::AtStart::Apply,
        migrations: PathBuf::new(),
    };
    World {
        truth: Arc::new(SqliteTruth::new(
            settings,
            Arc::clone(&catalog),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random) as _,
        )),
        catalog,
        clock,
        random,
        home: Home::File(Arc::new(tempfile::tempdir().unwrap())),
    }
}

/// The writer; a test only so that the test can start it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let (Ok(path), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else {
        return;
    };
    let world = Arc::new(open(path.into(), round.parse().unwrap()));
    world.truth.start(Vec::new()).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let sum = world.given("sums", json!({})).await.to_string();
            tell(&format!("sum {sum} 0"));
            for n in 1.. {
                world.clock.advance(1000);
                let note = world.creation("notes", &json!({ "n": n, "sum": sum }));
                let outcome = world.run(note).await.unwrap();
                let Outcome::Created(note) = outcome else {
                    return;
                };
                tell(&format!("note {} {n}", note.id().unwrap()));
                tell(&format!("sum {sum} {n}"));
                let plain = world
                    .given("plain", json!({ "text": "x".repeat(300) }))
                    .await;
                tell(&format!("plain {plain} 0"));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// One line in one go, past the test's own capture.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn everything_acknowledged_survives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = World::file(&folder);
    let mut acknowledged: HashMap<(String, String), i64> = HashMap::new();
    for round in 0..ROUNDS {
        let lines = 60 + round * 371;
        for line in lines_until_killed(&path, round, lines) {
            let mut words = line.split(' ').map(str::to_owned);
            let (Some(kind), Some(id), Some(n)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(n) = n.parse() else { continue };
            if ["sum", "note", "plain"].contains(&kind.as_str()) {
                acknowledged.insert((kind, id), n);
            }
        }
        let world = open(path.clone(), 1000);
        world.truth.start(Vec::new()).await.unwrap();
        for ((kind, id), n) in &acknowledged {
            let collection = match kind.as_str() {
                "sum" => "sums",
                "note" => "notes",
                _ => "plain",
            };
            let seen = world.see(collection, id.parse().unwrap()).await;
            let seen = seen.unwrap_or_else(|| panic!("{kind} {id} is lost in round {round}"));
            match collection {
                // What was not told any more may have happened all the same.
                "sums" => assert!(seen["n"].as_i64().unwrap() >= *n),
                "notes" => assert_eq!(seen["n"], *n),
                _ => assert_eq!(seen["text"].as_str().unwrap().len(), 300),
            }
            if collection == "sums" {
                // A transaction is there as a whole: as many notes as were counted.
                let notes = world.count("notes", json!({ "sum": id })).await;
                assert_eq!(seen["n"], notes);
            }
        }
        world.truth.stop().await;
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
}

/// Runs the writer until it has told so many writes, kills it, and gives all that it told.
fn lines_until_killed(path: &std::path::Path, round: usize, lines: usize) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut found: Vec<String> = told.by_ref().take(lines).map_while(Result::ok).collect();
    // SIGKILL: nothing is flushed, nothing is closed.
    writer.kill().unwrap();
    found.extend(told.map_while(Result::ok));
    writer.wait().unwrap();
    assert!(found.len() >= lines, "the writer ended by itself");
    // The last line may be torn.
    if found
        .last()
        .is_some_and(|line| line.split(' ').count() != 3)
    {
        found.pop();
    }
    found
}
