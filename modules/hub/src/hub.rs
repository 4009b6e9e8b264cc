//! What all connections share.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nubo_core::{
    bus::Bus,
    clock::{Clock, Random},
    id::Id,
    schema::Catalog,
    sessions::{Sessions, Watcher},
    store::Store,
};
use tokio::sync::{Notify, mpsc};

use crate::{
    connection::courier::Courier, connections::Connections, dispatch::Command, settings::Limits,
};

/// The hub.
pub(crate) struct Hub {
    pub catalog: Arc<Catalog>,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    pub sessions: Arc<dyn Sessions>,
    /// Whether no other instance changes accounts.
    pub is_sole_writer: bool,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub limits: Limits,
    /// Origins whose pages may connect, beside those of this server.
    pub origins: Vec<String>,
    pub connections: Arc<Connections>,
    /// Orders to the dispatcher.
    pub commands: mpsc::Sender<Command>,
    pub changed: Arc<Changed>,
    pub couriers: Vec<Arc<Courier>>,
    /// Number of the connection that comes next.
    pub next: AtomicUsize,
}

impl Hub {
    /// The courier of the next connection: they take turns.
    pub fn courier(&self) -> Arc<Courier> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.couriers[next % self.couriers.len()])
    }
}

/// Accounts that look different since somebody last looked.
#[derive(Default)]
pub(crate) struct Changed {
    accounts: Mutex<HashSet<Id>>,
    arrived: Notify,
    connections: Arc<Connections>,
}

impl Changed {
    /// Notes what concerns anybody who is connected.
    pub fn new(connections: Arc<Connections>) -> Self {
        Self {
            connections,
            ..Self::default()
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashSet<Id>> {
        // Nothing panics while it holds the lock.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of them.
    pub fn take(&self) -> HashSet<Id> {
        std::mem::take(&mut *self.accounts())
    }

    /// Notes one that could not be looked at.
    pub fn put_back(&self, account: Id) {
        self.accounts().insert(account);
    }

    /// Notes everybody who is connected.
    pub fn all(&self) {
        let connected = self.connections.accounts();
        if !connected.is_empty() {
            self.accounts().extend(connected);
            self.arrived.notify_one();
        }
    }

    /// Resolves when there are any.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

impl Watcher for Changed {
    fn changed(&self, account: Id) {
        if self.connections.has(account) {
            self.accounts().insert(account);
            self.arrived.notify_one();
        }
    }
}
