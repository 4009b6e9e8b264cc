//! `DELETE /c/{id}`: the end of one document.

use nubo_core::{
    Result,
    access::Action,
    write::{Operation, Outcome, Target},
};
use poem::{Request, Response};

use crate::{
    conditions,
    parameters::Parameters,
    resource::{self, Resource, unexpected},
    respond,
};

pub(crate) async fn remove(resource: &Resource, request: &Request) -> Result<Response> {
    let caller = resource::admitted(resource, request, Action::Delete)?;
    Parameters::none(request.uri().query())?;
    let operation = Operation::Delete {
        collection: resource.collection.id,
        target: Target::One {
            id: resource::id(request)?,
            guard: conditions::guard(request.headers())?,
        },
    };
    match resource.write(&caller, operation).await? {
        Outcome::Deleted => Ok(respond::nothing()),
        other => Err(unexpected(&other)),
    }
}
