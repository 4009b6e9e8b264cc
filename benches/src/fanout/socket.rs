//! A WebSocket client that costs little: frames are looked at where they were read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

const LIMIT: Duration = Duration::from_secs(30);

/// A connection that is being set up, with blocking calls.
pub struct Socket {
    pub stream: TcpStream,
    /// What was read and not used yet.
    pub rest: Vec<u8>,
}

impl Socket {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, path: &str, headers: &str) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\n\
             connection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut socket = Self {
            stream,
            rest: Vec::new(),
        };
        let end = loop {
            if let Some(at) = memchr::memmem::find(&socket.rest, b"\r\n\r\n") {
                break at + 4;
            }
            socket.fill()?;
        };
        let head = String::from_utf8_lossy(&socket.rest[..end]).into_owned();
        ensure!(head.starts_with("HTTP/1.1 101"), "no WebSocket: {head}");
        socket.rest.drain(..end);
        Ok(socket)
    }

    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => bail!("the connection has ended"),
            read => self.rest.extend_from_slice(&chunk[..read]),
        }
        Ok(())
    }

    /// The text of the next frame.
    pub fn receive(&mut self) -> Result<String> {
        loop {
            if let Some(frame) = next(&self.rest)? {
                let text = String::from_utf8_lossy(&self.rest[frame.payload..frame.end]);
                let text = text.into_owned();
                self.rest.drain(..frame.end);
                return Ok(text);
            }
            self.fill()?;
        }
    }

    pub fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = Vec::new();
        write_frame(&mut frame, text.as_bytes())?;
        Ok(self.stream.write_all(&frame)?)
    }
}

/// Where a frame's payload lies.
pub struct Frame {
    pub payload: usize,
    pub end: usize,
    pub opcode: u8,
}

/// The first frame, where it is there in whole.
pub fn next(bytes: &[u8]) -> Result<Option<Frame>> {
    let Some(&[first, second]) = bytes.get(..2) else {
        return Ok(None);
    };
    let (length, payload) = match second {
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        short if short < 126 => (usize::from(short), 2),
        _ => bail!("a frame that is masked or longer than any that was sent"),
    };
    let end = payload + length;
    Ok((bytes.len() >= end).then_some(Frame {
        payload,
        end,
        opcode: first & 0x0f,
    }))
}

/// Appends a text frame of a client. Its mask is of zeros, which is a mask too.
pub fn write_frame(out: &mut Vec<u8>, payload: &[u8]) -> Result<()> {
    out.push(0x81);
    match payload.len() {
        short @ ..126 => out.push(0x80 | u8::try_from(short)?),
        long => {
            out.push(0x80 | 126);
            let long = u16::try_from(long).context("a message of at most 64 KiB")?;
            out.extend_from_slice(&long.to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    Ok(())
}
