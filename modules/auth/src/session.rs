//! Sessions as documents: how one begins, how its refresh token is replaced, how it ends.

use std::net::IpAddr;

use nubo_core::{
    change::Change,
    document::Document,
    filter::{Comparison, Expr, Path, Test},
    id::{Id, Revision},
    time::Timestamp,
    value::Value,
    write::{Guard, Operation, Target},
};
use poem::{Request, http::header::USER_AGENT};
use serde_json::{Map, Value as Json, json};

use crate::{clearing::set, lookup, model::SessionModel, refresh_token::RefreshToken};
use nubo_core::sessions::ClientAddress;

/// Most addresses that a session remembers.
const MAX_ADDRESSES: usize = 10;
/// Most bytes of the user agent that are kept.
const MAX_USER_AGENT: usize = 512;

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// None where the server does not know, as in tests.
    pub address: Option<IpAddr>,
    user_agent: Option<String>,
}

impl Origin {
    /// What the request says of itself.
    pub fn of(request: &Request) -> Self {
        let agent = request
            .headers()
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        Self {
            address: request.data::<ClientAddress>().map(|address| address.0),
            user_agent: agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
        }
    }
}

/// What a refresh token's use is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenState {
    pub account: Id,
    pub hash: String,
    pub generation: i64,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked: bool,
}

impl TokenState {
    /// None where the document is no session of this module.
    pub fn of(model: &SessionModel, document: &Document) -> Option<Self> {
        let Value::Uuid(account) = document.value(model.account) else {
            return None;
        };
        let Value::Text(hash) = document.value(model.refresh_token_hash) else {
            return None;
        };
        let Value::Timestamp(expires_at) = document.value(model.expires_at) else {
            return None;
        };
        Some(Self {
            account: Id::from_uuid(*account),
            hash: hash.clone(),
            generation: match document.value(model.generation) {
                Value::Int(number) => *number,
                _ => 0,
            },
            refreshed_at: match document.value(model.refreshed_at) {
                Value::Timestamp(time) => *time,
                _ => Timestamp::from_millis(0),
            },
            expires_at: *expires_at,
            revoked: *document.value(model.revoked) == Value::Bool(true),
        })
    }
}

/// The operation that begins a session.
pub(crate) fn begin(
    model: &SessionModel,
    account: Id,
    token: &RefreshToken,
    device: Option<Json>,
    origin: &Origin,
    (now, expires_at): (Timestamp, Timestamp),
) -> Operation {
    let mut document = Document::empty(&model.collection);
    let mut put = |index: usize, value: Value| document.set(index, value);
    put(
        nubo_core::schema::Collection::ID,
        Value::Uuid(token.session.uuid()),
    );
    put(model.account, Value::Uuid(account.uuid()));
    put(model.refresh_token_hash, Value::Text(token.hash()));
    put(model.generation, Value::Int(i64::from(token.generation)));
    put(model.refreshed_at, Value::Timestamp(now));
    put(model.expires_at, Value::Timestamp(expires_at));
    put(model.revoked, Value::Bool(false));
    if let Some(index) = model.device_info {
        put(index, device_info(device, origin));
    }
    if let (Some(index), Some(address)) = (model.ip, origin.address) {
        put(index, Value::List(vec![Value::Ip(address)]));
    }
    Operation::Create {
        collection: model.collection.id,
        document,
    }
}

fn device_info(device: Option<Json>, origin: &Origin) -> Value {
    let mut info = Map::new();
    if let Some(agent) = &origin.user_agent {
        info.insert("user_agent".into(), json!(agent));
    }
    if let Some(device) = device {
        info.insert("device".into(), device);
    }
    match info.is_empty() {
        true => Value::Null,
        false => Value::Json(info.into()),
    }
}

/// The operation that puts a refresh token in the place of the one before, provided that the
/// session is still at this revision.
pub(crate) fn rotate(
    model: &SessionModel,
    document: &Document,
    token: &RefreshToken,
    origin: &Origin,
    (now, expires_at): (Timestamp, Timestamp),
) -> Operation {
    let mut steps = vec![
        (model.refresh_token_hash, Value::Text(token.hash())),
        (model.generation, Value::Int(i64::from(token.generation))),
        (model.refreshed_at, Value::Timestamp(now)),
        (model.expires_at, Value::Timestamp(expires_at)),
    ];
    if let (Some(index), Some(address)) = (model.ip, origin.address)
        && let Some(addresses) = with_address(document.value(index), address)
    {
        steps.push((index, addresses));
    }
    change(model, token.session, Some(document.revision()), steps)
}

/// The addresses with a new one; none where it is there already.
fn with_address(before: &Value, address: IpAddr) -> Option<Value> {
    let mut addresses = match before {
        Value::List(items) => items.clone(),
        _ => Vec::new(),
    };
    if addresses.contains(&Value::Ip(address)) {
        return None;
    }
    addresses.push(Value::Ip(address));
    let surplus = addresses.len().saturating_sub(MAX_ADDRESSES);
    addresses.drain(..surplus);
    Some(Value::List(addresses))
}

/// The operation that ends a session because its token was used twice, provided that it is still
/// at this revision.
pub(crate) fn end_reused(model: &SessionModel, session: Id, revision: Revision) -> Operation {
    change(
        model,
        session,
        Some(revision),
        vec![(model.revoked, Value::Bool(true))],
    )
}

fn change(
    model: &SessionModel,
    id: Id,
    revision: Option<Revision>,
    values: Vec<(usize, Value)>,
) -> Operation {
    let steps = values
        .into_iter()
        .map(|(index, value)| set(&model.collection, index, value));
    Operation::Update {
        collection: model.collection.id,
        target: Target::One {
            id,
            guard: Guard {
                revisions: revision.map(|revision| vec![revision]),
            },
        },
        change: Change {
            steps: steps.collect(),
        },
    }
}

/// The condition that a session belongs to an account and was not ended.
fn not_ended(model: &SessionModel, account: Id) -> Expr {
    let collection = &model.collection;
    let ended = lookup::equal(collection, model.revoked, Value::Bool(true));
    of_account(model, account).and(Expr::Not(Box::new(ended)))
}

/// The condition that a session belongs to an account and is live.
pub(crate) fn live(model: &SessionModel, account: Id, now: Timestamp) -> Expr {
    let goes_on = end_is(model, Comparison::Greater, now);
    not_ended(model, account).and(goes_on)
}

/// A condition on when a session ends unless it is used.
fn end_is(model: &SessionModel, comparison: Comparison, time: Timestamp) -> Expr {
    let field = &model.collection.fields()[model.expires_at];
    let test = Test::Compare(comparison, Value::Timestamp(time));
    Expr::field(Path::to_field(model.expires_at, field), test)
}

/// The operation that ends all sessions of an account, or all but one.
pub(crate) fn end_all(model: &SessionModel, account: Id, except: Option<Id>) -> Operation {
    let filter = not_ended(model, account);
    end(
        model,
        match except {
            None => filter,
            Some(kept) => filter.and(Expr::Not(Box::new(lookup::with_id(
                &model.collection,
                kept,
            )))),
        },
    )
}

/// The operation that ends all sessions of an account and takes out of them, and of those that
/// had ended before, what they say of a person.
pub(crate) fn clear_all(model: &SessionModel, account: Id) -> Operation {
    let collection = &model.collection;
    let personal = [model.device_info, model.ip].into_iter().flatten();
    let cleared = personal.map(|index| set(collection, index, Value::Null));
    let revoked = set(collection, model.revoked, Value::Bool(true));
    Operation::Update {
        collection: collection.id,
        target: Target::Matching(of_account(model, account)),
        change: Change {
            steps: std::iter::once(revoked).chain(cleared).collect(),
        },
    }
}

/// The operation that deletes the sessions of an account whose time has been over for a while.
/// Nothing else would ever delete them.
pub(crate) fn forget(model: &SessionModel, account: Id, before: Timestamp) -> Operation {
    let over = end_is(model, Comparison::Less, before);
    Operation::Delete {
        collection: model.collection.id,
        target: Target::Matching(of_account(model, account).and(over)),
    }
}

fn of_account(model: &SessionModel, account: Id) -> Expr {
    lookup::equal(
        &model.collection,
        model.account,
        Value::Uuid(account.uuid()),
    )
}

/// The operation that ends one session of an account.
pub(crate) fn end_one(model: &SessionModel, account: Id, session: Id) -> Operation {
    let one = lookup::with_id(&model.collection, session);
    end(model, one.and(not_ended(model, account)))
}

fn end(model: &SessionModel, filter: Expr) -> Operation {
    Operation::Update {
        collection: model.collection.id,
        target: Target::Matching(filter),
        change: Change {
            steps: vec![set(&model.collection, model.revoked, Value::Bool(true))],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_remembers_the_last_addresses() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut addresses = Value::Null;
        for last in 1..=12 {
            addresses = with_address(&addresses, address(last)).unwrap();
        }
        assert_eq!(with_address(&addresses, address(12)), None);
        let Value::List(items) = addresses else {
            panic!("no list");
        };
        let expected: Vec<Value> = (3..=12).map(|last| Value::Ip(address(last))).collect();
        assert_eq!(items, expected);
    }
}
