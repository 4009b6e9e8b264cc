//! `GET /c/count`: how many documents match.

use nubo_core::{Result, access::Action};
use poem::{Request, Response};

use crate::{
    filter,
    parameters::Parameters,
    resource::{Resource, admitted},
    respond,
};

pub(crate) async fn count(resource: &Resource, request: &Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Read)?;
    let parameters = Parameters::read(request.uri().query(), &["filter"])?;
    let filter = filter::read(resource, &parameters)?;
    let count = resource
        .store
        .count(&caller, resource.collection.id, filter)
        .await?;
    Ok(respond::read(
        format!("{{\"count\":{count}}}"),
        respond::Told::truth(),
    ))
}
