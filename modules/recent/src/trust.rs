//! Whether MongoDB is still what it was when somebody looked.
//!
//! A server that is set back (restarted from an older copy, or another one under the same address)
//! has lost what was brought to it, and does not say so. But nothing that goes and comes again keeps
//! its connections: we reach it over new ones. So what a look has found holds for the connections
//! that there were when it began, and for no other. Connections are counted as soon as they can be
//! used and before anybody uses them, so that a reader whose answer came over a new one sees that
//! when it asks after the answer.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use nubo_core::{Result, coordination::Epoch, recent::Sight};

use crate::fault;

/// What is known of a server, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    made: Arc<AtomicU64>,
    known: RwLock<Option<Known>>,
}

/// What a look has found.
#[derive(Debug, Clone, Copy)]
struct Known {
    epoch: Epoch,
    /// How many connections had been made when it began.
    made: u64,
}

impl Trust {
    /// What counts the connections.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.made.clone()
    }

    /// How many connections were ever made.
    pub fn connections(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// The epoch that was found, as long as there are no other connections.
    pub fn epoch(&self) -> Option<Epoch> {
        let known = *self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.filter(|known| known.made == self.connections());
        known.map(|known| known.epoch)
    }

    /// Goes by what was found, unless a connection was made since the look began.
    pub fn put(&self, sight: &Sight) {
        let made = sight.connections;
        let known = sight.epoch.map(|epoch| Known { epoch, made });
        *self.known() = known.filter(|known| known.made == self.connections());
    }

    /// Goes by nothing.
    pub fn withdraw(&self) {
        *self.known() = None;
    }

    /// Makes sure that an epoch can be read.
    ///
    /// # Errors
    /// Where it is another one, or that is not certain.
    pub fn holds(&self, epoch: Epoch) -> Result<()> {
        match self.epoch() == Some(epoch) {
            true => Ok(()),
            false => Err(fault::uncertain()),
        }
    }

    fn known(&self) -> RwLockWriteGuard<'_, Option<Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch {
        number: 3,
        nonce: 9,
    };

    fn sight(connections: u64) -> Sight {
        Sight {
            epoch: Some(EPOCH),
            connections,
            ..Sight::default()
        }
    }

    #[test]
    fn what_was_found_holds_until_another_connection_is_made() {
        let trust = Trust::default();
        assert_eq!(trust.epoch(), None);
        trust.put(&sight(0));
        assert_eq!(trust.epoch(), Some(EPOCH));
        assert!(trust.holds(EPOCH).is_ok());
        assert!(trust.holds(EPOCH.next(9)).is_err());
        trust.counter().fetch_add(1, Ordering::SeqCst);
        assert_eq!(trust.epoch(), None);
        assert!(trust.holds(EPOCH).is_err());
        // A look that began before is too old.
        trust.put(&sight(0));
        assert_eq!(trust.epoch(), None);
        trust.put(&sight(1));
        assert_eq!(trust.epoch(), Some(EPOCH));
        trust.withdraw();
        assert_eq!(trust.epoch(), None);
    }

    #[test]
    fn nothing_is_read_from_a_new_store() {
        let trust = Trust::default();
        trust.put(&sight(0));
        trust.put(&Sight::default());
        assert_eq!(trust.epoch(), None);
    }
}
