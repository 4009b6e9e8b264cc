//! Carrying out what is queued: a task that takes the first writes, again and again.
//!
//! Every server has this task, and one of them works at a time; the truth sees to that. Should it
//! die, another one goes on: what had not been committed is still in the queue. What is refused is
//! set aside, so that it stands in nobody's way.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nubo_core::{
    Error, Result,
    queue::{BUSY, Number, QueuedWrite, Refused, Unreadable},
    write::Transaction,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::Behind;
use crate::stop;

/// After how long the queue is looked at though nobody said that there is something: another server
/// may have died.
const UNTOLD: Duration = Duration::from_secs(1);
/// How long is waited while another server is at work.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long is waited after a failure: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a server that starts carries out what it finds before it serves.
const AT_START: Duration = Duration::from_secs(60);
/// How long a server that stops goes on. The rest is carried out by others, or after the next start.
const AT_STOP: Duration = Duration::from_secs(10);
/// How often a write is tried that fails for no reason of its sender's.
const TRIES: u32 = 3;

/// How many writes are carried out at once: at least, at first and at most.
const FEWEST: u32 = 8;
const FIRST: u32 = 64;
const MOST: u32 = 512;
/// How long they should take together, in microseconds. What is appended meanwhile to the log of an
/// embedded database waits for them.
const SHORT: i64 = 10_000;
const LONG: i64 = 40_000;

/// The task that carries out.
pub struct Applying {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What a step has found.
enum Step {
    Nothing,
    Done,
    /// Another server is at work.
    Busy,
}

/// What is remembered from step to step.
struct Pace {
    size: u32,
    /// How often writes have failed for no reason of their senders'.
    failures: HashMap<Number, u32>,
}

impl Applying {
    /// Carries out what waits already, so that nobody misses it whatever the collections say now, and
    /// then whatever comes, until it is stopped.
    pub async fn start(behind: Arc<Behind>) -> Self {
        let mut pace = Pace::new();
        let until = Instant::now() + AT_START;
        if !behind.carry_out_until(&mut pace, until).await {
            tracing::error!(
                "writes are queued that could not be carried out before the server serves"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(behind, pace, stopped));
        Self { stop, task }
    }

    /// Carries out what is left, as far as that takes no longer than a few seconds, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that carries out queued writes has failed");
        }
    }
}

async fn run(behind: Arc<Behind>, mut pace: Pace, mut stopped: watch::Receiver<bool>) {
    // Where nothing is queued of itself, dead letters may still be tried again.
    let untold = match behind.is_used() {
        true => UNTOLD,
        false => Duration::MAX,
    };
    let mut pause = Duration::ZERO;
    loop {
        let woken = async {
            tokio::time::sleep(pause).await;
            if pause.is_zero() {
                tokio::time::timeout(untold, behind.wake.notified())
                    .await
                    .ok();
            }
        };
        tokio::select! {
            () = woken => {}
            () = stop::asked(&mut stopped) => break,
        }
        pause = behind.carry_out_all(&mut pace, pause, &stopped).await;
    }
    if behind.is_used() {
        behind.carry_out_rest(&mut pace).await;
    }
}

impl Behind {
    /// Carries out until nothing waits, or something is in the way: then it is for how long to wait.
    async fn carry_out_all(
        &self,
        pace: &mut Pace,
        pause: Duration,
        stopped: &watch::Receiver<bool>,
    ) -> Duration {
        while !*stopped.borrow() {
            match self.step(pace).await {
                Ok(Step::Nothing) => return Duration::ZERO,
                Ok(Step::Done) => {}
                Ok(Step::Busy) => return BUSY_PAUSE,
                Err(error) => {
                    cannot(&error);
                    return (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                }
            }
        }
        Duration::ZERO
    }

    /// Carries out what is left, until something is in the way or the time has come.
    async fn carry_out_rest(&self, pace: &mut Pace) {
        let until = Instant::now() + AT_STOP;
        while Instant::now() < until {
            match self.step(pace).await {
                Ok(Step::Done) => {}
                Ok(Step::Nothing | Step::Busy) => return,
                Err(error) => return cannot(&error),
            }
        }
    }

    /// Carries out until what waits now is gone, or the time has come. Whether it is gone.
    async fn carry_out_until(&self, pace: &mut Pace, until: Instant) -> bool {
        let mut last = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let found = match self.look().await {
                Ok(None) => return true,
                Ok(Some(standing)) if last.is_some_and(|last| standing.first > last) => {
                    return true;
                }
                Ok(Some(standing)) => {
                    last.get_or_insert(standing.last);
                    self.step(pace).await
                }
                Err(error) => Err(error),
            };
            match found {
                Ok(Step::Nothing | Step::Done) => pause = FIRST_PAUSE,
                Ok(Step::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
                Err(error) => {
                    cannot(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    /// Carries out the first writes.
    async fn step(&self, pace: &mut Pace) -> Result<Step> {
        let at_rest = self.traffic.at_rest();
        let standing = self.look().await?;
        self.traffic
            .saw(standing.map_or(0, |standing| standing.span()));
        if standing.is_none() {
            if let Some(begun) = at_rest {
                self.traffic.settle(begun);
            }
            pace.failures.clear();
            self.advanced.notify_waiters();
            return Ok(Step::Nothing);
        }
        let queue = self.queue()?;
        let mut refused = Vec::new();
        let mut writes: Vec<(Number, Transaction)> = Vec::new();
        for waiting in queue.waiting(pace.size).await? {
            match QueuedWrite::unpack(&waiting.packed, &self.catalog) {
                Ok(write) => writes.push((waiting.number, write.into_transaction())),
                Err(unreadable) => refused.push((waiting.number, unfit(&unreadable))),
            }
        }
        let numbers: Vec<Number> = writes.iter().map(|(number, _)| *number).collect();
        let before = self.clock.ticks();
        let fates = queue.carry_out(writes).await;
        let (mut busy, mut failure) = (false, None);
        for (number, fate) in numbers.into_iter().zip(fates) {
            match fate {
                Ok(()) => {}
                Err(Error::Unavailable { code: BUSY, .. }) => busy = true,
                Err(error @ Error::Unavailable { .. }) => failure = Some(error),
                Err(error @ Error::Internal(_)) if pace.may_try_again(number) => {
                    failure = Some(error);
                }
                Err(error) => refused.push((number, error)),
            }
        }
        if !busy {
            pace.learn(self.clock.ticks() - before);
        }
        self.set_aside(refused).await?;
        self.advanced.notify_waiters();
        match failure {
            Some(error) => Err(error),
            None if busy => Ok(Step::Busy),
            None => Ok(Step::Done),
        }
    }

    async fn set_aside(&self, refused: Vec<(Number, Error)>) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let refused = refused.into_iter().map(|(number, error)| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(
                number = number.0,
                code = error.code(),
                cause,
                "a write that was acknowledged is refused; it is a dead letter now"
            );
            let problem = serde_json::to_string(&error.problem()).map_err(Error::internal)?;
            Ok(Refused { number, problem })
        });
        let refused = refused.collect::<Result<Vec<_>>>()?;
        self.queue()?.set_aside(refused).await
    }
}

fn cannot(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "queued writes cannot be carried out"
    );
}

/// What is wrong with a write that has no place in the collections of now.
fn unfit(unreadable: &Unreadable) -> Error {
    Error::Conflict {
        code: "unreadable",
        detail: unreadable.to_string(),
        errors: Vec::new(),
    }
}

impl Pace {
    fn new() -> Self {
        Self {
            size: FIRST,
            failures: HashMap::new(),
        }
    }

    /// Fewer at once where they took long, more where they were quick.
    fn learn(&mut self, took: i64) {
        self.size = match took {
            ..SHORT => self.size * 2,
            LONG.. => self.size / 2,
            _ => self.size,
        }
        .clamp(FEWEST, MOST);
    }

    fn may_try_again(&mut self, number: Number) -> bool {
        let tries = self.failures.entry(number).or_default();
        *tries += 1;
        *tries < TRIES
    }
}
