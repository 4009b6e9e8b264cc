//! How long MongoDB is waited for.

use std::{future::Future, time::Duration};

use nubo_core::Result;

use crate::fault;

/// How long a command that writes may take at most: what waits behind it waits as long.
pub(crate) const WRITE: Duration = Duration::from_secs(10);

/// Waits for an answer as long as it may take.
///
/// # Errors
/// Those of what is asked, and 503 where it takes longer.
pub(crate) async fn in_time<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answered) => answered,
        Err(_) => Err(fault::too_slow()),
    }
}
