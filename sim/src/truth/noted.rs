//! What the simulated truth keeps for a recent tier: the notes, and what is known of that tier.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    outbox::{Note, Outbox, Place, Standing},
    schema::CollectionId,
    time::Timestamp,
};

use super::{Inner, SimTruth, State};
use crate::history::Key;

/// The steps of whoever asks.
const ASK: [&str; 2] = ["ask the outbox", "hear of the outbox"];
/// How often nobody hears an answer: once in so many.
const UNHEARD: u32 = 60;

/// Documents of one collection that a batch has written, by its instance and its number.
type NoteKey = (Id, BatchId, CollectionId);

/// The notes, and what is known of the recent tier.
pub(super) struct Noted {
    epoch: Epoch,
    is_sound: bool,
    marks: BTreeMap<Id, i64>,
    covered: BTreeMap<CollectionId, Timestamp>,
    /// Each with the time at which its transaction began, in microseconds.
    notes: BTreeMap<NoteKey, (Vec<Id>, i64)>,
    /// When the tier was cleaned, in microseconds.
    cleaned: Option<i64>,
}

impl Default for Noted {
    fn default() -> Self {
        Self {
            epoch: Epoch::NONE,
            is_sound: false,
            marks: BTreeMap::new(),
            covered: BTreeMap::new(),
            notes: BTreeMap::new(),
            cleaned: None,
        }
    }
}

impl Noted {
    /// Notes documents that a batch has written.
    pub fn add(&mut self, (instance, batch): (Id, BatchId), documents: &[Key], began: i64) {
        for (collection, id) in documents {
            let note = self.notes.entry((instance, batch, *collection));
            note.or_insert_with(|| (Vec::new(), began)).0.push(*id);
        }
    }

    /// Notes a document that others have written, where somebody wants to know.
    pub fn add_by_hand(&mut self, note: Id, document: Key, now: i64) {
        if self.is_sound {
            self.add((note, BatchId(0)), &[document], now);
        }
    }

    /// Others have done something of which it is not known what it was.
    pub fn is_not_sound(&mut self) {
        self.is_sound = false;
    }

    fn standing(&self, now: i64) -> Standing {
        let oldest = self.notes.values().map(|(_, at)| now - at).max();
        Standing {
            epoch: self.epoch,
            identity: "the truth".into(),
            is_sound: self.is_sound,
            marks: self
                .marks
                .iter()
                .map(|(process, mark)| (*process, *mark))
                .collect(),
            covered: self
                .covered
                .iter()
                .map(|(of, since)| (*of, *since))
                .collect(),
            notes: self.notes.len() as u64,
            oldest: oldest.unwrap_or(0) / 1000,
            now: Timestamp::from_millis(now.div_euclid(1000)),
        }
    }

    fn found(&mut self, from: Epoch, to: Epoch) -> bool {
        if self.epoch != from {
            return false;
        }
        self.epoch = to;
        self.is_sound = true;
        self.marks.clear();
        self.covered.clear();
        self.notes.clear();
        true
    }

    fn arrived(
        &mut self,
        epoch: Epoch,
        notes: &[(Id, BatchId)],
        (process, mark): (Id, i64),
    ) -> bool {
        let stands = match self.marks.get(&process) {
            Some(known) => *known == mark - 1,
            None => mark == 1,
        };
        if self.epoch != epoch || !stands {
            return false;
        }
        self.marks.insert(process, mark);
        self.notes
            .retain(|(instance, batch, _), _| !notes.contains(&(*instance, *batch)));
        true
    }
}

impl Inner {
    /// The truth's own clock, which never goes backwards, in microseconds.
    pub(super) fn own_time(&self) -> i64 {
        self.clock.ticks()
    }
}

impl SimTruth {
    /// Has the server do something with the notes, of which the answer may get lost.
    async fn ask_noted<T>(&self, act: impl FnOnce(&mut State, i64) -> T) -> Result<T> {
        let inner = &self.inner;
        let done = self
            .ask_by(ASK, || act(&mut inner.state(), inner.own_time()))
            .await;
        match inner.scheduler.draw(|random| random.u32(..UNHEARD)) {
            0 => Err(Error::unavailable("truth_unavailable", "no answer")),
            _ => Ok(done),
        }
    }

    /// How many notes there are.
    pub fn notes(&self) -> usize {
        self.inner.state().for_recent.notes.len()
    }

    /// Since when the recent tier has every document of a collection.
    pub fn covered(&self, collection: CollectionId) -> Option<Timestamp> {
        let state = self.inner.state();
        state.for_recent.covered.get(&collection).copied()
    }

    /// The name of a collection's table.
    fn table(&self, collection: CollectionId) -> (String, String) {
        let name = self.inner.catalog.get(collection).name.clone();
        ("sim".into(), name)
    }
}

#[async_trait]
impl Outbox for SimTruth {
    async fn standing(&self) -> Result<Standing> {
        self.ask_noted(|state, now| state.for_recent.standing(now))
            .await
    }

    async fn give_up(&self) -> Result<()> {
        self.ask_noted(|state, _| state.for_recent.is_sound = false)
            .await
    }

    async fn found(&self, from: Epoch, to: Epoch) -> Result<bool> {
        self.ask_noted(|state, _| state.for_recent.found(from, to))
            .await
    }

    async fn cover(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        since: Timestamp,
    ) -> Result<bool> {
        let scheduler = &self.inner.scheduler;
        self.ask_noted(|state, _| {
            let noted = &mut state.for_recent;
            let is_present = noted.epoch == epoch;
            if is_present {
                noted.covered.insert(collection, since);
            }
            scheduler.note(|| format!("covers since {since}: {is_present}"));
            is_present
        })
        .await
    }

    async fn arrived(
        &self,
        epoch: Epoch,
        notes: &[(Id, BatchId)],
        process: Id,
        mark: i64,
    ) -> Result<bool> {
        let scheduler = &self.inner.scheduler;
        self.ask_noted(|state, _| {
            let moved = state.for_recent.arrived(epoch, notes, (process, mark));
            scheduler.note(|| format!("{notes:?} have arrived, mark {mark} of {process}: {moved}"));
            moved
        })
        .await
    }

    async fn notes(&self, until: Timestamp, after: Option<&Place>, most: u32) -> Result<Vec<Note>> {
        let until = (until.millis() + 1) * 1000;
        self.ask_noted(|state, _| {
            let place = |(instance, batch, of): &NoteKey| Place {
                instance: *instance,
                batch: *batch,
                table: self.table(*of),
            };
            let order = |place: &Place| (place.instance, place.batch, place.table.clone());
            let notes = state.for_recent.notes.iter();
            let mut notes: Vec<Note> = notes
                .filter(|(_, (_, at))| *at <= until)
                .map(|(key, (ids, _))| Note {
                    place: place(key),
                    collection: Some(key.2),
                    ids: ids.clone(),
                })
                .filter(|note| after.is_none_or(|after| order(&note.place) > order(after)))
                .collect();
            notes.sort_by_key(|note| order(&note.place));
            notes.truncate(most as usize);
            notes
        })
        .await
    }

    async fn noted(&self, batches: &[(Id, BatchId)]) -> Result<HashSet<(Id, BatchId)>> {
        let batches: HashSet<(Id, BatchId)> = batches.iter().copied().collect();
        self.ask_noted(|state, _| {
            let notes = state.for_recent.notes.keys();
            let noted = notes.map(|(instance, batch, _)| (*instance, *batch));
            noted.filter(|noted| batches.contains(noted)).collect()
        })
        .await
    }

    async fn may_clean(&self, pause: i64) -> Result<bool> {
        self.ask_noted(|state, now| {
            let cleaned = &mut state.for_recent.cleaned;
            let may = cleaned.is_none_or(|cleaned| cleaned + pause * 1000 < now);
            if may {
                *cleaned = Some(now);
            }
            may
        })
        .await
    }
}
