//! Who people are: accounts, sign-up and login, sessions, tokens, and how passwords are kept.
//!
//! [`Auth`] is the module. At set-up it finds in the catalog what its settings name ([`model`]);
//! without a collection of accounts it stays out of the way. Every request that brings an access
//! token passes by [`admission`], which checks the token ([`access_token`]) and asks the
//! [`registry`] whether session and account are live. Start there, or with the route you are
//! interested in: [`signup`], [`login`], [`refresh`], [`logout`], [`me`], [`password_change`],
//! [`my_sessions`], [`test_token`]. What they have in common is in [`shared`]; [`accounts`] is also
//! for the command line.
//!
//! The module never goes by the store: the accounts are documents like any others, and what people
//! send is held to the access rules. A password in clear goes no further than the store and this
//! crate; it is never stored and never logged.

#![forbid(unsafe_code)]

mod access_token;
mod accounts;
mod admission;
mod clearing;
mod endpoint;
mod examine;
#[cfg(test)]
mod fake;
mod hashing_threads;
mod input;
mod keys;
mod login;
mod logout;
mod lookup;
mod me;
mod mentions;
mod model;
mod my_sessions;
mod openapi;
mod password_change;
mod password_guard;
mod passwords;
mod refresh;
mod refresh_token;
mod registry;
mod respond;
mod routes;
mod secret;
mod session;
mod settings;
mod shared;
mod signature;
mod signup;
mod test_token;
#[cfg(test)]
mod tests;
mod throttle;
mod verified;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    module::{Context, Contribution, Module, Section, SetupError},
    passwords::Passwords,
    sessions::{NoSessions, Sessions},
};

use admission::Admission;
use keys::Keys;
use model::Model;
use password_guard::PasswordGuard;
use registry::Registry;
use settings::period;
use shared::Shared;
use throttle::Throttle;

pub use accounts::Accounts;
pub use passwords::Argon2Passwords;
pub use settings::{
    AccountSettings, PasswordSettings, RateSettings, Secret, SessionFields, SessionSettings,
    Settings, ThrottleSettings, TokenSettings,
};

/// Name of the file in the data folder that keeps the secret.
const SECRET_FILE: &str = "jwt_secret";

/// The module `auth`.
#[derive(Default)]
pub struct Auth {
    passwords: Arc<LatePasswords>,
    /// Set at set-up, where the catalog has accounts.
    shared: OnceLock<Arc<Shared>>,
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

    /// The accounts, once the module is set up and where the catalog has any.
    pub fn accounts(&self) -> Option<Arc<Accounts>> {
        self.shared.get().map(|shared| Arc::clone(&shared.accounts))
    }
}

#[async_trait]
impl Module for Auth {
    fn name(&self) -> &'static str {
        "auth"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>().examined_by(examine::examine)
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        let passwords = Argon2Passwords::new(&settings.passwords, context.random.clone())?;
        let passwords = Arc::new(passwords);
        let twice = || SetupError::new("auth is set up twice");
        self.passwords
            .0
            .set(passwords.clone())
            .map_err(|_| twice())?;
        let Some(model) = Model::resolve(&settings, &context.catalog)? else {
            return Ok(Contribution {
                sessions: Some(Arc::new(NoSessions)),
                ..Contribution::default()
            });
        };
        let model = Arc::new(model);
        let shared = Arc::new(shared(&settings, context, Arc::clone(&model), passwords)?);
        self.shared.set(Arc::clone(&shared)).map_err(|_| twice())?;
        Ok(Contribution {
            routes: routes::routes(&shared, settings.dev_tokens),
            openapi: vec![openapi::fragment(&shared, settings.dev_tokens)],
            hooks: vec![Arc::new(PasswordGuard(model))],
            observers: vec![shared.admission.registry.clone()],
            sessions: Some(Arc::clone(&shared.admission) as Arc<dyn Sessions>),
            ..Contribution::default()
        })
    }

    async fn start(&self) -> Result<(), SetupError> {
        let Some(shared) = self.shared.get() else {
            return Ok(());
        };
        shared.keys.load(&*shared.random)?;
        if !shared.admission.registry.hears_all() && !shared.keys.is_configured() {
            tracing::info!(
                "tokens are signed with a secret of this server's own; other servers on the same \
                 database need the same JWT_SECRET"
            );
        }
        // Made now, so that not even the first sign-in to no account takes longer than others.
        let made = shared.dummy.hash(&shared.passwords).await;
        made.map_err(|error| SetupError::caused("no password can be hashed", error))?;
        if shared.admission.dev_tokens {
            tracing::warn!(
                "auth.dev_tokens is on: GET /token gives anybody a token for any account"
            );
        }
        Ok(())
    }
}

/// What the routes work with.
fn shared(
    settings: &Settings,
    context: &Context,
    model: Arc<Model>,
    passwords: Arc<Argon2Passwords>,
) -> Result<Shared, SetupError> {
    let file = context.data.join(SECRET_FILE);
    let keys = Arc::new(Keys::new(
        &settings.tokens,
        secret::configured(settings)?,
        file,
    )?);
    let accounts = Accounts {
        model: Arc::clone(&model),
        store: Arc::clone(&context.store),
        passwords: Arc::clone(&passwords),
        clock: Arc::clone(&context.clock),
    };
    let admission = Admission {
        model: Arc::clone(&model),
        registry: Arc::new(Registry::new(
            Arc::clone(&model),
            settings.tokens.live_sessions,
            (!context.is_sole_writer).then(|| Arc::clone(&context.bus)),
        )),
        keys: Arc::clone(&keys),
        store: Arc::clone(&context.store),
        clock: Arc::clone(&context.clock),
        dev_tokens: settings.dev_tokens,
    };
    Ok(Shared {
        model,
        accounts: Arc::new(accounts),
        admission: Arc::new(admission),
        keys,
        store: Arc::clone(&context.store),
        passwords,
        dummy: passwords::Dummy::default(),
        throttle: Throttle::new(&settings.throttle, Arc::clone(&context.buckets))?,
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
        session_lifetime: period("tokens.refresh", &settings.tokens.refresh)?,
        reuse_grace: period("tokens.reuse_grace", &settings.tokens.reuse_grace)?,
    })
}

/// The store needs passwords before the modules have their settings.
#[derive(Default)]
struct LatePasswords(OnceLock<Arc<Argon2Passwords>>);

impl LatePasswords {
    fn get(&self) -> Result<&Argon2Passwords> {
        let starting = || Error::unavailable("starting", "the server is starting");
        self.0
            .get()
            .map(|passwords| &**passwords)
            .ok_or_else(starting)
    }
}

#[async_trait]
impl Passwords for LatePasswords {
    fn refusal(&self, password: &str) -> Option<(&'static str, String)> {
        // Where nothing can be hashed yet, that will say so.
        self.0.get()?.refusal(password)
    }

    async fn hash(&self, password: String) -> Result<String> {
        self.get()?.hash(password).await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        self.get()?.verify(password, hash).await
    }
}
