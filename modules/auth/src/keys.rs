//! What makes and checks tokens. Where the secret comes from a file, it is there once the server
//! has started.

use std::{path::PathBuf, sync::OnceLock};

use nubo_core::{Error, Result, clock::Random, module::SetupError};

use crate::{
    access_token::AccessTokens,
    refresh_token::RefreshTokens,
    secret::{self, Configured},
    settings::{Secret, TokenSettings, period},
};

/// Both kinds of tokens, once there is a secret.
pub(crate) struct Keys {
    settings: TokenSettings,
    /// Milliseconds.
    lifetime: i64,
    configured: Configured,
    file: PathBuf,
    made: OnceLock<(AccessTokens, RefreshTokens)>,
}

impl Keys {
    /// With the secret of the settings, or the one that will be in the file.
    pub fn new(
        settings: &TokenSettings,
        configured: Configured,
        file: PathBuf,
    ) -> Result<Self, SetupError> {
        let lifetime = period("tokens.access", &settings.access)?;
        if lifetime < 1000 {
            return Err(SetupError::new("auth.tokens.access: must be at least 1s"));
        }
        let keys = Self {
            settings: settings.clone(),
            lifetime,
            configured,
            file,
            made: OnceLock::new(),
        };
        if let Some(current) = &keys.configured.current {
            keys.made.get_or_init(|| keys.make(current));
        }
        Ok(keys)
    }

    /// Whether the settings say which secret is in force.
    pub const fn is_configured(&self) -> bool {
        self.configured.current.is_some()
    }

    /// Takes the secret from the file where the settings have none.
    pub fn load(&self, random: &dyn Random) -> Result<(), SetupError> {
        if self.made.get().is_none() {
            let current = secret::kept(&self.file, random)?;
            self.made.get_or_init(|| self.make(&current));
        }
        Ok(())
    }

    fn make(&self, current: &Secret) -> (AccessTokens, RefreshTokens) {
        let (issuer, audience) = (&self.settings.issuer, &self.settings.audience);
        let previous = &self.configured.previous;
        (
            AccessTokens::new(issuer, audience, self.lifetime, current, previous),
            RefreshTokens::new(current, previous),
        )
    }

    /// Access tokens.
    pub fn access(&self) -> Result<&AccessTokens> {
        self.made
            .get()
            .map(|(access, _)| access)
            .ok_or_else(starting)
    }

    /// Refresh tokens.
    pub fn refresh(&self) -> Result<&RefreshTokens> {
        self.made
            .get()
            .map(|(_, refresh)| refresh)
            .ok_or_else(starting)
    }
}

fn starting() -> Error {
    Error::unavailable("starting", "the server is starting")
}
