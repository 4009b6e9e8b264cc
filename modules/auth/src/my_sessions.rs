//! `GET /me/sessions` and `DELETE /me/sessions/{id}`: where one is signed in, and the end of it.

use nubo_core::{
    Error, Result, document::Document, request::parameters::Parameters, schema::Collection,
};
use poem::{Request, Response, http::StatusCode};

use crate::{
    me, respond, session,
    shared::{Present, Shared},
};

pub(crate) async fn list(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let mut body = b"{\"data\":[".to_vec();
    let mut first = true;
    for session in shared.accounts.live_sessions(present.account).await? {
        if !std::mem::take(&mut first) {
            body.push(b',');
        }
        write(shared, &present, &session, &mut body);
    }
    body.extend_from_slice(b"]}");
    Ok(respond::json(StatusCode::OK, body))
}

/// The session as it is sent, and whether it is this one.
fn write(shared: &Shared, present: &Present, session: &Document, body: &mut Vec<u8>) {
    session.write_json(&shared.model.sessions.collection, body);
    body.pop();
    let current: &[u8] = match me::is_current(present, session) {
        true => b",\"current\":true}",
        false => b",\"current\":false}",
    };
    body.extend_from_slice(current);
}

pub(crate) async fn end(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let id = Collection::read_id(request.raw_path_param("id").unwrap_or_default())?;
    let model = &shared.model.sessions;
    let ended = shared
        .accounts
        .ended(session::end_one(model, present.account, id))
        .await?;
    match ended {
        0 => Err(Error::no_document(&model.collection.name)),
        _ => Ok(respond::nothing()),
    }
}
