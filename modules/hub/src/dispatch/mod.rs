//! The dispatcher: one task that hears everything in order and tells everybody what is theirs.
//!
//! It alone knows who listens to what ([`listeners`]), so that there is nothing to lock and a
//! subscription begins at an exact place in the order of events. What it hears is applied to what it
//! knows of rules first ([`audience`](crate::audience)) and delivered then ([`deliver`]). It never
//! waits for a client: what it has for one goes into that connection's outbox.

mod absence;
mod deliver;
mod listeners;
#[cfg(test)]
mod tests;
mod wish;

use std::{sync::Arc, time::Duration};

use nubo_core::{
    Error, Result,
    bus::{Channel, Heard, Lease, Position, Published, Replay},
    caller::Caller,
    filter::{Expr, Path, Test},
    id::Id,
    query::{Query, Start},
    schema::{Collection, CollectionId, SortKey},
    time::Timestamp,
    value::Value,
};
use serde_json::{Map, Value as Json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior},
};

use crate::{
    audience::{Affected, Gates, Lookups},
    close::Close,
    connection::Connection,
    event,
    hub::Hub,
};
use absence::Absence;
use listeners::{Listeners, Member};

pub(crate) use wish::Wish;

/// How often the time is looked after.
const TICK: Duration = Duration::from_secs(1);
/// Events beyond which somebody who was away reads everything again instead.
const MOST_REPLAYED: usize = 1000;

/// An order to the dispatcher.
pub(crate) enum Command {
    Subscribe {
        connection: Arc<Connection>,
        /// Of the message; the dispatcher answers it.
        id: Option<Json>,
        wish: Box<Wish>,
        reply: oneshot::Sender<Result<()>>,
    },
    Unsubscribe {
        connection: Id,
        channel: Channel,
        reply: oneshot::Sender<Result<()>>,
    },
    /// A connection has begun.
    Came {
        connection: Arc<Connection>,
        reply: oneshot::Sender<Result<()>>,
    },
    /// A connection has shown another token.
    Identified {
        connection: Arc<Connection>,
        reply: oneshot::Sender<Result<()>>,
    },
    /// A connection has ended.
    Gone(Arc<Connection>),
    Stop,
}

/// What the dispatcher does next.
enum Next {
    Command(Command),
    Tick,
    Heard(Vec<Heard>),
}

pub(crate) struct Dispatcher {
    hub: Arc<Hub>,
    commands: mpsc::Receiver<Command>,
    gates: Gates,
    lookups: Lookups,
    listeners: Listeners,
    absence: Absence,
    /// Whether what rules look up is listened to.
    hears_looked_up: bool,
    /// Of the event that was heard last.
    position: Option<Position>,
    /// When leases are prolonged next.
    prolong_at: Timestamp,
    /// Whether it is heard what other instances change of accounts.
    hears_accounts: bool,
}

impl Dispatcher {
    pub fn new(hub: Arc<Hub>, commands: mpsc::Receiver<Command>) -> Self {
        let gates = Gates::new(&hub.catalog);
        Self {
            lookups: Lookups::new(gates.lookups()),
            gates,
            hub,
            commands,
            listeners: Listeners::default(),
            absence: Absence::default(),
            hears_looked_up: false,
            position: None,
            prolong_at: Timestamp::from_millis(0),
            hears_accounts: false,
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self) {
        if let Err(error) = self.open_looked_up().await {
            tracing::error!(%error, "what rules look up is not heard of; trying again");
        }
        let mut ticks = ticks();
        loop {
            let next = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Stop) | None => return,
                    Some(command) => Next::Command(command),
                },
                () = self.hub.changed.arrived() => Next::Heard(Vec::new()),
                _ = ticks.tick() => Next::Tick,
                heard = self.hub.bus.next() => Next::Heard(heard),
            };
            // Who has lost their session or their roles before an event hears nothing of it, neither
            // now nor by resuming.
            self.look_at_changed().await;
            match next {
                Next::Command(command) => self.carry_out(command).await,
                Next::Tick => self.tick().await,
                Next::Heard(heard) => {
                    for heard in heard {
                        self.hear(heard).await;
                    }
                }
            }
        }
    }

    /// Listens to what rules look up, for as long as the server lives. As long as it does not, nobody
    /// can subscribe to anything.
    async fn open_looked_up(&mut self) -> Result<()> {
        if self.hears_looked_up {
            return Ok(());
        }
        for collection in self.lookups.collections() {
            let channel = self.hub.catalog.get(collection).channel();
            self.position = Some(self.hub.bus.open(&channel).await?);
        }
        // Positions outlive this instance where there are several.
        self.absence.forget(self.heard());
        self.hears_looked_up = true;
        Ok(())
    }

    /// Whether rules look up what is told on a channel.
    fn is_looked_up(&self, channel: &Channel) -> bool {
        let collections = self.lookups.collections();
        let mut collections = collections.iter();
        collections.any(|id| self.hub.catalog.get(*id).channel() == *channel)
    }

    async fn carry_out(&mut self, command: Command) {
        // Who has gone away meanwhile needs no answer.
        match command {
            Command::Subscribe {
                connection,
                id,
                wish,
                reply,
            } => {
                let channel = wish.channel.clone();
                let result = self.subscribe(connection, id.as_ref(), *wish).await;
                if result.is_err() && self.listeners.on(&channel).is_none() {
                    self.desert(&channel).await;
                }
                reply.send(result).ok();
            }
            Command::Unsubscribe {
                connection,
                channel,
                reply,
            } => {
                let result = self.unsubscribe(connection, &channel).await;
                reply.send(result).ok();
            }
            Command::Came { connection, reply } => {
                self.hear_of_accounts().await;
                // From here on it is known as the account's. What has changed before, since its
                // token was shown, nobody has told.
                self.look_at(&connection).await;
                reply.send(self.came(&connection).await).ok();
            }
            Command::Identified { connection, reply } => {
                self.identified(&connection).await;
                self.look_at(&connection).await;
                reply.send(self.came(&connection).await).ok();
            }
            Command::Gone(connection) => self.gone(&connection).await,
            Command::Stop => {}
        }
    }

    async fn subscribe(
        &mut self,
        connection: Arc<Connection>,
        id: Option<&Json>,
        wish: Wish,
    ) -> Result<()> {
        let hub = Arc::clone(&self.hub);
        let held = self.listeners.of(connection.id);
        let most = hub.limits.settings.max_subscriptions;
        if held.len() >= most && !held.contains(&wish.channel) {
            return Err(Error::TooManyRequests { retry_after: 1 });
        }
        self.open_looked_up().await?;
        let channel = wish.channel.clone();
        let caller = connection.caller();
        hub.bus.open(&channel).await?;
        self.show(&connection, &caller, &wish).await?;
        // Everything up to here is for those who read the collection from now on.
        let head = hub.bus.open(&channel).await?;
        self.position.get_or_insert(head);
        self.absence.sees(&caller, self.heard());
        let replay = match wish.since {
            None => None,
            Some(since) => Some(self.replay(&wish, since, &caller).await?),
        };
        let mut ok = Map::new();
        ok.insert("channel".into(), channel.name().into());
        ok.insert("position".into(), head.to_string().into());
        if let Some(replay) = &replay {
            ok.insert("resumed".into(), replay.is_some().into());
        }
        if wish.presence {
            let present = hub.bus.present(&channel).await?;
            let present: Vec<Json> = present.iter().map(|id| id.to_string().into()).collect();
            ok.insert("present".into(), present.into());
        }
        if let Some(frame) = event::answer(id, ok) {
            connection.send(frame);
        }
        // Look-ups were compared as far as they were heard of. Whoever begins anew reads what is
        // there now.
        let knows = match replay {
            Some(Some(_)) => self.heard().min(head.sequence),
            _ => head.sequence,
        };
        let missed = replay.flatten().unwrap_or_default();
        let first = missed
            .first()
            .map_or(head.sequence, |first| first.position.sequence - 1);
        let connection_id = connection.id;
        self.listeners.add(
            &channel,
            (wish.carries, wish.named_after),
            wish.scope,
            Member {
                connection,
                caller,
                after: first,
                knows,
                shows: wish.presence,
            },
        );
        for published in &missed {
            self.deliver(published, Some((&channel, connection_id)))
                .await;
        }
        if let Some(member) = self.listeners.member(&channel, connection_id) {
            let last = missed.last().map(|last| last.position.sequence);
            member.after = last.unwrap_or(head.sequence).max(head.sequence);
        }
        Ok(())
    }

    /// Up to which event everything was heard.
    fn heard(&self) -> u64 {
        self.position.map_or(0, |position| position.sequence)
    }

    /// What was missed since a position; none where it must be read again.
    async fn replay(
        &self,
        wish: &Wish,
        since: Position,
        caller: &Caller,
    ) -> Result<Option<Vec<Published>>> {
        let account = caller.account_id();
        if self.absence.looks_different(account, since.sequence)
            || self
                .absence
                .has_changed(account, &wish.carries, since.sequence)
        {
            return Ok(None);
        }
        Ok(match self.hub.bus.replay(&wish.channel, since).await? {
            Replay::Events(events) if events.len() <= MOST_REPLAYED && self.fits(&events) => {
                Some(events)
            }
            Replay::Events(_) | Replay::Gap => None,
        })
    }

    /// Whether what was missed can wait for one connection.
    fn fits(&self, events: &[Published]) -> bool {
        let size: usize = events.iter().map(|published| published.event.size()).sum();
        size <= self.hub.limits.settings.max_queue / 2
    }

    async fn unsubscribe(&mut self, connection: Id, channel: &Channel) -> Result<()> {
        let (member, deserted) = self.listeners.remove(channel, connection);
        if deserted {
            self.desert(channel).await;
        }
        if let Some(member) = member
            && member.shows
            && let Some(account) = member.caller.account_id()
        {
            let lease = Lease {
                channel: channel.clone(),
                account,
                connection,
                until: self.hub.clock.now(),
            };
            self.hub.bus.hide(vec![lease]).await?;
        }
        Ok(())
    }

    /// Closes a channel that nobody listens to.
    async fn desert(&self, channel: &Channel) {
        if !self.is_looked_up(channel) {
            self.hub.bus.close(channel).await;
        }
    }

    /// Shows that the account of a connection is there.
    async fn came(&self, connection: &Connection) -> Result<()> {
        match self.lease(connection, self.lease_end()) {
            Some(lease) => self.hub.bus.show(vec![lease]).await,
            None => Ok(()),
        }
    }

    async fn gone(&mut self, connection: &Connection) {
        for channel in self.listeners.of(connection.id).to_vec() {
            if let Err(error) = self.unsubscribe(connection.id, &channel).await {
                tracing::warn!(%error, %channel, "a subscription did not end in order");
            }
        }
        if let Some(lease) = self.lease(connection, self.hub.clock.now())
            && let Err(error) = self.hub.bus.hide(vec![lease]).await
        {
            tracing::warn!(%error, "somebody who is gone counts as connected for a while");
        }
    }

    /// That an account is connected.
    fn lease(&self, connection: &Connection, until: Timestamp) -> Option<Lease> {
        Some(Lease {
            channel: Channel::connected(),
            account: connection.caller().account_id()?,
            connection: connection.id,
            until,
        })
    }

    /// Shows that somebody is here, where that is wanted.
    async fn show(&mut self, connection: &Connection, caller: &Caller, wish: &Wish) -> Result<()> {
        let shown = self
            .listeners
            .member(&wish.channel, connection.id)
            .is_some_and(|member| member.shows);
        let Some(account) = caller.account_id() else {
            return Ok(());
        };
        let lease = |until| Lease {
            channel: wish.channel.clone(),
            account,
            connection: connection.id,
            until,
        };
        match (shown, wish.presence) {
            (_, true) => self.hub.bus.show(vec![lease(self.lease_end())]).await,
            (true, false) => self.hub.bus.hide(vec![lease(self.hub.clock.now())]).await,
            (false, false) => Ok(()),
        }
    }

    fn lease_end(&self) -> Timestamp {
        let lease = self.hub.limits.presence_lease.as_millis();
        let lease = i64::try_from(lease).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.hub.clock.now().millis().saturating_add(lease))
    }

    /// A connection speaks for somebody else now, or with other roles.
    async fn identified(&mut self, connection: &Arc<Connection>) {
        let caller = connection.caller();
        self.absence.sees(&caller, self.heard());
        for channel in self.listeners.of(connection.id).to_vec() {
            let Some(member) = self.listeners.member(&channel, connection.id) else {
                continue;
            };
            if member.caller.looks_like(&caller) {
                member.caller = caller.clone();
                continue;
            }
            member.caller = caller.clone();
            if let Some(position) = self.position {
                connection.send(event::reload(&channel, position, "access"));
            }
            // What matches would tell what is in a field that may not be read any more.
            let scope = self.listeners.scope(&channel, connection.id);
            let now = self.hub.clock.now();
            if scope.is_some_and(|scope| !scope.may_be_asked(&caller, &self.hub.catalog, now))
                && let Err(error) = self.unsubscribe(connection.id, &channel).await
            {
                tracing::warn!(%error, %channel, "a subscription did not end in order");
            }
        }
    }

    /// Hears from now on what other instances change of accounts, where there may be any. Nobody
    /// needs that before somebody is connected.
    async fn hear_of_accounts(&mut self) {
        if self.hub.is_sole_writer || self.hears_accounts {
            return;
        }
        match self.hub.bus.open(&Channel::accounts()).await {
            Ok(_) => {
                self.hears_accounts = true;
                // Who was there before may have been changed before.
                self.hub.changed.all();
            }
            Err(error) => {
                tracing::warn!(%error, "what other servers change of accounts is not heard yet");
            }
        }
    }

    /// Looks again at who is behind the connections of accounts that have changed.
    async fn look_at_changed(&mut self) {
        for account in self.hub.changed.take() {
            self.look_at_all(account).await;
        }
    }

    /// Looks again at who is behind the connections of an account.
    async fn look_at_all(&mut self, account: Id) {
        for connection in self.hub.connections.of(account) {
            self.look_at(&connection).await;
        }
    }

    /// Looks again at who is behind a connection.
    async fn look_at(&mut self, connection: &Arc<Connection>) {
        let Some(token) = connection.token() else {
            return;
        };
        let looked = self.hub.sessions.authenticate(&token).await;
        if connection.token().as_ref() != Some(&token) {
            // It has shown another meanwhile, which is looked at in its turn.
            return;
        }
        match looked {
            Ok(signed_in) => {
                if !signed_in.caller.looks_like(&connection.caller()) {
                    connection.look_like(signed_in.caller, &token);
                    self.identified(connection).await;
                }
            }
            Err(Error::Unauthorized { code, .. }) => connection.close(match code {
                "expired_token" => Close::Expired,
                _ => Close::Revoked,
            }),
            Err(error) => {
                tracing::warn!(%error, "an account cannot be looked at; trying again");
                if let Some(account) = connection.caller().account_id() {
                    self.hub.changed.put_back(account);
                }
            }
        }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Event(published) => self.deliver(&published, None).await,
            Heard::Gap(position) => {
                tracing::warn!("events came faster than they could be told; clients read again");
                self.begin_anew(position);
            }
        }
    }

    /// Nobody knows what has become of a collection, or of any: those who listen to it read again, and
    /// those who may see more or less by rules that look into it.
    fn read_again(&mut self, collection: Option<CollectionId>, position: Position) {
        let Some(collection) = collection else {
            return self.begin_anew(position);
        };
        let mut collections = self.lookups.forget_in(collection);
        collections.push(collection);
        let affected = Affected {
            collections,
            accounts: None,
        };
        self.tell_affected(&affected, position, "gap");
    }

    /// Nobody knows what was up to a position: everybody reads again.
    fn begin_anew(&mut self, position: Position) {
        self.lookups.forget();
        self.absence.forget(position.sequence);
        if self.hears_accounts {
            // Accounts may be among what was lost.
            self.hub.changed.all();
        }
        for (channel, on) in self.listeners.channels() {
            for member in on.members() {
                let reload = event::reload(channel, position, "gap");
                member.connection.send(reload);
            }
        }
    }

    /// Tells those who may see more or less than before to read again, and for what reason.
    fn tell_affected(&mut self, affected: &Affected, position: Position, reason: &str) {
        self.absence.note(affected, position.sequence);
        let tell = |channel: &Channel, carries: &[CollectionId], member: &Member| {
            if member.knows < position.sequence
                && carries.iter().any(|id| affected.collections.contains(id))
            {
                let reload = event::reload(channel, position, reason);
                member.connection.send(reload);
            }
        };
        let Some(accounts) = &affected.accounts else {
            for (channel, on) in self.listeners.channels() {
                on.members()
                    .for_each(|member| tell(channel, &on.carries, member));
            }
            return;
        };
        for account in accounts {
            for connection in self.hub.connections.of(*account) {
                for channel in self.listeners.of(connection.id) {
                    let Some(on) = self.listeners.on(channel) else {
                        continue;
                    };
                    let members = on.groups.iter();
                    let member = members.filter_map(|group| group.members.get(&connection.id));
                    member.for_each(|member| tell(channel, &on.carries, member));
                }
            }
        }
    }

    /// Looks after the time for all connections.
    async fn tick(&mut self) {
        let micros = self.hub.clock.micros();
        for connection in self.hub.connections.all() {
            connection.tick(micros, &self.hub.limits);
        }
        let now = self.hub.clock.now();
        if now < self.prolong_at {
            return;
        }
        let until = self.lease_end();
        self.prolong_at = Timestamp::from_millis((now.millis() + until.millis()) / 2);
        if self.hub.connections.count() > 0 {
            self.hear_of_accounts().await;
        }
        let connections = self.hub.connections.all();
        let connections = connections.iter();
        let mut leases: Vec<Lease> = connections
            .filter_map(|connection| self.lease(connection, until))
            .collect();
        for (channel, on) in self.listeners.channels() {
            for member in on.members().filter(|member| member.shows) {
                leases.extend(member.caller.account_id().map(|account| Lease {
                    channel: channel.clone(),
                    account,
                    connection: member.connection.id,
                    until,
                }));
            }
        }
        if let Err(error) = self.hub.bus.show(leases).await {
            tracing::warn!(%error, "who is present cannot be told");
        }
    }
}

/// The query for one document.
fn by_id(collection: &Collection, id: Id) -> Query {
    let path = Path::to_field(Collection::ID, &collection.fields()[Collection::ID]);
    Query {
        collection: collection.id,
        filter: Expr::field(path, Test::Equal(Value::Uuid(id.uuid()))),
        sort: vec![SortKey {
            field: Collection::ID,
            descending: false,
        }],
        start: Start::First,
        limit: 1,
        fields: None,
    }
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
