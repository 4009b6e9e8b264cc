//! A cache that several instances share: what keeps it right although each of them, and the server
//! that holds it, may stop, crash or be cut off at any moment.
//!
//! [`Shared`] is a storage as any other for those above it. It hands on what it is asked to the
//! storage of the epoch that the gate is open for ([`nubo_core::coordination`] tells what the gate
//! is), and believes an answer only if its lease is still good when the answer is there. What cannot
//! be asked is answered as if nothing were held, so that the truth is asked.
//!
//! Nor is an answer believed where nobody has looked for long what others have written, who do not ask
//! the gate: a person with SQL.
//!
//! A batch that cannot be announced makes the instance close the gate, waits until that is done and
//! goes on without. [`keeper`] is the task that renews the lease, and moves the gate.
//!
//! The owner of the gate is spared two things. What it has at hand of a document is what the cache
//! holds, for nobody else changes that. And its batches may be committed before they are announced:
//! [`ahead`] says what it reads from the truth meanwhile.

mod ahead;
mod claims;
mod keeper;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Reach, Scan, SetName, Statistics},
    clock::{Clock, Random},
    coordination::{Coordination, Epoch, Gate, LEASE, Terms},
    id::Id,
    observe::BatchId,
    position::Position,
};
use tokio::sync::{Notify, watch};

use ahead::Ahead;
pub use keeper::{Keeper, Steps};

use crate::storage::{Announced, DocumentKey, Remote, Settled, Storage};

/// How long a batch waits for the gate to be moved, in microseconds. It takes a good half of a second
/// when the server of the cache does not answer any more.
const PATIENCE: i64 = 5_000_000;
/// How long a reader may go by what it knows of what others have written, in microseconds, counted from
/// before that was looked at. What they write is to be seen within a second.
const WATCH: i64 = 900_000;

/// What batches are announced in, if anything, and the terms on which they are.
type Announcements<S> = HashMap<BatchId, (Option<Arc<S>>, Terms)>;

/// The cache of several instances.
pub struct Shared<R: Remote> {
    remote: Arc<R>,
    coordination: Arc<dyn Coordination>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// What this instance knows of the gate.
    view: watch::Sender<View<R::Storage>>,
    /// The batches that are announced and not settled, and what they were announced in; nothing
    /// where the gate was closed.
    announced: Mutex<Announcements<R::Storage>>,
    ahead: Ahead,
    doubts: Mutex<Doubts>,
    /// From when on it is not known what others have written, in ticks.
    watched: AtomicI64,
    /// Wakes the keeper.
    wake: Notify,
    #[cfg(feature = "flaws")]
    flaw: Option<Flaw>,
}

/// Deliberate mistakes, for the simulation to find.
#[cfg(feature = "flaws")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// An answer is believed although the lease has run out.
    LeaseUnchecked,
    /// The gate is closed at once, without waiting for the leases of others.
    LeasesNotAwaited,
    /// What somebody has announced who is silent is taken back before they are fenced.
    FencedLate,
    /// The server is believed to be the one it was, whatever it says.
    IncarnationUnchecked,
    /// The tokens of one epoch are taken for those of the next.
    TokensOfAnyEpoch,
    /// An answer is believed although nobody has looked for long what others have written.
    WatchUnchecked,
    /// An owner takes the gate for its own at once, although others may still read by their leases.
    OwnedAtOnce,
    /// An owner goes by what it had at hand before the gate was its own.
    HandNotEmptied,
    /// What an owner commits ahead is read from the cache meanwhile.
    AheadUnchecked,
    /// What changes a document again is announced beside the batch that is ahead.
    AheadNotAwaited,
    /// An owner gives the gate up while it is ahead.
    GivenUpEarly,
}

/// What an instance knows.
struct View<S> {
    /// Who it is to the others.
    instance: Id,
    /// None before it has asked.
    gate: Option<Gate>,
    /// When it began to ask for what it knows, in ticks.
    asked: i64,
    /// What the open epoch is held in, where this instance can reach that and has no doubts.
    storage: Option<Arc<S>>,
    /// Which of the storages that this instance has had that is, or was.
    turn: u64,
    /// Whether the gate is this instance's, and nobody else reads from the cache by an older lease.
    owns: bool,
}

impl<S> Clone for View<S> {
    fn clone(&self) -> Self {
        Self {
            instance: self.instance,
            gate: self.gate.clone(),
            asked: self.asked,
            storage: self.storage.clone(),
            turn: self.turn,
            owns: self.owns,
        }
    }
}

/// What speaks against what is known.
#[derive(Default)]
struct Doubts {
    /// Epochs that are to end: something that must not fail has failed there, or what they hold may be
    /// out of date.
    condemned: BTreeSet<Epoch>,
    /// A commit was refused that was announced by what was known at this moment, in ticks.
    refused: Option<i64>,
    /// Somebody else has written: the epoch that is open at the next look is to end.
    overtaken: bool,
}

impl<R: Remote> Shared<R> {
    /// A cache that is held by a server and that nobody may use yet; its [`Keeper`] changes that.
    pub fn new(
        remote: Arc<R>,
        coordination: Arc<dyn Coordination>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let view = View {
            instance: nubo_core::clock::new_id(&*clock, &*random),
            gate: None,
            asked: i64::MIN,
            storage: None,
            turn: 0,
            owns: false,
        };
        Self {
            remote,
            coordination,
            clock,
            random,
            view: watch::Sender::new(view),
            announced: Mutex::default(),
            ahead: Ahead::default(),
            doubts: Mutex::default(),
            watched: AtomicI64::new(i64::MIN),
            wake: Notify::new(),
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// The same with a deliberate mistake.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn flawed(mut self, flaw: Option<Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    /// The server that holds it.
    pub fn remote(&self) -> &R {
        &self.remote
    }

    /// The gate as this instance knows it, and who this instance is.
    pub fn known(&self) -> (Option<Gate>, Id) {
        let view = self.view.borrow();
        (view.gate.clone(), view.instance)
    }

    #[cfg(feature = "flaws")]
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// What may be read from now, and which turn it has; what is found there counts if
    /// [`Shared::is_good`] afterwards.
    fn readable(&self) -> Option<(Arc<R::Storage>, u64)> {
        let view = self.view.borrow();
        let storage = view.storage.as_ref()?;
        self.has_lease(&view)
            .then(|| (Arc::clone(storage), view.turn))
    }

    /// Whether what was read from a storage until now was right when it was read. The gate was open
    /// when the storage became known, and is when what is known now was asked for; nobody opens it a
    /// second time for the same epoch. Since then the lease keeps it from closing.
    ///
    /// What others have written is another matter, and has its own lease.
    fn is_good(&self, storage: &Arc<R::Storage>) -> bool {
        let view = self.view.borrow();
        let same = |known: &Arc<R::Storage>| Arc::ptr_eq(known, storage);
        view.storage.as_ref().is_some_and(same) && self.has_lease(&view)
    }

    fn has_lease(&self, view: &View<R::Storage>) -> bool {
        let now = self.clock.ticks();
        self.knows_gate(view, now) && self.knows_others(now)
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn knows_gate(&self, view: &View<R::Storage>, now: i64) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::LeaseUnchecked) {
            return true;
        }
        now < view.asked.saturating_add(LEASE)
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn is_flawed_ahead(&self) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::AheadNotAwaited) {
            return true;
        }
        false
    }

    fn knows_others(&self, now: i64) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::WatchUnchecked) {
            return true;
        }
        now < self.watched.load(Ordering::Acquire).saturating_add(WATCH)
    }

    /// Asks for something, as long as that may be. None where it cannot be known.
    async fn ask<T>(&self, act: impl AsyncFnOnce(&R::Storage, u64) -> Result<T>) -> Option<T> {
        let (storage, turn) = self.readable()?;
        match act(&storage, turn).await {
            Ok(found) => self.is_good(&storage).then_some(found),
            Err(error) => {
                tracing::debug!(%error, "the shared cache does not answer");
                // The keeper looks whether it is there.
                self.wake.notify_one();
                None
            }
        }
    }

    /// What the owner of the gate has at hand of a document.
    fn at_hand(&self, document: DocumentKey) -> Option<Lookup> {
        let view = self.view.borrow();
        let storage = view.storage.as_ref().filter(|_| view.owns)?;
        let held = storage.at_hand(document)?;
        self.has_lease(&view).then_some(Lookup::Held(held))
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn is_ahead(&self, document: DocumentKey) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::AheadUnchecked) {
            return false;
        }
        self.ahead.has_document(document)
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn are_ahead(&self, sets: &[SetName]) -> bool {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::AheadUnchecked) {
            return false;
        }
        self.ahead.has_set(sets)
    }

    /// What is known of documents by those who must be asked.
    async fn ask_for(&self, documents: &[DocumentKey]) -> Vec<Lookup> {
        let found = self.ask(async |storage, turn| {
            let mut found = storage.read(documents).await?;
            found.iter_mut().for_each(|lookup| self.issue(lookup, turn));
            Ok(found)
        });
        let unknown = || documents.iter().map(|_| Lookup::Unknown).collect();
        found.await.unwrap_or_else(unknown)
    }

    /// Reads nothing from a storage any more.
    fn drop_storage(&self, storage: &Arc<R::Storage>) {
        self.view.send_modify(|view| {
            let is_another = |own: &Arc<R::Storage>| !Arc::ptr_eq(own, storage);
            view.storage = view.storage.take().filter(is_another);
        });
    }

    /// Says that an epoch must end: something has failed that must not.
    fn condemn(&self, epoch: Epoch) {
        self.doubts().condemned.insert(epoch);
        self.wake.notify_one();
    }

    /// Waits until more is known than this, and not for longer than until then.
    async fn know_more(&self, than: i64, until: i64) -> Result<()> {
        let mut known = self.view.subscribe();
        loop {
            self.wake.notify_one();
            if known.borrow_and_update().asked > than {
                return Ok(());
            }
            // The sender lives as long as this.
            if known.changed().await.is_err() || self.clock.ticks() > until {
                return Err(Error::unavailable(
                    "cache_undecided",
                    "it is not known whether the shared cache is in use",
                ));
            }
        }
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announced(&self) -> MutexGuard<'_, Announcements<R::Storage>> {
        // Nothing panics while it holds the lock and leaves the map half changed.
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bits of a token's number that are its own; those above say from which storage it is.
const OWN_BITS: u32 = 40;

/// A token as it is given out. Each epoch counts from the beginning: without this a token of one
/// would be taken for a token of the next, and with it what was read before that began.
///
/// Tokens never leave the instance, so that it tells epochs apart by the turn in which it had them.
const fn issued(number: u64, turn: u64) -> u64 {
    turn << OWN_BITS | number
}

/// The number of a token that was given out in this turn. None where it is of another one.
fn accepted(token: u64, turn: u64) -> Option<u64> {
    let number = token & ((1 << OWN_BITS) - 1);
    (issued(number, turn) == token).then_some(number)
}

impl<R: Remote> Shared<R> {
    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn issued(&self, number: u64, turn: u64) -> u64 {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::TokensOfAnyEpoch) {
            return number;
        }
        issued(number, turn)
    }

    /// Makes the token that a reader gets one of this turn.
    fn issue(&self, lookup: &mut Lookup, turn: u64) {
        if let Lookup::Missing(token) = lookup {
            token.number = self.issued(token.number, turn);
        }
    }

    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn accepted(&self, token: u64, turn: u64) -> Option<u64> {
        #[cfg(feature = "flaws")]
        if self.is(Flaw::TokensOfAnyEpoch) {
            return Some(token);
        }
        accepted(token, turn)
    }
}

impl<R: Remote> Storage for Shared<R> {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        // Whether one is changed ahead is looked at before the cache is.
        let known = |document: &DocumentKey| match self.is_ahead(*document) {
            true => Some(Lookup::Unknown),
            false => self.at_hand(*document),
        };
        if let [document] = documents {
            return Ok(match known(document) {
                Some(known) => vec![known],
                None => self.ask_for(documents).await,
            });
        }
        let mut found: Vec<Option<Lookup>> = documents.iter().map(known).collect();
        let unknown = documents.iter().zip(&found);
        let unknown = unknown.filter(|(_, known)| known.is_none());
        let unknown: Vec<DocumentKey> = unknown.map(|(document, _)| *document).collect();
        if !unknown.is_empty() {
            let places = found.iter_mut().filter(|known| known.is_none());
            for (place, lookup) in places.zip(self.ask_for(&unknown).await) {
                *place = Some(lookup);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let count = documents.len();
        let counts = self.ask(async |storage, turn| {
            let mut counts = vec![false; documents.len()];
            let (mut fills, mut places) = (Vec::new(), Vec::new());
            for (at, (key, token, held)) in documents.into_iter().enumerate() {
                if let Some(number) = self.accepted(token, turn) {
                    fills.push((key, number, held));
                    places.push(at);
                }
            }
            let filled = storage.fill(fills, lifetime).await?;
            for (at, filled) in places.into_iter().zip(filled) {
                counts[at] = filled;
            }
            Ok(counts)
        });
        Ok(counts.await.unwrap_or_else(|| vec![false; count]))
    }

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        let until = self.clock.ticks().saturating_add(PATIENCE);
        if !self.is_flawed_ahead() {
            self.ahead.pass(documents).await;
        }
        loop {
            let view = self.view.borrow().clone();
            let refused = self.doubts().refused;
            let terms = |epoch, open| Terms {
                instance: view.instance,
                epoch,
                open,
            };
            match (&view.gate, &view.storage) {
                // It was refused by what was known then.
                _ if refused.is_some_and(|refused| view.asked <= refused) => {}
                // It is to be given up, or closed.
                (Some(gate), _) if gate.owner().is_some_and(|owner| owner != view.instance) => {}
                (Some(Gate::Closed(epoch)), _) => {
                    self.announced().insert(batch, (None, terms(*epoch, false)));
                    return Ok(vec![false; documents.len()]);
                }
                (Some(Gate::Open { epoch, .. }), Some(storage)) => {
                    // Even what has failed on the way may be there, and is to be taken back.
                    let kept = (Some(Arc::clone(storage)), terms(*epoch, true));
                    self.announced().insert(batch, kept);
                    match storage.announce(batch, documents, claimed).await {
                        Ok(wanted) => return Ok(wanted),
                        Err(error) => {
                            tracing::warn!(%error, "a batch could not be announced");
                            self.condemn(*epoch);
                        }
                    }
                }
                (Some(Gate::Open { epoch, .. }), None) => self.condemn(*epoch),
                (Some(Gate::Closing(_)) | None, _) => {}
            }
            self.know_more(view.asked, until).await?;
        }
    }

    /// Nobody else commits while the gate is this instance's, and nobody else reads from the cache.
    fn go_ahead(&self, batch: BatchId, documents: &[Announced], claimed: &[DocumentKey]) -> bool {
        // As long as this is borrowed the gate is not given up.
        let view = self.view.borrow();
        let refused = self.doubts().refused;
        let is_refused = refused.is_some_and(|refused| view.asked <= refused);
        let (Some(gate), Some(storage)) = (&view.gate, &view.storage) else {
            return false;
        };
        if !view.owns || is_refused || !claimed.is_empty() || !self.ahead.begin(batch, documents) {
            return false;
        }
        let terms = Terms {
            instance: view.instance,
            epoch: gate.epoch(),
            open: true,
        };
        let kept = (Some(Arc::clone(storage)), terms);
        self.announced().insert(batch, kept);
        true
    }

    /// Where it fails nothing is read from the epoch any more, before anybody takes the batch for
    /// announced.
    async fn announce_late(
        &self,
        batch: BatchId,
        documents: &[Announced],
    ) -> Result<Option<Vec<bool>>> {
        let kept = self.announced().get(&batch).cloned();
        let Some((Some(storage), terms)) = kept else {
            self.call_off(batch);
            return Ok(None);
        };
        let announced = storage.announce_late(batch, documents).await;
        if announced.is_err() {
            self.condemn(terms.epoch);
            self.drop_storage(&storage);
        }
        if !matches!(announced, Ok(Some(_))) {
            self.announced().remove(&batch);
        }
        self.ahead.end(batch);
        announced
    }

    fn call_off(&self, batch: BatchId) {
        self.announced().remove(&batch);
        self.ahead.end(batch);
    }

    fn terms(&self, batch: BatchId) -> Option<Terms> {
        self.announced().get(&batch).map(|(_, terms)| *terms)
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        let Some((Some(storage), terms)) = self.announced().remove(&batch) else {
            return Ok(());
        };
        let settled = storage.settle(batch, documents).await;
        settled.inspect_err(|_| self.condemn(terms.epoch))
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        let Some((Some(storage), terms)) = self.announced().remove(&batch) else {
            return Ok(());
        };
        let aborted = storage.abort(batch, documents, claimed).await;
        aborted.inspect_err(|_| self.condemn(terms.epoch))
    }

    fn refused(&self, batch: BatchId) {
        let known = self.view.borrow().asked;
        if self.announced().contains_key(&batch) {
            self.doubts().refused = Some(known);
            self.wake.notify_one();
        }
    }

    fn is_usable(&self) -> bool {
        self.readable().is_some()
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let nothing = || Scan {
            positions: Vec::new(),
            reach: Reach::Nowhere,
            documents: None,
        };
        if self.are_ahead(sets) {
            return Ok(nothing());
        }
        let found = self.ask(async |storage, turn| {
            let mut scan = storage.scan(sets, after, most).await?;
            for (_, lookup) in scan.documents.iter_mut().flatten() {
                self.issue(lookup, turn);
            }
            Ok(scan)
        });
        Ok(found.await.unwrap_or_else(nothing))
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        let token = self.ask(async |storage, turn| {
            let token = storage.begin(set).await?;
            Ok(token.map(|number| self.issued(number, turn)))
        });
        Ok(token.await.flatten())
    }

    async fn build(&self, set: &SetName, token: u64, members: Members) -> Result<bool> {
        let built = self.ask(async |storage, turn| match self.accepted(token, turn) {
            Some(number) => storage.build(set, number, members).await,
            None => Ok(false),
        });
        Ok(built.await.unwrap_or(false))
    }

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        // Others may be reading them, whether this instance may or not.
        let storage = self.view.borrow().storage.clone();
        match storage {
            Some(storage) => storage.forget_sets(sets).await,
            None => Ok(()),
        }
    }

    async fn clear(&self) -> Result<()> {
        match self.readable() {
            Some((storage, _)) => storage.clear().await,
            None => Ok(()),
        }
    }

    /// Other instances are putting there what they have read, and nobody can tell them apart who
    /// have read it before. So the epoch ends, and all that was or will be put into it with it.
    ///
    /// Which one that is, the keeper has to ask: another one than is known here may have begun, and
    /// have something in it that was read before. Until then this instance does without.
    async fn distrust(&self) -> Result<()> {
        self.doubts().overtaken = true;
        self.view.send_modify(|view| view.storage = None);
        self.wake.notify_one();
        Ok(())
    }

    fn watched(&self, since: i64) {
        self.watched.fetch_max(since, Ordering::Release);
    }

    fn statistics(&self) -> Statistics {
        let storage = self.view.borrow().storage.clone();
        storage.map_or_else(Statistics::default, |storage| storage.statistics())
    }
}
