//! What every route of the module works with, and what several of them do.

use std::sync::Arc;

use nubo_core::{
    Error, Result,
    caller::{Account, Caller},
    clock::{self, Clock, Random},
    document::Document,
    id::Id,
    sessions,
    store::Store,
    time::Timestamp,
    write::Operation,
};
use poem::{Request, Response};
use serde_json::Value as Json;

use crate::{
    accounts::Accounts,
    admission::Admission,
    keys::Keys,
    lookup,
    model::Model,
    passwords::{Argon2Passwords, Dummy},
    refresh_token::RefreshToken,
    registry::KnownAccount,
    respond,
    session::{self, Origin},
    throttle::{Attempt, Subject, Throttle},
};

/// What every route works with.
pub(crate) struct Shared {
    pub model: Arc<Model>,
    pub accounts: Arc<Accounts>,
    pub admission: Arc<Admission>,
    pub keys: Arc<Keys>,
    pub store: Arc<dyn Store>,
    pub passwords: Arc<Argon2Passwords>,
    pub dummy: Dummy,
    pub throttle: Throttle,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// How long a session lives on without being used, in milliseconds.
    pub session_lifetime: i64,
    /// How long a refresh token that was just replaced may be used once more, in milliseconds.
    pub reuse_grace: i64,
}

/// Somebody who is signed in.
pub(crate) struct Present {
    pub caller: Caller,
    pub account: Id,
    /// None behind a test token.
    pub session: Option<Id>,
}

impl Shared {
    /// Who asks: 401 where nobody does.
    pub fn present(request: &Request) -> Result<Present> {
        let caller = sessions::caller(request)?;
        let account = caller.account_id().ok_or_else(Error::missing_token)?;
        Ok(Present {
            session: caller.session(),
            account,
            caller,
        })
    }

    /// A new id.
    pub fn new_id(&self) -> Id {
        clock::new_id(&*self.clock, &*self.random)
    }

    /// The owner of an account, speaking through a session.
    pub fn caller_of(&self, id: Id, document: &Document, session: Id) -> Caller {
        let known = KnownAccount::of(&self.model.accounts, document);
        let account = Account::new(id, known.roles).with_fields(known.fields);
        Caller::account(account.through(session))
    }

    /// Counts an attempt from an address: 429 where there were too many.
    pub async fn admit(&self, attempt: Attempt, origin: &Origin) -> Result<()> {
        match origin.address {
            Some(address) => {
                let subject = Subject::address(address);
                self.throttle.take(attempt, subject).await
            }
            None => Ok(()),
        }
    }

    /// A session that begins now: its first refresh token, and the operation that stores it.
    pub fn begin_session(
        &self,
        account: Id,
        device: Option<Json>,
        origin: &Origin,
    ) -> Result<(RefreshToken, Operation)> {
        let now = self.clock.now();
        let token = self.keys.refresh()?.first(self.new_id(), &*self.random);
        let times = (now, self.session_end(now));
        let begin = session::begin(&self.model.sessions, account, &token, device, origin, times);
        Ok((token, begin))
    }

    /// When a session ends that was used just now.
    pub fn session_end(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis().saturating_add(self.session_lifetime))
    }

    /// When a session was last used that ends now; those that ended before are forgotten.
    pub fn session_start(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis().saturating_sub(self.session_lifetime))
    }

    /// The answer to signing in: tokens and the account.
    pub fn tokens(
        &self,
        status: poem::http::StatusCode,
        account: Id,
        token: &RefreshToken,
        user: &[u8],
    ) -> Result<Response> {
        let access = self.keys.access()?;
        let now = self.clock.now();
        let jwt = access.issue(account, Some(token.session), None, now, &*self.random)?;
        Ok(respond::tokens(
            status,
            &jwt,
            access.seconds(),
            token.text(),
            user,
        ))
    }

    /// An account as its owner sees it. The rules may forget that owners read themselves; `server`
    /// is the document as the server sees it.
    pub async fn as_seen_by_owner(&self, caller: &Caller, server: &Document) -> Result<Vec<u8>> {
        let collection = &self.model.accounts.collection;
        let id = server
            .id()
            .ok_or_else(|| Error::internal("an account without an id"))?;
        match self.store.get(caller, collection.id, id).await {
            Ok(Some(found)) => Ok(found.content.json.to_vec()),
            Ok(None) | Err(Error::Unauthorized { .. }) => {
                let mut json = Vec::new();
                server.write_json(collection, &mut json);
                Ok(json)
            }
            // Who is connected cannot be told at the moment. Nobody is kept out for that.
            Err(Error::Unavailable {
                code: "bus_unavailable",
                ..
            }) => {
                let fields = collection.sent_fields();
                let found = lookup::page(&*self.store, caller, collection, id, fields).await?;
                Ok(found.documents.to_vec())
            }
            Err(error) => Err(error),
        }
    }
}

/// Takes the number of the only operation off the places of an error: whoever asked for one does
/// not know that the server has added others.
pub(crate) fn as_if_alone(mut error: Error) -> Error {
    if let Error::BadRequest { errors, .. }
    | Error::Conflict { errors, .. }
    | Error::Invalid(errors) = &mut error
    {
        for violation in errors {
            if let Some(inside) = violation.path.strip_prefix("/0") {
                violation.path = inside.to_owned();
            }
        }
    }
    error
}
