//! The connection to Redis.
//!
//! There is one at most, shared by all calls, and it belongs to the one incarnation of the server
//! that was seen when it was made: it is never replaced behind anybody's back. When it breaks, calls
//! fail at once until [`Link::reach`] has made another. Nothing waits longer than the time limit.
//!
//! To a cluster it is a line to each of its masters, and the incarnation is all of them with the slots
//! that they have. Where one is lost, or slots have moved, the whole connection is given up.

mod connecting;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use nubo_core::{Error, Result, coordination::Incarnation};
use redis::{
    Cmd, ConnectionInfo, Pipeline, ProtocolVersion, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    io::tcp::TcpSettings,
};

use uuid::Uuid;

use self::connecting::caching;
use super::{
    address::servers,
    cluster::Map,
    copies::{Copies, Copying},
    failure::{answered, failed, has_moved, is_unknown_script, late, unavailable},
    partitions::slot,
    scripts::{MOST_KEYS, SCRIPTS},
    server,
};

/// How many time limits it may take to connect: to find the server, to agree on encryption, to sign
/// in, and to look at it.
const CONNECT: u32 = 5;
/// What the names of the incarnations of clusters begin with. No server's own run has such a name.
const OF_CLUSTERS: &str = "cluster-";
/// How many calls are sent to a server together that are as large as calls become. Each exchange lets
/// others have their turn.
const TOGETHER: usize = 4;

/// A command, and where it is carried out.
pub(super) struct Command {
    command: Cmd,
    /// Of all its keys on a cluster.
    slot: u16,
    /// How many things it is about.
    weight: usize,
    is_copied: bool,
}

impl Command {
    /// A command about so many things, all keys of which are in this slot on a cluster.
    pub fn new(command: Cmd, slot: u16, weight: usize) -> Self {
        Self {
            command,
            slot,
            weight,
            is_copied: false,
        }
    }

    /// The same, where what it reads is to be [copied](super::copies).
    pub fn copied(self) -> Self {
        Self {
            is_copied: true,
            ..self
        }
    }
}

/// Where Redis is, and the connection to it.
pub(super) struct Link {
    /// A server, or some of a cluster's.
    servers: Vec<ConnectionInfo>,
    /// How long a command may take.
    limit: Duration,
    /// What the bytes mean that are held: part of each incarnation's name.
    meaning: Uuid,
    /// How what is read is copied, if it is.
    copying: Option<Arc<Copying>>,
    current: Mutex<Option<Arc<Connection>>>,
    /// Held by who connects.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection to one incarnation.
pub(super) struct Connection {
    /// The lines to its servers: one, or one to each master of a cluster.
    servers: Vec<MultiplexedConnection>,
    /// Which of these has what, on a cluster.
    map: Option<Map>,
    incarnation: Incarnation,
    copies: Arc<Copies>,
}

impl Connection {
    /// What was read by it.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Its servers, by number.
    pub fn servers(&self) -> std::ops::Range<usize> {
        0..self.servers.len()
    }

    /// What a key must have in common with others for a command to have both: its slot on a cluster,
    /// nothing on one server.
    pub fn slot(&self, key: &[u8]) -> u16 {
        self.map.as_ref().map_or(0, |_| slot(key))
    }

    /// The server that has a slot.
    fn server_of(&self, slot: u16) -> usize {
        self.map.as_ref().map_or(0, |map| map.master(slot))
    }

    /// Which incarnation of the server it leads to.
    pub fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }
}

impl Link {
    /// To the server with this URL.
    ///
    /// # Errors
    /// Where it is no URL of a Redis server.
    pub fn new(
        url: &str,
        limit: Duration,
        meaning: Uuid,
        copying: Option<Copying>,
    ) -> Result<Self> {
        let servers = servers(url).map_err(Error::internal)?.into_iter();
        // What is sent is wanted at once, however little it is.
        let settings = TcpSettings::default().set_nodelay(true);
        let servers = servers.map(|server| server.set_tcp_settings(settings.clone()));
        // Who is to hear what changes must be spoken to without having asked.
        let servers = servers.map(|server| match &copying {
            Some(_) => {
                let line = server.redis_settings().clone();
                server.set_redis_settings(line.set_protocol(ProtocolVersion::RESP3))
            }
            None => server,
        });
        Ok(Self {
            servers: servers.collect(),
            limit,
            meaning,
            copying: copying.map(Arc::new),
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// Whether the server answers and may still be written to, and which incarnation of it. Connects
    /// where there is no connection.
    pub async fn reach(&self) -> Result<Incarnation> {
        let Some(connection) = self.current() else {
            let connecting = tokio::time::timeout(self.limit * CONNECT, self.connect_once());
            let connection = connecting.await.map_err(|_| late())??;
            return Ok(connection.incarnation.clone());
        };
        let looks = connection.servers();
        let looks = looks.map(|server| self.look_again(&connection, server));
        match try_join_all(looks).await {
            Ok(_) => Ok(connection.incarnation.clone()),
            Err(error) => {
                // Whatever it is, a new connection shows it or does not have it.
                self.forget(&connection);
                Err(error)
            }
        }
    }

    /// The connection to this incarnation.
    ///
    /// # Errors
    /// Where there is none, or one to another incarnation.
    pub fn to(&self, incarnation: &Incarnation) -> Result<Arc<Connection>> {
        match self.current() {
            Some(found) if found.incarnation == *incarnation => Ok(found),
            Some(_) => Err(unavailable("Redis is not the one any more that it was")),
            None => Err(unavailable("there is no connection to Redis")),
        }
    }

    /// The connection to whatever incarnation there is.
    pub fn current(&self) -> Option<Arc<Connection>> {
        self.locked().clone()
    }

    /// Sends commands to one of the servers together. Their answers, or the first error.
    pub async fn run(
        &self,
        connection: &Arc<Connection>,
        server: usize,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>> {
        let answers = self.send(connection, server, &pipeline(commands)).await?;
        answers.into_iter().map(answered).collect()
    }

    /// Sends commands, some of which call scripts, to the servers that have their keys. Each of these
    /// carries its own out in their order. Their answers, or the first error.
    pub async fn call(
        &self,
        connection: &Arc<Connection>,
        commands: Vec<Command>,
    ) -> Result<Vec<Value>> {
        if connection.servers.len() == 1 {
            return self.call_one(connection, 0, commands).await;
        }
        let mut answers = vec![Value::Nil; commands.len()];
        let mut own: Vec<(Vec<usize>, Vec<Command>)> = Vec::new();
        own.resize_with(connection.servers.len(), Default::default);
        for (place, command) in commands.into_iter().enumerate() {
            let (places, commands) = &mut own[connection.server_of(command.slot)];
            places.push(place);
            commands.push(command);
        }
        let calls = own.into_iter().enumerate().map(async |(server, own)| {
            let (places, commands) = own;
            let found = self.call_one(connection, server, commands).await?;
            Ok::<_, Error>((places, found))
        });
        for (places, found) in try_join_all(calls).await? {
            for (place, answer) in places.into_iter().zip(found) {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }

    /// Sends commands to one server, some at a time.
    async fn call_one(
        &self,
        connection: &Arc<Connection>,
        server: usize,
        commands: Vec<Command>,
    ) -> Result<Vec<Value>> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let (mut some, mut weight) = (Pipeline::new(), 0);
            // Which answers belong to commands that nobody has asked for.
            let mut own = Vec::new();
            while let Some(next) = commands.next_if(|next| {
                weight += next.weight.min(MOST_KEYS);
                weight <= TOGETHER * MOST_KEYS
            }) {
                if next.is_copied && connection.copies.are_kept() {
                    own.push(some.len());
                    // It is about the next command on the line, and these are sent in one piece.
                    some.add_command(caching());
                }
                some.add_command(next.command);
            }
            let mut found = self.call_some(connection, server, &some).await?;
            for own in own.into_iter().rev() {
                found.remove(own);
            }
            answers.extend(found);
        }
        Ok(answers)
    }

    /// Sends commands to one server together. One that does not know the scripts, because it was told
    /// to forget them, is given them first, and then all of the commands once more: what follows a
    /// call relies on it.
    async fn call_some(
        &self,
        connection: &Arc<Connection>,
        server: usize,
        commands: &Pipeline,
    ) -> Result<Vec<Value>> {
        let mut answers = self.send(connection, server, commands).await?;
        if answers.iter().any(is_unknown_script) {
            self.run(connection, server, SCRIPTS.load()).await?;
            answers = self.send(connection, server, commands).await?;
        }
        answers.into_iter().map(answered).collect()
    }

    async fn send(
        &self,
        connection: &Arc<Connection>,
        server: usize,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>> {
        let mut commands = connection.servers[server].clone();
        let answers = commands.req_packed_commands(pipeline, 0, pipeline.len());
        let answers = answers.await;
        answers.map_err(|error| {
            if !error.is_timeout() && error.is_unrecoverable_error() {
                self.forget(connection);
            }
            failed(&error)
        })
    }

    /// Connects, unless somebody else has done so meanwhile.
    async fn connect_once(&self) -> Result<Arc<Connection>> {
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let connection = self.connect().await?;
        tracing::debug!(incarnation = %connection.incarnation, "connected to Redis");
        *self.locked() = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Looks whether a server may still be written to, and has the slots that it had.
    async fn look_again(&self, connection: &Arc<Connection>, server: usize) -> Result<()> {
        let mut questions = vec![redis::cmd("ROLE")];
        if connection.map.is_some() {
            questions.extend(Map::questions());
        }
        let mut answers = self.run(connection, server, questions).await?;
        let of_cluster = answers.split_off(1);
        server::check_role(&answers)?;
        match &connection.map {
            Some(map) if !Map::read(of_cluster)?.agrees(map) => Err(has_moved()),
            _ => Ok(()),
        }
    }

    /// Gives a connection up, if it is the one that there is.
    fn forget(&self, connection: &Arc<Connection>) {
        let mut current = self.locked();
        current.take_if(|current| Arc::ptr_eq(current, connection));
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        // Nothing panics while it holds the lock.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an incarnation is one of a cluster.
pub(super) fn is_of_cluster(incarnation: &Incarnation) -> bool {
    incarnation.name().starts_with(OF_CLUSTERS)
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}
