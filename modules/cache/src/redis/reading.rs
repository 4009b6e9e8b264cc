//! What is read: documents by id, stretches of sets, and whether lists still stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use nubo_core::{
    Result,
    cache::{FillToken, Held, Lookup, Reach, Scan, SetName},
    position::Position,
};
use redis::Value;
use smallvec::SmallVec;

use super::{
    answers::{array, bytes},
    copies::{Name, Ticket},
    failure::unexpected,
    gather::Question,
    link::{Command, Connection},
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

/// What Redis has sent of a document.
pub(super) struct Sent {
    slot: Value,
    by: By,
}

/// Which connection has read something, and the leave to keep it there.
struct By {
    connection: Arc<Connection>,
    ticket: Ticket,
}

impl Question for Documents {
    type Answer = Vec<Sent>;

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
        let connection = self.shared.link.to(&self.incarnation)?;
        let copies = connection.copies();
        let (copied, asked): (Vec<usize>, Vec<usize>) =
            (0..documents.len()).partition(|at| copies.has(&self.name(documents[*at])));
        let of = |places: &[usize]| -> SmallVec<[DocumentKey; 1]> {
            places.iter().map(|at| documents[*at]).collect()
        };
        let mut found: Vec<Option<Lookup>> = Vec::new();
        found.resize_with(documents.len(), || None);
        let mut gone = SmallVec::<[usize; 1]>::new();
        let (known, unknown) = (of(&copied), of(&asked));
        let (held, sent) = tokio::join!(self.copied(&known), self.fetch(&unknown));
        for (at, held) in copied.into_iter().zip(held) {
            match held {
                Some(held) => found[at] = Some(Lookup::Held(held)),
                None => gone.push(at),
            }
        }
        for (at, lookup) in asked.into_iter().zip(sent?) {
            found[at] = lookup;
        }
        if !gone.is_empty() {
            // They have changed, or nobody knows.
            for (at, lookup) in gone.iter().zip(self.fetch(&of(&gone)).await?) {
                found[*at] = lookup;
            }
        }
        Ok(found)
    }

    /// Copies of documents, as far as Redis has said nothing of them until it has answered something.
    async fn copied(&self, documents: &[DocumentKey]) -> Vec<Option<Arc<Held>>> {
        let homes = documents.iter().map(|document| self.keys.home(*document));
        let homes: BTreeSet<Partition> = homes.collect();
        let answers = homes.into_iter().map(async |home| {
            let connection = self.answered_in(home).await;
            (home, connection)
        });
        let answers: BTreeMap<_, _> = join_all(answers).await.into_iter().collect();
        let documents = documents.iter().map(|document| {
            let connection = answers.get(&self.keys.home(*document))?.as_ref()?;
            connection.copies().get(&self.name(*document))
        });
        documents.collect()
    }

    /// The same of one document, where there is a copy.
    pub(super) async fn copy(&self, document: DocumentKey) -> Option<Arc<Held>> {
        let name = self.name(document);
        let connection = self.shared.link.to(&self.incarnation).ok()?;
        if !connection.copies().has(&name) {
            return None;
        }
        let connection = self.answered_in(self.keys.home(document)).await?;
        connection.copies().get(&name)
    }

    /// A copy of a document as it is, whether it stands or not.
    pub(super) fn known_copy(&self, document: DocumentKey) -> Option<Arc<Held>> {
        let name = self.name(document);
        let connection = self.shared.link.to(&self.incarnation).ok()?;
        connection.copies().get_young(&name)
    }

    /// Waits until a partition has answered that the epoch is there. The connection that has heard it.
    async fn answered_in(&self, home: Partition) -> Option<Arc<Connection>> {
        let round = self.rounds[home.index()].ask(async || {
            let connection = self.shared.link.to(&self.incarnation).ok()?;
            let questions = Questions::new([(home, self.keys.epoch(home))]);
            let commands = questions.commands(&self.keys);
            let answers = self.shared.link.call(&connection, commands).await.ok()?;
            questions.read(answers).ok()?;
            Some(connection)
        });
        round.await
    }

    pub(super) fn name(&self, document: DocumentKey) -> Name {
        (self.keys.of(), document)
    }

    /// The same as Redis sends them.
    async fn fetch(&self, documents: &[DocumentKey]) -> Result<Vec<Option<Lookup>>> {
        let mut found = Vec::with_capacity(documents.len());
        for documents in documents.chunks(CHUNK) {
            let question = Documents(documents.into());
            let sent = self
                .documents
                .ask(question, async |questions: &[Documents]| {
                    self.slots(questions).await
                });
            for (document, sent) in documents.iter().zip(sent.await?) {
                found.push(match sent.slot {
                    Value::BulkString(slot) => Some(self.keep(*document, slot, &sent.by)?),
                    _ => None,
                });
            }
        }
        Ok(found)
    }

    /// Takes apart what was sent, and keeps it.
    fn keep(&self, document: DocumentKey, slot: Vec<u8>, by: &By) -> Result<Lookup> {
        let lasts = packed::lasts(&slot);
        let lookup = self.unpack(document, slot)?;
        if let (true, Lookup::Held(held)) = (lasts, &lookup) {
            let copies = by.connection.copies();
            copies.keep(self.name(document), by.ticket, held);
        }
        Ok(lookup)
    }

    /// What is there of the documents of several questions.
    async fn slots(&self, questions: &[Documents]) -> Result<Vec<Vec<Sent>>> {
        let connection = self.shared.link.to(&self.incarnation)?;
        let documents = || questions.iter().flat_map(|question| question.0.iter());
        let by = documents().map(|own| By {
            ticket: connection.copies().ticket(&self.name(*own)),
            connection: Arc::clone(&connection),
        });
        let by: Vec<By> = by.collect();
        let keys = documents().map(|own| (self.keys.home(*own), self.keys.document(*own)));
        let asked = Questions::new(keys);
        let commands = asked.commands(&self.keys).into_iter();
        let commands = commands.map(Command::copied).collect();
        let answers = self.shared.link.call(&connection, commands).await?;
        let sent = asked.read(answers)?.into_iter().zip(by);
        let mut sent = sent.map(|(slot, by)| Sent { slot, by });
        let questions = questions.iter();
        Ok(questions
            .map(|question| sent.by_ref().take(question.weight()).collect())
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
