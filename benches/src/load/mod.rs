//! The load generator: as many requests as a fixed number of keep-alive connections can carry.
//!
//! Server and generator share the machine, so every microsecond spent here hides the server's
//! speed. Hence one thread, epoll, no allocation per request, and a response reader that looks
//! only at what delimits a response. [`Generator::drive`] is a closed loop: a connection sends its
//! next request when its last one was answered, so a latency is the server's, never a queue's in
//! front of it. [`Generator::pace`] is an open loop: requests start at a fixed rate, whether or not
//! earlier ones were answered, and a latency counts from the time a request was due.
//!
//! It never retries and never forgives: a status outside 2xx, a socket error or a malformed
//! response is counted, and the caller must treat the run as failed. Start reading at
//! [`Generator::drive`].

mod connection;
mod outcome;
mod paced;
mod response;

pub use outcome::Outcome;
pub use paced::Paced;
pub use response::{Progress, ResponseReader};

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use connection::{Connection, Step};
use mio::{Events, Poll, Registry};

use crate::interrupt::Interrupt;

/// Without a single answer for this long the server counts as hung.
const STALL: Duration = Duration::from_secs(10);
/// How long requests under way may still take once the time is up.
const DRAIN: Duration = Duration::from_secs(5);
/// A run that fails this often has nothing more to tell.
const MAX_FAILURES: u64 = 100;

/// A set of open connections to one server, reusable for several runs.
pub struct Generator {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    input: Box<[u8]>,
}

impl Generator {
    /// Opens `concurrency` connections to `address`.
    pub fn connect(address: SocketAddr, concurrency: usize) -> Result<Self> {
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let connections = (0..concurrency)
            .map(|index| Connection::open(address, index, poll.registry()))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(concurrency.max(1)),
            connections,
            input: vec![0; 256 * 1024].into_boxed_slice(),
        })
    }

    /// Loads the server for `span`. `next` appends one whole HTTP request to the buffer it gets;
    /// when it appends nothing, that connection has nothing more to send, and when all have not,
    /// the run ends early.
    ///
    /// Answers that arrive after `span` are awaited, so that the connections can be used again,
    /// but not counted.
    ///
    /// # Errors
    /// When the server answers nothing for 10 s, when a connection cannot be reopened, or on
    /// ctrl-c. Failed requests are no error here: they are counted in the [`Outcome`].
    pub fn drive(
        &mut self,
        span: Duration,
        interrupt: &Interrupt,
        next: &mut impl FnMut(&mut Vec<u8>),
    ) -> Result<Outcome> {
        let mut outcome = Outcome::new(span);
        let started = Instant::now();
        let deadline = started + span;
        let mut under_way = 0usize;
        for connection in &mut self.connections {
            let sent = launch(
                connection,
                self.poll.registry(),
                started,
                &mut outcome,
                next,
            )?;
            under_way += usize::from(sent);
        }

        let mut last_answer = started;
        while under_way > 0 {
            interrupt.check()?;
            let now = Instant::now();
            if now > deadline + DRAIN {
                bail!("{under_way} requests were not answered {DRAIN:?} after the end of the run");
            }
            if now - last_answer > STALL {
                bail!("the server answered nothing for {STALL:?}");
            }
            match self
                .poll
                .poll(&mut self.events, Some(Duration::from_millis(100)))
            {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("epoll failed"),
            }
            let registry = self.poll.registry();
            for event in &self.events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                let step = connection.ready(event, registry, &mut self.input);
                if matches!(step, Ok(Step::Waiting)) {
                    continue;
                }
                under_way -= 1;
                let now = Instant::now();
                match step {
                    Ok(_) if now < deadline => outcome.answered(connection, now),
                    // Too late to be measured, but a refusal now is a refusal too.
                    Ok(_) => {
                        outcome.checked(connection);
                    }
                    Err(error) => {
                        outcome.failed(&error);
                        connection
                            .reopen(registry)
                            .context(outcome.failure_text())?;
                    }
                }
                last_answer = now;
                if now < deadline {
                    let sent = launch(connection, registry, now, &mut outcome, next)?;
                    under_way += usize::from(sent);
                }
            }
            if outcome.failures() >= MAX_FAILURES {
                bail!("gave up: {}", outcome.failure_text());
            }
        }
        Ok(outcome)
    }
}

/// Sends the next request, if there is one; says whether an answer is to be awaited.
fn launch(
    connection: &mut Connection,
    registry: &Registry,
    now: Instant,
    outcome: &mut Outcome,
    next: &mut impl FnMut(&mut Vec<u8>),
) -> Result<bool> {
    match connection.send(now, registry, next) {
        Ok(sent) => Ok(sent),
        Err(error) => {
            outcome.failed(&error);
            connection
                .reopen(registry)
                .context(outcome.failure_text())?;
            Ok(false)
        }
    }
}
