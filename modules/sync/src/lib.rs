//! The store: all tiers as one.
//!
//! [`Tiers`] is what modules read from and write to. Reads go down the tiers ([`read`]), of which
//! [`recent`] keeps one up to date, and [`alone`] is about what stays there alone; a write is prepared here ([`write`](mod@write)) and carried out in
//! the truth. What a list brings along is put together in [`expand`], and [`retention`] deletes what has expired.
//! Fields that are not stored are added by [`presence`].
//! What was committed is told to those who listen by [`publish`]. What is acknowledged before it is
//! carried out waits in [`behind`].
//! Access rules are held against the caller in [`permission`]; no read and no write passes by it.
//! This crate knows no SQL and no HTTP.

#![forbid(unsafe_code)]

mod alone;
mod behind;
#[cfg(test)]
mod behind_test;
mod expand;
#[cfg(test)]
mod expand_test;
#[cfg(test)]
mod fake;
mod permission;
mod presence;
mod publish;
mod read;
mod recent;
mod retention;
#[cfg(test)]
mod retention_test;
mod stop;
mod write;
#[cfg(test)]
mod write_test;

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    alone::Alone,
    bus::Bus,
    cache::Cache,
    caller::Caller,
    clock::{Clock, Random},
    document::Document,
    filter::Expr,
    hook::Hook,
    id::Id,
    module::SetupError,
    passwords::Passwords,
    query::Query,
    schema::{Catalog, CollectionId},
    store::{Answer, Expansion, ExpansionKind, Store, Tier},
    truth::{Body, Page, Truth},
    write::{Operation, Outcome, Sequence},
};

use alone::Composed;
pub use alone::{Leaver, LeavingTask};
pub use behind::{Applying, Behind, BehindSettings};
pub use publish::Publisher;
use read::Cached;
pub use recent::{
    Backfill, Doubt, Filled, Keeping, RecentAudit, RecentComparison, RecentFault, RecentParts,
    RecentRepair, RecentStore, RecentTask, Wrong,
};
pub use retention::{Retention, Sweep};

/// Deliberate mistakes in the order of reading, for the simulation to find.
#[cfg(feature = "flaws")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// What a set yields is not held against the question again.
    NoRecheck,
    /// What a rule looks up is looked up before the documents are read that it guards.
    RuleReadFirst,
    /// The pending lists are looked at when the recent tier has answered.
    PendingReadAfter,
    /// The recent tier is asked for lists without the moment since when it has everything.
    NoTimeBound,
    /// That moment is another one where a list goes on in the truth.
    TwoBoundaries,
    /// It is not looked at how far processes have come by what the recent tier says.
    MarkUnchecked,
    /// The note of a batch goes before its documents are brought.
    NoteRemovedEarly,
    /// What waits is brought as it was, whichever epoch it was written in.
    BatchesOfAnyEpoch,
    /// A backfill moves its mark although the tier may have been set back under it.
    MarkOfAnyTurn,
    /// The pending lists are opened without waiting for what is under way.
    ListsOpenedEarly,
}

/// All tiers as one store.
pub struct Tiers {
    catalog: Arc<Catalog>,
    truth: Arc<dyn Truth>,
    /// The truth without what it does not keep.
    itself: Arc<dyn Truth>,
    bus: Arc<dyn Bus>,
    passwords: Arc<dyn Passwords>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    cached: Option<Cached>,
    recent: Option<Arc<RecentStore>>,
    behind: Option<Arc<Behind>>,
    #[cfg(feature = "flaws")]
    flaw: Option<Flaw>,
    /// Set once every module has been set up; modules need the store before that.
    hooks: OnceLock<Vec<Arc<dyn Hook>>>,
}

impl Tiers {
    /// A store over the truth.
    pub fn new(
        catalog: Arc<Catalog>,
        truth: Arc<dyn Truth>,
        bus: Arc<dyn Bus>,
        passwords: Arc<dyn Passwords>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            catalog,
            itself: Arc::clone(&truth),
            truth,
            bus,
            passwords,
            clock,
            random,
            cached: None,
            recent: None,
            behind: None,
            #[cfg(feature = "flaws")]
            flaw: None,
            hooks: OnceLock::new(),
        }
    }

    /// The same with a cache above the truth. It must hear of everything that the truth writes.
    #[must_use]
    pub fn with_cache(mut self, cache: Arc<dyn Cache>) -> Self {
        self.cached = Some(Cached::new(cache));
        self
    }

    /// The same with a recent tier. It must hear of everything that the truth writes, after the cache
    /// that has its pending lists.
    #[must_use]
    pub fn with_recent(mut self, recent: Arc<RecentStore>) -> Self {
        let mut collections = self.catalog.collections().iter();
        if collections.any(|collection| collection.is_alone()) {
            self.truth = Arc::new(Composed {
                catalog: Arc::clone(&self.catalog),
                truth: Arc::clone(&self.itself),
                alone: Arc::clone(&recent) as Arc<dyn Alone>,
                clock: Arc::clone(&self.clock),
                patience: recent.lasting() / 2,
            });
        }
        self.recent = Some(recent);
        self
    }

    /// The same with a queue for collections with `write: behind`.
    #[must_use]
    pub fn with_behind(mut self, behind: Arc<Behind>) -> Self {
        self.behind = Some(behind);
        self
    }

    /// Whether the recent tier alone keeps the documents of a collection.
    fn is_alone(&self, collection: CollectionId) -> bool {
        self.recent.is_some() && self.catalog.get(collection).is_alone()
    }

    /// What the truth has answered, together with the recent tier where that alone keeps the collection.
    fn as_answered<T>(
        &self,
        collection: CollectionId,
        content: T,
        why: impl Into<Cow<'static, str>>,
    ) -> Answer<T> {
        match self.is_alone(collection) {
            true => Answer {
                content,
                tier: Tier::Recent,
                why: "the recent tier alone keeps the collection".into(),
            },
            false => Answer::truth(content, why),
        }
    }

    /// Waits until whoever reads a collection misses nothing that is queued.
    async fn nothing_behind(&self, collection: CollectionId) -> Result<()> {
        match &self.behind {
            Some(behind) if behind.concerns(collection) => behind.caught_up().await,
            _ => Ok(()),
        }
    }

    /// The same for what somebody asks. What the server looks up for itself (who has signed in, who
    /// may hear what) is what is committed, as it hears of it.
    async fn nothing_behind_for(&self, caller: &Caller, collection: CollectionId) -> Result<()> {
        match caller {
            Caller::Server => Ok(()),
            _ => self.nothing_behind(collection).await,
        }
    }

    /// The same for a list with everything that it brings along.
    async fn nothing_behind_for_list(
        &self,
        caller: &Caller,
        query: &Query,
        expand: &[Expansion],
    ) -> Result<()> {
        match &self.behind {
            Some(behind) if *caller != Caller::Server && brings(behind, expand) => {
                behind.caught_up().await
            }
            _ => self.nothing_behind_for(caller, query.collection).await,
        }
    }

    /// The same with a deliberate mistake.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn flawed(mut self, flaw: Option<Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    #[cfg(feature = "flaws")]
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The hooks of all modules, in the order in which they run.
    ///
    /// # Errors
    /// When they have been set before.
    pub fn set_hooks(&self, hooks: Vec<Arc<dyn Hook>>) -> Result<(), SetupError> {
        let twice = |_| SetupError::new("the hooks of the store are set twice");
        self.hooks.set(hooks).map_err(twice)
    }
}

/// Whether something that may be queued is brought along.
fn brings(behind: &Behind, expand: &[Expansion]) -> bool {
    expand.iter().any(|expansion| {
        let collection = match expansion.kind {
            ExpansionKind::Forward { target, .. } => target,
            ExpansionKind::Reverse { collection, .. } => collection,
        };
        behind.concerns(collection) || brings(behind, &expansion.inner)
    })
}

#[async_trait]
impl Store for Tiers {
    async fn write_with(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        own: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        self.write_together(caller, operations, own).await
    }

    async fn write_each(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        sequence: Sequence,
    ) -> Vec<Result<Outcome>> {
        self.write_apart(caller, operations, sequence).await
    }

    async fn get(
        &self,
        caller: &Caller,
        collection: CollectionId,
        id: Id,
    ) -> Result<Option<Answer<Body>>> {
        let view = self.view(caller, collection)?;
        self.nothing_behind_for(caller, collection).await?;
        let Some(answer) = self.read_one(collection, id, &view).await? else {
            return Ok(None);
        };
        let body = self.complete_body(collection, id, answer.content).await?;
        Ok(Some(Answer {
            content: body,
            ..answer
        }))
    }

    async fn list(
        &self,
        caller: &Caller,
        query: Query,
        expand: &[Expansion],
    ) -> Result<Answer<Page>> {
        let view = self.view(caller, query.collection)?;
        self.check_query(&view, &query)?;
        self.nothing_behind_for_list(caller, &query, expand).await?;
        let (query, wanted) = self.without_virtual(query);
        let collection = query.collection;
        let answer = match expand.is_empty() {
            true => self.read_page(query, &view).await?,
            false => self.expanded_page(caller, query, &view, expand).await?,
        };
        let page = self
            .complete_page(collection, answer.content, &wanted)
            .await?;
        Ok(Answer {
            content: page,
            ..answer
        })
    }

    async fn list_at_once(&self, caller: &Caller, query: Query) -> Result<Answer<Page>> {
        let view = self.view(caller, query.collection)?;
        self.check_query(&view, &query)?;
        if self.is_alone(query.collection) {
            return Err(Error::bad_request(
                "not_of_one_moment",
                "the documents of this collection are not in one place, so that no list is of one moment",
            ));
        }
        let (query, wanted) = self.without_virtual(query);
        let collection = query.collection;
        self.nothing_behind(collection).await?;
        let page = self.truth.page(query, &view).await?;
        let page = self.complete_page(collection, page, &wanted).await?;
        Ok(Answer::truth(page, "the list is to be of one moment"))
    }

    async fn find(&self, caller: &Caller, query: Query) -> Result<Vec<Document>> {
        let view = self.view(caller, query.collection)?;
        self.check_query(&view, &query)?;
        self.nothing_behind_for(caller, query.collection).await?;
        self.truth.find(query, &view).await
    }

    async fn count(&self, caller: &Caller, collection: CollectionId, filter: Expr) -> Result<u64> {
        let view = self.view(caller, collection)?;
        self.check_filter(&view, collection, &filter)?;
        self.nothing_behind(collection).await?;
        self.truth.count(collection, filter, &view).await
    }

    async fn ready(&self) -> Result<()> {
        self.truth.ping().await
    }
}
