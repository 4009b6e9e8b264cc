//! The section `hub` of `nubo.yaml`. The comments here are the users' documentation.

use std::time::Duration;

use nubo_core::{module::SetupError, schema::parse_period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The WebSocket hub: `GET /ws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether connections may stay without a token. They see what everybody may see.
    pub anonymous: bool,
    /// Whether a connection may open without a token and send it as its first message, within 10 s.
    pub auth_message: bool,
    /// Whether a text that is no JSON object goes to every other connection as it is.
    pub broadcast: bool,
    /// Most connections.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// Most connections of one account.
    #[schemars(range(min = 1))]
    pub max_connections_per_account: usize,
    /// Largest message of a client, in bytes. A larger one ends the connection with 1009.
    #[schemars(range(min = 128))]
    pub max_message: usize,
    /// Most subscriptions of one connection.
    #[schemars(range(min = 1))]
    pub max_subscriptions: usize,
    /// Messages that a client may send in a second, for a moment twice as many. Beyond that it gets
    /// 429, and who goes on is disconnected with 4029.
    #[schemars(range(min = 1))]
    pub max_messages_per_second: u32,
    /// Bytes that may wait for one connection. Beyond that it is disconnected with 4008, to connect
    /// again and resume.
    #[schemars(range(min = 4096))]
    pub max_queue: usize,
    /// After this much silence the connection is asked whether it is still there; after as much
    /// again it is given up.
    #[schemars(extend("format" = "time-span", "examples" = ["30s"]))]
    pub ping: String,
    /// How long before its token ends a connection is told so.
    #[schemars(extend("format" = "time-span", "examples" = ["1m"]))]
    pub expiry_warning: String,
    /// How long somebody counts as present who has vanished without a word.
    #[schemars(extend("format" = "time-span", "examples" = ["30s"]))]
    pub presence_lease: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            anonymous: false,
            auth_message: false,
            broadcast: false,
            max_connections: 100_000,
            max_connections_per_account: 50,
            max_message: 64 << 10,
            max_subscriptions: 200,
            max_messages_per_second: 50,
            max_queue: 1 << 20,
            ping: "30s".into(),
            expiry_warning: "1m".into(),
            presence_lease: "30s".into(),
        }
    }
}

/// The settings as the hub goes by them.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub settings: Settings,
    pub ping: Duration,
    pub expiry_warning: Duration,
    pub presence_lease: Duration,
}

impl Limits {
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        Ok(Self {
            ping: time_span("ping", &settings.ping)?,
            expiry_warning: time_span("expiry_warning", &settings.expiry_warning)?,
            presence_lease: time_span("presence_lease", &settings.presence_lease)?,
            settings,
        })
    }
}

fn time_span(name: &str, text: &str) -> Result<Duration, SetupError> {
    parse_period(text)
        .and_then(|millis| u64::try_from(millis).ok())
        .map(Duration::from_millis)
        .ok_or_else(|| {
            SetupError::new(format!(
                "hub.{name}: `{text}` is no length of time such as 30s"
            ))
        })
}
