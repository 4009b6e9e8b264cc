//! What the bus, its outbox and its ear share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nubo_core::clock::{Clock, Random};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    answer::Failure, leases::Leases, server::Server, settings::RedisBusSettings, wire::Wire,
};
use crate::bus::waiting::Waiting;

/// Whether this instance and Redis are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Cut { since: Instant },
    Up { epoch: u64 },
}

pub(super) struct Shared {
    pub server: Server,
    pub settings: RedisBusSettings,
    pub wire: Wire,
    pub waiting: Waiting,
    pub leases: Leases,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Tells this instance from others, and from those that ran here before.
    pub instance: String,
    /// Whether Redis is there.
    pub link: watch::Sender<Link>,
    /// Somebody has found the epoch to be another one.
    pub stale: Notify,
    /// The last sequence that was seen anywhere.
    seen: AtomicU64,
    /// Whether anybody may listen.
    heard: AtomicBool,
    /// Whether events were spared since it was last certain that nobody listens.
    spared: AtomicBool,
    pub stopping: watch::Sender<bool>,
}

impl Shared {
    pub fn new(
        settings: RedisBusSettings,
        server: Server,
        wire: Wire,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let mut instance = [0; 16];
        random.fill(&mut instance);
        Self {
            server,
            wire,
            waiting: Waiting::new(settings.waiting_bytes),
            leases: Leases::default(),
            clock,
            random,
            instance: format!("{:032x}", u128::from_le_bytes(instance)),
            link: watch::Sender::new(Link::Cut {
                since: Instant::now(),
            }),
            stale: Notify::new(),
            seen: AtomicU64::new(0),
            heard: AtomicBool::new(true),
            spared: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            settings,
        }
    }

    /// Notes that Redis does not answer. Whether that is news.
    pub fn cut_off(&self) -> bool {
        // Until it is known again, somebody may listen.
        self.set_heard(true);
        self.link.send_if_modified(|link| match link {
            Link::Cut { .. } => false,
            Link::Up { .. } => {
                *link = Link::Cut {
                    since: Instant::now(),
                };
                true
            }
        })
    }

    /// Notes a sequence that was seen.
    pub fn see(&self, sequence: u64) {
        self.seen.fetch_max(sequence, Ordering::AcqRel);
    }

    /// The last sequence that was seen.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Whether anybody may listen. Where not, the event is spared.
    pub fn is_heard(&self) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        // Written once and then only read, so that writers do not fight for it.
        if !heard && !self.spared.load(Ordering::Relaxed) {
            self.spared.store(true, Ordering::Release);
        }
        heard
    }

    /// Notes whether anybody listens. It is not known as long as Redis does not answer, and counts
    /// as so.
    pub fn set_heard(&self, heard: bool) {
        self.heard.store(heard, Ordering::Release);
    }

    /// Whether events were spared since this was asked last.
    pub fn take_spared(&self) -> bool {
        self.spared.swap(false, Ordering::AcqRel)
    }

    /// A number that nobody else has drawn, short enough for programs that read every number as a
    /// floating-point one.
    pub fn fresh_epoch(&self) -> u64 {
        let mut epoch = [0; 8];
        self.random.fill(&mut epoch);
        u64::from_le_bytes(epoch) >> 16
    }

    /// The epoch, as soon as there is another one than that which has proved to be outdated.
    pub async fn epoch(&self, outdated: Option<u64>) -> u64 {
        let mut link = self.link.subscribe();
        let up = link.wait_for(|link| match link {
            Link::Up { epoch } => Some(*epoch) != outdated,
            Link::Cut { .. } => false,
        });
        match up.await.map(|link| *link) {
            Ok(Link::Up { epoch }) => epoch,
            // The sender lives as long as this does.
            Ok(Link::Cut { .. }) | Err(_) => std::future::pending().await,
        }
    }

    /// Until when somebody may wait for an answer. Who comes when Redis has been away for longer than
    /// the time limit does not wait at all, so that nobody queues behind those who do.
    pub fn deadline(&self) -> Instant {
        let start = match *self.link.borrow() {
            Link::Cut { since } => since,
            Link::Up { .. } => Instant::now(),
        };
        start + self.settings.timeout
    }

    /// Does something in the epoch as soon as there is one. Where it turns out to be another one,
    /// does it again in that.
    ///
    /// # Errors
    /// Where that is not possible within the time limit.
    pub async fn in_epoch<T, F>(&self, mut work: impl FnMut(u64) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let working = async {
            let mut outdated = None;
            loop {
                let epoch = self.epoch(outdated).await;
                match work(epoch).await {
                    Err(Failure::Stale) => {
                        self.stale.notify_one();
                        outdated = Some(epoch);
                    }
                    result => return result,
                }
            }
        };
        let done = tokio::time::timeout_at(self.deadline(), working).await;
        done.unwrap_or(Err(Failure::Unreachable(None)))
    }

    /// Waits, unless the bus is stopped meanwhile; whether it is.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stopped() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Resolves when the bus is to stop.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as this does.
        stopping.wait_for(|stopping| *stopping).await.ok();
    }
}

/// How long to wait before trying again, each time twice as long and by chance a bit more, so that
/// not all instances come at once.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    pub const LONGEST: Duration = Duration::from_secs(1);

    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub fn wait(&mut self, random: &dyn Random) -> Duration {
        let mut chance = [0; 1];
        random.fill(&mut chance);
        let wait = self.next.mul_f64(1.0 + f64::from(chance[0]) / 512.0);
        self.next = (self.next * 2).min(Self::LONGEST);
        wait
    }
}
