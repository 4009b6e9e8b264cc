//! How several instances agree on whether the cache that they share may be used.
//!
//! What everybody goes by is the [`Gate`], which the truth keeps. While it is *open*, every batch is
//! announced in the cache before its commit; while it is *closed*, none is, and nobody may read from
//! the cache. A reader goes by what it was told of the gate, for as long as a *lease* on that lasts;
//! so a gate that closes is *closing* until every lease has run out, and nothing is committed
//! meanwhile.
//!
//! The commit itself makes sure that a batch was announced as the gate demands: it *enters* under
//! its [`Terms`], and the gate cannot move between that and the commit. So an instance that was
//! stopped for a while, or cut off, cannot commit what others do not know of. One that is silent is
//! *fenced*: none of its batches enters any more, and what it has announced is taken back.
//!
//! Each time the gate opens the cache is empty and has another [`Epoch`].
//!
//! An open gate may have an *owner*: one instance that alone reads from the cache, and alone commits.
//! It need not ask the cache what it knows by itself, nor wait for it. Whoever else comes waits until
//! the owner has given the gate up, or closes it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{error::Result, id::Id};

/// How long a reader may go by what it was told of the gate, in microseconds, counted from before it
/// asked.
pub const LEASE: i64 = 300_000;

/// One life of what the shared cache holds. Later ones have higher numbers; the nonce tells those
/// apart that would have the same because the truth was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    pub number: u64,
    pub nonce: u32,
}

impl Epoch {
    /// Before the gate was opened for the first time.
    pub const NONE: Self = Self {
        number: 0,
        nonce: 0,
    };

    /// One that follows.
    #[must_use]
    pub const fn next(self, nonce: u32) -> Self {
        Self {
            number: self.number + 1,
            nonce,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.number, self.nonce)
    }
}

/// One run of the server that holds the shared cache. After a restart or a failover it is another
/// one, whose data may be older than what was last written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// The one with this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the shared cache may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// It may, on this server alone, and every batch is announced there. Where there is an owner, by
    /// that instance alone.
    Open {
        epoch: Epoch,
        incarnation: Incarnation,
        owner: Option<Id>,
    },
    /// It may not. Who was told otherwise may still do so, and nobody may commit.
    Closing(Epoch),
    /// It may not, and everybody knows.
    Closed(Epoch),
}

impl Gate {
    /// The epoch that it is open for, or was last.
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Open { epoch, .. } | Self::Closing(epoch) | Self::Closed(epoch) => *epoch,
        }
    }

    /// Whose it is, where it is open for one instance alone.
    pub const fn owner(&self) -> Option<Id> {
        match self {
            Self::Open { owner, .. } => *owner,
            Self::Closing(_) | Self::Closed(_) => None,
        }
    }

    /// Whether it is open.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// Under which a batch may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Who commits it, and must not have been fenced.
    pub instance: Id,
    /// The epoch of the gate.
    pub epoch: Epoch,
    /// Whether the gate must be open, and nobody else's, or closed.
    pub open: bool,
}

/// An instance as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub instance: Id,
    /// For how long it has not been heard of, in microseconds.
    pub silent: i64,
    /// The server of the shared cache that it can use.
    pub reaches: Option<Incarnation>,
    /// It can commit nothing any more. It is to be removed when what it has announced is taken back.
    pub fenced: bool,
}

/// What an instance is told when it shows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub gate: Gate,
    /// Everybody who has joined, in one order; without oneself where one was fenced and removed.
    pub peers: Vec<Peer>,
}

/// What all instances agree by. Each call is one transaction of the truth, and what it has changed
/// is durable when it returns.
#[async_trait]
pub trait Coordination: Send + Sync + 'static {
    /// Joins the others.
    async fn join(&self, instance: Id) -> Result<()>;

    /// Shows that this instance is there and what it can reach, and looks at the gate and the others.
    async fn look(&self, instance: Id, reaches: Option<&Incarnation>) -> Result<Look>;

    /// Moves the gate, if it stands as expected. Waits for the batches that have entered. Whether it
    /// was moved.
    async fn shift(&self, from: &Gate, to: &Gate) -> Result<bool>;

    /// Keeps an instance from committing anything. Waits for its batches that have entered.
    async fn fence(&self, instance: Id) -> Result<()>;

    /// Removes an instance: it is stopping, or it is fenced and what it has announced is taken back.
    async fn remove(&self, instance: Id) -> Result<()>;
}
