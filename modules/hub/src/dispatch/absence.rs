//! What somebody who was away must know beyond events: that others may be seen than before.

use std::collections::{HashMap, VecDeque};

use nubo_core::{id::Id, schema::CollectionId};

use crate::audience::Affected;

/// How many changes are remembered. Beyond that, whoever was away longer reads everything again.
const MOST: usize = 100_000;

/// When look-ups last came out differently, for whom.
#[derive(Default)]
pub(super) struct Absence {
    /// By account (none for everybody) and collection.
    latest: HashMap<(Option<Id>, CollectionId), u64>,
    order: VecDeque<(u64, Option<Id>, CollectionId)>,
    /// Nothing is known of what was before.
    known_after: u64,
}

impl Absence {
    /// Notes what happened at a position.
    pub fn note(&mut self, affected: &Affected, sequence: u64) {
        for collection in &affected.collections {
            match &affected.accounts {
                None => self.note_one(None, *collection, sequence),
                Some(accounts) => {
                    for account in accounts {
                        self.note_one(Some(*account), *collection, sequence);
                    }
                }
            }
        }
    }

    fn note_one(&mut self, account: Option<Id>, collection: CollectionId, sequence: u64) {
        self.latest.insert((account, collection), sequence);
        self.order.push_back((sequence, account, collection));
        while self.order.len() > MOST
            && let Some((old, account, collection)) = self.order.pop_front()
        {
            self.known_after = old;
            let key = (account, collection);
            if self.latest.get(&key) == Some(&old) {
                self.latest.remove(&key);
            }
        }
    }

    /// Nothing is known of what was up to a position.
    pub fn forget(&mut self, sequence: u64) {
        *self = Self {
            known_after: sequence,
            ..Self::default()
        };
    }

    /// Whether somebody may see other documents of these collections than at a position.
    pub fn has_changed(
        &self,
        account: Option<Id>,
        collections: &[CollectionId],
        since: u64,
    ) -> bool {
        let later = |account: Option<Id>, collection: CollectionId| {
            let latest = self.latest.get(&(account, collection));
            latest.is_some_and(|latest| *latest > since)
        };
        since < self.known_after
            || collections.iter().any(|collection| {
                later(None, *collection) || (account.is_some() && later(account, *collection))
            })
    }
}
