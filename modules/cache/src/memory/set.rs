//! One ordered set.
//!
//! Entries stand in the order of their positions, newest first as a rule, so that what is written
//! goes in at the front and nothing has to move.

use std::collections::VecDeque;

use nubo_core::{
    cache::{Members, Reach},
    id::Revision,
    position::Position,
};
use smallvec::SmallVec;

use crate::sets::{KEPT, MOST, Mark};

/// The documents with certain values.
#[derive(Debug, Default)]
pub(super) struct SetSlot {
    entries: VecDeque<Entry>,
    /// Down to where none is missing; nobody has built it where there is none.
    reach: Option<Mark>,
    /// Those who are asking the truth for its members.
    builders: SmallVec<[u64; 2]>,
    /// How many entries are pinned.
    pinned: usize,
    /// When it was last used, in the shard's count.
    pub(super) used: u64,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    /// The version of the document that put it there.
    revision: Revision,
    /// How many batches are about to commit it.
    pins: u32,
}

impl SetSlot {
    /// Puts a position there that a batch is about to commit. Whether anybody has built the set, so
    /// that it will be read.
    pub fn announce(&mut self, position: Position, revision: Revision) -> bool {
        let entry = self.entry(position, revision);
        entry.pins += 1;
        if entry.pins == 1 {
            self.pinned += 1;
        }
        self.reach.is_some()
    }

    /// A batch that was announced is settled, or taken back.
    pub fn unpin(&mut self, position: &Position) {
        let Ok(at) = self.find(position) else {
            debug_assert!(false, "an entry that a batch has pinned is gone");
            return;
        };
        let entry = &mut self.entries[at];
        entry.pins -= 1;
        if entry.pins > 0 {
            return;
        }
        self.pinned -= 1;
        if self.builders.is_empty() && !self.covers(position) {
            self.entries.remove(at);
        }
        self.cut_back();
    }

    /// Takes out a document that has left, unless a later version of it is there.
    pub fn leave(&mut self, position: &Position, last: Revision) {
        if let Ok(at) = self.find(position)
            && self.entries[at].revision <= last
            && self.entries[at].pins == 0
        {
            self.entries.remove(at);
        }
    }

    /// Leaves a build token, unless there is as much as there may be.
    pub fn begin(&mut self, token: impl FnOnce() -> u64) -> Option<u64> {
        if self.entries.len() >= KEPT && self.reach.is_some() {
            return None;
        }
        let token = token();
        self.builders.push(token);
        Some(token)
    }

    /// Adds a stretch of members, if the token is still there and nothing is missing down to where
    /// it begins.
    pub fn build(&mut self, token: u64, stretch: Members) -> bool {
        let Some(at) = self.builders.iter().position(|own| *own == token) else {
            return false;
        };
        self.builders.swap_remove(at);
        if stretch.after.is_some_and(|after| !self.covers(&after)) {
            return false;
        }
        let last = stretch.members.last();
        let mark = match (stretch.to_the_end, last) {
            (true, _) => Mark::End,
            (false, Some(last)) => Mark::To(last.position.clone()),
            (false, None) => return false,
        };
        for member in stretch.members {
            self.entry(member.position, member.revision);
        }
        if self.reach.as_ref().is_none_or(|reach| *reach < mark) {
            self.reach = Some(mark);
        }
        self.cut_back();
        true
    }

    /// What stands behind a position, and down to where none is missing.
    pub fn scan(&self, after: Option<&Position>, most: usize) -> (Vec<Position>, Reach) {
        let Some(mark) = &self.reach else {
            return (Vec::new(), Reach::Nowhere);
        };
        let start = after.map_or(0, |after| {
            self.entries
                .partition_point(|entry| entry.position <= *after)
        });
        let behind = self.entries.range(start..).map(|entry| &entry.position);
        let found: Vec<Position> = behind
            .take_while(|position| self.covers(position))
            .take(most)
            .cloned()
            .collect();
        let reach = mark.reach(after, &found, most);
        (found, reach)
    }

    /// Forgets what nobody is about to commit, and those who build it.
    pub fn forget(&mut self) {
        self.entries.retain(|entry| entry.pins > 0);
        self.reach = None;
        self.builders.clear();
    }

    /// Whether some batch is about to commit an entry: it must stay.
    pub fn is_pinned(&self) -> bool {
        self.pinned > 0
    }

    /// Whether it is of no use to anybody.
    pub fn is_empty(&self) -> bool {
        self.reach.is_none() && self.builders.is_empty() && !self.is_pinned()
    }

    /// How many bytes it takes beyond its own size.
    pub fn heap(&self) -> usize {
        // Positions of a collection are of one kind: all of them fit into their entries, or few do.
        let beyond = self
            .entries
            .front()
            .map_or(0, |entry| entry.position.heap());
        self.entries.capacity() * size_of::<Entry>() + self.entries.len() * beyond
    }

    /// The entry at a position, with this revision or a later one.
    fn entry(&mut self, position: Position, revision: Revision) -> &mut Entry {
        let at = match self.find(&position) {
            Ok(at) => {
                let entry = &mut self.entries[at];
                entry.revision = entry.revision.max(revision);
                at
            }
            Err(at) => {
                let entry = Entry {
                    position,
                    revision,
                    pins: 0,
                };
                self.entries.insert(at, entry);
                at
            }
        };
        &mut self.entries[at]
    }

    fn find(&self, position: &Position) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.position.cmp(position))
    }

    fn covers(&self, position: &Position) -> bool {
        match &self.reach {
            None => false,
            Some(Mark::To(end)) => position <= end,
            Some(Mark::End) => true,
        }
    }

    /// Keeps the beginning of a set that has grown long. What is pinned stays wherever it is, and
    /// nobody may say of the rest any more that it is complete.
    fn cut_back(&mut self) {
        if self.entries.len() - self.pinned <= MOST {
            return;
        }
        let end = self.entries[KEPT - 1].position.clone();
        self.entries
            .retain(|entry| entry.pins > 0 || entry.position <= end);
        self.builders.clear();
        if self.covers(&end) {
            self.reach = Some(Mark::To(end));
        }
    }
}
