//! What waits to be written to one connection, and whose turn it is to write it.
//!
//! Whoever has something for a connection puts a frame in and goes on. Most often a
//! [courier](super::courier) writes it, which goes by many connections; where the socket takes no
//! more, the connection's own [writer](super::writer) waits for it and writes the rest. The queue is
//! bounded by bytes: where a client does not keep up, everything that waits is dropped and the
//! connection ends, to be resumed later. So a slow client costs nobody else anything.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};

use crate::{close::Close, frame::Frame};

/// Bytes of several frames that are put together for one write.
const TOGETHER: usize = 64 << 10;

pub(crate) struct Outbox {
    state: Mutex<State>,
    most_bytes: usize,
}

#[derive(Default)]
struct State {
    /// What is left of a frame, or of several, that have been written in part.
    rest: Option<Bytes>,
    frames: VecDeque<Frame>,
    bytes: usize,
    turn: Turn,
    /// Why the connection ends, once that is certain.
    closing: Option<Close>,
    /// The writer, where it waits.
    writer: Option<Waker>,
    /// The reader, which wants to know of the end.
    reader: Option<Waker>,
}

/// Who writes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing waits.
    #[default]
    Nobody,
    /// The courier has been called.
    Courier,
    /// The socket is full; its own writer waits for it.
    Writer,
}

/// What the writer has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Write what the courier could not.
    Write,
    /// Write the last words.
    Close(Close),
}

impl Outbox {
    pub fn new(most_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            most_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame in; whether the courier must be called. Dropped where the connection ends
    /// anyway.
    pub(super) fn push(&self, frame: Frame) -> bool {
        let mut state = self.state();
        if state.closing.is_some() {
            return false;
        }
        // One alone is taken whatever its size: who came back for it would be sent away again.
        if state.bytes > 0 && state.bytes + frame.len() > self.most_bytes {
            state.frames.clear();
            state.bytes = 0;
            Self::end(state, Close::TooSlow);
            return false;
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        let is_first = state.turn == Turn::Nobody;
        if is_first {
            state.turn = Turn::Courier;
        }
        is_first
    }

    /// Ends the connection, once what waits has been written.
    pub(super) fn close(&self, close: Close) {
        let state = self.state();
        if state.closing.is_none() {
            Self::end(state, close);
        }
    }

    fn end(mut state: MutexGuard<'_, State>, close: Close) {
        state.closing = Some(close);
        let wakers = [state.writer.take(), state.reader.take()];
        drop(state);
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes all that waits, as text; and why the connection ends, where it does.
    #[cfg(test)]
    pub fn waiting(&self) -> (Vec<String>, Option<Close>) {
        let mut state = self.state();
        // In front of what is short are two bytes of frame, or four.
        let text = |frame: Frame| {
            let begin = frame.iter().position(|byte| *byte == b'{').unwrap();
            String::from_utf8(frame[begin..].to_vec()).unwrap()
        };
        let frames = std::mem::take(&mut state.frames);
        (frames.into_iter().map(text).collect(), state.closing)
    }

    /// Whether the connection ends.
    pub fn is_closing(&self) -> bool {
        self.state().closing.is_some()
    }

    /// Takes all that waits, for the courier; nothing where it is not the courier's turn. The frames
    /// go into `frames`, which is empty, and leaves its memory here.
    pub(super) fn take(&self, frames: &mut VecDeque<Frame>) {
        let mut state = self.state();
        if state.turn == Turn::Courier && state.closing.is_none() {
            state.turn = Turn::Nobody;
            state.bytes = 0;
            std::mem::swap(&mut state.frames, frames);
        }
    }

    /// The socket took no more: what is left is for the writer.
    pub(super) fn leave(&self, rest: Bytes) {
        let mut state = self.state();
        state.bytes += rest.len();
        state.rest = Some(rest);
        state.turn = Turn::Writer;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Waits until there is something for the writer to do.
    pub(super) fn poll_duty(&self, context: &mut Context<'_>) -> Poll<Duty> {
        let mut state = self.state();
        match (state.closing, state.turn) {
            (Some(close), _) => Poll::Ready(Duty::Close(close)),
            (None, Turn::Writer) => Poll::Ready(Duty::Write),
            (None, _) => {
                state.writer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What the writer writes next; none where nothing waits, and the next frame is the courier's.
    pub(super) fn next(&self) -> Option<Bytes> {
        let mut state = self.state();
        let next = state.next();
        if next.is_none() && state.turn == Turn::Writer {
            state.turn = Turn::Nobody;
        }
        next
    }

    /// Resolves when the connection ends; for the reader.
    pub(super) fn poll_closing(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match state.closing {
            Some(_) => Poll::Ready(()),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Resolves when there is no point in waiting for the client any longer; for a writer that is
    /// stuck.
    pub(super) fn poll_hopeless(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match state.closing {
            Some(_) => Poll::Ready(()),
            None => {
                state.writer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Option<Bytes> {
        if let Some(rest) = self.rest.take() {
            self.bytes = self.bytes.saturating_sub(rest.len());
            return Some(rest);
        }
        let first = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.len());
        if self.frames.is_empty() {
            return Some(first);
        }
        let mut together = BytesMut::from(&first[..]);
        while let Some(frame) = self.frames.front()
            && together.len() + frame.len() <= TOGETHER
        {
            together.extend_from_slice(frame);
            self.bytes = self.bytes.saturating_sub(frame.len());
            self.frames.pop_front();
        }
        Some(together.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(size: usize) -> Frame {
        vec![0; size].into()
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn the_courier_is_called_once_for_many_frames_and_takes_them_all() {
        let outbox = Outbox::new(1000);
        assert!(outbox.push(frame(1)));
        assert!(!outbox.push(frame(2)));
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        assert_eq!(frames.len(), 2);
        frames.clear();
        outbox.take(&mut frames);
        assert!(frames.is_empty());
        assert!(outbox.push(frame(3)));
    }

    #[test]
    fn what_the_socket_does_not_take_is_the_writers_until_nothing_waits() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(10));
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        assert!(outbox.poll_duty(&mut context()).is_pending());
        outbox.leave(frame(4));
        assert_eq!(outbox.poll_duty(&mut context()), Poll::Ready(Duty::Write));
        assert!(!outbox.push(frame(5)), "not the courier's turn");
        assert!(!outbox.push(frame(6)));
        frames.clear();
        outbox.take(&mut frames);
        assert!(frames.is_empty());
        assert_eq!(outbox.next().map(|rest| rest.len()), Some(4));
        assert_eq!(outbox.next().map(|both| both.len()), Some(11));
        assert_eq!(outbox.next(), None);
        assert!(outbox.poll_duty(&mut context()).is_pending());
        assert!(outbox.push(frame(7)));
    }

    #[test]
    fn too_much_is_dropped_and_ends_the_connection() {
        let outbox = Outbox::new(100);
        outbox.push(frame(60));
        assert!(outbox.poll_closing(&mut context()).is_pending());
        outbox.push(frame(60));
        assert!(outbox.poll_closing(&mut context()).is_ready());
        assert!(outbox.poll_hopeless(&mut context()).is_ready());
        assert!(!outbox.push(frame(1)));
        assert_eq!(
            outbox.poll_duty(&mut context()),
            Poll::Ready(Duty::Close(Close::TooSlow))
        );
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn a_frame_that_is_larger_than_the_queue_is_sent_where_nothing_else_waits() {
        let outbox = Outbox::new(100);
        assert!(outbox.push(frame(1000)));
        assert!(!outbox.is_closing());
        outbox.push(frame(1));
        assert!(outbox.is_closing());
    }

    #[test]
    fn what_waits_is_written_before_an_orderly_end() {
        let outbox = Outbox::new(100);
        outbox.push(frame(60));
        outbox.close(Close::Revoked);
        outbox.close(Close::Kicked);
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        assert!(frames.is_empty(), "that is the writer's now");
        assert_eq!(
            outbox.poll_duty(&mut context()),
            Poll::Ready(Duty::Close(Close::Revoked))
        );
        assert_eq!(outbox.next().map(|rest| rest.len()), Some(60));
    }
}
