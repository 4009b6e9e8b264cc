//! Having documents leave the truth that the recent tier has for good.
//!
//! Those that wait are looked at again and again. What the tier has in their version is remembered with
//! the time; when that is long enough ago, and the tier has it still, they leave. What it has not, for
//! whatever reason, is brought. Nothing is remembered across epochs, nor where the tier may have been
//! set back meanwhile.
//!
//! The ends of documents are kept by the truth as long as an older version might be shown or recalled:
//! for a day, and until the tier has none.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use nubo_core::{
    Result,
    alone::Leaving,
    coordination::Epoch,
    id::{Id, Revision},
    recent::{Found, Fresh},
    schema::CollectionId,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{recent::RecentStore, stop};

/// How many documents are looked at together.
const TOGETHER: u32 = 500;
/// How many times as many are looked at in one step of each collection.
const PAGES: usize = 200;
/// How many documents are remembered at most. The rest is looked at when those have left.
const MOST: usize = 200_000;
/// How often it is looked while documents have to wait for as long as they usually do, at most.
const PERIOD: Duration = Duration::from_secs(10);

/// The task while it runs.
pub struct LeavingTask {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl LeavingTask {
    /// Has documents leave. Costs nothing where no collection is kept in the tier alone.
    pub fn start(store: Arc<RecentStore>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let leaver = Leaver::new(store);
        let task = (!leaver.collections.is_empty()).then(|| tokio::spawn(run(leaver, stopped)));
        Self { stop, task }
    }

    /// Waits for what is under way, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that has documents leave the truth has failed");
        }
    }
}

async fn run(mut leaver: Leaver, mut stopped: watch::Receiver<bool>) {
    let period = PERIOD.min(leaver.store.lasting() / 5);
    loop {
        if stop::asked_within(&mut stopped, period).await {
            return;
        }
        if let Err(error) = leaver.step().await {
            tracing::debug!(%error, "documents stay in the truth");
        }
    }
}

/// Has documents leave, step by step.
pub struct Leaver {
    store: Arc<RecentStore>,
    collections: Vec<CollectionId>,
    /// The epoch in which the rest was found, and how often the tier may have been set back by then.
    found_in: Option<(Epoch, u64)>,
    /// What the tier has: in which version, and since when at the latest, in ticks.
    documents: HashMap<(CollectionId, Id), (Revision, i64)>,
    /// Ends of which it has no earlier version.
    ends: HashMap<(CollectionId, Id), (Revision, i64)>,
    /// What the tier cannot hold. It stays in the truth.
    refused: HashMap<(CollectionId, Id), Revision>,
    /// Behind which document the next step goes on.
    next: HashMap<CollectionId, Id>,
}

impl Leaver {
    /// One that has seen nothing yet.
    pub fn new(store: Arc<RecentStore>) -> Self {
        let collections = store.catalog().collections().iter();
        let alone = collections.filter(|collection| collection.is_alone());
        Self {
            collections: alone.map(|collection| collection.id).collect(),
            store,
            found_in: None,
            documents: HashMap::new(),
            ends: HashMap::new(),
            refused: HashMap::new(),
            next: HashMap::new(),
        }
    }

    /// Looks at what waits, and has leave what may.
    ///
    /// # Errors
    /// When the truth or the tier cannot be asked.
    pub async fn step(&mut self) -> Result<()> {
        let Some(epoch) = self.store.epoch() else {
            return Ok(());
        };
        let found_in = (epoch, self.store.turn());
        if self.found_in != Some(found_in) {
            self.documents.clear();
            self.ends.clear();
            self.refused.clear();
            self.found_in = Some(found_in);
        }
        for collection in self.collections.clone() {
            self.look_at_waiting(epoch, collection).await?;
            self.look_at_ends(epoch, collection).await?;
        }
        Ok(())
    }

    async fn look_at_waiting(&mut self, epoch: Epoch, collection: CollectionId) -> Result<()> {
        let store = Arc::clone(&self.store);
        let room = store.waiting_room()?;
        for _ in 0..PAGES {
            let after = self.next.get(&collection).copied();
            let mut page = room.waiting(collection, after, TOGETHER).await?;
            match page.last() {
                Some((last, _)) if page.len() == TOGETHER as usize => {
                    self.next.insert(collection, *last);
                }
                _ => drop(self.next.remove(&collection)),
            }
            page.retain(|version| self.is_of_interest(collection, version));
            let ids: Vec<Id> = page.iter().map(|(id, _)| *id).collect();
            let found = store.recent().documents(epoch, collection, &ids).await?;
            let (mut there, mut missing) = (Vec::new(), Vec::new());
            for ((id, revision), found) in page.into_iter().zip(found) {
                match found {
                    Found::Held(held) if held.revision >= revision => there.push((id, revision)),
                    // The truth was set back to before its end.
                    Found::Gone(end) if end >= revision => there.push((id, revision)),
                    _ => missing.push(id),
                }
            }
            let documents = due(&mut self.documents, collection, &there, &store);
            self.leave(epoch, collection, documents, Vec::new()).await?;
            self.bring(epoch, collection, &missing).await?;
            if !self.next.contains_key(&collection) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Brings documents that the tier has not, or not like that.
    async fn bring(&mut self, epoch: Epoch, collection: CollectionId, ids: &[Id]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let documents = self.store.bringing().in_truth(collection, ids).await?;
        let versions = documents.iter().filter_map(Fresh::there);
        let versions: Vec<Fresh<'_>> = versions.collect();
        // They may have gone meanwhile.
        if versions.is_empty() {
            return Ok(());
        }
        let now = self.store.clock().now();
        let recent = self.store.recent();
        let refused = recent.bring(epoch, collection, &versions, now).await?;
        let refused: HashSet<Id> = refused.into_iter().collect();
        let refused = versions.iter().filter(|one| refused.contains(&one.id));
        self.refused
            .extend(refused.map(|one| ((collection, one.id), one.revision)));
        Ok(())
    }

    /// Whether the tier is to be asked about a document that waits: unless it is known that it has that
    /// and it is too early for it to leave, or that it cannot hold it.
    fn is_of_interest(&self, collection: CollectionId, (id, revision): &(Id, Revision)) -> bool {
        let place = (collection, *id);
        if self.refused.get(&place) == Some(revision) {
            return false;
        }
        let now = self.store.clock().ticks();
        let known = self.documents.get(&place);
        known.is_none_or(|(known, since)| {
            known != revision || now - since >= micros(self.store.lasting())
        })
    }

    async fn look_at_ends(&mut self, epoch: Epoch, collection: CollectionId) -> Result<()> {
        let store = Arc::clone(&self.store);
        let room = store.waiting_room()?;
        let mut after = None;
        for _ in 0..PAGES {
            let page = room.long_ended(collection, after, TOGETHER).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            let is_last = page.len() < TOGETHER as usize;
            let ids: Vec<Id> = page.iter().map(|(id, _)| *id).collect();
            let found = store.recent().documents(epoch, collection, &ids).await?;
            let (mut gone, mut there) = (Vec::new(), Vec::new());
            for (end, found) in page.into_iter().zip(found) {
                match found {
                    Found::Held(held) if held.revision <= end.1 => there.push(end),
                    _ => gone.push(end),
                }
            }
            let ends = due(&mut self.ends, collection, &gone, &store);
            self.leave(epoch, collection, Vec::new(), ends).await?;
            store.bringing().ends(epoch, collection, &there).await?;
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Has documents and ends leave, if the tier is still what it was.
    async fn leave(
        &mut self,
        epoch: Epoch,
        collection: CollectionId,
        documents: Vec<(Id, Revision)>,
        ends: Vec<(Id, Revision)>,
    ) -> Result<()> {
        let is_same =
            self.store.epoch() == Some(epoch) && self.found_in == Some((epoch, self.store.turn()));
        if !is_same || (documents.is_empty() && ends.is_empty()) {
            return Ok(());
        }
        let leaving = Leaving {
            collection,
            documents,
            ends,
        };
        if self.store.waiting_room()?.leave(epoch, &leaving).await? {
            for (id, _) in leaving.documents {
                self.documents.remove(&(collection, id));
            }
            for (id, _) in leaving.ends {
                self.ends.remove(&(collection, id));
            }
        }
        Ok(())
    }
}

/// Those that were found for long enough; the others are remembered.
fn due(
    known: &mut HashMap<(CollectionId, Id), (Revision, i64)>,
    collection: CollectionId,
    found: &[(Id, Revision)],
    store: &RecentStore,
) -> Vec<(Id, Revision)> {
    let now = store.clock().ticks();
    let lasting = micros(store.lasting());
    let mut due = Vec::new();
    for (id, revision) in found {
        match known.get(&(collection, *id)) {
            Some((same, since)) if same == revision => {
                if now - since >= lasting {
                    due.push((*id, *revision));
                }
            }
            // What leaves otherwise, or changes, is forgotten when there is no room.
            None if known.len() >= MOST => {
                known.retain(|_, (_, since)| now - *since < lasting.saturating_mul(3));
            }
            _ => {
                known.insert((collection, *id), (*revision, now));
            }
        }
    }
    due
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
