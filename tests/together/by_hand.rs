//! What somebody writes with SQL, beside both servers: what either of them answers follows, and who
//! listens to either is told to read again.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{
    CELLS,
    hub::{at, scene as people},
    people::Person,
    scene::Scene,
    server::{Answer, text},
    socket::Socket,
};

/// Longer than it may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers with cells on shelves, of which both have what is asked for in the cache.
fn shelves() -> Scene {
    let scene = Scene::start(&[("cells", CELLS)]);
    scene.wait_cached("/cells?filter[shelf]=1");
    scene
}

fn cell(scene: &Scene, value: i64, shelf: i64) -> String {
    let cell = json!({ "value": value, "shelf": shelf, "rank": value });
    scene.client(0).create_id("cells", &cell)
}

fn values(list: &Answer) -> Vec<i64> {
    let list = list.expect(200);
    let cells = list["data"].as_array().unwrap().iter();
    cells.map(|cell| cell["value"].as_i64().unwrap()).collect()
}

/// Writes with SQL, and waits until both servers answer as wanted, from the database and then from the
/// cache.
#[track_caller]
fn follow(scene: &Scene, sql: &str, path: &str, wanted: impl Fn(&Answer) -> bool) {
    for instance in 0..2 {
        // They have held what is about to be wrong.
        let before = scene.client(instance).get(path);
        assert!(!wanted(&before), "{path} is so already");
    }
    scene.database.sql(sql);
    let begun = Instant::now();
    let mut follows = [false; 2];
    while follows != [true; 2] {
        assert!(begun.elapsed() < PATIENCE, "{sql}: {follows:?}");
        for (instance, follows) in follows.iter_mut().enumerate() {
            let is_so = wanted(&scene.client(instance).get(path));
            assert!(is_so || !*follows, "it follows and does not: {sql}");
            *follows = is_so;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("visible on both after {:?}: {sql}", begun.elapsed());
}

#[test]
fn documents_and_lists_follow_at_both_servers() {
    let scene = shelves();
    let ids: Vec<String> = (1..=3).map(|value| cell(&scene, value, 1)).collect();
    let path = |id: &str| format!("/cells/{id}");
    let list = "/cells?filter[shelf]=1";
    scene.wait_cached(&path(&ids[0]));
    scene.wait_cached(list);
    // Without another revision.
    let update = format!("UPDATE main.cells SET value = 7 WHERE id = '{}'", ids[0]);
    follow(&scene, &update, &path(&ids[0]), |answer| {
        answer.expect(200)["value"] == 7
    });
    scene.wait_cached(list);
    let update = format!("UPDATE main.cells SET shelf = 2 WHERE id = '{}'", ids[1]);
    follow(&scene, &update, list, |answer| values(answer) == [3, 7]);
    scene.wait_cached(&path(&ids[0]));
    scene.wait_cached(list);
    let delete = format!("DELETE FROM main.cells WHERE id = '{}'", ids[0]);
    follow(&scene, &delete, &path(&ids[0]), |answer| {
        answer.status == 404
    });
    for instance in 0..2 {
        assert_eq!(values(&scene.client(instance).get(list)), [3]);
    }
    scene.wait_cached(list);
    follow(&scene, "TRUNCATE main.cells", list, |answer| {
        values(answer).is_empty()
    });
    for instance in 0..2 {
        let answer = scene.client(instance).get(&path(&ids[2]));
        assert_eq!(answer.status, 404);
    }
}

/// The next event must be that something is to be read again.
#[track_caller]
fn reloads(socket: &mut Socket, channel: &str) {
    let event = socket.event();
    let told = (&event["event"], &event["channel"], &event["reason"]);
    assert_eq!(
        told,
        (&json!("reload"), &json!(channel), &json!("gap")),
        "{event}"
    );
}

/// What is next, whatever must be read again before it.
#[track_caller]
fn next(socket: &mut Socket) -> Json {
    loop {
        let event = socket.event();
        if event["event"] != "reload" {
            return event;
        }
    }
}

#[test]
fn who_listens_at_either_server_is_told_to_read_again() {
    let scene = people();
    let (one, two) = (scene.client(0), scene.client(1));
    let ada = Person::new(&one);
    let elsewhere = at(&ada, &two);
    let note = ada.makes("notes", json!({ "number": 1 }));
    let mut sockets = [&ada, &elsewhere].map(|person| person.listens("notes"));
    let of_this = format!("notes/{note}");
    for socket in &mut sockets {
        socket.subscribe(&of_this);
    }
    let since = sockets[0].subscribe("rooms")["position"].clone();
    let sql = [
        format!("UPDATE main.notes SET number = 2 WHERE id = '{note}'"),
        format!("DELETE FROM main.notes WHERE id = '{note}'"),
        "TRUNCATE main.notes".to_owned(),
    ];
    for sql in sql {
        scene.database.sql(&sql);
        for socket in &mut sockets {
            let mut told = [socket.event(), socket.event()].map(|event| {
                assert_eq!(
                    (&event["event"], &event["reason"]),
                    (&json!("reload"), &json!("gap"))
                );
                text(&event["channel"])
            });
            told.sort_unstable();
            assert!(told.iter().all(|channel| *channel != "rooms") || sql.starts_with("TRUNCATE"));
        }
    }
    // Who was away meanwhile reads again, too, wherever they come back.
    for person in [&ada, &elsewhere] {
        let ok = person.connect().done(json!({
            "op": "subscribe", "channel": "notes", "since": since,
        }));
        assert_eq!(ok["resumed"], false);
    }
}

#[test]
fn rules_follow_what_they_look_up() {
    let scene = people();
    let (one, two) = (scene.client(0), scene.client(1));
    let (ada, bob) = (Person::new(&one), Person::new(&two));
    let (room, memberships) = ada.room(&[&ada, &bob]);
    let mut bob_hears = [&at(&bob, &one), &bob].map(|person| person.listens("lines"));
    ada.says(&room, "with Bob");
    for socket in &mut bob_hears {
        assert_eq!(socket.expect("created")["text"], "with Bob");
    }
    let out = format!(
        "DELETE FROM main.memberships WHERE id = '{}'",
        memberships[1]
    );
    scene.database.sql(&out);
    bob_hears
        .iter_mut()
        .for_each(|socket| reloads(socket, "lines"));
    ada.says(&room, "without Bob");
    scene.database.sql(&format!(
        "INSERT INTO main.memberships (id, room_id, user_id, unread, created_at, updated_at, _rev) \
         VALUES (gen_random_uuid(), '{room}', '{}', 0, now(), now(), 1)",
        bob.id
    ));
    bob_hears
        .iter_mut()
        .for_each(|socket| reloads(socket, "lines"));
    ada.says(&room, "with Bob again");
    for socket in &mut bob_hears {
        assert_eq!(next(socket)["document"]["text"], "with Bob again");
    }
}

#[test]
fn who_is_banned_is_disconnected_from_either_server() {
    let scene = people();
    let (one, two) = (scene.client(0), scene.client(1));
    let bob = Person::new(&one);
    let sockets = [&bob, &at(&bob, &two)].map(|person| person.listens("notes"));
    let banned = format!("UPDATE auth.users SET state = 2 WHERE id = '{}'", bob.id);
    scene.database.sql(&banned);
    for mut socket in sockets {
        assert_eq!(socket.closed(), Some(4003));
    }
}
