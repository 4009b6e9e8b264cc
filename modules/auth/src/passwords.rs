//! Argon2id on threads of its own, no more at a time than the machine has cores.
//!
//! One hash takes some 20 ms and 19 MiB by design. Without bounds, a burst of sign-ins would take
//! all cores and all memory; here it waits in a queue, and what no longer fits gets 503.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordVerifier,
        phc::{PasswordHash, Salt},
    },
};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nubo_core::{Error, Result, clock::Random, module::SetupError, passwords::Passwords};
use tokio::sync::OnceCell;

use crate::{hashing_threads::HashingThreads, settings::PasswordSettings};

/// Passwords as argon2id hashes (RFC 9106) in PHC strings.
pub struct Argon2Passwords {
    params: Params,
    random: Arc<dyn Random>,
    threads: HashingThreads,
    max_length: usize,
    refuse_common: bool,
    /// How many passwords were checked.
    #[cfg(test)]
    pub(crate) verified: AtomicUsize,
}

/// Fewer guesses than this are tried on every account there is. Of what people choose, that is
/// what stands in lists of leaked passwords, with or without a year or an exclamation mark.
const FEWEST_GUESSES: u64 = 100_000;
/// Longer passwords may be silly, but are on no list.
const LONGEST_COMMON: usize = 32;
/// Looking for words in which signs stand for letters takes longer the more there are: up to 50 ms
/// for some. Passwords with more of them than this are looked at only where they are short.
const MOST_SIGNS: usize = 5;
const SHORT: usize = 16;

/// Whether a password is one of the first that are guessed.
fn is_common(password: &str) -> bool {
    let length = password.chars().count();
    let mut signs: Vec<char> = password.chars().filter(|c| !c.is_alphabetic()).collect();
    signs.sort_unstable();
    signs.dedup();
    let is_quick = length <= SHORT || signs.len() <= MOST_SIGNS;
    length <= LONGEST_COMMON && is_quick && zxcvbn::zxcvbn(password, &[]).guesses() < FEWEST_GUESSES
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
            threads: HashingThreads::new(concurrency, settings.queue as usize),
            max_length: settings.max_length as usize,
            refuse_common: settings.refuse_common,
            #[cfg(test)]
            verified: AtomicUsize::new(0),
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
}

#[async_trait]
impl Passwords for Argon2Passwords {
    fn refusal(&self, password: &str) -> Option<(&'static str, String)> {
        let length = password.chars().count();
        if length > self.max_length {
            let most = self.max_length;
            return Some(("too_long", format!("must have at most {most} characters")));
        }
        let common = self.refuse_common && is_common(password);
        common.then(|| {
            (
                "too_common",
                "is one of the first that are guessed".to_owned(),
            )
        })
    }

    async fn hash(&self, password: String) -> Result<String> {
        let mut salt = [0; Salt::RECOMMENDED_LENGTH];
        self.random.fill(&mut salt);
        let params = self.params.clone();
        self.threads
            .compute(move || {
                argon2()
                    .hash_password_with_params(password.as_bytes(), &salt, params)
                    .map(|hash: PasswordHash| hash.to_string())
                    .map_err(Error::internal)
            })
            .await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        #[cfg(test)]
        self.verified.fetch_add(1, Ordering::Relaxed);
        self.threads
            .compute(move || {
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

/// The hash of a password that nobody knows, for accounts that do not exist: checking against it
/// takes as long as against a real one.
#[derive(Default)]
pub(crate) struct Dummy(OnceCell<String>);

impl Dummy {
    /// The hash, with the parameters in force.
    pub async fn hash(&self, passwords: &Argon2Passwords) -> Result<String> {
        let make = || async {
            let mut secret = [0; 32];
            passwords.random.fill(&mut secret);
            passwords.hash(URL_SAFE_NO_PAD.encode(secret)).await
        };
        self.0.get_or_try_init(make).await.cloned()
    }
}

/// The algorithm. What it costs comes with each call: from the settings, or from the hash that is
/// checked.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
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

    #[test]
    fn what_everybody_chooses_is_common() {
        for password in [
            "password1",
            "Passw0rd!",
            "qwertyuiop",
            "letmein!!",
            "aaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(is_common(password), "{password}");
        }
        let many_signs = "4@8({[<369&#!1/|\\0$5+7%2zZ4@8";
        for password in [
            "correct horse battery",
            "j8Kp2mXq",
            "another horse",
            many_signs,
        ] {
            assert!(!is_common(password), "{password}");
        }
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
