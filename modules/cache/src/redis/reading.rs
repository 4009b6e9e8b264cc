//! What is read: documents by id, stretches of sets, and whether lists still stand.

use nubo_core::{
    Result,
    cache::{FillToken, Lookup, Reach, Scan, SetName},
    position::Position,
};
use redis::Value;
use smallvec::SmallVec;

use super::{
    answers::{array, bytes, flat},
    gather::Question,
    link::{unavailable, unexpected},
    packed::{self, Slot},
    scripts::{Call, SCRIPTS},
    storage::{CHUNK, RedisStorage},
};
use crate::{sets::union, storage::DocumentKey};

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
    pub(super) async fn stamps(&self, sets: &[SetName]) -> Result<Vec<Value>> {
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
