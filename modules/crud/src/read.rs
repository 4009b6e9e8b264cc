//! `GET /c/{id}`: one document.
//!
//! Without a query string, which is how nearly every request comes, the store's bytes are the
//! answer's body, and nothing is parsed but the id.

use nubo_core::{
    Error, Result,
    access::Action,
    caller::Caller,
    id::Id,
    query::{Query, Start},
};
use poem::{Request, Response};

use crate::{
    conditions, expand,
    parameters::Parameters,
    projection,
    resource::{self, Resource},
    respond::{self, Told},
};

pub(crate) async fn read(resource: &Resource, request: &Request) -> Result<Response> {
    let caller = resource::admitted(resource, request, Action::Read)?;
    let id = resource::id(request)?;
    let mut explain = false;
    if let Some(query) = request.uri().query() {
        let parameters = Parameters::read(Some(query), &["fields", "expand", "explain"])?;
        explain = resource.explains(&caller, parameters.flag("explain")?)?;
        if parameters.get("fields").is_some() || parameters.get("expand").is_some() {
            return shaped(resource, &caller, id, &parameters, explain).await;
        }
    }
    let found = resource
        .store
        .get(&caller, resource.collection.id, id)
        .await?;
    let Some(found) = found else {
        return Err(Error::no_document(&resource.collection.name));
    };
    let told = Told::of(&found, explain);
    let body = found.content;
    let known = conditions::is_known(request.headers(), body.revision)?;
    if known && resource.collection.looks_the_same() {
        return Ok(respond::not_modified(body.revision, told));
    }
    Ok(respond::bare_document(body, told))
}

/// Some of its fields, or with related documents. What is sent then changes with more than the
/// document's revision, so that it has no tag.
async fn shaped(
    resource: &Resource,
    caller: &Caller,
    id: Id,
    parameters: &Parameters<'_>,
    explain: bool,
) -> Result<Response> {
    let collection = &*resource.collection;
    let query = Query {
        collection: collection.id,
        filter: resource.with_id(id),
        sort: collection.order.clone(),
        start: Start::First,
        limit: 1,
        fields: match parameters.get("fields") {
            Some(text) => Some(projection::read(collection, text)?),
            None => None,
        },
    };
    let expansions = match parameters.get("expand") {
        Some(text) => expand::read(&resource.catalog, collection, text)?,
        None => Vec::new(),
    };
    let answer = resource.store.list(caller, query, &expansions).await?;
    let told = Told::of(&answer, explain);
    match answer.content.count {
        0 => Err(Error::no_document(&collection.name)),
        _ => Ok(respond::read(answer.content.documents, told)),
    }
}
