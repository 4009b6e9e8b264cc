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

mod lists;
mod marks;
mod notes;
mod upkeep;

use std::{collections::HashMap, sync::Arc, time::Duration};

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    outbox::{Outbox, Place, Standing},
    recent::{Claim, Condition, Founding, Sight},
    time::Timestamp,
};
use tokio::{sync::watch, task::JoinHandle};

use self::{
    lists::{Lists, Opening},
    notes::{Ends, Progress},
};
use super::{Known, LATE, RecentStore, doubt::Doubt, fill::fill, uses::tell_uses};
use crate::stop;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(250);
/// How soon it looks again where somebody waits for it, or there is more to do.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// After how long a note is old, in milliseconds: who has written it would have brought its documents.
const OLD: i64 = 5_000;
/// After how long nobody waits for the tier to take what is noted, in milliseconds.
const TOO_OLD: i64 = 24 * 3600 * 1000;
/// How many times notes are looked at in one step. Between two it is seen whether the tier is still
/// what it was.
const PAGES: usize = 10;

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
        let filling = tokio::spawn(fill(Arc::clone(&store), stopped.clone()));
        let telling = tokio::spawn(tell_uses(Arc::clone(&store), stopped.clone()));
        let settling = tokio::spawn(settle(store, stopped));
        Self {
            stop,
            tasks: vec![keeping, filling, telling, settling],
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
            Ok(has_more) => {
                if is_dark {
                    tracing::info!("the recent tier is back");
                }
                is_dark = false;
                if has_more {
                    pause = SHORTEST;
                }
            }
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
            () = stop::asked(&mut stopped) => break,
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
            () = stop::asked(&mut stopped) => break,
        }
    }
}

/// Batches whose notes stay, and what this process has claimed for them.
type Pending = HashMap<(Id, BatchId), Vec<Claim>>;

/// What keeps the tier, step by step.
pub struct Keeping {
    store: Arc<RecentStore>,
    /// The lists that this one has begun.
    opening: Option<Opening>,
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
    refused: Pending,
    /// Notes of documents that are gone, which are to be looked at again when they are older.
    early: Pending,
    /// When it was looked last whether the notes of those are there still, in ticks.
    looked_for: i64,
    /// How far old notes are worked off, and those that are older than that.
    swept: [Option<Place>; 2],
}

impl Keeping {
    /// The first step learns what there is.
    pub fn new(store: Arc<RecentStore>) -> Self {
        Self {
            store,
            opening: None,
            waits_since: None,
            server: None,
            mark: (Epoch::NONE, 0),
            is_sure: false,
            refused: HashMap::new(),
            early: HashMap::new(),
            looked_for: 0,
            swept: [None, None],
        }
    }

    /// Looks, and does what is to be done. Whether there is more to do at once.
    ///
    /// # Errors
    /// When the truth or the tier cannot be asked.
    pub async fn step(&mut self) -> Result<bool> {
        let result = self.look_and_act().await;
        if result.is_err() {
            self.is_sure = false;
        }
        result
    }

    async fn look_and_act(&mut self) -> Result<bool> {
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
            if store.lists.condition().await? != Condition::Away {
                self.begin_epoch(outbox, &standing, &sight).await?;
            }
            return Ok(false);
        }
        let epoch = standing.epoch;
        if !self.is_same_server(&sight) && !self.begin_again(epoch, &sight).await? {
            store.recent.distrust();
            return Ok(false);
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
        let Lists {
            are_open,
            mut has_more,
        } = self.open_lists(outbox, epoch).await?;
        if self.opening.is_none() {
            has_more |= self.sweep(outbox, &standing).await?;
            self.let_go(outbox, epoch).await?;
        }
        if store.arriving().has_ended() {
            store.wake.notify_one();
        }
        if are_open {
            self.cover(outbox, &standing).await?;
            self.clean(outbox, epoch).await?;
        }
        Ok(has_more)
    }

    /// Works off what others have left behind, who were ended or could not bring it. Whether there is
    /// more.
    async fn sweep(&mut self, outbox: &dyn Outbox, standing: &Standing) -> Result<bool> {
        for (at, age, ends) in [(0, OLD, Ends::Stay), (1, LATE, Ends::Are)] {
            if standing.oldest <= age {
                self.swept[at] = None;
                return Ok(false);
            }
            let until = Timestamp::from_millis(standing.now.millis() - age);
            let mut after = self.swept[at].take();
            let swept = self.bring_noted(outbox, standing.epoch, until, &mut after, PAGES, ends);
            if !swept.await?.is_done {
                self.swept[at] = after;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins the lists again, since the tier may have been set back: there are connections to it that
    /// there were not when it was trusted last. Marks tell that only where one has moved since. Whether
    /// they are begun.
    async fn begin_again(&mut self, epoch: Epoch, sight: &Sight) -> Result<bool> {
        self.store.arriving().begin_turn();
        let beginning = self.store.lists.begin(epoch).await?;
        self.opening = beginning.map(Opening::new);
        let is_begun = self.opening.is_some();
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
        let doubt = Doubt::of(outbox, standing, sight).await?;
        Ok(doubt.is_none_or(|doubt| doubt == Doubt::TierSetBack && !self.checks_marks()))
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
        self.opening = None;
        Ok(())
    }
}
