//! Other hands: somebody writes to the tables beside all instances, as a person with SQL does. What they
//! write is noted in the same moment, and each instance looks at the notes now and then and tells its
//! observers, in the order in which they want to hear of it ([`nubo_core::observe`]).

use std::sync::Arc;

use nubo_core::{
    change::read_patch,
    clock::new_id,
    document::Document,
    field::Source,
    id::{Id, Revision},
    observe::{BatchId, Fate, Foreign, Observer},
    time::Timestamp,
};
use serde_json::Value as Json;

use super::{Inner, SimTruth, State};
use crate::{history::Key, mutant::Mutant};

/// The steps of who looks at the notes, and of who reads what they are about.
const LOOK: [&str; 2] = ["looks at the notes", "hears of the notes"];
const READ: [&str; 2] = ["reads what others wrote", "hears what others wrote"];
/// How often what was noted cannot be read: once in so many.
const UNREADABLE: u32 = 12;

/// What somebody does by hand.
#[derive(Debug, Clone)]
pub enum Hand {
    /// A row is changed. A trigger gives it a higher revision.
    Change(&'static str, Id, Json),
    Insert(&'static str, Id, Json),
    Delete(&'static str, Id),
    /// All rows of a table go, and nobody notes which.
    Truncate(&'static str),
}

/// What is noted of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByHand {
    This(Key),
    Anything,
}

impl SimTruth {
    /// Does something by hand, when nobody else holds the rows.
    pub async fn by_hand(&self, hand: &Hand) {
        let inner = &self.inner;
        loop {
            inner.scheduler.step("by hand").await;
            let mut state = inner.state();
            let rows = inner.rows(&state, hand);
            if rows.iter().any(|(key, _)| state.held.contains(key)) {
                continue;
            }
            let now = inner.scheduler.now();
            for (key, after) in &rows {
                match after {
                    Some(document) => drop(state.tables.insert(*key, document.clone())),
                    None => {
                        let before = state.tables.remove(key);
                        let last = before.map_or(0, |before| before.revision().number());
                        let ended = state.ended.entry(*key).or_insert(0);
                        *ended = (*ended).max(last);
                    }
                }
                state.history.note(now, *key, after.clone());
            }
            state.history.note_by_hand(now);
            match hand {
                Hand::Truncate(_) => {
                    state.noted.push(ByHand::Anything);
                    state.for_recent.is_not_sound();
                }
                _ => inner.note_rows(&mut state, &rows),
            }
            return;
        }
    }

    /// Has rows that are older than everything else, of which nothing is noted: each with how many
    /// milliseconds ago it was created.
    pub fn begin_with(&self, rows: &[(&str, Id, Json, i64)]) {
        let inner = &self.inner;
        let now = inner.clock.now().millis();
        for (name, id, json, ago) in rows {
            let Some(collection) = inner.catalog.named(name) else {
                continue;
            };
            let key = (collection.id, *id);
            let Some(mut document) = inner.inserted(key, json, 0) else {
                continue;
            };
            let created = Timestamp::from_millis(now - ago);
            document.set_created_at(created);
            document.set_revision(Revision::new(created.millis() * 1_000));
            let mut state = inner.state();
            state.tables.insert(key, document.clone());
            state.history.note(0, key, Some(document));
        }
    }

    /// Looks at what others have written since it has looked last, and tells.
    ///
    /// # Panics
    /// Never: it has seen no more than there is.
    pub async fn watch(&self, seen: &mut usize) {
        let inner = &self.inner;
        let mutant = inner.mutant;
        let began = inner.clock.ticks();
        let look = || {
            let state = inner.state();
            (state.noted[*seen..].to_vec(), state.noted.len())
        };
        let (noted, mut now) = self.ask_by(LOOK, look).await;
        if mutant == Some(Mutant::NotesPassedOver) {
            now = self.ask_by(LOOK, || inner.state().noted.len()).await;
        }
        let observers = self.observers.get().cloned().unwrap_or_default();
        let mut keys: Vec<Key> = Vec::new();
        let mut is_anything = false;
        for noted in noted {
            match noted {
                ByHand::This(key) => keys.push(key),
                ByHand::Anything => is_anything = true,
            }
        }
        keys.sort_unstable();
        keys.dedup();
        match is_anything && mutant != Some(Mutant::DistrustSkipped) {
            true => overtaken(&observers).await,
            false if keys.is_empty() => {}
            false => self.tell(&observers, &keys).await,
        }
        *seen = now;
        for observer in &observers {
            observer.watched(began);
        }
    }

    /// Tells of documents.
    async fn tell(&self, observers: &[Arc<dyn Observer>], keys: &[Key]) {
        let inner = &self.inner;
        let number = inner
            .batches
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let batch = BatchId(number);
        let early = match inner.mutant {
            Some(Mutant::HandsReadFirst) => Some(self.foreign(keys).await),
            _ => None,
        };
        for observer in observers {
            let theirs = keys.iter().filter(|(of, _)| observer.observes(*of));
            let theirs: Vec<Key> = theirs.copied().collect();
            if !theirs.is_empty() {
                observer.doubt(batch, &theirs).await;
            }
        }
        inner.scheduler.note(|| format!("doubts {keys:?}"));
        let foreign = match early {
            Some(foreign) => foreign,
            None => self.foreign(keys).await,
        };
        let is_read = inner.scheduler.draw(|random| random.u32(..UNREADABLE)) > 0;
        for observer in observers {
            match is_read {
                true => {
                    let theirs = foreign.iter().filter(|f| observer.observes(f.collection));
                    let theirs: Vec<Foreign> = theirs.cloned().collect();
                    if !theirs.is_empty() {
                        observer.resolve(batch, &theirs).await;
                    }
                }
                false => observer.settle(batch, Fate::Aborted).await,
            }
        }
        if !is_read {
            overtaken(observers).await;
        }
        inner.scheduler.note(|| "has told what others wrote".into());
    }

    async fn foreign(&self, keys: &[Key]) -> Vec<Foreign> {
        let look = || {
            let state = self.inner.state();
            let each = keys.iter().map(|key| Foreign {
                collection: key.0,
                id: key.1,
                now: state.tables.get(key).cloned(),
                // Each of them commits by itself.
                transaction: state.noted.len() as u64,
            });
            each.collect()
        };
        self.ask_by(READ, look).await
    }
}

async fn overtaken(observers: &[Arc<dyn Observer>]) {
    for observer in observers {
        observer.overtaken().await;
    }
}

impl Inner {
    /// The rows that somebody changes, and what becomes of them.
    fn rows(&self, state: &State, hand: &Hand) -> Vec<(Key, Option<Document>)> {
        let key = |name: &str, id: Id| {
            let collection = self.catalog.named(name)?;
            Some((collection.id, id))
        };
        let row = match hand {
            Hand::Change(name, id, change) => key(name, *id).and_then(|key| {
                let before = state.tables.get(&key)?;
                Some((key, Some(self.changed(before, key, change)?)))
            }),
            Hand::Insert(name, id, json) => key(name, *id).and_then(|key| {
                let is_free = !state.tables.contains_key(&key) && !state.held.contains(&key);
                let ended = state.ended.get(&key).copied().unwrap_or(0);
                is_free.then_some((key, Some(self.inserted(key, json, ended)?)))
            }),
            Hand::Delete(name, id) => key(name, *id)
                .and_then(|key| state.tables.contains_key(&key).then_some((key, None))),
            Hand::Truncate(name) => {
                let Some(collection) = self.catalog.named(name) else {
                    return Vec::new();
                };
                let all = state.tables.keys().filter(|(of, _)| *of == collection.id);
                return all.map(|key| (*key, None)).collect();
            }
        };
        row.into_iter().collect()
    }

    /// Notes what somebody has written, as a trigger does: for the instances, and for the recent tier.
    fn note_rows(&self, state: &mut State, rows: &[(Key, Option<Document>)]) {
        let now = self.own_time();
        for (key, _) in rows {
            state.noted.push(ByHand::This(*key));
            if self.catalog.get(key.0).tiers.recent.is_some() {
                let note = new_id(&*self.clock, &*self.random);
                state.for_recent.add_by_hand(note, *key, now);
            }
        }
    }

    fn changed(&self, before: &Document, key: Key, change: &Json) -> Option<Document> {
        let collection = self.catalog.get(key.0);
        let change = read_patch(&self.catalog, collection, change).ok()?;
        let mut after = before.clone();
        change
            .apply(&mut after, collection, self.clock.now())
            .ok()?;
        after.normalize();
        after.set_revision(before.revision().next(self.clock.micros()));
        Some(after)
    }

    /// A trigger gives it the time as its revision. That is later than the end of an earlier life,
    /// however little the clock here has moved since.
    fn inserted(&self, key: Key, json: &Json, ended: i64) -> Option<Document> {
        let collection = self.catalog.get(key.0);
        let mut json = json.clone();
        json["id"] = key.1.to_string().into();
        let mut document = collection.read_document(&json, Source::Json).ok()?;
        let new_id = || key.1;
        let now = self.clock.now();
        collection.complete(&mut document, now, None, new_id).ok()?;
        document.set_revision(Revision::new(ended).next(self.clock.micros()));
        document.normalize();
        Some(document)
    }
}
