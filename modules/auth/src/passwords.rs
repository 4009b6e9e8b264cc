//! Argon2id on threads of its own, no more at a time than the machine has cores.
//!
//! One hash takes some 20 ms and 19 MiB by design. Without bounds, a burst of sign-ins would take
//! all cores and all memory; here it waits in a queue, and what no longer fits gets 503.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordVerifier,
        phc::{PasswordHash, Salt},
    },
};
use async_trait::async_trait;
use nubo_core::{Error, Result, clock::Random, module::SetupError, passwords::Passwords};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::PasswordSettings;

/// Passwords as argon2id hashes (RFC 9106) in PHC strings.
pub struct Argon2Passwords {
    params: Params,
    random: Arc<dyn Random>,
    /// One permit per hash that may be computed at this moment.
    turns: Arc<Semaphore>,
    /// How many wait for a permit, and how many may.
    waiting: AtomicUsize,
    queue: usize,
}

impl Argon2Passwords {
    /// A hasher with these settings.
    ///
    /// # Errors
    /// Where the settings contradict each other, as too little memory for so many lanes does.
    pub fn new(settings: &PasswordSettings, random: Arc<dyn Random>) -> Result<Self, SetupError> {
        let (memory, lanes) = (settings.memory_kib, settings.parallelism);
        let params = Params::new(memory, settings.iterations, lanes, None).map_err(|error| {
            SetupError::new(format!(
                "auth.passwords: {error}; memory_kib must be at least eight times parallelism"
            ))
        })?;
        let concurrency = match settings.concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some as usize,
        };
        Ok(Self {
            params,
            random,
            turns: Arc::new(Semaphore::new(concurrency)),
            waiting: AtomicUsize::new(0),
            queue: settings.queue as usize,
        })
    }

    /// Whether a hash was made with other settings than those in force, so that it should be
    /// replaced the next time its password is known.
    pub fn needs_rehash(&self, hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else {
            return true;
        };
        let same = Params::try_from(&hash).is_ok_and(|params| {
            params.m_cost() == self.params.m_cost()
                && params.t_cost() == self.params.t_cost()
                && params.p_cost() == self.params.p_cost()
        });
        hash.algorithm != Algorithm::Argon2id.ident()
            || hash.version != Some(u32::from(Version::V0x13))
            || !same
    }

    /// Waits for a turn; 503 where too many wait already.
    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.turns.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let waiter = Waiter::join(&self.waiting);
        if waiter.ahead >= self.queue {
            return Err(Error::unavailable(
                "busy",
                "too many passwords are being checked; try again in a moment",
            ));
        }
        let permit = self.turns.clone().acquire_owned().await;
        permit.map_err(Error::internal)
    }

    /// Runs a computation on a blocking thread. The turn ends when the computation does, also
    /// where nobody waits for its result any more.
    async fn compute<T: Send + 'static>(
        &self,
        computation: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turn().await?;
        let task = tokio::task::spawn_blocking(move || {
            let result = computation();
            drop(turn);
            result
        });
        task.await.map_err(Error::internal)?
    }
}

#[async_trait]
impl Passwords for Argon2Passwords {
    async fn hash(&self, password: String) -> Result<String> {
        let mut salt = [0; Salt::RECOMMENDED_LENGTH];
        self.random.fill(&mut salt);
        let params = self.params.clone();
        self.compute(move || {
            argon2()
                .hash_password_with_params(password.as_bytes(), &salt, params)
                .map(|hash: PasswordHash| hash.to_string())
                .map_err(Error::internal)
        })
        .await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        self.compute(move || {
            let hash = PasswordHash::new(&hash).map_err(Error::internal)?;
            match argon2().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::internal(error)),
            }
        })
        .await
    }
}

/// The algorithm. What it costs comes with each call: from the settings, or from the hash that is
/// checked.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// A place in the queue, given up when it is dropped.
struct Waiter<'a> {
    waiting: &'a AtomicUsize,
    ahead: usize,
}

impl<'a> Waiter<'a> {
    fn join(waiting: &'a AtomicUsize) -> Self {
        let ahead = waiting.fetch_add(1, Ordering::Relaxed);
        Self { waiting, ahead }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up, so that every salt is another one.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = (self.0.fetch_add(1, Ordering::Relaxed) % 251) as u8;
            }
        }
    }

    fn cheap() -> PasswordSettings {
        PasswordSettings {
            memory_kib: 64,
            iterations: 1,
            ..PasswordSettings::default()
        }
    }

    fn hasher(settings: &PasswordSettings) -> Argon2Passwords {
        Argon2Passwords::new(settings, Arc::new(Counting::default())).unwrap()
    }

    #[tokio::test]
    async fn a_password_opens_its_hash_and_no_other_does() {
        let passwords = hasher(&cheap());
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(
            passwords
                .verify("correct horse".into(), hash.clone())
                .await
                .unwrap()
        );
        assert!(!passwords.verify("battery".into(), hash).await.unwrap());
    }

    #[tokio::test]
    async fn the_built_in_settings_are_owasps() {
        let passwords = hasher(&PasswordSettings::default());
        let hash = passwords.hash("x".into()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
    }

    #[tokio::test]
    async fn every_hash_has_its_own_salt() {
        let passwords = hasher(&cheap());
        let first = passwords.hash("same".into()).await.unwrap();
        assert_ne!(first, passwords.hash("same".into()).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_other_settings_stay_valid_and_are_to_be_renewed() {
        let old = hasher(&cheap());
        let new = hasher(&PasswordSettings {
            iterations: 2,
            ..cheap()
        });
        let hash = old.hash("secret".into()).await.unwrap();
        assert!(!old.needs_rehash(&hash));
        assert!(new.needs_rehash(&hash));
        assert!(new.needs_rehash("no hash at all"));
        assert!(new.verify("secret".into(), hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_hash_is_the_servers_fault() {
        let passwords = hasher(&cheap());
        let verified = passwords.verify("x".into(), "$1$nonsense".into()).await;
        assert!(matches!(verified, Err(Error::Internal(_))));
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_asked_to_come_back() {
        let passwords = Arc::new(hasher(&PasswordSettings {
            concurrency: 1,
            queue: 1,
            ..cheap()
        }));
        let turn = passwords.turn().await.unwrap();
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.hash("first".into()).await }
        });
        while passwords.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.hash("second".into()).await;
        assert!(matches!(
            refused,
            Err(Error::Unavailable {
                retry_after: 1..,
                ..
            })
        ));
        drop(turn);
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let settings = PasswordSettings {
            memory_kib: 8,
            parallelism: 4,
            ..cheap()
        };
        assert!(Argon2Passwords::new(&settings, Arc::new(Counting::default())).is_err());
    }
}
