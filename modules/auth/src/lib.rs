//! Who people are: so far, how their passwords are kept.
//!
//! [`Auth`] is the module, [`Argon2Passwords`] what hashes and checks passwords. A password in clear
//! goes no further than this crate; it is never stored and never logged.

#![forbid(unsafe_code)]

mod passwords;
mod settings;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    module::{Context, Contribution, Module, Section, SetupError},
    passwords::Passwords,
};

pub use passwords::Argon2Passwords;
pub use settings::{PasswordSettings, Settings};

/// The module `auth`.
#[derive(Default)]
pub struct Auth {
    passwords: Arc<LatePasswords>,
}

impl Auth {
    /// The module, not set up yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What hashes passwords. May be handed to the store before the module is set up; until then
    /// it answers 503.
    pub fn passwords(&self) -> Arc<dyn Passwords> {
        self.passwords.clone()
    }
}

#[async_trait]
impl Module for Auth {
    fn name(&self) -> &'static str {
        "auth"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        let passwords = Argon2Passwords::new(&settings.passwords, context.random.clone())?;
        self.passwords
            .0
            .set(passwords)
            .map_err(|_| SetupError::new("auth is set up twice"))?;
        Ok(Contribution::default())
    }
}

/// The store needs passwords before the modules have their settings.
#[derive(Default)]
struct LatePasswords(OnceLock<Argon2Passwords>);

impl LatePasswords {
    fn get(&self) -> Result<&Argon2Passwords> {
        let starting = || Error::unavailable("starting", "the server is starting");
        self.0.get().ok_or_else(starting)
    }
}

#[async_trait]
impl Passwords for LatePasswords {
    async fn hash(&self, password: String) -> Result<String> {
        self.get()?.hash(password).await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        self.get()?.verify(password, hash).await
    }
}
