//! `GET /c/count`: how many documents match.

use nubo_core::Result;
use poem::{Request, Response};

use crate::{
    filter,
    parameters::Parameters,
    resource::{Resource, caller},
    respond,
};

pub(crate) async fn count(resource: &Resource, request: &Request) -> Result<Response> {
    let parameters = Parameters::read(request.uri().query(), &["filter"])?;
    let filter = filter::read(resource, &parameters)?;
    let count = resource
        .store
        .count(&caller(request), resource.collection.id, filter)
        .await?;
    Ok(respond::read(format!("{{\"count\":{count}}}")))
}
