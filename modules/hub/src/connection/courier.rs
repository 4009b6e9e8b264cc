//! Writes to many connections, one after the other.
//!
//! An event for five thousand connections must not wake five thousand tasks: most sockets take a
//! frame at once. So whoever has something for a connection calls its courier, which goes by all
//! that have called and writes what waits for each with one write. While it is on its way more may
//! come to wait; that goes with the same write. It never waits for a socket: what one does not take
//! is left to that connection's own [writer](super::writer).

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};

use super::{Connection, Stream};
use crate::{close::Close, frame::Frame};

/// After so many connections others get their turn on the processor.
const AT_ONCE: usize = 128;

/// Goes by connections that call it.
#[derive(Default)]
pub(crate) struct Courier {
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    connections: Vec<Arc<Connection>>,
    /// The courier, where it waits.
    waiting: Option<Waker>,
}

impl Courier {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing panics while it holds the lock.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something waits for a connection.
    pub(super) fn call(&self, connection: Arc<Connection>) {
        let mut calls = self.calls();
        calls.connections.push(connection);
        let waiting = calls.waiting.take();
        drop(calls);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Works until its task is ended.
    pub async fn run(self: Arc<Self>) {
        // Writes that do not wait are no reason to give way; that is done every so often below.
        tokio::task::unconstrained(async move {
            let mut round = Vec::new();
            let mut bag = Bag::default();
            loop {
                poll_fn(|context| self.poll_calls(context, &mut round)).await;
                for (number, connection) in round.drain(..).enumerate() {
                    bag.deliver(&connection);
                    if number % AT_ONCE == AT_ONCE - 1 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        })
        .await;
    }

    fn poll_calls(&self, context: &mut Context<'_>, round: &mut Vec<Arc<Connection>>) -> Poll<()> {
        let mut calls = self.calls();
        if calls.connections.is_empty() {
            calls.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut calls.connections, round);
        Poll::Ready(())
    }
}

/// What the courier carries, used again for each connection.
#[derive(Default)]
struct Bag {
    frames: VecDeque<Frame>,
    together: BytesMut,
}

impl Bag {
    fn deliver(&mut self, connection: &Connection) {
        // Held until it is settled what the socket has taken, so that nobody writes in between.
        let mut held = connection.stream();
        let Some(stream) = &mut *held else {
            return;
        };
        connection.outbox.take(&mut self.frames);
        let written = match self.frames.len() {
            0 => return,
            1 => write(stream, &self.frames[0]),
            _ => {
                for frame in &self.frames {
                    self.together.extend_from_slice(frame);
                }
                write(stream, &self.together)
            }
        };
        match written {
            Ok(written) => {
                let rest = match self.frames.len() {
                    1 => self.frames[0].slice(written..),
                    _ => Bytes::copy_from_slice(&self.together[written..]),
                };
                if !rest.is_empty() {
                    connection.outbox.leave(rest);
                }
            }
            Err(_) => connection.close(Close::Over),
        }
        self.frames.clear();
        self.together.clear();
    }
}

/// Writes as much as the socket takes at once.
fn write(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<usize> {
    // Whoever waits for room says so again.
    let mut context = Context::from_waker(Waker::noop());
    match stream.as_mut().poll_write(&mut context, bytes) {
        Poll::Ready(written) => written,
        Poll::Pending => Ok(0),
    }
}
