//! What was heard and not taken yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nubo_core::bus::{Heard, Position, Published};
use tokio::sync::Notify;

/// Holds what was heard until the listener takes it. When it becomes too much it is dropped, and
/// the listener is told of a gap instead.
pub(super) struct Waiting {
    state: Mutex<State>,
    arrived: Notify,
    most_bytes: usize,
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    bytes: usize,
    /// Whether something is missing already.
    lost: bool,
}

impl Waiting {
    /// Holds this many bytes of events, about.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            most_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event that takes so many bytes.
    pub fn push(&self, published: Published, size: usize) {
        let mut state = self.state();
        if state.lost || state.bytes + size > self.most_bytes {
            state.lose(published.position);
        } else {
            state.bytes += size;
            state.heard.push(Heard::Event(published));
        }
        self.arrived.notify_one();
    }

    /// Notes that events are missing up to a position.
    pub fn lose(&self, position: Position) {
        self.state().lose(position);
        self.arrived.notify_one();
    }

    /// Waits until there is anything, and takes all of it.
    pub async fn take(&self) -> Vec<Heard> {
        loop {
            let arrived = self.arrived.notified();
            let taken = std::mem::take(&mut *self.state());
            if !taken.heard.is_empty() {
                return taken.heard;
            }
            arrived.await;
        }
    }
}

impl State {
    /// The last place is what counts: everything before it is lost.
    fn lose(&mut self, position: Position) {
        self.lost = true;
        self.bytes = 0;
        self.heard.clear();
        self.heard.push(Heard::Gap(position));
    }
}
