//! One connection: who is behind it, what waits for it, and the two tasks that serve it.
//!
//! The [`reader`] takes messages in and works them off one after the other. What waits in the
//! [`outbox`] is written by a [`courier`] that goes by many connections, and by the [`writer`] where
//! the socket is full. Nobody has a timer of their own: one clock ticks for all connections
//! ([`Connection::tick`]), so that an idle connection costs no more than its memory.

pub(crate) mod courier;
mod flood;
mod outbox;
mod protocol;
pub(crate) mod reader;
pub(crate) mod writer;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use nubo_core::{caller::Caller, id::Id, sessions::SignedIn, time::Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    close::Close,
    event,
    frame::{self, Frame},
    settings::Limits,
};
use courier::Courier;
use outbox::Outbox;

/// How long a connection may take to say who it is, in milliseconds.
const TIME_TO_AUTHENTICATE: i64 = 10_000;

/// What a connection reads from and writes to.
pub(crate) type Stream = Pin<Box<dyn Duplex>>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Duplex for S {}

/// A connection.
pub(crate) struct Connection {
    /// Its name, which it is told.
    pub id: Id,
    outbox: Outbox,
    courier: Arc<Courier>,
    /// Once the handshake is over.
    stream: Mutex<Option<Stream>>,
    identity: Mutex<Identity>,
    /// When something came from it last, in microseconds; negative since it was asked whether it is
    /// still there.
    heard: AtomicI64,
}

/// Who is behind a connection.
struct Identity {
    caller: Caller,
    /// What it has shown, to be looked at again when the account changes.
    token: Option<Box<str>>,
    expires_at: Option<Timestamp>,
    warned: bool,
    /// Until when it must have said who it is.
    deadline: Option<Timestamp>,
}

impl Connection {
    /// A connection of somebody who has shown a token, or of nobody.
    pub fn new(
        id: Id,
        shown: Option<(SignedIn, &str)>,
        courier: Arc<Courier>,
        limits: &Limits,
        now: Timestamp,
    ) -> Self {
        let settings = &limits.settings;
        let must_authenticate = shown.is_none() && !settings.anonymous;
        let mut identity = Identity {
            caller: Caller::Anonymous,
            token: None,
            expires_at: None,
            warned: false,
            deadline: must_authenticate
                .then(|| Timestamp::from_millis(now.millis() + TIME_TO_AUTHENTICATE)),
        };
        if let Some((signed_in, token)) = shown {
            identity.take(signed_in, token);
        }
        Self {
            id,
            outbox: Outbox::new(settings.max_queue),
            courier,
            stream: Mutex::default(),
            identity: Mutex::new(identity),
            heard: AtomicI64::new(now.millis() * 1000),
        }
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        // Nothing panics while it holds the lock.
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> MutexGuard<'_, Option<Stream>> {
        // Nothing panics while it holds the lock.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake is over; what waits already is sent.
    pub fn begin(self: &Arc<Self>, stream: Stream) {
        *self.stream() = Some(stream);
        self.courier.call(Arc::clone(self));
    }

    /// Nothing is read or written any more.
    pub fn end(&self) {
        *self.stream() = None;
    }

    /// Sends a frame, as soon as everything before it is sent.
    pub fn send(self: &Arc<Self>, frame: Frame) {
        if self.outbox.push(frame) {
            self.courier.call(Arc::clone(self));
        }
    }

    /// On whose behalf it acts.
    pub fn caller(&self) -> Caller {
        self.identity().caller.clone()
    }

    /// Whether it may do anything but say who it is.
    pub fn is_admitted(&self) -> bool {
        self.identity().deadline.is_none()
    }

    /// The token it has shown.
    pub fn token(&self) -> Option<Box<str>> {
        self.identity().token.clone()
    }

    /// When its token ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.identity().expires_at
    }

    /// Somebody has shown a token.
    pub fn identify(&self, signed_in: SignedIn, token: &str) {
        self.identity().take(signed_in, token);
    }

    /// The account behind it looks different now, unless another token was shown meanwhile.
    pub fn look_like(&self, caller: Caller, token: &str) {
        let mut identity = self.identity();
        if identity.token.as_deref() == Some(token) {
            identity.caller = caller;
        }
    }

    /// Something came from it.
    pub fn is_heard(&self, micros: i64) {
        self.heard.store(micros, Ordering::Relaxed);
    }

    /// Ends it, once what waits has been written.
    pub fn close(&self, close: Close) {
        self.outbox.close(close);
    }

    /// Everything that waits for it, as text, and why it ends, where it does.
    #[cfg(test)]
    pub fn waiting(&self) -> (Vec<String>, Option<Close>) {
        self.outbox.waiting()
    }

    /// Looks after the time: warns, asks for a sign of life, and ends what must end.
    pub fn tick(self: &Arc<Self>, micros: i64, limits: &Limits) {
        let now = Timestamp::from_millis(micros.div_euclid(1000));
        let mut identity = self.identity();
        let over = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
        if over(identity.deadline) {
            return self.close(Close::NoToken);
        }
        if over(identity.expires_at) {
            return self.close(Close::Expired);
        }
        if let Some(expires_at) = identity.expires_at
            && !identity.warned
        {
            let warning = i64::try_from(limits.expiry_warning.as_millis()).unwrap_or(i64::MAX);
            if expires_at.millis().saturating_sub(now.millis()) <= warning {
                identity.warned = true;
                self.send(event::expiring(expires_at));
            }
        }
        drop(identity);
        self.check_life(micros, limits);
    }

    fn check_life(self: &Arc<Self>, micros: i64, limits: &Limits) {
        let silence = i64::try_from(limits.ping.as_micros()).unwrap_or(i64::MAX);
        let heard = self.heard.load(Ordering::Relaxed);
        if heard >= 0 && micros - heard >= silence {
            // It may have been heard just now; then it is asked in vain, which does no harm.
            self.heard.store(-micros, Ordering::Relaxed);
            self.send(frame::ping());
        } else if heard < 0 && micros + heard >= silence {
            self.close(Close::Silent);
        }
    }
}

impl Identity {
    fn take(&mut self, signed_in: SignedIn, token: &str) {
        *self = Self {
            caller: signed_in.caller,
            token: Some(token.into()),
            expires_at: Some(signed_in.expires_at),
            warned: false,
            deadline: None,
        };
    }
}
