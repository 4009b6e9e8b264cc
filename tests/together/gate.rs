//! Single failures, and what becomes of the cache: it is out of use for a while, nobody is told
//! anything old meanwhile, and then it is in use again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::{
    CELLS,
    link::Way,
    scene::{Scene, Stop, cached, is_from, wait},
    server::Client,
};

/// A request that takes longer has stalled.
const STALLED: Duration = Duration::from_secs(10);
/// Writers beside each other.
const WRITERS: usize = 6;

fn scene() -> Scene {
    Scene::start(&[("cells", CELLS)])
}

fn cell(client: &Client, value: u64) -> String {
    client.create_id(
        "cells",
        &json!({ "value": value, "shelf": 1, "rank": value }),
    )
}

fn path(id: &str) -> String {
    format!("/cells/{id}")
}

fn value(document: &Json) -> u64 {
    document["value"].as_u64().unwrap()
}

fn change(value: u64) -> Json {
    json!({ "value": value })
}

/// Writes one document by one server again and again, and after each acknowledged write reads it by
/// the other, until it is told to stop. Nobody else writes it.
struct Writer<'a> {
    by: &'a Client,
    other: &'a Client,
    id: String,
    /// How many were acknowledged and seen.
    seen: &'a AtomicU64,
    stop: &'a AtomicBool,
}

impl Writer<'_> {
    fn work(&self) {
        let mut next = 1;
        while !self.stop.load(Ordering::Relaxed) {
            let request = self.by.request("PATCH", &path(&self.id));
            match request.json(&change(next)).try_send() {
                Ok(answer) if answer.status == 200 => {
                    let read = self.other.get(&path(&self.id)).expect(200);
                    assert_eq!(value(&read), next, "the other was told something old");
                    self.seen.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                // Nobody is there any more.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            next += 1;
        }
    }
}

/// Does something while [`WRITERS`] write by one server and read by the other. It is given how often
/// one of them has seen what it wrote.
fn while_writing(by: &Client, other: &Client, act: impl FnOnce(&AtomicU64)) {
    let (seen, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (seen, stop) = (&seen, &stop);
            let id = cell(other, 0);
            let writer = Writer {
                by,
                other,
                id,
                seen,
                stop,
            };
            scope.spawn(move || writer.work());
        }
        let _stop = Stop(&stop);
        act(&seen);
    });
}

#[track_caller]
fn wait_for_more(seen: &AtomicU64, count: u64) {
    let enough = seen.load(Ordering::Relaxed) + count;
    wait("writes are seen", || seen.load(Ordering::Relaxed) >= enough);
}

#[test]
fn what_one_writes_the_other_shows_at_once_and_from_the_cache() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let id = cell(&one, 1);
    scene.wait_cached(&path(&id));
    scene.wait_cached("/cells?filter[shelf]=1");
    let mut from_cache = 0;
    for round in 2..60 {
        let (by, other) = if round % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let changed = by.patch(&path(&id), &change(round)).expect(200);
        let answer = other.get(&path(&id));
        assert_eq!(answer.expect(200), changed);
        let list = other.get("/cells?filter[shelf]=1");
        assert_eq!(list.expect(200)["data"], json!([changed]));
        from_cache += u32::from(is_from(&answer, "cache")) + u32::from(is_from(&list, "cache"));
    }
    assert!(from_cache > 20, "{from_cache}");
    one.delete(&path(&id)).expect(204);
    two.get(&path(&id)).problem(404, "not_found");
}

#[test]
fn without_redis_everything_goes_on() {
    let mut scene = scene();
    let (one, two) = (
        scene.client(0).within(STALLED),
        scene.client(1).within(STALLED),
    );
    let id = cell(&one, 1);
    scene.wait_cached(&path(&id));
    for round in 1..3 {
        scene.redis.kill();
        for step in 0..20 {
            let number = round * 100 + step;
            let changed = one.patch(&path(&id), &change(number)).expect(200);
            assert_eq!(two.get(&path(&id)).expect(200), changed);
        }
        assert!(!scene.is_open());
        scene.redis.resume_with(None);
        scene.wait_cached(&path(&id));
        let changed = two.patch(&path(&id), &change(round)).expect(200);
        assert_eq!(one.get(&path(&id)).expect(200), changed);
    }
}

#[test]
fn a_redis_that_answers_nothing_is_given_up() {
    let scene = scene();
    let (one, two) = (
        scene.client(0).within(STALLED),
        scene.client(1).within(STALLED),
    );
    let id = cell(&one, 1);
    scene.wait_cached(&path(&id));
    scene.redis.freeze();
    let changed = one.patch(&path(&id), &change(2)).expect(200);
    assert_eq!(two.get(&path(&id)).expect(200), changed);
    assert!(!scene.is_open());
    scene.redis.thaw();
    scene.wait_cached(&path(&id));
    assert_eq!(one.get(&path(&id)).expect(200), changed);
}

#[test]
fn who_alone_cannot_reach_redis_keeps_the_others_from_it() {
    let scene = scene();
    let (one, two) = (
        scene.client(0).within(STALLED),
        scene.client(1).within(STALLED),
    );
    let id = cell(&one, 1);
    scene.wait_cached(&path(&id));
    for (number, way) in [(2, Way::Cut), (3, Way::Stalled)] {
        scene.instances[0].to_redis.set(way);
        let changed = one.patch(&path(&id), &change(number)).expect(200);
        let read = two.get(&path(&id));
        assert!(!is_from(&read, "cache"));
        assert_eq!(read.expect(200), changed);
        scene.instances[0].to_redis.set(Way::Through);
        scene.wait_cached(&path(&id));
    }
}

#[test]
fn who_cannot_hear_that_the_gate_is_closed_answers_nothing_old() {
    let scene = scene();
    let (one, two) = (scene.client(0).within(STALLED), scene.client(1));
    let id = cell(&two, 0);
    for (number, way) in [(1, Way::Cut), (2, Way::Stalled)] {
        scene.wait_cached(&path(&id));
        // The first still reaches all that is held, and the second writes what is not announced.
        scene.instances[0].to_postgres.set(way);
        scene.instances[1].to_redis.set(Way::Cut);
        let changed = two.patch(&path(&id), &change(number)).expect(200);
        assert!(!scene.is_open());
        for _ in 0..20 {
            // Where the database does not answer there may be no answer in time.
            if let Ok(answer) = one.request("GET", &path(&id)).try_send()
                && answer.status == 200
            {
                assert_eq!(answer.json(), changed);
            }
            if way == Way::Stalled {
                break;
            }
        }
        scene.instances[1].to_redis.set(Way::Through);
        scene.instances[0].to_postgres.set(Way::Through);
    }
    scene.wait_cached(&path(&id));
}

#[test]
fn one_that_is_killed_while_it_writes_leaves_nothing_behind() {
    let mut scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let ids: Vec<String> = (0..30).map(|number| cell(&two, number)).collect();
    for id in &ids {
        scene.wait_cached(&path(id));
    }
    while_writing(&one, &two, |seen| {
        wait_for_more(seen, 100);
        scene.instances[0].kill();
        // The other goes on, on the same documents.
        for (number, id) in ids.iter().enumerate() {
            let changed = two
                .patch(&path(id), &change(1000 + number as u64))
                .expect(200);
            assert_eq!(two.get(&path(id)).expect(200), changed);
        }
    });
    wait("the dead one is removed", || scene.known() == "1");
    // Whatever it had announced is taken back: nothing has to be asked of the truth any more.
    let all = two.list("cells", &[("limit", "200"), ("consistent", "true")]);
    for document in all["data"].as_array().unwrap() {
        let id = document["id"].as_str().unwrap();
        assert_eq!(cached(&two, &path(id)), *document);
    }
    assert_eq!(
        cached(&two, "/cells?limit=20")["data"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[test]
fn one_that_was_stopped_for_long_commits_nothing_that_the_other_does_not_know_of() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    while_writing(&one, &two, |seen| {
        wait_for_more(seen, 50);
        scene.instances[0].freeze();
        wait("the silent one is removed", || scene.known() == "1");
        let all = two.list("cells", &[("consistent", "true")]);
        for document in all["data"].as_array().unwrap() {
            cached(&two, &path(document["id"].as_str().unwrap()));
        }
        // Its writers wait for answers; each holds what they are told against the other.
        scene.instances[0].thaw();
        wait_for_more(seen, 100);
    });
    wait("it has joined again", || scene.known() == "2");
    let id = cell(&one, 1);
    scene.wait_cached(&path(&id));
}

#[test]
fn those_with_other_collections_share_no_cache() {
    let mut scene = scene();
    let id = cell(&scene.client(0), 1);
    scene.wait_cached(&path(&id));
    scene.instances[1].stop();
    let more = "name: more\nfields: { a: int }\ntiers: { cache: {} }\n";
    scene.instances[1].site.collection("more", more);
    scene.instances[1].start();
    let (one, two) = (scene.client(0), scene.client(1));
    wait("it is closed", || !scene.is_open());
    for round in 0..40 {
        let (by, other) = if round % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let changed = by.patch(&path(&id), &change(round)).expect(200);
        let answer = other.get(&path(&id));
        assert!(!is_from(&answer, "cache"), "round {round}");
        assert_eq!(answer.expect(200), changed);
    }
    // When the last of the old ones has gone, the new one has it to itself.
    scene.instances[0].stop();
    cached(&two, &path(&id));
}

#[test]
fn who_stops_in_order_is_not_waited_for() {
    let mut scene = scene();
    let id = cell(&scene.client(0), 1);
    scene.wait_cached(&path(&id));
    scene.instances[0].stop();
    assert_eq!(scene.known(), "1");
    cached(&scene.client(1), &path(&id));
    scene.instances[1].stop();
    assert_eq!(scene.known(), "0");
}

#[test]
fn servers_are_replaced_one_by_one_while_people_write() {
    let mut scene = scene();
    for replaced in [0, 1, 0] {
        let stays = scene.client(1 - replaced);
        while_writing(&stays, &stays, |seen| {
            wait_for_more(seen, 20);
            scene.instances[replaced].stop();
            wait_for_more(seen, 20);
            scene.instances[replaced].start();
            wait_for_more(seen, 20);
        });
        let id = cell(&scene.client(replaced), 1);
        scene.wait_cached(&path(&id));
        let changed = stays.patch(&path(&id), &change(2)).expect(200);
        assert_eq!(scene.client(replaced).get(&path(&id)).expect(200), changed);
    }
    assert_eq!(scene.known(), "2");
}

/// Puts documents on one shelf, beside others who do, and looks after each whether it is listed and
/// what it is.
fn fill_shelf(client: &Client, shelf: u64) {
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                for rank in 0..40 {
                    let cell = json!({ "value": writer, "shelf": shelf, "rank": rank });
                    let cell = client.create("cells", &cell);
                    let id = cell["id"].as_str().unwrap();
                    let list = client.get(&format!("/cells?filter[shelf]={shelf}&limit=200"));
                    let list = list.expect(200);
                    assert!(list["data"].as_array().unwrap().contains(&cell));
                    assert_eq!(client.get(&path(id)).expect(200), cell);
                }
            });
        }
    });
    let list = format!("/cells?filter[shelf]={shelf}&limit=200");
    let listed = cached(client, &list);
    assert_eq!(listed["data"].as_array().unwrap().len(), 160);
}

#[test]
fn who_is_alone_owns_the_gate_until_another_comes() {
    let mut scene = scene();
    let one = scene.client(0);
    wait("the gate is nobody's", || !scene.is_owned());
    scene.instances[1].stop();
    wait("the gate is owned", || scene.is_owned());
    fill_shelf(&one, 2);
    while_writing(&one, &one, |seen| {
        wait_for_more(seen, 300);
        scene.instances[1].start();
        wait("the gate is given up", || !scene.is_owned());
        assert!(scene.is_open());
        wait_for_more(seen, 100);
    });
    let two = scene.client(1);
    while_writing(&one, &two, |seen| wait_for_more(seen, 100));
    // Whoever is left makes it its own.
    scene.instances[0].kill();
    wait("the gate is owned again", || scene.is_owned());
    fill_shelf(&two, 3);
    while_writing(&two, &two, |seen| wait_for_more(seen, 300));
    // An owner that has gone without a word is not waited for.
    scene.instances[1].kill();
    scene.instances[0].start();
    let one = scene.client(0).within(STALLED);
    let id = cell(&one, 1);
    assert_eq!(value(&one.get(&path(&id)).expect(200)), 1);
    wait("the gate is owned by another", || scene.is_owned());
    fill_shelf(&one, 4);
}
