//! `POST /c`: a new document.

use nubo_core::{
    Result,
    access::Action,
    field::Source,
    write::{Operation, Outcome},
};
use poem::{Request, Response};

use crate::{
    body::{self, Accepts},
    parameters::Parameters,
    resource::{Resource, admitted, unexpected},
    respond,
};

pub(crate) async fn create(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Create)?;
    Parameters::none(request.uri().query())?;
    let limit = resource.settings.body_limit;
    let json = body::read(request, Accepts::Json, limit).await?;
    let collection = &*resource.collection;
    let operation = Operation::Create {
        collection: collection.id,
        document: collection.read_document(&json, Source::Json)?,
    };
    match resource.write(&caller, operation).await? {
        Outcome::Created(document) => {
            // The path as the client wrote it, below whatever prefix the server has.
            let path = request.original_uri().path();
            Ok(respond::created(collection, &document, path))
        }
        Outcome::Accepted(document) => {
            let path = request.original_uri().path();
            Ok(respond::accepted(collection, &document, path))
        }
        other => Err(unexpected(&other)),
    }
}
