//! What Redis answers to the bus, and why it may not.

use std::sync::Arc;

use nubo_core::Error;
use redis::RedisError;

/// What scripts answer where the epoch is another one.
const STALE: &str = "STALEEPOCH";
/// What Redis answers for the moment: it is starting, or busy, or another server is to take over, or has
/// already.
const MOMENTARY: [&str; 9] = [
    "ASK",
    "CLUSTERDOWN",
    "MOVED",
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
];

/// Why Redis has not done something.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// It cannot be reached, or does not answer in time. What was asked may have happened.
    #[error("Redis does not answer")]
    Unreachable(#[source] Option<Arc<RedisError>>),
    /// What was kept is lost; another epoch must begin.
    #[error("Redis has lost what the bus kept there")]
    Stale,
    /// It has refused.
    #[error("Redis refuses: {0}")]
    Refused(Arc<RedisError>),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let broken = error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error();
        match error.code() {
            Some(STALE) => Self::Stale,
            Some(code) if MOMENTARY.contains(&code) => Self::Unreachable(Some(Arc::new(error))),
            _ if broken => Self::Unreachable(Some(Arc::new(error))),
            _ => Self::Refused(Arc::new(error)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        // That Redis is away is said once by the ear.
        if let Failure::Refused(error) = &failure {
            tracing::error!(%error, "Redis refuses what the bus asks of it");
        }
        Self::unavailable(
            "bus_unavailable",
            "what connects the instances of this server does not answer",
        )
    }
}

/// An epoch and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entered {
    pub epoch: u64,
    pub sequence: u64,
    /// Whether anybody listens.
    pub heard: bool,
}

/// An event in the index of a channel: its place, and that of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub at: u64,
    pub before: u64,
}

/// What was told on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The place of its last event, or where it was opened if there is none.
    pub last: u64,
    /// The events since what was asked for, as far as they are known.
    pub entries: Vec<Entry>,
}

impl Told {
    /// Whether the events are all there were since a place: each says which one came before.
    pub fn is_complete(&self, since: u64) -> bool {
        let mut reached = since;
        let mut chained = self.entries.iter().enumerate().all(|(index, entry)| {
            let follows = match index {
                0 => entry.before <= reached,
                _ => entry.before == reached,
            };
            reached = entry.at;
            follows
        });
        chained &= self.last <= reached;
        chained
    }
}

/// Channels as they are now.
pub(super) struct Opened {
    pub sequence: u64,
    /// In the order in which they were asked for.
    pub channels: Vec<Told>,
}

/// What is known of a channel for those who come back.
pub(super) struct Recalled {
    pub sequence: u64,
    /// Events are missing before this.
    pub lost: u64,
    /// None where nothing is kept of the channel.
    pub told: Option<Told>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events at these places, each with the one before it.
    fn told(last: u64, entries: &[(u64, u64)]) -> Told {
        let entries = entries.iter().map(|(at, before)| Entry {
            at: *at,
            before: *before,
        });
        Told {
            last,
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_chain_without_a_break_is_complete() {
        // Nothing was told since, whether the last event was seen or a later place.
        assert!(told(5, &[]).is_complete(5));
        assert!(told(5, &[]).is_complete(7));
        assert!(told(9, &[(7, 5), (9, 7)]).is_complete(5));
        // The place lies between two events of the channel.
        assert!(told(9, &[(7, 5), (9, 7)]).is_complete(6));
        // The first ones are forgotten, one in the middle, or the last.
        assert!(!told(9, &[]).is_complete(5));
        assert!(!told(9, &[(9, 7)]).is_complete(5));
        assert!(!told(9, &[(6, 5), (9, 7)]).is_complete(5));
        assert!(!told(9, &[(7, 5)]).is_complete(5));
    }
}
