//! Who shows on which channel: leases, not counters, so that nobody stays who has vanished.

use std::collections::{BTreeMap, HashMap};

use nubo_core::{
    bus::{Channel, Lease},
    id::Id,
    time::Timestamp,
};

/// The leases that were put down, by channel, account and connection.
#[derive(Default)]
pub(super) struct Presence {
    channels: HashMap<Channel, BTreeMap<Id, HashMap<Id, Timestamp>>>,
}

/// An account that has come or gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub channel: Channel,
    pub account: Id,
    pub joined: bool,
}

impl Presence {
    /// Puts leases down, or prolongs them. Who has come with them.
    pub fn show(&mut self, leases: Vec<Lease>) -> Vec<Change> {
        let mut changes = Vec::new();
        for lease in leases {
            let accounts = self.channels.entry(lease.channel.clone()).or_default();
            let connections = accounts.entry(lease.account).or_default();
            if connections.is_empty() {
                changes.push(Change {
                    channel: lease.channel,
                    account: lease.account,
                    joined: true,
                });
            }
            connections.insert(lease.connection, lease.until);
        }
        changes
    }

    /// Takes leases back. Who has gone with them.
    pub fn hide(&mut self, leases: &[Lease]) -> Vec<Change> {
        let mut changes = Vec::new();
        for lease in leases {
            let gone = self.keep(&lease.channel, lease.account, |connection, _| {
                connection != lease.connection
            });
            changes.extend(gone);
        }
        changes
    }

    /// Takes back the leases that have run out. Who has gone with them.
    pub fn expired(&mut self, now: Timestamp) -> Vec<Change> {
        let places: Vec<(Channel, Id)> = self
            .channels
            .iter()
            .flat_map(|(channel, accounts)| {
                let late = accounts
                    .iter()
                    .filter(|(_, connections)| connections.values().any(|until| *until <= now));
                late.map(|(account, _)| (channel.clone(), *account))
            })
            .collect();
        let gone = places
            .into_iter()
            .filter_map(|(channel, account)| self.keep(&channel, account, |_, until| until > now));
        gone.collect()
    }

    /// The accounts on a channel.
    pub fn present(&self, channel: &Channel, now: Timestamp) -> Vec<Id> {
        let accounts = self.channels.get(channel).into_iter().flatten();
        accounts
            .filter(|(_, connections)| connections.values().any(|until| *until > now))
            .map(|(account, _)| *account)
            .collect()
    }

    /// Whether an account is on a channel.
    pub fn is_present(&self, channel: &Channel, account: Id, now: Timestamp) -> bool {
        let accounts = self.channels.get(channel);
        accounts
            .and_then(|accounts| accounts.get(&account))
            .is_some_and(|connections| connections.values().any(|until| *until > now))
    }

    /// Keeps some connections of an account on a channel. The change, where none is left.
    fn keep(
        &mut self,
        channel: &Channel,
        account: Id,
        mut keep: impl FnMut(Id, Timestamp) -> bool,
    ) -> Option<Change> {
        let accounts = self.channels.get_mut(channel)?;
        let connections = accounts.get_mut(&account)?;
        connections.retain(|connection, until| keep(*connection, *until));
        if !connections.is_empty() {
            return None;
        }
        accounts.remove(&account);
        if accounts.is_empty() {
            self.channels.remove(channel);
        }
        Some(Change {
            channel: channel.clone(),
            account,
            joined: false,
        })
    }
}
