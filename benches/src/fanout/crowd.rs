//! Everybody who listens: one thread that reads from thousands of connections and checks that
//! nothing is missing and nothing comes twice.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::socket::{self, Socket};
use crate::interrupt::Interrupt;

const READ: usize = 256 << 10;

/// Connections that hear the same room.
pub struct Crowd {
    poll: Poll,
    members: Vec<Member>,
    buffer: Vec<u8>,
}

struct Member {
    stream: TcpStream,
    rest: Vec<u8>,
    room: usize,
    /// Number of the message that comes next.
    next: u64,
}

/// What was heard.
pub struct Heard {
    pub deliveries: u64,
    /// In nanoseconds.
    pub latency: Histogram<u64>,
    pub reads: u64,
    pub bytes: u64,
    /// From the first message to the last delivery.
    pub span: Duration,
}

/// Says a message in a room: the room, when, and its number there.
pub type Say<'a> = dyn FnMut(usize, u64, u64) -> Result<Vec<u8>> + 'a;

impl Crowd {
    /// Takes over connections, each with its room.
    pub fn new(sockets: Vec<(Socket, usize)>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(sockets.len());
        for (token, (socket, room)) in sockets.into_iter().enumerate() {
            socket.stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(socket.stream);
            let registry = poll.registry();
            registry.register(&mut stream, Token(token), Interest::READABLE)?;
            members.push(Member {
                stream,
                rest: socket.rest,
                room,
                next: 0,
            });
        }
        Ok(Self {
            poll,
            members,
            buffer: vec![0; READ],
        })
    }

    /// Has `count` messages said, `rate` in a second (as fast as possible with none), in the rooms by
    /// turns, and listens until all were heard.
    pub fn listen(
        &mut self,
        publishers: &mut [Socket],
        (count, rate): (u64, Option<u32>),
        limit: Duration,
        interrupt: &Interrupt,
        say: &mut Say<'_>,
    ) -> Result<Heard> {
        let rooms = publishers.len();
        let mut sizes = vec![0_u64; rooms];
        for member in &mut self.members {
            sizes[member.room] += 1;
            member.next = 0;
        }
        let messages_in = |room: usize| {
            let (all, rooms, room) = (count, rooms as u64, room as u64);
            all / rooms + u64::from(room < all % rooms)
        };
        let expected: u64 = (0..rooms).map(|room| messages_in(room) * sizes[room]).sum();
        for publisher in &publishers[..] {
            publisher.stream.set_nonblocking(true)?;
        }
        let mut heard = Heard {
            deliveries: 0,
            latency: Histogram::new_with_bounds(1, 600_000_000_000, 3)?,
            reads: 0,
            bytes: 0,
            span: Duration::ZERO,
        };
        let mut waiting: Vec<Vec<u8>> = vec![Vec::new(); rooms];
        let mut drain = vec![0; 16 << 10];
        let mut events = Events::with_capacity(1024);
        let started = Instant::now();
        let mut said = 0;
        while heard.deliveries < expected {
            interrupt.check()?;
            let now = started.elapsed();
            ensure!(
                now < limit,
                "{} of {expected} deliveries in {limit:?}",
                heard.deliveries
            );
            let due = rate.map_or(count, |rate| {
                count.min((now.as_secs_f64() * f64::from(rate)) as u64 + 1)
            });
            while said < due {
                let room = (said % rooms as u64) as usize;
                // In a burst a few at a time, so that the clock in the messages is right.
                if rate.is_none() && waiting[room].len() > 64 << 10 {
                    break;
                }
                let at = u64::try_from(started.elapsed().as_nanos())?;
                let frame = say(room, at, said / rooms as u64)?;
                waiting[room].extend_from_slice(&frame);
                said += 1;
            }
            for (publisher, waiting) in publishers.iter_mut().zip(&mut waiting) {
                flush(publisher, waiting, &mut drain)?;
            }
            let pause = match rate {
                Some(_) => Duration::from_micros(500),
                None if said < count => Duration::ZERO,
                None => Duration::from_millis(1),
            };
            self.poll.poll(&mut events, Some(pause))?;
            for event in &events {
                self.read(event.token().0, started, &mut heard)?;
            }
        }
        heard.span = started.elapsed();
        // A message more than there should be would come now.
        self.poll
            .poll(&mut events, Some(Duration::from_millis(200)))?;
        for event in &events {
            self.read(event.token().0, started, &mut heard)?;
        }
        ensure!(heard.deliveries == expected, "something was heard twice");
        Ok(heard)
    }

    fn read(&mut self, index: usize, started: Instant, heard: &mut Heard) -> Result<()> {
        let member = &mut self.members[index];
        loop {
            let carried = member.rest.len();
            self.buffer[..carried].copy_from_slice(&member.rest);
            let read = match member.stream.read(&mut self.buffer[carried..]) {
                Ok(0) => bail!("a subscriber was disconnected"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a subscriber"),
            };
            heard.reads += 1;
            heard.bytes += read as u64;
            let end = carried + read;
            let mut at = 0;
            let now = u64::try_from(started.elapsed().as_nanos())?;
            while let Some(frame) = socket::next(&self.buffer[at..end])? {
                let payload = &self.buffer[at + frame.payload..at + frame.end];
                if frame.opcode == 1 && payload != b"2" {
                    let (sent, number) = stamp(payload)?;
                    ensure!(
                        number == member.next,
                        "message {number} instead of {}",
                        member.next
                    );
                    member.next += 1;
                    heard.deliveries += 1;
                    heard.latency.record(now.saturating_sub(sent).max(1))?;
                }
                at += frame.end;
            }
            member.rest.clear();
            member.rest.extend_from_slice(&self.buffer[at..end]);
        }
    }

    /// How many listen.
    pub fn len(&self) -> usize {
        self.members.len()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &self.members {
            let fd = member.stream.as_raw_fd();
            // Closing takes it out anyway.
            self.poll.registry().deregister(&mut SourceFd(&fd)).ok();
        }
    }
}

/// Sends what waits, and throws away what the server answers to the publisher.
fn flush(publisher: &mut Socket, waiting: &mut Vec<u8>, drain: &mut [u8]) -> Result<()> {
    while !waiting.is_empty() {
        match publisher.stream.write(waiting) {
            Ok(written) => {
                waiting.drain(..written);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error).context("the publisher"),
        }
    }
    loop {
        match publisher.stream.read(drain) {
            Ok(0) => bail!("the publisher was disconnected"),
            Ok(read) => {
                let text = String::from_utf8_lossy(&drain[..read]);
                ensure!(
                    !text.contains("\"error\""),
                    "the publisher was refused: {text}"
                );
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("the publisher"),
        }
    }
}

/// When a message was said, and its number.
fn stamp(payload: &[u8]) -> Result<(u64, u64)> {
    // In a string inside JSON the quotes are escaped.
    let at = memchr::memmem::find(payload, b"\"t\":")
        .map(|at| at + 4)
        .or_else(|| memchr::memmem::find(payload, b"\"t\\\":").map(|at| at + 5));
    let at = at.with_context(|| format!("no time in {}", String::from_utf8_lossy(payload)))?;
    let (sent, rest) = number(&payload[at..])?;
    let at = memchr::memchr(b':', rest).context("no number in a message")?;
    let (number, _) = number(&rest[at + 1..])?;
    Ok((sent, number))
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .context("no number")?;
    let number = std::str::from_utf8(&bytes[..end])?.parse()?;
    Ok((number, &bytes[end..]))
}
