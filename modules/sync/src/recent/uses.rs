//! What is read stays: documents that were of use are noted in the recent tier, many together and each
//! seldom, so that they are not deleted for want of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use nubo_core::{Result, id::Id, schema::CollectionId};
use tokio::sync::watch;

use super::{Place, RecentStore};
use crate::stop;

/// How old a document is before its uses are noted, in milliseconds: it stays for that much longer
/// than the window.
const YOUNG: i64 = 24 * 3600 * 1000;
/// How often uses of one document are noted at most, in microseconds.
const SELDOM: i64 = 3600 * 1_000_000;
/// How often those that wait are told.
const PAUSE: Duration = Duration::from_secs(5);
/// How many documents are remembered so that they are not noted again; twice as many in all.
const REMEMBERED: usize = 100_000;
/// How many documents wait to be noted. Those of more are noted when they are used again.
const MOST_WAITING: usize = 20_000;

/// Documents that were used.
#[derive(Default)]
pub(super) struct Uses {
    /// Those that were noted in this hour or the one before, or are about to be.
    lately: [HashSet<Place>; 2],
    /// Since when the first of the two grows, in ticks.
    since: i64,
    /// Those that are to be noted.
    waiting: HashMap<CollectionId, Vec<Id>>,
    /// How many those are.
    count: usize,
}

impl Uses {
    /// Notes a use, unless that was done of late.
    fn note(&mut self, place: Place, now: i64) {
        if self.count >= MOST_WAITING {
            return;
        }
        if self.lately[0].len() >= REMEMBERED || now.saturating_sub(self.since) >= SELDOM {
            self.lately.swap(0, 1);
            self.lately[0].clear();
            self.since = now;
        }
        if self.lately[1].contains(&place) || !self.lately[0].insert(place) {
            return;
        }
        self.waiting.entry(place.0).or_default().push(place.1);
        self.count += 1;
    }

    /// Those that are to be noted.
    fn take(&mut self) -> HashMap<CollectionId, Vec<Id>> {
        self.count = 0;
        std::mem::take(&mut self.waiting)
    }
}

impl RecentStore {
    /// Documents were read, wherever they were.
    pub(crate) fn used(&self, collection: CollectionId, ids: impl IntoIterator<Item = Id>) {
        // Where the truth has no other copy nothing is deleted for want of use.
        if self.tier(collection).is_none() || !self.catalog.get(collection).tiers.truth {
            return;
        }
        let young = self.clock.now().millis().saturating_sub(YOUNG);
        let is_old = |id: &Id| id.made_at().is_none_or(|made| made.millis() < young);
        let mut old = ids.into_iter().filter(is_old).peekable();
        if old.peek().is_none() {
            return;
        }
        let now = self.clock.ticks();
        let mut uses = self.uses();
        for id in old {
            uses.note((collection, id), now);
        }
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        // Nothing panics while it holds the lock and leaves it half changed.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the tier know what was used. What it cannot be told is noted when it is used an hour later.
    async fn touch_used(&self) -> Result<()> {
        let Some(epoch) = self.epoch() else {
            return Ok(());
        };
        let uses = self.uses().take();
        let now = self.clock.now();
        for (collection, ids) in uses {
            self.recent.touch(epoch, collection, &ids, now).await?;
        }
        Ok(())
    }
}

/// Has the tier know what was used now and then, until it is stopped. Nobody waits for that.
pub(super) async fn tell_uses(store: Arc<RecentStore>, mut stopped: watch::Receiver<bool>) {
    loop {
        if stop::asked_within(&mut stopped, PAUSE).await {
            return;
        }
        if let Err(error) = store.touch_used().await {
            tracing::debug!(%error, "what was used is not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use nubo_core::schema::Catalog;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn collection() -> CollectionId {
        let notes = json!({ "name": "notes", "fields": { "text": "text" } });
        let notes = serde_json::from_value(notes).unwrap();
        let catalog = Catalog::compile(&[notes], &[]).unwrap();
        catalog.named("notes").unwrap().id
    }

    fn place(of: CollectionId, number: usize) -> Place {
        (of, Id::from_uuid(Uuid::from_u128(number as u128)))
    }

    fn taken(uses: &mut Uses) -> usize {
        let taken = uses.take();
        taken.values().map(Vec::len).sum()
    }

    #[test]
    fn a_use_is_noted_once_in_an_hour_or_two() {
        let (mut uses, of) = (Uses::default(), collection());
        for minute in 0..240 {
            uses.note(place(of, 1), minute * 60 * 1_000_000);
        }
        assert_eq!(taken(&mut uses), 2);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (mut uses, of) = (Uses::default(), collection());
        for number in 0..MOST_WAITING + 5 {
            uses.note(place(of, number), 0);
        }
        assert_eq!(taken(&mut uses), MOST_WAITING);
        uses.note(place(of, 0), 0);
        assert_eq!(taken(&mut uses), 0);
        for number in 0..3 * REMEMBERED {
            uses.note(place(of, number), 0);
            taken(&mut uses);
        }
        assert!(uses.lately.iter().map(HashSet::len).sum::<usize>() <= 2 * REMEMBERED);
        uses.note(place(of, 0), 0);
        assert_eq!(taken(&mut uses), 1);
    }
}
