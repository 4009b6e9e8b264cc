//! How much memory the server takes, and the task that looks at it.
//!
//! Redis itself must throw nothing out, because it does not know what has to stay. So whoever uses it
//! makes room: of some hundred documents and sets, those go that were not used for longest, until
//! what the server holds is within the budget. Several instances may do so at the same time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use nubo_core::{Result, cache::SetName, coordination::Epoch, id::Id, schema::CollectionId};
use redis::Value;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{
    Redis, RedisSettings, Shared,
    answers::bytes,
    counts::add,
    failure::unexpected,
    keys::{Found, Kind, pattern_of_all},
    link::{Command, Connection},
    partitions::Partition,
    server::Server,
    storage::RedisStorage,
    upkeep::{Walk, unlink},
};
use crate::storage::DocumentKey;

/// How often the memory is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// How many keys are compared at least before some of them go.
const SAMPLE: usize = 1000;
/// The least and the largest part of them that goes at once.
const PARTS: (f64, f64) = (1.0 / 64.0, 1.0 / 4.0);
/// How often some go before others have to be asked again whether that is wanted.
const ROUNDS: usize = 1000;

/// How many bytes the server may hold. None where nothing limits it.
fn budget(settings: &RedisSettings, server: &Server) -> Option<u64> {
    let most = match (settings.max_memory, server.most) {
        (0, 0) => return None,
        (0, most) | (most, 0) => most,
        (own, most) => own.min(most),
    };
    // A small server is not all margin.
    Some(most - settings.margin.min(most / 4))
}

/// The task that looks at the server's memory from time to time.
pub struct RedisWatch {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RedisWatch {
    /// Keeps what the server holds within its budget until it is stopped.
    pub fn start(redis: &Redis) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let mut eviction = Eviction::new(redis);
        let task = tokio::spawn(async move {
            let mut fails = false;
            loop {
                // The channel closes when its owner is gone; that is a stop too.
                let result = tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    result = eviction.make_room() => result,
                };
                if let (Err(error), false) = (&result, fails) {
                    tracing::warn!(%error, "no room can be made in the shared cache");
                }
                fails = result.is_err();
                let stop = stopped.wait_for(|stop| *stop);
                if tokio::time::timeout(PERIOD, stop).await.is_ok() {
                    return;
                }
            }
        });
        Self { stop, task }
    }

    /// Ends the task.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the watch over Redis' memory has failed");
        }
    }
}

/// Throws out what was not used for long.
pub(super) struct Eviction {
    shared: Arc<Shared>,
    /// Where the next candidates of each server come from.
    walks: Vec<Walk>,
}

/// What may be thrown out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Candidate {
    Document(Epoch, DocumentKey),
    Set(Epoch, SetName),
}

/// Documents and sets of one epoch.
#[derive(Default)]
struct Chosen {
    documents: Vec<DocumentKey>,
    sets: Vec<SetName>,
}

impl Eviction {
    pub fn new(redis: &Redis) -> Self {
        Self {
            shared: Arc::clone(&redis.shared),
            walks: Vec::new(),
        }
    }

    /// Looks at the memory of each server, and makes room until what is there is within the budget, or
    /// nothing is left that may go.
    pub async fn make_room(&mut self) -> Result<()> {
        // Where there is none, there is nothing to look at.
        let Some(connection) = self.shared.link.current() else {
            return Ok(());
        };
        connection.copies().grow_older();
        let (mut most, mut used) = (Some(0), 0);
        for server in connection.servers() {
            let (budget, held) = self.make_room_on(&connection, server).await?;
            most = most.zip(budget).map(|(most, budget)| most + budget);
            used += held;
        }
        self.shared.counts.see(most.unwrap_or(0), used);
        Ok(())
    }

    /// The same on one server. Its budget, and what it holds then.
    async fn make_room_on(
        &mut self,
        connection: &Arc<Connection>,
        server: usize,
    ) -> Result<(Option<u64>, u64)> {
        let mut rounds = 0;
        loop {
            let seen = self.look(connection, server).await?;
            let budget = budget(&self.shared.settings, &seen);
            let over = budget.map_or(0, |budget| seen.used.saturating_sub(budget));
            let part = over as f64 / seen.used as f64;
            if over == 0 || rounds == ROUNDS || !self.evict(connection, server, part).await? {
                return Ok((budget, seen.used));
            }
            rounds += 1;
        }
    }

    async fn look(&self, connection: &Arc<Connection>, server: usize) -> Result<Server> {
        let info = vec![redis::cmd("INFO")];
        let answers = self.shared.link.run(connection, server, info);
        let Ok([info]) = <[Value; 1]>::try_from(answers.await?) else {
            return Err(unexpected("what it knows of itself"));
        };
        Server::read(&String::from_utf8_lossy(&bytes(info)?))
    }

    /// Throws some out when so large a part of all is too much. Whether any went.
    async fn evict(
        &mut self,
        connection: &Arc<Connection>,
        server: usize,
        part: f64,
    ) -> Result<bool> {
        let mut candidates = self.candidates(connection, server).await?;
        candidates.sort_unstable_by_key(|(_, idle)| Reverse(*idle));
        let part = (2.0 * part).clamp(PARTS.0, PARTS.1);
        let some = (candidates.len() as f64 * part).ceil() as usize;
        // Where all of the first must stay, others have to go.
        for some in candidates.chunks(some.max(1)) {
            if self.throw_out(connection, some).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Throws these out, but for what must stay. Whether any went.
    async fn throw_out(
        &self,
        connection: &Arc<Connection>,
        candidates: &[(Candidate, u64)],
    ) -> Result<bool> {
        let mut epochs: BTreeMap<Epoch, Chosen> = BTreeMap::new();
        for (candidate, _) in candidates {
            match candidate {
                Candidate::Document(epoch, document) => {
                    epochs.entry(*epoch).or_default().documents.push(*document);
                }
                Candidate::Set(epoch, set) => {
                    epochs.entry(*epoch).or_default().sets.push(set.clone());
                }
            }
        }
        let mut any = false;
        for (epoch, chosen) in epochs {
            any |= self.throw_out_of(connection, epoch, &chosen).await?;
        }
        Ok(any)
    }

    async fn throw_out_of(
        &self,
        connection: &Arc<Connection>,
        epoch: Epoch,
        Chosen { documents, sets }: &Chosen,
    ) -> Result<bool> {
        let incarnation = connection.incarnation().clone();
        // What is forgotten is nobody's.
        let nobody = Id::from_uuid(Uuid::nil());
        let shared = Arc::clone(&self.shared);
        let storage = RedisStorage::new(shared, epoch, incarnation, nobody);
        let keys = &storage.keys;
        let homes = documents.iter().map(|document| keys.home(*document));
        let homes = homes.chain(sets.iter().map(|set| keys.home_of_set(set)));
        let homes: BTreeSet<Partition> = homes.collect();
        let commands = homes.iter().map(|home| {
            let mut command = redis::cmd("EXISTS");
            command.arg(keys.epoch(*home));
            Command::new(command, keys.slot(*home), 1)
        });
        let exist = self.shared.link.call(connection, commands.collect());
        let exist = exist.await?;
        let there = homes.iter().zip(&exist);
        let there = there.filter(|(_, exists)| **exists == Value::Int(1));
        let there: BTreeSet<Partition> = there.map(|(home, _)| *home).collect();
        let (documents, lost): (Vec<DocumentKey>, Vec<DocumentKey>) = documents
            .iter()
            .partition(|document| there.contains(&keys.home(**document)));
        let (sets, lost_sets): (Vec<SetName>, Vec<SetName>) = sets
            .iter()
            .cloned()
            .partition(|set| there.contains(&keys.home_of_set(set)));
        // Where the epoch is over, it does not come back.
        let lost = lost.into_iter().map(|document| keys.document(document));
        let lost = lost.chain(lost_sets.iter().flat_map(|set| keys.set(set)));
        unlink(&self.shared, connection, lost.collect()).await?;
        // Of those that batches are about to change the tokens stay.
        let mut gone = storage.drop_documents(&documents, false).await?;
        gone.extend(storage.drop_sets(&sets).await?);
        let documents = documents.iter().map(|document| document.collection);
        let sets = sets.iter().map(|set| set.collection);
        for (collection, _) in documents.chain(sets).zip(&gone).filter(|(_, gone)| **gone) {
            self.count_eviction(collection);
        }
        Ok(there.len() < homes.len() || gone.contains(&true))
    }

    fn count_eviction(&self, collection: CollectionId) {
        let counts = &self.shared.counts;
        counts.of(collection, |count| add(&count.evictions));
    }

    /// Some documents and sets of a server, and for how many seconds each was not used. None where
    /// there are none at all.
    async fn candidates(
        &mut self,
        connection: &Arc<Connection>,
        server: usize,
    ) -> Result<Vec<(Candidate, u64)>> {
        let shared = Arc::clone(&self.shared);
        let pattern = pattern_of_all(&shared.settings.prefix);
        while self.walks.len() <= server {
            let walk = Walk::through(self.walks.len(), pattern.clone());
            self.walks.push(walk);
        }
        let mut candidates: HashMap<Candidate, u64> = HashMap::new();
        let mut ends = 0;
        while candidates.len() < SAMPLE && ends < 2 {
            let Some(keys) = self.walks[server].next(&shared, connection).await? else {
                // The second time all of them were seen.
                ends += 1;
                self.walks[server] = Walk::through(server, pattern.clone());
                continue;
            };
            let found: Vec<(Candidate, Vec<u8>)> = keys
                .into_iter()
                .filter_map(|key| Some((self.candidate(&key)?, key)))
                .collect();
            let commands = found.iter().map(|(_, key)| {
                let mut command = redis::cmd("OBJECT");
                command.arg("IDLETIME").arg(key);
                command
            });
            let idle = match found.is_empty() {
                true => Vec::new(),
                false => {
                    let commands = commands.collect();
                    shared.link.run(connection, server, commands).await?
                }
            };
            for ((candidate, _), idle) in found.into_iter().zip(idle) {
                // Nothing where the key has gone meanwhile.
                if let Value::Int(seconds) = idle {
                    let seconds = u64::try_from(seconds).unwrap_or(0);
                    let least = candidates.entry(candidate).or_insert(seconds);
                    *least = seconds.min(*least);
                }
            }
        }
        Ok(candidates.into_iter().collect())
    }

    fn candidate(&self, key: &[u8]) -> Option<Candidate> {
        let found = Found::parse(&self.shared.settings.prefix, key)?;
        match found.part? {
            (Kind::Document, _) => Some(Candidate::Document(
                found.epoch,
                found.document(&self.shared.catalog)?,
            )),
            (Kind::Entries | Kind::Mark, _) => Some(Candidate::Set(
                found.epoch,
                found.set(&self.shared.catalog)?,
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_counts_less_the_margin() {
        let budget = |own, servers| {
            let settings = RedisSettings {
                url: String::new(),
                prefix: String::new(),
                limit: Duration::ZERO,
                max_memory: own,
                margin: 10,
                lists: 0,
                documents: 0,
                has_recent: false,
            };
            let server = format!(
                "run_id:a\nused_memory:5\nmaxmemory:{servers}\nredis_version:7\nrole:master\n\
                 maxmemory_policy:noeviction"
            );
            budget(&settings, &Server::read(&server).unwrap())
        };
        assert_eq!(budget(0, 0), None);
        assert_eq!(budget(100, 0), Some(90));
        assert_eq!(budget(0, 50), Some(40));
        assert_eq!(budget(100, 50), Some(40));
        assert_eq!(budget(20, 50), Some(15));
    }
}
