//! The ear of an instance: one task that knows which channels are open and hears what is told there.
//!
//! Everything that is told comes over one connection, in the order of its sequence. On each channel
//! an event says which one came before it, so that it is known when one is missing; then, and
//! whenever the connection was cut, what was told meanwhile is read from what Redis keeps
//! ([`catch_up`]). Where that is not whole, or another epoch has begun, the listener is told of a
//! gap.

use std::{collections::HashMap, sync::Arc};

use futures_util::{FutureExt, StreamExt};
use nubo_core::bus::{Channel, Position, Published};
use redis::Msg;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};

use super::{
    answer::Failure,
    catch_up::{self, CaughtUp, Place},
    line::{Cut, Line, Note},
    names::{EVERYONE, Names, Topic},
    outbox::Outbox,
    server::LEASES_AT_ONCE,
    shared::{Backoff, Link, Shared},
    wire::Arrival,
};

/// Subscriptions that are made at once.
const SUBSCRIPTIONS_AT_ONCE: usize = 1000;
/// What is told to everybody when the first one listens.
const SOMEBODY_LISTENS: &[u8] = b"heard";

/// An order to the ear.
pub(super) enum Order {
    Open { channel: Channel, reply: Reply },
    Close { channel: Channel },
}

/// Gets the position from which on a channel is heard.
pub(super) type Reply = oneshot::Sender<Result<Position, Failure>>;

pub(super) struct Ear {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    orders: mpsc::Receiver<Order>,
    /// The open channels, and the last event of each that was heard.
    channels: HashMap<Arc<str>, u64>,
    /// Who waits for a channel until there is a connection.
    pending: Vec<(Channel, Reply)>,
    /// In which everything is so far.
    epoch: Option<u64>,
    /// The last event that was handed on.
    delivered: u64,
}

impl Ear {
    pub fn new(shared: Arc<Shared>, outbox: Arc<Outbox>, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            shared,
            outbox,
            orders,
            channels: HashMap::from([(EVERYONE.into(), 0)]),
            pending: Vec::new(),
            epoch: None,
            delivered: 0,
        }
    }

    /// Hears until the bus is stopped.
    pub async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut backoff = Backoff::new();
        tokio::select! {
            () = shared.stopped() => {}
            () = async {
                loop {
                    let cut = self.hear_until_cut(&mut backoff).await;
                    match shared.cut_off() {
                        true => tracing::warn!(error = %cut, "the bus is cut off from Redis"),
                        false => tracing::debug!(error = %cut, "the bus is still cut off"),
                    }
                    self.wait(&mut backoff).await;
                }
            } => {}
        }
        shared.cut_off();
    }

    async fn hear_until_cut(&mut self, backoff: &mut Backoff) -> Cut {
        let mut line = match self.connect().await {
            Ok(line) => line,
            Err(failure) => return failure.into(),
        };
        *backoff = Backoff::new();
        self.serve(&mut line).await
    }

    /// Waits before trying again, and notes meanwhile who wants what.
    async fn wait(&mut self, backoff: &mut Backoff) {
        let wait = tokio::time::sleep(backoff.wait(&*self.shared.random));
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return,
                Some(order) = self.orders.recv() => match order {
                    Order::Open { channel, reply } => self.pending.push((channel, reply)),
                    Order::Close { channel } => {
                        self.channels.remove(channel.name());
                    }
                },
            }
            // Nobody waits longer than the time limit.
            self.pending.retain(|(_, reply)| !reply.is_closed());
        }
    }

    /// Connects, and catches up.
    async fn connect(&mut self) -> Result<Line, Failure> {
        let shared = Arc::clone(&self.shared);
        let server = &shared.server;
        // Redis may have moved.
        server.hang_up();
        let (mut sink, stream) = server.subscriptions().await?.split();
        // Whatever was stale is looked at now.
        shared.stale.notified().now_or_never();
        let entered = server.enter(shared.fresh_epoch(), shared.seen()).await?;
        let epoch = entered.epoch;
        let names = Names::new(&shared.settings.prefix, epoch, &shared.instance);
        let mut subscriptions = vec![names.pulse()];
        subscriptions.extend(self.channels.keys().map(|channel| names.of(channel)));
        for some in subscriptions.chunks(SUBSCRIPTIONS_AT_ONCE) {
            let subscribed = async { Ok(sink.subscribe(some).await?) };
            server.in_time(subscribed).await?;
        }
        let leases = match self.epoch {
            Some(former) if former != epoch => shared.leases.lasting(shared.clock.now()),
            _ => Vec::new(),
        };
        // Who was here still is.
        for some in leases.chunks(LEASES_AT_ONCE) {
            let now = shared.clock.now();
            shared.see(server.show(epoch, some, now).await?);
        }
        self.catch_up(epoch).await?;
        shared.see(entered.sequence);
        // What was not told because nobody listened may have been of interest since.
        let spared = shared.take_spared();
        if spared && entered.heard {
            self.outbox.lose();
        }
        shared.set_heard(entered.heard || self.listens());
        shared.link.send_replace(Link::Up { epoch });
        tracing::info!(
            epoch = format!("{epoch:x}"),
            "the bus is connected to Redis"
        );
        Ok(Line {
            sink,
            stream,
            names,
            epoch,
            pulse: 0,
            alive: true,
            renew_at: Instant::now() + shared.settings.renewal(),
        })
    }

    /// Whether any channel is open for clients.
    fn listens(&self) -> bool {
        self.channels.len() > 1
    }

    /// Hands on what was told since the last event that was heard, or that there is a gap.
    async fn catch_up(&mut self, epoch: u64) -> Result<(), Failure> {
        let is_same = self.epoch == Some(epoch);
        let channels: Vec<(Arc<str>, u64)> = self
            .channels
            .iter()
            .map(|(channel, seen)| (Arc::clone(channel), *seen))
            .collect();
        let places: Vec<Place<'_>> = channels
            .iter()
            .map(|(channel, seen)| (&**channel, is_same.then_some(*seen)))
            .collect();
        let CaughtUp {
            sequence,
            last,
            events,
        } = catch_up::read(
            &self.shared.server,
            epoch,
            self.listens(),
            &places,
            self.delivered,
        )
        .await?;
        let is_first = self.epoch.replace(epoch).is_none();
        for ((channel, _), last) in channels.into_iter().zip(last) {
            self.channels.insert(channel, last);
        }
        match events {
            Some(events) if is_same => {
                for (at, payload) in events {
                    self.hand_on(epoch, at, &payload);
                }
            }
            _ if is_first => self.delivered = sequence,
            _ => {
                self.shared.waiting.lose(Position { epoch, sequence });
                self.delivered = sequence;
            }
        }
        self.shared.see(sequence);
        Ok(())
    }

    /// Hands an event on to the listener.
    fn hand_on(&mut self, epoch: u64, at: u64, payload: &[u8]) {
        self.delivered = at;
        let position = Position {
            epoch,
            sequence: at,
        };
        match self.shared.wire.read(payload) {
            Ok(Arrival::Event(event)) => {
                let size = event.size();
                let event = Arc::new(event);
                self.shared
                    .waiting
                    .push(Published { position, event }, size);
            }
            Ok(Arrival::Foreign) => {}
            Ok(Arrival::Gap) => self.shared.waiting.lose(position),
            Err(error) => {
                tracing::error!(%error, "an event is lost");
                self.shared.waiting.lose(position);
            }
        }
    }

    /// Hears and carries out orders until the line is cut.
    async fn serve(&mut self, line: &mut Line) -> Cut {
        let shared = Arc::clone(&self.shared);
        let mut beats = tokio::time::interval(shared.settings.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some((channel, reply)) = self.pending.pop() {
            if let Err(failure) = self.open(line, &channel, reply).await {
                return failure.into();
            }
        }
        loop {
            let done = tokio::select! {
                message = line.stream.next() => match message {
                    Some(message) => self.hear(line, &message).await,
                    None => return Cut::Closed,
                },
                () = shared.stale.notified() => return Failure::Stale.into(),
                Some(order) = self.orders.recv() => {
                    self.carry_out(line, order).await.map_err(Cut::from)
                }
                _ = beats.tick() => self.beat(line).await,
            };
            if let Err(cut) = done {
                return cut;
            }
        }
    }

    async fn hear(&mut self, line: &mut Line, message: &Msg) -> Result<(), Cut> {
        line.alive = true;
        let Some(Topic::Channel(channel)) = line.names.topic(message.get_channel_name()) else {
            return Ok(());
        };
        let said = message.get_payload_bytes();
        if said == SOMEBODY_LISTENS {
            self.shared.set_heard(true);
            return Ok(());
        }
        let Some(note) = Note::read(said) else {
            tracing::error!(%channel, "what is told on a channel cannot be read");
            return Err(Cut::Missed);
        };
        // It may have been closed meanwhile.
        let Some(seen) = self.channels.get(channel).copied() else {
            return Ok(());
        };
        if note.at <= seen {
            return Ok(());
        }
        if note.before != seen {
            return Err(Cut::Missed);
        }
        // An event of several channels is heard on each of them.
        if note.at > self.delivered {
            self.receive(line, &note).await?;
        }
        self.channels.insert(channel.into(), note.at);
        self.shared.see(note.at);
        Ok(())
    }

    /// Hands on what was heard; what is too large to be carried is fetched.
    async fn receive(&mut self, line: &Line, note: &Note<'_>) -> Result<(), Failure> {
        if !note.payload.is_empty() {
            self.hand_on(line.epoch, note.at, note.payload);
            return Ok(());
        }
        let fetched = catch_up::payloads(&self.shared.server, line.epoch, vec![note.at]).await?;
        match fetched.and_then(|mut fetched| fetched.pop()) {
            Some((at, payload)) => self.hand_on(line.epoch, at, &payload),
            None => {
                tracing::warn!("a large event was not kept long enough to be fetched");
                self.delivered = note.at;
                self.shared.waiting.lose(Position {
                    epoch: line.epoch,
                    sequence: note.at,
                });
            }
        }
        Ok(())
    }

    async fn carry_out(&mut self, line: &mut Line, order: Order) -> Result<(), Failure> {
        match order {
            Order::Open { channel, reply } => self.open(line, &channel, reply).await,
            Order::Close { channel } => self.close(line, &channel).await,
        }
    }

    async fn open(
        &mut self,
        line: &mut Line,
        channel: &Channel,
        reply: Reply,
    ) -> Result<(), Failure> {
        // Who has given up does not want it any more.
        if reply.is_closed() {
            return Ok(());
        }
        let is_new = !self.channels.contains_key(channel.name());
        match self.try_open(line, channel, is_new).await {
            Ok(position) => {
                let wanted = reply.send(Ok(position)).is_ok();
                match is_new && !wanted {
                    true => self.close(line, channel).await,
                    false => Ok(()),
                }
            }
            Err(failure @ Failure::Refused(_)) => {
                // Who has given up meanwhile needs no answer.
                reply.send(Err(failure)).ok();
                match is_new {
                    true => self.close(line, channel).await,
                    false => Ok(()),
                }
            }
            Err(failure) => {
                self.pending.push((channel.clone(), reply));
                Err(failure)
            }
        }
    }

    async fn try_open(
        &mut self,
        line: &mut Line,
        channel: &Channel,
        is_new: bool,
    ) -> Result<Position, Failure> {
        let name = channel.name();
        let server = &self.shared.server;
        if is_new {
            let subscription = line.names.of(name);
            let subscribed = async { Ok(line.sink.subscribe(subscription).await?) };
            server.in_time(subscribed).await?;
        }
        let opened = server.open(line.epoch, true, &[(name, None)]).await?;
        if let (true, Some(told)) = (is_new, opened.channels.first()) {
            self.channels.insert(name.into(), told.last);
        }
        self.shared.see(opened.sequence);
        self.shared.set_heard(true);
        Ok(Position {
            epoch: line.epoch,
            sequence: opened.sequence,
        })
    }

    async fn close(&mut self, line: &mut Line, channel: &Channel) -> Result<(), Failure> {
        self.channels.remove(channel.name());
        let subscription = line.names.of(channel.name());
        let unsubscribed = async { Ok(line.sink.unsubscribe(subscription).await?) };
        self.shared.server.in_time(unsubscribed).await
    }

    /// Looks after the time.
    async fn beat(&mut self, line: &mut Line) -> Result<(), Cut> {
        if !line.alive {
            return Err(Cut::Silent);
        }
        line.alive = false;
        line.pulse += 1;
        let shared = &self.shared;
        let beat = shared
            .server
            .beat(line.epoch, &shared.instance, line.pulse, shared.seen());
        let (sequence, heard) = beat.await?;
        shared.see(sequence);
        // Up to here nobody has missed anything: it would have been said that somebody listens.
        shared.take_spared();
        shared.set_heard(heard || self.listens());
        if Instant::now() >= line.renew_at {
            line.renew_at = Instant::now() + shared.settings.renewal();
            self.renew(line).await?;
        }
        Ok(())
    }

    /// Says that the open channels are listened to still.
    async fn renew(&mut self, line: &Line) -> Result<(), Cut> {
        let places: Vec<Place<'_>> = self
            .channels
            .iter()
            .map(|(channel, seen)| (&**channel, Some(*seen)))
            .collect();
        let server = &self.shared.server;
        for places in places.chunks(SUBSCRIPTIONS_AT_ONCE) {
            let opened = server.open(line.epoch, self.listens(), places).await?;
            let mut channels = places.iter().zip(&opened.channels);
            // What is on its way belongs to a chain; what has been forgotten meanwhile does not.
            if !channels.all(|((_, seen), told)| seen.is_none_or(|seen| told.is_complete(seen))) {
                return Err(Cut::Missed);
            }
        }
        Ok(())
    }
}
