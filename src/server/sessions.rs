//! Who knows the sessions: one module, which the others may be set up before.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    module::SetupError,
    sessions::{NoSessions, Sessions, SignedIn, Watcher},
};

/// The sessions, known once the module that brings them has been set up.
#[derive(Default)]
pub(super) struct LateSessions(OnceLock<Arc<dyn Sessions>>);

impl LateSessions {
    /// # Errors
    /// When another module has brought them already.
    pub fn set(&self, sessions: Arc<dyn Sessions>) -> std::result::Result<(), SetupError> {
        let twice = |_| SetupError::new("two modules bring sessions");
        self.0.set(sessions).map_err(twice)
    }
}

#[async_trait]
impl Sessions for LateSessions {
    async fn authenticate(&self, token: &str) -> Result<SignedIn> {
        match self.0.get() {
            Some(sessions) => sessions.authenticate(token).await,
            None => Err(Error::unavailable("starting", "the server is starting")),
        }
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        match self.0.get() {
            Some(sessions) => sessions.watch(watcher),
            None => NoSessions.watch(watcher),
        }
    }
}
