//! One epoch in Redis, as one instance uses it.

use std::sync::Arc;

use nubo_core::{
    Error, Result,
    cache::{FillToken, Held, Lookup, Members, Reach, Scan, SetName, Statistics},
    coordination::{Epoch, Incarnation},
    id::Id,
    observe::BatchId,
    position::Position,
    schema::{CacheTier, Collection, CollectionId},
};
use redis::{Cmd, Value};

use super::{
    Shared,
    answers::{array, flags, flat, number},
    counts::add,
    keys::Keys,
    link::{unavailable, unexpected},
    packed,
    scripts::{Call, SCRIPTS, Script},
};
use crate::{
    sets::{Mark, union},
    storage::{Announced, DocumentKey, Place, Settled, Storage},
};

/// How many documents one command reads.
const CHUNK: usize = 100;
/// How many commands and calls are sent together. Each of them lets others have their turn.
const TOGETHER: usize = 4;
/// The longest lifetime, in milliseconds: a thousand years.
const LONGEST: i64 = 31_536_000_000_000;

/// Holds documents and sets in Redis.
pub struct RedisStorage {
    pub(super) shared: Arc<Shared>,
    pub(super) keys: Keys,
    pub(super) incarnation: Incarnation,
    pub(super) instance: Id,
}

impl RedisStorage {
    pub(super) fn new(
        shared: Arc<Shared>,
        epoch: Epoch,
        incarnation: Incarnation,
        instance: Id,
    ) -> Self {
        Self {
            keys: Keys::new(&shared.settings.prefix, epoch),
            shared,
            incarnation,
            instance,
        }
    }

    /// Sends commands, some at a time.
    async fn run(&self, commands: Vec<Cmd>) -> Result<Vec<Value>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter();
        loop {
            let some: Vec<Cmd> = commands.by_ref().take(TOGETHER).collect();
            if some.is_empty() {
                return Ok(answers);
            }
            answers.extend(self.shared.link.run(&connection, some).await?);
        }
    }

    /// Calls scripts, some at a time.
    pub(super) async fn call(&self, calls: &[Call]) -> Result<Vec<Value>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        let mut answers = Vec::with_capacity(calls.len());
        for some in calls.chunks(TOGETHER) {
            answers.extend(self.shared.link.call(&connection, some).await?);
        }
        Ok(answers)
    }

    /// Calls a script for each of many, as many in one call as it may do without a pause.
    pub(super) async fn call_for_each<T>(
        &self,
        begin: impl Fn() -> Call,
        each: impl IntoIterator<Item = T>,
        add: impl Fn(&mut Call, T),
    ) -> Result<Vec<Value>> {
        let mut calls: Vec<Call> = Vec::new();
        for one in each {
            if calls.last().is_none_or(Call::is_full) {
                calls.push(begin());
            }
            if let Some(call) = calls.last_mut() {
                add(call, one);
            }
        }
        self.call(&calls).await
    }

    /// A call of a script in this epoch.
    pub(super) fn begun(&self, script: &'static Script) -> Call {
        let mut call = Call::new(script);
        call.key(self.keys.epoch());
        call
    }

    fn tier(&self, collection: CollectionId) -> Result<(&Collection, &CacheTier)> {
        let collection = self.shared.catalog.get(collection);
        let cache = collection.tiers.cache.as_ref();
        let none = || Error::internal(format!("`{}` is not cached", collection.name));
        Ok((collection, cache.ok_or_else(none)?))
    }

    fn unpack(&self, key: DocumentKey, bytes: Vec<u8>) -> Result<Lookup> {
        let (collection, cache) = self.tier(key.collection)?;
        packed::read_document(bytes, collection, cache)
            .map(Lookup::Held)
            .ok_or_else(|| unexpected("a document"))
    }

    /// What is known of documents without leaving anything there; nothing of those that are missing.
    pub(super) async fn find(&self, documents: &[DocumentKey]) -> Result<Vec<Option<Lookup>>> {
        let commands = documents.chunks(CHUNK).map(|documents| {
            let mut command = redis::cmd("MGET");
            command.arg(self.keys.epoch());
            for document in documents {
                command.arg(self.keys.held(*document));
                command.arg(self.keys.tokens(*document));
            }
            command
        });
        let answers = self.run(commands.collect()).await?;
        let mut found = Vec::with_capacity(documents.len());
        for (documents, answer) in documents.chunks(CHUNK).zip(answers) {
            let mut values = array(answer)?.into_iter();
            if let None | Some(Value::Nil) = values.next() {
                return Err(unavailable("what Redis held is gone"));
            }
            for document in documents {
                found.push(match (values.next(), values.next()) {
                    (Some(_), Some(Value::BulkString(_))) => Some(Lookup::Busy),
                    (Some(Value::BulkString(held)), _) => Some(self.unpack(*document, held)?),
                    _ => None,
                });
            }
        }
        Ok(found)
    }

    /// The same of documents that were missing a moment ago, each of which has a fill token if it
    /// still is.
    pub(super) async fn leave(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let begin = || self.begun(&SCRIPTS.read);
        let add = |call: &mut Call, document: &DocumentKey| {
            call.keys(self.keys.slot(*document));
        };
        let answers = self.call_for_each(begin, documents, add).await?;
        let read = |(document, value): (&DocumentKey, Value)| match value {
            Value::Nil => Ok(Lookup::Busy),
            Value::BulkString(held) => self.unpack(*document, held),
            value => Ok(Lookup::Missing(FillToken {
                id: document.id,
                number: number(&value)?,
            })),
        };
        let values = flat(answers, documents.len())?;
        documents.iter().zip(values).map(read).collect()
    }

    fn scan_of(&self, value: Value, after: Option<&Position>, most: usize) -> Result<Stretch> {
        let Ok([mark, members]) = <[Value; 2]>::try_from(array(value)?) else {
            return Err(unexpected("a stretch of a set"));
        };
        let mark = match mark {
            Value::BulkString(mark) => packed::read_mark(&mark),
            Value::Nil => return Ok((Vec::new(), Reach::Nowhere)),
            _ => None,
        };
        let mark = mark.ok_or_else(|| unexpected("a coverage mark"))?;
        let members = array(members)?.into_iter().map(|member| match member {
            Value::BulkString(member) => packed::read_member(&member),
            _ => None,
        });
        let positions: Option<Vec<Position>> = members.collect();
        let positions = positions.ok_or_else(|| unexpected("positions"))?;
        let reach = mark.reach(after, &positions, most);
        Ok((positions, reach))
    }
}

/// What was found in a set, and down to where.
type Stretch = (Vec<Position>, Reach);

impl Storage for RedisStorage {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let mut found = self.find(documents).await?;
        let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let keys: Vec<DocumentKey> = missing.iter().map(|at| documents[*at]).collect();
            for (at, lookup) in missing.into_iter().zip(self.leave(&keys).await?) {
                found[at] = Some(lookup);
            }
        }
        let found: Vec<Lookup> = found.into_iter().flatten().collect();
        if found.len() != documents.len() {
            return Err(unexpected("what it was asked for"));
        }
        for (document, lookup) in documents.iter().zip(&found) {
            self.shared.counts.of(document.collection, |count| {
                add(match lookup {
                    Lookup::Held(_) => &count.hits,
                    Lookup::Missing(_) | Lookup::Busy | Lookup::Unknown => &count.misses,
                });
            });
        }
        Ok(found)
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let keys: Vec<DocumentKey> = documents.iter().map(|(key, ..)| *key).collect();
        let mut fills = Vec::with_capacity(documents.len());
        for (key, token, held) in documents {
            let (_, cache) = self.tier(key.collection)?;
            fills.push((key, token, packed::document(&held, cache)));
        }
        let begin = || {
            let mut call = self.begun(&SCRIPTS.fill);
            call.number(milliseconds(lifetime));
            call
        };
        let answers = self.call_for_each(begin, fills, |call, (key, token, document)| {
            call.keys(self.keys.slot(key)).number(token);
            call.argument(document);
        });
        let counts = flags(answers.await?, keys.len())?;
        for (key, counts) in keys.iter().zip(&counts) {
            self.shared.counts.of(key.collection, |count| {
                add(match counts {
                    true => &count.fills,
                    false => &count.refused_fills,
                });
            });
        }
        Ok(counts)
    }

    async fn announce(&self, batch: BatchId, documents: &[Announced]) -> Result<Vec<bool>> {
        let begin = || {
            let mut call = self.begun(&SCRIPTS.announce);
            call.key(self.keys.fence(self.instance));
            call.key(self.keys.announced(self.instance));
            call.argument(packed::batch(self.instance, batch));
            call
        };
        let add = |call: &mut Call, announced: &Announced| {
            call.keys(self.keys.slot(announced.document));
            call.argument(packed::record_name(batch, announced.document));
            call.argument(packed::record(&announced.places));
            call.argument(packed::revision(announced.revision));
            call.number(announced.places.len());
            self.add_places(call, &announced.places);
        };
        let answers = self.call_for_each(begin, documents, add).await?;
        flags(answers, documents.len())
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        let mut settled = Vec::with_capacity(documents.len());
        for document in documents {
            let (_, cache) = self.tier(document.document.collection)?;
            let held = document.held.as_ref();
            let packed = held.map_or_else(Vec::new, |held| packed::document(held, cache));
            settled.push((document, packed));
        }
        let begin = || {
            let mut call = self.begun(&SCRIPTS.settle);
            call.key(self.keys.announced(self.instance));
            call.argument(packed::batch(self.instance, batch));
            call
        };
        let answers = self.call_for_each(begin, settled, |call, (settled, packed)| {
            call.keys(self.keys.slot(settled.document));
            call.argument(packed::record_name(batch, settled.document));
            call.argument(packed::version(settled.version));
            call.argument(packed);
            call.number(milliseconds(settled.lifetime));
            call.argument(packed::revision(settled.left_at));
            for places in [&settled.places, &settled.left] {
                call.number(places.len());
                self.add_places(call, places);
            }
        });
        answers.await.map(drop)
    }

    async fn abort(&self, batch: BatchId, documents: &[Announced]) -> Result<()> {
        let documents = documents
            .iter()
            .map(|announced| (announced.document, &announced.places[..]));
        self.abort_all(batch, documents, false).await
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let mut call = self.begun(&SCRIPTS.scan);
        for set in sets {
            call.keys(self.keys.contents(set));
        }
        call.number(most);
        call.argument(after.map_or(&[][..], Position::bytes));
        let values = flat(self.call(&[call]).await?, sets.len())?;
        let stretches = values.into_iter();
        let stretches: Result<Vec<Stretch>> = stretches
            .map(|value| self.scan_of(value, after, most))
            .collect();
        Ok(union(stretches?, most))
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        let mut call = self.begun(&SCRIPTS.begin);
        call.keys(self.keys.set(set));
        match &self.call(&[call]).await?[..] {
            [Value::Nil] => Ok(None),
            [token] => number(token).map(Some),
            _ => Err(unexpected("a build token")),
        }
    }

    async fn build(&self, set: &SetName, token: u64, members: Members) -> Result<bool> {
        let last = members.members.last();
        let mark = match (members.to_the_end, last) {
            (true, _) => packed::mark(&Mark::End),
            (false, Some(last)) => packed::mark(&Mark::To(last.position.clone())),
            (false, None) => Vec::new(),
        };
        let mut call = self.begun(&SCRIPTS.build);
        call.keys(self.keys.set(set)).number(token);
        call.argument(members.after.as_ref().map_or(&[][..], Position::bytes));
        call.argument(mark);
        for member in &members.members {
            call.argument(member.position.bytes());
            call.argument(packed::revision(member.revision));
        }
        let answers = self.call(&[call]).await?;
        let counts = answers.first().map(number).transpose()? == Some(1);
        self.shared.counts.of(set.collection, |count| {
            add(match counts {
                true => &count.builds,
                false => &count.refused_builds,
            });
        });
        Ok(counts)
    }

    async fn clear(&self) -> Result<()> {
        self.forget_all().await
    }

    fn statistics(&self) -> Statistics {
        self.shared.counts.statistics()
    }
}

impl RedisStorage {
    /// Takes the tokens of a batch away. Where nobody knows whether it was committed, its documents
    /// are not held afterwards.
    pub(super) async fn abort_all<'a>(
        &self,
        batch: BatchId,
        documents: impl Iterator<Item = (DocumentKey, &'a [Place])>,
        doubtful: bool,
    ) -> Result<()> {
        let begin = || {
            let mut call = self.begun(&SCRIPTS.abort);
            call.key(self.keys.announced(self.instance));
            call.argument(packed::batch(self.instance, batch));
            call.number(u8::from(doubtful));
            call
        };
        let answers = self.call_for_each(begin, documents, |call, (document, places)| {
            call.keys(self.keys.slot(document));
            call.argument(packed::record_name(batch, document));
            call.number(places.len());
            self.add_places(call, places);
        });
        answers.await.map(drop)
    }

    fn add_places(&self, call: &mut Call, places: &[Place]) {
        for place in places {
            call.keys(self.keys.set(&place.set));
            call.argument(place.position.bytes());
        }
    }
}

/// A lifetime as scripts take it.
fn milliseconds(lifetime: Option<i64>) -> i64 {
    lifetime.map_or(0, |lifetime| lifetime.clamp(1, LONGEST))
}
