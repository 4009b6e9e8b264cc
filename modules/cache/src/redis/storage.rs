//! One epoch in Redis, as one instance uses it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, atomic::Ordering},
};

use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Reach, Scan, SetName, Statistics},
    coordination::{Epoch, Incarnation},
    id::Id,
    observe::BatchId,
    position::Position,
    schema::{CacheTier, Collection, CollectionId},
};
use redis::Value;

use super::{
    Shared,
    answers::{are_yes, number},
    batches::{Announcing, Written},
    counts::add,
    failure::unexpected,
    fates::{Aborted, is_nothing_to_settle},
    gather::Gathering,
    keys::Keys,
    link::{Command, Connection},
    lists::{Known, Lists, Name},
    packed,
    partitions::Partition,
    reading::{Documents, Marks},
    rounds::Rounds,
    scripts::{Call, SCRIPTS, Script},
    spread::{Calls, Spread},
};
use crate::{
    sets::Mark,
    storage::{Announced, DocumentKey, Settled, Storage},
};

/// How many documents one command reads.
pub(super) const CHUNK: usize = 100;
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
    /// Those in which each partition is asked whether the epoch is there.
    pub(super) rounds: Vec<Rounds<Arc<Connection>>>,
    lists: Lists,
    /// The records of each batch that is announced and not settled.
    pub(super) written: Mutex<HashMap<BatchId, Written>>,
}

impl RedisStorage {
    pub(super) fn new(
        shared: Arc<Shared>,
        epoch: Epoch,
        incarnation: Incarnation,
        instance: Id,
    ) -> Self {
        let keys = shared.keys(epoch, &incarnation);
        Self {
            rounds: keys.partitions().map(|_| Rounds::default()).collect(),
            keys,
            lists: Lists::new(shared.settings.lists),
            marks: Gathering::default(),
            shared,
            incarnation,
            instance,
            documents: Gathering::default(),
            written: Mutex::default(),
        }
    }

    /// Sends commands, some of which call scripts, each partition's in their order.
    pub(super) async fn run(&self, commands: Vec<Command>) -> Result<Vec<Value>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        self.shared.link.call(&connection, commands).await
    }

    /// Calls scripts, each partition's in their order.
    pub(super) async fn call(&self, calls: &[Call]) -> Result<Vec<Value>> {
        self.run(calls.iter().map(Call::command).collect()).await
    }

    /// Calls a script for many things. What it answers about each.
    pub(super) async fn call_each(&self, mut calls: Calls) -> Result<Vec<Value>> {
        if calls.commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands = std::mem::take(&mut calls.commands);
        let answers = self.run(commands).await?;
        calls.read(answers)
    }

    /// A call of a script in a partition of this epoch.
    pub(super) fn begun(&self, script: &'static Script, partition: Partition) -> Call {
        let mut call = Call::new(script, self.keys.slot(partition));
        call.key(self.keys.epoch(partition));
        call
    }

    pub(super) fn tier(&self, collection: CollectionId) -> Result<(&Collection, &CacheTier)> {
        let collection = self.shared.catalog.get(collection);
        let cache = collection.tiers.cache.as_ref();
        let none = || Error::internal(format!("`{}` is not cached", collection.name));
        Ok((collection, cache.ok_or_else(none)?))
    }

    fn count_hits(&self, collection: CollectionId, documents: usize) {
        self.shared.counts.of(collection, |count| {
            count.hits.fetch_add(documents as u64, Ordering::Relaxed);
        });
    }
}

impl Storage for RedisStorage {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        if let [document] = documents
            && let Some(held) = self.copy(*document).await
        {
            self.count_hits(document.collection, 1);
            return Ok(vec![Lookup::Held(held)]);
        }
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

    fn at_hand(&self, document: DocumentKey) -> Option<Arc<Held>> {
        let held = self.known_copy(document)?;
        self.count_hits(document.collection, 1);
        Some(held)
    }

    fn empty_hand(&self) {
        if let Ok(connection) = self.shared.link.to(&self.incarnation) {
            connection.copies().forget_all();
        }
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
            let fill = (key, token, packed::document(&held, cache));
            fills.push((self.keys.home(key), fill));
        }
        let begin = |home| {
            let mut call = self.begun(&SCRIPTS.fill, home);
            call.number(milliseconds(lifetime));
            call
        };
        let calls = Spread::new(fills).calls(begin, |call, (key, token, document)| {
            call.key(self.keys.document(key)).number(token);
            call.argument(document);
        });
        let counts = are_yes(&self.call_each(calls).await?)?;
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
        let (new, known): (Vec<_>, Vec<_>) = documents
            .iter()
            .enumerate()
            .map(Announcing::new)
            .partition(Announcing::is_new);
        let mut worth = vec![false; documents.len()];
        let claims = self.claims_of(batch, claimed);
        let mut commands = self.records(batch, documents, &claims)?;
        let records = commands.len();
        let mut tokens = self.tokens(batch, &known);
        let calls = tokens.len();
        commands.extend(tokens.take_commands());
        // Where nobody reads the sets of new documents now, who builds them later finds the records.
        let heads = self.heads(&new);
        commands.extend(heads.iter().flat_map(|heads| heads.commands(&self.keys)));
        let mut answers = self.run(commands).await?.into_iter().skip(records);
        tokens.note(answers.by_ref().take(calls).collect(), &mut worth)?;
        let read = self.read_among(&new, &heads, answers)?;
        // Each document has its token before its sets have other stamps.
        let mut tokens = self.tokens(batch, &read);
        let mut entries = self.entries(&known);
        let calls = tokens.len();
        let mut commands = tokens.take_commands();
        commands.extend(entries.take_commands());
        if !commands.is_empty() {
            let mut answers = self.run(commands).await?;
            entries.note(answers.split_off(calls), &mut worth)?;
            tokens.note(answers, &mut worth)?;
        }
        let mut entries = self.entries(&read);
        let commands = entries.take_commands();
        if !commands.is_empty() {
            entries.note(self.run(commands).await?, &mut worth)?;
        }
        // What this instance changes by itself Redis says to it after the answer.
        let connection = self.shared.link.to(&self.incarnation)?;
        for own in documents.iter().filter(|own| !own.is_new) {
            connection.copies().forget(&self.name(own.document));
        }
        Ok(worth)
    }

    /// What is new stands nowhere but in sets that somebody reads, or is about to since before the
    /// commit. Who begins later reads it from the truth.
    async fn announce_late(
        &self,
        batch: BatchId,
        documents: &[Announced],
    ) -> Result<Option<Vec<bool>>> {
        if documents.iter().all(|announced| announced.is_new) {
            let new: Vec<_> = documents.iter().enumerate().map(Announcing::new).collect();
            let heads = self.heads(&new);
            let commands = heads.iter().flat_map(|heads| heads.commands(&self.keys));
            let answers = self.run(commands.collect()).await?;
            if self.read_among(&new, &heads, answers)?.is_empty() {
                return Ok(None);
            }
        }
        self.announce(batch, documents, &[]).await.map(Some)
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
        self.settle_all(batch, &settled).await
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        let aborted = documents.iter().map(|announced| {
            let places = match announced.is_new {
                true => &announced.places[..],
                false => &[],
            };
            let entered = places.iter().map(|place| {
                let entry = packed::entry(&place.position, announced.revision);
                (&place.set, entry)
            });
            Aborted {
                document: announced.document,
                entered: entered.collect(),
            }
        });
        let aborted: Vec<Aborted<'_>> = aborted.collect();
        let records = self.records_of(batch);
        let claims = self.claims_of(batch, claimed);
        self.abort_all(batch, &aborted, records, &claims, false)
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
            if let Some(set) = sets.first() {
                self.count_hits(set.collection, known.scan.positions.len());
            }
            return Ok(known.scan.clone());
        }
        let Some((stamps, mut scan)) = self.stretch(sets, after, most).await? else {
            return Ok(Scan {
                positions: Vec::new(),
                reach: Reach::Nowhere,
                documents: None,
            });
        };
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
        let home = self.keys.home_of_set(set);
        let mut call = self.begun(&SCRIPTS.begin, home);
        call.keys(self.keys.set(set)).key(self.keys.records(home));
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
        let mut call = self.begun(&SCRIPTS.build, self.keys.home_of_set(set));
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

/// A lifetime as scripts take it.
pub(super) fn milliseconds(lifetime: Option<i64>) -> i64 {
    lifetime.map_or(0, |lifetime| lifetime.clamp(1, LONGEST))
}
