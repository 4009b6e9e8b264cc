//! Many clients of both servers, while everything fails that can: nobody is told anything wrong.
//!
//! `NUBO_TOGETHER_SECONDS` says for how long, `NUBO_TOGETHER_SEED` which course it takes, as far as
//! the machine lets it be repeated.

use std::{
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    ALONE_CELLS, CELLS, RECENT_CELLS,
    chaos::{ALONE_EVENTS, EVENTS, Event, RECENT_EVENTS, rage},
    clients::{DOCUMENTS, Record, Worker, World},
    membership::Presence,
    register::{Moment, Sight, Version},
    scene::{Scene, Stop, wait},
};

const CLIENTS: u64 = 32;
const SECONDS: u64 = 25;

fn setting(name: &str, default: impl FnOnce() -> u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default(),
    }
}

#[test]
fn nobody_is_told_anything_wrong_whatever_befalls() {
    let scene = Scene::start(&[("cells", CELLS)]);
    try_everything(scene, "cache", None, &EVENTS);
}

#[test]
fn nor_with_a_recent_tier() {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    scene.wait_from(&lately(&yesterday()), "recent");
    try_everything(scene, "recent", Some(yesterday()), &RECENT_EVENTS);
}

#[test]
fn nor_where_that_alone_keeps_the_documents() {
    let scene = Scene::start_leaving(&[("cells", ALONE_CELLS)], "2s");
    scene.wait_from("/cells", "recent");
    try_everything(scene, "recent", None, &ALONE_EVENTS);
}

/// A moment that is within every window, as filters have it.
fn yesterday() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = now.unwrap().as_millis() as i64 - 86_400_000;
    nubo_core::time::Timestamp::from_millis(millis).to_string()
}

/// The list of what was created since a moment.
fn lately(since: &str) -> String {
    let filter = format!(r#"{{"created_at":{{"$gte":"{since}"}}}}"#);
    format!("/cells?limit=20&filter={}", crate::server::encode(&filter))
}

/// Has clients of both servers do all they can while things befall, and judges what they were told.
fn try_everything(mut scene: Scene, tier: &'static str, since: Option<String>, may: &[Event]) {
    // What takes MongoDB's place is slow, so that most of what is written all the time is on its way.
    let least = if tier == "cache" { 500 } else { 50 };
    // Where the truth does not keep everything it is not asked at the end.
    let is_alone = tier == "recent" && since.is_none();
    let seconds = setting("NUBO_TOGETHER_SECONDS", || SECONDS);
    let seed = setting("NUBO_TOGETHER_SEED", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::from(now.unwrap().subsec_nanos())
    });
    println!("seed {seed}, {seconds} seconds");
    let world = World {
        doors: [0, 1].map(|instance| RwLock::new(scene.client(instance))),
        ids: (0..DOCUMENTS as u64).map(id).collect(),
        begun: Instant::now(),
        stop: AtomicBool::new(false),
        tier,
        from_tier: AtomicU64::new(0),
        since: since.clone(),
    };
    let mut record = Worker::new(&world, 0, seed).furnish(0..DOCUMENTS);
    let mut events = None;
    std::thread::scope(|scope| {
        let work = |number| {
            let world = &world;
            scope.spawn(move || Worker::new(world, number, seed).work())
        };
        let clients: Vec<_> = (1..=CLIENTS).map(work).collect();
        {
            let _stop = Stop(&world.stop);
            let end = Instant::now() + Duration::from_secs(seconds);
            events = Some(rage(&mut scene, &world, may, seed, end));
        }
        for client in clients {
            record.add(client.join().unwrap());
        }
    });
    // The cache is in use again, and has what the truth holds.
    wait("the gate is open", || scene.is_open());
    let last = CLIENTS + 1;
    record.add(Worker::new(&world, last, seed).look_at_everything());
    match is_alone {
        true => {
            wait("they have left", || {
                scene.database.sql("SELECT count(*) FROM main.cells") == "0"
            });
            record.add(Worker::new(&world, last + 1, seed).look_at_everything());
        }
        false => look_at_the_truth(&scene, &world, &mut record),
    }

    println!(
        "{} reads, {} of them from the tier above; {} writes; {} of unknown outcome, {} without an \
         answer; refused: {:?}",
        record.reads,
        record.from_tier,
        record.writes,
        record.unknown,
        record.unanswered,
        record.refused
    );
    let events = events.unwrap();
    println!("{events:?}");
    let wrong = judge(&record);
    for error in wrong.iter().take(20) {
        println!("{error}\n");
    }
    if !wrong.is_empty() {
        // The clocks of the logs are that of this machine.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let begun = now.unwrap() - world.begun.elapsed();
        println!("moments count from {begun:?} after 1970");
        for instance in &scene.instances {
            println!("{}\n", instance.server().log());
        }
        panic!("{} wrong answers", wrong.len());
    }
    assert!(record.from_tier > least, "little came from the tier above");
    // Nothing is left that keeps answers from it.
    let list = since.map_or_else(|| "/cells?limit=20".to_owned(), |since| lately(&since));
    match tier {
        "recent" => scene.wait_recent_after_deaths(&list),
        tier => scene.wait_from(&list, tier),
    }
    for instance in &mut scene.instances {
        instance.stop();
    }
}

/// An id of the version that documents have, with any number.
fn id(number: u64) -> String {
    format!("0198c5a0-0000-7000-8000-{number:012x}")
}

/// Reads every document where it is kept.
fn look_at_the_truth(scene: &Scene, world: &World, record: &mut Record) {
    let now = || world.begun.elapsed().as_nanos() as Moment;
    let called = now();
    let rows = scene
        .database
        .sql("SELECT id, value, shelf, rank, _rev FROM main.cells");
    let returned = now();
    let mut found = vec![None; DOCUMENTS];
    for row in rows.lines() {
        let cells: Vec<&str> = row.split('|').collect();
        let document = world.ids.iter().position(|id| id == cells[0]).unwrap();
        let [value, shelf, rank, revision] = [1, 2, 3, 4].map(|at| cells[at].parse().unwrap());
        let version = Version { value, shelf, rank };
        found[document] = Some((version, revision));
    }
    for (story, found) in record.stories.iter_mut().zip(found) {
        story.sights.push(Sight {
            found,
            by: "the truth",
            called,
            returned,
        });
    }
}

/// Holds everything that was told against what can have been, and gives what cannot.
fn judge(record: &Record) -> Vec<String> {
    let mut wrong = record.wrong.clone();
    let mut presences = Vec::new();
    for (document, story) in record.stories.iter().enumerate() {
        if let Err(error) = story.judge() {
            wrong.push(format!("document {document}: {error}"));
            continue;
        }
        let presence = Presence::of(story).unwrap();
        for sight in story.sights.iter().filter(|sight| sight.found.is_none()) {
            let absent = presence.judge_absence(sight.called, sight.returned, |_| true);
            wrong.extend(
                absent
                    .err()
                    .map(|error| format!("document {document}: {error}")),
            );
        }
        presences.push((document, presence));
    }
    for listing in &record.listings {
        for (document, presence) in &presences {
            if listing.shown.iter().any(|(shown, _)| shown == document) {
                continue;
            }
            let (called, returned) = (listing.called, listing.returned);
            let wants = |version: &Version| listing.wants(*document, version);
            if let Err(error) = presence.judge_absence(called, returned, wants) {
                wrong.push(format!("document {document}: {error}: {listing:?}"));
            }
        }
    }
    wrong
}
