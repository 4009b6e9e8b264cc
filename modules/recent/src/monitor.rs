//! What is said between us and MongoDB, in the log: which command, how long, with what outcome.
//! Never what is in it. And how many connections there were.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mongodb::event::{EventHandler, cmap::CmapEvent, command::CommandEvent};
use tracing::Level;

use crate::fault;

/// Logs commands. None where nobody would see it: the driver takes every command and every answer
/// apart for those who listen.
pub(crate) fn commands() -> Option<EventHandler<CommandEvent>> {
    tracing::enabled!(Level::DEBUG).then(|| EventHandler::callback(log))
}

/// Counts connections when they can be used, which the driver tells before it hands them out. Not
/// earlier: one that is counted while it is only being opened might lead to a server that was not
/// there yet.
pub(crate) fn connections(made: Arc<AtomicU64>) -> EventHandler<CmapEvent> {
    EventHandler::callback(move |event| {
        if matches!(event, CmapEvent::ConnectionReady(_)) {
            made.fetch_add(1, Ordering::SeqCst);
        }
    })
}

fn log(event: CommandEvent) {
    match event {
        CommandEvent::Started(event) => tracing::trace!(
            command = event.command_name,
            database = event.db,
            request = event.request_id,
            "MongoDB is asked"
        ),
        CommandEvent::Succeeded(event) => tracing::debug!(
            command = event.command_name,
            request = event.request_id,
            millis = event.duration.as_secs_f64() * 1000.0,
            "MongoDB has answered"
        ),
        // The words may repeat what is in a document.
        CommandEvent::Failed(event) => tracing::debug!(
            command = event.command_name,
            request = event.request_id,
            millis = event.duration.as_secs_f64() * 1000.0,
            code = fault::code_of(&event.failure),
            "MongoDB has failed"
        ),
        _ => {}
    }
}
