//! Who listens to what: channels, the different wishes on each, and those who have them.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use nubo_core::{
    bus::Channel,
    caller::Caller,
    document::Document,
    id::Id,
    schema::{Collection, CollectionId},
};

use super::wish::Scope;
use crate::connection::Connection;

/// Everybody who listens on this instance.
#[derive(Default)]
pub(super) struct Listeners {
    channels: HashMap<Channel, OnChannel>,
    /// The channels of each connection.
    connections: HashMap<Id, Vec<Channel>>,
}

/// Those who listen to one channel.
pub(super) struct OnChannel {
    pub carries: Vec<CollectionId>,
    pub named_after: Vec<(CollectionId, Id)>,
    pub groups: Vec<Group>,
}

/// Those who want to hear the same.
pub(super) struct Group {
    pub scope: Scope,
    pub members: IndexMap<Id, Member>,
}

/// A subscription.
pub(super) struct Member {
    pub connection: Arc<Connection>,
    /// On whose behalf; kept here so that an event need not ask the connection.
    pub caller: Caller,
    /// It has heard everything up to this event.
    pub after: u64,
    /// It knows who may see what as of this event. Whoever has resumed knows no more than the
    /// dispatcher did then, however far the events go that it was sent.
    pub knows: u64,
    /// Whether it shows that it is here.
    pub shows: bool,
}

impl Listeners {
    /// Those who listen to a channel.
    pub fn on(&self, channel: &Channel) -> Option<&OnChannel> {
        self.channels.get(channel)
    }

    /// All channels that somebody listens to.
    pub fn channels(&self) -> impl Iterator<Item = (&Channel, &OnChannel)> {
        self.channels.iter()
    }

    /// The channels of a connection.
    pub fn of(&self, connection: Id) -> &[Channel] {
        self.connections.get(&connection).map_or(&[], Vec::as_slice)
    }

    /// Adds a subscription in the place of what the connection had on the channel.
    pub fn add(
        &mut self,
        channel: &Channel,
        about: (Vec<CollectionId>, Vec<(CollectionId, Id)>),
        scope: Scope,
        member: Member,
    ) {
        self.remove_from(channel, member.connection.id);
        let held = self.connections.entry(member.connection.id).or_default();
        if !held.contains(channel) {
            held.push(channel.clone());
        }
        let on = self
            .channels
            .entry(channel.clone())
            .or_insert_with(|| OnChannel {
                carries: about.0,
                named_after: about.1,
                groups: Vec::new(),
            });
        match on.groups.iter_mut().find(|group| group.scope == scope) {
            Some(group) => {
                group.members.insert(member.connection.id, member);
            }
            None => on.groups.push(Group {
                scope,
                members: IndexMap::from([(member.connection.id, member)]),
            }),
        }
    }

    /// The subscription of a connection to a channel.
    pub fn member(&mut self, channel: &Channel, connection: Id) -> Option<&mut Member> {
        let groups = &mut self.channels.get_mut(channel)?.groups;
        groups
            .iter_mut()
            .find_map(|group| group.members.get_mut(&connection))
    }

    /// What a connection wants to hear of a channel.
    pub fn scope(&self, channel: &Channel, connection: Id) -> Option<&Scope> {
        let mut groups = self.channels.get(channel)?.groups.iter();
        let group = groups.find(|group| group.members.contains_key(&connection))?;
        Some(&group.scope)
    }

    /// Ends a subscription. Whether there was one, and whether nobody else listens to the channel.
    pub fn remove(&mut self, channel: &Channel, connection: Id) -> (Option<Member>, bool) {
        let removed = self.remove_from(channel, connection);
        if let Some(held) = self.connections.get_mut(&connection) {
            held.retain(|held| held != channel);
            if held.is_empty() {
                self.connections.remove(&connection);
            }
        }
        let deserted = removed.is_some()
            && self
                .channels
                .get(channel)
                .is_some_and(|on| on.groups.is_empty());
        if deserted {
            self.channels.remove(channel);
        }
        (removed, deserted)
    }

    fn remove_from(&mut self, channel: &Channel, connection: Id) -> Option<Member> {
        let on = self.channels.get_mut(channel)?;
        let mut removed = None;
        for group in &mut on.groups {
            removed = removed.or(group.members.swap_remove(&connection));
        }
        on.groups.retain(|group| !group.members.is_empty());
        removed
    }
}

impl OnChannel {
    /// All who listen.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|group| group.members.values())
    }

    /// Whether a document of a collection belongs to this channel.
    pub fn holds(&self, channel: &Channel, document: &Document, collection: &Collection) -> bool {
        let own = channel.name();
        // Names of channels of templates have a colon, those of collections and documents have not.
        match &collection.realtime.channel {
            Some(template) if own.contains(':') => {
                template.channel(document).as_ref() == Some(channel)
            }
            _ => true,
        }
    }
}
