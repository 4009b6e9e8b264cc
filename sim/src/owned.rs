//! What is drawn where a process is alone with the shared cache now and then, and owns its gate.

use fastrand::Rng;
use nubo_core::id::Id;
use serde_json::json;

use crate::{
    scheduler::Place,
    together::{Drawn, anybody, create, lists, looks, moves, pause, write},
    workload::{Action, Client, NOTES, Write},
    world::{self, Circumstances, Event},
};

/// Draws a run.
pub fn draw(random: &mut Rng) -> Drawn {
    let mut drawn = Drawn {
        clients: Vec::new(),
        circumstances: Circumstances {
            instances: 1,
            places: Vec::new(),
            late: None,
            rough: 0,
            recent: false,
        },
        events: Vec::new(),
    };
    match random.bool() {
        true => coming_and_going(random, &mut drawn),
        false => takeover(random, &mut drawn),
    }
    let events: i64 = drawn.events.iter().map(|(after, _)| after).sum();
    drawn.circumstances.rough = drawn.circumstances.rough.max(events);
    drawn
}

/// Others come and go.
fn coming_and_going(random: &mut Rng, drawn: &mut Drawn) {
    drawn.circumstances.instances = random.usize(1..3);
    let notes: Vec<Id> = (0..random.u8(1..=NOTES)).map(world::note).collect();
    for _ in 0..random.usize(1..4) {
        drawn.clients.push(moves(random, &notes));
    }
    for _ in 0..random.usize(2..5) {
        drawn.clients.push(looks(random, &notes, 120, 3..8));
    }
    drawn.clients.push(lists(random));
    if random.bool() {
        drawn.clients.push(anybody(random));
    }
    for _ in 0..random.usize(1..4) {
        drawn.events.push((1 << random.i64(6..11), Event::Begin));
        let rest = 1 << random.i64(6..11);
        drawn.events.push(match random.u8(..6) {
            0 => (rest, Event::Stop(random.usize(..2), 5_000)),
            1 => (rest, Event::CutFromCache(random.usize(..2), 1_000)),
            2 => (rest, Event::StopCache(1_000)),
            3 => (rest, Event::RestartCache(random.bool())),
            _ => (rest, Event::Nothing),
        });
        drawn.events.push((rest, Event::End(random.usize(..3))));
        // By then it counts as dead, and whoever is left makes the gate its own.
        let rest = random.i64(2_900..3_700);
        drawn.events.push((rest, Event::Nothing));
    }
    for step in ["moves the gate", "before settling", "commit"] {
        if random.bool() {
            drawn.circumstances.places.push(Place {
                step,
                often: random.u32(1..5),
                longest: 1_000 << random.u32(5..11),
            });
        }
    }
    if random.u8(..4) == 0 {
        drawn.circumstances.late = Some((random.u32(8..40), 1_000 << random.u32(6..12)));
        drawn.circumstances.rough = 6_000;
    }
}

/// Another comes just when one that is alone makes the gate its own.
fn takeover(random: &mut Rng, drawn: &mut Drawn) {
    drawn.circumstances.instances = 2;
    let gone = random.i64(50..200);
    // It counts as dead three seconds later.
    let comes = random.i64(3_000..4_000);
    drawn.events = vec![
        (gone, Event::End(random.usize(..2))),
        (comes, Event::Begin),
        // Whoever has come goes by what it knew.
        (
            random.i64(20..400),
            Event::CutFromTruth(1, random.i64(200..1_500)),
        ),
        (1_000, Event::Nothing),
    ];
    let notes: Vec<Id> = (0..random.u8(1..3)).map(world::note).collect();
    let rest = Action::Wait(gone + 2_900);
    for note in &notes {
        let mut writes = vec![write(create(random, *note)), rest.clone()];
        for _ in 0..random.usize(40..80) {
            let change = json!({ "body": random.u16(..).to_string() });
            writes.push(write(Write::Change("notes", *note, change)));
            writes.push(pause(random, 2..6));
        }
        drawn.clients.push(Client { actions: writes });
    }
    for _ in 0..random.usize(3..6) {
        let mut client = looks(random, &notes, 150, 2..6);
        client.actions.insert(0, rest.clone());
        drawn.clients.push(client);
    }
    drawn.circumstances.places = vec![
        Place {
            step: "moves the gate",
            often: 1,
            longest: 1_000_000,
        },
        Place {
            step: ["commit", "before settling", "arrives at the cache"][random.usize(..3)],
            often: random.u32(2..6),
            longest: 1_000 << random.u32(6..10),
        },
    ];
}
