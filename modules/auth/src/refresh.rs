//! `POST /refresh`: a refresh token for a new one and a new access token.
//!
//! Each refresh token is used once. One that comes a second time was copied by somebody, and nobody
//! can tell who is who: the session ends. Only shortly after it was replaced the same token gets
//! the same successor, because two tabs of one browser refresh at the same moment.

use nubo_core::{
    Error, Result, document::Document, id::Id, request::parameters::Parameters, schema::Collection,
    time::Timestamp, value::Value, write::Operation,
};
use poem::{Request, Response, http::StatusCode};

use crate::{
    access_token::refused,
    admission::revoked,
    input::{self, Input},
    lookup,
    refresh_token::RefreshToken,
    session::{self, Origin, TokenState},
    shared::Shared,
    throttle::Attempt,
};

/// How often a session is read again that somebody else has changed meanwhile.
const TRIES: usize = 5;

/// What a token is, held against its session.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// It is the one in force.
    Current,
    /// It was replaced just now.
    JustReplaced,
    /// It was replaced some time ago: somebody has a copy.
    Again,
    /// It was made here, but not for this session as it is, as after a restored backup.
    Unknown,
}

pub(crate) async fn refresh(shared: &Shared, request: &mut Request) -> Result<Response> {
    Parameters::none(request.uri().query())?;
    let origin = Origin::of(request);
    let json = input::read(request, input::SMALL).await?;
    let mut input = Input::of(json)?;
    let text = input.text("refresh_token");
    input.only(&["refresh_token"]);
    input.finish()?;
    shared.admit(Attempt::Refresh, &origin).await?;
    let token = shared.keys.refresh()?.read(&text).ok_or_else(invalid)?;

    for _ in 0..TRIES {
        match exchange(shared, &token, &origin).await {
            // Another tab was faster; its successor is there now.
            Err(Error::PreconditionFailed { .. }) => {}
            Err(error) => return Err(error),
            Ok((account, successor, document)) => {
                let caller = shared.caller_of(account, &document, successor.session);
                let user = shared.as_seen_by_owner(&caller, &document).await?;
                return shared.tokens(StatusCode::OK, account, &successor, &user);
            }
        }
    }
    Err(Error::unavailable(
        "busy",
        "the session is being used too often at the same moment",
    ))
}

/// One try: the account, the token in force from now on, and the account's document.
async fn exchange(
    shared: &Shared,
    token: &RefreshToken,
    origin: &Origin,
) -> Result<(Id, RefreshToken, Document)> {
    let model = &shared.model.sessions;
    let found = lookup::by_id(&*shared.store, &model.collection, token.session).await?;
    let (state, session) = found
        .and_then(|document| Some((TokenState::of(model, &document)?, document)))
        .ok_or_else(revoked)?;
    let now = shared.clock.now();
    if state.revoked {
        return Err(revoked());
    }
    if state.expires_at <= now {
        return Err(refused(
            "expired_refresh_token",
            "the session was not used for too long",
        ));
    }
    let accounts = &shared.model.accounts;
    let account = lookup::by_id(&*shared.store, &accounts.collection, state.account).await?;
    let account = account.filter(|document| accounts.refusal(document).is_none());
    let account = account.ok_or_else(revoked)?;

    let tokens = shared.keys.refresh()?;
    let successor = match use_of(token, &state, now, shared.reuse_grace) {
        Use::Current => {
            let successor = tokens.successor(token);
            let times = (now, shared.session_end(now));
            let rotate = session::rotate(model, &session, &successor, origin, times);
            shared.accounts.write(vec![rotate], Vec::new()).await?;
            successor
        }
        Use::JustReplaced => tokens
            .successor_with_hash(token, &state.hash)
            .ok_or_else(invalid)?,
        Use::Again => {
            end(shared, token, &state, &session, origin).await?;
            return Err(refused(
                "reused_refresh_token",
                "this refresh token was used before; the session has ended for safety",
            ));
        }
        Use::Unknown => return Err(invalid()),
    };
    Ok((state.account, successor, account))
}

fn use_of(token: &RefreshToken, state: &TokenState, now: Timestamp, grace: i64) -> Use {
    let behind = state.generation - i64::from(token.generation);
    let since = now.millis() - state.refreshed_at.millis();
    match behind {
        0 if token.hash() == state.hash => Use::Current,
        1 if since <= grace => Use::JustReplaced,
        1.. => Use::Again,
        _ => Use::Unknown,
    }
}

/// Ends the session and reports it, in one transaction.
async fn end(
    shared: &Shared,
    token: &RefreshToken,
    state: &TokenState,
    session: &Document,
    origin: &Origin,
) -> Result<()> {
    let model = &shared.model.sessions;
    let end = session::end_reused(model, token.session, session.revision());
    let report = report(shared, token.session, state.account, origin);
    tracing::warn!(
        session = %token.session,
        account = %state.account,
        "a refresh token was used a second time; its session has ended"
    );
    shared
        .accounts
        .write(vec![end], report.into_iter().collect())
        .await?;
    Ok(())
}

fn report(shared: &Shared, session: Id, account: Id, origin: &Origin) -> Option<Operation> {
    let audit = shared.model.audit.as_ref()?;
    let mut document = Document::empty(&audit.collection);
    document.set(Collection::ID, Value::Uuid(shared.new_id().uuid()));
    document.set(audit.action, Value::Text("refresh_token_reused".into()));
    let sessions = &shared.model.sessions.collection.name;
    let said = [
        (audit.actor, Some(Value::Uuid(account.uuid()))),
        (audit.of_collection, Some(Value::Text(sessions.clone()))),
        (audit.document, Some(Value::Uuid(session.uuid()))),
        (audit.ip, origin.address.map(Value::Ip)),
    ];
    for (index, value) in said {
        if let (Some(index), Some(value)) = (index, value) {
            document.set(index, value);
        }
    }
    Some(Operation::Create {
        collection: audit.collection.id,
        document,
    })
}

fn invalid() -> Error {
    refused(
        "invalid_refresh_token",
        "this is no refresh token of this server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::Dice, refresh_token::RefreshTokens, settings::Secret};

    #[test]
    fn a_token_is_current_just_replaced_or_a_copy() {
        let tokens = RefreshTokens::new(&Secret("s".repeat(32)), &[]);
        let id = Id::from_uuid(uuid::Uuid::from_u128(1));
        let first = tokens.first(id, &Dice::default());
        let second = tokens.successor(&first);
        let at = Timestamp::from_millis;
        let state = |token: &RefreshToken| TokenState {
            account: id,
            hash: token.hash(),
            generation: i64::from(token.generation),
            refreshed_at: at(100_000),
            expires_at: at(1_000_000),
            revoked: false,
        };
        let judged = |token, state: &TokenState, now| use_of(token, state, at(now), 10_000);
        assert_eq!(judged(&first, &state(&first), 900_000), Use::Current);
        assert_eq!(judged(&first, &state(&second), 110_000), Use::JustReplaced);
        assert_eq!(judged(&first, &state(&second), 110_001), Use::Again);
        let third = tokens.successor(&second);
        assert_eq!(judged(&first, &state(&third), 100_000), Use::Again);
        assert_eq!(judged(&second, &state(&first), 100_000), Use::Unknown);
        let other = tokens.first(id, &Dice::starting_at(99));
        assert_eq!(judged(&other, &state(&first), 100_000), Use::Unknown);
    }
}
