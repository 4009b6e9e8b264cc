//! The section `ops` of `nubo.yaml`.

use std::time::Duration;

use nubo_core::{module::SetupError, schema::parse_period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How requests are watched over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a request may take. One that takes longer gets 503; a write may have been carried
    /// out all the same, and the answer says so.
    #[schemars(extend("format" = "time-span", "examples" = ["30s", "500ms", "2m"]))]
    pub request_timeout: String,
    /// The level at which the log gets a line for each request. Requests that end in a fault of the
    /// server (5xx) are logged as errors in any case.
    pub access_log: AccessLog,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_timeout: "30s".into(),
            access_log: AccessLog::default(),
        }
    }
}

impl Settings {
    /// The time limit of a request.
    pub(crate) fn timeout(&self) -> Result<Duration, SetupError> {
        parse_period(&self.request_timeout)
            .and_then(|millis| u64::try_from(millis).ok())
            .map(Duration::from_millis)
            .ok_or_else(|| {
                SetupError::new(format!(
                    "ops.request_timeout: `{}` is no length of time such as 30s",
                    self.request_timeout
                ))
            })
    }
}

/// The level at which the log gets a line for each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// No lines.
    Off,
    /// A line wherever what happens is logged.
    Info,
    /// A line where the log's level is `debug`.
    #[default]
    Debug,
    /// A line where the log's level is `trace`.
    Trace,
}
