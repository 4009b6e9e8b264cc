//! Questions that wait anyway go together: those of one form become one statement, so that a
//! crowd of short questions costs the database and the network what a few would.
//!
//! A question that nobody is ahead of goes at once and alone. While [`LANES`] statements of its form
//! are under way, those that follow wait for one of them to end, and go as one. Nothing is put off
//! for company's sake. A statement begins when all its questions were asked, so that each sees what
//! it would have seen alone, and equal questions share an answer.
//!
//! Nor does one that takes long hold others up: who has waited for [`IMPATIENCE`] waits for another
//! connection of the pool and for nothing else.
//!
//! Where questions of a form turn out to take long, it is the database that works and not the way
//! there: fewer go together, and in the end each goes alone, so that the database can work on all of
//! them at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use nubo_core::{Error, Result};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;

use super::{
    pool::{Pool, all_in_use},
    rows::PostgresRows,
};
use crate::sql::{
    Statement,
    postgres::{Postgres, together::together},
};

/// How many statements of one form are under way while others wait to go together.
const LANES: usize = 4;
/// How many questions go together at most.
const MOST: usize = 16;
/// How long questions may take together, by what those before them took.
const SPAN: Duration = Duration::from_millis(5);
/// How long a question waits for those ahead of it to end. They may take long where it would not.
const IMPATIENCE: Duration = Duration::from_millis(20);
/// How many forms are remembered that nobody asks at the moment.
const FORMS: usize = 1024;

/// The way to the pool.
pub(super) struct Gathering {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    acquire_limit: Duration,
    forms: Mutex<HashMap<Arc<str>, Form>>,
    lanes: TaskTracker,
    runtime: Handle,
}

/// Questions that differ in their arguments alone.
#[derive(Default)]
struct Form {
    waiting: VecDeque<Question>,
    /// Statements under way.
    under_way: usize,
    /// How long one question takes, lately.
    each: Duration,
}

struct Question {
    statement: Statement<Postgres>,
    asked: Instant,
    answer: Answer,
}

/// Where an answer goes.
type Answer = oneshot::Sender<Result<PostgresRows>>;

impl Form {
    /// How many questions may go together.
    fn size(&self) -> usize {
        let each = self.each.as_nanos().max(1);
        usize::try_from(SPAN.as_nanos() / each).map_or(MOST, |fit| fit.clamp(1, MOST))
    }

    /// Whether another statement may go now. Where they go alone, the pool knows.
    fn has_room(&self) -> bool {
        self.under_way < LANES || self.size() == 1
    }

    fn took(&mut self, elapsed: Duration, questions: usize) {
        let one = elapsed / u32::try_from(questions).unwrap_or(u32::MAX).max(1);
        self.each = match self.each {
            Duration::ZERO => one,
            each => (each * 7 + one) / 8,
        };
    }
}

/// A statement under way. When it ends, those that wait go.
struct Lane {
    shared: Arc<Shared>,
    form: Arc<str>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        Shared::leave(&self.shared, &self.form);
    }
}

impl Gathering {
    /// Leads to this pool. A question waits for no longer than this before it is on its way.
    pub fn new(pool: Pool, acquire_limit: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool,
                acquire_limit,
                forms: Mutex::default(),
                lanes: TaskTracker::new(),
                runtime: Handle::current(),
            }),
        }
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, statement: Statement<Postgres>) -> Result<PostgresRows> {
        if !statement
            .arguments
            .iter()
            .all(|argument| argument.is_single())
        {
            return self.shared.pool.ask(statement).await;
        }
        match Shared::enter(&self.shared, statement) {
            Entered::Lane(lane, statement) => {
                let begun = Instant::now();
                let answer = self.shared.pool.ask(statement).await;
                lane.shared.took(&lane.form, begun.elapsed(), 1);
                answer
            }
            Entered::Waiting(mut answered, form) => loop {
                match tokio::time::timeout(IMPATIENCE, &mut answered).await {
                    Ok(answer) => break answer.map_err(|_| stopping())?,
                    Err(_elapsed) => Shared::hurry(&self.shared, &form),
                }
            },
        }
    }

    /// Ends what is under way.
    pub async fn stop(&self) {
        self.shared.pool.stop().await;
        self.shared.lanes.close();
        self.shared.lanes.wait().await;
    }
}

/// What became of a question.
enum Entered {
    /// It may go now.
    Lane(Lane, Statement<Postgres>),
    /// It goes with others.
    Waiting(oneshot::Receiver<Result<PostgresRows>>, Arc<str>),
}

impl Shared {
    fn enter(shared: &Arc<Self>, statement: Statement<Postgres>) -> Entered {
        let mut forms = shared.forms();
        let known = forms.get_key_value(statement.text.as_str());
        let text = match known {
            Some((text, _)) => Arc::clone(text),
            None => {
                if forms.len() >= FORMS {
                    forms.retain(|_, form| form.under_way > 0);
                }
                Arc::from(statement.text.as_str())
            }
        };
        let form = forms.entry(Arc::clone(&text)).or_default();
        if form.has_room() {
            form.under_way += 1;
            let shared = Arc::clone(shared);
            return Entered::Lane(Lane { shared, form: text }, statement);
        }
        let (answer, answered) = oneshot::channel();
        form.waiting.push_back(Question {
            statement,
            asked: Instant::now(),
            answer,
        });
        Entered::Waiting(answered, text)
    }

    /// A statement has ended: its lane goes to those that wait, where there are any.
    fn leave(shared: &Arc<Self>, text: &Arc<str>) {
        if let Some(questions) = shared.next(text) {
            Self::send_off(shared, text, questions);
        }
    }

    /// Sends those that wait off, although others of their form are under way.
    fn hurry(shared: &Arc<Self>, text: &Arc<str>) {
        if let Some(form) = shared.forms().get_mut(text) {
            form.under_way += 1;
        }
        Self::leave(shared, text);
    }

    fn send_off(shared: &Arc<Self>, text: &Arc<str>, questions: Vec<Question>) {
        let lane = Lane {
            shared: Arc::clone(shared),
            form: Arc::clone(text),
        };
        let together = async move { lane.shared.answer(&lane.form, questions).await };
        shared.lanes.spawn_on(together, &shared.runtime);
    }

    /// Those that go together next; none, and one statement less is under way, where nobody waits.
    fn next(&self, text: &Arc<str>) -> Option<Vec<Question>> {
        let mut forms = self.forms();
        let form = forms.get_mut(text)?;
        let count = form.size().min(form.waiting.len());
        if count == 0 {
            form.under_way -= 1;
            return None;
        }
        Some(form.waiting.drain(..count).collect())
    }

    fn took(&self, text: &Arc<str>, elapsed: Duration, questions: usize) {
        if let Some(form) = self.forms().get_mut(text) {
            form.took(elapsed, questions);
        }
    }

    async fn answer(&self, text: &Arc<str>, questions: Vec<Question>) {
        let begun = Instant::now();
        let (statements, answers) = self.different(questions);
        let found = match statements.as_slice() {
            [] => return,
            [only] => self.pool.ask(only.clone()).await.map(|rows| vec![rows]),
            several => match self.pool.ask(together(several)).await {
                Ok(rows) => rows.apart(several.len()),
                Err(error) => Err(error),
            },
        };
        let count = answers.iter().map(Vec::len).sum();
        self.took(text, begun.elapsed(), count);
        match found {
            Ok(found) => {
                for (rows, answers) in found.into_iter().zip(answers) {
                    for answer in answers {
                        // Who has gone away meanwhile does not need to know.
                        answer.send(Ok(rows.clone())).ok();
                    }
                }
            }
            Err(error) if count > 1 => {
                tracing::debug!(%error, "questions that failed together are asked alone");
                self.ask_alone(statements, answers).await;
            }
            Err(error) => {
                if let Some(answer) = answers.into_iter().flatten().next() {
                    answer.send(Err(error)).ok();
                }
            }
        }
    }

    /// The questions that differ, and for each those who wait for its answer.
    fn different(&self, questions: Vec<Question>) -> (Vec<Statement<Postgres>>, Vec<Vec<Answer>>) {
        let (mut statements, mut answers): (Vec<Statement<Postgres>>, Vec<Vec<Answer>>) =
            Default::default();
        for question in questions {
            // Who has gone away wants no answer.
            if question.answer.is_closed() {
                continue;
            }
            if question.asked.elapsed() > self.acquire_limit {
                question.answer.send(Err(all_in_use())).ok();
                continue;
            }
            let arguments = &question.statement.arguments;
            match statements.iter().position(|s| s.arguments == *arguments) {
                Some(same) => answers[same].push(question.answer),
                None => {
                    statements.push(question.statement);
                    answers.push(vec![question.answer]);
                }
            }
        }
        (statements, answers)
    }

    /// Asks each question for itself, all at once as far as the pool has connections.
    async fn ask_alone(&self, statements: Vec<Statement<Postgres>>, answers: Vec<Vec<Answer>>) {
        let each = statements
            .iter()
            .zip(answers)
            .flat_map(|(statement, answers)| {
                answers.into_iter().map(async |answer| {
                    answer.send(self.pool.ask(statement.clone()).await).ok();
                })
            });
        join_all(each).await;
    }

    fn forms(&self) -> MutexGuard<'_, HashMap<Arc<str>, Form>> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopping() -> Error {
    Error::unavailable("stopping", "the server is stopping")
}
