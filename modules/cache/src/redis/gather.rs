//! Questions that wait anyway go together: a crowd of short ones costs what a few would.
//!
//! A question that finds few exchanges under way goes at once. One that finds [`LANES`] of them waits for
//! one to end, and goes with those that wait then; one of those who asked leads, for all of them.
//! Nothing is put off for company's sake, and every question is sent after it was asked.
//!
//! Who leads may go away in the middle of it. Those who wait for the answer then ask once more.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nubo_core::{Error, Result};
use tokio::sync::oneshot;

use super::failure::unavailable;

/// How many exchanges are under way while others wait to go together.
const LANES: usize = 2;
/// How much goes together at most, in what questions weigh.
const MOST: usize = 256;

/// A question of which several can be asked in one exchange.
pub(super) trait Question: Clone + Send {
    type Answer: Send;

    /// How much of an exchange it is.
    fn weight(&self) -> usize;
}

/// Where questions meet.
pub(super) struct Gathering<Q: Question>(Arc<Mutex<State<Q>>>);

struct State<Q: Question> {
    waiting: VecDeque<Waiting<Q>>,
    under_way: usize,
}

/// A question, and who asks it.
struct Waiting<Q: Question> {
    question: Q,
    asker: oneshot::Sender<Told<Q>>,
}

/// What one who waits is told.
enum Told<Q: Question> {
    Answer(Result<Q::Answer>),
    /// To ask for all of these.
    Lead(Lead<Q>),
}

/// The duty to ask for oneself and others. Where it ends, however it does, those who wait go.
struct Lead<Q: Question> {
    state: Arc<Mutex<State<Q>>>,
    own: Q,
    others: Vec<Waiting<Q>>,
}

impl<Q: Question> Default for Gathering<Q> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            waiting: VecDeque::new(),
            under_way: 0,
        })))
    }
}

impl<Q: Question> Gathering<Q> {
    /// Asks, and waits for the answer. The exchange gives an answer to each question.
    pub async fn ask(
        &self,
        question: Q,
        exchange: impl AsyncFnOnce(&[Q]) -> Result<Vec<Q::Answer>>,
    ) -> Result<Q::Answer> {
        let lead = loop {
            match self.enter(&question) {
                Ok(lead) => break lead,
                Err(told) => match told.await {
                    Ok(Told::Answer(answer)) => return answer,
                    Ok(Told::Lead(lead)) => break lead,
                    Err(_gone_away) => {}
                },
            }
        };
        lead.carry_out(exchange).await
    }

    /// Leads at once, or waits to be told.
    fn enter(&self, question: &Q) -> Result<Lead<Q>, oneshot::Receiver<Told<Q>>> {
        let mut state = locked(&self.0);
        if state.under_way < LANES {
            state.under_way += 1;
            return Ok(Lead {
                state: Arc::clone(&self.0),
                own: question.clone(),
                others: Vec::new(),
            });
        }
        let (asker, told) = oneshot::channel();
        state.waiting.push_back(Waiting {
            question: question.clone(),
            asker,
        });
        Err(told)
    }
}

impl<Q: Question> Lead<Q> {
    async fn carry_out(
        mut self,
        exchange: impl AsyncFnOnce(&[Q]) -> Result<Vec<Q::Answer>>,
    ) -> Result<Q::Answer> {
        let others = self.others.iter().map(|waiting| waiting.question.clone());
        let questions: Vec<Q> = std::iter::once(self.own.clone()).chain(others).collect();
        let answers = exchange(&questions).await;
        let others = std::mem::take(&mut self.others);
        let tell = |waiting: Waiting<Q>, answer| {
            // Who has gone away meanwhile does not need to know.
            waiting.asker.send(Told::Answer(answer)).ok();
        };
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                let own = answers.next();
                for (waiting, answer) in others.into_iter().zip(answers) {
                    tell(waiting, Ok(answer));
                }
                own.ok_or_else(|| Error::internal("a question without an answer"))
            }
            Err(error) => {
                for waiting in others {
                    tell(waiting, Err(unavailable(error.to_string())));
                }
                Err(error)
            }
        }
    }
}

impl<Q: Question> Drop for Lead<Q> {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        loop {
            let mut others = state.next();
            // The first who is still there leads.
            let lead = loop {
                if others.is_empty() {
                    break None;
                }
                let Waiting { question, asker } = others.remove(0);
                if !asker.is_closed() {
                    break Some((question, asker));
                }
            };
            let Some((own, asker)) = lead else {
                if state.waiting.is_empty() {
                    state.under_way -= 1;
                    return;
                }
                continue;
            };
            // Where nobody takes it, it is dropped, and hands on in its turn.
            drop(state);
            let state = Arc::clone(&self.state);
            asker.send(Told::Lead(Self { state, own, others })).ok();
            return;
        }
    }
}

impl<Q: Question> State<Q> {
    /// Those who go together next.
    fn next(&mut self) -> Vec<Waiting<Q>> {
        let mut weight = 0;
        let mut count = 0;
        for waiting in &self.waiting {
            weight += waiting.question.weight();
            if count > 0 && weight > MOST {
                break;
            }
            count += 1;
        }
        self.waiting.drain(..count).collect()
    }
}

fn locked<Q: Question>(state: &Mutex<State<Q>>) -> MutexGuard<'_, State<Q>> {
    // Nothing panics while it holds the lock.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Number(usize);

    impl Question for Number {
        type Answer = usize;

        fn weight(&self) -> usize {
            self.0
        }
    }

    /// A server that answers when it is let, and remembers what went together.
    struct Server {
        leave: Semaphore,
        asked: RefCell<Vec<Vec<usize>>>,
    }

    impl Server {
        fn new(leave: usize) -> Self {
            Self {
                leave: Semaphore::new(leave),
                asked: RefCell::default(),
            }
        }

        async fn exchange(&self, questions: &[Number]) -> Result<Vec<usize>> {
            let numbers: Vec<usize> = questions.iter().map(|question| question.0).collect();
            self.asked.borrow_mut().push(numbers.clone());
            let leave = self.leave.acquire().await.unwrap();
            leave.forget();
            match numbers.contains(&13) {
                true => Err(unavailable("of no luck")),
                false => Ok(numbers.iter().map(|number| number * 10).collect()),
            }
        }

        async fn ask(&self, gathering: &Gathering<Number>, number: usize) -> Result<usize> {
            let exchange = async |questions: &[Number]| self.exchange(questions).await;
            gathering.ask(Number(number), exchange).await
        }
    }

    /// Asks everything before anything is answered.
    async fn ask_all(
        server: &Server,
        gathering: &Gathering<Number>,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Vec<Result<usize>> {
        let numbers = numbers.into_iter();
        let asking = join_all(numbers.map(|number| server.ask(gathering, number)));
        let answering = async {
            tokio::task::yield_now().await;
            assert_eq!(server.asked.borrow().len(), LANES);
            server.leave.add_permits(9);
        };
        tokio::join!(asking, answering).0
    }

    #[tokio::test]
    async fn those_who_wait_go_together() {
        let (server, gathering) = (Server::new(0), Gathering::default());
        let answers = ask_all(&server, &gathering, 1..=7).await;
        let answers: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [10, 20, 30, 40, 50, 60, 70]);
        let asked = [vec![1], vec![2], vec![3, 4, 5, 6, 7]];
        assert_eq!(*server.asked.borrow(), asked);
        // Nobody is under way any more.
        assert!(server.ask(&gathering, 8).now_or_never().is_some());
    }

    #[tokio::test]
    async fn no_more_go_together_than_is_good() {
        let (server, gathering) = (Server::new(0), Gathering::default());
        ask_all(&server, &gathering, [1, 1, MOST - 1, 1, 1, MOST + 1, 1]).await;
        let rest = [vec![MOST - 1, 1], vec![1], vec![MOST + 1], vec![1]];
        let mut asked = server.asked.borrow()[2..].to_vec();
        asked.sort();
        let mut expected = rest.to_vec();
        expected.sort();
        assert_eq!(asked, expected);
    }

    #[tokio::test]
    async fn who_leads_may_go_away() {
        let (server, gathering) = (Server::new(0), Gathering::default());
        let mut first: Vec<_> = (1..=2)
            .map(|number| Box::pin(server.ask(&gathering, number)))
            .collect();
        for asking in &mut first {
            assert!(asking.now_or_never().is_none());
        }
        let mut leads = Box::pin(server.ask(&gathering, 3));
        assert!((&mut leads).now_or_never().is_none());
        let mut others: Vec<_> = (4..=5)
            .map(|number| Box::pin(server.ask(&gathering, number)))
            .collect();
        for asking in &mut others {
            assert!(asking.now_or_never().is_none());
        }
        // The third is told to ask for the others, begins, and goes away.
        drop(first.remove(0));
        assert!((&mut leads).now_or_never().is_none());
        assert_eq!(server.asked.borrow()[2], [3, 4, 5]);
        drop(leads);
        server.leave.add_permits(9);
        let answers = join_all(others);
        let answers = tokio::time::timeout(Duration::from_secs(60), answers).await;
        let answers: Vec<usize> = answers.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [40, 50]);
        assert_eq!(first.remove(0).await.unwrap(), 20);
    }

    #[tokio::test]
    async fn a_failure_is_everybodys() {
        let (server, gathering) = (Server::new(0), Gathering::default());
        let answers = ask_all(&server, &gathering, [1, 2, 3, 13, 4]).await;
        let failed: Vec<bool> = answers.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, true, true]);
        assert_eq!(server.ask(&gathering, 5).await.unwrap(), 50);
    }
}
