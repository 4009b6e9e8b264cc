//! One line of the log per request.
//!
//! The query is left out: filters may name people and their addresses.

use std::sync::Arc;

use nubo_core::{clock::Clock, error::Cause};
use poem::{
    Request, Response,
    http::{HeaderValue, Method, Uri},
    web::RemoteAddr,
};
use tracing::Level;

use crate::AccessLog;

/// Writes the lines.
pub(super) struct Log {
    level: AccessLog,
    clock: Arc<dyn Clock>,
}

/// What is remembered of a request until its answer is there.
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// Present where the request gets a line whatever its end.
    timed: Option<Timed>,
}

struct Timed {
    started: i64,
    remote: RemoteAddr,
}

impl Log {
    pub(super) fn new(level: AccessLog, clock: Arc<dyn Clock>) -> Self {
        Self { level, clock }
    }

    /// Remembers a request. Without a line to write this copies two handles and no text.
    pub(super) fn begin(&self, request: &Request) -> Entry {
        Entry {
            method: request.method().clone(),
            uri: request.uri().clone(),
            timed: self.is_on().then(|| Timed {
                started: self.clock.micros(),
                remote: request.remote_addr().clone(),
            }),
        }
    }

    /// Writes the line of a request that has been answered.
    pub(super) fn end(&self, entry: Entry, response: &Response, id: &HeaderValue) {
        let status = response.status();
        let Entry { method, uri, timed } = entry;
        let (path, request_id) = (uri.path(), id.to_str().unwrap_or(""));
        if status.is_server_error() {
            let cause = response.data::<Cause>().map(|cause| cause.0.as_str());
            tracing::error!(
                target: "nubo::access",
                %method, path, status = status.as_u16(), request_id, cause, "request failed"
            );
            return;
        }
        let Some(Timed { started, remote }) = timed else {
            return;
        };
        let micros = self.clock.micros().saturating_sub(started);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "nubo::access",
                    $level,
                    %method, path, status = status.as_u16(), micros, %remote, request_id
                )
            };
        }
        match self.level {
            AccessLog::Off => {}
            AccessLog::Info => line!(Level::INFO),
            AccessLog::Debug => line!(Level::DEBUG),
            AccessLog::Trace => line!(Level::TRACE),
        }
    }

    /// Whether anybody reads lines of the level. Tracing remembers the answer, so that asking costs
    /// next to nothing.
    fn is_on(&self) -> bool {
        match self.level {
            AccessLog::Off => false,
            AccessLog::Info => tracing::enabled!(target: "nubo::access", Level::INFO),
            AccessLog::Debug => tracing::enabled!(target: "nubo::access", Level::DEBUG),
            AccessLog::Trace => tracing::enabled!(target: "nubo::access", Level::TRACE),
        }
    }
}
