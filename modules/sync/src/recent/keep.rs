//! The task that keeps the recent tier: it judges whether the tier is what it should be, has the
//! pending lists complete, and brings what was left behind.
//!
//! A step does what is to be done, whoever left it half done:
//!
//! | what it sees | what it does |
//! |---|---|
//! | the tier and the truth do not know each other, or one of them was set back | begins another epoch |
//! | there are notes of yesterday, which the tier has not taken | gives the epoch up |
//! | the pending lists are not kept, or it may be another server that holds the tier | begins them |
//! | they are begun, and every batch is over that was under way then | brings everything noted, and opens them |
//! | documents have arrived | moves its mark in the tier, then in the truth, and removes the notes |
//! | notes that are old | brings their documents; those of documents that are gone stay until no version of them can be on its way |
//! | a collection of which it is not known since when the tier has it | notes that it is from now on |
//!
//! **Marks** are how it is seen that the tier was set back, to a copy of yesterday, say. A note is
//! removed only together with a step of the mark that the tier has made before; so a tier whose mark
//! is lower than the truth's lacks something that nobody will bring. A truth whose mark is lower by
//! more than one was set back itself.
//!
//! What has arrived since a mark was moved has its note still, but no claim any more. So whoever finds
//! other connections to the tier than before, and no word that they lead to the same run of the server,
//! begins the lists again before anything is read, and what is noted is brought once more.

use std::{collections::HashSet, sync::Arc, time::Duration};

use nubo_core::{
    Result,
    access::View,
    coordination::Epoch,
    filter::Expr,
    id::Id,
    observe::BatchId,
    outbox::{Note, Outbox, Standing},
    query::{Query, Start},
    recent::{Beginning, Claim, Condition, Founding, Sight},
    schema::CollectionId,
    time::Timestamp,
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Known, LATE, Place, RecentStore,
    backfill::{created_at, newest_first},
};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(250);
/// How soon it looks again where somebody waits for it.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// After how long a note is old, in milliseconds: who has written it would have brought its documents.
const OLD: i64 = 5_000;
/// After how long nobody waits for the tier to take what is noted, in milliseconds.
const TOO_OLD: i64 = 24 * 3600 * 1000;
/// How many notes are looked at together.
const NOTES: u32 = 200;
/// How many times as many are looked at in one step where nobody waits for it.
const PAGES: usize = 20;
/// How long somebody may take who has begun the lists, in microseconds.
const PATIENCE: i64 = 10_000_000;
/// How often the tier is cleaned, in milliseconds.
const CLEANED: i64 = 6 * 3600 * 1000;
/// How much longer than the window documents stay, in milliseconds: as long as clocks may differ, and
/// more.
const GRACE: i64 = 24 * 3600 * 1000;
/// Since ever.
const ALWAYS: i64 = -62_135_596_800_000;

/// The task while it runs.
pub struct RecentTask {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl RecentTask {
    /// Begins to keep the tier.
    pub fn start(store: Arc<RecentStore>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let keeping = tokio::spawn(keep(Keeping::new(Arc::clone(&store)), stopped.clone()));
        let settling = tokio::spawn(settle(store, stopped));
        Self {
            stop,
            tasks: vec![keeping, settling],
        }
    }

    /// Brings what waits, and ends. Nothing may be written any more. The mark of this process stays:
    /// without it nobody would see that the tier was set back to before what this process has brought.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task of the recent tier has failed");
            }
        }
    }
}

async fn keep(mut keeping: Keeping, mut stopped: watch::Receiver<bool>) {
    let store = Arc::clone(&keeping.store);
    let mut is_dark = false;
    loop {
        let mut pause = PERIOD;
        match keeping.step().await {
            Ok(()) if is_dark => {
                tracing::info!("the recent tier is back");
                is_dark = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !is_dark {
                    tracing::warn!(%error, "the recent tier is not used: the truth answers");
                }
                is_dark = true;
                pause = PAUSE;
            }
        }
        let look = async {
            tokio::time::sleep(SHORTEST).await;
            match is_dark {
                // It is looked at often enough.
                true => std::future::pending().await,
                false => store.look.notified().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = look => {}
            // The channel closes when its owner is gone; that is a stop too.
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    // What has arrived by now need not be brought again.
    if !is_dark && let Err(error) = keeping.step().await {
        tracing::debug!(%error, "the recent tier is not what it was");
    }
}

async fn settle(store: Arc<RecentStore>, mut stopped: watch::Receiver<bool>) {
    loop {
        match store.settle_some().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => store.failed(&error),
        }
        tokio::select! {
            () = store.wake.notified() => {}
            // The channel closes when its owner is gone; that is a stop too.
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
}

/// What keeps the tier, step by step.
pub struct Keeping {
    store: Arc<RecentStore>,
    /// The lists that this one has begun.
    begun: Option<Beginning>,
    /// Since when somebody has, in ticks.
    waits_since: Option<i64>,
    /// The connections that there were when the lists were begun for the server that is trusted, and
    /// which run of it that was.
    server: Option<(u64, Option<String>)>,
    /// How far this process has come in an epoch.
    mark: (Epoch, i64),
    /// Whether that is certain.
    is_sure: bool,
    /// Notes whose documents the tier cannot hold, and what they were found to be.
    refused: HashSet<(Id, BatchId)>,
    /// Notes of documents that are gone, which are to be looked at again when they are older.
    early: HashSet<(Id, BatchId)>,
}

/// What becomes of the notes of documents that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// They stay: a version may still be on its way.
    Stay,
    /// They are so old that none is.
    Are,
}

/// Batches whose notes stay.
#[derive(Default)]
struct Staying {
    /// The tier cannot hold their documents.
    refused: HashSet<(Id, BatchId)>,
    /// Some of their documents are gone.
    early: HashSet<(Id, BatchId)>,
}

impl Keeping {
    /// The first step learns what there is.
    pub fn new(store: Arc<RecentStore>) -> Self {
        Self {
            store,
            begun: None,
            waits_since: None,
            server: None,
            mark: (Epoch::NONE, 0),
            is_sure: false,
            refused: HashSet::new(),
            early: HashSet::new(),
        }
    }

    /// Looks, and does what is to be done.
    ///
    /// # Errors
    /// When the truth or the tier cannot be asked.
    pub async fn step(&mut self) -> Result<()> {
        let result = self.look_and_act().await;
        if result.is_err() {
            self.is_sure = false;
        }
        result
    }

    async fn look_and_act(&mut self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let outbox = store.outbox()?;
        let standing = outbox.standing().await?;
        if standing.is_sound && standing.oldest > TOO_OLD {
            tracing::warn!("the recent tier was away for too long, and is to begin anew");
            outbox.give_up().await?;
        }
        let sight = store.recent.look().await;
        let sight = sight.inspect_err(|error| store.failed(error))?;
        if !self.agree(outbox, &standing, &sight).await? {
            store.recent.distrust();
            // Who does not use the tier may be writing, and note nothing.
            return match store.lists.condition().await? {
                Condition::Away => Ok(()),
                _ => self.begin_epoch(outbox, &standing, &sight).await,
            };
        }
        let epoch = standing.epoch;
        if !self.is_same_server(&sight) && !self.begin_again(epoch, &sight).await? {
            store.recent.distrust();
            return Ok(());
        }
        if store.known().epoch != Some(epoch) {
            // What has arrived in another epoch has not in this one.
            store.arriving().begin_turn();
        }
        store.recent.trust(&sight);
        store.set_known(Known {
            epoch: Some(epoch),
            covered: Arc::new(standing.covered.clone()),
        });
        if !store.arriving().is_empty() {
            // It may have waited for this.
            store.wake.notify_one();
        }
        self.learn_mark(outbox, &standing, &sight).await?;
        self.trim(outbox, epoch).await?;
        let is_open = self.open_lists(outbox, epoch).await?;
        let before = |age: i64| Timestamp::from_millis(standing.now.millis() - age);
        match standing.oldest > OLD {
            true => {
                let old = self.bring_noted(outbox, epoch, before(OLD), PAGES, Ends::Stay);
                old.await?;
            }
            false => self.early.clear(),
        }
        if standing.oldest > LATE {
            let oldest = self.bring_noted(outbox, epoch, before(LATE), PAGES, Ends::Are);
            oldest.await?;
        }
        if store.arriving().has_ended() {
            store.wake.notify_one();
        }
        if is_open {
            self.cover(outbox, &standing).await?;
            self.clean(outbox, epoch).await?;
        }
        Ok(())
    }

    /// Begins the lists again, since the tier may have been set back: there are connections to it that
    /// there were not when it was trusted last. Marks tell that only where one has moved since. Whether
    /// they are begun.
    async fn begin_again(&mut self, epoch: Epoch, sight: &Sight) -> Result<bool> {
        self.store.arriving().begin_turn();
        self.begun = self.store.lists.begin(epoch).await?;
        let is_begun = self.begun.is_some();
        if is_begun {
            self.server = Some((sight.connections, sight.server.clone()));
        }
        Ok(is_begun)
    }

    /// Whether it is the server that was trusted last, as its connections or it itself say.
    fn is_same_server(&self, sight: &Sight) -> bool {
        self.server.as_ref().is_some_and(|(connections, server)| {
            *connections == sight.connections || (server.is_some() && *server == sight.server)
        })
    }

    /// Whether the tier and the truth know each other, and neither was set back.
    async fn agree(&self, outbox: &dyn Outbox, standing: &Standing, sight: &Sight) -> Result<bool> {
        let same = sight.epoch == Some(standing.epoch)
            && sight.truth.as_ref() == Some(&standing.identity)
            && standing.is_sound;
        let mark_of = |process: &Id| sight.marks.get(process).copied().unwrap_or(0);
        let tier_has_all = || {
            let mut marks = standing.marks.iter();
            !self.checks_marks() || marks.all(|(process, mark)| mark_of(process) >= *mark)
        };
        if !same || !tier_has_all() {
            return Ok(false);
        }
        let is_behind = |standing: &Standing| {
            let known = |process: &Id| standing.marks.get(process).copied().unwrap_or(0);
            let mut marks = sight.marks.iter();
            marks.any(|(process, mark)| known(process) + 1 < *mark)
        };
        if !is_behind(standing) {
            return Ok(true);
        }
        // Others may have gone on between the two looks.
        let now = outbox.standing().await?;
        Ok(now.epoch == standing.epoch && !is_behind(&now))
    }

    /// Always, but for a deliberate mistake.
    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn checks_marks(&self) -> bool {
        #[cfg(feature = "flaws")]
        if self.store.is(crate::Flaw::MarkUnchecked) {
            return false;
        }
        true
    }

    /// The same.
    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn waits_for_batches(&self) -> bool {
        #[cfg(feature = "flaws")]
        if self.store.is(crate::Flaw::ListsOpenedEarly) {
            return false;
        }
        true
    }

    /// Begins an epoch, or ends what somebody has begun.
    async fn begin_epoch(
        &mut self,
        outbox: &dyn Outbox,
        standing: &Standing,
        sight: &Sight,
    ) -> Result<()> {
        let store = &self.store;
        let known = sight.epoch.map_or(0, |epoch| epoch.number);
        // Nothing has arrived in it, so that the tier may well be one that has nothing of it.
        let is_new = standing.is_sound
            && standing.epoch.number > known
            && standing.marks.is_empty()
            && standing.covered.is_empty();
        let epoch = match is_new {
            true => standing.epoch,
            false => {
                let mut nonce = [0; 4];
                store.random.fill(&mut nonce);
                let epoch = Epoch {
                    number: standing.epoch.number.max(known) + 1,
                    nonce: u32::from_be_bytes(nonce),
                };
                if !outbox.found(standing.epoch, epoch).await? {
                    return Ok(());
                }
                epoch
            }
        };
        let founding = Founding {
            epoch,
            truth: standing.identity.clone(),
        };
        if store.recent.found(&founding).await? {
            tracing::info!(%epoch, "the recent tier begins anew");
        }
        self.begun = None;
        Ok(())
    }

    /// Learns how far this process has come, where that is not certain.
    async fn learn_mark(
        &mut self,
        outbox: &dyn Outbox,
        standing: &Standing,
        sight: &Sight,
    ) -> Result<()> {
        let epoch = standing.epoch;
        if self.is_sure && self.mark.0 == epoch {
            return Ok(());
        }
        let of = |marks: &std::collections::HashMap<Id, i64>| {
            marks.get(&self.store.process).copied().unwrap_or(0)
        };
        let (tier, truth) = (of(&sight.marks), of(&standing.marks));
        if tier > truth {
            // It was moved in the tier alone.
            outbox.arrived(epoch, &[], self.store.process, tier).await?;
        }
        self.mark = (epoch, tier);
        self.is_sure = true;
        Ok(())
    }

    /// Removes the notes of what has arrived.
    async fn trim(&mut self, outbox: &dyn Outbox, epoch: Epoch) -> Result<()> {
        let notes = self.store.arriving().take_arrived();
        if notes.is_empty() {
            return Ok(());
        }
        let (process, mark) = (self.store.process, self.mark.1);
        self.is_sure = false;
        let moved = self.store.recent.mark(epoch, process, mark).await;
        // Over another connection it may be another tier, or one that has lost what has arrived.
        let is_same = self.store.recent.epoch() == Some(epoch);
        let removed = match moved {
            Ok(true) if !is_same => return Ok(()),
            Ok(true) => outbox.arrived(epoch, &notes, process, mark + 1).await,
            other => other,
        };
        match removed {
            Ok(true) => {
                self.mark.1 = mark + 1;
                self.is_sure = true;
                Ok(())
            }
            // It is another epoch, or one of the two was set back: the next look tells.
            Ok(false) => {
                self.store.recent.distrust();
                Ok(())
            }
            Err(error) => {
                self.store.arriving().put_back_arrived(notes);
                Err(error)
            }
        }
    }

    /// Has the lists be kept and complete. Whether they are.
    async fn open_lists(&mut self, outbox: &dyn Outbox, epoch: Epoch) -> Result<bool> {
        let lists = &self.store.lists;
        match lists.condition().await? {
            Condition::Open(of) if of == epoch => {
                (self.begun, self.waits_since) = (None, None);
                return Ok(true);
            }
            Condition::Away => {
                self.begun = None;
                return Ok(false);
            }
            Condition::Begun(of) if of == epoch && self.begun.is_none() => {
                // Somebody else has, and may be about to open them.
                let now = self.store.clock.ticks();
                let since = *self.waits_since.get_or_insert(now);
                if now - since < PATIENCE {
                    return Ok(false);
                }
                self.waits_since = None;
            }
            Condition::Begun(_) | Condition::Closed | Condition::Open(_) => {}
        }
        let beginning = match self.begun.take() {
            Some(begun) if begun.epoch == epoch => begun,
            _ => {
                self.begun = lists.begin(epoch).await?;
                // Batches that are under way have time until the next step.
                return Ok(false);
            }
        };
        if self.waits_for_batches() && lists.is_under_way(&beginning).await? {
            self.begun = Some(beginning);
            return Ok(false);
        }
        // Everything that was committed before the lists were begun can be seen by now.
        let standing = outbox.standing().await?;
        if standing.epoch != epoch || !standing.is_sound {
            return Ok(false);
        }
        self.refused.clear();
        self.early.clear();
        self.bring_noted(outbox, epoch, standing.now, usize::MAX, Ends::Stay)
            .await?;
        let opened = self.store.lists.open(&beginning).await?;
        if opened {
            tracing::info!(%epoch, "the recent tier is up to date");
        }
        Ok(opened)
    }

    /// Brings the documents of notes as they are now.
    async fn bring_noted(
        &mut self,
        outbox: &dyn Outbox,
        epoch: Epoch,
        until: Timestamp,
        pages: usize,
        ends: Ends,
    ) -> Result<()> {
        let mut after = None;
        for _ in 0..pages {
            let mut notes = outbox.notes(until, after.as_ref(), NOTES).await?;
            if notes.len() == NOTES as usize {
                keep_whole_batches(&mut notes);
            }
            let Some(last) = notes.last() else {
                return Ok(());
            };
            after = Some(last.place.clone());
            let is_due = |note: &&Note| {
                let batch = (note.place.instance, note.place.batch);
                let is_early = ends == Ends::Stay && self.early.contains(&batch);
                !is_early && !self.refused.contains(&batch)
            };
            let notes: Vec<&Note> = notes.iter().filter(is_due).collect();
            let staying = self.bring_notes(epoch, &notes, ends).await?;
            self.refused.extend(staying.refused);
            self.early.extend(staying.early);
            self.trim(outbox, epoch).await?;
        }
        Ok(())
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
        let (mut done, mut kept) = (Vec::new(), Vec::new());
        let mut staying = Staying::default();
        for note in notes {
            let batch = (note.place.instance, note.place.batch);
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
                    staying.refused.insert(batch);
                    kept.push(claim);
                } else if ends == Ends::Stay && brought.gone.contains(&place) {
                    staying.early.insert(batch);
                    kept.push(claim);
                } else {
                    done.push(claim);
                }
            }
        }
        if !kept.is_empty() {
            store.lists.claim(epoch, &kept).await?;
        }
        store.lists.arrived(epoch, &done).await?;
        let batches: HashSet<(Id, BatchId)> = notes
            .iter()
            .map(|note| (note.place.instance, note.place.batch))
            .filter(|batch| !staying.refused.contains(batch) && !staying.early.contains(batch))
            .collect();
        store.arriving().have_arrived(turn, batches);
        Ok(staying)
    }

    /// Notes since when the tier has collections of which that is not known: what there is by now is
    /// older.
    async fn cover(&self, outbox: &dyn Outbox, standing: &Standing) -> Result<()> {
        let collections = self.store.catalog.collections().iter();
        let uncovered = collections.filter(|collection| {
            collection.tiers.recent.is_some() && !standing.covered.contains_key(&collection.id)
        });
        for collection in uncovered {
            let latest = self.latest(collection.id).await?;
            let since = latest.map_or(ALWAYS, |latest| latest.millis() + 1);
            let since = Timestamp::from_millis(since);
            outbox.cover(standing.epoch, collection.id, since).await?;
        }
        Ok(())
    }

    /// When the newest document of a collection was created.
    async fn latest(&self, collection: CollectionId) -> Result<Option<Timestamp>> {
        let schema = self.store.catalog.get(collection);
        let query = Query {
            collection,
            filter: Expr::All(Vec::new()),
            sort: newest_first(schema),
            start: Start::First,
            limit: 1,
            fields: None,
        };
        let found = self.store.truth.find(query, &View::all()).await?;
        let newest = found.first();
        Ok(newest.and_then(|document| created_at(schema, document)))
    }

    /// Deletes what nobody needs any more, unless somebody else has done so of late.
    async fn clean(&self, outbox: &dyn Outbox, epoch: Epoch) -> Result<()> {
        if !outbox.may_clean(CLEANED).await? {
            return Ok(());
        }
        let now = self.store.clock.now().millis();
        for collection in self.store.catalog.collections() {
            let Some(tier) = &collection.tiers.recent else {
                continue;
            };
            let used = now.saturating_sub(tier.window).saturating_sub(GRACE);
            let used_before = collection.tiers.truth.then(|| Timestamp::from_millis(used));
            let deleted = self.store.recent.clean(epoch, collection.id, used_before);
            let deleted = deleted.await?;
            tracing::info!(
                collection = collection.name,
                deleted,
                "deleted what was not used for long from the recent tier"
            );
        }
        Ok(())
    }
}

/// Leaves out the notes of the last batch, where there are others: it may have more of them, one for
/// each of its tables, and they are removed together.
fn keep_whole_batches(notes: &mut Vec<Note>) {
    let batch = |note: &Note| (note.place.instance, note.place.batch);
    let last = notes.last().map(batch);
    if let Some(whole) = notes.iter().rposition(|note| Some(batch(note)) != last) {
        notes.truncate(whole + 1);
    }
}
