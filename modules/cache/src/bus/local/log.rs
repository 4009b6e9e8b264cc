//! What was published in the last minutes, by channel.
//!
//! Only channels are kept that are open, or were until a short while ago: nobody can come back to
//! others. Events leave in the order in which they came, whatever channel they are on, when they are
//! too old or too many.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use nubo_core::{
    bus::{Channel, Event, Position, Published, Replay},
    time::Timestamp,
};

pub(super) struct Log {
    epoch: u64,
    /// Of the last event.
    sequence: u64,
    rings: HashMap<Channel, Ring>,
    /// Channels that nobody listens to any more and since when, oldest first.
    left: VecDeque<(i64, Channel)>,
    /// Every event that is kept, oldest first.
    kept: VecDeque<Kept>,
    bytes: usize,
    most_bytes: usize,
    /// In microseconds.
    most_age: i64,
}

/// The events of one channel.
struct Ring {
    /// Everything after this one is here.
    complete_after: u64,
    events: VecDeque<(u64, Arc<Event>)>,
    /// Since when nobody listens, in microseconds of the clock.
    closed: Option<i64>,
}

struct Kept {
    event: Arc<Event>,
    size: usize,
    at: i64,
}

impl Log {
    pub fn new(epoch: u64, age: Duration, bytes: usize) -> Self {
        Self {
            epoch,
            sequence: 0,
            rings: HashMap::new(),
            left: VecDeque::new(),
            kept: VecDeque::new(),
            bytes: 0,
            most_bytes: bytes,
            most_age: i64::try_from(age.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Whether no channel is of interest to anybody.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    fn position(&self, sequence: u64) -> Position {
        Position {
            epoch: self.epoch,
            sequence,
        }
    }

    /// Opens a channel; the position of what was last said.
    pub fn open(&mut self, channel: &Channel) -> Position {
        let sequence = self.sequence;
        let ring = self.rings.entry(channel.clone()).or_insert_with(|| Ring {
            complete_after: sequence,
            events: VecDeque::new(),
            closed: None,
        });
        ring.closed = None;
        self.position(sequence)
    }

    /// Nobody listens to a channel any more; it is kept for those who come back.
    pub fn close(&mut self, channel: &Channel, now: i64) {
        if let Some(ring) = self.rings.get_mut(channel) {
            ring.closed = Some(now);
            self.left.push_back((now, channel.clone()));
        }
        self.forget(now);
    }

    /// Keeps an event on the channels that are of interest. Its position, where somebody listens.
    pub fn push(&mut self, event: &Arc<Event>, size: usize, now: i64) -> Option<Position> {
        self.forget(now);
        // What is for everybody is for nobody who comes later.
        if event.is_for_all() {
            self.sequence += 1;
            return Some(self.position(self.sequence));
        }
        let mut is_open = false;
        let mut is_kept = false;
        for channel in &event.channels {
            if let Some(ring) = self.rings.get_mut(channel) {
                if !is_kept {
                    self.sequence += 1;
                }
                is_kept = true;
                is_open |= ring.closed.is_none();
                ring.events.push_back((self.sequence, Arc::clone(event)));
            }
        }
        if is_kept {
            self.bytes += size;
            self.kept.push_back(Kept {
                event: Arc::clone(event),
                size,
                at: now,
            });
        }
        is_open.then(|| self.position(self.sequence))
    }

    /// Forgets what is too old or too much.
    fn forget(&mut self, now: i64) {
        while let Some(oldest) = self.kept.front() {
            let fits = self.bytes <= self.most_bytes;
            if fits && now.saturating_sub(oldest.at) <= self.most_age {
                break;
            }
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.size;
            for channel in &oldest.event.channels {
                self.forget_first(channel, &oldest.event);
            }
        }
        while let Some((closed, _)) = self.left.front()
            && now.saturating_sub(*closed) > self.most_age
        {
            // It may have been opened again since, or closed once more.
            if let Some((closed, channel)) = self.left.pop_front()
                && self
                    .rings
                    .get(&channel)
                    .is_some_and(|ring| ring.closed == Some(closed))
            {
                self.rings.remove(&channel);
            }
        }
    }

    fn forget_first(&mut self, channel: &Channel, event: &Arc<Event>) {
        let Some(ring) = self.rings.get_mut(channel) else {
            return;
        };
        // It is the first one there, unless the channel was opened after it.
        if let Some((sequence, first)) = ring.events.front()
            && Arc::ptr_eq(first, event)
        {
            ring.complete_after = *sequence;
            ring.events.pop_front();
        }
    }

    /// What was published on a channel after a position, without what has lost its interest.
    pub fn replay(&self, channel: &Channel, since: Position, now: Timestamp) -> Replay {
        let Some(ring) = self.rings.get(channel) else {
            return Replay::Gap;
        };
        let known = since.epoch == self.epoch
            && since.sequence >= ring.complete_after
            && since.sequence <= self.sequence;
        if !known {
            return Replay::Gap;
        }
        let first = ring
            .events
            .partition_point(|(sequence, _)| *sequence <= since.sequence);
        let events = ring
            .events
            .range(first..)
            .filter(|(_, event)| !event.is_over(now));
        let events = events.map(|(sequence, event)| Published {
            position: self.position(*sequence),
            event: Arc::clone(event),
        });
        Replay::Events(events.collect())
    }
}
