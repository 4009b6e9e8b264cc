//! What goes through many keys: clearing an epoch, sweeping old ones, and taking back what an
//! instance has announced.
//!
//! Each server hands its keys out some at a time. A key that is there from the beginning to the end of that is
//! among them; one that comes or goes meanwhile may be or not.

use std::{collections::BTreeMap, sync::Arc};

use nubo_core::{
    Result,
    cache::SetName,
    coordination::{Epoch, Incarnation},
    observe::BatchId,
};
use redis::Value;

use super::{
    Shared,
    answers::{are_yes, array, bytes},
    batches::Records,
    failure::unexpected,
    fates::Aborted,
    keys::{Found, Kind, pattern_of_all},
    link::{Command, Connection},
    packed,
    partitions::Partition,
    scripts::{Call, SCRIPTS},
    spread::Spread,
    storage::RedisStorage,
};
use crate::storage::DocumentKey;

/// What a record says.
struct Announcement {
    name: Vec<u8>,
    batch: BatchId,
    documents: Vec<DocumentKey>,
}

/// How many keys are looked at in one step.
const STEP: usize = 1000;

/// Goes through the keys of one server that match a pattern.
pub(super) struct Walk {
    pattern: Vec<u8>,
    server: usize,
    /// Where Redis goes on; none at the end.
    cursor: Option<u64>,
}

impl Walk {
    pub fn through(server: usize, pattern: Vec<u8>) -> Self {
        Self {
            pattern,
            server,
            cursor: Some(0),
        }
    }

    /// The next keys, which may be none although more follow. Nothing at the end.
    pub async fn next(
        &mut self,
        shared: &Shared,
        connection: &Arc<Connection>,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern);
        command.arg("COUNT").arg(STEP);
        let answers = shared.link.run(connection, self.server, vec![command]);
        let (cursor, keys) = step(answers.await?)?;
        self.cursor = cursor;
        keys.into_iter().map(bytes).collect::<Result<_>>().map(Some)
    }
}

/// Deletes the keys of the epochs with lower numbers.
pub(super) async fn sweep(shared: &Shared, below: Epoch, on: &Incarnation) -> Result<()> {
    let connection = shared.link.to(on)?;
    // Once the epochs' own keys are gone, nothing of them can come back while the rest goes.
    for own in [true, false] {
        for server in connection.servers() {
            let mut walk = Walk::through(server, pattern_of_all(&shared.settings.prefix));
            while let Some(mut keys) = walk.next(shared, &connection).await? {
                keys.retain(|key| {
                    Found::parse(&shared.settings.prefix, key).is_some_and(|found| {
                        found.epoch.number < below.number && found.part.is_none() == own
                    })
                });
                unlink(shared, &connection, keys).await?;
            }
        }
    }
    Ok(())
}

/// Deletes keys.
pub(super) async fn unlink(
    shared: &Shared,
    connection: &Arc<Connection>,
    keys: Vec<Vec<u8>>,
) -> Result<()> {
    let mut slots: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
    for key in keys {
        slots.entry(connection.slot(&key)).or_default().push(key);
    }
    let mut commands = Vec::new();
    for (slot, keys) in slots {
        commands.extend(keys.chunks(STEP).map(|keys| {
            let mut command = redis::cmd("UNLINK");
            command.arg(keys);
            Command::new(command, slot, keys.len())
        }));
    }
    if commands.is_empty() {
        return Ok(());
    }
    shared.link.call(connection, commands).await.map(drop)
}

impl RedisStorage {
    /// Forgets everything that may be evicted.
    pub(super) async fn forget_all(&self) -> Result<()> {
        // What was read before now counts no more once its tokens are gone; what counted before that
        // is there when the second walk begins.
        for of_readers in [true, false] {
            self.forget_some(of_readers).await?;
        }
        Ok(())
    }

    async fn forget_some(&self, of_readers: bool) -> Result<()> {
        let shared = &self.shared;
        let connection = shared.link.to(&self.incarnation)?;
        for server in connection.servers() {
            let mut walk = Walk::through(server, self.keys.pattern());
            while let Some(keys) = walk.next(shared, &connection).await? {
                let mut gone = Vec::new();
                let mut documents = Vec::new();
                let mut sets = Vec::new();
                for key in keys {
                    let Some(found) = Found::parse(&shared.settings.prefix, &key) else {
                        continue;
                    };
                    match found.part {
                        Some((Kind::Document, _)) => {
                            documents.extend(found.document(&shared.catalog));
                        }
                        Some((Kind::Builders, _)) if of_readers => gone.push(key),
                        Some((Kind::Entries | Kind::Mark, _)) if !of_readers => {
                            sets.extend(found.set(&shared.catalog));
                        }
                        _ => {}
                    }
                }
                unlink(shared, &connection, gone).await?;
                self.drop_documents(&documents, of_readers).await?;
                sets.sort_unstable();
                sets.dedup();
                self.drop_sets(&sets).await?;
            }
        }
        Ok(())
    }

    /// Forgets what is known of documents, or only fill tokens. Which ones had any of that.
    pub(super) async fn drop_documents(
        &self,
        documents: &[DocumentKey],
        tokens_only: bool,
    ) -> Result<Vec<bool>> {
        let begin = |home| {
            let mut call = self.begun(&SCRIPTS.drop, home);
            call.number(u8::from(tokens_only));
            call
        };
        let own = documents.iter().map(|own| (self.keys.home(*own), *own));
        let calls = Spread::new(own).calls(begin, |call, document| {
            call.key(self.keys.document(document));
        });
        are_yes(&self.call_each(calls).await?)
    }

    /// Forgets sets. Which ones were there.
    pub(super) async fn drop_sets(&self, sets: &[SetName]) -> Result<Vec<bool>> {
        let begin = |home| self.begun(&SCRIPTS.forget, home);
        let own = sets.iter().map(|set| (self.keys.home_of_set(set), set));
        let calls = Spread::new(own).calls(begin, |call, set| {
            call.keys(self.keys.set(set));
        });
        are_yes(&self.call_each(calls).await?)
    }

    /// Fences the instance, and takes back what it has announced and not settled.
    pub(super) async fn take_back(&self) -> Result<()> {
        let fences: Vec<Call> = self.keys.partitions().map(|own| self.fence(own)).collect();
        self.call(&fences).await?;
        // From now on nothing is added anywhere.
        for partition in self.keys.partitions() {
            self.take_back_in(partition).await?;
        }
        Ok(())
    }

    async fn take_back_in(&self, partition: Partition) -> Result<()> {
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let mut command = redis::cmd("HSCAN");
            command.arg(self.keys.records(partition));
            command.arg(from).arg("COUNT").arg(STEP / 4);
            let command = Command::new(command, self.keys.slot(partition), STEP / 4);
            let (next, entries) = step(self.run(vec![command]).await?)?;
            cursor = next;
            for record in self.own(entries)? {
                // Their places stay: they may be right. So do their claims, which go when the recent
                // tier has what was committed of them.
                let documents = record.documents.into_iter().map(|document| Aborted {
                    document,
                    entered: Vec::new(),
                });
                let documents: Vec<Aborted<'_>> = documents.collect();
                let records = Records::from([(partition, vec![record.name])]);
                self.abort_all(record.batch, &documents, records, &[], true)
                    .await?;
            }
        }
        Ok(())
    }

    fn fence(&self, partition: Partition) -> Call {
        let mut call = self.begun(&SCRIPTS.fence, partition);
        call.key(self.keys.fence(partition, self.instance));
        call
    }

    /// The records of the instance among these.
    fn own(&self, entries: Vec<Value>) -> Result<Vec<Announcement>> {
        let mut own = Vec::new();
        let mut entries = entries.into_iter();
        while let (Some(name), Some(record)) = (entries.next(), entries.next()) {
            let name = bytes(name)?;
            let read = packed::read_record_name(&name);
            let (instance, batch) = read.ok_or_else(|| unexpected("the name of a record"))?;
            if instance == self.instance {
                let documents = packed::read_record(&bytes(record)?, &self.shared.catalog);
                own.push(Announcement {
                    name,
                    batch,
                    documents: documents.ok_or_else(|| unexpected("a record"))?,
                });
            }
        }
        Ok(own)
    }
}

/// Where the next step begins, if there is one, and what this one has found.
fn step(answers: Vec<Value>) -> Result<(Option<u64>, Vec<Value>)> {
    let Ok([answer]) = <[Value; 1]>::try_from(answers) else {
        return Err(unexpected("keys"));
    };
    let Ok([cursor, found]) = <[Value; 2]>::try_from(array(answer)?) else {
        return Err(unexpected("keys"));
    };
    let cursor = bytes(cursor)?;
    let cursor: Option<u64> = str::from_utf8(&cursor)
        .ok()
        .and_then(|text| text.parse().ok());
    let cursor = cursor.ok_or_else(|| unexpected("a cursor"))?;
    Ok(((cursor != 0).then_some(cursor), array(found)?))
}
