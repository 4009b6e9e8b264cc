//! What is read: documents by id, stretches of sets, and whether lists still stand.

use std::collections::{BTreeMap, BTreeSet};

use nubo_core::{
    Result,
    cache::{FillToken, Lookup, Reach, Scan, SetName},
    position::Position,
};
use redis::Value;
use smallvec::SmallVec;

use super::{
    answers::{array, bytes},
    failure::unexpected,
    gather::Question,
    packed::{self, Slot},
    partitions::Partition,
    scripts::SCRIPTS,
    spread::{Questions, Spread},
    storage::{CHUNK, RedisStorage},
};
use crate::{sets::union, storage::DocumentKey};

/// How often sets of several partitions are read before somebody else is asked.
const ATTEMPTS: usize = 4;

/// Documents that somebody asks for.
#[derive(Clone)]
pub(super) struct Documents(SmallVec<[DocumentKey; 1]>);

/// Sets whose marks somebody asks for.
#[derive(Clone)]
pub(super) struct Marks(SmallVec<[SetName; 1]>);

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

/// What was found in a set, and down to where.
type Stretch = (Vec<Position>, Reach);

impl RedisStorage {
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
        let documents = questions.iter().flat_map(|question| question.0.iter());
        let keys = documents.map(|own| (self.keys.home(*own), self.keys.document(*own)));
        let mut values = self.look(Questions::new(keys)).await?.into_iter();
        let questions = questions.iter();
        Ok(questions
            .map(|question| values.by_ref().take(question.weight()).collect())
            .collect())
    }

    /// What is there under some keys.
    pub(super) async fn look(&self, questions: Questions) -> Result<Vec<Value>> {
        let answers = self.run(questions.commands(&self.keys)).await?;
        questions.read(answers)
    }

    /// The same of documents of which nothing was known a moment ago, each of which has a fill token if
    /// that is still so.
    pub(super) async fn leave(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let own = documents.iter().map(|own| (self.keys.home(*own), *own));
        let begin = |home| self.begun(&SCRIPTS.read, home);
        let calls = Spread::new(own).calls(begin, |call, document| {
            call.key(self.keys.document(document));
        });
        let values = self.call_each(calls).await?;
        let read = |(document, value): (&DocumentKey, Value)| self.unpack(*document, bytes(value)?);
        documents.iter().zip(values).map(read).collect()
    }

    /// The partitions of some sets.
    fn homes(&self, sets: &[SetName]) -> BTreeSet<Partition> {
        sets.iter().map(|set| self.keys.home_of_set(set)).collect()
    }

    /// The stamps of some sets, and of their partitions.
    pub(super) async fn stamps(&self, sets: &[SetName]) -> Result<Vec<Value>> {
        let question = Marks(sets.into());
        let stamps = self.marks.ask(question, async |questions: &[Marks]| {
            let sets = questions.iter().flat_map(|question| question.0.iter());
            let homes: BTreeSet<Partition> =
                sets.clone().map(|set| self.keys.home_of_set(set)).collect();
            let stamps = homes.iter().map(|home| (*home, self.keys.stamp(*home)));
            let marks = sets.map(|set| (self.keys.home_of_set(set), self.keys.mark(set)));
            let found = self.look(Questions::new(stamps.chain(marks))).await?;
            let (stamps, marks) = found.split_at(homes.len());
            let stamps: BTreeMap<Partition, &Value> = homes.into_iter().zip(stamps).collect();
            let mut marks = marks.iter();
            let stamps = questions.iter().map(|question| {
                let homes = self.homes(&question.0);
                let own = homes.iter().filter_map(|home| stamps.get(home).copied());
                let marks = marks.by_ref().take(question.weight());
                own.chain(marks).cloned().collect()
            });
            Ok(stamps.collect())
        });
        stamps.await
    }

    /// What stands in sets, and their stamps with those of their partitions. None where that changes
    /// all the time.
    ///
    /// What is in several partitions is read in several steps. If all stamps are afterwards what they
    /// were, nothing was put into any of the sets between the first step and the last, so that who
    /// moves from one to another is not missed in both.
    pub(super) async fn stretch(
        &self,
        sets: &[SetName],
        after: Option<&Position>,
        most: usize,
    ) -> Result<Option<(Vec<Value>, Scan)>> {
        for _ in 0..ATTEMPTS {
            let (stamps, scan) = self.stretch_once(sets, after, most).await?;
            if self.homes(sets).len() < 2 || self.stamps(sets).await? == stamps {
                return Ok(Some((stamps, scan)));
            }
        }
        Ok(None)
    }

    async fn stretch_once(
        &self,
        sets: &[SetName],
        after: Option<&Position>,
        most: usize,
    ) -> Result<(Vec<Value>, Scan)> {
        let homes = self.homes(sets);
        let calls = homes.iter().map(|home| {
            let mut call = self.begun(&SCRIPTS.scan, *home);
            call.key(self.keys.stamp(*home));
            let own = |set: &&SetName| self.keys.home_of_set(set) == *home;
            for set in sets.iter().filter(own) {
                call.keys(self.keys.contents(set));
            }
            call.number(most);
            call.argument(after.map_or(&[][..], Position::bytes));
            call
        });
        let answers = self.call(&calls.collect::<Vec<_>>()).await?;
        let mut stamps = Vec::with_capacity(homes.len() + sets.len());
        let mut found: BTreeMap<Partition, std::vec::IntoIter<Value>> = BTreeMap::new();
        for (home, answer) in homes.into_iter().zip(answers) {
            let mut values = array(answer)?.into_iter();
            stamps.extend(values.next());
            found.insert(home, values);
        }
        let mut stretches: Vec<Stretch> = Vec::with_capacity(sets.len());
        for set in sets {
            let values = found.get_mut(&self.keys.home_of_set(set));
            let value = values.and_then(Iterator::next).unwrap_or(Value::Nil);
            let Ok([mark, members]) = <[Value; 2]>::try_from(array(value)?) else {
                return Err(unexpected("a stretch of a set"));
            };
            stretches.push(Self::scan_of(&mark, members, after, most)?);
            stamps.push(mark);
        }
        Ok((stamps, union(stretches, most)))
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
