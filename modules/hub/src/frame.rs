//! What is sent, as the bytes that go over the wire: made once, shared by every connection.

use bytes::Bytes;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// One WebSocket frame, ready to be written. Servers do not mask, so it is the same for everybody.
pub(crate) type Frame = Bytes;

/// A text frame.
pub(crate) fn text(payload: &[u8]) -> Frame {
    frame(OpCode::Data(Data::Text), payload)
}

/// A ping that carries nothing.
pub(crate) fn ping() -> Frame {
    frame(OpCode::Control(Control::Ping), &[])
}

/// The frame that ends a connection, with its code and a reason in words (RFC 6455 §5.5.1).
pub(crate) fn close(code: u16, reason: &str) -> Frame {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    // A control frame carries at most 125 bytes.
    let end = (0..=reason.len().min(123))
        .rev()
        .find(|end| reason.is_char_boundary(*end))
        .unwrap_or_default();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(OpCode::Control(Control::Close), &payload)
}

fn frame(opcode: OpCode, payload: &[u8]) -> Frame {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    let length = payload.len() as u64;
    let mut bytes = Vec::with_capacity(header.len(length) + payload.len());
    // Writing into memory cannot fail.
    if header.format(length, &mut bytes).is_err() {
        return Bytes::new();
    }
    bytes.extend_from_slice(payload);
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_standard_says() {
        assert_eq!(text(b"Hi")[..], [0x81, 2, b'H', b'i']);
        assert_eq!(text(&[b'x'; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(
            text(&[b'x'; 70_000])[..10],
            [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
        );
        assert_eq!(ping()[..], [0x89, 0]);
        assert_eq!(
            close(4008, "slow")[..],
            [0x88, 6, 0x0f, 0xa8, b's', b'l', b'o', b'w']
        );
        let long = "ä".repeat(100);
        assert_eq!(close(1000, &long).len(), 2 + 2 + 122);
    }
}
