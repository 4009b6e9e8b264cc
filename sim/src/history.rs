//! What every document was at every moment: the truth's commits, as they happened.

use std::collections::BTreeMap;

use nubo_core::{document::Document, id::Id, schema::CollectionId};

use crate::scheduler::Moment;

/// A document of a collection.
pub type Key = (CollectionId, Id);

/// All versions of all documents.
#[derive(Default, Clone)]
pub struct History {
    versions: BTreeMap<Key, Vec<(Moment, Option<Document>)>>,
    /// When anything was committed.
    commits: Vec<Moment>,
    /// When somebody else has written, beside the store.
    by_hand: Vec<Moment>,
}

impl History {
    /// Notes what a document is from now on.
    pub fn note(&mut self, now: Moment, key: Key, document: Option<Document>) {
        self.versions.entry(key).or_default().push((now, document));
        if self.commits.last() != Some(&now) {
            self.commits.push(now);
        }
    }

    /// Notes that somebody else has written.
    pub fn note_by_hand(&mut self, now: Moment) {
        self.by_hand.push(now);
    }

    /// The moment from which on an answer may show what was so, where others had written shortly before
    /// or meanwhile: what they write need not be seen at once.
    pub fn excused(&self, from: Moment, to: Moment, grace: Moment) -> Option<Moment> {
        let mut lately = self.by_hand.iter().filter(|at| **at + grace > from);
        let first = lately.next().filter(|at| **at <= to)?;
        Some(from.min(first.saturating_sub(1)))
    }

    /// What a document was at a moment.
    pub fn at(&self, key: Key, moment: Moment) -> Option<&Document> {
        let versions = self.versions.get(&key)?;
        let after = versions.partition_point(|(from, _)| *from <= moment);
        versions.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// The documents of a collection that were there at any time.
    pub fn of(&self, collection: CollectionId) -> impl Iterator<Item = Key> + '_ {
        let keys = self.versions.keys().copied();
        keys.filter(move |(of, _)| *of == collection)
    }

    /// The moments in a span at which anything was different from the moment before; its beginning
    /// among them.
    pub fn moments(&self, from: Moment, to: Moment) -> impl Iterator<Item = Moment> + Clone + '_ {
        let first = self.commits.partition_point(|moment| *moment <= from);
        let last = self.commits.partition_point(|moment| *moment <= to);
        std::iter::once(from).chain(self.commits[first..last.max(first)].iter().copied())
    }
}
