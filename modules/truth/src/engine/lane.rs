//! A lane: the task of one session, that takes what waits and commits it, again and again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use nubo_core::Error;

use super::{Engine, attempt, queue::Queue};
use crate::session::Session;

/// How long is waited before the database is tried again: at first, and at most. It is back within
/// two seconds of the database's return.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How often those are looked for meanwhile who need not wait.
const LOOK: Duration = Duration::from_millis(20);

/// Works until the queue is closed and empty.
pub(super) async fn run<S: Session>(mut engine: Engine<S>, queue: Arc<Queue>) {
    let mut looked = None;
    loop {
        if !engine.session.is_connected() && !reconnect(&mut engine, &queue).await {
            break;
        }
        let taken = match S::WATCH {
            None => queue.take().await,
            Some(every) => {
                if looked.is_none_or(|looked: Instant| looked.elapsed() >= every) {
                    look_for_others(&mut engine).await;
                    looked = Some(Instant::now());
                }
                match tokio::time::timeout(every, queue.take()).await {
                    Ok(taken) => taken,
                    Err(_elapsed) => continue,
                }
            }
        };
        let Some(mut taken) = taken else {
            break;
        };
        attempt::commit(&mut engine, std::mem::take(&mut taken.jobs)).await;
    }
    engine.touched.settled().await;
    engine.session.close().await;
}

/// Tells the observers if somebody else has written meanwhile.
async fn look_for_others<S: Session>(engine: &mut Engine<S>) {
    match engine.session.was_overtaken().await {
        Ok(false) => {}
        Ok(true) => {
            tracing::info!(
                "somebody else has written to the database; what is cached is forgotten"
            );
            engine.touched.overtaken().await;
        }
        Err(error) => {
            tracing::warn!(%error, "it cannot be seen whether somebody else writes");
        }
    }
}

/// Tries to get a connection until there is one. Meanwhile, if no lane has one, what waits is
/// refused rather than kept waiting. False when there is nothing to do any longer.
async fn reconnect<S: Session>(engine: &mut Engine<S>, queue: &Queue) -> bool {
    let connected = &engine.shared.connected;
    connected.fetch_sub(1, Ordering::SeqCst);
    let mut pause = FIRST_PAUSE;
    loop {
        match engine.session.connect().await {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, "the database cannot be reached"),
        }
        let again = Instant::now() + pause;
        while Instant::now() < again {
            if connected.load(Ordering::SeqCst) == 0 {
                refuse(queue);
            }
            if queue.is_over() {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    connected.fetch_add(1, Ordering::SeqCst);
    tracing::info!("the database is back");
    attempt::settle_doubt(engine).await;
    true
}

/// 503 to all who wait.
fn refuse(queue: &Queue) {
    for job in queue.take_all() {
        let unreachable = |_| {
            Err(Error::unavailable(
                "truth_unavailable",
                "the database cannot be reached",
            ))
        };
        let fates = (0..job.work.len()).map(unreachable).collect();
        // Who has gone away meanwhile does not need to know.
        job.answer.send(fates).ok();
    }
}
