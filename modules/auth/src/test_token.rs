//! `GET /token?sub=…&roles=…`: a token for any account, without a password. Only there where the
//! settings say so, for development and load tests.

use nubo_core::{
    Error, Result,
    request::parameters::{Parameters, invalid},
};
use poem::{Request, Response, http::StatusCode};
use serde_json::json;

use crate::{respond, shared::Shared};

pub(crate) async fn issue(shared: &Shared, request: &mut Request) -> Result<Response> {
    let parameters = Parameters::read(request.uri().query(), &["sub", "roles"])?;
    let sub = parameters
        .get("sub")
        .ok_or_else(|| invalid("sub", "is required"))?;
    let id = sub
        .parse()
        .map_err(|_| invalid("sub", "must be the id of an account"))?;
    let roles = parameters.get("roles").map(|roles| {
        let roles = roles.split(',').map(str::trim);
        roles
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect()
    });
    let account = shared.admission.account(id).await?;
    if account.is_none_or(|account| account.refused.is_some()) {
        return Err(Error::no_document(&shared.model.accounts.collection.name));
    }
    let access = shared.keys.access()?;
    let token = access.issue(id, None, roles, shared.clock.now(), &*shared.random)?;
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": access.seconds(),
    });
    Ok(respond::json(StatusCode::OK, body.to_string()))
}
