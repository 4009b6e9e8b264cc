//! What is drawn where there is a recent tier, for one process or several: what is written while the
//! clocks go on, lists that are read page by page across the moment since when the tier has everything,
//! and what goes wrong with it. As in [`together`](crate::together), each seed has a plot.

use fastrand::Rng;
use nubo_core::{id::Id, time::Timestamp};
use serde_json::{Value as Json, json};

use crate::{
    scheduler::Place,
    together::{self, Drawn, create, looks, pause, write},
    workload::{self, Action, Client, NOTES, PEOPLE, Write},
    world::{self, Circumstances, Event, START, WINDOW},
};

/// Places at which it matters who comes first.
const PLACES: [&str; 14] = [
    "commit",
    "the commit arrives",
    "before settling",
    "hear the truth",
    "hear of the outbox",
    "arrives at the recent tier",
    "hears from the recent tier",
    "asks the recent tier",
    "brings to the recent tier",
    "marks the recent tier",
    "pending, answered",
    "pending among, answered",
    "arrived",
    "announce",
];

/// How long it takes at first until the tier is used, in milliseconds.
const BEGINNING: i64 = 2_000;
/// How long nothing happens at least when the clocks have gone on, in milliseconds: nobody is held for
/// as long as a document stays after its window, by any clock.
const REST: i64 = 2_000;

/// What a run is about.
#[derive(Debug, Clone, Copy)]
enum Plot {
    /// Everybody does anything, and anything goes wrong.
    Anything,
    /// Lists are read page by page while the clocks go on.
    Seam,
    /// The tier is set back, again and again.
    SetBack,
    /// Processes die over what they write.
    Deaths,
    /// Notes come and go.
    Ends,
    /// Others write, too.
    Hands,
    /// Old documents are read, and brought back.
    Old,
}

const PLOTS: [Plot; 7] = [
    Plot::Anything,
    Plot::Seam,
    Plot::SetBack,
    Plot::Deaths,
    Plot::Ends,
    Plot::Hands,
    Plot::Old,
];

/// Draws a run.
pub fn draw(random: &mut Rng, is_together: bool) -> Drawn {
    let mut drawn = Drawn {
        clients: Vec::new(),
        circumstances: Circumstances {
            instances: if is_together { random.usize(2..4) } else { 0 },
            places: Vec::new(),
            late: None,
            rough: 0,
            recent: true,
        },
        events: vec![(BEGINNING, Event::Nothing)],
    };
    let plot = match PLOTS[random.usize(..PLOTS.len())] {
        // One that is alone says nothing of how soon it sees what others write.
        Plot::Hands if !is_together => Plot::Old,
        plot => plot,
    };
    drawn.clients = match plot {
        Plot::Anything => (0..random.usize(2..6))
            .map(|_| together::anybody(random))
            .collect(),
        Plot::Ends => ends(random),
        _ => everybody(random),
    };
    drawn.clients.push(pages(random));
    for _ in 0..random.usize(3..9) {
        let instances = drawn.circumstances.instances.max(1);
        drawn.events.extend(event(random, plot, instances));
    }
    if random.bool() {
        drawn.circumstances.places.push(Place {
            step: PLACES[random.usize(..PLACES.len())],
            often: random.u32(1..10),
            longest: 1_000 << random.u32(4..10),
        });
    }
    drawn.circumstances.rough = drawn.events.iter().map(|(after, _)| after).sum();
    drawn
}

/// Something that happens, and after how long.
fn event(random: &mut Rng, plot: Plot, instances: usize) -> Vec<(i64, Event)> {
    let which = random.usize(..instances);
    let soon = 1 << random.i64(4..10);
    let usual = match random.u8(..8) {
        0 | 1 => return jump(random),
        2 => backfill(random, which),
        3 => Event::RestartRecent(None),
        4 => Event::StopRecent(1 << random.i64(6..12)),
        5 => Event::CutFromRecent(which, 1 << random.i64(6..12)),
        6 if instances > 1 => Event::CutFromCache(which, 1 << random.i64(6..10)),
        _ => Event::RestartRecent(Some(random.usize(1..40))),
    };
    let special = match plot {
        _ if random.u8(..3) == 0 => usual,
        Plot::Anything => usual,
        Plot::Seam | Plot::Old if random.u8(..3) == 0 => backfill(random, which),
        Plot::Seam | Plot::Old => return jump(random),
        Plot::SetBack => Event::RestartRecent(Some(random.usize(1..12))),
        Plot::Deaths => Event::Kill(which),
        Plot::Ends if random.bool() => Event::Kill(which),
        Plot::Ends => Event::Stop(which, random.i64(300..5_000)),
        Plot::Hands => {
            let anything = random.u8(..4) == 0;
            Event::ByHand(together::hand(random, NOTES, anything))
        }
    };
    vec![(soon, special)]
}

/// What is older is brought, by somebody or by a process of those that keep the tier.
fn backfill(random: &mut Rng, which: usize) -> Event {
    match random.bool() {
        true => Event::Backfill,
        false => Event::Fill(which),
    }
}

/// The clocks go on, often so that the window begins where documents were created.
fn jump(random: &mut Rng) -> Vec<(i64, Event)> {
    let by = match random.u8(..6) {
        0 => random.i64(1..20),
        1 => random.i64(1..WINDOW.0),
        2 => WINDOW.0 / 2,
        _ => WINDOW.0 - random.i64(0..12),
    };
    vec![(50, Event::Jump(by)), (REST, Event::Nothing)]
}

/// Those who write, and those who look.
fn everybody(random: &mut Rng) -> Vec<Client> {
    let notes: Vec<Id> = (0..NOTES).map(world::note).collect();
    let mut clients = Vec::new();
    for _ in 0..random.usize(1..4) {
        clients.push(writes(random, &notes));
    }
    for _ in 0..random.usize(1..3) {
        clients.push(looks(random, &notes, 60, 4..10));
        clients.push(pages(random));
    }
    if random.u8(..3) == 0 {
        let rests = (0..random.usize(5..20)).flat_map(|_| [Action::Evict, pause(random, 3..9)]);
        clients.push(Client {
            actions: rests.collect(),
        });
    }
    clients
}

/// Somebody who writes notes for as long as things happen.
fn writes(random: &mut Rng, notes: &[Id]) -> Client {
    let mut actions = Vec::new();
    for _ in 0..random.usize(10..40) {
        let note = notes[random.usize(..notes.len())];
        actions.push(write(match random.u8(..8) {
            0..=2 => create(random, note),
            3 => Write::Delete("notes", note),
            _ => Write::Change("notes", note, workload::change(random)),
        }));
        actions.push(pause(random, 3..11));
    }
    Client { actions }
}

/// Notes come and go.
fn ends(random: &mut Rng) -> Vec<Client> {
    let notes: Vec<Id> = (0..random.u8(1..3)).map(world::note).collect();
    let mut clients = Vec::new();
    for note in &notes {
        let mut actions = Vec::new();
        for _ in 0..random.usize(6..14) {
            actions.push(write(create(random, *note)));
            actions.push(pause(random, 2..10));
            if random.bool() {
                actions.push(write(Write::Change(
                    "notes",
                    *note,
                    workload::change(random),
                )));
                actions.push(pause(random, 2..8));
            }
            actions.push(write(Write::Delete("notes", *note)));
            actions.push(pause(random, 7..11));
        }
        clients.push(Client { actions });
    }
    for _ in 0..random.usize(2..4) {
        clients.push(looks(random, &notes, 80, 5..9));
    }
    clients
}

/// Somebody who reads lists page by page.
fn pages(random: &mut Rng) -> Client {
    let mut actions = Vec::new();
    for _ in 0..random.usize(5..20) {
        let caller = [None, Some(random.u8(..PEOPLE))][random.usize(..2)];
        let filter = filter(random);
        let limit = random.u32(1..4);
        let other_order = random.u8(..10) == 0;
        for page in 0..random.usize(1..5) {
            actions.push(Action::List {
                caller,
                filter: filter.clone(),
                limit,
                continues: page > 0,
                expand: false,
                other_order,
            });
            if random.u8(..3) == 0 {
                actions.push(pause(random, 2..8));
            }
        }
        actions.push(pause(random, 3..10));
    }
    Client { actions }
}

fn filter(random: &mut Rng) -> Json {
    let room = world::room(random.u8(..2)).to_string();
    match random.u8(..8) {
        0..=2 => json!({}),
        3 => json!({ "room": room }),
        4 => json!({ "rank": { "$gte": 1 } }),
        5 => json!({ "body": { "$ne": "again" }, "state": 1 }),
        _ => {
            let hours = [0, 0, 3, 6, 6, 12][random.usize(..6)] * 3_600 * 1_000;
            let since = START / 1_000 + hours + random.i64(0..30);
            let since = Timestamp::from_millis(since).to_string();
            json!({ "created_at": { "$gte": since } })
        }
    }
}
