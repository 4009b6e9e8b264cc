//! The server of a shared cache, and the way of each instance to it: commands arrive late, answers
//! get lost, it stands still, and it restarts with nothing or with what it had some time ago.
//!
//! What it holds is the cache of one process ([`Memory`]) for each epoch. Every command is noted, so
//! that an earlier state is made by repeating those that came before it.

mod claims;
mod epoch;
mod link;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nubo_cache::{
    Claims, Memory, Storage,
    storage::{Announced, DocumentKey, Place, Settled},
};
use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Scan, SetName},
    clock::Clock,
    coordination::Epoch,
    id::{Id, Revision},
    observe::BatchId,
    position::Position,
    recent::{Beginning, Claim, Condition},
    record::Version,
    schema::{Catalog, CollectionId},
};

pub use self::link::SimLink;
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
    /// Whether anybody reads any of these sets, or is about to.
    Heads(Vec<SetName>),
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
            Command::Heads(sets) => {
                let (_, known) = memory.keys();
                Reply::Yes(sets.iter().any(|set| known.contains(set)))
            }
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
