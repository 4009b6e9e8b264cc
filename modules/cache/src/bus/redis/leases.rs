//! The leases of this instance, so that they can be put down again where Redis has lost them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nubo_core::{
    bus::{Channel, Lease},
    id::Id,
    time::Timestamp,
};

/// By channel, account and connection, when they run out.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<(Channel, Id, Id), Timestamp>>);

impl Leases {
    fn held(&self) -> MutexGuard<'_, HashMap<(Channel, Id, Id), Timestamp>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes leases that are put down, and forgets those that have run out.
    pub fn put(&self, leases: &[Lease], now: Timestamp) {
        let mut held = self.held();
        held.retain(|_, until| *until > now);
        held.extend(leases.iter().map(|lease| (key(lease), lease.until)));
    }

    /// Notes leases that are taken back.
    pub fn take_back(&self, leases: &[Lease]) {
        let mut held = self.held();
        for lease in leases {
            held.remove(&key(lease));
        }
    }

    /// Those that have not run out.
    pub fn lasting(&self, now: Timestamp) -> Vec<Lease> {
        let held = self.held();
        let lasting = held.iter().filter(|(_, until)| **until > now);
        let lasting = lasting.map(|((channel, account, connection), until)| Lease {
            channel: channel.clone(),
            account: *account,
            connection: *connection,
            until: *until,
        });
        lasting.collect()
    }
}

fn key(lease: &Lease) -> (Channel, Id, Id) {
    (lease.channel.clone(), lease.account, lease.connection)
}
