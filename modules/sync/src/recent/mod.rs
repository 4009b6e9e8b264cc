//! The recent tier as the store uses it: what is read from there, and how it is kept up to date.
//!
//! A batch's documents are claimed in the *pending lists* before its commit, and noted in the truth's
//! *outbox* by the commit itself. Behind the acknowledgement they are brought to the tier
//! ([`settle`]); then the claims go, and the notes. What was left behind by whoever died, or could not
//! be brought, is found by its note and brought as it is now. [`keep`] is the task that sees to that;
//! it also judges whether the tier is what it should be, and begins another epoch where it is not.
//! [`backfill`] brings what is older than the tier, and [`audit`] holds what it has against the truth.
//!
//! A reader ([`crate::read`]) looks at the pending lists first. A document that is not pending then is
//! in the tier as it was at that moment, or newer, or not at all.

mod audit;
mod backfill;
mod bring;
mod doubt;
mod fill;
mod keep;
mod settle;
mod uses;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use nubo_core::{
    Error, Result,
    alone::{LASTING, WaitingRoom},
    clock::{Clock, Random},
    coordination::Epoch,
    id::Id,
    outbox::Outbox,
    recent::{PendingLists, Recent},
    schema::{Catalog, CollectionId, RecentTier},
    time::Timestamp,
    truth::Truth,
};
use tokio::sync::Notify;

pub use audit::{RecentAudit, RecentComparison, RecentFault, RecentRepair, Wrong};
pub use backfill::{Backfill, Filled};
pub(crate) use bring::{Bringing, Brought, without};
pub use doubt::Doubt;
pub use keep::{Keeping, RecentTask};
use settle::Arriving;
use uses::Uses;

use crate::alone::Absence;

/// What the store needs for a recent tier.
pub struct RecentParts {
    pub catalog: Arc<Catalog>,
    pub truth: Arc<dyn Truth>,
    pub recent: Arc<dyn Recent>,
    pub lists: Arc<dyn PendingLists>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// The recent tier of a store.
pub struct RecentStore {
    catalog: Arc<Catalog>,
    truth: Arc<dyn Truth>,
    recent: Arc<dyn Recent>,
    lists: Arc<dyn PendingLists>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Who this is where marks are kept.
    process: Id,
    known: RwLock<Known>,
    arriving: Mutex<Arriving>,
    uses: Mutex<Uses>,
    /// There is something to bring.
    wake: Notify,
    /// Somebody wants to read from the tier, which is to be looked at before.
    look: Notify,
    /// Since when that cannot be.
    absence: Absence,
    /// How long the tier has had what the truth does not keep, before that forgets it.
    lasting: Duration,
    #[cfg(feature = "flaws")]
    flaw: Option<crate::Flaw>,
}

/// What is known of the tier.
#[derive(Debug, Clone, Default)]
struct Known {
    epoch: Option<Epoch>,
    covered: Arc<HashMap<CollectionId, Timestamp>>,
}

/// A document, wherever it is.
type Place = (CollectionId, Id);

/// How long after its commit a version may still come to the tier, in milliseconds. Nobody brings what
/// has waited for half as long, and the rest is more than a command is under way.
const LATE: i64 = 60_000;

impl RecentStore {
    /// A tier of which nothing is known yet.
    pub fn new(parts: RecentParts) -> Self {
        let RecentParts {
            catalog,
            truth,
            recent,
            lists,
            clock,
            random,
        } = parts;
        Self {
            process: nubo_core::clock::new_id(&*clock, &*random),
            catalog,
            truth,
            recent,
            lists,
            clock,
            random,
            known: RwLock::default(),
            arriving: Mutex::default(),
            uses: Mutex::default(),
            wake: Notify::new(),
            look: Notify::new(),
            absence: Absence::default(),
            lasting: LASTING,
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// The same where the tier has what the truth does not keep for another time, before that forgets
    /// it. All servers must agree on it.
    #[must_use]
    pub fn lasting_for(mut self, lasting: Duration) -> Self {
        self.lasting = lasting;
        self
    }

    pub(crate) const fn lasting(&self) -> Duration {
        self.lasting
    }

    /// The same with a deliberate mistake.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn flawed(mut self, flaw: Option<crate::Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    #[cfg(feature = "flaws")]
    fn is(&self, flaw: crate::Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The tier of a collection, where it has it.
    pub(crate) fn tier(&self, collection: CollectionId) -> Option<&RecentTier> {
        self.catalog.get(collection).tiers.recent.as_ref()
    }

    /// The tier itself.
    pub(crate) fn recent(&self) -> &dyn Recent {
        &*self.recent
    }

    /// Where documents wait that the truth does not keep.
    pub(crate) fn waiting_room(&self) -> Result<&dyn WaitingRoom> {
        self.bringing().waiting_room()
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Since when the tier cannot be asked.
    pub(crate) fn absence(&self) -> &Absence {
        &self.absence
    }

    /// How often the tier may have been set back.
    pub(crate) fn turn(&self) -> u64 {
        self.arriving().turn()
    }

    /// The pending lists.
    pub(crate) fn lists(&self) -> &dyn PendingLists {
        &*self.lists
    }

    /// The epoch that can be read at present.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        let known = self.known().epoch?;
        let is_known = self.recent.epoch() == Some(known);
        if !is_known {
            // Often there is only a new connection, which may lead to another server and hardly does.
            self.look.notify_one();
        }
        is_known.then_some(known)
    }

    /// Since when the tier has every document of a collection that was created in that time. The window
    /// moves on, so that a reader asks once.
    pub(crate) fn boundary(&self, epoch: Epoch, collection: CollectionId) -> Option<Timestamp> {
        let tier = self.tier(collection)?;
        let known = self.known();
        if known.epoch != Some(epoch) {
            return None;
        }
        let covered = *known.covered.get(&collection)?;
        let begins = self.clock.now().millis().saturating_sub(tier.window);
        Some(covered.max(Timestamp::from_millis(begins)))
    }

    /// Says that the tier has failed to answer. It is not asked before it was looked at again.
    pub(crate) fn failed(&self, error: &Error) {
        tracing::debug!(%error, "the recent tier does not answer");
        self.recent.distrust();
    }

    fn known(&self) -> Known {
        let known = self.known.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_known(&self, known: Known) {
        self.absence.end();
        // Nothing panics while it holds the lock.
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn arriving(&self) -> MutexGuard<'_, Arriving> {
        // Nothing panics while it holds the lock and leaves it half changed.
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> Result<&dyn Outbox> {
        let none =
            || Error::unavailable("not_started", "the truth notes nothing for a recent tier");
        self.truth.outbox().ok_or_else(none)
    }

    /// Brings documents as they are now.
    async fn bring_now(&self, epoch: Epoch, places: &[Place]) -> Result<Brought> {
        self.bringing().now(epoch, places).await
    }

    /// What brings documents as they are now.
    pub(crate) fn bringing(&self) -> Bringing<'_> {
        Bringing {
            catalog: &self.catalog,
            truth: &*self.truth,
            recent: &*self.recent,
            clock: &*self.clock,
        }
    }
}
