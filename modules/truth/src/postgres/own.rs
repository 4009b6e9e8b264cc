//! A connection for one purpose, so that whoever uses it waits for nobody who reads or writes.

use std::time::Duration;

use nubo_core::{Error, Result};
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::connect::{Connector, close};
use crate::fault::postgres_failure;

/// How long something may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A connection that is made when it is needed.
pub(super) struct OwnConnection {
    connector: Connector,
    connection: Mutex<Option<PgConnection>>,
}

impl OwnConnection {
    pub fn new(connector: Connector) -> Self {
        Self {
            connector,
            connection: Mutex::default(),
        }
    }

    /// Closes it.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            close(connection).await;
        }
    }

    /// Does something with the connection. After an error there is another one the next time: what
    /// has failed may have left a transaction open.
    pub async fn with<T>(
        &self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        let mut place = self.connection.lock().await;
        let acting = async {
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => self.connector.connect().await?,
            };
            let done = act(&mut connection).await?;
            Ok((done, connection))
        };
        match tokio::time::timeout(LIMIT, acting).await {
            Ok(Ok((done, connection))) => {
                *place = Some(connection);
                Ok(done)
            }
            Ok(Err(error)) => Err(postgres_failure(error)),
            Err(_elapsed) => Err(Error::unavailable(
                "truth_unavailable",
                "the database does not answer",
            )),
        }
    }
}
