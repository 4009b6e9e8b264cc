//! The recent tier: where answers come from, and that it follows whatever happens to the truth.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{
    RECENT_CELLS,
    link::Way,
    scene::{Scene, from_tier, is_from, wait},
    server::Client,
};

/// After which SQL by hand is seen everywhere, and what it takes on a busy machine.
const SECOND: Duration = Duration::from_millis(1500);
/// The newest cells.
const NEWEST: &str = "/cells?sort=-created_at,-id&limit=2";

fn create(client: &Client, value: u64) -> Json {
    client.create(
        "cells",
        &json!({ "value": value, "shelf": 1, "rank": value }),
    )
}

fn values(list: &Json) -> Vec<u64> {
    let data = list["data"].as_array().unwrap().iter();
    data.map(|cell| cell["value"].as_u64().unwrap()).collect()
}

#[test]
fn what_one_server_writes_the_other_reads_from_there() {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let cells: Vec<Json> = (0..=3).map(|value| create(&one, value)).collect();
    assert_eq!(values(&from_tier(&two, NEWEST, "recent")), [3, 2]);
    let path = format!("/cells/{}", cells[2]["id"].as_str().unwrap());
    assert_eq!(from_tier(&two, &path, "recent")["value"], 2);
    // What was just changed is asked of the truth until it has arrived.
    two.patch(&path, &json!({ "value": 20 })).expect(200);
    assert_eq!(one.get(&path).expect(200)["value"], 20);
    assert_eq!(from_tier(&one, &path, "recent")["value"], 20);
    two.delete(&path).expect(204);
    one.get(&path).expect(404);
    assert_eq!(values(&from_tier(&one, NEWEST, "recent")), [3, 1]);
}

#[test]
fn sql_by_hand_reaches_it_within_a_second() {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    let client = scene.client(0);
    let cells: Vec<Json> = (0..=3).map(|value| create(&client, value)).collect();
    from_tier(&client, NEWEST, "recent");
    let revision = cells[3]["_rev"].as_i64().unwrap();
    scene
        .database
        .sql("UPDATE main.cells SET value = value * 10");
    // The truth itself may show it before, and the tier need not have heard of it by then.
    std::thread::sleep(SECOND);
    assert_eq!(values(&client.get(NEWEST).expect(200)), [30, 20]);
    let list = from_tier(&client, NEWEST, "recent");
    assert_eq!(values(&list), [30, 20]);
    // What was written has a version of its own, so that nobody takes the old one for it.
    assert!(list["data"][0]["_rev"].as_i64().unwrap() > revision);
    scene
        .database
        .sql("DELETE FROM main.cells WHERE value = 30");
    std::thread::sleep(SECOND);
    assert_eq!(values(&client.get(NEWEST).expect(200)), [20, 10]);
    assert_eq!(values(&from_tier(&client, NEWEST, "recent")), [20, 10]);
    scene.database.sql("TRUNCATE main.cells");
    std::thread::sleep(SECOND);
    assert!(values(&client.get(NEWEST).expect(200)).is_empty());
}

#[test]
fn while_it_is_away_the_truth_answers_and_afterwards_it_has_everything() {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    let client = scene.client(0);
    for value in 0..=2 {
        create(&client, value);
    }
    from_tier(&client, NEWEST, "recent");
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Cut);
    }
    let noted = || scene.database.sql("SELECT count(*) FROM nubo.outbox");
    for value in 3..=40 {
        create(&client, value);
        let answer = client.get(NEWEST);
        assert_eq!(values(&answer.expect(200)), [value, value - 1]);
        assert!(is_from(&answer, "truth"));
    }
    assert_ne!(noted(), "0");
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Through);
    }
    assert_eq!(values(&from_tier(&client, NEWEST, "recent")), [40, 39]);
    wait("everything has arrived", || noted() == "0");
}

/// Another life of the tier, which has nothing of what was there before: two cells, of three.
fn begun_anew() -> Scene {
    let scene = Scene::start_recent(&[("cells", RECENT_CELLS)]);
    let client = scene.client(0);
    for value in 0..=2 {
        create(&client, value);
    }
    from_tier(&client, NEWEST, "recent");
    scene.database.sql("UPDATE nubo.recent SET sound = false");
    let state = || scene.database.sql("SELECT number, sound FROM nubo.recent");
    wait("it begins anew", || state() == "2|t");
    create(&client, 3);
    let list = client.get(NEWEST);
    assert_eq!(values(&list.expect(200)), [3, 2]);
    assert!(is_from(&list, "truth"));
    scene
}

#[test]
fn what_is_older_comes_by_itself() {
    let scene = begun_anew();
    let list = from_tier(&scene.client(1), NEWEST, "recent");
    assert_eq!(values(&list), [3, 2]);
}

#[test]
fn what_is_older_is_there_after_a_backfill() {
    let mut scene = begun_anew();
    scene.instances[0].backfill();
    assert_eq!(
        values(&from_tier(&scene.client(1), NEWEST, "recent")),
        [3, 2]
    );
    for instance in &mut scene.instances {
        instance.stop();
    }
}
