//! One run, and the way to a shorter one that fails as well.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use fastrand::Rng;
use nubo_core::{
    caller::Caller, clock::Clock, document::Document, query::Start, store::Store, value::Value,
};
use serde_json::json;

use crate::{
    check::Checker,
    history::Key,
    mutant::Mutant,
    of_late, owned,
    recent::Row,
    scheduler::{End, Moment, Scheduler, WORLD},
    together,
    workload::{self, Client, Observations, Observed},
    world::{self, Circumstances, Event, World},
};

/// How many steps a run takes at most. One in which nobody gets on takes them all.
const LONGEST: u64 = 2_000_000;
/// How many seconds it takes at most until the cache is used again.
const RECOVERY: u32 = 120;
/// How long it may take until what others write is seen, in microseconds.
const GRACE: i64 = 1_000_000;
/// How many orders a shorter run is tried in.
const ORDERS: u64 = 20;
/// How many runs may be made on the way to the shortest.
const TRIES: usize = 6_000;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The collections and, at first, what clients do follow from it.
    pub seed: u64,
    /// Who goes on at each step follows from it.
    pub order: u64,
    pub clients: Vec<Client>,
    pub circumstances: Circumstances,
    /// What goes wrong, and after how many milliseconds.
    pub events: Vec<(i64, Event)>,
    pub mutant: Option<Mutant>,
}

/// What came of a run in which everything was right.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// How many steps were made.
    pub steps: Moment,
    /// How many answers were checked.
    pub answers: usize,
    /// How many of them came from the cache.
    pub cached: usize,
    /// How many came from the recent tier, some of it from the truth perhaps.
    pub recent: usize,
}

/// A run in which something was wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    pub run: Run,
    pub what: String,
    /// What happened, step by step, where that was asked for.
    pub log: Vec<String>,
}

impl Run {
    /// The run of a seed.
    pub fn of(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x5eed_0f1d_ea5e_ed0f);
        Self {
            seed,
            order: seed,
            clients: workload::draw(&mut random),
            circumstances: Circumstances {
                instances: 0,
                places: Vec::new(),
                late: None,
                rough: 0,
                recent: false,
            },
            events: Vec::new(),
            mutant,
        }
    }

    /// The run of a seed with a recent tier, and one process or several.
    pub fn recent(seed: u64, mutant: Option<Mutant>, together: bool) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x6c61_7465_5f73_6565);
        let drawn = of_late::draw(&mut random, together);
        Self {
            seed,
            order: seed,
            clients: drawn.clients,
            circumstances: drawn.circumstances,
            events: drawn.events,
            mutant,
        }
    }

    /// The run of a seed with a process that is alone with a shared cache now and then.
    pub fn owned(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x6f77_6e65_725f_7365);
        let drawn = owned::draw(&mut random);
        Self {
            seed,
            order: seed,
            clients: drawn.clients,
            circumstances: drawn.circumstances,
            events: drawn.events,
            mutant,
        }
    }

    /// The run of a seed with several processes that share a cache.
    pub fn together(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x7065_6572_5f73_6565);
        let drawn = together::draw(&mut random);
        Self {
            seed,
            order: seed,
            clients: drawn.clients,
            circumstances: drawn.circumstances,
            events: drawn.events,
            mutant,
        }
    }
}

/// Runs, and checks every answer.
pub fn run(run: &Run, logging: bool) -> Result<Report, Box<Failure>> {
    let scheduler = Scheduler::new(run.order, logging);
    let fail = |what: String| {
        Box::new(Failure {
            run: run.clone(),
            what,
            log: scheduler.log(),
        })
    };
    let mut random = Rng::with_seed(run.seed);
    let circumstances = &run.circumstances;
    let world = World::new(&mut random, scheduler.clone(), run.mutant, circumstances);
    let world = match now(world) {
        Some(Ok(world)) => Arc::new(world),
        Some(Err(error)) => return Err(fail(error.to_string())),
        None => return Err(fail("the world was not made at once".into())),
    };
    let observations = Observations::default();
    for (number, client) in run.clients.iter().enumerate() {
        let work = workload::run(world.clone(), number, client.clone(), observations.clone());
        match circumstances.instances {
            0 if !circumstances.recent => scheduler.spawn_mortal(format!("client {number}"), work),
            _ => scheduler.spawn_in(WORLD, format!("client {number}"), work),
        }
    }
    let troubles = Arc::new(Mutex::new(None));
    scheduler.spawn_in(
        WORLD,
        "what goes wrong",
        go_wrong(world.clone(), run.clone(), troubles.clone()),
    );
    match scheduler.run(LONGEST) {
        End::Done => {}
        end => return Err(fail(format!("nobody gets on: {end:?}"))),
    }
    // A deliberate mistake is to be found by what it does to answers.
    let minds = run.mutant.is_none();
    let what = troubles
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(what) = what.filter(|_| minds) {
        return Err(fail(what));
    }
    // Now that all is quiet, everybody sees everything as it is.
    scheduler.spawn_in(
        WORLD,
        "at the end",
        quiet(world.clone(), observations.clone()),
    );
    match scheduler.run(LONGEST) {
        End::Done => {}
        end => return Err(fail(format!("the end is not reached: {end:?}"))),
    }
    let answers = observations.all();
    let history = world.truth.history();
    let checker = Checker {
        catalog: &world.catalog,
        history: &history,
        grace: world.clock.steps(GRACE),
    };
    for observed in &answers {
        if let Err(what) = checker.check(observed) {
            return Err(fail(describe(observed, &what)));
        }
    }
    if minds && let Err(what) = all_agree(&world).and_then(|()| nothing_stays(&world)) {
        return Err(fail(what));
    }
    Ok(Report {
        steps: scheduler.made(),
        answers: answers.len(),
        cached: answers.iter().filter(|observed| observed.cached).count(),
        recent: answers.iter().filter(|observed| observed.recent).count(),
    })
}

fn describe(observed: &Observed, what: &str) -> String {
    format!(
        "client {} between {} and {}{}: {what}",
        observed.client,
        observed.from,
        observed.to,
        if observed.cached {
            ", from the cache"
        } else {
            ""
        },
    )
}

/// Lets things go wrong, one after the other, and waits until all is well again.
async fn go_wrong(world: Arc<World>, run: Run, troubles: Troubles) {
    let mut rest = run.circumstances.rough;
    for (after, event) in run.events {
        let pause = world.clock.steps(after * 1_000);
        world.scheduler.sleep(pause).await;
        rest -= after;
        if let Err(error) = world.let_happen(event).await {
            trouble(&troubles, error.to_string());
        }
    }
    if world.redis.is_none() && world.mongo.is_none() {
        return;
    }
    world.scheduler.sleep(world.clock.steps(rest * 1_000)).await;
    world.calm();
    // The dead are found out, pauses between openings come to their end.
    let whole = || world.is_whole();
    for _ in 0..RECOVERY {
        world.scheduler.sleep(world.clock.steps(1_000_000)).await;
        if whole() {
            world.scheduler.sleep(world.clock.steps(5_000_000)).await;
            if whole() {
                return;
            }
        }
    }
    trouble(&troubles, world.what_is_missing());
}

/// What has gone wrong that must not.
type Troubles = Arc<Mutex<Option<String>>>;

fn trouble(troubles: &Troubles, what: String) {
    *troubles.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
}

/// Reads everything several times: what the first time puts into the cache the next time finds there.
async fn quiet(world: Arc<World>, observations: Observations) {
    let notes = world.named("notes").clone();
    let mut instances = world.all();
    instances.extend(world.all());
    instances.truncate(3);
    while instances.len() < 3 {
        instances.extend(world.any());
    }
    for (expand, instance) in [false, false, true].into_iter().zip(instances) {
        let tiers = &*instance.tiers;
        for caller in [Caller::Server, world::caller(0), world::caller(1)] {
            for number in 0..5 {
                let id = world::note(number);
                let asked = ("notes", id);
                let asked = workload::get(&world, tiers, 99, caller.clone(), asked, None);
                asked.await.noted(&observations);
            }
            let mut filters = vec![json!({}), json!({ "tags": "a" }), json!({ "state": 1 })];
            filters.extend((0..2).map(|n| json!({ "room": world::room(n).to_string() })));
            filters.extend((0..2).map(|n| json!({ "author": world::person(n).to_string() })));
            for filter in &filters {
                let first = Start::First;
                if let Some(query) = workload::query(&world, &notes, filter, first, 4, false) {
                    let caller = caller.clone();
                    let asked = workload::list(&world, tiers, 99, caller, query, expand);
                    asked.await.noted(&observations);
                }
            }
        }
    }
    for instance in world.all() {
        if let Err(error) = instance.tiers.ready().await {
            world.scheduler.note(|| error.to_string());
        }
    }
}

/// The recent tier has what the truth has.
fn all_agree(world: &World) -> Result<(), String> {
    let Some(mongo) = &world.mongo else {
        return Ok(());
    };
    let truth: BTreeMap<Key, Document> = world.truth.tables().into_iter().collect();
    let rows: BTreeMap<Key, Row> = mongo.rows().into_iter().collect();
    for (key, row) in &rows {
        let known = truth.get(key);
        let is_same = match (&row.document, known) {
            (Some(own), Some(known)) => **own == *known,
            (None, None) => true,
            _ => false,
        };
        // What it cannot hold is pending, for as long as it is so.
        let is_same = is_same || known.is_some_and(|known| mongo.refuses(known.revision()));
        if !is_same {
            let revision = row.revision;
            return Err(format!(
                "the recent tier has {key:?} at {revision}, the truth {known:?}"
            ));
        }
    }
    let now = world.clock.now().millis();
    for (key, document) in truth {
        let collection = world.catalog.get(key.0);
        let (Some(_), Some(covered)) = (&collection.tiers.recent, world.truth.covered(key.0))
        else {
            continue;
        };
        let created = match document.value(collection.created_at()) {
            Value::Timestamp(created) => created.millis(),
            _ => continue,
        };
        let is_recent = created >= covered.millis() && created >= now - world::WINDOW.0;
        if is_recent && !rows.contains_key(&key) && !mongo.refuses(document.revision()) {
            return Err(format!("{key:?} is missing from the recent tier"));
        }
    }
    Ok(())
}

/// No token is left behind by those who are done or dead.
fn nothing_stays(world: &World) -> Result<(), String> {
    use nubo_cache::Storage as _;
    if let Some(redis) = &world.redis {
        return match redis.left() {
            (0, 0) => Ok(()),
            (documents, sets) => Err(format!(
                "{documents} documents and {sets} sets are kept by those who are done or dead"
            )),
        };
    }
    let Some(storage) = world.storage() else {
        return Ok(());
    };
    match now(storage.inner().clear()) {
        Some(Ok(())) => {}
        _ => return Err("the cache could not be cleared at once".into()),
    }
    let (documents, sets) = storage.inner().keys();
    match (documents.len(), sets.len(), storage.inner().bytes()) {
        (0, 0, 0) => Ok(()),
        (documents, sets, bytes) => Err(format!(
            "{documents} documents and {sets} sets cannot be thrown out, {bytes} bytes"
        )),
    }
}

/// What a future gives that waits for nobody.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A shorter run that fails as well: actions and clients are left out as long as it does. Other
/// orders of the same are tried, too, for what is left may need another one.
pub fn shortest(failure: Failure) -> Failure {
    let mut best = failure;
    let mut tries = 0;
    'again: loop {
        let mut candidates = Vec::new();
        for event in 0..best.run.events.len() {
            let mut without = best.run.clone();
            without.events.remove(event);
            candidates.push(without);
        }
        for place in 0..best.run.circumstances.places.len() {
            let mut without = best.run.clone();
            without.circumstances.places.remove(place);
            candidates.push(without);
        }
        for client in 0..best.run.clients.len() {
            let mut without = best.run.clone();
            without.clients.remove(client);
            candidates.push(without);
        }
        for client in 0..best.run.clients.len() {
            for action in 0..best.run.clients[client].actions.len() {
                let mut without = best.run.clone();
                without.clients[client].actions.remove(action);
                candidates.push(without);
            }
        }
        for candidate in candidates {
            for attempt in 0..ORDERS {
                tries += 1;
                if tries > TRIES {
                    return best;
                }
                let candidate = Run {
                    order: best.run.order.wrapping_add(attempt),
                    ..candidate.clone()
                };
                if let Err(failure) = run(&candidate, false) {
                    best = *failure;
                    continue 'again;
                }
            }
        }
        return best;
    }
}
