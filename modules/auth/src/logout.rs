//! `POST /logout`: the end of this session, or of all.

use nubo_core::{Error, Result, request::parameters::Parameters};
use poem::{
    Request, Response,
    http::header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::{
    input::{self, Input},
    respond, session,
    shared::Shared,
};

pub(crate) async fn log_out(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let all = match has_body(request) {
        false => false,
        true => match input::read(request, input::SMALL).await {
            // A body in chunks turns out to be none only when it is read.
            Err(Error::BadRequest {
                code: "empty_body", ..
            }) => false,
            body => {
                let mut input = Input::of(body?)?;
                let all = input.flag("all");
                input.only(&["all"]);
                input.finish()?;
                all
            }
        },
    };
    let model = &shared.model.sessions;
    let end = match (all, present.session) {
        (true, _) => session::end_all(model, present.account, None),
        (false, Some(session)) => session::end_one(model, present.account, session),
        // A test token has no session that could end.
        (false, None) => return Ok(respond::nothing()),
    };
    shared.accounts.ended(end).await?;
    Ok(respond::nothing())
}

/// Whether the request brings a body, which logging out does not need.
fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .map(|length| length.as_bytes() != b"0");
    length.unwrap_or(headers.contains_key(TRANSFER_ENCODING))
}
