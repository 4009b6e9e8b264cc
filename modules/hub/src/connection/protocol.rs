//! The WebSocket protocol of one connection (RFC 6455), without the socket: bytes go in, messages
//! come out, and what the protocol itself wants to send.

use std::io::{self, Read, Write};

use bytes::{Buf, BytesMut};
use tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::close::Close;

/// Room for what is read; messages that do not fit make it grow for as long as they come in.
const READ_BUFFER: usize = 512;

pub(super) struct Protocol {
    context: WebSocketContext,
    pipe: Pipe,
}

/// What the protocol reads from and writes to.
#[derive(Default)]
struct Pipe {
    input: BytesMut,
    output: Vec<u8>,
}

/// What has come in.
pub(super) enum Incoming {
    Text(String),
    /// A sign of life and no more.
    Nothing,
}

impl Protocol {
    pub fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            pipe: Pipe::default(),
        }
    }

    /// Takes in what came over the wire.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pipe.input.extend_from_slice(bytes);
    }

    /// The next message; none where it has not come in whole yet.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn next(&mut self) -> Result<Option<Incoming>, Close> {
        match self.context.read(&mut self.pipe) {
            Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text.to_string()))),
            Ok(Message::Binary(_)) => Err(Close::NotText),
            Ok(Message::Close(_)) => Err(Close::Over),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                Ok(Some(Incoming::Nothing))
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.pipe.input.is_empty() {
                    // The next message may be a long time off.
                    self.pipe.input = BytesMut::new();
                }
                Ok(None)
            }
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => Err(Close::TooLarge),
            Err(Error::Utf8(_)) => Err(Close::NotUtf8),
            Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_)) => Err(Close::Over),
            Err(_) => Err(Close::Malformed),
        }
    }

    /// What the protocol has to say: answers to pings and to the client's goodbye.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        // What it cannot say any more after the end is of no interest.
        self.context.flush(&mut self.pipe).ok();
        let output = std::mem::take(&mut self.pipe.output);
        (!output.is_empty()).then_some(output)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.input.len());
        self.input.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame of a client.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    fn all(protocol: &mut Protocol) -> Result<Vec<String>, Close> {
        let mut texts = Vec::new();
        while let Some(incoming) = protocol.next()? {
            if let Incoming::Text(text) = incoming {
                texts.push(text);
            }
        }
        Ok(texts)
    }

    #[test]
    fn messages_come_out_however_the_bytes_come_in() {
        let mut bytes = frame(1, b"one");
        bytes.extend(frame(1, b"two"));
        for size in [1, 3, 100] {
            let mut protocol = Protocol::new(100);
            let mut texts = Vec::new();
            for part in bytes.chunks(size) {
                protocol.feed(part);
                texts.extend(all(&mut protocol).unwrap());
            }
            assert_eq!(texts, ["one", "two"]);
            assert!(protocol.take_output().is_none());
        }
    }

    #[test]
    fn pings_are_answered() {
        let mut protocol = Protocol::new(100);
        protocol.feed(&frame(9, b"?"));
        assert!(all(&mut protocol).unwrap().is_empty());
        assert_eq!(protocol.take_output().unwrap(), [0x8a, 1, b'?']);
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        for (bytes, close) in [
            (frame(2, b"bytes"), Close::NotText),
            (frame(1, &[0xff]), Close::NotUtf8),
            (frame(1, &[b'x'; 101]), Close::TooLarge),
            (vec![0x81, 1, b'x'], Close::Malformed),
            (frame(8, &[0x03, 0xe8]), Close::Over),
        ] {
            let mut protocol = Protocol::new(100);
            protocol.feed(&bytes);
            assert_eq!(all(&mut protocol), Err(close));
        }
    }
}
