//! A question with one answer for all who ask it at the time, asked in rounds.
//!
//! Each round begins after all who take part in it have asked, and whoever asks during one takes part in
//! the next. One of those who ask leads. Before a round begins, those have their turn who are about to
//! ask, so that a crowd is one round or two.
//!
//! Who leads may go away in the middle of it: then the round has no answer, and another one leads the
//! next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Where those meet who ask the same.
pub(super) struct Rounds<A> {
    state: Mutex<State<A>>,
    /// Told to those who take part in a round, by whether its number is odd: that it has ended, or that
    /// one of them leads it.
    news: [Notify; 2],
}

/// Rounds by their numbers.
struct State<A> {
    begun: u64,
    ended: u64,
    /// The newest answer, and which round's.
    answer: Option<(u64, A)>,
    /// Whether somebody leads.
    is_led: bool,
}

impl<A> Default for Rounds<A> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                begun: 0,
                ended: 0,
                answer: None,
                is_led: false,
            }),
            news: Default::default(),
        }
    }
}

/// The duty to lead. When it ends, however it does, others may.
struct Lead<'a, A>(&'a Rounds<A>);

impl<A: Clone> Rounds<A> {
    /// Asks together with others. None where the round has no answer.
    pub async fn ask(&self, question: impl AsyncFnOnce() -> Option<A>) -> Option<A> {
        let own = match self.enter() {
            Ok(lead) => return lead.carry_out(question).await,
            Err(own) => own,
        };
        loop {
            let news = self.news[parity(own)].notified();
            match self.look(own) {
                Look::Ended(answer) => return answer,
                Look::Lead(lead) => return lead.carry_out(question).await,
                Look::Wait => news.await,
            }
        }
    }

    /// Leads the next round, or takes part in it. Its number.
    fn enter(&self) -> Result<Lead<'_, A>, u64> {
        let mut state = self.state();
        if !state.is_led {
            state.is_led = true;
            return Ok(Lead(self));
        }
        Err(state.begun + 1)
    }

    fn look(&self, own: u64) -> Look<'_, A> {
        let mut state = self.state();
        if state.ended >= own {
            let answer = state.answer.as_ref();
            let answer = answer.filter(|(round, _)| *round >= own);
            return Look::Ended(answer.map(|(_, answer)| answer.clone()));
        }
        if !state.is_led && state.begun < own {
            state.is_led = true;
            return Look::Lead(Lead(self));
        }
        Look::Wait
    }
}

impl<A> Rounds<A> {
    fn state(&self) -> MutexGuard<'_, State<A>> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How it stands with one's own round.
enum Look<'a, A> {
    Ended(Option<A>),
    /// Nobody leads it yet.
    Lead(Lead<'a, A>),
    Wait,
}

impl<A: Clone> Lead<'_, A> {
    async fn carry_out(self, question: impl AsyncFnOnce() -> Option<A>) -> Option<A> {
        tokio::task::yield_now().await;
        let own = {
            let mut state = self.0.state();
            state.begun += 1;
            state.begun
        };
        let answer = question().await;
        let mut state = self.0.state();
        if let Some(answer) = &answer {
            state.answer = Some((own, answer.clone()));
        }
        drop(state);
        answer
    }
}

impl<A> Drop for Lead<'_, A> {
    fn drop(&mut self) {
        let rounds = self.0;
        let mut state = rounds.state();
        state.ended = state.begun;
        state.is_led = false;
        let (ended, next) = (state.begun, state.begun + 1);
        drop(state);
        rounds.news[parity(ended)].notify_waiters();
        rounds.news[parity(next)].notify_one();
    }
}

fn parity(round: u64) -> usize {
    usize::from(round % 2 == 1)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Semaphore;

    use super::*;

    /// A clock that is asked what time it is, and answers when it is let.
    #[derive(Default)]
    struct Server {
        rounds: Rounds<u64>,
        now: Cell<u64>,
        asked: Cell<usize>,
        leave: Option<Semaphore>,
    }

    impl Server {
        /// One that does not answer yet.
        fn silent() -> Self {
            Self {
                leave: Some(Semaphore::new(0)),
                ..Self::default()
            }
        }

        /// Lets it answer so many.
        fn answer(&self, count: usize) {
            self.leave.as_ref().unwrap().add_permits(count);
        }

        async fn ask(&self) -> Option<u64> {
            let question = async || {
                self.asked.set(self.asked.get() + 1);
                let now = self.now.get();
                if let Some(leave) = &self.leave {
                    leave.acquire().await.unwrap().forget();
                }
                (now != 13).then_some(now)
            };
            self.rounds.ask(question).await
        }
    }

    async fn in_time<T>(asking: impl Future<Output = T>) -> T {
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, asking).await.unwrap()
    }

    #[tokio::test]
    async fn a_crowd_is_one_round() {
        let server = Server::default();
        server.now.set(5);
        let answers = in_time(join_all((0..100).map(|_| server.ask()))).await;
        assert_eq!(answers, [Some(5); 100]);
        assert_eq!(server.asked.get(), 1);
    }

    #[tokio::test]
    async fn nobody_is_answered_what_was_so_before_they_asked() {
        let server = Server::silent();
        let mut early: Vec<_> = (0..3).map(|_| Box::pin(server.ask())).collect();
        for _ in 0..3 {
            for asking in &mut early {
                assert!(asking.now_or_never().is_none());
            }
        }
        assert_eq!(server.asked.get(), 1);
        // They ask while the first round is under way.
        server.now.set(1);
        let mut late: Vec<_> = (0..3).map(|_| Box::pin(server.ask())).collect();
        for asking in &mut late {
            assert!(asking.now_or_never().is_none());
        }
        server.answer(1);
        assert_eq!(in_time(join_all(early)).await, [Some(0); 3]);
        server.answer(1);
        assert_eq!(in_time(join_all(late)).await, [Some(1); 3]);
        assert_eq!(server.asked.get(), 2);
    }

    #[tokio::test]
    async fn who_leads_may_go_away() {
        for is_under_way in [false, true] {
            let server = Server::silent();
            let mut leads = Box::pin(server.ask());
            assert!((&mut leads).now_or_never().is_none());
            let mut others: Vec<_> = (0..3).map(|_| Box::pin(server.ask())).collect();
            for asking in &mut others {
                assert!(asking.now_or_never().is_none());
            }
            if is_under_way {
                tokio::task::yield_now().await;
                assert!((&mut leads).now_or_never().is_none());
                assert_eq!(server.asked.get(), 1);
            }
            drop(leads);
            server.answer(9);
            let answer = (!is_under_way).then_some(0);
            assert_eq!(in_time(join_all(others)).await, [answer; 3]);
            assert_eq!(in_time(server.ask()).await, Some(0));
        }
    }

    #[tokio::test]
    async fn who_follows_may_go_away() {
        let server = Server::silent();
        let mut first = Box::pin(server.ask());
        assert!((&mut first).now_or_never().is_none());
        tokio::task::yield_now().await;
        assert!((&mut first).now_or_never().is_none());
        let mut others: Vec<_> = (0..3).map(|_| Box::pin(server.ask())).collect();
        for asking in &mut others {
            assert!(asking.now_or_never().is_none());
        }
        server.answer(9);
        assert_eq!(in_time(first).await, Some(0));
        // The one of them that is to lead.
        drop(others.remove(0));
        assert_eq!(in_time(join_all(others)).await, [Some(0); 2]);
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_and_no_older_answer_takes_its_place() {
        let server = Server::default();
        assert_eq!(in_time(server.ask()).await, Some(0));
        server.now.set(13);
        let answers = in_time(join_all((0..5).map(|_| server.ask()))).await;
        assert_eq!(answers, [None; 5]);
        server.now.set(14);
        assert_eq!(in_time(server.ask()).await, Some(14));
    }
}
