//! The server of a shared cache, and the way of each instance to it: commands arrive late, answers
//! get lost, it stands still, and it restarts with nothing or with what it had some time ago.
//!
//! What it holds is the cache of one process ([`Memory`]) for each epoch. Every command is noted, so
//! that an earlier state is made by repeating those that came before it.

mod claims;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nubo_cache::{
    Claims, Memory, Storage,
    storage::{Announced, DocumentKey, Place, Remote, Settled},
};
use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Scan, SetName, Statistics},
    clock::Clock,
    coordination::{Epoch, Incarnation},
    id::{Id, Revision},
    observe::BatchId,
    position::Position,
    recent::{Beginning, Claim, Condition},
    record::Version,
    schema::{Catalog, CollectionId},
};
use tokio::sync::oneshot;

use crate::{
    mutant::Mutant,
    now,
    scheduler::{Group, Moment, Scheduler},
    storage::{set, short},
};

/// The group of the server's tasks.
pub const REDIS: Group = 1;

/// The server.
pub struct SimRedis {
    state: Mutex<State>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    scheduler: Scheduler,
    mutant: Option<Mutant>,
    /// How long somebody waits for an answer.
    patience: Moment,
    /// How often commands come late, once in so many, and how late at most.
    late: Mutex<Option<(u32, Moment)>>,
}

struct State {
    incarnation: u64,
    epochs: BTreeMap<Epoch, Data>,
    /// Until when it stands still.
    stopped: Moment,
}

/// What is held of an epoch.
struct Data {
    memory: Memory,
    /// What was done so far.
    done: Vec<Command>,
    /// What instances have announced and not settled.
    announced: BTreeMap<Id, BTreeMap<BatchId, Vec<Announced>>>,
    fenced: BTreeSet<Id>,
}

#[derive(Clone)]
enum Command {
    Read(DocumentKey),
    Fill(DocumentKey, u64, Arc<Held>, Option<i64>),
    Announce(Id, BatchId, Announced),
    /// A batch claims what the recent tier is to have, and is under way from now on.
    ClaimFor(Id, BatchId, Vec<DocumentKey>),
    /// A batch that has no documents here is settled.
    SettleNone(Id, BatchId),
    /// The claims of a batch are taken back.
    Unclaim(Id, BatchId, Vec<DocumentKey>),
    Settle(Id, BatchId, Settled),
    Abort(Id, BatchId, Announced),
    Scan(Vec<SetName>, Option<Position>, usize),
    Begin(SetName),
    Build(SetName, u64, Members),
    Evict(DocumentKey),
    EvictSet(SetName),
    TakeBack(Id),
    /// A token runs out: a mistake.
    Expire(BatchId, DocumentKey),
    Forget(SetName),
    Clear,
    Pending(Epoch, CollectionId, usize),
    PendingAmong(Epoch, CollectionId, Vec<Id>),
    Arrived(Epoch, Vec<Claim>),
    Claim(Epoch, Vec<Claim>),
    Condition,
    BeginLists(Epoch),
    IsUnderWay(Beginning),
    OpenLists(Beginning),
}

impl Command {
    /// What it does to which documents and sets, for people.
    fn summary(&self) -> String {
        let stands = |places: &[Place]| {
            let places = places.iter().map(|place| set(&place.set));
            places.collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Announce(_, batch, announced) => format!(
                "{batch:?} announces {} at {} in {}",
                short(announced.document.id),
                announced.revision,
                stands(&announced.places)
            ),
            Self::Settle(_, batch, settled) => format!(
                "{batch:?} settles {} at {:?} in {}, which has left {} at {}",
                short(settled.document.id),
                settled.version,
                stands(&settled.places),
                stands(&settled.left),
                settled.left_at
            ),
            Self::Abort(_, batch, announced) => format!(
                "{batch:?} takes {} back from {}",
                short(announced.document.id),
                stands(&announced.places)
            ),
            Self::Evict(key) => format!("evicts {}", short(key.id)),
            Self::EvictSet(name) => format!("evicts {}", set(name)),
            Self::Build(name, token, members) => {
                format!(
                    "builds {} with {} by {token}",
                    set(name),
                    members.members.len()
                )
            }
            Self::TakeBack(instance) => format!("takes back what {instance} has announced"),
            _ => String::from("is asked"),
        }
    }
}

enum Reply {
    Done,
    Lookup(Lookup),
    Yes(bool),
    Token(Option<u64>),
    Scan(Scan),
    Ids(Option<Vec<Id>>),
    Flags(Option<Vec<bool>>),
    Condition(Condition),
    Beginning(Option<Beginning>),
}

impl SimRedis {
    /// An empty server.
    pub fn new(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        scheduler: Scheduler,
        mutant: Option<Mutant>,
        patience: Moment,
        late: Option<(u32, Moment)>,
    ) -> Self {
        Self {
            late: Mutex::new(late),
            state: Mutex::new(State {
                incarnation: 1,
                epochs: BTreeMap::new(),
                stopped: 0,
            }),
            catalog,
            clock,
            scheduler,
            mutant,
            patience,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self) -> Data {
        Data {
            memory: Memory::divided(1, &self.catalog, Arc::clone(&self.clock), usize::MAX),
            done: Vec::new(),
            announced: BTreeMap::new(),
            fenced: BTreeSet::new(),
        }
    }

    /// Stands still until then.
    pub fn stop(&self, until: Moment) {
        self.state().stopped = until;
        self.scheduler.stop(REDIS, until);
    }

    /// Restarts, with nothing or with what it had after a part of what was done.
    pub fn restart(&self, keeps: bool) {
        let mut state = self.state();
        state.incarnation += 1;
        let before = std::mem::take(&mut state.epochs);
        let incarnation = state.incarnation;
        drop(state);
        // What has arrived and was not done yet is lost.
        self.scheduler.kill(REDIS);
        self.scheduler
            .note(|| format!("the server restarts as {incarnation}, keeping {keeps}"));
        if keeps && let Some((epoch, data)) = before.into_iter().next_back() {
            let some = self
                .scheduler
                .draw(|random| random.usize(..=data.done.len()));
            let mut restored = self.data();
            for command in data.done.into_iter().take(some) {
                // It was answered when it was done for the first time.
                drop(restored.apply(command));
            }
            self.state().epochs.insert(epoch, restored);
        }
    }

    /// Throws something out: a document or a set that is there.
    pub async fn evict_any(&self) {
        self.scheduler.step("evict").await;
        let mut state = self.state();
        let Some((_, data)) = state.epochs.iter_mut().next_back() else {
            return;
        };
        let (documents, sets) = data.memory.keys();
        let total = documents.len() + sets.len();
        if total == 0 {
            return;
        }
        let at = self.scheduler.draw(|random| random.usize(..total));
        let command = match documents.get(at) {
            Some(key) => Command::Evict(*key),
            None => Command::EvictSet(sets[at - documents.len()].clone()),
        };
        self.scheduler.note(|| command.summary());
        drop(data.apply(command));
    }

    /// What is left of the newest epoch when everything was thrown out that may be.
    pub fn left(&self) -> (usize, usize) {
        let mut state = self.state();
        let Some((_, data)) = state.epochs.iter_mut().next_back() else {
            return (0, 0);
        };
        drop(data.apply(Command::Clear));
        let (documents, sets) = data.memory.keys();
        (documents.len(), sets.len())
    }

    /// What the pending lists are, in whichever epoch they are kept.
    pub fn condition_of_lists(&self) -> Option<Condition> {
        let state = self.state();
        let conditions = state.epochs.values().rev();
        let mut conditions = conditions.filter_map(|data| at_once(data.memory.condition()).ok());
        conditions.find(|condition| *condition != Condition::Closed)
    }

    /// Does something in an epoch, if it is there.
    fn act(&self, epoch: Epoch, command: Command) -> Result<Reply> {
        self.scheduler.note(|| command.summary());
        let mut state = self.state();
        let data = match self.mutant {
            // All epochs are one.
            Some(Mutant::EpochUnchecked) => state.epochs.values_mut().next_back(),
            _ => state.epochs.get_mut(&epoch),
        };
        match data {
            Some(data) => data.apply(command),
            None => Err(away("there is no such epoch")),
        }
    }

    /// Commands do not come late any longer where nothing is cut.
    pub fn calm(&self) {
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn late(&self) -> Option<(u32, Moment)> {
        *self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How late a command comes, once in so many.
    fn lateness(&self, often: u32) -> Moment {
        let longest = self
            .late()
            .map_or(self.patience * 10, |(_, longest)| longest);
        self.scheduler.draw(|random| match random.u32(..often) {
            0 => random.u64(..=longest),
            _ => 0,
        })
    }

    /// Makes the tokens of a document run out after a while.
    fn let_expire(self: &Arc<Self>, epoch: Epoch, batch: BatchId, document: DocumentKey) {
        let server = Arc::clone(self);
        self.scheduler.spawn_endless(REDIS, "expires", async move {
            server.scheduler.sleep(server.patience * 4).await;
            drop(server.act(epoch, Command::Expire(batch, document)));
        });
    }
}

impl Data {
    fn apply(&mut self, command: Command) -> Result<Reply> {
        self.done.push(command.clone());
        let memory = &self.memory;
        Ok(match command {
            Command::Read(key) => {
                let found = at_once(memory.read(&[key]))?.pop();
                Reply::Lookup(found.unwrap_or(Lookup::Unknown))
            }
            Command::Fill(key, token, held, lifetime) => {
                Reply::Yes(at_once(memory.fill(vec![(key, token, held)], lifetime))? == [true])
            }
            Command::Announce(instance, batch, announced) => {
                if self.fenced.contains(&instance) {
                    return Err(away("the instance is fenced"));
                }
                let own = self.announced.entry(instance).or_default();
                let batch_own = own.entry(batch).or_default();
                // What is announced once more is in the record once.
                batch_own.retain(|own| own.document != announced.document);
                batch_own.push(announced.clone());
                Reply::Yes(at_once(memory.announce(batch, &[announced], &[]))? == [true])
            }
            Command::ClaimFor(instance, batch, claimed) => {
                if self.fenced.contains(&instance) {
                    return Err(away("the instance is fenced"));
                }
                let own = self.announced.entry(instance).or_default();
                own.entry(batch).or_default();
                at_once(memory.announce(batch, &[], &claimed))?;
                Reply::Done
            }
            Command::SettleNone(instance, batch) => {
                if let Some(own) = self.announced.get_mut(&instance) {
                    own.remove(&batch);
                }
                at_once(memory.settle(batch, Vec::new()))?;
                Reply::Done
            }
            Command::Unclaim(instance, batch, claimed) => {
                if let Some(own) = self.announced.get_mut(&instance) {
                    own.remove(&batch);
                }
                at_once(memory.abort(batch, &[], &claimed))?;
                Reply::Done
            }
            Command::Settle(instance, batch, settled) => {
                if self.take(instance, batch, settled.document).is_some() {
                    at_once(self.memory.settle(batch, vec![settled]))?;
                }
                Reply::Done
            }
            Command::Abort(instance, batch, announced) => {
                if let Some(announced) = self.take(instance, batch, announced.document) {
                    at_once(self.memory.abort(batch, &[announced], &[]))?;
                }
                Reply::Done
            }
            Command::Scan(sets, after, most) => {
                Reply::Scan(at_once(memory.scan(&sets, after.as_ref(), most))?)
            }
            Command::Begin(set) => Reply::Token(at_once(memory.begin(&set))?),
            Command::Build(set, token, members) => {
                Reply::Yes(at_once(memory.build(&set, token, members))?)
            }
            Command::Evict(key) => {
                memory.evict_document(key);
                Reply::Done
            }
            Command::EvictSet(set) => {
                memory.evict_set(&set);
                Reply::Done
            }
            Command::TakeBack(instance) => {
                self.fenced.insert(instance);
                for (batch, announced) in self.announced.remove(&instance).unwrap_or_default() {
                    let forgotten = announced.into_iter().map(forgotten);
                    at_once(self.memory.settle(batch, forgotten.collect()))?;
                }
                Reply::Done
            }
            Command::Expire(batch, document) => {
                at_once(memory.abort(batch, &[bare(document)], &[]))?;
                Reply::Done
            }
            Command::Forget(set) => {
                at_once(memory.forget_sets(&[set]))?;
                Reply::Done
            }
            Command::Clear => {
                at_once(memory.clear())?;
                Reply::Done
            }
            Command::Pending(epoch, collection, most) => {
                Reply::Ids(at_once(memory.pending(epoch, collection, most))?)
            }
            Command::PendingAmong(epoch, collection, ids) => {
                Reply::Flags(at_once(memory.pending_among(epoch, collection, &ids))?)
            }
            Command::Arrived(epoch, claims) => {
                at_once(memory.arrived(epoch, &claims))?;
                Reply::Done
            }
            Command::Claim(epoch, claims) => {
                at_once(memory.claim(epoch, &claims))?;
                Reply::Done
            }
            Command::Condition => Reply::Condition(at_once(memory.condition())?),
            Command::BeginLists(epoch) => Reply::Beginning(at_once(memory.begin_lists(epoch))?),
            Command::IsUnderWay(beginning) => Reply::Yes(at_once(memory.is_under_way(&beginning))?),
            Command::OpenLists(beginning) => Reply::Yes(at_once(memory.open_lists(&beginning))?),
        })
    }

    /// Takes what was announced out of the list. None where it is not there any more.
    fn take(&mut self, instance: Id, batch: BatchId, document: DocumentKey) -> Option<Announced> {
        let batches = self.announced.get_mut(&instance)?;
        let documents = batches.get_mut(&batch)?;
        let at = documents.iter().position(|own| own.document == document)?;
        let taken = documents.swap_remove(at);
        if documents.is_empty() {
            batches.remove(&batch);
        }
        Some(taken)
    }
}

/// Nobody knows what has become of it: nothing of it is held, and it stays in its sets.
fn forgotten(announced: Announced) -> Settled {
    Settled {
        document: announced.document,
        is_new: false,
        version: Version::gone(Revision::new(i64::MAX)),
        held: None,
        lifetime: None,
        places: announced.places,
        left: Vec::new(),
        left_at: Revision::new(i64::MIN),
    }
}

fn bare(document: DocumentKey) -> Announced {
    Announced {
        document,
        is_new: false,
        revision: Revision::new(0),
        places: Vec::new(),
        left: Some(Vec::new()),
    }
}

/// What the memory of a process gives, which waits for nobody.
fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    now(work).unwrap_or_else(|| Err(Error::internal("a memory has waited")))
}

fn away(why: &'static str) -> Error {
    Error::unavailable("cache_unavailable", why)
}

/// The way of one instance to the server.
#[derive(Clone)]
pub struct SimLink(Arc<Link>);

struct Link {
    server: Arc<SimRedis>,
    /// Until when it is cut.
    cut: AtomicU64,
    /// The incarnation that its connection leads to.
    connected: Mutex<Option<u64>>,
}

impl SimLink {
    /// A way that nobody has gone yet.
    pub fn new(server: Arc<SimRedis>) -> Self {
        Self(Arc::new(Link {
            server,
            cut: AtomicU64::new(0),
            connected: Mutex::default(),
        }))
    }

    /// Cuts it until then.
    pub fn cut(&self, until: Moment) {
        self.0.cut.store(until, Ordering::Relaxed);
        *self.0.connected() = None;
    }
}

impl Link {
    fn connected(&self) -> MutexGuard<'_, Option<u64>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The incarnation that a connection leads to, which breaks where it is not there any more.
    fn connection(&self, wanted: &Incarnation) -> Result<u64> {
        let mut connected = self.connected();
        let current = self.server.state().incarnation;
        match *connected {
            Some(own) if own != current => {
                *connected = None;
                Err(away("the connection is closed"))
            }
            Some(own)
                if own.to_string() == wanted.name()
                    || self.server.mutant == Some(Mutant::IncarnationUnchecked) =>
            {
                Ok(own)
            }
            Some(_) => Err(away("it is another server now")),
            None => Err(away("there is no connection")),
        }
    }

    /// Has the server do something. It may do so although the answer is an error.
    async fn call<T: Send + 'static>(
        &self,
        connection: u64,
        what: &'static str,
        act: impl FnOnce(&Arc<SimRedis>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let server = &self.server;
        let scheduler = &server.scheduler;
        scheduler.step(what).await;
        let healed = self.cut.load(Ordering::Relaxed);
        let cut = scheduler.now() < healed;
        if cut && scheduler.draw(fastrand::Rng::bool) {
            return Err(away("cut off on the way there"));
        }
        let (answer, answered) = oneshot::channel();
        let own = Arc::clone(server);
        // What was on its way when the line was cut arrives when it is there again, or later.
        let late = match cut {
            true => healed.saturating_sub(scheduler.now()) + server.lateness(1),
            false => match server.late() {
                Some((often, _)) => server.lateness(often),
                None => 0,
            },
        };
        scheduler.spawn_endless(REDIS, what, async move {
            if late > 0 {
                own.scheduler.sleep(late).await;
            }
            own.scheduler.step("arrives at the cache").await;
            // What comes over a connection to a server that has ended is lost.
            if own.state().incarnation == connection {
                answer.send(act(&own)).ok();
            }
        });
        let stopped = server.state().stopped;
        if cut || late.max(stopped.saturating_sub(scheduler.now())) > server.patience {
            scheduler.sleep(server.patience).await;
            return Err(away("no answer in time"));
        }
        let answer = answered.await;
        scheduler.step("hears from the cache").await;
        if scheduler.now() < self.cut.load(Ordering::Relaxed) {
            return Err(away("cut off on the way back"));
        }
        answer.unwrap_or_else(|_| Err(away("the server has ended")))
    }
}

impl Remote for SimLink {
    type Storage = SimEpoch;

    async fn reach(&self) -> Result<Incarnation> {
        let scheduler = &self.0.server.scheduler;
        if scheduler.now() < self.0.cut.load(Ordering::Relaxed) {
            scheduler.sleep(self.0.server.patience).await;
            return Err(away("cut off"));
        }
        let current = self.0.server.state().incarnation;
        let connection = match *self.0.connected() {
            Some(own) if own == current => own,
            _ => current,
        };
        let answer = self
            .0
            .call(connection, "ping", |server| Ok(server.state().incarnation));
        let incarnation = answer.await.inspect_err(|_| *self.0.connected() = None)?;
        *self.0.connected() = Some(incarnation);
        Ok(Incarnation::new(incarnation.to_string()))
    }

    async fn prepare(&self, epoch: Epoch, on: &Incarnation) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "prepare", move |server| {
                let shared = server.mutant == Some(Mutant::EpochUnchecked);
                let mut state = server.state();
                match state.epochs.values_mut().next_back() {
                    Some(data) if shared => drop(data.apply(Command::Clear)),
                    _ => {
                        let data = server.data();
                        state.epochs.entry(epoch).or_insert(data);
                    }
                }
                Ok(())
            })
            .await
    }

    fn at(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> SimEpoch {
        SimEpoch {
            link: Arc::clone(&self.0),
            epoch,
            on: on.clone(),
            instance,
        }
    }

    async fn take_back(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "take back", move |server| {
                server.act(epoch, Command::TakeBack(instance)).map(drop)
            })
            .await
    }

    async fn sweep(&self, below: Epoch, on: &Incarnation) -> Result<()> {
        let connection = self.0.connection(on)?;
        self.0
            .call(connection, "sweep", move |server| {
                if server.mutant != Some(Mutant::EpochUnchecked) {
                    let mut state = server.state();
                    state.epochs.retain(|epoch, _| epoch.number >= below.number);
                }
                Ok(())
            })
            .await
    }
}

/// What holds an epoch, as an instance uses it.
pub struct SimEpoch {
    link: Arc<Link>,
    epoch: Epoch,
    on: Incarnation,
    instance: Id,
}

impl SimEpoch {
    async fn act(&self, what: &'static str, command: Command) -> Result<Reply> {
        let connection = self.link.connection(&self.on)?;
        let epoch = self.epoch;
        let act = move |server: &Arc<SimRedis>| server.act(epoch, command);
        self.link.call(connection, what, act).await
    }

    fn note(&self, text: impl FnOnce() -> String) {
        self.link.server.scheduler.note(text);
    }
}

fn wrong<T>(_: Reply) -> Result<T> {
    Err(Error::internal("an answer to another question"))
}

impl Storage for SimEpoch {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let mut found = Vec::with_capacity(documents.len());
        for key in documents {
            match self.act("read", Command::Read(*key)).await? {
                Reply::Lookup(lookup) => {
                    self.note(|| format!("document {} is {lookup:?}", short(key.id)));
                    found.push(lookup);
                }
                other => return wrong(other),
            }
        }
        Ok(found)
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let mut counts = Vec::with_capacity(documents.len());
        for (key, token, held) in documents {
            let revision = held.revision;
            let command = Command::Fill(key, token, held, lifetime);
            match self.act("fill", command).await? {
                Reply::Yes(counted) => {
                    self.note(|| format!("fills {} with {revision}: {counted}", short(key.id)));
                    counts.push(counted);
                }
                other => return wrong(other),
            }
        }
        Ok(counts)
    }

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        if !claimed.is_empty() {
            let command = Command::ClaimFor(self.instance, batch, claimed.to_vec());
            self.act("claim", command).await?;
        }
        let mut wanted = Vec::with_capacity(documents.len());
        for announced in documents {
            let command = Command::Announce(self.instance, batch, announced.clone());
            match self.act("announce", command).await? {
                Reply::Yes(own) => wanted.push(own),
                other => return wrong(other),
            }
            let server = &self.link.server;
            if server.mutant == Some(Mutant::TokensExpire) {
                server.let_expire(self.epoch, batch, announced.document);
            }
        }
        Ok(wanted)
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        if documents.is_empty() {
            let command = Command::SettleNone(self.instance, batch);
            return self.act("settle", command).await.map(drop);
        }
        for settled in documents {
            let command = Command::Settle(self.instance, batch, settled);
            self.act("settle", command).await?;
        }
        Ok(())
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        for announced in documents {
            let command = Command::Abort(self.instance, batch, announced.clone());
            self.act("abort", command).await?;
        }
        if !claimed.is_empty() {
            let command = Command::Unclaim(self.instance, batch, claimed.to_vec());
            self.act("take claims back", command).await?;
        }
        Ok(())
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let command = Command::Scan(sets.to_vec(), after.cloned(), most);
        match self.act("scan", command).await? {
            Reply::Scan(scan) => Ok(scan),
            other => wrong(other),
        }
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        match self.act("begin", Command::Begin(set.clone())).await? {
            Reply::Token(token) => Ok(token),
            other => wrong(other),
        }
    }

    async fn build(&self, set: &SetName, token: u64, members: Members) -> Result<bool> {
        let command = Command::Build(set.clone(), token, members);
        match self.act("build", command).await? {
            Reply::Yes(built) => Ok(built),
            other => wrong(other),
        }
    }

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        for set in sets {
            let command = Command::Forget(set.clone());
            self.act("forget a set", command).await?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.act("clear", Command::Clear).await.map(drop)
    }

    /// The whole epoch ends instead.
    async fn distrust(&self) -> Result<()> {
        self.clear().await
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}
