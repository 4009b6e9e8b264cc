//! Redis as the bus sees it: what can be asked, each in one step and with a time limit.
//!
//! Whatever must hold together happens in one script; they are in `scripts/`, next to what they
//! answer. Every script looks first whether the epoch is still the one that the caller means.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nubo_core::{bus::Lease, id::Id, time::Timestamp};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, RedisError, RedisResult,
    Script, ScriptInvocation,
    aio::{MultiplexedConnection, PubSub},
};

use super::{
    answer::{Entered, Entry, Failure, Opened, Recalled, Told},
    names::EVERYONE,
    order::Order,
    place,
    settings::RedisBusSettings,
    wire::GAP,
};

/// Leases that are best put down at once.
pub(super) const LEASES_AT_ONCE: usize = 500;
/// A connection to Redis, made anew whenever it breaks.
pub(super) struct Server {
    /// A server, or some of a cluster's.
    servers: Vec<ConnectionInfo>,
    /// Of all keys on a cluster.
    slot: u16,
    /// The one that has them, once that is known.
    place: Mutex<Option<ConnectionInfo>>,
    prefix: String,
    timeout: Duration,
    /// Arguments that all scripts take, after prefix and epoch.
    limits: [String; 7],
    connection: Mutex<Option<MultiplexedConnection>>,
    scripts: Scripts,
}

struct Scripts {
    enter: Script,
    publish: Script,
    lose: Script,
    open: Script,
    replay: Script,
    beat: Script,
    leave: Script,
    show: Script,
    hide: Script,
    present: Script,
}

/// An event on its way: the names of its channels, and its written form.
pub(super) struct Outgoing {
    pub channels: Vec<String>,
    pub payload: Vec<u8>,
    pub order: Order,
}

impl Server {
    /// The one that the settings name. Nothing is asked of it yet.
    pub fn new(settings: &RedisBusSettings) -> RedisResult<Self> {
        let millis = |duration: Duration| duration.as_millis().max(1).to_string();
        Ok(Self {
            servers: crate::redis::servers(&settings.url)?,
            slot: crate::redis::slot(settings.prefix.as_bytes()),
            place: Mutex::new(None),
            prefix: settings.prefix.clone(),
            timeout: settings.timeout,
            limits: [
                millis(settings.replay),
                millis(settings.interest()),
                settings.replay_bytes.to_string(),
                settings.inline_bytes.to_string(),
                settings.replay_events.max(1).to_string(),
                millis(settings.patience),
                millis(settings.silence),
            ],
            connection: Mutex::new(None),
            scripts: Scripts::new(),
        })
    }

    /// A connection for subscriptions.
    pub async fn subscriptions(&self) -> Result<PubSub, Failure> {
        self.in_time(async { Ok(self.client().await?.get_async_pubsub().await?) })
            .await
    }

    /// For the server that has the keys.
    async fn client(&self) -> Result<Client, Failure> {
        let known = locked(&self.place).clone();
        let place = match known {
            Some(place) => place,
            None => {
                let found = place::find(&self.servers, self.slot, self.timeout).await?;
                *locked(&self.place) = Some(found.clone());
                found
            }
        };
        Ok(Client::open(place)?)
    }

    /// Runs within the time limit.
    pub async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Unreachable(None)),
        }
    }

    /// Asks on the connection, which is given up where it does not answer.
    async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Failure>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let answer = self.in_time(async {
            let connection = self.connection().await?;
            Ok(work(connection).await?)
        });
        let answer = answer.await;
        if matches!(answer, Err(Failure::Unreachable(_))) {
            self.hang_up();
        }
        answer
    }

    /// Gives the connection up; the next one who asks makes another, wherever the keys are by then.
    pub fn hang_up(&self) {
        *locked(&self.place) = None;
        *locked(&self.connection) = None;
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        if let Some(connection) = &*locked(&self.connection) {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let client = self.client().await?;
        let made = client.get_multiplexed_async_connection_with_config(&config);
        let made = made.await?;
        *locked(&self.connection) = Some(made.clone());
        Ok(made)
    }

    async fn run<T: FromRedisValue>(
        &self,
        invocation: &ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        self.ask(|mut connection| async move { invocation.invoke_async(&mut connection).await })
            .await
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.ask(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// A call of a script in an epoch.
    fn call<'a>(&self, script: &'a Script, epoch: u64) -> ScriptInvocation<'a> {
        let mut call = script.key(format!("{}epoch", self.prefix));
        call.arg(&self.prefix)
            .arg(format!("{epoch:x}"))
            .arg(&self.limits[..]);
        call
    }

    /// Finds out which epoch it is, or begins `fresh`. `seen` is the last sequence that was seen.
    pub async fn enter(&self, fresh: u64, seen: u64) -> Result<Entered, Failure> {
        let info: redis::InfoDict = self.query(redis::cmd("INFO").arg("server")).await?;
        // Of what does not tell its runs apart, only the data itself can show that it is lost.
        let run: String = info.get("run_id").unwrap_or_default();
        let mut call = self.scripts.enter.key(format!("{}epoch", self.prefix));
        call.arg(&self.prefix)
            .arg(run)
            .arg(format!("{fresh:x}"))
            .arg(seen);
        let (epoch, sequence, heard): (String, u64, bool) = self.run(&call).await?;
        Ok(Entered {
            epoch: u64::from_str_radix(&epoch, 16).map_err(|_| Failure::Stale)?,
            sequence,
            heard,
        })
    }

    /// Tells events; the sequence after them. Trying again with the same number is safe. It is `now`
    /// by the clock of the instance, in microseconds.
    pub async fn publish(
        &self,
        epoch: u64,
        instance: &str,
        (number, now): (u64, i64),
        events: &[Outgoing],
    ) -> Result<u64, Failure> {
        let mut call = self.call(&self.scripts.publish, epoch);
        call.arg(instance).arg(number).arg(now);
        for event in events {
            call.arg(event.channels.len())
                .arg(&event.channels)
                .arg(&event.payload);
            event.order.add_to(&mut call);
        }
        self.run(&call).await
    }

    /// Says that events are missing; the sequence after that.
    pub async fn lose(&self, epoch: u64) -> Result<u64, Failure> {
        let mut call = self.call(&self.scripts.lose, epoch);
        call.arg(EVERYONE).arg(GAP);
        self.run(&call).await
    }

    /// Opens channels, or keeps them open, and says what was told there since some place.
    pub async fn open(
        &self,
        epoch: u64,
        listens: bool,
        channels: &[(&str, Option<u64>)],
    ) -> Result<Opened, Failure> {
        let mut call = self.call(&self.scripts.open, epoch);
        call.arg(EVERYONE).arg(u8::from(listens));
        for (name, since) in channels {
            call.arg(name);
            match since {
                Some(since) => call.arg(since),
                None => call.arg(""),
            };
        }
        let answer: Vec<redis::Value> = self.run(&call).await?;
        let mut answer = answer.into_iter();
        let sequence = answer.next().unwrap_or(redis::Value::Nil);
        let channels = answer.map(|channel| {
            let (last, entries): (u64, Vec<(u64, u64)>) = from_value(channel)?;
            Ok(told(last, entries))
        });
        Ok(Opened {
            sequence: from_value(sequence)?,
            channels: channels.collect::<Result<_, Failure>>()?,
        })
    }

    /// What was told on a channel since some place.
    pub async fn replay(&self, epoch: u64, channel: &str, since: u64) -> Result<Recalled, Failure> {
        let mut call = self.call(&self.scripts.replay, epoch);
        call.arg(channel).arg(since);
        let (sequence, lost, last, entries): (u64, u64, String, Vec<(u64, u64)>) =
            self.run(&call).await?;
        Ok(Recalled {
            sequence,
            lost,
            told: last.parse().ok().map(|last| told(last, entries)),
        })
    }

    /// The written forms of events. None for those that are not kept any more.
    pub async fn payloads(
        &self,
        epoch: u64,
        places: &[u64],
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let key = |at: &u64| format!("{}{epoch:x}:event:{at}", self.prefix);
        let keys: Vec<String> = places.iter().map(key).collect();
        self.query(redis::cmd("MGET").arg(&keys[..])).await
    }

    /// Looks after the time. The sequence, and whether anybody listens.
    pub async fn beat(
        &self,
        epoch: u64,
        instance: &str,
        pulse: u64,
        seen: u64,
    ) -> Result<(u64, bool), Failure> {
        let mut call = self.call(&self.scripts.beat, epoch);
        call.arg(instance)
            .arg(pulse)
            .arg(seen)
            .arg(EVERYONE)
            .arg(GAP);
        self.run(&call).await
    }

    /// The instance has told all it had to tell, and ends.
    pub async fn leave(&self, epoch: u64, instance: &str) -> Result<u64, Failure> {
        let mut call = self.call(&self.scripts.leave, epoch);
        call.arg(instance);
        self.run(&call).await
    }

    /// Puts leases down; it is `now` by the clock that says until when. The sequence after that.
    pub async fn show(&self, epoch: u64, leases: &[Lease], now: Timestamp) -> Result<u64, Failure> {
        let mut call = self.call(&self.scripts.show, epoch);
        for lease in leases {
            // Redis counts by its own clock.
            let left = lease.until.millis().saturating_sub(now.millis());
            call.arg(lease.channel.name()).arg(member(lease)).arg(left);
        }
        self.run(&call).await
    }

    /// Takes leases back. The sequence after that.
    pub async fn hide(&self, epoch: u64, leases: &[Lease]) -> Result<u64, Failure> {
        let mut call = self.call(&self.scripts.hide, epoch);
        for lease in leases {
            call.arg(lease.channel.name()).arg(member(lease));
        }
        self.run(&call).await
    }

    /// The accounts on a channel.
    pub async fn present(&self, epoch: u64, channel: &str) -> Result<Vec<String>, Failure> {
        let mut call = self.call(&self.scripts.present, epoch);
        call.arg(channel);
        self.run(&call).await
    }

    /// Which of these accounts, of which there is at least one, are on a channel.
    pub async fn are_present(
        &self,
        epoch: u64,
        channel: &str,
        accounts: &[Id],
    ) -> Result<Vec<bool>, Failure> {
        let mut call = self.call(&self.scripts.present, epoch);
        call.arg(channel);
        for account in accounts {
            call.arg(account.to_string());
        }
        self.run(&call).await
    }
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn from_value<T: FromRedisValue>(value: redis::Value) -> Result<T, Failure> {
    redis::from_redis_value(value).map_err(|error| RedisError::from(error).into())
}

fn told(last: u64, entries: Vec<(u64, u64)>) -> Told {
    let entries = entries.into_iter();
    Told {
        last,
        entries: entries.map(|(at, before)| Entry { at, before }).collect(),
    }
}

/// An account with its connection, as leases are kept. The first 36 characters are the account.
fn member(lease: &Lease) -> String {
    format!("{}/{}", lease.account, lease.connection)
}

impl Scripts {
    fn new() -> Self {
        const PRELUDE: &str = include_str!("scripts/prelude.lua");
        const ORDER: &str = include_str!("scripts/order_prelude.lua");
        const PRESENCE: &str = include_str!("scripts/presence_prelude.lua");
        let script = |text: &str| Script::new(&[PRELUDE, text].concat());
        let of_order = |text: &str| Script::new(&[PRELUDE, ORDER, text].concat());
        let of_presence = |text: &str| Script::new(&[PRELUDE, PRESENCE, text].concat());
        let of_both = |text: &str| Script::new(&[PRELUDE, ORDER, PRESENCE, text].concat());
        Self {
            enter: Script::new(include_str!("scripts/enter.lua")),
            publish: of_order(include_str!("scripts/publish.lua")),
            lose: script(include_str!("scripts/lose.lua")),
            open: script(include_str!("scripts/open.lua")),
            replay: script(include_str!("scripts/replay.lua")),
            beat: of_both(include_str!("scripts/beat.lua")),
            leave: script(include_str!("scripts/leave.lua")),
            show: of_presence(include_str!("scripts/show.lua")),
            hide: of_presence(include_str!("scripts/hide.lua")),
            present: of_presence(include_str!("scripts/present.lua")),
        }
    }
}
