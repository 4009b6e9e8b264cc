//! One epoch in Redis, as one instance uses it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

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
use smallvec::SmallVec;

use super::{
    Shared,
    answers::{array, bytes, flags, flat, number},
    counts::add,
    gather::{Gathering, Question},
    keys::Keys,
    link::{unavailable, unexpected},
    lists::{Known, Lists, Name},
    packed::{self, Record, Slot},
    scripts::{Call, SCRIPTS, Script},
};
use crate::{
    sets::{Mark, union},
    storage::{Announced, DocumentKey, Settled, Storage},
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
    documents: Gathering<Documents>,
    marks: Gathering<Marks>,
    lists: Lists,
    /// How many records there are of each batch that is announced and not settled.
    written: Mutex<HashMap<BatchId, u32>>,
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
            lists: Lists::new(shared.settings.lists),
            marks: Gathering::default(),
            shared,
            incarnation,
            instance,
            documents: Gathering::default(),
            written: Mutex::default(),
        }
    }

    async fn run(&self, commands: Vec<Cmd>) -> Result<Vec<Value>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        self.shared.link.run(&connection, commands).await
    }

    /// Calls scripts, some at a time.
    pub(super) async fn call(&self, calls: &[Call]) -> Result<Vec<Value>> {
        self.call_all(calls.iter().map(Call::command)).await
    }

    /// Sends commands, some of which call scripts, some at a time and in their order.
    async fn call_all(&self, commands: impl IntoIterator<Item = Cmd>) -> Result<Vec<Value>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        let mut commands = commands.into_iter().peekable();
        let mut answers = Vec::with_capacity(commands.size_hint().0);
        while commands.peek().is_some() {
            let some = commands.by_ref().take(TOGETHER).collect();
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
        let mut each = each.into_iter().peekable();
        if each.peek().is_none() {
            return Ok(Vec::new());
        }
        self.call(&calls_for_each(begin(), &begin, each, add)).await
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
        let slot = packed::read_slot(bytes, collection, cache);
        Ok(match slot.ok_or_else(|| unexpected("a document"))? {
            Slot::Held(held) => Lookup::Held(held),
            Slot::Missing(number) => Lookup::Missing(FillToken { id: key.id, number }),
            Slot::Busy => Lookup::Busy,
        })
    }

    /// What is known of documents without leaving anything there; nothing of those of which nothing is.
    pub(super) async fn find(&self, documents: &[DocumentKey]) -> Result<Vec<Option<Lookup>>> {
        let mut found = Vec::with_capacity(documents.len());
        for documents in documents.chunks(CHUNK) {
            let question = Documents(documents.into());
            let slots = self
                .documents
                .ask(question, async |questions: &[Documents]| {
                    self.slots(questions).await
                });
            for (document, slot) in documents.iter().zip(slots.await?) {
                found.push(match slot {
                    Value::BulkString(slot) => Some(self.unpack(*document, slot)?),
                    _ => None,
                });
            }
        }
        Ok(found)
    }

    /// What is there of the documents of several questions.
    async fn slots(&self, questions: &[Documents]) -> Result<Vec<Vec<Value>>> {
        let mut command = redis::cmd("MGET");
        command.arg(self.keys.epoch());
        for document in questions.iter().flat_map(|question| question.0.iter()) {
            command.arg(self.keys.document(*document));
        }
        let answers = self.run(vec![command]).await?;
        let mut values = flat(
            answers,
            1 + questions.iter().map(Question::weight).sum::<usize>(),
        )?;
        let mut values = values.drain(..);
        if let None | Some(Value::Nil) = values.next() {
            return Err(unavailable("what Redis held is gone"));
        }
        let questions = questions.iter();
        Ok(questions
            .map(|question| values.by_ref().take(question.weight()).collect())
            .collect())
    }

    /// The same of documents of which nothing was known a moment ago, each of which has a fill token if
    /// that is still so.
    pub(super) async fn leave(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let begin = || self.begun(&SCRIPTS.read);
        let add = |call: &mut Call, document: &DocumentKey| {
            call.key(self.keys.document(*document));
        };
        let answers = self.call_for_each(begin, documents, add).await?;
        let values = flat(answers, documents.len())?;
        let read = |(document, value): (&DocumentKey, Value)| self.unpack(*document, bytes(value)?);
        documents.iter().zip(values).map(read).collect()
    }

    /// The stamps of some sets, and of the epoch.
    async fn stamps(&self, sets: &[SetName]) -> Result<Vec<Value>> {
        let question = Marks(sets.into());
        let stamps = self.marks.ask(question, async |questions: &[Marks]| {
            let mut command = redis::cmd("MGET");
            command.arg(self.keys.epoch()).arg(self.keys.stamp());
            for set in questions.iter().flat_map(|question| question.0.iter()) {
                command.arg(self.keys.mark(set));
            }
            let answers = self.run(vec![command]).await?;
            let count = 2 + questions.iter().map(Question::weight).sum::<usize>();
            let mut values = flat(answers, count)?.into_iter();
            if let None | Some(Value::Nil) = values.next() {
                return Err(unavailable("what Redis held is gone"));
            }
            let own = values.next().unwrap_or(Value::Nil);
            let stamps = questions.iter().map(|question| {
                let marks = values.by_ref().take(question.weight());
                std::iter::once(own.clone()).chain(marks).collect()
            });
            Ok(stamps.collect())
        });
        stamps.await
    }

    /// What stands in sets, and their stamps with the epoch's.
    pub(super) async fn stretch(
        &self,
        sets: &[SetName],
        after: Option<&Position>,
        most: usize,
    ) -> Result<(Vec<Value>, Scan)> {
        let mut call = self.begun(&SCRIPTS.scan);
        call.key(self.keys.stamp());
        for set in sets {
            call.keys(self.keys.contents(set));
        }
        call.number(most);
        call.argument(after.map_or(&[][..], Position::bytes));
        let mut values = flat(self.call(&[call]).await?, 1 + sets.len())?.into_iter();
        let mut stamps = vec![values.next().unwrap_or(Value::Nil)];
        let mut stretches: Vec<Stretch> = Vec::with_capacity(sets.len());
        for value in values {
            let Ok([mark, members]) = <[Value; 2]>::try_from(array(value)?) else {
                return Err(unexpected("a stretch of a set"));
            };
            stretches.push(Self::scan_of(&mark, members, after, most)?);
            stamps.push(mark);
        }
        Ok((stamps, union(stretches, most)))
    }

    fn count_hits(&self, sets: &[SetName], documents: usize) {
        if let Some(set) = sets.first() {
            self.shared.counts.of(set.collection, |count| {
                count.hits.fetch_add(documents as u64, Ordering::Relaxed);
            });
        }
    }

    fn scan_of(
        mark: &Value,
        members: Value,
        after: Option<&Position>,
        most: usize,
    ) -> Result<Stretch> {
        let mark = match mark {
            Value::BulkString(mark) => packed::read_mark(mark),
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

/// Documents that somebody asks for.
#[derive(Clone)]
struct Documents(SmallVec<[DocumentKey; 1]>);

/// Sets whose marks somebody asks for.
#[derive(Clone)]
struct Marks(SmallVec<[SetName; 1]>);

impl Question for Marks {
    type Answer = Vec<Value>;

    fn weight(&self) -> usize {
        self.0.len()
    }
}

impl Question for Documents {
    type Answer = Vec<Value>;

    fn weight(&self) -> usize {
        self.0.len()
    }
}

/// The key of a set's entries, and one of them.
type Entry = (Vec<u8>, Vec<u8>);

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
            call.key(self.keys.document(key)).number(token);
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
        let mut worth = vec![false; documents.len()];
        let (new, known): (Vec<_>, Vec<_>) = documents
            .iter()
            .enumerate()
            .partition(|(_, announced)| announced.is_new);
        let mut commands = self.records(batch, documents)?;
        let records = commands.len();
        commands.extend(self.announcements(batch, &known));
        let calls = commands.len() - records;
        // Where nobody reads the sets of new documents now, who builds them later finds the records.
        let heads = self.heads(&new);
        commands.extend(heads.iter().cloned());
        let mut answers = self.call_all(commands).await?.into_iter().skip(records);
        let mut note = |announced: &[(usize, &Announced)], answers| {
            let flags = flags(answers, announced.len())?;
            for ((at, _), flag) in announced.iter().zip(flags) {
                worth[*at] = flag;
            }
            Ok::<_, Error>(())
        };
        note(&known, answers.by_ref().take(calls).collect())?;
        let read = self.read_among(new, answers.collect())?;
        if !read.is_empty() {
            let answers = self.call_all(self.announcements(batch, &read)).await?;
            note(&read, answers)?;
        }
        Ok(worth)
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        let mut settled = Vec::with_capacity(documents.len());
        for document in documents {
            if is_nothing_to_settle(&document) {
                continue;
            }
            let (_, cache) = self.tier(document.document.collection)?;
            let held = document.held.as_ref();
            let packed = held.map_or_else(Vec::new, |held| packed::document(held, cache));
            settled.push((document, packed));
        }
        let begin = |records| {
            let mut call = self.begun(&SCRIPTS.settle);
            self.add_records(&mut call, records);
            call.argument(packed::batch(self.instance, batch));
            call
        };
        // Who builds a set from now on reads what was committed.
        let first = begin(self.records_of(batch));
        let next = || begin(Vec::new());
        let calls = calls_for_each(first, next, settled, |call, (settled, packed)| {
            call.key(self.keys.document(settled.document));
            call.argument(packed::version(settled.version));
            call.argument(packed);
            call.number(milliseconds(settled.lifetime));
            call.argument(packed::revision(settled.left_at));
            call.number(settled.left.len());
            for place in &settled.left {
                call.key(self.keys.entries(&place.set));
                call.argument(place.position.bytes());
            }
        });
        self.call(&calls).await.map(drop)
    }

    async fn abort(&self, batch: BatchId, documents: &[Announced]) -> Result<()> {
        let documents = documents.iter().map(|announced| {
            let places = match announced.is_new {
                true => &announced.places[..],
                false => &[],
            };
            let entered = places.iter().map(|place| {
                let entry = packed::entry(&place.position, announced.revision);
                (self.keys.entries(&place.set), entry)
            });
            (announced.document, entered.collect())
        });
        let records = self.records_of(batch);
        self.abort_all(batch, documents, records, false).await
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let name = Name {
            sets: sets.into(),
            after: after.cloned(),
            most,
        };
        if let Some(known) = self.lists.get(&name)
            && self.stamps(sets).await? == known.stamps
        {
            self.count_hits(sets, known.scan.positions.len());
            return Ok(known.scan.clone());
        }
        let (stamps, mut scan) = self.stretch(sets, after, most).await?;
        let Some((collection, cache)) = sets
            .first()
            .map(|set| self.tier(set.collection))
            .transpose()?
        else {
            return Ok(scan);
        };
        let ids = scan.positions.iter();
        let ids = ids.filter_map(|position| position.id(&collection.order));
        let mut known = HashSet::with_capacity(scan.positions.len());
        // One that is being moved stands at two places.
        let ids: Vec<Id> = ids.filter(|id| known.insert(*id)).collect();
        let keys = ids.iter().map(|id| DocumentKey {
            collection: collection.id,
            id: *id,
        });
        let found = self.read(&keys.collect::<Vec<_>>()).await?;
        scan.documents = Some(ids.into_iter().zip(found).collect());
        if cache.expires.is_none() {
            let scan = scan.clone();
            self.lists.keep(name, Known { stamps, scan });
        }
        Ok(scan)
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        let mut call = self.begun(&SCRIPTS.begin);
        call.keys(self.keys.set(set)).key(self.keys.records());
        call.argument(packed::set_name(set));
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
    /// Takes the tokens of a batch away, its records, and what its documents have entered. Where nobody knows whether it was committed,
    /// its documents are not held afterwards.
    pub(super) async fn abort_all(
        &self,
        batch: BatchId,
        documents: impl Iterator<Item = (DocumentKey, Vec<Entry>)>,
        records: Vec<Vec<u8>>,
        doubtful: bool,
    ) -> Result<()> {
        let begin = |records| {
            let mut call = self.begun(&SCRIPTS.abort);
            self.add_records(&mut call, records);
            call.argument(packed::batch(self.instance, batch));
            call.number(u8::from(doubtful));
            call
        };
        let next = || begin(Vec::new());
        let mut calls = calls_for_each(next(), next, documents, |call, (document, entered)| {
            call.key(self.keys.document(document));
            call.number(entered.len());
            for (entries, entry) in entered {
                call.key(entries);
                call.argument(entry);
            }
        });
        // What says what there is to do goes when it is done.
        calls.push(begin(records));
        self.call(&calls).await.map(drop)
    }

    /// What puts down what a batch announces.
    fn records(&self, batch: BatchId, documents: &[Announced]) -> Result<Vec<Cmd>> {
        let too_large = || Error::internal("a document that is too large for its record");
        let mut commands = Vec::new();
        for documents in documents.chunks(CHUNK) {
            let mut record = Record::default();
            for announced in documents {
                record.add(announced).ok_or_else(too_large)?;
            }
            let mut call = self.begun(&SCRIPTS.record);
            call.key(self.keys.fence(self.instance));
            call.key(self.keys.records());
            let number = self.next_record(batch);
            call.argument(packed::record_name(self.instance, batch, number));
            call.argument(record.bytes().ok_or_else(too_large)?);
            commands.push(call.command());
        }
        Ok(commands)
    }

    /// What announces documents that have records.
    fn announcements(&self, batch: BatchId, documents: &[(usize, &Announced)]) -> Vec<Cmd> {
        if documents.is_empty() {
            return Vec::new();
        }
        let begin = || {
            let mut call = self.begun(&SCRIPTS.announce);
            call.key(self.keys.stamp());
            call.key(self.keys.fence(self.instance));
            call.argument(packed::batch(self.instance, batch));
            call
        };
        let calls = calls_for_each(begin(), begin, documents, |call, (_, announced)| {
            call.key(self.keys.document(announced.document));
            call.number(u8::from(announced.is_new));
            call.number(announced.places.len());
            call.argument(packed::revision(announced.revision));
            for place in &announced.places {
                call.keys(self.keys.set(&place.set));
                call.argument(place.position.bytes());
            }
            match &announced.left {
                Some(left) => {
                    call.number(left.len());
                    call.keys(left.iter().map(|place| self.keys.mark(&place.set)));
                }
                None => {
                    call.argument(Vec::new());
                }
            }
        });
        calls.iter().map(Call::command).collect()
    }

    /// What asks who reads the sets of new documents, or is about to.
    fn heads(&self, new: &[(usize, &Announced)]) -> Vec<Cmd> {
        let commands = new.chunks(CHUNK).map(|new| {
            let mut command = redis::cmd("MGET");
            command.arg(self.keys.epoch());
            for place in new.iter().flat_map(|(_, announced)| &announced.places) {
                command.arg(self.keys.mark(&place.set));
                command.arg(self.keys.builders(&place.set));
            }
            command
        });
        commands.collect()
    }

    /// Those of the new documents that stand in sets of which somebody reads any.
    fn read_among<'a>(
        &self,
        new: Vec<(usize, &'a Announced)>,
        heads: Vec<Value>,
    ) -> Result<Vec<(usize, &'a Announced)>> {
        let mut read = Vec::new();
        let mut heads = heads.into_iter();
        for new in new.chunks(CHUNK) {
            let heads = heads.next().map(array).transpose()?.unwrap_or_default();
            let mut heads = heads.into_iter().map(|head| head != Value::Nil);
            if heads.next() != Some(true) {
                return Err(unavailable("what Redis held is gone"));
            }
            for announced in new {
                let places = announced.1.places.len();
                let of_its_sets: Vec<bool> = heads.by_ref().take(2 * places).collect();
                if of_its_sets.len() != 2 * places {
                    return Err(unexpected("as many as it was asked for"));
                }
                if of_its_sets.contains(&true) {
                    read.push(*announced);
                }
            }
        }
        Ok(read)
    }

    /// The number of a batch's next record.
    fn next_record(&self, batch: BatchId) -> u32 {
        let mut written = self.written();
        let count = written.entry(batch).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// The names of a batch's records, which is done with.
    fn records_of(&self, batch: BatchId) -> Vec<Vec<u8>> {
        let count = self.written().remove(&batch).unwrap_or(0);
        let name = |number| packed::record_name(self.instance, batch, number);
        (0..count).map(name).collect()
    }

    fn add_records(&self, call: &mut Call, records: Vec<Vec<u8>>) {
        call.key(self.keys.records());
        call.number(records.len());
        for record in records {
            call.argument(record);
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<BatchId, u32>> {
        // Nothing panics while it holds the lock.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A first call, and as many more as it takes for each of many.
fn calls_for_each<T>(
    first: Call,
    next: impl Fn() -> Call,
    each: impl IntoIterator<Item = T>,
    add: impl Fn(&mut Call, T),
) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut call = first;
    for one in each {
        if call.is_full() {
            calls.push(std::mem::replace(&mut call, next()));
        }
        add(&mut call, one);
    }
    calls.push(call);
    calls
}

/// Whether a batch has left nothing of a document but what its records say: it was never there
/// before, and nobody reads the sets where it stands.
fn is_nothing_to_settle(settled: &Settled) -> bool {
    settled.is_new && settled.held.is_none() && settled.left.is_empty()
}

/// A lifetime as scripts take it.
fn milliseconds(lifetime: Option<i64>) -> i64 {
    lifetime.map_or(0, |lifetime| lifetime.clamp(1, LONGEST))
}
