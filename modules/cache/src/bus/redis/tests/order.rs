//! The events of one document come in the order of its revisions, whichever instance tells its own
//! first, and whoever listens learns where one of them could not be told.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

use nubo_core::{
    bus::What,
    declare::CollectionDeclaration,
    document::Document,
    id::Revision,
    observe::Touched,
    schema::{Collection, CollectionId},
    value::Value,
};
use serde_json::json;
use tokio::sync::Mutex;

use super::*;
use crate::bus::tests::{channel, hear, id, until};

/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);
/// Where all changes are told.
const NOTES: &str = "notes";

/// The clock of the machine.
struct Machine;

impl Clock for Machine {
    fn micros(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_micros()).unwrap()
    }
}

/// Two instances with a collection, both of which listen to it.
struct Scene {
    server: RedisServer,
    instances: [Arc<RedisBus>; 2],
    notes: CollectionId,
    /// What revisions are counted from: a second ago.
    base: i64,
}

impl Scene {
    async fn new(change: impl Fn(&mut RedisBusSettings)) -> Self {
        let server = RedisServer::start();
        let declarations = json!([{ "name": NOTES, "fields": { "number": "int" } }]);
        let declarations: Vec<CollectionDeclaration> =
            serde_json::from_value(declarations).unwrap();
        let catalog = Arc::new(Catalog::compile(&declarations, &[]).unwrap());
        let notes = catalog.any_named(NOTES).unwrap().id;
        let instances = [1, 2].map(|seed| {
            let with = (Arc::clone(&catalog), Arc::new(Machine) as Arc<dyn Clock>);
            instance_of(&server, seed, &change, with)
        });
        for instance in &instances {
            instance.open(&channel(NOTES)).await.unwrap();
        }
        Self {
            server,
            instances,
            notes,
            base: Machine.micros(),
        }
    }

    /// One that waits for what is missing for as long as the test takes.
    async fn patient() -> Self {
        Self::new(|settings| settings.patience = FOREVER).await
    }

    fn catalog(&self) -> &Catalog {
        self.instances[0].shared.wire.catalog()
    }

    /// An event that takes a note from one version to another; 0 is where there is none.
    fn step(&self, note: u128, before: i64, after: i64) -> Event {
        let collection = self.catalog().get(self.notes);
        let document = |version: i64| {
            (version != 0).then(|| {
                let mut document = Document::empty(collection);
                document.set(Collection::ID, Value::Uuid(id(note).uuid()));
                document.set_revision(Revision::new(self.base + version));
                document
            })
        };
        Event {
            channels: vec![channel(NOTES)],
            what: What::Changed(Arc::new(Touched {
                collection: self.notes,
                before: document(before),
                after: document(after),
            })),
        }
    }

    /// An instance tells how a note went from one version to another.
    fn tell(&self, instance: usize, note: u128, before: i64, after: i64) {
        self.instances[instance].publish(vec![self.step(note, before, after)]);
    }

    fn heard(&self, heard: &Heard) -> Step {
        let Heard::Event(published) = heard else {
            panic!("a gap");
        };
        match &published.event.what {
            What::Changed(touched) => {
                let version = |document: &Option<Document>| {
                    let document = document.as_ref();
                    document.map_or(0, |document| document.revision().number() - self.base)
                };
                let note = touched.id().unwrap().uuid().as_u128();
                Step::Told(note, version(&touched.before), version(&touched.after))
            }
            What::Missed { collection } => {
                assert_eq!(*collection, self.notes);
                Step::Missed
            }
            other => panic!("{other:?}"),
        }
    }

    /// Both hear just this, in this order.
    async fn both_hear(&self, expected: &[Step]) {
        for instance in &self.instances {
            let heard = hear(bus(instance), expected.len()).await;
            let heard: Vec<Step> = heard.iter().map(|heard| self.heard(heard)).collect();
            assert_eq!(heard, expected);
        }
    }

    /// Waits until so many events wait.
    async fn until_parked(&self, count: usize) {
        until("events wait", async || {
            let keys: Vec<String> = self.server.command(&["KEYS", "nubo:bus:*:waits"]).await;
            match keys.first() {
                Some(key) => self.server.command::<usize>(&["ZCARD", key]).await == count,
                None => count == 0,
            }
        })
        .await;
    }

    async fn stop(self) {
        for instance in self.instances {
            instance.stop().await;
        }
    }
}

/// What a listener hears of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Of this note, from one version to another.
    Told(u128, i64, i64),
    /// It must be read again.
    Missed,
}

use Step::{Missed, Told};

#[tokio::test]
async fn who_is_quicker_waits_for_who_was_first() {
    let scene = Scene::patient().await;
    scene.tell(0, 1, 0, 1);
    scene.both_hear(&[Told(1, 0, 1)]).await;
    scene.tell(1, 1, 2, 3);
    scene.until_parked(1).await;
    // Other documents do not wait.
    scene.tell(1, 2, 0, 1);
    scene.both_hear(&[Told(2, 0, 1)]).await;
    scene.tell(0, 1, 1, 2);
    scene.both_hear(&[Told(1, 1, 2), Told(1, 2, 3)]).await;
    scene.until_parked(0).await;
    scene.stop().await;
}

#[tokio::test]
async fn whatever_the_order_in_which_they_are_told_a_document_lives_its_life() {
    let scene = Scene::patient().await;
    // Made, changed, deleted, made once more and changed.
    let life = [(0, 1), (1, 2), (2, 0), (0, 4), (4, 5)];
    scene.tell(0, 1, 0, 1);
    for (instance, (before, after)) in life[1..].iter().rev().enumerate() {
        scene.until_parked(instance).await;
        scene.tell(instance % 2, 1, *before, *after);
    }
    let told: Vec<Step> = life
        .iter()
        .map(|(before, after)| Told(1, *before, *after))
        .collect();
    scene.both_hear(&told).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_note_that_begins_with_a_change_nobody_told_is_not_waited_for() {
    let scene = Scene::patient().await;
    // Written before anybody listened, or so long ago that it was told or never will be.
    scene.tell(0, 1, -60_000_000, 1);
    scene.both_hear(&[Told(1, -60_000_000, 1)]).await;
    scene.tell(1, 2, -2_000_000, 1);
    scene.both_hear(&[Told(2, -2_000_000, 1)]).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_nobody_tells_is_not_waited_for_long_and_not_told_late() {
    let scene = Scene::new(|settings| {
        settings.patience = Duration::from_millis(50);
        settings.beat = Duration::from_millis(20);
    })
    .await;
    let start = scene.instances[0].open(&channel(NOTES)).await.unwrap();
    scene.tell(0, 1, 0, 1);
    scene.both_hear(&[Told(1, 0, 1)]).await;
    // The second version is with an instance that is stopped; its successors go on without it.
    scene.tell(1, 1, 2, 3);
    scene.both_hear(&[Told(1, 2, 3)]).await;
    scene.tell(1, 1, 3, 4);
    scene.both_hear(&[Told(1, 3, 4)]).await;
    // Now it comes: nobody may see something older after something newer.
    scene.tell(0, 1, 1, 2);
    scene.both_hear(&[Missed]).await;
    scene.tell(0, 1, 4, 5);
    scene.both_hear(&[Told(1, 4, 5)]).await;
    // Who comes back is told the same.
    let replay = scene.instances[1].replay(&channel(NOTES), start).await;
    let Replay::Events(events) = replay.unwrap() else {
        panic!("a gap");
    };
    let events: Vec<Step> = events
        .into_iter()
        .map(|published| scene.heard(&Heard::Event(published)))
        .collect();
    let told = [
        Told(1, 0, 1),
        Told(1, 2, 3),
        Told(1, 3, 4),
        Missed,
        Told(1, 4, 5),
    ];
    assert_eq!(events, told);
    scene.stop().await;
}

#[tokio::test]
async fn many_that_come_late_are_missed_once() {
    let scene = Scene::new(|settings| {
        settings.patience = Duration::from_millis(1);
        settings.beat = Duration::from_millis(20);
    })
    .await;
    for note in 1..=50 {
        scene.tell(1, note, 0, 3);
    }
    let told: Vec<Step> = (1..=50).map(|note| Told(note, 0, 3)).collect();
    scene.both_hear(&told).await;
    let late = (1..=50).flat_map(|note| [scene.step(note, 0, 1), scene.step(note, 1, 2)]);
    scene.instances[0].publish(late.collect());
    scene.both_hear(&[Missed]).await;
    scene.tell(1, 1, 3, 4);
    scene.both_hear(&[Told(1, 3, 4)]).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_was_told_is_not_told_again() {
    let scene = Scene::patient().await;
    for (note, (before, after)) in [(0, 1), (1, 2), (2, 0)].into_iter().enumerate() {
        scene.tell(0, 1, before, after);
        scene.both_hear(&[Told(1, before, after)]).await;
        scene.tell(1, 1, before, after);
        let other = 2 + note as u128;
        scene.tell(1, other, 0, 1);
        scene.both_hear(&[Told(other, 0, 1)]).await;
    }
    scene.stop().await;
}

#[tokio::test]
async fn what_comes_when_nobody_knows_any_more_what_followed_is_missed() {
    let scene = Scene::new(|settings| settings.silence = Duration::from_secs(5)).await;
    scene.tell(0, 1, -13_000_000, -11_000_000);
    scene.both_hear(&[Missed]).await;
    // A clock that is wrong by that does not make everything late.
    scene.tell(0, 2, 0, 3_600_000_000);
    scene.both_hear(&[Told(2, 0, 3_600_000_000)]).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_all_instances_notice_is_told_once() {
    let scene = Scene::patient().await;
    let overtaken = |transactions: &[u64]| Event {
        channels: Vec::new(),
        what: What::Overtaken {
            collection: Some(scene.notes),
            transactions: transactions.to_vec(),
        },
    };
    let told = [
        (0, &[5, 6][..]),
        (1, &[5]),
        (1, &[6]),
        (0, &[6, 7]),
        (1, &[7]),
    ];
    let news = [true, false, false, true, false];
    for (note, ((instance, transactions), is_news)) in told.into_iter().zip(news).enumerate() {
        let event = overtaken(transactions);
        scene.instances[instance].publish(vec![event.clone()]);
        // It comes before this, or not at all.
        scene.tell(instance, note as u128, 0, 1);
        for listener in &scene.instances {
            let heard = hear(bus(listener), 1 + usize::from(is_news)).await;
            let Heard::Event(first) = &heard[0] else {
                panic!("a gap");
            };
            assert_eq!(*first.event == event, is_news, "{transactions:?}");
        }
    }
    scene.stop().await;
}

/// What an instance has written and not told yet.
type Written = Mutex<VecDeque<Event>>;

/// Two instances that write the same few notes at the same time and tell of it when they come to it,
/// while connections are cut.
#[tokio::test]
async fn two_that_write_the_same_documents_are_heard_in_one_order() {
    const CHANGES: usize = 1000;
    const NOTES: u64 = 20;
    let scene = Scene::patient().await;
    let random = Seeded::new(5);
    let written: [Written; 2] = Default::default();
    let mut versions: HashMap<u128, i64> = HashMap::new();
    let mut deleted = HashSet::new();
    let mut expected: HashMap<u128, Vec<Step>> = HashMap::new();
    let writing = async {
        for change in 1..=CHANGES {
            let note = u128::from(random.below(NOTES));
            let before = versions.get(&note).copied().unwrap_or_default();
            // Each is deleted and made again once at some time.
            let after = match before != 0 && random.below(20) == 0 && deleted.insert(note) {
                true => 0,
                false => i64::try_from(change).unwrap(),
            };
            versions.insert(note, after);
            expected
                .entry(note)
                .or_default()
                .push(Told(note, before, after));
            let instance = random.below(2) as usize;
            let event = scene.step(note, before, after);
            written[instance].lock().await.push_back(event);
            if change % 300 == 0 {
                let words = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
                scene.server.command::<u32>(&words).await;
            }
            tokio::time::sleep(Duration::from_micros(random.below(500))).await;
        }
    };
    let telling = async |instance: usize| loop {
        tokio::time::sleep(Duration::from_micros(random.below(10_000))).await;
        let events: Vec<Event> = written[instance].lock().await.drain(..).collect();
        scene.instances[instance].publish(events);
    };
    let mut told: HashMap<u128, Vec<Step>> = HashMap::new();
    let listening = async {
        let mut count = 0;
        while count < CHANGES {
            for heard in hear(bus(&scene.instances[0]), 1).await {
                let step = scene.heard(&heard);
                let Told(note, ..) = step else {
                    panic!("nothing was lost");
                };
                told.entry(note).or_default().push(step);
                count += 1;
            }
        }
    };
    let working = async { tokio::join!(writing, listening) };
    tokio::select! {
        _ = working => {}
        () = telling(0) => {}
        () = telling(1) => {}
    }
    assert_eq!(told, expected);
    scene.stop().await;
}
