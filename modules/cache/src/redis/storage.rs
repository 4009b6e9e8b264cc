//! One epoch in Redis, as one instance uses it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, atomic::Ordering},
};

use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Scan, SetName, Statistics},
    coordination::{Epoch, Incarnation},
    id::Id,
    observe::BatchId,
    position::Position,
    schema::{CacheTier, Collection, CollectionId},
};
use redis::{Cmd, Value};

use super::{
    Shared,
    answers::{flags, number},
    batches::is_nothing_to_settle,
    counts::add,
    gather::Gathering,
    keys::Keys,
    link::unexpected,
    lists::{Known, Lists, Name},
    packed,
    reading::{Documents, Marks},
    scripts::{Call, SCRIPTS, Script},
};
use crate::{
    sets::Mark,
    storage::{Announced, DocumentKey, Settled, Storage},
};

/// How many documents one command reads.
pub(super) const CHUNK: usize = 100;
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
    pub(super) documents: Gathering<Documents>,
    pub(super) marks: Gathering<Marks>,
    lists: Lists,
    /// How many records there are of each batch that is announced and not settled.
    pub(super) written: Mutex<HashMap<BatchId, u32>>,
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

    pub(super) async fn run(&self, commands: Vec<Cmd>) -> Result<Vec<Value>> {
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

    pub(super) fn tier(&self, collection: CollectionId) -> Result<(&Collection, &CacheTier)> {
        let collection = self.shared.catalog.get(collection);
        let cache = collection.tiers.cache.as_ref();
        let none = || Error::internal(format!("`{}` is not cached", collection.name));
        Ok((collection, cache.ok_or_else(none)?))
    }

    fn count_hits(&self, sets: &[SetName], documents: usize) {
        if let Some(set) = sets.first() {
            self.shared.counts.of(set.collection, |count| {
                count.hits.fetch_add(documents as u64, Ordering::Relaxed);
            });
        }
    }
}

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

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        let mut worth = vec![false; documents.len()];
        let (new, known): (Vec<_>, Vec<_>) = documents
            .iter()
            .enumerate()
            .partition(|(_, announced)| announced.is_new);
        let claims = self.claims_of(batch, claimed);
        let mut commands = self.records(batch, documents, &claims)?;
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

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
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
        let claims = self.claims_of(batch, claimed);
        self.abort_all(batch, documents, records, &claims, false)
            .await
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

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        self.drop_sets(sets).await.map(drop)
    }

    async fn clear(&self) -> Result<()> {
        self.forget_all().await
    }

    async fn distrust(&self) -> Result<()> {
        self.close_lists().await?;
        self.forget_all().await
    }

    fn statistics(&self) -> Statistics {
        self.shared.counts.statistics()
    }
}

/// A first call, and as many more as it takes for each of many.
pub(super) fn calls_for_each<T>(
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

/// A lifetime as scripts take it.
fn milliseconds(lifetime: Option<i64>) -> i64 {
    lifetime.map_or(0, |lifetime| lifetime.clamp(1, LONGEST))
}
