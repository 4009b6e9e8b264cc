//! `PATCH /c/{id}` and `PUT /c/{id}`: one document changes.

use nubo_core::{
    Error, Result, Violation,
    access::Action,
    caller::Caller,
    change::{Change, read_patch, read_replacement},
    id::Id,
    write::{Guard, Operation, Outcome, Target},
};
use poem::{Request, Response};
use serde_json::Value as Json;

use crate::{
    body::{self, Accepts},
    conditions,
    parameters::Parameters,
    resource::{self, Resource, unexpected},
    respond,
};

pub(crate) async fn patch(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = resource::admitted(resource, request, Action::Update)?;
    let (id, guard) = target(request)?;
    let limit = resource.settings.body_limit;
    let json = body::read(request, Accepts::Patch, limit).await?;
    let change = read_patch(&resource.catalog, &resource.collection, &json)?;
    update(resource, &caller, Target::One { id, guard }, change).await
}

pub(crate) async fn replace(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = resource::admitted(resource, request, Action::Update)?;
    let (id, guard) = target(request)?;
    let limit = resource.settings.body_limit;
    let json = body::read(request, Accepts::Json, limit).await?;
    check_same_id(&json, id)?;
    let change = read_replacement(&resource.catalog, &resource.collection, &json)?;
    update(resource, &caller, Target::One { id, guard }, change).await
}

/// A document may bring its id, but not another one's.
pub(crate) fn check_same_id(document: &Json, id: Id) -> Result<()> {
    let same = match document.get("id") {
        None | Some(Json::Null) => true,
        Some(Json::String(text)) => text.parse() == Ok(id),
        Some(_) => false,
    };
    if same {
        return Ok(());
    }
    let message = format!("must be {id}, the id of the document that is replaced");
    Err(Error::Invalid(vec![Violation::new(
        "/id",
        "read_only",
        message,
    )]))
}

fn target(request: &Request) -> Result<(Id, Guard)> {
    Parameters::none(request.uri().query())?;
    Ok((
        resource::id(request)?,
        conditions::guard(request.headers())?,
    ))
}

async fn update(
    resource: &Resource,
    caller: &Caller,
    target: Target,
    change: Change,
) -> Result<Response> {
    let operation = Operation::Update {
        collection: resource.collection.id,
        target,
        change,
    };
    match resource.write(caller, operation).await? {
        Outcome::Updated(document) => Ok(respond::written(&resource.collection, &document)),
        other => Err(unexpected(&other)),
    }
}
