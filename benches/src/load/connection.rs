//! One keep-alive connection: its socket, the request under way and the response so far.

use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::response::{Progress, ResponseReader};

/// What an event led to.
pub enum Step {
    /// The response is not complete yet.
    Waiting,
    /// The response is complete; the connection is idle.
    Answered,
}

/// A connection that carries one request at a time.
pub struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    token: Token,
    request: Vec<u8>,
    written: usize,
    /// Registered for writability too, because the socket took only a part of the request.
    blocked: bool,
    reader: ResponseReader,
    sent_at: Instant,
}

impl Connection {
    /// Connects, blocking for at most five seconds, and registers with epoll.
    pub fn open(address: SocketAddr, index: usize, registry: &Registry) -> Result<Self> {
        let token = Token(index);
        Ok(Self {
            socket: dial(address, token, registry)?,
            address,
            token,
            request: Vec::with_capacity(16 * 1024),
            written: 0,
            blocked: false,
            reader: ResponseReader::default(),
            sent_at: Instant::now(),
        })
    }

    /// Replaces a broken socket; the request under way is lost.
    pub fn reopen(&mut self, registry: &Registry) -> Result<()> {
        self.socket = dial(self.address, self.token, registry)?;
        self.reader = ResponseReader::default();
        self.blocked = false;
        Ok(())
    }

    /// Writes the next request; what the socket does not take follows when it is writable.
    /// False when there is no next request.
    pub fn send(
        &mut self,
        now: Instant,
        registry: &Registry,
        next: &mut impl FnMut(&mut Vec<u8>),
    ) -> IoResult<bool> {
        self.request.clear();
        next(&mut self.request);
        if self.request.is_empty() {
            return Ok(false);
        }
        self.written = 0;
        self.sent_at = now;
        self.reader.reset();
        self.flush(registry)?;
        Ok(true)
    }

    /// Takes the event as far as it goes without blocking.
    pub fn ready(
        &mut self,
        event: &Event,
        registry: &Registry,
        input: &mut [u8],
    ) -> IoResult<Step> {
        if self.blocked && event.is_writable() {
            self.flush(registry)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.receive(input);
        }
        Ok(Step::Waiting)
    }

    /// Status of the response that was read last.
    pub fn status(&self) -> u16 {
        self.reader.status()
    }

    /// Bytes of body of the response that was read last.
    pub fn body_bytes(&self) -> u64 {
        self.reader.body_bytes()
    }

    /// Time from the request's first byte to `now`.
    pub fn latency(&self, now: Instant) -> Duration {
        now - self.sent_at
    }

    fn flush(&mut self, registry: &Registry) -> IoResult<()> {
        while let Some(rest) = self
            .request
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.socket.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.blocked {
                        self.blocked = true;
                        let both = Interest::READABLE | Interest::WRITABLE;
                        registry.reregister(&mut self.socket, self.token, both)?;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.blocked {
            self.blocked = false;
            registry.reregister(&mut self.socket, self.token, Interest::READABLE)?;
        }
        Ok(())
    }

    fn receive(&mut self, input: &mut [u8]) -> IoResult<Step> {
        loop {
            let count = match self.socket.read(input) {
                Ok(0) => {
                    return Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        "connection closed by the server",
                    ));
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let drained = count < input.len();
            match self.reader.advance(&input[..count], None)? {
                Progress::Done { consumed } if consumed == count => return Ok(Step::Answered),
                Progress::Done { .. } => {
                    return Err(Error::new(
                        ErrorKind::InvalidData,
                        "bytes after the response",
                    ));
                }
                // A short read has emptied the socket, and the next byte raises a new edge
                // (epoll(7)), so asking once more for WouldBlock would be a system call wasted.
                Progress::More if drained => return Ok(Step::Waiting),
                Progress::More => {}
            }
        }
    }
}

fn dial(address: SocketAddr, token: Token, registry: &Registry) -> Result<TcpStream> {
    let socket = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("cannot connect to {address}"))?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket);
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(socket)
}
