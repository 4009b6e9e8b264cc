//! Token buckets in Redis, which several instances take from together.
//!
//! Each decision is one [script](super::scripts), by Redis' own clock, so that instances whose
//! clocks differ agree; a bucket is one key, which expires when it is full. Where Redis does not
//! answer in time, this instance decides by buckets of its own, and does not ask again before Redis
//! was [reached](RedisBuckets::reach): nobody waits for longer than the time limit once. What is
//! counted meanwhile is counted for each instance alone; that is preferred over locking people out.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    throttle::{Bucket, Empty, Left, LocalBuckets, Rate, TokenBuckets},
};
use redis::Value;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{
    failure::{unavailable, unexpected},
    link::Link,
    partitions::slot,
    scripts::{Call, SCRIPTS},
};

/// How often it is looked whether Redis is back.
const PERIOD: Duration = Duration::from_millis(500);

/// Which Redis server counts. There is a password in it, so it has no text.
#[derive(Clone)]
pub struct RedisBucketSettings {
    /// Where it is: `redis://` or, encrypted, `rediss://`, with account, password and database; of a
    /// cluster any server, or several, separated by commas.
    pub url: String,
    /// What the buckets' keys begin with, such as `nubo:count:`.
    pub prefix: String,
    /// How long a decision may take before this instance decides alone.
    pub limit: Duration,
}

/// Token buckets that all instances share which use the same server and prefix.
pub struct RedisBuckets {
    link: Link,
    settings: RedisBucketSettings,
    /// What is gone by while Redis cannot be asked.
    local: LocalBuckets,
    /// Whether Redis was reached and has answered since.
    is_asked: AtomicBool,
}

impl RedisBuckets {
    /// On the server that the settings name, with buckets of this instance to fall back to. Nothing
    /// is asked of the server before it was reached.
    ///
    /// # Errors
    /// Where the URL is none of a Redis server.
    pub fn new(settings: RedisBucketSettings, local: LocalBuckets) -> Result<Self> {
        Ok(Self {
            link: Link::new(&settings.url, settings.limit, Uuid::nil(), None)?,
            settings,
            local,
            is_asked: AtomicBool::new(false),
        })
    }

    /// Connects where there is no connection, and has Redis decide from now on.
    ///
    /// # Errors
    /// Where it does not answer, or cannot be written to.
    pub async fn reach(&self) -> Result<()> {
        self.link.reach().await?;
        self.is_asked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Calls a script. None where this instance has to decide.
    async fn call(&self, call: Call) -> Option<Value> {
        if !self.is_asked.load(Ordering::Relaxed) {
            return None;
        }
        let called = tokio::time::timeout(self.settings.limit, self.call_in_time(call)).await;
        match called.unwrap_or_else(|_| Err(unavailable("Redis does not answer in time"))) {
            Ok(answer) => Some(answer),
            Err(error) => {
                if self.is_asked.swap(false, Ordering::Relaxed) {
                    tracing::warn!(%error, "Redis does not count; this instance counts alone");
                }
                None
            }
        }
    }

    async fn call_in_time(&self, call: Call) -> Result<Value> {
        let connection = self.link.current();
        let connection =
            connection.ok_or_else(|| unavailable("there is no connection to Redis"))?;
        let answers = self.link.call(&connection, vec![call.command()]).await?;
        answers
            .into_iter()
            .next()
            .ok_or_else(|| unexpected("one thing"))
    }

    fn key(&self, bucket: Bucket) -> Vec<u8> {
        let mut key = format!("{}{}:", self.settings.prefix, bucket.what);
        for byte in bucket.subject {
            // Writing into a string cannot fail.
            let written = write!(key, "{byte:02x}");
            debug_assert!(written.is_ok());
        }
        key.into_bytes()
    }
}

#[async_trait]
impl TokenBuckets for RedisBuckets {
    async fn take(&self, bucket: Bucket, rate: Rate) -> std::result::Result<Left, Empty> {
        let key = self.key(bucket);
        let mut call = Call::new(&SCRIPTS.take_token, slot(&key));
        call.key(key);
        call.number(rate.interval()).number(rate.tolerance());
        match self.call(call).await {
            Some(Value::Int(reach)) => rate.decide(reach),
            Some(_) | None => self.local.take_now(bucket, rate),
        }
    }

    async fn give_back(&self, bucket: Bucket, rate: Rate) {
        let key = self.key(bucket);
        let mut call = Call::new(&SCRIPTS.give_back_token, slot(&key));
        call.key(key).number(rate.interval());
        if self.call(call).await.is_none() {
            self.local.give_back_now(bucket, rate);
        }
    }
}

/// The task that finds out when Redis is back.
pub struct BucketWatch {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl BucketWatch {
    /// Tries to reach Redis once before it returns, and from then on whenever it has failed.
    pub async fn start(buckets: Arc<RedisBuckets>) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let mut fails = try_to_reach(&buckets, false).await;
        let task = tokio::spawn(async move {
            loop {
                let stop = stopped.wait_for(|stop| *stop);
                // The channel closes when its owner is gone; that is a stop too.
                if tokio::time::timeout(PERIOD, stop).await.is_ok() {
                    return;
                }
                if buckets.is_asked.load(Ordering::Relaxed) {
                    continue;
                }
                fails = tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    fails = try_to_reach(&buckets, fails) => fails,
                };
            }
        });
        Self { stop, task }
    }

    /// Ends the task.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the watch over what counts has failed");
        }
    }
}

/// Whether it fails. Says so only once.
async fn try_to_reach(buckets: &RedisBuckets, has_failed: bool) -> bool {
    match buckets.reach().await {
        Ok(()) => {
            tracing::debug!("Redis counts for all instances");
            false
        }
        Err(error) => {
            if !has_failed {
                tracing::warn!(%error, "Redis cannot be reached; this instance counts alone");
            }
            true
        }
    }
}
