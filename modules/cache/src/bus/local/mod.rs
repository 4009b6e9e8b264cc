//! The bus of one process.
//!
//! One lock guards what was said and who shows; it is held for as long as it takes to note an event, and never while
//! anybody waits. [`log`] is what was published, by channel; [`presence`] who shows where.

mod log;
mod presence;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use log::Log;
use nubo_core::{
    Result,
    bus::{Bus, Channel, Event, Heard, Lease, Position, Published, Replay, What},
    clock::{Clock, Random},
    id::Id,
};
use presence::Presence;

use super::waiting::Waiting;

/// What the bus may keep.
#[derive(Debug, Clone, Copy)]
pub struct LocalBusSettings {
    /// How long events are kept for those who come back.
    pub replay: Duration,
    /// How many bytes of events are kept for them, about.
    pub replay_bytes: usize,
    /// How many bytes of events may wait for the listener, about. What comes beyond is lost, and
    /// the listener is told that.
    pub waiting_bytes: usize,
}

impl Default for LocalBusSettings {
    fn default() -> Self {
        Self {
            replay: Duration::from_secs(120),
            replay_bytes: 64 << 20,
            waiting_bytes: 64 << 20,
        }
    }
}

/// A bus within this process.
pub struct LocalBus {
    state: Mutex<State>,
    waiting: Waiting,
    /// Whether any channel is open or kept; read without the lock.
    heard: AtomicBool,
    clock: Arc<dyn Clock>,
}

struct State {
    log: Log,
    presence: Presence,
}

impl LocalBus {
    /// A bus on which nothing was said yet.
    pub fn new(settings: LocalBusSettings, clock: Arc<dyn Clock>, random: &dyn Random) -> Self {
        let mut epoch = [0; 8];
        random.fill(&mut epoch);
        // Short enough for programs that read every number as a floating-point one.
        let epoch = u64::from_le_bytes(epoch) >> 16;
        Self {
            state: Mutex::new(State {
                log: Log::new(epoch, settings.replay, settings.replay_bytes),
                presence: Presence::default(),
            }),
            waiting: Waiting::new(settings.waiting_bytes),
            heard: AtomicBool::new(false),
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock and leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes events and wakes the listener.
    fn take_in(&self, state: &mut State, events: Vec<Event>) {
        let now = self.clock.micros();
        for event in events {
            let event = Arc::new(event);
            let size = event.size();
            if let Some(position) = state.log.push(&event, size, now) {
                self.waiting.push(Published { position, event }, size);
            }
        }
        self.heard.store(!state.log.is_empty(), Ordering::Release);
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    fn publish(&self, events: Vec<Event>) {
        self.take_in(&mut self.state(), events);
    }

    async fn open(&self, channel: &Channel) -> Result<Position> {
        let mut state = self.state();
        let position = state.log.open(channel);
        self.heard.store(true, Ordering::Release);
        Ok(position)
    }

    async fn close(&self, channel: &Channel) {
        let now = self.clock.micros();
        self.state().log.close(channel, now);
    }

    async fn replay(&self, channel: &Channel, since: Position) -> Result<Replay> {
        Ok(self.state().log.replay(channel, since, self.clock.now()))
    }

    async fn next(&self) -> Vec<Heard> {
        self.waiting.take().await
    }

    async fn show(&self, leases: Vec<Lease>) -> Result<()> {
        let mut state = self.state();
        let now = self.clock.now();
        let mut changes = state.presence.expired(now);
        changes.extend(state.presence.show(leases));
        let events = changes.into_iter().map(presence_event).collect();
        self.take_in(&mut state, events);
        Ok(())
    }

    async fn hide(&self, leases: Vec<Lease>) -> Result<()> {
        let mut state = self.state();
        let changes = state.presence.hide(&leases);
        let events = changes.into_iter().map(presence_event).collect();
        self.take_in(&mut state, events);
        Ok(())
    }

    async fn present(&self, channel: &Channel) -> Result<Vec<Id>> {
        Ok(self.state().presence.present(channel, self.clock.now()))
    }

    async fn are_present(&self, channel: &Channel, accounts: &[Id]) -> Result<Vec<bool>> {
        let state = self.state();
        let now = self.clock.now();
        let present = |account: &Id| state.presence.is_present(channel, *account, now);
        Ok(accounts.iter().map(present).collect())
    }
}

fn presence_event(change: presence::Change) -> Event {
    Event {
        channels: vec![change.channel],
        what: What::Presence {
            account: change.account,
            joined: change.joined,
        },
    }
}
