//! How much memory the server takes, and the task that looks at it.
//!
//! Redis itself must throw nothing out, because it does not know what has to stay. So whoever uses it
//! makes room: of some hundred documents and sets, those go that were not used for longest, until
//! what the server holds is within the budget. Several instances may do so at the same time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
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
    keys::{Found, Keys, Kind, pattern_of_all},
    link::{Connection, unexpected},
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
    /// Where the next candidates come from.
    walk: Walk,
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
        let shared = Arc::clone(&redis.shared);
        Self {
            walk: Walk::through(pattern_of_all(&shared.settings.prefix)),
            shared,
        }
    }

    /// Looks at the memory, and makes room until what is there is within the budget, or nothing is
    /// left that may go.
    pub async fn make_room(&mut self) -> Result<()> {
        // Where there is none, there is nothing to look at.
        let Some(connection) = self.shared.link.current() else {
            return Ok(());
        };
        for _ in 0..ROUNDS {
            let server = self.look(&connection).await?;
            let budget = budget(&self.shared.settings, &server);
            self.shared.counts.see(budget.unwrap_or(0), server.used);
            let over = budget.map_or(0, |budget| server.used.saturating_sub(budget));
            let part = over as f64 / server.used as f64;
            if over == 0 || !self.evict(&connection, part).await? {
                break;
            }
        }
        Ok(())
    }

    async fn look(&self, connection: &Arc<Connection>) -> Result<Server> {
        let answers = self.shared.link.run(connection, vec![redis::cmd("INFO")]);
        let Ok([info]) = <[Value; 1]>::try_from(answers.await?) else {
            return Err(unexpected("what it knows of itself"));
        };
        Server::read(&String::from_utf8_lossy(&bytes(info)?))
    }

    /// Throws some out when so large a part of all is too much. Whether any went.
    async fn evict(&mut self, connection: &Arc<Connection>, part: f64) -> Result<bool> {
        let mut candidates = self.candidates(connection).await?;
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
        let keys = Keys::new(&self.shared.settings.prefix, epoch);
        let own = documents.iter().map(|document| keys.document(*document));
        let own: Vec<Vec<u8>> = own.collect();
        let mut exists = redis::cmd("EXISTS");
        exists.arg(keys.epoch());
        if self.shared.link.run(connection, vec![exists]).await? != [Value::Int(1)] {
            // The epoch is over and does not come back.
            let sets = sets.iter().flat_map(|set| keys.set(set));
            let all: Vec<Vec<u8>> = own.into_iter().chain(sets).collect();
            unlink(&self.shared, connection, &all).await?;
            return Ok(true);
        }
        let incarnation = connection.incarnation().clone();
        // What is forgotten is nobody's.
        let nobody = Id::from_uuid(Uuid::nil());
        let shared = Arc::clone(&self.shared);
        let storage = RedisStorage::new(shared, epoch, incarnation, nobody);
        // Of those that batches are about to change the tokens stay.
        let mut gone = storage.drop_documents(own, false).await?;
        gone.extend(storage.drop_sets(sets).await?);
        let documents = documents.iter().map(|document| document.collection);
        let sets = sets.iter().map(|set| set.collection);
        for (collection, _) in documents.chain(sets).zip(&gone).filter(|(_, gone)| **gone) {
            self.count_eviction(collection);
        }
        Ok(gone.contains(&true))
    }

    fn count_eviction(&self, collection: CollectionId) {
        let counts = &self.shared.counts;
        counts.of(collection, |count| add(&count.evictions));
    }

    /// Some documents and sets, and for how many seconds each was not used. None where there are
    /// none at all.
    async fn candidates(&mut self, connection: &Arc<Connection>) -> Result<Vec<(Candidate, u64)>> {
        let shared = Arc::clone(&self.shared);
        let prefix = &shared.settings.prefix;
        let mut candidates: HashMap<Candidate, u64> = HashMap::new();
        let mut ends = 0;
        while candidates.len() < SAMPLE && ends < 2 {
            let Some(keys) = self.walk.next(&shared, connection).await? else {
                // The second time all of them were seen.
                ends += 1;
                self.walk = Walk::through(pattern_of_all(prefix));
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
                false => shared.link.run(connection, commands.collect()).await?,
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
