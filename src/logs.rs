//! The log: lines for people on a terminal, JSON elsewhere. Always to standard error, so that what
//! a command prints can be piped.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::settings::{LogFormat, LogSettings};

/// Starts the log of this process. `RUST_LOG` overrides the level.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{},poem=warn", settings.level.as_str())));
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(lines.with_ansi(terminal).with_target(false))
            .try_init()
    };
    if let Err(error) = started {
        // Another log runs in this process already, as in tests.
        tracing::debug!(%error, "the log was started before");
    }
}
