//! What somebody who was away must know beyond events: that others may be seen than before.

use std::collections::{HashMap, VecDeque};

use nubo_core::{caller::Caller, id::Id, schema::CollectionId};

use crate::audience::Affected;

/// How many changes are remembered. Beyond that, whoever was away longer reads everything again.
const MOST: usize = 100_000;
/// How many accounts are remembered as they looked last. Beyond that all are forgotten.
const MOST_ACCOUNTS: usize = 100_000;

/// When look-ups last came out differently, for whom, and since when accounts look as they do.
#[derive(Default)]
pub(super) struct Absence {
    /// By account (none for everybody) and collection.
    latest: HashMap<(Option<Id>, CollectionId), u64>,
    order: VecDeque<(u64, Option<Id>, CollectionId)>,
    /// Nothing is known of what was before.
    known_after: u64,
    /// How rules saw an account last, and the first position at which they did.
    looks: HashMap<Id, (Caller, u64)>,
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

    /// Somebody listens, or goes on listening, when everything up to a position was heard.
    pub fn sees(&mut self, caller: &Caller, sequence: u64) {
        let Some(account) = caller.account_id() else {
            return;
        };
        match self.looks.get_mut(&account) {
            Some((known, _)) if known.looks_like(caller) => {}
            // The change lies behind that position, and may have been told to nobody.
            Some(known) => *known = (caller.clone(), sequence + 1),
            None => {
                if self.looks.len() >= MOST_ACCOUNTS {
                    self.looks.clear();
                }
                self.looks.insert(account, (caller.clone(), sequence));
            }
        }
    }

    /// Whether rules may have seen an account differently at a position.
    pub fn looks_different(&self, account: Option<Id>, since: u64) -> bool {
        account.is_some_and(|account| {
            let known = self.looks.get(&account);
            known.is_none_or(|(_, from)| since < *from)
        })
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
