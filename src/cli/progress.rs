//! A bar for what takes a while. Only on a terminal; elsewhere nothing is written.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far something has come, on standard error.
pub struct Progress(ProgressBar);

impl Progress {
    /// Counts the bytes of something whose size is known or not.
    pub fn of_bytes(total: Option<u64>) -> Self {
        Self::new(
            total,
            "{bar:30} {bytes}/{total_bytes} {msg}",
            "{spinner} {bytes} {msg}",
        )
    }

    /// Counts documents.
    pub fn of_documents(total: Option<u64>) -> Self {
        Self::new(total, "{bar:30} {pos}/{len} {msg}", "{spinner} {pos} {msg}")
    }

    fn new(total: Option<u64>, known: &str, unknown: &str) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), known),
            None => (ProgressBar::new_spinner(), unknown),
        };
        // The templates are ours; a plain bar is no harm.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// So many are done.
    pub fn at(&self, position: u64) {
        self.0.set_position(position);
    }

    /// What is being done.
    pub fn doing(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// Keeps moving while nothing is reported.
    pub fn wait(&self, what: impl Into<String>) {
        self.doing(what);
        self.0.enable_steady_tick(Duration::from_millis(100));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
