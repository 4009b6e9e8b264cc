//! How tasks hear that they are to stop.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Returns when a task is to stop. The channel closes when its owner is gone; that is a stop too.
pub(crate) async fn asked(stopped: &mut watch::Receiver<bool>) {
    stopped.wait_for(|stop| *stop).await.ok();
}

/// Waits for so long. Whether the task is to stop.
pub(crate) async fn asked_within(stopped: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    timeout(pause, asked(stopped)).await.is_ok()
}
