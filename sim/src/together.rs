//! What is drawn where several processes share a cache. Each seed has a plot, which makes one kind of
//! situation frequent, and draws around it what else goes wrong, where tasks are held and how late
//! commands come: runs that differ in kind find more than runs that are all an average.
//!
//! Alex Groce et al., Swarm Testing, ISSTA 2012, <https://doi.org/10.1145/2338965.2336763>.

use fastrand::Rng;
use nubo_core::id::Id;
use serde_json::json;

use crate::{
    scheduler::Place,
    truth::Hand,
    workload::{self, Action, Client, MEMBERS, NOTES, PEOPLE, Write},
    world::{self, Circumstances, Event},
};

/// Places at which it matters who comes first.
const PLACES: [&str; 12] = [
    "commit",
    "the commit arrives",
    "before settling",
    "hear the truth",
    "ask the truth",
    "arrives at the cache",
    "hears from the cache",
    "arrives at the truth",
    "hears of the gate",
    "announce",
    "settle",
    "fill",
];

/// What was drawn.
pub struct Drawn {
    pub clients: Vec<Client>,
    pub circumstances: Circumstances,
    /// What goes wrong, and how many milliseconds after what went wrong before.
    pub events: Vec<(i64, Event)>,
}

/// What a run is about.
#[derive(Debug, Clone, Copy)]
enum Plot {
    /// Everybody does anything, and anything goes wrong.
    Anything,
    /// Notes are changed and read while somebody stands still for about as long as it takes until they
    /// count as dead.
    Silence,
    /// Notes come and go, while what was asked before the cache begins anew is answered after that.
    Ends,
    /// Notes are changed now and then, while commands come late.
    Late,
    /// Others write, too.
    Hands,
}

const PLOTS: [Plot; 5] = [
    Plot::Anything,
    Plot::Silence,
    Plot::Ends,
    Plot::Late,
    Plot::Hands,
];

/// Draws a run.
pub fn draw(random: &mut Rng) -> Drawn {
    let instances = random.usize(2..4);
    let mut drawn = Drawn {
        clients: Vec::new(),
        circumstances: Circumstances {
            instances,
            places: Vec::new(),
            late: None,
            rough: 0,
            recent: false,
        },
        events: Vec::new(),
    };
    match PLOTS[random.usize(..PLOTS.len())] {
        Plot::Anything => anything(random, &mut drawn),
        Plot::Silence => silence(random, &mut drawn),
        Plot::Ends => ends(random, &mut drawn),
        Plot::Late => late(random, &mut drawn),
        Plot::Hands => hands(random, &mut drawn),
    }
    if random.u8(..3) == 0 {
        drawn.circumstances.places.push(Place {
            step: PLACES[random.usize(..PLACES.len())],
            often: random.u32(2..10),
            longest: 1_000 << random.u32(4..11),
        });
    }
    let events: i64 = drawn.events.iter().map(|(after, _)| after).sum();
    drawn.circumstances.rough = drawn.circumstances.rough.max(events);
    drawn
}

fn anything(random: &mut Rng, drawn: &mut Drawn) {
    let clients = random.usize(3..7);
    drawn.clients = (0..clients).map(|_| anybody(random)).collect();
    drawn.events = wrongs(random, drawn.circumstances.instances);
    if random.u8(..3) == 0 {
        drawn.clients.truncate(2);
        drawn.clients.extend(hot(random));
    }
    if random.u8(..4) == 0 {
        drawn.circumstances.late = Some((random.u32(10..60), 1_000 << random.u32(6..12)));
        drawn.circumstances.rough = 4_000;
    }
}

fn silence(random: &mut Rng, drawn: &mut Drawn) {
    let notes = [0, 1].map(world::note);
    for note in notes {
        let mut writes = vec![write(create(random, note))];
        for _ in 0..random.usize(20..50) {
            let change = json!({ "body": random.u16(..).to_string(), "rank": random.u8(..3) });
            writes.push(write(Write::Change("notes", note, change)));
            writes.push(pause(random, 4..9));
        }
        drawn.clients.push(Client { actions: writes });
    }
    for _ in 0..random.usize(2..4) {
        drawn.clients.push(looks(random, &notes, 90, 4..9));
    }
    drawn.circumstances.places.push(Place {
        step: "commit",
        often: random.u32(1..4),
        longest: 1_000 << random.u32(6..11),
    });
    for _ in 0..random.usize(1..3) {
        let which = random.usize(..drawn.circumstances.instances);
        let stop = Event::Stop(which, random.i64(3_000..4_600));
        drawn.events.push((random.i64(300..1_500), stop));
        // All of them are there again.
        drawn.events.push((5_000, Event::Nothing));
    }
}

fn ends(random: &mut Rng, drawn: &mut Drawn) {
    let notes: Vec<Id> = (0..random.u8(1..3)).map(world::note).collect();
    for note in &notes {
        let mut writes = Vec::new();
        for _ in 0..random.usize(6..14) {
            writes.push(write(create(random, *note)));
            writes.push(pause(random, 7..11));
            writes.push(write(Write::Delete("notes", *note)));
            writes.push(pause(random, 7..11));
        }
        drawn.clients.push(Client { actions: writes });
    }
    for _ in 0..random.usize(4..7) {
        drawn.clients.push(looks(random, &notes, 120, 5..8));
    }
    drawn.circumstances.places.push(Place {
        step: "hear the truth",
        often: random.u32(2..7),
        longest: 1_000 << random.u32(10..13),
    });
    for _ in 0..random.usize(3..8) {
        let event = match random.u8(..3) {
            // Who starts anew does not wait before the cache is used again.
            0 => Event::Kill(random.usize(..drawn.circumstances.instances)),
            _ => Event::RestartCache(random.u8(..4) == 0),
        };
        drawn.events.push((random.i64(300..1_800), event));
    }
}

fn late(random: &mut Rng, drawn: &mut Drawn) {
    let notes: Vec<Id> = (0..NOTES).map(world::note).collect();
    for note in &notes {
        let mut writes = vec![write(create(random, *note))];
        for _ in 0..random.usize(4..12) {
            writes.push(pause(random, 6..12));
            writes.push(write(match random.u8(..8) {
                0 => Write::Delete("notes", *note),
                1 => create(random, *note),
                _ => Write::Change(
                    "notes",
                    *note,
                    json!({ "body": random.u16(..).to_string() }),
                ),
            }));
        }
        drawn.clients.push(Client { actions: writes });
    }
    for _ in 0..random.usize(2..4) {
        drawn.clients.push(looks(random, &notes, 60, 3..8));
    }
    drawn.circumstances.late = Some((random.u32(8..40), 1_000 << random.u32(9..13)));
    drawn.circumstances.rough = 8_000;
    for _ in 0..random.usize(2..6) {
        let which = random.usize(..drawn.circumstances.instances);
        let cut = Event::CutFromCache(which, random.i64(50..600));
        drawn.events.push((random.i64(50..2_000), cut));
    }
}

fn hands(random: &mut Rng, drawn: &mut Drawn) {
    let few = random.u8(1..=NOTES);
    let notes: Vec<Id> = (0..few).map(world::note).collect();
    let clients = random.usize(0..3);
    drawn.clients = (0..clients).map(|_| anybody(random)).collect();
    drawn.clients.push(moves(random, &notes));
    for _ in 0..random.usize(1..4) {
        drawn.clients.push(looks(random, &notes, 90, 4..8));
    }
    drawn.clients.push(lists(random));
    let mut events = Vec::new();
    let anything = random.bool();
    for _ in 0..random.usize(2..14) {
        let hand = hand(random, few, anything);
        events.push((1 << random.i64(3..11), Event::ByHand(hand)));
    }
    if random.u8(..3) == 0 {
        for event in wrongs(random, drawn.circumstances.instances) {
            events.insert(random.usize(..=events.len()), event);
        }
    }
    drawn.events = events;
    // Who looks for what others write is slow.
    let slow = |step, longest| Place {
        step,
        often: 1,
        longest,
    };
    match random.u8(..4) {
        0 => drawn
            .circumstances
            .places
            .push(slow("hears of the notes", 200_000)),
        1 => drawn
            .circumstances
            .places
            .push(slow("hears of the notes", 3_000_000)),
        2 => drawn
            .circumstances
            .places
            .push(slow("hears what others wrote", 500_000)),
        _ => {}
    }
}

/// Somebody who moves notes from room to room and within them.
pub(crate) fn moves(random: &mut Rng, notes: &[Id]) -> Client {
    let mut actions: Vec<Action> = notes
        .iter()
        .map(|note| write(create(random, *note)))
        .collect();
    for _ in 0..random.usize(10..40) {
        let note = notes[random.usize(..notes.len())];
        let change = match random.bool() {
            true => json!({ "room": world::room(random.u8(..2)).to_string() }),
            false => json!({ "rank": random.u8(..3), "state": random.u8(..2) }),
        };
        actions.push(write(Write::Change("notes", note, change)));
        actions.push(pause(random, 3..9));
    }
    Client { actions }
}

/// Somebody who does anything, with some rests.
pub(crate) fn anybody(random: &mut Rng) -> Client {
    let mut actions = Vec::new();
    for _ in 0..random.usize(10..40) {
        actions.push(workload::action(random));
        if random.u8(..4) == 0 {
            actions.push(pause(random, 0..11));
        }
    }
    Client { actions }
}

/// Somebody who looks at some notes again and again.
pub(crate) fn looks(
    random: &mut Rng,
    notes: &[Id],
    most: usize,
    rests: std::ops::Range<u32>,
) -> Client {
    let mut actions = Vec::new();
    for _ in 0..random.usize(most / 3..most) {
        actions.push(Action::Get {
            caller: None,
            collection: "notes",
            id: notes[random.usize(..notes.len())],
            if_new: false,
        });
        actions.push(pause(random, rests.clone()));
    }
    Client { actions }
}

/// Somebody who looks at lists again and again.
pub(crate) fn lists(random: &mut Rng) -> Client {
    let mut actions = Vec::new();
    for _ in 0..random.usize(10..30) {
        actions.push(Action::List {
            caller: [None, Some(random.u8(..PEOPLE))][random.usize(..2)],
            filter: json!({ "room": world::room(random.u8(..2)).to_string() }),
            limit: random.u32(1..5),
            continues: false,
            expand: false,
            other_order: false,
        });
        actions.push(pause(random, 3..8));
    }
    Client { actions }
}

pub(crate) fn write(write: Write) -> Action {
    Action::Write(vec![write])
}

pub(crate) fn create(random: &mut Rng, note: Id) -> Write {
    let room = world::room(random.u8(..2)).to_string();
    Write::Create(
        "notes",
        note,
        json!({ "room": room, "state": 1, "body": random.u16(..).to_string() }),
    )
}

/// A rest of so many milliseconds, by its power of two.
pub(crate) fn pause(random: &mut Rng, powers: std::ops::Range<u32>) -> Action {
    Action::Wait(1 << random.u32(powers))
}

/// A note is changed again and again for some seconds, while it is looked at.
fn hot(random: &mut Rng) -> [Client; 4] {
    let note = world::note(random.u8(..NOTES));
    let room = world::room(0).to_string();
    let create = Write::Create("notes", note, json!({ "room": room, "state": 1 }));
    let mut writes = vec![write(create)];
    let mut looks = [Vec::new(), Vec::new()];
    let mut lists = Vec::new();
    for _ in 0..random.usize(20..60) {
        let change = json!({ "body": random.u16(..).to_string(), "rank": random.u8(..3) });
        writes.push(write(Write::Change("notes", note, change)));
        writes.push(pause(random, 2..9));
        for looks in &mut looks {
            looks.push(Action::Get {
                caller: None,
                collection: "notes",
                id: note,
                if_new: false,
            });
            looks.push(pause(random, 2..9));
        }
        lists.push(Action::List {
            caller: None,
            filter: json!({ "room": room }),
            limit: 3,
            continues: false,
            expand: false,
            other_order: false,
        });
        lists.push(pause(random, 2..9));
    }
    let [first, second] = looks;
    [writes, first, second, lists].map(|actions| Client { actions })
}

/// What goes wrong: some kinds of it, each at any time.
pub(crate) fn wrongs(random: &mut Rng, instances: usize) -> Vec<(i64, Event)> {
    let mut kinds: Vec<u8> = (0..6).filter(|_| random.bool()).collect();
    if kinds.is_empty() {
        kinds.push(random.u8(..6));
    }
    let event = |random: &mut Rng| {
        let which = random.usize(..instances);
        let millis = [100, 250, 1_000, 5_000][random.usize(..4)];
        match kinds[random.usize(..kinds.len())] {
            0 => Event::Stop(which, millis),
            1 => Event::Kill(which),
            2 => Event::StopCache(millis),
            3 => Event::RestartCache(random.bool()),
            4 => Event::CutFromCache(which, millis),
            _ => Event::CutFromTruth(which, millis),
        }
    };
    (0..random.usize(0..7))
        .map(|_| (1 << random.i64(4..12), event(random)))
        .collect()
}

/// What somebody does by hand to a few notes and to members; a table is emptied where anything is done.
pub(crate) fn hand(random: &mut Rng, notes: u8, anything: bool) -> Hand {
    let note = world::note(random.u8(..notes));
    let member = world::member(random.u8(..MEMBERS));
    match random.u8(..12) {
        0 | 1 if anything => Hand::Truncate("notes"),
        2 if anything => Hand::Truncate("members"),
        2 | 3 => Hand::Delete("notes", note),
        4 | 5 => Hand::Insert("notes", note, workload::document(random)),
        6 => Hand::Delete("members", member),
        7 => Hand::Change("members", member, json!({ "role": random.u8(..3) })),
        _ => Hand::Change("notes", note, workload::change(random)),
    }
}
