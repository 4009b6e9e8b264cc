//! One asks, the others wait: concurrent misses for the same thing share one question to the truth.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What is being asked, by key, and the answers on their way.
pub(crate) struct Flights<K, V> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

/// What one who needs an answer does.
pub(crate) enum Part<'a, K: Eq + Hash, V> {
    /// Asks, and tells the others.
    Lead(Lead<'a, K, V>),
    /// Waits.
    Follow(Follow<V>),
}

/// The duty to ask. Where it is dropped without an answer, those who wait are told so.
pub(crate) struct Lead<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    key: K,
    answer: watch::Sender<Option<V>>,
}

/// An answer on its way.
pub(crate) struct Follow<V>(watch::Receiver<Option<V>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    /// Asks for this, or waits for somebody who does.
    pub fn join(&self, key: &K) -> Part<'_, K, V> {
        let mut under_way = self.locked();
        if let Some(answer) = under_way.get(key) {
            return Part::Follow(Follow(answer.clone()));
        }
        let (answer, waiting) = watch::channel(None);
        under_way.insert(key.clone(), waiting);
        Part::Lead(Lead {
            flights: self,
            key: key.clone(),
            answer,
        })
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    fn locked(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
        // Nothing panics while it holds the lock and leaves the map half changed.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Lead<'_, K, V> {
    /// What is asked for.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// Tells those who wait.
    pub fn answer(self, answer: V) {
        self.answer.send_replace(Some(answer));
    }
}

impl<K: Eq + Hash, V> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        self.flights.locked().remove(&self.key);
    }
}

impl<V: Clone> Follow<V> {
    /// The answer. None where the one who asked has given up, or the answer is of no use to others.
    pub async fn answer(mut self) -> Option<V> {
        // An error means that the sender is gone.
        let answer = self.0.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(flights: &Flights<u8, u8>) -> Follow<u8> {
        match flights.join(&1) {
            Part::Follow(follow) => follow,
            Part::Lead(_) => panic!("somebody asks already"),
        }
    }

    fn lead(flights: &Flights<u8, u8>) -> Lead<'_, u8, u8> {
        match flights.join(&1) {
            Part::Lead(lead) => lead,
            Part::Follow(_) => panic!("nobody asks yet"),
        }
    }

    #[tokio::test]
    async fn the_others_hear_the_answer() {
        let flights = Flights::default();
        let first = lead(&flights);
        let second = follow(&flights);
        first.answer(7);
        assert_eq!(second.answer().await, Some(7));
        drop(lead(&flights));
    }

    #[tokio::test]
    async fn the_others_hear_when_the_one_who_asks_gives_up() {
        let flights = Flights::default();
        let first = lead(&flights);
        let second = follow(&flights);
        drop(first);
        assert_eq!(second.answer().await, None);
        drop(lead(&flights));
    }
}
