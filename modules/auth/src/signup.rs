//! `POST /signup`: a new account, and the first session of its owner.
//!
//! The account is created on behalf of itself, in the transaction that begins the session. So what
//! people send is held to the rules of the collection: who signs up is the owner, and has no role.

use nubo_core::{
    Error, Result,
    caller::{Account, Caller},
    document::Document,
    field::Source,
    request::parameters::Parameters,
    schema::Collection,
    value::Value,
    write::{Operation, Outcome},
};
use poem::{Request, Response, http::StatusCode};
use serde_json::Value as Json;

use crate::{
    accounts::refused_password,
    input::{self, Input},
    session::Origin,
    shared::{Shared, as_if_alone},
    throttle::Attempt,
};

pub(crate) async fn sign_up(shared: &Shared, request: &mut Request) -> Result<Response> {
    Parameters::none(request.uri().query())?;
    let origin = Origin::of(request);
    let json = input::read(request, input::ACCOUNT).await?;
    let accounts = &shared.model.accounts;
    let collection = &accounts.collection;
    let (mut document, device) = read(shared, json)?;
    shared.admit(Attempt::SignUp, &origin).await?;

    let id = shared.new_id();
    document.set(Collection::ID, Value::Uuid(id.uuid()));
    let (token, begin) = shared.begin_session(id, device, &origin)?;
    let create = Operation::Create {
        collection: collection.id,
        document,
    };
    let caller = Caller::account(Account::new(id, Vec::new()));
    let written = shared
        .store
        .write_with(&caller, vec![create], vec![begin])
        .await;
    let outcome = written.map_err(as_if_alone)?.into_iter().next();
    let Some(Outcome::Created(document)) = outcome else {
        return Err(Error::internal("the store did not create"));
    };
    let mut user = Vec::new();
    document.write_json(collection, &mut user);
    shared.tokens(StatusCode::CREATED, id, &token, &user)
}

/// The account as it was sent, and what was said of the device.
fn read(shared: &Shared, json: Json) -> Result<(Document, Option<Json>)> {
    let accounts = &shared.model.accounts;
    let collection = &accounts.collection;
    let mut input = Input::of(json)?;
    // A collection may have a field of this name.
    let device = match collection.field_named("device") {
        None => input.device(),
        Some(_) => None,
    };
    if input.has("id") {
        input.refuse("id", "read_only", "is given by the server");
    }
    let document = collection.read_document(&input.finish()?.into(), Source::Json)?;
    if let Value::Secret(password) = document.value(accounts.password)
        && accounts.is_identifier(&document, password)
    {
        let place = &accounts.field(accounts.password).name;
        return Err(refused_password(place, "too_common", SAME_AS_NAME.into()));
    }
    Ok((document, device))
}

/// What is said of a password that everybody tries first.
pub(crate) const SAME_AS_NAME: &str = "must not be what you sign in as";

impl crate::model::AccountModel {
    /// Whether a password is what the account signs in as.
    pub fn is_identifier(&self, document: &Document, password: &str) -> bool {
        let password = password.trim().to_lowercase();
        self.identifiers_of(document)
            .any(|name| name.to_lowercase() == password)
    }
}
