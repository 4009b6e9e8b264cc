//! One thread that runs all tasks, a step at a time, in an order that follows from a seed.
//!
//! A task gives up control at every named [`Scheduler::step`] and wherever it waits for another. Who
//! goes on is drawn; now and then one is held for long, so that everybody else gets far ahead of it,
//! and now and then one is killed where it stands. Time is the number of steps that were made, and
//! of those in which everybody slept.
//!
//! Tasks belong to groups, such as the processes of a machine: a group is stopped for a while, or
//! killed, as a whole.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use fastrand::Rng;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A moment: how many steps had been made.
pub type Moment = u64;

/// How often a task is held at a step, once in so many, and for how many steps at most: often and
/// shortly or seldom and long, drawn for each run.
const HOLDS: [(u32, u64); 4] = [(3, 30), (12, 120), (25, 300), (60, 800)];
/// A place at which tasks are held far more often and longer than elsewhere, so that what must come
/// between two steps does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The name of the step.
    pub step: &'static str,
    /// How often: once in so many.
    pub often: u32,
    /// For how long at most, in microseconds.
    pub longest: i64,
}

/// How often one that may be killed is: at one step in so many.
const KILL: u32 = 200;

/// What stops and is killed together.
pub type Group = usize;

/// Those that nobody stops.
pub const WORLD: Group = 0;

/// Runs tasks.
#[derive(Clone)]
pub struct Scheduler(Arc<Mutex<State>>);

struct State {
    random: Rng,
    now: Moment,
    /// How many steps were made.
    made: u64,
    tasks: Vec<Task>,
    /// Tasks that were made since the last step.
    new: Vec<Task>,
    /// The one that is running.
    current: usize,
    hold: (u32, u64),
    /// Where tasks are held longer: how often, and for how many steps at most.
    places: BTreeMap<&'static str, (u32, Moment)>,
    /// Until when groups are stopped.
    stopped: BTreeMap<Group, Moment>,
    /// What happened, for people, where somebody wants to read it.
    log: Option<Vec<String>>,
}

struct Task {
    name: String,
    /// None while it runs and when it is over.
    work: Option<Work>,
    ready: Arc<Ready>,
    held_until: Moment,
    group: Group,
    /// Whether somebody who waits for it can do without it.
    mortal: bool,
    /// Whether it goes on for ever, so that nobody waits for its end.
    endless: bool,
    doomed: bool,
}

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everybody is done.
    Done,
    /// Everybody who is left waits for somebody.
    Stuck,
    /// It takes too long.
    Endless,
}

impl Scheduler {
    /// A scheduler that draws from a seed.
    pub fn new(seed: u64, logging: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(State {
            hold: HOLDS[random.usize(..HOLDS.len())],
            random,
            now: 0,
            made: 0,
            tasks: Vec::new(),
            new: Vec::new(),
            current: usize::MAX,
            places: BTreeMap::new(),
            stopped: BTreeMap::new(),
            log: logging.then(Vec::new),
        })))
    }

    /// Holds tasks at these places, where a step takes so many microseconds.
    pub fn hold_at(&self, places: &[Place], step: i64) {
        let places = places.iter().map(|place| {
            let longest = (place.longest / step).max(1).unsigned_abs();
            (place.step, (place.often, longest))
        });
        self.state().places = places.collect();
    }

    /// Adds a task to the group of the one that is running.
    pub fn spawn(&self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let group = self.group();
        self.spawn_in(group, name, work);
    }

    /// Adds a task to a group.
    pub fn spawn_in(
        &self,
        group: Group,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.add(group, name.into(), (false, false), Box::pin(work));
    }

    /// Adds a task to a group that goes on until it is killed.
    pub fn spawn_endless(
        &self,
        group: Group,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.add(group, name.into(), (false, true), Box::pin(work));
    }

    /// The group of the task that is running.
    fn group(&self) -> Group {
        let state = self.state();
        let current = state.tasks.get(state.current);
        current.map_or(WORLD, |task| task.group)
    }

    /// Stops a group until then.
    pub fn stop(&self, group: Group, until: Moment) {
        self.state().stopped.insert(group, until);
    }

    /// Whether a group is stopped.
    pub fn is_stopped(&self, group: Group) -> bool {
        let state = self.state();
        let until = state.stopped.get(&group).copied();
        until.is_some_and(|until| until > state.now)
    }

    /// Kills a group. Not the one of the task that is running.
    pub fn kill(&self, group: Group) {
        let mut state = self.state();
        let all = state.tasks.iter_mut().filter(|task| task.group == group);
        let dead: Vec<Option<Work>> = all.map(|task| task.work.take()).collect();
        state.new.retain(|task| task.group != group);
        drop(state);
        // What they hold is dropped without the lock.
        drop(dead);
    }

    /// Sleeps for so long at least.
    pub fn sleep(&self, time: Moment) -> Sleep {
        Sleep {
            scheduler: self.clone(),
            time: Some(time),
        }
    }

    /// Adds a task that may be killed at any step.
    pub fn spawn_mortal(
        &self,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let group = self.group();
        self.add(group, name.into(), (true, false), Box::pin(work));
    }

    fn add(&self, group: Group, name: String, (mortal, endless): (bool, bool), work: Work) {
        self.state().new.push(Task {
            group,
            endless,
            name,
            work: Some(work),
            ready: Arc::new(Ready(AtomicBool::new(true))),
            held_until: 0,
            mortal,
            doomed: false,
        });
    }

    /// Gives up control at a place with a name.
    pub fn step(&self, name: &'static str) -> Step {
        Step {
            scheduler: self.clone(),
            name,
            done: false,
        }
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.state().now
    }

    /// How many steps were made.
    pub fn made(&self) -> u64 {
        self.state().made
    }

    /// Draws.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.state().random)
    }

    /// Notes something for people.
    pub fn note(&self, text: impl FnOnce() -> String) {
        let mut state = self.state();
        let (now, name) = (
            state.now,
            state.tasks.get(state.current).map(|t| t.name.clone()),
        );
        if let Some(log) = &mut state.log {
            log.push(format!(
                "{now:>5} {:<12} {}",
                name.unwrap_or_default(),
                text()
            ));
        }
    }

    /// What was noted.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone().unwrap_or_default()
    }

    /// Runs all tasks, and those that they add, for so many steps at most.
    pub fn run(&self, most: u64) -> End {
        let end = self.now() + most;
        loop {
            let Some((at, work, ready)) = self.next() else {
                return self.end();
            };
            if let Some(mut work) = work {
                let waker = Waker::from(ready);
                // The lock is free: the task may add others, draw and note.
                if work
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
                {
                    let mut state = self.state();
                    if let Some(task) = state.tasks.get_mut(at) {
                        match task.doomed {
                            false => task.work = Some(work),
                            true => {
                                drop(state);
                                self.note(|| "is killed".into());
                                drop(work);
                            }
                        }
                    }
                }
            }
            if self.now() > end {
                return End::Endless;
            }
        }
    }

    /// Draws who goes on.
    fn next(&self) -> Option<(usize, Option<Work>, Arc<Ready>)> {
        let mut state = self.state();
        let new = std::mem::take(&mut state.new);
        state.tasks.extend(new);
        if state
            .tasks
            .iter()
            .all(|task| task.endless || task.work.is_none())
        {
            return None;
        }
        state.now += 1;
        state.made += 1;
        let now = state.now;
        let able = |task: &Task| task.work.is_some() && task.ready.0.load(Ordering::Relaxed);
        let until = |state: &State, at: usize| {
            let task = &state.tasks[at];
            let stopped = state.stopped.get(&task.group).copied().unwrap_or(0);
            task.held_until.max(stopped)
        };
        let all: Vec<(usize, Moment)> = (0..state.tasks.len())
            .filter(|at| able(&state.tasks[*at]))
            .map(|at| (at, until(&state, at)))
            .collect();
        // Where everybody sleeps, time goes on until somebody wakes.
        let wakes = all.iter().map(|(_, until)| *until).min()?;
        state.now = now.max(wakes);
        let free = all.iter().filter(|(_, until)| *until <= now.max(wakes));
        let free: Vec<usize> = free.map(|(at, _)| *at).collect();
        let at = free[state.random.usize(..free.len())];
        state.current = at;
        let task = &mut state.tasks[at];
        task.ready.0.store(false, Ordering::Relaxed);
        Some((at, task.work.take(), Arc::clone(&task.ready)))
    }

    fn end(&self) -> End {
        let state = self.state();
        let mut tasks = state.tasks.iter();
        match tasks.any(|task| task.work.is_some() && !task.endless) {
            true => End::Stuck,
            false => End::Done,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at which control is given up.
pub struct Step {
    scheduler: Scheduler,
    name: &'static str,
    done: bool,
}

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.done {
            return Poll::Ready(());
        }
        self.done = true;
        let name = self.name;
        self.scheduler.note(|| format!("· {name}"));
        let mut state = self.scheduler.state();
        let (often, longest) = state.places.get(name).copied().unwrap_or(state.hold);
        let held = (state.random.u32(..often) == 0).then(|| state.random.u64(1..=longest));
        let dies = state.random.u32(..KILL) == 0;
        let (now, current) = (state.now, state.current);
        if let Some(task) = state.tasks.get_mut(current) {
            task.held_until = now + held.unwrap_or(0);
            task.doomed |= task.mortal && dies;
        }
        drop(state);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A pause.
pub struct Sleep {
    scheduler: Scheduler,
    time: Option<Moment>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(time) = self.time.take() else {
            return Poll::Ready(());
        };
        let mut state = self.scheduler.state();
        let (now, current) = (state.now, state.current);
        if let Some(task) = state.tasks.get_mut(current) {
            task.held_until = now + time;
        }
        drop(state);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
