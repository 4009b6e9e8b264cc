//! `GET`, `PATCH` and `DELETE /me`: one's own account.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nubo_core::{
    Error, Result, Violation,
    change::read_patch,
    document::Document,
    id::Id,
    request::{
        body::{self, Accepts},
        conditions,
        parameters::Parameters,
    },
    store::Answer,
    write::{Operation, Outcome, Target},
};
use poem::{Request, Response};

use crate::{
    admission::revoked,
    input, lookup, respond, session,
    shared::{Present, Shared},
};

pub(crate) async fn read(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let collection = &shared.model.accounts.collection;
    match shared
        .store
        .get(&present.caller, collection.id, present.account)
        .await
    {
        Ok(Some(Answer { content: body, .. })) => Ok(respond::document(body.json, body.revision)),
        // The rules may forget that owners read themselves.
        Ok(None) => {
            let document = own(shared, present.account).await?;
            let mut json = Vec::new();
            document.write_json(collection, &mut json);
            Ok(respond::document(json, document.revision()))
        }
        Err(error) => Err(error),
    }
}

/// The same as PATCH on the collection, on behalf of the owner. Only a password takes another way,
/// because it takes the old one.
pub(crate) async fn change(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let guard = conditions::guard(request.headers())?;
    let json = body::read(request, Accepts::Patch, input::ACCOUNT).await?;
    let accounts = &shared.model.accounts;
    let collection = &accounts.collection;
    let change = read_patch(&shared.model.catalog, collection, &json)?;
    let password = change
        .steps
        .iter()
        .find(|step| step.path.whole_field() == Some(accounts.password));
    if let Some(step) = password {
        return Err(Error::Invalid(vec![Violation::new(
            step.pointer.clone(),
            "read_only",
            "is changed with POST /me/password, which takes the current one",
        )]));
    }
    let update = Operation::Update {
        collection: collection.id,
        target: Target::One {
            id: present.account,
            guard,
        },
        change,
    };
    let outcomes = shared.store.write(&present.caller, vec![update]).await?;
    let Some(Outcome::Updated(document)) = outcomes.into_iter().next() else {
        return Err(Error::internal("the store did not update"));
    };
    let mut json = Vec::new();
    document.write_json(collection, &mut json);
    Ok(respond::document(json, document.revision()))
}

/// The account stays, because others refer to it; what it says of a person goes, and nobody can
/// sign in to it again.
pub(crate) async fn delete(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let guard = conditions::guard(request.headers())?;
    let mut secret = [0; 32];
    shared.random.fill(&mut secret);
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let mut name = [0; 16];
    shared.random.fill(&mut name);
    let name = Id::from_uuid(uuid::Builder::from_random_bytes(name).into_uuid());
    let accounts = &shared.model.accounts;
    let clear = Operation::Update {
        collection: accounts.collection.id,
        target: Target::One {
            id: present.account,
            guard,
        },
        change: accounts.clearing(name, &secret),
    };
    let end = session::clear_all(&shared.model.sessions, present.account);
    shared.accounts.write(vec![clear], vec![end]).await?;
    Ok(respond::nothing())
}

/// The account of somebody who is signed in.
pub(crate) async fn own(shared: &Shared, id: Id) -> Result<Document> {
    let collection = &shared.model.accounts.collection;
    let found = lookup::by_id(&*shared.store, collection, id).await?;
    found.ok_or_else(revoked)
}

/// Whether a session is the one that somebody speaks through.
pub(crate) fn is_current(present: &Present, session: &Document) -> bool {
    present.session.is_some() && present.session == session.id()
}
