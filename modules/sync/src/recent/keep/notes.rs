//! Working notes off: what they name is brought as it is now.

use std::collections::{HashMap, HashSet};

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    outbox::{Note, Outbox, Place as NotePlace},
    recent::Claim,
    time::Timestamp,
};

use super::{Keeping, Pending};
use crate::recent::Place;

/// How many notes are looked at together.
const NOTES: u32 = 1000;
/// How many documents of theirs are brought together, about.
const DOCUMENTS: usize = 2000;

/// How often it is looked whether notes that stay are there still, in microseconds.
const AGAIN: i64 = 2_000_000;

/// What becomes of the notes of documents that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// They stay: a version may still be on its way.
    Stay,
    /// They are so old that none is.
    Are,
}

/// How far notes are worked off.
pub(super) struct Progress {
    /// Whether none is left.
    pub is_done: bool,
    /// Whether notes were passed over whose documents this process has on their way.
    pub has_passed_over: bool,
}

/// Batches whose notes stay.
#[derive(Default)]
struct Staying {
    /// The tier cannot hold their documents.
    refused: Pending,
    /// Some of their documents are gone.
    early: Pending,
}

impl Keeping {
    /// Brings the documents of notes that stand behind a place as they are now, as long as the tier is
    /// trusted. Moves the place on.
    pub(super) async fn bring_noted(
        &mut self,
        outbox: &dyn Outbox,
        epoch: Epoch,
        until: Timestamp,
        after: &mut Option<NotePlace>,
        pages: usize,
        ends: Ends,
    ) -> Result<Progress> {
        let mut progress = Progress {
            is_done: false,
            has_passed_over: false,
        };
        for _ in 0..pages {
            // Over another connection it is to be seen first where that leads.
            if self.store.recent.epoch() != Some(epoch) {
                break;
            }
            let mut notes = outbox.notes(until, after.as_ref(), NOTES).await?;
            if notes.len() == NOTES as usize {
                keep_whole_batches(&mut notes);
            }
            let Some(last) = notes.last() else {
                progress.is_done = true;
                break;
            };
            let last = last.place.clone();
            let mut due = Vec::with_capacity(notes.len());
            {
                let arriving = self.store.arriving();
                for note in &notes {
                    let batch = batch(note);
                    let is_early = ends == Ends::Stay && self.early.contains_key(&batch);
                    if arriving.has_on_its_way(batch) {
                        progress.has_passed_over = true;
                    } else if !is_early && !self.refused.contains_key(&batch) {
                        due.push(note);
                    }
                }
            }
            for together in parts(&due) {
                let staying = self.bring_notes(epoch, together, ends).await?;
                self.refused.extend(staying.refused);
                self.early.extend(staying.early);
            }
            *after = Some(last);
            self.trim(outbox, epoch).await?;
        }
        Ok(progress)
    }

    /// Brings the documents of some notes. Gives the batches that are not done with.
    async fn bring_notes(&self, epoch: Epoch, notes: &[&Note], ends: Ends) -> Result<Staying> {
        let store = &self.store;
        let places = notes.iter().flat_map(|note| {
            let ids = note.ids.iter();
            let places = note.collection.map(|of| ids.map(move |id| (of, *id)));
            places.into_iter().flatten()
        });
        let places: Vec<Place> = places.collect();
        let turn = store.arriving().turn();
        let brought = store.bring_now(epoch, &places).await?;
        let mut done = Vec::new();
        let mut staying = Staying::default();
        for note in notes {
            let batch = batch(note);
            let claims = note.ids.iter().filter_map(|id| {
                Some(Claim {
                    instance: batch.0,
                    batch: batch.1,
                    collection: note.collection?,
                    id: *id,
                })
            });
            for claim in claims {
                let place = (claim.collection, claim.id);
                // Where they stay they are pending: the truth is asked for them.
                if brought.refused.contains(&place) {
                    staying.refused.entry(batch).or_default().push(claim);
                } else if ends == Ends::Stay && brought.gone.contains(&place) {
                    staying.early.entry(batch).or_default().push(claim);
                } else {
                    done.push(claim);
                }
            }
        }
        let kept = [&staying.refused, &staying.early];
        let kept = kept.into_iter().flat_map(HashMap::values).flatten();
        let kept: Vec<Claim> = kept.copied().collect();
        if !kept.is_empty() {
            store.lists.claim(epoch, &kept).await?;
        }
        store.lists.arrived(epoch, &done).await?;
        let batches: HashSet<(Id, BatchId)> = notes
            .iter()
            .map(|note| batch(note))
            .filter(|batch| {
                !staying.refused.contains_key(batch) && !staying.early.contains_key(batch)
            })
            .collect();
        store.arriving().have_arrived(turn, batches);
        Ok(staying)
    }
}

impl Keeping {
    /// Takes back what was claimed for batches whose notes are gone: somebody else has worked them off,
    /// perhaps before that was claimed.
    pub(super) async fn let_go(&mut self, outbox: &dyn Outbox, epoch: Epoch) -> Result<()> {
        let now = self.store.clock.ticks();
        let pending = [&self.refused, &self.early];
        let batches = pending.into_iter().flat_map(HashMap::keys).copied();
        let batches: Vec<(Id, BatchId)> = batches.collect();
        if batches.is_empty() || now - self.looked_for < AGAIN {
            return Ok(());
        }
        self.looked_for = now;
        let noted = outbox.noted(&batches).await?;
        let gone = |batch: &(Id, BatchId)| !noted.contains(batch);
        let claims = [&self.refused, &self.early].into_iter().flatten();
        let claims = claims.filter(|(batch, _)| gone(batch));
        let claims: Vec<Claim> = claims.flat_map(|(_, claims)| claims).copied().collect();
        if !claims.is_empty() {
            self.store.lists.arrived(epoch, &claims).await?;
        }
        self.refused.retain(|batch, _| noted.contains(batch));
        self.early.retain(|batch, _| noted.contains(batch));
        Ok(())
    }
}

const fn batch(note: &Note) -> (Id, BatchId) {
    (note.place.instance, note.place.batch)
}

/// Leaves out the notes of the last batch, where there are others: it may have more of them, one for
/// each of its tables, and they are removed together.
fn keep_whole_batches(notes: &mut Vec<Note>) {
    let last = notes.last().map(batch);
    if let Some(whole) = notes.iter().rposition(|note| Some(batch(note)) != last) {
        notes.truncate(whole + 1);
    }
}

/// Notes in parts that have so many documents that those are brought together. The notes of a batch
/// stay together.
fn parts<'a, 'b>(notes: &'b [&'a Note]) -> impl Iterator<Item = &'b [&'a Note]> {
    let mut documents = 0;
    notes.chunk_by(move |before, next| {
        documents += before.ids.len();
        let stays = documents < DOCUMENTS || batch(before) == batch(next);
        if !stays {
            documents = 0;
        }
        stays
    })
}
