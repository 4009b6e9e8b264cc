//! What a batch tells Redis: its records with its claims, its announcement, and what became of it.
//!
//! Each partition is told what is about it. A document has its token in one step with the entries and
//! the stamps of those of its sets that are in its own partition, and before those of others.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{MutexGuard, PoisonError},
};

use nubo_core::{Error, Result, cache::SetName, observe::BatchId, recent::Claim};
use redis::Value;

use super::{
    answers::are_yes,
    link::Command,
    packed::{self, Record},
    partitions::Partition,
    scripts::{Call, SCRIPTS},
    spread::{Calls, Questions, Spread},
    storage::{CHUNK, RedisStorage, milliseconds},
};
use crate::storage::{Announced, DocumentKey, Place, Settled};

/// The partition of each of a batch's records, by their numbers.
pub(super) type Written = Vec<Partition>;

/// The names of records, by the partitions where they are.
pub(super) type Records = BTreeMap<Partition, Vec<Vec<u8>>>;

/// A document that is announced.
#[derive(Clone, Copy)]
pub(super) struct Announcing<'a> {
    /// Its place among the others.
    place: usize,
    announced: &'a Announced,
    /// Whether somebody is known to have built a set where it will stand.
    is_read: bool,
}

impl<'a> Announcing<'a> {
    pub fn new((place, announced): (usize, &'a Announced)) -> Self {
        Self {
            place,
            announced,
            is_read: false,
        }
    }

    pub fn is_new(&self) -> bool {
        self.announced.is_new
    }
}

/// Calls about some of the documents that are announced.
#[derive(Default)]
pub(super) struct Announcements {
    calls: Calls,
    /// Which documents those are.
    places: Vec<usize>,
}

impl Announcements {
    pub fn len(&self) -> usize {
        self.calls.commands.len()
    }

    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.calls.commands)
    }

    /// Notes which documents are said to be worth holding.
    pub fn note(&self, answers: Vec<Value>, worth: &mut [bool]) -> Result<()> {
        let flags = are_yes(&self.calls.read(answers)?)?;
        for (place, flag) in self.places.iter().zip(flags) {
            worth[*place] |= flag;
        }
        Ok(())
    }
}

/// A document that is not changed after all.
pub(super) struct Aborted<'a> {
    pub document: DocumentKey,
    /// The sets that it may have entered, and its entry there.
    pub entered: Vec<(&'a SetName, Vec<u8>)>,
}

/// What a document does to the sets of one partition.
struct Moves<'a> {
    enters: Vec<&'a Place>,
    /// None where nobody knows.
    leaves: Option<Vec<&'a Place>>,
}

impl Moves<'_> {
    /// Nothing, as far as anybody knows.
    fn none(announced: &Announced) -> Self {
        Self {
            enters: Vec::new(),
            leaves: announced.left.is_some().then(Vec::new),
        }
    }
}

impl RedisStorage {
    /// What puts down what a batch announces, and claims what the recent tier is to have.
    pub(super) fn records(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claims: &[Claim],
    ) -> Result<Vec<Command>> {
        let mut commands = Vec::new();
        let mut claims = claims.chunks(CHUNK);
        let mut documents = documents.chunks(CHUNK);
        loop {
            let (documents, claims) = match (documents.next(), claims.next()) {
                (None, None) => return Ok(commands),
                (documents, claims) => (documents.unwrap_or(&[]), claims.unwrap_or(&[])),
            };
            let mut records = self.records_about(documents)?;
            // Who begins the pending lists finds there what is under way.
            if !claims.is_empty() || (commands.is_empty() && self.shared.settings.has_recent) {
                records.entry(Partition::FIRST).or_default();
            }
            for (partition, record) in records {
                let claims = match partition {
                    Partition::FIRST => claims,
                    _ => &[],
                };
                let mut call = self.begun(&SCRIPTS.record, partition);
                call.key(self.keys.fence(partition, self.instance));
                call.key(self.keys.records(partition));
                let number = self.next_record(batch, partition);
                call.argument(packed::record_name(self.instance, batch, number));
                call.argument(record.bytes().ok_or_else(too_large)?);
                self.add_all_lists(&mut call, claims);
                commands.push(call.command());
            }
        }
    }

    /// What the record of each partition says of some documents.
    fn records_about(&self, documents: &[Announced]) -> Result<BTreeMap<Partition, Record>> {
        let mut records: BTreeMap<Partition, Record> = BTreeMap::new();
        for announced in documents {
            let home = self.keys.home(announced.document);
            let record = records.entry(home).or_default();
            record.add_document(announced.document);
            for place in &announced.places {
                let home = self.keys.home_of_set(&place.set);
                let record = records.entry(home).or_default();
                let added = record.add_place(place, announced.revision, announced.is_new);
                added.ok_or_else(too_large)?;
            }
        }
        Ok(records)
    }

    /// What a document does to the sets of each partition.
    fn moves<'a>(&self, announced: &'a Announced) -> BTreeMap<Partition, Moves<'a>> {
        let mut moves: BTreeMap<Partition, Moves<'_>> = BTreeMap::new();
        let none = || Moves::none(announced);
        for place in &announced.places {
            let home = self.keys.home_of_set(&place.set);
            moves.entry(home).or_insert_with(none).enters.push(place);
        }
        for place in announced.left.iter().flatten() {
            let home = self.keys.home_of_set(&place.set);
            let leaves = &mut moves.entry(home).or_insert_with(none).leaves;
            leaves.get_or_insert_default().push(place);
        }
        moves
    }

    fn add_moves(&self, call: &mut Call, announced: &Announced, moves: &Moves<'_>) {
        call.number(moves.enters.len());
        call.argument(packed::revision(announced.revision));
        for place in &moves.enters {
            call.keys(self.keys.set(&place.set));
            call.argument(place.position.bytes());
        }
        match &moves.leaves {
            Some(left) => {
                call.number(left.len());
                call.keys(left.iter().map(|place| self.keys.mark(&place.set)));
            }
            None => {
                call.argument(Vec::new());
            }
        }
    }

    /// What gives documents that have records their tokens, and does to the sets of their own partitions
    /// what they do to these.
    pub(super) fn tokens(&self, batch: BatchId, documents: &[Announcing<'_>]) -> Announcements {
        let begin = |home| {
            let mut call = self.begun(&SCRIPTS.announce, home);
            call.key(self.keys.stamp(home));
            call.key(self.keys.fence(home, self.instance));
            call.argument(packed::batch(self.instance, batch));
            call
        };
        let things = documents.iter();
        let things = things.map(|own| (self.keys.home(own.announced.document), own));
        let calls = Spread::new(things).calls(begin, |call, own| {
            let announced = own.announced;
            call.key(self.keys.document(announced.document));
            call.number(match (announced.is_new, own.is_read) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => 2,
            });
            let home = self.keys.home(announced.document);
            let moves = self.moves(announced).remove(&home);
            self.add_moves(
                call,
                announced,
                &moves.unwrap_or_else(|| Moves::none(announced)),
            );
        });
        Announcements {
            calls,
            places: documents.iter().map(|own| own.place).collect(),
        }
    }

    /// What does to the sets of other partitions what documents do to them that have their tokens.
    pub(super) fn entries(&self, documents: &[Announcing<'_>]) -> Announcements {
        let mut places = Vec::new();
        let mut things = Vec::new();
        if !self.keys.are_divided() {
            return Announcements::default();
        }
        for own in documents {
            let mut moves = self.moves(own.announced);
            moves.remove(&self.keys.home(own.announced.document));
            for (partition, moves) in moves {
                places.push(own.place);
                things.push((partition, (own.announced, moves)));
            }
        }
        // Of one of which nobody knows where it stands, it may be anywhere.
        let unknown = documents.iter().find(|own| own.announced.left.is_none());
        if let Some(own) = unknown {
            for partition in self.keys.partitions() {
                places.push(own.place);
                things.push((partition, (own.announced, Moves::none(own.announced))));
            }
        }
        let begin = |partition| {
            let mut call = self.begun(&SCRIPTS.enter, partition);
            call.key(self.keys.stamp(partition));
            call.key(self.keys.fence(partition, self.instance));
            call
        };
        let calls = Spread::new(things).calls(begin, |call, (announced, moves)| {
            call.number(u8::from(announced.is_new));
            self.add_moves(call, announced, &moves);
        });
        Announcements { calls, places }
    }

    /// What asks who reads the sets of new documents, or is about to.
    pub(super) fn heads(&self, new: &[Announcing<'_>]) -> Vec<Questions> {
        let questions = new.chunks(CHUNK).map(|new| {
            let places = new.iter().flat_map(|own| &own.announced.places);
            Questions::new(places.flat_map(|place| {
                let home = self.keys.home_of_set(&place.set);
                let keys = [self.keys.mark(&place.set), self.keys.builders(&place.set)];
                keys.map(|key| (home, key))
            }))
        });
        questions.collect()
    }

    /// Those of the new documents that stand in sets of which somebody reads any.
    pub(super) fn read_among<'a>(
        &self,
        new: &[Announcing<'a>],
        heads: &[Questions],
        answers: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Announcing<'a>>> {
        let mut read = Vec::new();
        let mut answers = answers.into_iter();
        for (new, heads) in new.chunks(CHUNK).zip(heads) {
            let heads = heads.read(answers.by_ref())?.into_iter();
            let mut heads = heads.map(|head| head != Value::Nil);
            for own in new {
                let mut is_read = false;
                let mut is_wanted = false;
                for _ in &own.announced.places {
                    let (mark, builders) = (heads.next(), heads.next());
                    is_read |= mark == Some(true);
                    is_wanted |= builders == Some(true);
                }
                if is_read || is_wanted {
                    read.push(Announcing { is_read, ..*own });
                }
            }
        }
        Ok(read)
    }

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

    /// The number of a batch's next record, which is in this partition.
    fn next_record(&self, batch: BatchId, partition: Partition) -> u32 {
        let mut written = self.written();
        let records = written.entry(batch).or_default();
        records.push(partition);
        (records.len() - 1) as u32
    }

    /// The names of a batch's records, which is done with.
    pub(super) fn records_of(&self, batch: BatchId) -> Records {
        let written = self.written().remove(&batch).unwrap_or_default();
        let mut records = Records::new();
        for (number, partition) in (0..).zip(written) {
            let name = packed::record_name(self.instance, batch, number);
            records.entry(partition).or_default().push(name);
        }
        records
    }

    fn add_records(&self, call: &mut Call, partition: Partition, records: Vec<Vec<u8>>) {
        call.key(self.keys.records(partition));
        call.number(records.len());
        for record in records {
            call.argument(record);
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<BatchId, Written>> {
        // Nothing panics while it holds the lock.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
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

fn too_large() -> Error {
    Error::internal("a document that is too large for its record")
}

/// Whether a batch has left nothing of a document but what its records say: it was never there
/// before, and nobody reads the sets where it stands.
pub(super) fn is_nothing_to_settle(settled: &Settled) -> bool {
    settled.is_new && settled.held.is_none() && settled.left.is_empty()
}
