//! Telling everybody what is theirs of one event.
//!
//! What hangs on the document is found out once for the event: who may read it as it was and as it
//! is, and which of its fields. What hangs on the wish is found out once for each group. For each
//! subscriber remains a look at who they are, and a frame that is shared by all who see the same.

use std::collections::HashSet;

use nubo_core::{
    Result,
    bus::{Channel, Event, Position, Published, What},
    caller::Caller,
    document::Document,
    id::Id,
    observe::Touched,
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
};

use super::{
    Dispatcher,
    listeners::{Group, Member, OnChannel},
};
use crate::{
    audience::{Audience, Gate},
    close::Close,
    event::{self, Change, Notice},
    frame::{self, Frame},
};

/// Whom an event is for, where it is not for all who listen: one connection on one channel.
pub(super) type Only<'a> = Option<(&'a Channel, Id)>;

/// Who may see what of a document.
struct Sight {
    before: Audience,
    after: Audience,
    /// Fields that only some see.
    fields: Vec<(usize, Audience)>,
}

impl Dispatcher {
    /// Delivers an event.
    pub(super) async fn deliver(&mut self, published: &Published, only: Only<'_>) {
        let position = published.position;
        let event = &*published.event;
        if only.is_none() {
            self.position = Some(position);
        }
        match &event.what {
            What::Changed(touched) => {
                if only.is_none() {
                    let catalog = self.hub.catalog.clone();
                    let affected = self.lookups.apply(touched, &catalog);
                    self.deliver_change(event, touched, position, only).await;
                    for affected in affected {
                        self.tell_affected(&affected, position, "access");
                    }
                } else {
                    self.deliver_change(event, touched, position, only).await;
                }
            }
            What::Published {
                collection,
                document,
                until,
            } => {
                if *until >= self.hub.clock.now() {
                    let message = (*collection, document);
                    self.deliver_message(event, message, position, only).await;
                }
            }
            What::Told {
                json, until, from, ..
            } => {
                if *until >= self.hub.clock.now() {
                    let frame = |channel: &Channel| event::told(channel, position, json);
                    self.tell_all(event, position, only, frame, |member| {
                        member.connection.id != *from
                    });
                }
            }
            What::Presence { account, joined } => {
                self.deliver_presence(event, (*account, *joined), position, only)
                    .await;
            }
            What::Broadcast { text, from } => {
                let frame = frame::text(text.as_bytes());
                for connection in self.hub.connections.all() {
                    if connection.id != *from && connection.is_admitted() {
                        connection.send(frame.clone());
                    }
                }
            }
            What::Kicked { account } => {
                for connection in self.hub.connections.of(*account) {
                    connection.close(Close::Kicked);
                }
            }
            What::AccountChanged { account } => self.look_at_all(*account).await,
            What::Missed { collection } => self.tell_missed(event, *collection, position, only),
            What::Overtaken { collection, .. } => self.read_again(*collection, position),
        }
    }

    async fn deliver_change(
        &mut self,
        event: &Event,
        touched: &Touched,
        position: Position,
        only: Only<'_>,
    ) {
        if !self.is_wanted(event, only) {
            return;
        }
        let collection = self.hub.catalog.get(touched.collection).clone();
        let (before, after) = (touched.before.as_ref(), touched.after.as_ref());
        match self.sight(event, before, after, &collection, only).await {
            Ok(sight) => {
                let round = Round {
                    position,
                    collection: &collection,
                    before,
                    after,
                    sight: &sight,
                    is_message: false,
                    now: self.hub.clock.now(),
                    catalog: &self.hub.catalog,
                };
                for (channel, on) in self.listening(event, only) {
                    round.tell(channel, on, only);
                }
            }
            Err(error) => self.give_up(event, position, only, &error),
        }
    }

    async fn deliver_message(
        &mut self,
        event: &Event,
        (collection, document): (CollectionId, &Document),
        position: Position,
        only: Only<'_>,
    ) {
        if !self.is_wanted(event, only) {
            return;
        }
        let collection = self.hub.catalog.get(collection).clone();
        match self
            .sight(event, None, Some(document), &collection, only)
            .await
        {
            Ok(sight) => {
                let round = Round {
                    position,
                    collection: &collection,
                    before: None,
                    after: Some(document),
                    sight: &sight,
                    is_message: true,
                    now: self.hub.clock.now(),
                    catalog: &self.hub.catalog,
                };
                for (channel, on) in self.listening(event, only) {
                    round.tell(channel, on, only);
                }
            }
            Err(error) => self.give_up(event, position, only, &error),
        }
    }

    /// Who comes and goes is for those who show themselves, as long as they may be there.
    async fn deliver_presence(
        &mut self,
        event: &Event,
        (account, joined): (Id, bool),
        position: Position,
        only: Only<'_>,
    ) {
        for channel in &event.channels {
            let Some(on) = self.listeners.on(channel) else {
                continue;
            };
            let named_after = on.named_after.clone();
            let mut audiences = Vec::new();
            for (collection, id) in named_after {
                match self.readers_of(event, collection, id, only).await {
                    Ok(audience) => audiences.push(audience),
                    Err(error) => return self.give_up(event, position, only, &error),
                }
            }
            let (now, catalog) = (self.hub.clock.now(), &self.hub.catalog);
            let frame = |channel: &Channel| event::presence(channel, position, account, joined);
            self.tell_all(event, position, only, frame, |member| {
                let may = |audience: &Audience| audience.includes(&member.caller, now, catalog);
                member.shows && audiences.iter().all(may)
            });
        }
    }

    /// Who may read a document.
    async fn readers_of(
        &mut self,
        event: &Event,
        collection: CollectionId,
        id: Id,
        only: Only<'_>,
    ) -> Result<Audience> {
        let hub = self.hub.clone();
        let collection = hub.catalog.get(collection);
        let found = hub
            .store
            .find(&Caller::Server, super::by_id(collection, id))
            .await?;
        match found.first() {
            None => Ok(Audience::Nobody),
            Some(document) => {
                let gate = self.gates.of(collection.id).read.clone();
                self.audience(event, &gate, document, collection, only)
                    .await
            }
        }
    }

    /// Versions of documents were missed: whoever might have heard of them reads again. Where rules
    /// look them up, that is everybody whom these rules concern, too.
    fn tell_missed(
        &mut self,
        event: &Event,
        collection: CollectionId,
        position: Position,
        only: Only<'_>,
    ) {
        if only.is_none() && self.lookups.collections().contains(&collection) {
            return self.read_again(Some(collection), position);
        }
        let frame = |channel: &Channel| event::reload(channel, position, "gap");
        self.tell_all(event, position, only, frame, |_| true);
    }

    /// Whether anybody listens.
    fn is_wanted(&self, event: &Event, only: Only<'_>) -> bool {
        self.listening(event, only).next().is_some()
    }

    /// Those who listen where an event is heard.
    fn listening<'a>(
        &'a self,
        event: &'a Event,
        only: Only<'a>,
    ) -> impl Iterator<Item = (&'a Channel, &'a OnChannel)> {
        let wanted = move |channel: &&Channel| only.is_none_or(|(only, _)| only == *channel);
        let channels = event.channels.iter().filter(wanted);
        channels.filter_map(|channel| Some((channel, self.listeners.on(channel)?)))
    }

    /// Tells the same to all who listen and are meant.
    fn tell_all(
        &self,
        event: &Event,
        position: Position,
        only: Only<'_>,
        frame: impl Fn(&Channel) -> Frame,
        is_meant: impl Fn(&Member) -> bool,
    ) {
        for (channel, on) in self.listening(event, only) {
            let frame = frame(channel);
            let members = on.members().filter(|member| member.hears(position, only));
            for member in members.filter(|member| is_meant(member)) {
                member.connection.send(frame.clone());
            }
        }
    }

    /// Nobody can say for whom the event is. They must read again what they might have been told.
    fn give_up(&self, event: &Event, position: Position, only: Only<'_>, error: &nubo_core::Error) {
        tracing::error!(%error, "it cannot be found out for whom an event is");
        let frame = |channel: &Channel| event::reload(channel, position, "gap");
        self.tell_all(event, position, only, frame, |_| true);
    }

    /// Who may see what of a document, as it was and as it is.
    async fn sight(
        &mut self,
        event: &Event,
        before: Option<&Document>,
        after: Option<&Document>,
        collection: &Collection,
        only: Only<'_>,
    ) -> Result<Sight> {
        let guarded = self.gates.of(collection.id);
        let read = guarded.read.clone();
        let guarded_fields = guarded.fields.clone();
        let mut sight = Sight {
            before: Audience::Nobody,
            after: Audience::Nobody,
            fields: Vec::new(),
        };
        if let Some(before) = before {
            sight.before = self
                .audience(event, &read, before, collection, only)
                .await?;
        }
        if let Some(after) = after {
            sight.after = self.audience(event, &read, after, collection, only).await?;
            for (field, gate) in guarded_fields {
                let audience = self.audience(event, &gate, after, collection, only).await?;
                if !audience.is_everyone() {
                    sight.fields.push((field, audience));
                }
            }
        }
        Ok(sight)
    }

    /// For whom a gate is open, with everything fetched and asked that must be.
    async fn audience(
        &mut self,
        event: &Event,
        gate: &Gate,
        document: &Document,
        collection: &Collection,
        only: Only<'_>,
    ) -> Result<Audience> {
        let hub = self.hub.clone();
        self.lookups.make_room();
        let audience = loop {
            let missing = match gate.audience(document, collection, &hub.catalog, &self.lookups) {
                Ok(audience) => break audience,
                Err(missing) => missing,
            };
            for (lookup, value) in missing.0 {
                let query = self.lookups.of(lookup).query(&value, &hub.catalog);
                let found = hub.store.find(&Caller::Server, query).await?;
                self.lookups.put(lookup, &value, found);
            }
        };
        if !audience.asks() {
            return Ok(audience);
        }
        let mut seen = HashSet::new();
        let listening = self.listening(event, only).flat_map(|(_, on)| on.members());
        let callers: Vec<Caller> = listening
            .filter(|member| seen.insert(member.caller.account_id()))
            .map(|member| member.caller.clone())
            .collect();
        audience
            .ask(&callers, hub.clock.now(), &hub.catalog, &*hub.store)
            .await
    }
}

/// One event about one document, on its way to all who listen.
struct Round<'a> {
    position: Position,
    collection: &'a Collection,
    before: Option<&'a Document>,
    after: Option<&'a Document>,
    sight: &'a Sight,
    is_message: bool,
    now: Timestamp,
    catalog: &'a Catalog,
}

impl Round<'_> {
    fn tell(&self, channel: &Channel, on: &OnChannel, only: Only<'_>) {
        let is_here = |document: Option<&Document>| {
            document.is_some_and(|document| on.holds(channel, document, self.collection))
        };
        let (was_here, is_here) = (is_here(self.before), is_here(self.after));
        for group in &on.groups {
            let scope = &group.scope;
            if scope.only.is_some_and(|only| only != self.collection.id) {
                continue;
            }
            let fits = |document: Option<&Document>| match (&scope.filter, document) {
                (Some(filter), Some(document)) => {
                    filter.matches(document, self.collection.fields(), &())
                }
                _ => true,
            };
            let was = was_here && fits(self.before);
            let is = is_here && fits(self.after);
            if was || is {
                self.tell_group(channel, group, (was, is), only);
            }
        }
    }

    fn tell_group(
        &self,
        channel: &Channel,
        group: &Group,
        (was, is): (bool, bool),
        only: Only<'_>,
    ) {
        let mut frames: Vec<(Change, Vec<usize>, Frame)> = Vec::with_capacity(1);
        for member in group.members.values() {
            if !member.hears(self.position, only) {
                continue;
            }
            let caller = &member.caller;
            let saw = was && self.sight.before.includes(caller, self.now, self.catalog);
            let sees = is && self.sight.after.includes(caller, self.now, self.catalog);
            let Some(change) = self.change(saw, sees) else {
                continue;
            };
            let hidden = match sees {
                true => self.hidden_from(caller),
                false => Vec::new(),
            };
            // Mostly nothing is hidden; comparing the lists as a whole would call into libc for that.
            let known = frames
                .iter()
                .find(|(known, fields, _)| *known == change && fields.iter().eq(&hidden));
            let frame = match known {
                Some((_, _, frame)) => frame.clone(),
                None => {
                    let frame = self.frame(channel, group, change, &hidden);
                    frames.push((change, hidden, frame.clone()));
                    frame
                }
            };
            member.connection.send(frame);
        }
    }

    /// What has happened in the view of somebody who saw the document before, or sees it now.
    const fn change(&self, saw: bool, sees: bool) -> Option<Change> {
        Some(match (saw, sees) {
            (false, false) => return None,
            (_, true) if self.is_message => Change::Published,
            (true, true) => Change::Updated,
            (false, true) if self.before.is_none() => Change::Created,
            (false, true) => Change::Entered,
            (true, false) if self.after.is_none() => Change::Deleted,
            (true, false) => Change::Left,
        })
    }

    fn hidden_from(&self, caller: &Caller) -> Vec<usize> {
        let fields = self.sight.fields.iter();
        let hidden = fields
            .filter(|(_, audience)| !audience.includes(caller, self.now, self.catalog))
            .map(|(field, _)| *field);
        hidden.collect()
    }

    fn frame(&self, channel: &Channel, group: &Group, change: Change, hidden: &[usize]) -> Frame {
        Notice {
            change,
            channel,
            position: self.position,
            collection: self.collection,
            before: self.before,
            after: self.after,
            fields: group.scope.fields.as_deref(),
            hidden,
        }
        .frame()
    }
}

impl Member {
    /// Whether an event at a position is news, and meant.
    fn hears(&self, position: Position, only: Only<'_>) -> bool {
        self.after < position.sequence && only.is_none_or(|(_, id)| id == self.connection.id)
    }
}
