//! Who is behind a token.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use poem::Request;

use crate::{
    caller::Caller,
    error::{Error, Result},
    id::Id,
    time::Timestamp,
};

/// Knows the sign-ins that are live.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Whose access token this is. 401 says what is wrong with it: `malformed_token`,
    /// `invalid_signature`, `expired_token`, `revoked_token`.
    ///
    /// A session that was ended, or an account that was closed, before the question arrived is
    /// refused.
    async fn authenticate(&self, token: &str) -> Result<SignedIn>;

    /// Tells somebody from now on whose accounts or sessions change.
    fn watch(&self, watcher: Arc<dyn Watcher>);
}

/// Wants to know when it is time to look again at who is behind a token.
pub trait Watcher: Send + Sync + 'static {
    /// An account or a session of it has changed, or may have. Called by the task that writes,
    /// before the one who made the change is answered and before the change is published: it must
    /// be quick and must not wait.
    fn changed(&self, account: Id);
}

/// Where there are no accounts, there is nobody behind any token.
pub struct NoSessions;

#[async_trait]
impl Sessions for NoSessions {
    async fn authenticate(&self, _: &str) -> Result<SignedIn> {
        Err(Error::Unauthorized {
            code: "revoked_token",
            detail: "this server has no accounts".into(),
        })
    }

    fn watch(&self, _: Arc<dyn Watcher>) {}
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedIn {
    pub caller: Caller,
    /// None for a token that belongs to no session, as tokens for tests do.
    pub session: Option<Id>,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

/// What the token of a request says, left in its extensions by the server. A token that is refused
/// matters only where somebody asks who it is: signing in again needs none.
#[derive(Debug, Clone)]
pub enum Identity {
    SignedIn(SignedIn),
    /// Code and words of the 401.
    Refused(&'static str, String),
    /// It could not be found out.
    Unknown,
}

/// On whose behalf a request is made: 401 where its token is refused, 503 where that cannot be told
/// at the moment.
pub fn caller(request: &Request) -> Result<Caller> {
    match request.data::<Identity>() {
        None => Ok(Caller::Anonymous),
        Some(Identity::SignedIn(signed_in)) => Ok(signed_in.caller.clone()),
        Some(Identity::Refused(code, detail)) => Err(Error::Unauthorized {
            code,
            detail: detail.clone(),
        }),
        Some(Identity::Unknown) => Err(Error::unavailable(
            "sessions_unavailable",
            "it cannot be found out at the moment who asks",
        )),
    }
}

/// The address a request comes from, left in its extensions by the server: that of the client
/// itself where a trusted proxy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);
