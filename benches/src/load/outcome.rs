//! What a run of the generator found.

use std::collections::BTreeMap;
use std::io::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection::Connection;

/// Slowest latency the histogram can tell apart: a minute, in microseconds.
const SLOWEST: u64 = 60_000_000;

/// An empty histogram of microseconds.
pub(super) fn microseconds() -> Histogram<u64> {
    // The bounds are constants that the histogram accepts; the fallback only spares a panic.
    Histogram::new_with_bounds(1, SLOWEST, 3)
        .unwrap_or_else(|_| Histogram::<u64>::new(3).unwrap_or_else(|_| unreachable!()))
}

/// Counts and latencies of one run.
#[derive(Clone)]
pub struct Outcome {
    span: Duration,
    latencies: Histogram<u64>,
    body_bytes: u64,
    bad_statuses: BTreeMap<u16, u64>,
    socket_errors: u64,
    first_error: Option<String>,
}

impl Outcome {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            latencies: microseconds(),
            body_bytes: 0,
            bad_statuses: BTreeMap::new(),
            socket_errors: 0,
            first_error: None,
        }
    }

    pub(super) fn answered(&mut self, connection: &Connection, now: Instant) {
        if !self.checked(connection) {
            return;
        }
        let latency = connection
            .latency(now)
            .as_micros()
            .try_into()
            .unwrap_or(SLOWEST);
        self.latencies.saturating_record(latency);
        self.body_bytes += connection.body_bytes();
    }

    /// Counts a refusal; true when it is none.
    pub(super) fn checked(&mut self, connection: &Connection) -> bool {
        let status = connection.status();
        let accepted = (200..300).contains(&status);
        if !accepted {
            *self.bad_statuses.entry(status).or_default() += 1;
        }
        accepted
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.socket_errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// Requests that were counted and answered with 2xx: a refusal is quick and proves nothing.
    pub fn requests(&self) -> u64 {
        self.latencies.len()
    }

    /// Those per second.
    pub fn rate(&self) -> f64 {
        self.requests() as f64 / self.span.as_secs_f64()
    }

    /// Latency in microseconds that the given share of them (0 to 1) did not exceed.
    pub fn latency_us(&self, quantile: f64) -> u64 {
        self.latencies.value_at_quantile(quantile)
    }

    /// Mean bytes of a response's body.
    pub fn mean_body(&self) -> f64 {
        self.body_bytes as f64 / self.requests().max(1) as f64
    }

    /// Answers outside 2xx and socket errors.
    pub fn failures(&self) -> u64 {
        self.socket_errors + self.bad_statuses.values().sum::<u64>()
    }

    /// Answers with this status, which is none of 2xx.
    pub fn refusals(&self, status: u16) -> u64 {
        self.bad_statuses.get(&status).copied().unwrap_or(0)
    }

    /// The failures in words, for a message.
    pub fn failure_text(&self) -> String {
        let mut parts: Vec<String> = self
            .bad_statuses
            .iter()
            .map(|(status, count)| format!("{count} answers with status {status}"))
            .collect();
        if let Some(first) = &self.first_error {
            parts.push(format!(
                "{} socket errors, the first: {first}",
                self.socket_errors
            ));
        }
        if parts.is_empty() {
            "no failures".to_owned()
        } else {
            parts.join(", ")
        }
    }

    /// Adds another run of the same workload, so that percentiles cover both.
    pub fn merge(&mut self, other: &Self) {
        self.span += other.span;
        self.latencies += &other.latencies;
        self.body_bytes += other.body_bytes;
        self.adopt_failures(other);
    }

    /// Adds another run's failures and nothing else: a warm-up must not fail either.
    pub fn adopt_failures(&mut self, other: &Self) {
        for (status, count) in &other.bad_statuses {
            *self.bad_statuses.entry(*status).or_default() += count;
        }
        self.socket_errors += other.socket_errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }
}
