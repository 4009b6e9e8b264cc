//! How a connection to Redis is made: to one server, or to all masters of a cluster.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::{select_ok, try_join_all};
use nubo_core::{Error, Result, coordination::Incarnation};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, RedisResult,
    aio::{ConnectionLike, MultiplexedConnection},
};
use uuid::Uuid;

use super::{CONNECT, Connection, Link, OF_CLUSTERS, pipeline};
use crate::redis::{
    cluster::Map,
    copies::Copies,
    failure::{answered, failed, has_moved, unavailable},
    partitions::ON_CLUSTERS,
    scripts::SCRIPTS,
    server::Server,
};

/// How many calls may wait to be sent.
const QUEUE: usize = 1024;
/// How many bytes are put together before they are sent.
const BUFFER: usize = 64 << 10;

impl Link {
    /// Connects to whatever there is.
    pub(super) async fn connect(&self) -> Result<Arc<Connection>> {
        let copies = Arc::new(Copies::new(self.copying.clone()));
        // Whichever of a cluster answers first tells of the others.
        let looks = self.servers.iter();
        let looks = looks.map(|server| Box::pin(self.look_around(server, &copies)));
        let (found, _) = select_ok(looks).await?;
        let Found {
            line,
            run_id,
            map,
            told,
        } = found;
        let connection = match map {
            None => Connection {
                servers: vec![line],
                map: None,
                incarnation: Incarnation::new(format!("{run_id}/{}", self.meaning)),
                copies,
            },
            Some(map) => self.connect_to_all(told, map, copies).await?,
        };
        let connection = Arc::new(connection);
        let loads = connection.servers();
        let loads = loads.map(|server| self.run(&connection, server, SCRIPTS.load()));
        try_join_all(loads).await?;
        Ok(connection)
    }

    /// Connects to a server, and looks at what it belongs to.
    async fn look_around<'a>(
        &self,
        server: &'a ConnectionInfo,
        copies: &Arc<Copies>,
    ) -> Result<Found<'a>> {
        let (mut line, about) = self.open(server, copies).await?;
        let map = match about.is_cluster {
            true => Some(map_of(&mut line).await?),
            false => None,
        };
        if map.is_none() {
            about.check()?;
            if self.servers.len() > 1 {
                return Err(unavailable(
                    "several addresses are those of a Redis cluster, and this is a server of its \
                     own (`cluster-enabled no`)",
                ));
            }
        }
        Ok(Found {
            line,
            run_id: about.run_id,
            map,
            told: server,
        })
    }

    /// Connects to all masters of a cluster, each of which must have the same map.
    async fn connect_to_all(
        &self,
        told: &ConnectionInfo,
        map: Map,
        copies: Arc<Copies>,
    ) -> Result<Connection> {
        let masters = map.servers(told)?;
        let lines = masters.iter().map(async |server| {
            let (mut line, about) = self.open(server, &copies).await?;
            about.check()?;
            match map_of(&mut line).await?.agrees(&map) {
                true => Ok((line, about.run_id)),
                false => Err(has_moved()),
            }
        });
        let lines = try_join_all(lines).await?;
        let (servers, runs): (Vec<_>, Vec<String>) = lines.into_iter().unzip();
        let text = format!("{ON_CLUSTERS}\n{}", map.describe(&runs));
        let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
        Ok(Connection {
            servers,
            map: Some(map),
            incarnation: Incarnation::new(format!("{OF_CLUSTERS}{name}/{}", self.meaning)),
            copies,
        })
    }

    /// Opens a line to a server, and asks what that is.
    async fn open(
        &self,
        server: &ConnectionInfo,
        copies: &Arc<Copies>,
    ) -> Result<(MultiplexedConnection, Server)> {
        let heard = Arc::clone(copies);
        let hear = move |said| {
            heard.hear(said);
            Ok::<_, Infallible>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit * CONNECT))
            .set_response_timeout(Some(self.limit))
            .set_pipeline_buffer_size(QUEUE)
            .set_write_backpressure_boundary(BUFFER);
        let config = match copies.are_kept() {
            true => config.set_push_sender(hear),
            false => config,
        };
        let client = Client::open(server.clone()).map_err(Error::internal)?;
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        let mut line = opening.await.map_err(|error| failed(&error))?;
        let info = redis::cmd("INFO");
        let info = info.query_async::<String>(&mut line).await;
        let about = Server::read(&info.map_err(|error| failed(&error))?)?;
        if copies.are_kept()
            && let Err(error) = ask_what_changes(&mut line).await
        {
            tracing::info!(%error, "Redis does not say what changes, so that no documents are kept");
            copies.give_up();
        }
        Ok((line, about))
    }
}

/// Has a server say when something changes that is read behind [`caching`].
async fn ask_what_changes(line: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut tracking = of_line("TRACKING");
    tracking.arg("ON").arg("OPTIN").exec_async(line).await?;
    // Whether that may be said, too.
    caching().exec_async(line).await
}

/// What stands before a command that reads what is to be copied.
pub(super) fn caching() -> Cmd {
    let mut command = of_line("CACHING");
    command.arg("YES");
    command
}

/// A command about the line itself.
fn of_line(what: &str) -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command.arg(what);
    command
}

/// What one server says that is looked at first.
struct Found<'a> {
    line: MultiplexedConnection,
    run_id: String,
    /// None where it is a server of its own.
    map: Option<Map>,
    told: &'a ConnectionInfo,
}

async fn map_of(line: &mut MultiplexedConnection) -> Result<Map> {
    let questions = pipeline(Map::questions().into());
    let answers = line.req_packed_commands(&questions, 0, questions.len());
    let answers = answers.await.map_err(|error| failed(&error))?;
    Map::read(answers.into_iter().map(answered).collect::<Result<_>>()?)
}
