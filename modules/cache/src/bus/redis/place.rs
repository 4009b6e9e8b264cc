//! Which server has what the bus keeps: the one that is named, or of a cluster the one that has the slot
//! of its keys.

use std::time::Duration;

use futures_util::future::select_ok;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, InfoDict, Value};

use super::answer::Failure;
use crate::redis::Map;

/// Finds the server that has a slot. Whichever of these answers first tells where it is.
pub(super) async fn find(
    servers: &[ConnectionInfo],
    slot: u16,
    limit: Duration,
) -> Result<ConnectionInfo, Failure> {
    let looks = servers.iter();
    let looks = looks.map(|server| Box::pin(look(server, slot, limit)));
    let (found, _) = select_ok(looks).await?;
    Ok(found)
}

async fn look(
    server: &ConnectionInfo,
    slot: u16,
    limit: Duration,
) -> Result<ConnectionInfo, Failure> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(limit));
    let client = Client::open(server.clone())?;
    let line = client.get_multiplexed_async_connection_with_config(&config);
    let mut line = line.await?;
    let mut info = redis::cmd("INFO");
    let info: InfoDict = info.arg("cluster").query_async(&mut line).await?;
    if info.get::<u8>("cluster_enabled") != Some(1) {
        return Ok(server.clone());
    }
    let mut answers: Vec<Value> = Vec::new();
    for question in Map::questions() {
        answers.push(question.query_async(&mut line).await?);
    }
    let servers = Map::read(answers).and_then(|map| {
        let mut servers = map.servers(server)?;
        Ok(servers.swap_remove(map.master(slot)))
    });
    servers.map_err(|error| {
        tracing::debug!(%error, "the bus finds no server");
        Failure::Unreachable(None)
    })
}
