//! `DELETE /c/{id}`: the end of one document.

use nubo_core::{
    Result,
    write::{Operation, Outcome, Target},
};
use poem::{Request, Response};

use crate::{
    conditions,
    parameters::Parameters,
    resource::{self, Resource, caller, unexpected},
    respond,
};

pub(crate) async fn remove(resource: &Resource, request: &Request) -> Result<Response> {
    Parameters::none(request.uri().query())?;
    let operation = Operation::Delete {
        collection: resource.collection.id,
        target: Target::One {
            id: resource::id(request)?,
            guard: conditions::guard(request.headers())?,
        },
    };
    match resource.write(&caller(request), operation).await? {
        Outcome::Deleted => Ok(respond::nothing()),
        other => Err(unexpected(&other)),
    }
}
