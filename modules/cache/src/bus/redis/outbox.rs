//! What is to be told, on its way to Redis.
//!
//! Whoever publishes leaves it here and goes on. One task brings it to Redis, as much at once as has
//! gathered while it was away. What does not get there in its order is dropped, and *that* is told
//! instead: listeners and those who come back learn that events are missing at that place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nubo_core::bus::Event;
use tokio::sync::Notify;

use super::{
    answer::Failure,
    names::EVERYONE,
    server::Outgoing,
    shared::{Backoff, Shared},
    wire::Wire,
};

/// Most events that are brought at once, and most bytes of them, so that no script takes long.
const MOST_EVENTS: usize = 128;
const MOST_BYTES: usize = 1 << 20;
/// How often Redis may refuse a batch that it has understood.
const MOST_REFUSALS: u32 = 3;

/// Holds what is to be told.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    most_bytes: usize,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Events are missing before these.
    lost: bool,
    closed: bool,
}

/// What is brought to Redis next.
struct Batch {
    /// Events are missing before these.
    lost: bool,
    events: Vec<Event>,
}

impl Outbox {
    /// Holds this many bytes of events, about.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Notify::new(),
            most_bytes,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events. Where they are too much everything is dropped, which is told in its place.
    pub fn push(&self, events: Vec<Event>) {
        {
            let mut queue = self.queue();
            for event in events {
                let size = event.size();
                if queue.bytes + size > self.most_bytes {
                    queue.lose();
                    continue;
                }
                queue.bytes += size;
                queue.events.push_back(event);
            }
        }
        self.arrived.notify_one();
    }

    /// Notes that events were not told that should have been.
    pub fn lose(&self) {
        self.queue().lose();
        self.arrived.notify_one();
    }

    /// Nothing comes after what is there.
    pub fn close(&self) {
        self.queue().closed = true;
        self.arrived.notify_one();
    }

    /// Waits for what comes next; none when nothing will.
    async fn take(&self) -> Option<Batch> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut queue = self.queue();
                if queue.lost || !queue.events.is_empty() {
                    return Some(queue.take());
                }
                if queue.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// Brings to Redis what is left here, until the outbox is closed and empty.
    pub async fn empty(self: Arc<Self>, shared: Arc<Shared>) {
        let mut number = 0;
        while let Some(batch) = self.take().await {
            if batch.lost {
                number += 1;
                if let Err(failure) = tell_loss(&shared).await {
                    tracing::error!(%failure, "nobody can be told that events are missing");
                    self.lose();
                    match shared.pause(Backoff::LONGEST).await {
                        true => return,
                        false => continue,
                    }
                }
            }
            let (outgoing, unwritten) = written(&shared.wire, batch.events);
            number += 1;
            let told = match outgoing.is_empty() {
                true => Ok(()),
                false => tell(&shared, number, &outgoing).await,
            };
            if let Err(failure) = &told {
                tracing::error!(%failure, "events could not be told");
            }
            if told.is_err() || unwritten {
                self.lose();
            }
        }
    }
}

impl Queue {
    fn lose(&mut self) {
        self.events.clear();
        self.bytes = 0;
        self.lost = true;
    }

    fn take(&mut self) -> Batch {
        let mut events = Vec::new();
        let mut bytes = 0;
        while events.len() < MOST_EVENTS
            && bytes < MOST_BYTES
            && let Some(event) = self.events.pop_front()
        {
            bytes += event.size();
            events.push(event);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        Batch {
            lost: std::mem::take(&mut self.lost),
            events,
        }
    }
}

/// Events in their written forms, and whether one has none.
fn written(wire: &Wire, events: Vec<Event>) -> (Vec<Outgoing>, bool) {
    let mut outgoing = Vec::with_capacity(events.len());
    let mut unwritten = false;
    for event in events {
        match wire.write(&event) {
            Ok(payload) => outgoing.push(Outgoing {
                order: wire.order(&event),
                channels: match event.is_for_all() {
                    true => vec![EVERYONE.to_owned()],
                    false => event.channels.iter().map(|c| c.name().to_owned()).collect(),
                },
                payload,
            }),
            Err(error) => {
                tracing::error!(%error, "an event cannot be written down");
                unwritten = true;
            }
        }
    }
    (outgoing, unwritten)
}

/// Tells events, however often that takes as long as it may still succeed.
async fn tell(shared: &Shared, number: u64, events: &[Outgoing]) -> Result<(), Failure> {
    let server = &shared.server;
    insist(shared, |epoch| {
        let at = (number, shared.clock.micros());
        server.publish(epoch, &shared.instance, at, events)
    })
    .await
}

async fn tell_loss(shared: &Shared) -> Result<(), Failure> {
    insist(shared, |epoch| shared.server.lose(epoch)).await
}

/// Does something that answers the sequence, again and again while Redis is away.
async fn insist<F>(shared: &Shared, mut work: impl FnMut(u64) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<u64, Failure>>,
{
    let mut backoff = Backoff::new();
    let mut outdated = None;
    let mut refusals = 0;
    loop {
        let epoch = tokio::select! {
            epoch = shared.epoch(outdated) => epoch,
            () = shared.stopped() => return Err(Failure::Unreachable(None)),
        };
        match work(epoch).await {
            Ok(sequence) => {
                shared.see(sequence);
                return Ok(());
            }
            Err(Failure::Stale) => {
                shared.stale.notify_one();
                outdated = Some(epoch);
                continue;
            }
            Err(failure @ Failure::Refused(_)) => {
                refusals += 1;
                if refusals >= MOST_REFUSALS {
                    return Err(failure);
                }
            }
            Err(Failure::Unreachable(_)) => {}
        }
        if shared.pause(backoff.wait(&*shared.random)).await {
            return Err(Failure::Unreachable(None));
        }
    }
}
