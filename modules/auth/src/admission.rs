//! Who is behind an access token: the way of every request that brings one.

use std::sync::Arc;

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    caller::{Account, Caller},
    clock::Clock,
    id::Id,
    sessions::{Sessions, SignedIn, Watcher},
    store::Store,
};

use crate::{
    access_token::refused,
    keys::Keys,
    lookup,
    model::Model,
    registry::{KnownAccount, KnownSession, Registry},
};

/// Lets in whoever has a live session of an account that may be used.
pub(crate) struct Admission {
    pub model: Arc<Model>,
    pub registry: Arc<Registry>,
    pub keys: Arc<Keys>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// Whether tokens that belong to no session are valid.
    pub dev_tokens: bool,
}

#[async_trait]
impl Sessions for Admission {
    async fn authenticate(&self, token: &str) -> Result<SignedIn> {
        let now = self.clock.now();
        let claims = self.keys.access()?.check(token, now)?;
        // Where the store has to be asked, it is asked for both at once.
        let session = async {
            match claims.session {
                Some(id) => self.session(id).await,
                None => Ok(None),
            }
        };
        let (session, account) = tokio::try_join!(session, self.account(claims.account))?;
        match claims.session {
            Some(_) => {
                let session = session.ok_or_else(revoked)?;
                let live = !session.revoked && session.expires_at > now;
                if !live || session.account != claims.account {
                    return Err(revoked());
                }
            }
            None if self.dev_tokens => {}
            None => return Err(revoked()),
        }
        let account = account.ok_or_else(revoked)?;
        if account.refused.is_some() {
            return Err(revoked());
        }
        let roles = match claims.session {
            Some(_) => account.roles,
            None => claims.roles.unwrap_or(account.roles),
        };
        let mut caller = Account::new(claims.account, roles).with_fields(account.fields);
        if let Some(session) = claims.session {
            caller = caller.through(session);
        }
        Ok(SignedIn {
            caller: Caller::account(caller),
            session: claims.session,
            expires_at: claims.expires_at,
        })
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.registry.watch(watcher);
    }
}

impl Admission {
    async fn session(&self, id: Id) -> Result<Option<KnownSession>> {
        let model = &self.model.sessions;
        if !self.registry.hears_all() {
            let fields = [model.account, model.expires_at, model.revoked];
            let found = lookup::fields(&*self.store, &model.collection, id, &fields).await?;
            return Ok(found.and_then(|document| KnownSession::of(model, &document)));
        }
        let shelf = self.registry.sessions();
        if let Some(known) = shelf.get(id, |known| *known) {
            return Ok(Some(known));
        }
        let fill = shelf.fill(id);
        let found = lookup::by_id(&*self.store, &model.collection, id).await?;
        let session = found.and_then(|document| KnownSession::of(model, &document));
        if let Some(session) = session {
            fill.put(session);
        }
        Ok(session)
    }

    /// What is known of an account; none where there is no such account.
    pub async fn account(&self, id: Id) -> Result<Option<KnownAccount>> {
        let model = &self.model.accounts;
        if !self.registry.hears_all() {
            let fields = model.known_fields();
            let found = lookup::fields(&*self.store, &model.collection, id, &fields).await?;
            return Ok(found.map(|document| KnownAccount::of(model, &document)));
        }
        let shelf = self.registry.accounts();
        if let Some(known) = shelf.get(id, KnownAccount::clone) {
            return Ok(Some(known));
        }
        let fill = shelf.fill(id);
        let found = lookup::by_id(&*self.store, &model.collection, id).await?;
        let account = found.map(|document| KnownAccount::of(model, &document));
        if let Some(account) = &account {
            fill.put(account.clone());
        }
        Ok(account)
    }
}

/// 401: it was valid once.
pub(crate) fn revoked() -> Error {
    refused(
        "revoked_token",
        "the session has ended, or its account may not be used any more",
    )
}
