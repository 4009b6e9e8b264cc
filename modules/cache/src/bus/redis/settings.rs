//! What can be set, and what has proved itself.

use std::time::Duration;

/// How instances reach each other, and what Redis may keep for them. Not to be printed: the URL has
/// a password.
#[derive(Clone)]
pub struct RedisBusSettings {
    /// Where Redis is: `redis://:password@host:6379/0`, `rediss://…` with TLS; of a cluster any
    /// server, or several, separated by commas.
    pub url: String,
    /// What all keys begin with. Instances with the same prefix are one. On a cluster it must have
    /// something in braces, by which all keys lie together.
    pub prefix: String,
    /// How long events are kept for those who come back.
    pub replay: Duration,
    /// How many bytes of events are kept for them, on all channels together, about.
    pub replay_bytes: usize,
    /// How many events of one channel are kept, about.
    pub replay_events: usize,
    /// How many bytes of events may wait for the listener, about. What comes beyond is lost, and
    /// the listener is told that.
    pub waiting_bytes: usize,
    /// How many bytes of events may wait for Redis, about. What comes beyond is lost, and all
    /// listeners are told that.
    pub outbox_bytes: usize,
    /// Events of more bytes than this are not carried to those who listen, but fetched by them.
    pub inline_bytes: usize,
    /// How long anything may take before the bus counts as unavailable.
    pub timeout: Duration,
    /// How long an event waits for the one before it of the same document, which another instance
    /// has yet to tell.
    pub patience: Duration,
    /// How often it is seen that Redis answers and who has vanished.
    pub beat: Duration,
    /// How long an instance may be silent before it counts as vanished. What it had yet to tell is
    /// lost then, and all listeners are told that.
    pub silence: Duration,
}

impl Default for RedisBusSettings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/0".to_owned(),
            prefix: "nubo:bus:".to_owned(),
            replay: Duration::from_secs(120),
            replay_bytes: 64 << 20,
            replay_events: 10_000,
            waiting_bytes: 64 << 20,
            outbox_bytes: 64 << 20,
            inline_bytes: 8 << 10,
            timeout: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            beat: Duration::from_secs(1),
            silence: Duration::from_secs(10),
        }
    }
}

impl RedisBusSettings {
    /// How often it is said again that a channel is listened to.
    pub(super) fn renewal(&self) -> Duration {
        self.replay / 4
    }

    /// How long a channel counts as listened to after that. Who leaves right after it was said is
    /// waited for as long as anybody.
    pub(super) fn interest(&self) -> Duration {
        self.replay + 2 * self.renewal()
    }
}
