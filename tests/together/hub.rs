//! Events reach whoever listens at another server than the one that is written by.

use std::{
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::{
    dice::Dice,
    link::Way,
    listener::{Account, Listener},
    people::Person,
    scene::{Scene, Stop, wait},
    server::{Answer, Client, text},
};

const CONFIGURATION: &str = "\
auth:
  passwords: { memory_kib: 64, iterations: 1 }
  throttle: { enabled: false }
hub: { max_connections_per_account: 100 }
";

/// Everybody sees all of them, and who is signed in writes them.
const NOTES: &str = "\
name: notes
fields: { number: int! }
access: { read: public, create: authenticated, update: authenticated, delete: authenticated }
tiers: { cache: {} }
";

const LISTENERS: usize = 12;
const WRITERS: usize = 4;
/// How many notes there are at most, about.
const KEPT: usize = 20;
/// How long a server stops: more than events wait for it.
const STOPPED: Duration = Duration::from_secs(3);

/// Two servers with the shipped collections and those of the tests of the hub.
pub fn scene() -> Scene {
    Scene::furnished(|site| {
        site.fill("collections");
        site.fill("tests/hub/collections");
        site.collection("notes", NOTES);
        site.file("nubo.yaml", CONFIGURATION);
    })
}

/// The same person at another server.
pub fn at<'a>(person: &Person<'_>, client: &'a Client) -> Person<'a> {
    Person {
        client,
        id: person.id.clone(),
        name: person.name.clone(),
        token: person.token.clone(),
    }
}

#[test]
fn what_is_said_at_one_server_is_heard_once_at_the_other() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let (ada, bob) = (Person::new(&one), Person::new(&two));
    let (room, _) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");
    let (mut ada_hears, mut bob_hears) = (ada.listens(&channel), bob.listens(&channel));
    for number in 0..20 {
        let (from_ada, from_bob) = (format!("ada {number}"), format!("bob {number}"));
        ada.says(&room, &from_ada);
        // Whatever comes twice, or not at all, is found by what is expected next.
        for socket in [&mut ada_hears, &mut bob_hears] {
            assert_eq!(socket.expect("created")["text"], *from_ada);
        }
        bob.says(&room, &from_bob);
        for socket in [&mut ada_hears, &mut bob_hears] {
            assert_eq!(socket.expect("created")["text"], *from_bob);
        }
    }
}

#[test]
fn who_is_cut_off_goes_on_at_the_other_server() {
    let mut scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let ada = Person::new(&one);
    let (room, _) = ada.room(&[&ada]);
    let channel = format!("room:{room}");
    let elsewhere = at(&ada, &two);
    let mut socket = ada.connect();
    socket.subscribe(&channel);
    ada.says(&room, "first");
    let first = socket.event();
    assert_eq!(first["document"]["text"], "first");
    elsewhere.says(&room, "second");
    scene.instances[0].kill();
    elsewhere.says(&room, "third");
    let mut socket = elsewhere.connect();
    let ok = socket.done(json!({
        "op": "subscribe", "channel": channel, "since": first["position"],
    }));
    assert_eq!(ok["resumed"], true);
    assert_eq!(socket.expect("created")["text"], "second");
    assert_eq!(socket.expect("created")["text"], "third");
}

#[test]
fn who_may_not_read_any_more_hears_nothing_at_either_server() {
    let scene = scene();
    let (one, two) = (scene.client(0), scene.client(1));
    let (ada, bob) = (Person::new(&one), Person::new(&two));
    let (room, memberships) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");
    let mut hears = ada.listens(&channel);
    let mut bob_hears = bob.listens("lines");
    ada.says(&room, "with Bob");
    assert_eq!(bob_hears.expect("created")["text"], "with Bob");
    hears.expect("created");
    // Put out at one server, he hears nothing more at the other.
    ada.deletes("memberships", &memberships[1]);
    let line = ada.says(&room, "without Bob");
    assert_eq!(hears.expect("created")["text"], "without Bob");
    bob.creates("memberships", json!({ "room_id": room, "user_id": bob.id }));
    ada.changes("lines", &line, json!({ "text": "with Bob again" }));
    loop {
        let event = bob_hears.event();
        match event["event"].as_str().unwrap() {
            "reload" => assert_eq!(event["reason"], "access"),
            _ => {
                assert_eq!(event["document"]["text"], "with Bob again", "{event}");
                break;
            }
        }
    }
}

/// What those share who write and listen.
pub struct World {
    doors: [RwLock<Client>; 2],
    pub token: String,
    /// Writers are to stop.
    stop: AtomicBool,
    /// Nothing is written any more.
    written: AtomicBool,
    acknowledged: AtomicUsize,
    /// What is there to be changed by anybody, at either server.
    notes: Mutex<Vec<String>>,
}

impl World {
    /// Whoever is at this door now.
    pub fn client(&self, instance: usize) -> Client {
        self.doors[instance].read().unwrap().clone()
    }

    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::SeqCst)
    }

    fn send(&self, instance: usize, method: &str, path: &str, body: &Json) -> Option<Answer> {
        let client = self.client(instance).within(Duration::from_secs(15));
        let bearer = format!("Bearer {}", self.token);
        let request = client.request(method, path);
        let answer = request
            .header("authorization", &bearer)
            .json(body)
            .try_send();
        match answer {
            Ok(answer) if answer.status != 503 => {
                // A change of what a deletion of unknown outcome has taken finds nothing.
                assert!(
                    [200, 201, 204, 404].contains(&answer.status),
                    "{}",
                    answer.text()
                );
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                Some(answer)
            }
            // Refused, or cut off.
            _ => {
                std::thread::sleep(Duration::from_millis(20));
                None
            }
        }
    }

    /// Writes by one server what others write by the other one.
    fn write(&self, instance: usize, mut dice: Dice) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let body = json!({ "number": number });
            let mut notes = self.notes.lock().unwrap();
            if notes.is_empty() || (notes.len() < KEPT && dice.below(4) == 0) {
                drop(notes);
                if let Some(made) = self.send(instance, "POST", "/notes", &body) {
                    self.notes.lock().unwrap().push(text(&made.json()["id"]));
                }
                continue;
            }
            let place = dice.below(notes.len() as u64) as usize;
            let deletes = dice.below(8) == 0;
            let note = match deletes {
                true => notes.swap_remove(place),
                false => notes[place].clone(),
            };
            drop(notes);
            let path = format!("/notes/{note}");
            match deletes {
                true => {
                    // Where that has failed it is still there, perhaps.
                    if self.send(instance, "DELETE", &path, &Json::Null).is_none() {
                        self.notes.lock().unwrap().push(note);
                    }
                }
                false => drop(self.send(instance, "PATCH", &path, &body)),
            }
        }
    }

    fn wait_for_writes(&self, count: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + count;
        wait("writes go on", || {
            self.acknowledged.load(Ordering::Relaxed) >= enough
        });
    }
}

#[test]
fn nobody_misses_anything_without_being_told() {
    let mut scene = scene();
    let doors = [scene.client(0), scene.client(1)];
    let world = World {
        token: Person::new(&doors[0]).token,
        doors: doors.map(RwLock::new),
        stop: AtomicBool::new(false),
        written: AtomicBool::new(false),
        acknowledged: AtomicUsize::new(0),
        notes: Mutex::default(),
    };
    let mut accounts: Vec<Account> = Vec::new();
    std::thread::scope(|scope| {
        let world = &world;
        let listeners: Vec<_> = (0..LISTENERS)
            .map(|number| {
                let mut dice = Dice::new(7, number as u64);
                let listener = Listener::new(world, number % 2);
                scope.spawn(move || listener.listen(|| 20 + dice.below(200) as usize))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| scope.spawn(move || world.write(number % 2, Dice::new(8, number as u64))))
            .collect();
        {
            let _written = Stop(&world.written);
            {
                let _stop = Stop(&world.stop);
                trouble(&mut scene, world);
            }
            for writer in writers {
                writer.join().unwrap();
            }
        }
        accounts.extend(
            listeners
                .into_iter()
                .map(|listener| listener.join().unwrap()),
        );
    });
    println!("{accounts:?}");
    let sum = |of: fn(&Account) -> usize| accounts.iter().map(of).sum::<usize>();
    assert!(sum(|account| account.events) > LISTENERS * 500);
    assert!(sum(|account| account.resumed) > LISTENERS);
}

/// Kills each server and stops it for a while, restarts Redis, and cuts one server off from it, while
/// people write.
fn trouble(scene: &mut Scene, world: &World) {
    const CALM: usize = 150;
    world.wait_for_writes(CALM);
    for killed in [0, 1] {
        scene.instances[killed].kill();
        world.wait_for_writes(CALM / 3);
        scene.instances[killed].start();
        *world.doors[killed].write().unwrap() = scene.client(killed);
        world.wait_for_writes(CALM);
    }
    for instance in &scene.instances {
        instance.freeze();
        std::thread::sleep(STOPPED);
        instance.thaw();
        world.wait_for_writes(CALM);
    }
    scene.redis.kill();
    world.wait_for_writes(CALM / 3);
    scene.redis.resume_with(None);
    world.wait_for_writes(CALM);
    for way in [Way::Cut, Way::Stalled] {
        scene.instances[0].to_redis.set(way);
        world.wait_for_writes(CALM / 3);
        scene.instances[0].to_redis.set(Way::Through);
        world.wait_for_writes(CALM);
    }
}
