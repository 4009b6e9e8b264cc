//! What is said of the recent tier from the command line: whether it has what the database has, and
//! how it stands.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::{
    RECENT_CELLS,
    link::Way,
    scene::{Scene, Stop, from_tier, wait},
    server::Site,
};

/// The newest cells.
const NEWEST: &str = "/cells?sort=-created_at,-id&limit=9";

/// A scene with so many cells in the recent tier, by their values.
fn with_cells(count: u64) -> (Scene, Vec<Json>) {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    let client = scene.client(0);
    // It begins behind the first of them.
    let cells = (0..=count).map(|value| {
        let cell = json!({ "value": value, "shelf": 1, "rank": value });
        client.create("cells", &cell)
    });
    let mut cells: Vec<Json> = cells.collect();
    let newest = format!("/cells?sort=-created_at,-id&limit={count}");
    from_tier(&client, &newest, "recent");
    (scene, cells.split_off(1))
}

/// Writes to the database as a server does, and tells nobody.
fn write_unseen(scene: &Scene, statement: &str) {
    scene
        .database
        .sql(&format!("SET nubo.hand = 'own'; {statement}"));
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let output = site.command(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What `nubo doctor --tiers` says of the recent tier: how it is, and in words.
fn doctor(site: &Site, more: &[&str]) -> (String, String) {
    let arguments = [&["doctor", "--tiers", "--json"], more].concat();
    let said = run(site, &arguments);
    let said: Json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let findings = said["findings"].as_array().unwrap().iter();
    let mut about = findings.filter(|finding| finding["check"] == "recent tier");
    let finding = about.next().unwrap_or_else(|| panic!("{said:#}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("message") + "\n" + &text("advice"))
}

fn id(cell: &Json) -> &str {
    cell["id"].as_str().unwrap()
}

#[test]
fn what_the_recent_tier_has_missed_is_found_and_brought() {
    let (scene, cells) = with_cells(4);
    let site = &scene.instances[0].site;
    let (state, said) = doctor(site, &[]);
    assert_eq!(state, "ok", "{said}");
    // Whether it has the very first one depends on when it began.
    let counts = said.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let counts: Vec<u64> = counts.collect();
    assert!(
        counts.len() == 2 && counts.iter().all(|count| *count >= 4),
        "{said}"
    );
    let [changed, deleted] = [&cells[1], &cells[2]].map(id);
    let new = "01f00000-0000-7000-8000-000000000001";
    write_unseen(
        &scene,
        &format!(
            "UPDATE main.cells SET value = 77, _rev = _rev + 1 WHERE id = '{changed}'; \
             DELETE FROM main.cells WHERE id = '{deleted}'; \
             INSERT INTO main.cells (id, created_at, updated_at, _rev, value, shelf, rank, raised) \
             SELECT '{new}', created_at, updated_at, _rev, 99, shelf, rank, raised \
             FROM main.cells WHERE id = '{}'",
            id(&cells[3])
        ),
    );
    for repair in [&[][..], &["--repair"]] {
        let (state, said) = doctor(site, repair);
        assert_eq!(state, "error", "{said}");
        for line in [
            "3 differ",
            &format!("cells/{changed} is out of date"),
            &format!("cells/{deleted} is there still, and was deleted"),
            &format!("cells/{new} is missing"),
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
    let (state, said) = doctor(site, &["--all"]);
    assert_eq!(state, "ok", "{said}");
    let client = scene.client(1);
    let changed = from_tier(&client, &format!("/cells/{changed}"), "recent");
    assert_eq!(changed["value"], 77);
    let new = from_tier(&client, &format!("/cells/{new}"), "recent");
    assert_eq!(new["value"], 99);
    let epoch = scene.database.sql("SELECT number FROM nubo.recent");
    assert_eq!(epoch, "1");
}

#[test]
fn what_differs_in_the_same_version_has_the_tier_begin_anew() {
    let (scene, cells) = with_cells(3);
    let site = &scene.instances[0].site;
    let changed = id(&cells[1]);
    write_unseen(
        &scene,
        &format!("UPDATE main.cells SET value = 77 WHERE id = '{changed}'"),
    );
    let (state, said) = doctor(site, &["--repair"]);
    assert_eq!(state, "error", "{said}");
    let line = format!("cells/{changed} differs in the same version");
    assert!(said.contains(&line), "{said}");
    assert!(said.contains("begins anew"), "{said}");
    let state = || scene.database.sql("SELECT number, sound FROM nubo.recent");
    wait("it begins anew", || state() == "2|t");
    scene.instances[0].backfill();
    let (state, said) = doctor(site, &[]);
    assert_eq!(state, "ok", "{said}");
    let path = format!("/cells/{changed}");
    let changed = from_tier(&scene.client(1), &path, "recent");
    assert_eq!(changed["value"], 77);
}

#[test]
fn what_is_written_meanwhile_is_no_fault() {
    let (scene, _) = with_cells(3);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for instance in 0..2 {
            let client = scene.client(instance);
            let stop = &stop;
            scope.spawn(move || {
                for value in 100.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let cell = json!({ "value": value, "shelf": 2, "rank": value });
                    let cell = client.create("cells", &cell);
                    let path = format!("/cells/{}", id(&cell));
                    client.patch(&path, &json!({ "value": 1 })).expect(200);
                    if value % 3 == 0 {
                        client.delete(&path).expect(204);
                    }
                }
            });
        }
        for _ in 0..3 {
            let (state, said) = doctor(&scene.instances[0].site, &["--all"]);
            assert_eq!(state, "ok", "{said}");
        }
    });
}

#[test]
fn what_has_not_arrived_is_counted_and_left_to_who_brings_it() {
    let (scene, cells) = with_cells(3);
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Cut);
    }
    let client = scene.client(0);
    let [changed, deleted] = [&cells[1], &cells[2]].map(|cell| format!("/cells/{}", id(cell)));
    let new = json!({ "value": 9, "shelf": 1, "rank": 9 });
    client.create("cells", &new);
    client.patch(&changed, &json!({ "value": 8 })).expect(200);
    client.delete(&deleted).expect(204);
    // Nobody brings it while the doctor looks.
    for instance in &scene.instances {
        instance.freeze();
    }
    let site = &scene.instances[0].site;
    let to_mongo = scene.instances[0].to_mongo.as_ref().unwrap();
    to_mongo.set(Way::Through);
    let (state, said) = doctor(site, &["--repair"]);
    for instance in &scene.instances {
        instance.thaw();
    }
    assert_eq!(state, "ok", "{said}");
    assert!(said.contains("of which 3 are on their way"), "{said}");
}

#[test]
fn sync_status_tells_how_the_recent_tier_stands() {
    let (scene, _) = with_cells(3);
    let instance = &scene.instances[0];
    let status = || -> Json {
        let said = run(&instance.site, &["sync", "status", "--json"]);
        let said: Json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        said["recent"].clone()
    };
    wait("everything has arrived", || status()["notes"] == 0);
    let recent = status();
    assert_eq!(recent["trusted"], true, "{recent:#}");
    assert_eq!(recent["why_not"], Json::Null, "{recent:#}");
    assert_eq!(recent["pending_lists"], "open", "{recent:#}");
    assert!(recent["epoch"].as_str().unwrap().starts_with("1-"));
    let cells = &recent["collections"]["cells"];
    assert_eq!(cells["pending"], 0, "{recent:#}");
    assert!(cells["since"].is_string(), "{recent:#}");
    let text = run(&instance.site, &["sync", "status"]);
    for line in [
        "the recent tier is what it should be: epoch 1-",
        "its pending lists are open",
        "nothing is noted as being on its way",
        "cells: everything since ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // The same, by itself.
    let alone = run(&instance.site, &["recent", "status"]);
    assert!(text.ends_with(&alone), "{alone}\n{text}");

    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Cut);
    }
    let client = scene.client(0);
    for value in 10..13 {
        let cell = json!({ "value": value, "shelf": 1, "rank": value });
        client.create("cells", &cell);
    }
    let recent = status();
    assert_eq!(recent["trusted"], false, "{recent:#}");
    let why = recent["why_not"].as_str().unwrap();
    assert!(why.starts_with("MongoDB does not answer"), "{why}");
    assert_eq!(recent["collections"]["cells"]["pending"], 3, "{recent:#}");
    assert!(recent["notes"].as_u64().unwrap() > 0, "{recent:#}");
    assert!(recent["oldest_note_ms"].as_i64().unwrap() > 0, "{recent:#}");
    let text = run(&instance.site, &["sync", "status"]);
    for line in ["the recent tier is not used", "notes wait, the oldest for"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Through);
    }
    wait("it is back", || {
        let recent = status();
        recent["trusted"] == true && recent["collections"]["cells"]["pending"] == 0
    });
    assert_eq!(client.get(NEWEST).expect(200)["data"][0]["value"], 12);

    scene.database.sql("UPDATE nubo.recent SET sound = false");
    let anew = || status()["epoch"].as_str().unwrap().starts_with("2-");
    wait("it begins anew", anew);
}
