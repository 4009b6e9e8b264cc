//! `PATCH /c?filter=` and `DELETE /c?filter=`: all documents that match.
//!
//! A filter that is forgotten must not be the end of a collection, so that one that says nothing
//! needs `all=true` beside it.

use nubo_core::{
    Error, Result,
    access::Action,
    change::read_patch,
    filter::Expr,
    write::{Operation, Outcome, Target},
};
use poem::{Request, Response};

use crate::{
    body::{self, Accepts},
    conditions, filter,
    parameters::Parameters,
    resource::{Resource, admitted, unexpected},
    respond,
};

pub(crate) async fn change(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Update)?;
    let target = target(resource, request)?;
    let limit = resource.settings.body_limit;
    let json = body::read(request, Accepts::Patch, limit).await?;
    let operation = Operation::Update {
        collection: resource.collection.id,
        target,
        change: read_patch(&resource.catalog, &resource.collection, &json)?,
    };
    match resource.write(&caller, operation).await? {
        Outcome::Changed { matched, modified } => Ok(respond::done(format!(
            "{{\"matched\":{matched},\"modified\":{modified}}}"
        ))),
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn remove(resource: &Resource, request: &Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Delete)?;
    let operation = Operation::Delete {
        collection: resource.collection.id,
        target: target(resource, request)?,
    };
    match resource.write(&caller, operation).await? {
        Outcome::Removed(deleted) => Ok(respond::done(format!("{{\"deleted\":{deleted}}}"))),
        other => Err(unexpected(&other)),
    }
}

fn target(resource: &Resource, request: &Request) -> Result<Target> {
    let parameters = Parameters::read(request.uri().query(), &["filter", "all"])?;
    conditions::refuse_guard(request.headers())?;
    let filter = filter::read(resource, &parameters)?;
    matching(filter, parameters.flag("all")?)
}

/// All documents that match; every single one only if that is said.
pub(crate) fn matching(filter: Expr, all: bool) -> Result<Target> {
    if filter::says_nothing(&filter) && !all {
        return Err(Error::bad_request(
            "empty_filter",
            "without a filter every document is meant; say all=true if so",
        ));
    }
    Ok(Target::Matching(filter))
}
