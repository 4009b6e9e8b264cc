//! What is told to Redis when it is known what has become of a batch.
//!
//! Who builds a set from then on reads what was committed: the records go. What is known of a document
//! is settled before it goes from the sets of other partitions, where it may stand too long.

use std::collections::BTreeMap;

use nubo_core::{Result, cache::SetName, observe::BatchId, recent::Claim};

use super::{
    answers::are_yes,
    batches::Records,
    packed,
    partitions::Partition,
    scripts::{Call, SCRIPTS},
    spread::Spread,
    storage::{CHUNK, RedisStorage, milliseconds},
};
use crate::storage::{DocumentKey, Place, Settled};

/// A document that is not changed after all.
pub(super) struct Aborted<'a> {
    pub document: DocumentKey,
    /// The sets that it may have entered, and its entry there.
    pub entered: Vec<(&'a SetName, Vec<u8>)>,
}

impl RedisStorage {
    /// Notes what a batch has made of documents, which are there as they will be held.
    pub(super) async fn settle_all(
        &self,
        batch: BatchId,
        documents: &[(Settled, Vec<u8>)],
    ) -> Result<()> {
        let mut records = self.records_of(batch);
        // Who builds a set from now on reads what was committed.
        let begin = |home| {
            let records = records.remove(&home).unwrap_or_default();
            self.settling(batch, home, records)
        };
        let things = documents.iter();
        let things = things.map(|own| (self.keys.home(own.0.document), own));
        let mut calls = Spread::new(things).calls(begin, |call, (settled, packed)| {
            let home = self.keys.home(settled.document);
            let left = settled.left.iter();
            let left = left.filter(|place| self.keys.home_of_set(&place.set) == home);
            call.key(self.keys.document(settled.document));
            call.argument(packed::version(settled.version));
            call.argument(&packed[..]);
            call.number(milliseconds(settled.lifetime));
            self.add_left(call, settled, &left.collect::<Vec<_>>());
        });
        let mut commands = std::mem::take(&mut calls.commands);
        let count = commands.len();
        let rest = records.into_iter();
        commands.extend(rest.map(|(home, own)| self.settling(batch, home, own).command()));
        if commands.is_empty() {
            return Ok(());
        }
        let mut answers = self.run(commands).await?;
        answers.truncate(count);
        let counts = are_yes(&calls.read(answers)?)?;
        let settled = documents.iter().zip(counts);
        let settled = settled.filter_map(|((own, _), counts)| counts.then_some(own));
        self.take_out(settled).await
    }

    fn settling(&self, batch: BatchId, partition: Partition, records: Vec<Vec<u8>>) -> Call {
        let mut call = self.begun(&SCRIPTS.settle, partition);
        self.add_records(&mut call, partition, records);
        call.argument(packed::batch(self.instance, batch));
        call
    }

    /// Takes documents that were settled out of the sets of other partitions that they have left.
    async fn take_out(&self, documents: impl Iterator<Item = &Settled>) -> Result<()> {
        let mut things = Vec::new();
        for settled in documents {
            let left = settled.left.iter();
            let mut left = by_partition(left, |place| self.keys.home_of_set(&place.set));
            left.remove(&self.keys.home(settled.document));
            things.extend(left.into_iter().map(|(home, left)| (home, (settled, left))));
        }
        let begin = |home| self.begun(&SCRIPTS.leave, home);
        let calls = Spread::new(things).calls(begin, |call, (settled, left)| {
            self.add_left(call, settled, &left);
        });
        self.call_each(calls).await.map(drop)
    }

    fn add_left(&self, call: &mut Call, settled: &Settled, left: &[&Place]) {
        call.argument(packed::revision(settled.left_at));
        call.number(left.len());
        for place in left {
            call.key(self.keys.entries(&place.set));
            call.argument(place.position.bytes());
        }
    }

    /// Takes the tokens of a batch away, its records, its claims, and what its documents have entered.
    /// Where nobody knows whether it was committed, its documents are not held afterwards, and no claims
    /// are to be taken away.
    pub(super) async fn abort_all(
        &self,
        batch: BatchId,
        documents: &[Aborted<'_>],
        records: Records,
        claims: &[Claim],
        doubtful: bool,
    ) -> Result<()> {
        let begin = |home, records, claims| {
            let mut call = self.begun(&SCRIPTS.abort, home);
            self.add_records(&mut call, home, records);
            self.add_some_lists(&mut call, claims);
            call.argument(packed::batch(self.instance, batch));
            call.number(u8::from(doubtful));
            call
        };
        let mut own = Vec::with_capacity(documents.len());
        let mut others = Vec::new();
        for Aborted { document, entered } in documents {
            let home = self.keys.home(*document);
            let mut entered = by_partition(entered, |(set, _)| self.keys.home_of_set(set));
            let here = entered.remove(&home).unwrap_or_default();
            own.push((home, (document, here)));
            others.extend(entered);
        }
        let aborted = Spread::new(own).calls(
            |home| begin(home, Vec::new(), &[]),
            |call, (document, entered)| {
                call.key(self.keys.document(*document));
                self.add_entered(call, &entered);
            },
        );
        let withdrawn = Spread::new(others).calls(
            |home| self.begun(&SCRIPTS.withdraw, home),
            |call, entered| self.add_entered(call, &entered),
        );
        let mut commands = aborted.commands;
        commands.extend(withdrawn.commands);
        let claims = claims.chunks(CHUNK);
        let claims = claims.map(|claims| begin(Partition::FIRST, Vec::new(), claims).command());
        commands.extend(claims);
        // What says what there is to do goes when it is done.
        let records = records.into_iter();
        commands.extend(records.map(|(home, own)| begin(home, own, &[]).command()));
        if commands.is_empty() {
            return Ok(());
        }
        self.run(commands).await.map(drop)
    }

    fn add_entered(&self, call: &mut Call, entered: &[&(&SetName, Vec<u8>)]) {
        call.number(entered.len());
        for (set, entry) in entered {
            call.key(self.keys.entries(set));
            call.argument(&entry[..]);
        }
    }

    fn add_records(&self, call: &mut Call, partition: Partition, records: Vec<Vec<u8>>) {
        call.key(self.keys.records(partition));
        call.number(records.len());
        for record in records {
            call.argument(record);
        }
    }
}

/// Things by the partitions in which they are.
fn by_partition<T>(
    things: impl IntoIterator<Item = T>,
    home: impl Fn(&T) -> Partition,
) -> BTreeMap<Partition, Vec<T>> {
    let mut parts: BTreeMap<Partition, Vec<T>> = BTreeMap::new();
    for thing in things {
        parts.entry(home(&thing)).or_default().push(thing);
    }
    parts
}

/// Whether a batch has left nothing of a document but what its records say: it was never there
/// before, and nobody reads the sets where it stands.
pub(super) fn is_nothing_to_settle(settled: &Settled) -> bool {
    settled.is_new && settled.held.is_none() && settled.left.is_empty()
}
