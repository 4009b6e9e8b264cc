//! The bus of several instances, over Redis.
//!
//! What is published gets its place, is kept and is told to all who listen in one step, by one
//! script ([`server`], `scripts/publish.lua`). Places are one sequence for all channels, so they are
//! the same on every instance and outlive its restart. The events of one document get theirs in the
//! order of its revisions, whichever instance is quicker to tell ([`order`]).
//!
//! - [`outbox`]: what is published, on its way to Redis.
//! - [`ear`]: what is heard, and what is done where something was missed.
//! - [`wire`]: events in their written form.
//!
//! In Redis, under the prefix, is `epoch`: which it is, and of which run of the server. Under the
//! epoch are:
//!
//! - `sequence`: the last place; `lost`: events are missing before this one.
//! - `heard`: somebody listens.
//! - `last:` of each channel that somebody listens to or may come back to: its last event. `index:`
//!   of each such channel: a stream of the places of its events.
//! - `event:` of each place: the event. `kept` and `bytes`: what there is of them.
//! - `told:` of each document that was written a short while ago: the version that was told last.
//!   `parked` and `waits`: events that wait for the one before (`scripts/order_prelude.lua`).
//! - `by:` of each transaction that somebody else has written with: that it was told.
//! - `instances`: when each was heard of last. `done:` of each: its last batch.
//! - `leases:`, `accounts:` and `due`: presence (`scripts/presence_prelude.lua`).
//!
//! Everything but `epoch`, `sequence` and `lost` runs out by itself.
//!
//! On a cluster all of it lies in one slot, and whoever publishes or listens does so at the server that
//! has it ([`place`]).

mod answer;
mod catch_up;
mod ear;
mod leases;
mod line;
mod names;
mod order;
mod outbox;
mod place;
mod server;
mod settings;
mod shared;
#[cfg(test)]
pub(in crate::bus) mod tests;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nubo_core::{
    Result,
    bus::{Bus, Channel, Event, Heard, Lease, Position, Published, Replay},
    clock::{Clock, Random},
    id::Id,
    schema::Catalog,
};
use redis::RedisResult;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinHandle},
};

use answer::Failure;
use ear::{Ear, Order};
use outbox::Outbox;
use server::{LEASES_AT_ONCE, Server};
use shared::{Link, Shared};
use wire::{Arrival, Wire};

pub use settings::RedisBusSettings;

/// Orders that may wait for the ear.
const ORDERS: usize = 256;
/// Accounts that are looked for at once.
const ACCOUNTS_AT_ONCE: usize = 1000;

/// The bus between instances that share a Redis.
pub struct RedisBus {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    orders: mpsc::Sender<Order>,
    state: Mutex<State>,
}

/// What hears and what tells.
enum State {
    /// Before it was started.
    Idle(Box<Ear>),
    Started(Tasks),
    Stopped,
}

struct Tasks {
    outbox: JoinHandle<()>,
    ear: JoinHandle<()>,
}

impl RedisBus {
    /// A bus for events of these collections, which is unavailable until it is started.
    ///
    /// # Errors
    /// Where the settings' URL cannot be read.
    pub fn new(
        settings: RedisBusSettings,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> RedisResult<Self> {
        let server = Server::new(&settings)?;
        let outbox = Arc::new(Outbox::new(settings.outbox_bytes));
        let wire = Wire::new(catalog);
        let shared = Arc::new(Shared::new(settings, server, wire, clock, random));
        let (orders, taken) = mpsc::channel(ORDERS);
        let ear = Ear::new(Arc::clone(&shared), Arc::clone(&outbox), taken);
        Ok(Self {
            shared,
            outbox,
            orders,
            state: Mutex::new(State::Idle(Box::new(ear))),
        })
    }

    /// Begins to connect, and does so again whenever it is cut off. Must be called inside a runtime;
    /// the second time does nothing.
    pub fn start(&self) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Stopped) {
            State::Idle(ear) => {
                let outbox = Arc::clone(&self.outbox).empty(Arc::clone(&self.shared));
                *state = State::Started(Tasks {
                    outbox: tokio::spawn(outbox),
                    ear: tokio::spawn(ear.run()),
                });
            }
            other => *state = other,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock and leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is left to be told, as far as that is possible within the time limit, and ends.
    /// Whatever publishes must have ended before.
    pub async fn stop(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Stopped);
        let State::Started(Tasks { mut outbox, ear }) = state else {
            return;
        };
        self.outbox.close();
        let shared = &self.shared;
        let told = tokio::time::timeout(shared.settings.timeout, &mut outbox).await;
        let link = *shared.link.borrow();
        shared.stopping.send_replace(true);
        // It would say that this instance is there still.
        ended("ear", ear.await);
        match told {
            Ok(Ok(())) => self.leave(link).await,
            Ok(failed) => ended("outbox", failed),
            Err(_) => {
                tracing::warn!("what was published last may not have been told");
                ended("outbox", outbox.await);
            }
        }
    }

    /// Says that this instance has nothing to tell any more.
    async fn leave(&self, link: Link) {
        let left = match link {
            Link::Up { epoch } => self.shared.server.leave(epoch, &self.shared.instance).await,
            Link::Cut { .. } => Err(Failure::Unreachable(None)),
        };
        if let Err(failure) = left {
            tracing::warn!(%failure, "the others will take this instance for vanished");
        }
    }

    /// What was told on a channel since a position.
    async fn recall(
        &self,
        epoch: u64,
        channel: &Channel,
        since: Position,
    ) -> Result<Replay, Failure> {
        if since.epoch != epoch {
            return Ok(Replay::Gap);
        }
        let since = since.sequence;
        let server = &self.shared.server;
        let recalled = server.replay(epoch, channel.name(), since).await?;
        let whole = recalled
            .told
            .filter(|told| told.is_complete(since))
            .filter(|_| since >= recalled.lost && since <= recalled.sequence);
        let Some(told) = whole else {
            return Ok(Replay::Gap);
        };
        let places = told.entries.iter().map(|entry| entry.at).collect();
        let Some(payloads) = catch_up::payloads(server, epoch, places).await? else {
            return Ok(Replay::Gap);
        };
        let now = self.shared.clock.now();
        let mut events = Vec::with_capacity(payloads.len());
        for (sequence, payload) in payloads {
            match self.shared.wire.read(&payload) {
                Ok(Arrival::Event(event)) if event.is_over(now) => {}
                Ok(Arrival::Event(event)) => events.push(Published {
                    position: Position { epoch, sequence },
                    event: Arc::new(event),
                }),
                Ok(Arrival::Foreign) => {}
                Ok(Arrival::Gap) => return Ok(Replay::Gap),
                Err(error) => {
                    tracing::error!(%error, "what is kept of a channel cannot be read");
                    return Ok(Replay::Gap);
                }
            }
        }
        Ok(Replay::Events(events))
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        // Who has not stopped it does not care for the rest.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Started(tasks) = state {
            tasks.outbox.abort();
            tasks.ear.abort();
        }
    }
}

/// Says so where a task has not ended by itself.
fn ended(name: &str, result: Result<(), JoinError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the bus's {name} has failed");
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn is_heard(&self) -> bool {
        self.shared.is_heard()
    }

    fn publish(&self, events: Vec<Event>) {
        self.outbox.push(events);
    }

    async fn open(&self, channel: &Channel) -> Result<Position> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Open {
            channel: channel.clone(),
            reply,
        };
        let opened = async {
            // Where the ear has ended, nothing can be heard any more.
            let gone = |_| Failure::Unreachable(None);
            self.orders
                .send(order)
                .await
                .map_err(|_| Failure::Unreachable(None))?;
            answer.await.map_err(gone)?
        };
        let opened = tokio::time::timeout_at(self.shared.deadline(), opened).await;
        Ok(opened.unwrap_or(Err(Failure::Unreachable(None)))?)
    }

    async fn close(&self, channel: &Channel) {
        let order = Order::Close {
            channel: channel.clone(),
        };
        if self.orders.send(order).await.is_err() {
            tracing::debug!(%channel, "a channel is closed after the bus has stopped");
        }
    }

    async fn replay(&self, channel: &Channel, since: Position) -> Result<Replay> {
        let replay = self
            .shared
            .in_epoch(|epoch| self.recall(epoch, channel, since));
        Ok(replay.await?)
    }

    async fn next(&self) -> Vec<Heard> {
        self.shared.waiting.take().await
    }

    async fn show(&self, leases: Vec<Lease>) -> Result<()> {
        let shared = &self.shared;
        let now = shared.clock.now();
        shared.leases.put(&leases, now);
        for some in leases.chunks(LEASES_AT_ONCE) {
            let shown = shared.in_epoch(|epoch| shared.server.show(epoch, some, now));
            shared.see(shown.await?);
        }
        Ok(())
    }

    async fn hide(&self, leases: Vec<Lease>) -> Result<()> {
        let shared = &self.shared;
        shared.leases.take_back(&leases);
        for some in leases.chunks(LEASES_AT_ONCE) {
            let hidden = shared.in_epoch(|epoch| shared.server.hide(epoch, some));
            shared.see(hidden.await?);
        }
        Ok(())
    }

    async fn present(&self, channel: &Channel) -> Result<Vec<Id>> {
        let server = &self.shared.server;
        let present = self
            .shared
            .in_epoch(|epoch| server.present(epoch, channel.name()));
        let present = present.await?;
        let mut present: Vec<Id> = present.iter().filter_map(|id| id.parse().ok()).collect();
        present.sort_unstable();
        Ok(present)
    }

    async fn are_present(&self, channel: &Channel, accounts: &[Id]) -> Result<Vec<bool>> {
        let server = &self.shared.server;
        let mut present = Vec::with_capacity(accounts.len());
        for some in accounts.chunks(ACCOUNTS_AT_ONCE) {
            let found = self
                .shared
                .in_epoch(|epoch| server.are_present(epoch, channel.name(), some));
            present.extend(found.await?);
        }
        Ok(present)
    }
}
