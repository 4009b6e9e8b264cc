//! What is the same of sets wherever they are: how far they grow, and how what is read of several
//! becomes one.

use nubo_core::{
    cache::{Reach, Scan},
    position::Position,
};

/// How many entries are kept at the beginning of a set that grows by what is written.
pub(crate) const KEPT: usize = 1024;
/// How many there may be before it is cut back, beside those that some batch is about to commit.
pub(crate) const MOST: usize = 2 * KEPT;

/// Down to where a set is complete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    To(Position),
    End,
}

impl Mark {
    /// What is known behind a position, when these were found there and no more than so many were
    /// looked for.
    pub fn reach(&self, after: Option<&Position>, found: &[Position], most: usize) -> Reach {
        match (self, found.last()) {
            (Self::To(end), _) if after.is_some_and(|after| end <= after) => Reach::Nowhere,
            (_, Some(last)) if found.len() == most => Reach::To(last.clone()),
            (Self::To(end), _) => Reach::To(end.clone()),
            (Self::End, _) => Reach::End,
        }
    }
}

/// Stretches of several sets as one: down to where none of them misses anything.
pub(crate) fn union(stretches: Vec<(Vec<Position>, Reach)>, most: usize) -> Scan {
    let mut reach = Reach::End;
    let mut positions = Vec::new();
    for (found, own) in stretches {
        positions.extend(found);
        reach = match (reach, own) {
            (Reach::Nowhere, _) | (_, Reach::Nowhere) => Reach::Nowhere,
            (Reach::End, own) => own,
            (reach, Reach::End) => reach,
            (Reach::To(a), Reach::To(b)) => Reach::To(a.min(b)),
        };
    }
    positions.sort_unstable();
    positions.dedup();
    match &reach {
        Reach::Nowhere => positions.clear(),
        Reach::To(end) => positions.retain(|position| position <= end),
        Reach::End => {}
    }
    if positions.len() > most {
        positions.truncate(most);
        reach = positions.last().cloned().map_or(Reach::Nowhere, Reach::To);
    }
    Scan {
        positions,
        reach,
        documents: None,
    }
}
