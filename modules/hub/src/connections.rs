//! Every connection of this instance, by its name and by its account.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nubo_core::{Error, Result, id::Id};
use tokio::sync::Notify;

use crate::{connection::Connection, settings::Settings};

/// The connections there are, and room for more.
#[derive(Default)]
pub(crate) struct Connections {
    tables: Mutex<Tables>,
    /// Connections and handshakes under way.
    count: AtomicUsize,
    none_left: Notify,
}

#[derive(Default)]
struct Tables {
    all: HashMap<Id, Arc<Connection>>,
    by_account: HashMap<Id, Vec<Arc<Connection>>>,
}

/// Room for one connection, until it is dropped.
pub(crate) struct Room {
    connections: Arc<Connections>,
    connection: Option<Arc<Connection>>,
}

impl Connections {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing panics while it holds the lock.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more.
    ///
    /// # Errors
    /// 503 where there are too many, 429 where the account has too many.
    pub fn make_room(self: &Arc<Self>, account: Option<Id>, settings: &Settings) -> Result<Room> {
        let room = Room {
            connections: Arc::clone(self),
            connection: None,
        };
        if self.count.fetch_add(1, Ordering::SeqCst) >= settings.max_connections {
            return Err(Error::unavailable(
                "too_many_connections",
                "this server has as many connections as it takes",
            ));
        }
        self.check_account(account, settings)?;
        Ok(room)
    }

    /// 429 where an account has as many connections as it may have.
    pub fn check_account(&self, account: Option<Id>, settings: &Settings) -> Result<()> {
        let held = account.and_then(|account| self.tables().by_account.get(&account).map(Vec::len));
        match held.unwrap_or_default() >= settings.max_connections_per_account {
            true => Err(Error::TooManyRequests { retry_after: 60 }),
            false => Ok(()),
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.tables().all.values().cloned().collect()
    }

    /// Those of an account.
    pub fn of(&self, account: Id) -> Vec<Arc<Connection>> {
        let tables = self.tables();
        tables.by_account.get(&account).cloned().unwrap_or_default()
    }

    /// Whether an account has any.
    pub fn has(&self, account: Id) -> bool {
        self.tables().by_account.contains_key(&account)
    }

    /// The accounts that have any.
    pub fn accounts(&self) -> Vec<Id> {
        self.tables().by_account.keys().copied().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// A connection belongs to an account from now on.
    pub fn note_account(&self, connection: &Arc<Connection>) {
        if let Some(account) = connection.caller().account_id() {
            let mut tables = self.tables();
            let held = tables.by_account.entry(account).or_default();
            if !held.iter().any(|held| held.id == connection.id) {
                held.push(Arc::clone(connection));
            }
        }
    }

    /// Resolves when there is none.
    pub async fn none_left(&self) {
        loop {
            let left = self.none_left.notified();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Room {
    /// A connection takes the room.
    pub fn take(&mut self, connection: &Arc<Connection>) {
        self.connection = Some(Arc::clone(connection));
        let mut tables = self.connections.tables();
        tables.all.insert(connection.id, Arc::clone(connection));
        drop(tables);
        self.connections.note_account(connection);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            let mut tables = self.connections.tables();
            tables.all.remove(&connection.id);
            if let Some(account) = connection.caller().account_id()
                && let Some(held) = tables.by_account.get_mut(&account)
            {
                held.retain(|held| held.id != connection.id);
                if held.is_empty() {
                    tables.by_account.remove(&account);
                }
            }
        }
        if self.connections.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.connections.none_left.notify_waiters();
        }
    }
}
