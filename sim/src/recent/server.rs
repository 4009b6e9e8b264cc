//! The server of the recent tier: what it holds, and what becomes of that.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use nubo_core::{
    cache::Held,
    clock::Clock,
    coordination::Epoch,
    document::Document,
    id::{Id, Revision},
    position::Position,
    query::{Query, Start},
    recent::{Found, Founding, Fresh, State},
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    value::Value,
};

use super::{MONGO, Marks};
use crate::{
    history::Key,
    mutant::Mutant,
    scheduler::{Moment, Scheduler},
};

/// How many earlier states are remembered.
const REMEMBERED: usize = 400;
/// How much longer than the window a document stays, in milliseconds: what its index says.
const GRACE: i64 = 24 * 3_600 * 1_000;
/// How far its clock differs from that of the others at most, in milliseconds.
const SKEW: i64 = 30 * 60 * 1_000;
/// What it cannot hold, which few documents are: those whose revision is divisible by this.
const REFUSES: i64 = 41;

/// The server.
pub struct SimMongo {
    pub(super) scheduler: Scheduler,
    pub(super) mutant: Option<Mutant>,
    /// How long somebody waits for an answer.
    pub(super) patience: Moment,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    /// How far its clock is ahead of the others, in milliseconds.
    ahead: i64,
    /// Whether there are documents that it does not take.
    refuses: bool,
    says_its_run: bool,
    /// How often commands come late, once in so many, and how late at most.
    late: (u32, Moment),
    is_calm: Arc<AtomicBool>,
    data: Mutex<Data>,
    life: Mutex<Life>,
}

/// What the server is at present.
struct Life {
    incarnation: u64,
    /// Until when it stands still.
    stopped: Moment,
    /// What it held before each of the last changes.
    before: VecDeque<Data>,
    /// When those began who are bringing something, by the server's clock.
    bringing: Vec<Weak<Bringing>>,
}

/// Somebody brings something since then, in milliseconds of the server's clock.
pub(super) struct Bringing(i64);

/// What it holds.
#[derive(Clone, Default)]
pub struct Data {
    pub(super) founding: Option<Founding>,
    pub(super) marks: Marks,
    rows: BTreeMap<Key, Row>,
}

/// A document, or what its end has left.
#[derive(Clone)]
pub struct Row {
    epoch: u64,
    pub revision: Revision,
    /// None where it is gone.
    pub document: Option<Arc<Document>>,
    last_use: Timestamp,
}

/// A version on its way.
#[derive(Clone)]
pub(super) struct Version {
    pub id: Id,
    revision: Revision,
    document: Option<Arc<Document>>,
}

impl Version {
    pub fn of(fresh: &Fresh<'_>) -> Self {
        Self {
            id: fresh.id,
            revision: fresh.revision,
            document: match fresh.state {
                State::There(document) => Some(Arc::new(document.clone())),
                State::Gone(_) => None,
            },
        }
    }
}

impl SimMongo {
    /// An empty server.
    pub fn new(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        scheduler: Scheduler,
        mutant: Option<Mutant>,
        patience: Moment,
    ) -> Self {
        let ahead = scheduler.draw(|random| match random.u8(..3) {
            0 => SKEW,
            1 => 0,
            _ => -SKEW,
        });
        let late = scheduler.draw(|random| (random.u32(6..60), random.u64(1..=patience * 8)));
        Self {
            refuses: scheduler.draw(|random| random.u8(..4)) == 0,
            says_its_run: scheduler.draw(fastrand::Rng::bool),
            scheduler,
            mutant,
            patience,
            catalog,
            clock,
            ahead,
            late,
            is_calm: Arc::default(),
            data: Mutex::default(),
            life: Mutex::new(Life {
                incarnation: 1,
                stopped: 0,
                before: VecDeque::new(),
                bringing: Vec::new(),
            }),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calmness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_calm)
    }

    /// Whether it says which run it is.
    pub(super) fn says_its_run(&self) -> bool {
        self.says_its_run
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.life().incarnation
    }

    /// For how much longer it stands still.
    pub(super) fn stands_still_for(&self) -> Moment {
        self.life().stopped.saturating_sub(self.scheduler.now())
    }

    /// How late a command comes; certainly where it is to.
    pub(super) fn lateness(&self, often: u32) -> Moment {
        if self.is_calm.load(Ordering::Relaxed) {
            return 0;
        }
        let (usual, longest) = self.late;
        let often = if often == 0 { usual } else { often };
        self.scheduler.draw(|random| match random.u32(..often) {
            0 => random.u64(..=longest),
            _ => 0,
        })
    }

    /// Lets nothing go wrong any longer by itself.
    pub fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    /// Stands still until then.
    pub fn stop(&self, until: Moment) {
        self.life().stopped = until;
        self.scheduler.stop(MONGO, until);
    }

    /// Restarts with what it has, or with what it had some changes ago.
    pub fn restart(&self, back: Option<usize>) {
        let mut life = self.life();
        life.incarnation += 1;
        let earlier = back.and_then(|back| {
            let kept = life.before.len().checked_sub(back.max(1))?;
            let earlier = life.before.get(kept).cloned();
            life.before.truncate(kept);
            earlier
        });
        let incarnation = life.incarnation;
        drop(life);
        // What has arrived and was not done yet is lost.
        self.scheduler.kill(MONGO);
        self.scheduler.note(|| {
            format!(
                "the recent tier restarts as {incarnation}, set back: {}",
                earlier.is_some()
            )
        });
        if let Some(earlier) = earlier {
            *self.data() = earlier;
        }
    }

    /// Remembers what it holds before that changes.
    pub(super) fn remember(&self, data: &Data) {
        let mut life = self.life();
        if life.before.len() == REMEMBERED {
            life.before.pop_front();
        }
        life.before.push_back(data.clone());
    }

    /// The time as the server has it, in milliseconds.
    fn time(&self) -> i64 {
        self.clock.now().millis() + self.ahead
    }

    /// Somebody begins to bring something. What is thrown out meanwhile is what could have been then:
    /// nobody takes days to bring a document.
    pub(super) fn begin_bringing(&self) -> Arc<Bringing> {
        let began = Arc::new(Bringing(self.time()));
        self.life().bringing.push(Arc::downgrade(&began));
        began
    }

    /// Throws out some of what was not used for longer than the window and the grace: its index may do
    /// so at any time after that.
    pub fn expire_some(&self) {
        let mut now = self.time();
        self.life()
            .bringing
            .retain(|bringing| match bringing.upgrade() {
                Some(began) => {
                    now = now.min(began.0);
                    true
                }
                None => false,
            });
        let mut data = self.data();
        let old = data.rows.iter().filter(|((of, _), row)| {
            let tier = self.catalog.get(*of).tiers.recent.as_ref();
            tier.is_some_and(|tier| row.last_use.millis() + tier.window + GRACE < now)
        });
        let old: Vec<Key> = old.map(|(key, _)| *key).collect();
        for key in old {
            if self.scheduler.draw(fastrand::Rng::bool) {
                data.rows.remove(&key);
                self.scheduler
                    .note(|| format!("{} was not used for long", crate::storage::short(key.1)));
            }
        }
    }

    /// The documents that belong to the present epoch.
    pub fn rows(&self) -> Vec<(Key, Row)> {
        let data = self.data();
        let present = data.founding.as_ref().map_or(0, |f| f.epoch.number);
        let rows = data.rows.iter().filter(|(_, row)| row.epoch == present);
        rows.map(|(key, row)| (*key, row.clone())).collect()
    }

    /// Whether it does not take a version, whoever brings it.
    pub(super) fn cannot_hold(&self, version: &Version) -> bool {
        version.document.is_some() && self.refuses(version.revision)
    }

    /// Whether there is anything that it does not take.
    pub fn refuses_some(&self) -> bool {
        self.refuses
    }

    /// Whether it does not take versions with this revision.
    pub fn refuses(&self, revision: Revision) -> bool {
        self.refuses && revision.number() % REFUSES == 0
    }

    pub(super) fn bring(
        &self,
        data: &mut Data,
        epoch: Epoch,
        of: CollectionId,
        version: &Version,
        now: Timestamp,
    ) {
        if self.cannot_hold(version) {
            return;
        }
        let key = (of, version.id);
        let replaces = data.rows.get(&key).is_none_or(|row| {
            let is_older = match version.document {
                Some(_) => row.revision < version.revision,
                // An end comes after the version that it ends.
                None => row.revision <= version.revision,
            };
            let is_older = is_older || self.mutant == Some(Mutant::PromotionOverwrites);
            row.epoch < epoch.number || (row.epoch == epoch.number && is_older)
        });
        self.scheduler.note(|| {
            let id = crate::storage::short(version.id);
            let what = match version.document {
                Some(_) => "there",
                None => "gone",
            };
            let revision = version.revision;
            format!("brings {id} {what} at {revision} in {epoch}: {replaces}")
        });
        if replaces {
            let created = self.created(of, version);
            data.rows.insert(
                key,
                Row {
                    epoch: epoch.number,
                    revision: version.revision,
                    document: version.document.clone(),
                    last_use: created.map_or(now, |created| now.max(created)),
                },
            );
        }
    }

    /// When what is brought was created.
    pub(super) fn created(&self, of: CollectionId, version: &Version) -> Option<Timestamp> {
        let field = self.catalog.get(of).created_at();
        match version.document.as_ref()?.value(field) {
            Value::Timestamp(created) => Some(*created),
            _ => None,
        }
    }

    fn held(&self, of: CollectionId, document: &Document) -> Option<Arc<Held>> {
        let collection = self.catalog.get(of);
        let tier = collection.tiers.recent.as_ref()?;
        Some(Arc::new(Held::with(document, collection, &tier.excerpts)))
    }

    pub(super) fn collection(&self, id: CollectionId) -> &Collection {
        self.catalog.get(id)
    }

    pub(super) fn document(&self, data: &Data, epoch: Epoch, key: Key) -> Found {
        let row = data.rows.get(&key).filter(|row| row.epoch == epoch.number);
        let Some(row) = row else {
            return Found::Missing;
        };
        match &row.document {
            None => Found::Gone(row.revision),
            Some(document) => self
                .held(key.0, document)
                .map_or(Found::Missing, Found::Held),
        }
    }

    pub(super) fn list(
        &self,
        data: &Data,
        epoch: Epoch,
        query: &Query,
        since: Timestamp,
    ) -> Vec<Arc<Held>> {
        let collection = self.catalog.get(query.collection);
        let field = collection.created_at();
        let rows = data
            .rows
            .iter()
            .filter(|((of, _), row)| *of == query.collection && row.epoch == epoch.number);
        let documents = rows.filter_map(|(_, row)| row.document.as_deref());
        let is_recent = |document: &&Document| match document.value(field) {
            Value::Timestamp(created) => *created >= since,
            _ => false,
        };
        let mut found: Vec<&Document> = documents
            .filter(is_recent)
            .filter(|document| query.filter.matches(*document, collection.fields(), &()))
            .collect();
        found.sort_by_key(|document| Position::of(&query.sort, *document));
        match &query.start {
            Start::First => {}
            Start::Offset(skip) => drop(found.drain(..found.len().min(*skip as usize))),
            Start::After(keys) => {
                let after = Position::of_values(&query.sort, keys);
                found.retain(|document| Position::of(&query.sort, *document) > after);
            }
        }
        found.truncate(query.limit as usize);
        self.scheduler.note(|| {
            let ids = found.iter().filter_map(|document| document.id());
            let ids: Vec<String> = ids.map(crate::storage::short).collect();
            format!("the recent tier lists {} since {since}", ids.join(", "))
        });
        let held = found.into_iter();
        held.filter_map(|document| self.held(query.collection, document))
            .collect()
    }
}

impl Data {
    /// Belongs to an epoch, unless it belongs to a later one. Whether it does.
    pub fn found(&mut self, founding: Founding) -> bool {
        let number = self.founding.as_ref().map_or(0, |known| known.epoch.number);
        if number < founding.epoch.number {
            self.marks.retain(|_, (of, _)| *of >= founding.epoch.number);
            self.founding = Some(founding);
            return true;
        }
        self.founding.as_ref() == Some(&founding)
    }

    /// Moves a mark. Whether it stood there.
    pub fn mark(&mut self, epoch: Epoch, process: Id, from: i64) -> bool {
        let known = self.marks.get(&process).copied();
        let stands = match known {
            Some((of, _)) if of < epoch.number => from == 0,
            Some((of, mark)) => of == epoch.number && mark == from && from > 0,
            None => from == 0,
        };
        if stands {
            self.marks.insert(process, (epoch.number, from + 1));
        }
        stands && self.founding.as_ref().is_some_and(|f| f.epoch == epoch)
    }

    pub fn touch(&mut self, epoch: Epoch, key: Key, now: Timestamp) {
        let row = self.rows.get_mut(&key);
        let used = |row: &&mut Row| row.epoch == epoch.number && row.document.is_some();
        if let Some(row) = row.filter(used) {
            row.last_use = row.last_use.max(now);
        }
    }

    pub fn clean(&mut self, epoch: Epoch, of: CollectionId, before: Option<Timestamp>) -> u64 {
        let count = self.rows.len();
        self.rows.retain(|(collection, _), row| {
            let is_used = before.is_none_or(|before| row.last_use >= before);
            *collection != of || (row.epoch >= epoch.number && is_used)
        });
        (count - self.rows.len()) as u64
    }
}
