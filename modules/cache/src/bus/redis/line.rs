//! A connection on which an instance hears, and what comes over it.

use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::Instant;

use super::{answer::Failure, names::Names};

/// A connection on which is heard.
pub(super) struct Line {
    pub sink: PubSubSink,
    pub stream: PubSubStream,
    pub names: Names,
    pub epoch: u64,
    /// Number of the last beat.
    pub pulse: u64,
    /// Whether anything was heard since that.
    pub alive: bool,
    pub renew_at: Instant,
}

/// Why a line is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error("the connection was closed")]
    Closed,
    #[error("nothing was heard any more")]
    Silent,
    #[error("an event was not heard")]
    Missed,
}

/// What is said on a subscription: `place before payload`.
pub(super) struct Note<'a> {
    pub at: u64,
    pub before: u64,
    /// Empty where it is to be fetched.
    pub payload: &'a [u8],
}

impl<'a> Note<'a> {
    /// None where it is something else.
    pub fn read(said: &'a [u8]) -> Option<Self> {
        let mut parts = said.splitn(3, |byte| *byte == b' ');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
        let (at, before) = (number()?, number()?);
        Some(Self {
            at,
            before,
            payload: parts.next()?,
        })
    }
}
