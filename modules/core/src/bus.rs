//! The bus: how what happens on one instance reaches the clients of all.
//!
//! Whoever writes publishes [`Event`]s on [`Channel`]s; the hub of each instance opens the channels
//! that its clients listen to. Every event gets a [`Position`], and the last minutes of each channel
//! are kept, so that somebody who was away can be told what was missed, or that too much was.
//!
//! Publishing never waits: where the bus cannot keep up it says so ([`Heard::Gap`]) instead of
//! holding up the writer.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;

use crate::{
    document::Document, error::Result, id::Id, observe::Touched, schema::CollectionId,
    time::Timestamp,
};

/// Where every account shows that is connected. No collection and no template has such a name.
const CONNECTED: &str = "/connected";
/// Where instances tell each other of accounts.
const ACCOUNTS: &str = "/accounts";

/// A name under which events are heard: `messages`, `messages/0198…`, `conversation:0198…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The channel with this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The channel on which every account shows that is connected at all.
    pub fn connected() -> Self {
        static CHANNEL: LazyLock<Channel> = LazyLock::new(|| Channel::new(CONNECTED));
        CHANNEL.clone()
    }

    /// The channel on which instances tell each other whose accounts or sessions have changed.
    pub fn accounts() -> Self {
        static CHANNEL: LazyLock<Channel> = LazyLock::new(|| Channel::new(ACCOUNTS));
        CHANNEL.clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where in a channel an event stands. Later events have larger ones; those of different epochs do
/// not compare. Written `1a2b3c-42`: the epoch in hexadecimal digits, the sequence in decimal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Another one whenever what was kept is lost, as by a restart.
    pub epoch: u64,
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.sequence)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> std::result::Result<Self, NotAPosition> {
        let (epoch, sequence) = text.split_once('-').ok_or(NotAPosition)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| NotAPosition)?,
            sequence: sequence.parse().map_err(|_| NotAPosition)?,
        })
    }
}

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a position such as 1a2b3c-42")]
pub struct NotAPosition;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where it is heard; no channel twice.
    pub channels: Vec<Channel>,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A commit has touched a document.
    Changed(Arc<Touched>),
    /// A message of a collection without storage.
    Published {
        collection: CollectionId,
        document: Document,
        /// Of no interest any more after this.
        until: Timestamp,
    },
    /// What one device of an account tells the others: JSON as it is sent.
    Told {
        account: Id,
        json: Arc<str>,
        until: Timestamp,
        /// The connection it comes from, which need not hear it.
        from: Id,
    },
    /// Text for every connection there is, as it is.
    Broadcast { text: Arc<str>, from: Id },
    /// An account is on a channel with its first connection, or gone with its last.
    Presence { account: Id, joined: bool },
    /// Connections of an account are to be closed.
    Kicked { account: Id },
    /// An account was changed, or a session of it has ended: who is behind its connections is to be
    /// found out again.
    AccountChanged { account: Id },
    /// Versions of documents were not told here, because later ones had been: whoever listens must
    /// read again.
    Missed { collection: CollectionId },
    /// Somebody else has written to a collection, such as a person with SQL, or to any where none is
    /// said, and nobody knows what was there before: whoever listens to it must read again. Every
    /// instance notices, and one tells: what was told of all these transactions is not told again.
    Overtaken {
        collection: Option<CollectionId>,
        /// Where they are known.
        transactions: Vec<u64>,
    },
}

impl Event {
    /// How many bytes of memory it takes, about.
    pub fn size(&self) -> usize {
        let channels: usize = self.channels.iter().map(|c| c.name().len() + 64).sum();
        let what = match &self.what {
            What::Changed(touched) => {
                let documents = [&touched.before, &touched.after];
                documents.into_iter().flatten().map(Document::size).sum()
            }
            What::Published { document, .. } => document.size(),
            What::Told { json, .. } => json.len(),
            What::Broadcast { text, .. } => text.len(),
            What::Presence { .. }
            | What::Kicked { .. }
            | What::AccountChanged { .. }
            | What::Missed { .. }
            | What::Overtaken { .. } => 0,
        };
        channels + what + 128
    }

    /// Whether it is for every instance, whatever its clients listen to.
    pub const fn is_for_all(&self) -> bool {
        matches!(
            self.what,
            What::Broadcast { .. } | What::Kicked { .. } | What::Overtaken { .. }
        )
    }

    /// Whether nobody wants to hear it any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        match &self.what {
            What::Published { until, .. } | What::Told { until, .. } => *until < now,
            _ => false,
        }
    }
}

/// An event with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub position: Position,
    pub event: Arc<Event>,
}

/// What comes from the bus.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Event(Published),
    /// Events have been lost here: whoever listens to anything must read it again.
    Gap(Position),
}

/// What was published on a channel since a position.
#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    /// All of it, in order.
    Events(Vec<Published>),
    /// It is not known any more.
    Gap,
}

/// Somebody who shows on a channel: a connection of an account, until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub channel: Channel,
    pub account: Id,
    pub connection: Id,
    pub until: Timestamp,
}

/// Carries events between those who write and those who listen, on one instance or several.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Whether anybody, on any instance, may listen to anything. Spares the making of events.
    fn is_heard(&self) -> bool;

    /// Publishes events in their order. Returns at once.
    fn publish(&self, events: Vec<Event>);

    /// From now on this instance hears a channel. Everything published there after the position that
    /// is answered comes through [`Bus::next`].
    async fn open(&self, channel: &Channel) -> Result<Position>;

    /// This instance does not listen to a channel any more.
    async fn close(&self, channel: &Channel);

    /// What was published on an open channel after a position.
    async fn replay(&self, channel: &Channel, since: Position) -> Result<Replay>;

    /// Waits for what comes next on the open channels, and takes all of it. For one listener.
    async fn next(&self) -> Vec<Heard>;

    /// Puts down leases, or prolongs them. Who is new on a channel is told there.
    async fn show(&self, leases: Vec<Lease>) -> Result<()>;

    /// Takes leases back before they run out. Who is gone with the last one is told there.
    async fn hide(&self, leases: Vec<Lease>) -> Result<()>;

    /// The accounts on a channel.
    async fn present(&self, channel: &Channel) -> Result<Vec<Id>>;

    /// Which of these accounts are on a channel.
    async fn are_present(&self, channel: &Channel, accounts: &[Id]) -> Result<Vec<bool>>;
}

/// The bus of those who have nothing to say to anybody.
pub struct NoBus;

#[async_trait]
impl Bus for NoBus {
    fn is_heard(&self) -> bool {
        false
    }

    fn publish(&self, _: Vec<Event>) {}

    async fn open(&self, _: &Channel) -> Result<Position> {
        Ok(Position {
            epoch: 0,
            sequence: 0,
        })
    }

    async fn close(&self, _: &Channel) {}

    async fn replay(&self, _: &Channel, _: Position) -> Result<Replay> {
        Ok(Replay::Gap)
    }

    async fn next(&self) -> Vec<Heard> {
        std::future::pending().await
    }

    async fn show(&self, _: Vec<Lease>) -> Result<()> {
        Ok(())
    }

    async fn hide(&self, _: Vec<Lease>) -> Result<()> {
        Ok(())
    }

    async fn present(&self, _: &Channel) -> Result<Vec<Id>> {
        Ok(Vec::new())
    }

    async fn are_present(&self, _: &Channel, accounts: &[Id]) -> Result<Vec<bool>> {
        Ok(vec![false; accounts.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let position = Position {
            epoch: 0x1a_2b3c,
            sequence: 42,
        };
        assert_eq!(position.to_string(), "1a2b3c-42");
        assert_eq!("1a2b3c-42".parse(), Ok(position));
        for wrong in [
            "",
            "-",
            "1-",
            "-1",
            "1",
            "x-1",
            "1-x",
            "1--1",
            "1-99999999999999999999",
        ] {
            assert_eq!(wrong.parse::<Position>(), Err(NotAPosition), "{wrong}");
        }
    }
}
