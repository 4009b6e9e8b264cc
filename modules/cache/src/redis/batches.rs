//! What a batch tells Redis before it is committed: its records with its claims, and its announcement.
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
    keys::Keys,
    link::Command,
    packed::{self, Record},
    partitions::Partition,
    scripts::{Call, SCRIPTS},
    spread::{Calls, Questions, Spread},
    storage::{CHUNK, RedisStorage},
};
use crate::storage::{Announced, Place};

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

/// The question who reads the sets of some documents, or is about to.
pub(super) struct Heads {
    /// About the mark and the builders of each set.
    questions: Questions,
    /// Which of the sets it is, of each place of each document.
    places: Vec<usize>,
}

impl Heads {
    pub fn commands(&self, keys: &Keys) -> Vec<Command> {
        self.questions.commands(keys)
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
    pub(super) fn heads(&self, new: &[Announcing<'_>]) -> Vec<Heads> {
        new.chunks(CHUNK).map(|new| self.heads_of(new)).collect()
    }

    fn heads_of(&self, new: &[Announcing<'_>]) -> Heads {
        // Many documents stand in the same sets.
        let mut sets: Vec<&SetName> = Vec::new();
        let mut known: HashMap<&SetName, usize> = HashMap::new();
        let places = new.iter().flat_map(|own| &own.announced.places);
        let places = places.map(|place| {
            *known.entry(&place.set).or_insert_with(|| {
                sets.push(&place.set);
                sets.len() - 1
            })
        });
        let places = places.collect();
        let questions = Questions::new(sets.into_iter().flat_map(|set| {
            let home = self.keys.home_of_set(set);
            [self.keys.mark(set), self.keys.builders(set)].map(|key| (home, key))
        }));
        Heads { questions, places }
    }

    /// Those of the new documents that stand in sets of which somebody reads any.
    pub(super) fn read_among<'a>(
        &self,
        new: &[Announcing<'a>],
        heads: &[Heads],
        answers: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Announcing<'a>>> {
        let mut read = Vec::new();
        let mut answers = answers.into_iter();
        for (new, heads) in new.chunks(CHUNK).zip(heads) {
            let found = heads.questions.read(answers.by_ref())?;
            let mut places = heads.places.iter();
            for own in new {
                let (mut is_read, mut is_wanted) = (false, false);
                for set in places.by_ref().take(own.announced.places.len()) {
                    is_read |= found[2 * set] != Value::Nil;
                    is_wanted |= found[2 * set + 1] != Value::Nil;
                }
                if is_read || is_wanted {
                    read.push(Announcing { is_read, ..*own });
                }
            }
        }
        Ok(read)
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

    fn written(&self) -> MutexGuard<'_, HashMap<BatchId, Written>> {
        // Nothing panics while it holds the lock.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_large() -> Error {
    Error::internal("a document that is too large for its record")
}
