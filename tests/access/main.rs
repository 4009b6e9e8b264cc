//! Who may do what, tried against the real server with the collections that ship.
//!
//! `docs/access.md` says what everybody gets, and [`every_cell_of_the_page_is_true`] tries each cell
//! of it: the files named after a domain ([`accounts`], [`content`], [`messaging`], [`moderation`])
//! know what the words of a row mean. The other files are ways to cheat.

mod accounts;
mod bulk_and_batch;
#[path = "../http/command_line.rs"]
mod command_line;
mod content;
mod expansions;
mod guessing;
mod ids;
mod likes;
mod mass_assignment;
mod members;
mod messaging;
mod moderation;
mod names;
mod no_owner;
mod page;
mod people;
mod scene;
#[allow(dead_code)] // It serves more tests than these.
#[path = "../http/server.rs"]
mod server;
mod takeover;
mod uploads;
mod ways;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use page::Cell;
use scene::Scene;

/// Cells that are tried at the same time.
const THREADS: usize = 8;

#[test]
fn every_cell_of_the_page_is_true() {
    let cells = page::cells();
    assert!(cells.len() > 2000, "the page has {} cells", cells.len());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let got = attempt(cell);
                    if got != cell.expected {
                        wrong.lock().expect("a lock").push((cell, got));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("a lock");
    wrong.sort_by_key(|(cell, _)| cell.line);
    let told: Vec<String> = wrong
        .iter()
        .map(|(cell, got)| {
            format!(
                "| {} | {} | {} | {} | {} | {got} |",
                cell.line, cell.collection, cell.action, cell.person, cell.expected
            )
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cells are not true:\n| line | collection | action | person | expected | got |\n\
         |---|---|---|---|---|---|\n{}",
        wrong.len(),
        cells.len(),
        told.join("\n")
    );
}

/// What the server answers in the situation of a cell.
fn attempt(cell: &Cell) -> String {
    let tried = std::panic::catch_unwind(|| perform(cell));
    match tried {
        Ok(Some(answer)) => answer,
        Ok(None) => "no test knows this row".into(),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            let first = words.unwrap_or("?").lines().next().unwrap_or("?");
            format!("the situation does not come about: {first}")
        }
    }
}

fn perform(cell: &Cell) -> Option<String> {
    let scene = Scene::of(&cell.collection, &cell.person);
    let action = &*cell.action;
    match &*cell.collection {
        "users" => accounts::users(&scene, action),
        "user_settings" => accounts::user_settings(&scene, action),
        "sessions" => accounts::sessions(&scene, action),
        "relations" => accounts::relations(&scene, action),
        "posts" => content::posts(&scene, action),
        "comments" => content::comments(&scene, action),
        "likes" => likes::likes(&scene, action),
        "media" => uploads::media(&scene, action),
        "media_metadata" => uploads::media_metadata(&scene, action),
        "feed_cache" => content::feed_cache(&scene, action),
        "conversations" => messaging::conversations(&scene, action),
        "conversation_members" => members::conversation_members(&scene, action),
        "messages" => messaging::messages(&scene, action),
        "notifications" => messaging::notifications(&scene, action),
        "reports" => moderation::reports(&scene, action),
        "admin_actions" => moderation::admin_actions(&scene, action),
        "audit_logs" => moderation::audit_logs(&scene, action),
        "user_activity_logs" => moderation::user_activity_logs(&scene, action),
        _ => None,
    }
}
