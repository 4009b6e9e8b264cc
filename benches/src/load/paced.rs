//! The open loop: requests that start when their time has come.
//!
//! A closed loop asks less of a server that is slow, and so it hides how slow it was. Here the start
//! times are fixed beforehand, every one of them becomes a request, and a latency counts from the
//! start time, so that what waited for a free connection, or for this thread, is not forgotten.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::connection::Step;
use super::outcome::microseconds;
use super::{Generator, MAX_FAILURES, Outcome};
use crate::interrupt::Interrupt;

/// How long requests may still wait for their answer once the last one was due.
const DRAIN: Duration = Duration::from_secs(60);

/// What a run at a fixed rate found.
pub struct Paced {
    /// All requests that were due within the span, however late their answers came.
    pub outcome: Outcome,
    /// How many those were.
    pub due: u64,
    /// Microseconds from the time a request was due to the time it was sent.
    lateness: Histogram<u64>,
}

impl Paced {
    /// How late, in microseconds, the given share of requests (0 to 1) was sent at most.
    ///
    /// It is part of their latency: the generator had no free processor or no free connection.
    pub fn lateness_us(&self, quantile: f64) -> u64 {
        self.lateness.value_at_quantile(quantile)
    }

    /// Adds another run of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.outcome.merge(&other.outcome);
        self.due += other.due;
        self.lateness += &other.lateness;
    }
}

impl Generator {
    /// Starts `rate` requests per second for `span`, evenly spread, and awaits all answers. `next`
    /// appends one whole HTTP request to the buffer it gets.
    ///
    /// A request that finds every connection busy is sent as soon as one is free.
    ///
    /// # Errors
    /// When answers are missing a minute after the last request was due, when a connection cannot
    /// be reopened, after a hundred socket errors, or on ctrl-c. Refusals are no error here: they
    /// are counted in the [`Outcome`].
    pub fn pace(
        &mut self,
        rate: u32,
        span: Duration,
        interrupt: &Interrupt,
        next: &mut impl FnMut(&mut Vec<u8>),
    ) -> Result<Paced> {
        let mut outcome = Outcome::new(span);
        let mut lateness = microseconds();
        let timer = Timer::register(Token(self.connections.len()), self.poll.registry())?;
        // The one that was used last comes first: its memory is still in the processor's caches.
        let mut idle: Vec<usize> = (0..self.connections.len()).rev().collect();
        let mut busy = vec![false; self.connections.len()];
        let mut errors = 0;
        let mut schedule = Schedule::new(Instant::now(), rate, span);
        let due = schedule.total;
        let deadline = schedule.started + span + DRAIN;

        loop {
            let now = Instant::now();
            while let Some(index) = idle.last().copied() {
                let Some(due) = schedule.take(now) else { break };
                let micros = (now - due).as_micros().try_into().unwrap_or(u64::MAX);
                lateness.saturating_record(micros);
                let connection = &mut self.connections[index];
                match connection.send(due, self.poll.registry(), next) {
                    Ok(sent) => ensure!(sent, "there is no request to send"),
                    Err(error) => {
                        errors += 1;
                        outcome.failed(&error);
                        connection
                            .reopen(self.poll.registry())
                            .context(outcome.failure_text())?;
                        continue;
                    }
                }
                idle.pop();
                busy[index] = true;
            }
            let waiting = schedule.next();
            if waiting.is_none() && idle.len() == busy.len() {
                break;
            }
            interrupt.check()?;
            if now > deadline {
                let missing = busy.len() - idle.len();
                bail!("{missing} requests were not answered {DRAIN:?} after the end of the run");
            }
            if errors >= MAX_FAILURES {
                bail!("gave up: {}", outcome.failure_text());
            }
            // With every connection busy the next answer is what is waited for.
            if let Some(due) = waiting.filter(|_| !idle.is_empty()) {
                timer.ring_in(due.saturating_duration_since(Instant::now()))?;
            }
            match self
                .poll
                .poll(&mut self.events, Some(Duration::from_millis(100)))
            {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("epoll failed"),
            }
            for event in &self.events {
                let index = event.token().0;
                let Some(connection) = self.connections.get_mut(index) else {
                    continue; // the timer
                };
                let step = connection.ready(event, self.poll.registry(), &mut self.input);
                if matches!(step, Ok(Step::Waiting)) {
                    continue;
                }
                match step {
                    Ok(_) => outcome.answered(connection, Instant::now()),
                    Err(error) => {
                        // A server may close a connection on which nothing is under way.
                        if busy[index] {
                            errors += 1;
                            outcome.failed(&error);
                        }
                        connection
                            .reopen(self.poll.registry())
                            .context(outcome.failure_text())?;
                    }
                }
                if std::mem::take(&mut busy[index]) {
                    idle.push(index);
                }
            }
        }
        Ok(Paced {
            outcome,
            due,
            lateness,
        })
    }
}

/// Start times at a fixed rate. Each is computed from its number, so that no rounding adds up.
struct Schedule {
    started: Instant,
    rate: u32,
    total: u64,
    taken: u64,
}

impl Schedule {
    fn new(started: Instant, rate: u32, span: Duration) -> Self {
        let total = span.as_nanos() * u128::from(rate) / NANOS;
        Self {
            started,
            rate: rate.max(1),
            total: total.try_into().unwrap_or(u64::MAX),
            taken: 0,
        }
    }

    /// The next start time that was not taken yet.
    fn next(&self) -> Option<Instant> {
        let nanos = u128::from(self.taken) * NANOS / u128::from(self.rate);
        let after = Duration::from_nanos(nanos.try_into().ok()?);
        (self.taken < self.total).then(|| self.started + after)
    }

    /// Takes it, if it has come.
    fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next().filter(|due| *due <= now)?;
        self.taken += 1;
        Some(due)
    }
}

const NANOS: u128 = 1_000_000_000;

/// Ends a wait on epoll at a time that is exact to microseconds; its own limit counts milliseconds.
struct Timer(OwnedFd);

impl Timer {
    /// Registered until it is dropped: closing it takes it from epoll.
    fn register(token: Token, registry: &Registry) -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot create a timer")?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Replaces the time set before. Nobody needs to read it: each ring is an edge of its own.
    fn ring_in(&self, wait: Duration) -> Result<()> {
        // Zero would switch it off.
        let wait = Timespec::try_from(wait.max(Duration::from_nanos(1)))?;
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: wait,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)
            .context("cannot set a timer")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    #[test]
    fn start_times_are_even_and_do_not_drift() {
        let started = Instant::now();
        let mut schedule = Schedule::new(started, 3, Duration::from_secs(1_000_000));
        assert_eq!(schedule.total, 3_000_000);
        assert_eq!(schedule.next(), Some(started));
        schedule.taken = 2_999_997;
        assert_eq!(
            schedule.next(),
            Some(started + Duration::from_secs(999_999))
        );
        schedule.taken = 3_000_000;
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn what_was_missed_is_made_up_for_and_nothing_comes_early() {
        let started = Instant::now();
        let mut schedule = Schedule::new(started, 10, Duration::from_millis(350));
        let at = |millis| started + Duration::from_millis(millis);
        assert_eq!(schedule.take(at(0)), Some(at(0)));
        assert_eq!(schedule.take(at(99)), None);
        assert_eq!(schedule.take(at(250)), Some(at(100)));
        assert_eq!(schedule.take(at(250)), Some(at(200)));
        assert_eq!(schedule.take(at(250)), None);
        assert_eq!(schedule.take(at(9_999)), None, "3.5 requests are three");
    }

    /// Answers whatever comes on one connection after the given time, with the given statuses by
    /// turns.
    fn answer(mut socket: TcpStream, after: Duration, statuses: &[u16]) {
        let mut request = [0; 256];
        for status in statuses.iter().cycle() {
            if socket.read(&mut request).unwrap() == 0 {
                return;
            }
            thread::sleep(after);
            let head = format!("HTTP/1.1 {status} As Said\r\nContent-Length: 0\r\n\r\n");
            socket.write_all(head.as_bytes()).unwrap();
        }
    }

    fn ask(out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn latencies_count_from_the_time_a_request_was_due() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut generator = Generator::connect(listener.local_addr().unwrap(), 1).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let server = thread::spawn(|| answer(socket, Duration::from_millis(20), &[200]));
        let span = Duration::from_millis(100);
        let found = generator.pace(100, span, &Interrupt::default(), &mut ask);
        drop(generator);
        server.join().unwrap();

        let found = found.unwrap();
        assert_eq!((found.due, found.outcome.requests()), (10, 10));
        // Due after 90 ms, begun after the nine before it, answered after 200 ms.
        assert!(found.outcome.latency_us(1.0) >= 110_000);
        assert!(found.lateness_us(1.0) >= 90_000);
    }

    #[test]
    fn refusals_are_counted_and_have_no_latency() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut generator = Generator::connect(listener.local_addr().unwrap(), 1).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let server = thread::spawn(|| answer(socket, Duration::ZERO, &[503, 200, 503, 429]));
        let span = Duration::from_millis(100);
        let found = generator.pace(100, span, &Interrupt::default(), &mut ask);
        drop(generator);
        server.join().unwrap();

        let outcome = found.unwrap().outcome;
        assert_eq!(outcome.requests(), 3);
        assert_eq!((outcome.refusals(503), outcome.refusals(429)), (5, 2));
        assert_eq!(outcome.failures(), 7);
    }

    #[test]
    fn a_server_may_close_a_connection_that_is_idle() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut generator = Generator::connect(listener.local_addr().unwrap(), 2).unwrap();
        let (socket, _) = listener.accept().unwrap();
        drop(listener.accept().unwrap());
        let first = thread::spawn(|| answer(socket, Duration::ZERO, &[200]));
        let second = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            answer(socket, Duration::ZERO, &[200]);
        });
        let span = Duration::from_millis(100);
        let found = generator.pace(100, span, &Interrupt::default(), &mut ask);
        drop(generator);
        first.join().unwrap();
        second.join().unwrap();

        let outcome = found.unwrap().outcome;
        assert_eq!((outcome.requests(), outcome.failures()), (10, 0));
    }
}
