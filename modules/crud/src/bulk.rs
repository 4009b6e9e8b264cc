//! `POST /c/bulk`: many operations on one collection, each a transaction of its own.
//!
//! The answer is 200 with one result for each item, whatever became of it. With `ordered` the first
//! failure is the last thing that is tried.

use nubo_core::{
    Error, Result, sessions,
    write::{Outcome, Sequence},
};
use poem::{Request, Response};

use crate::{
    body::{self, Accepts},
    operation::{self, Envelope, Fate, Verb},
    parameters::Parameters,
    resource::Resource,
    respond,
};

pub(crate) async fn bulk(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = sessions::caller(request)?;
    let asked = ordered_parameter(request)?;
    let limit = resource.settings.bulk_limit;
    let json = body::read(request, Accepts::Json, limit).await?;
    let envelope = operation::open(json, true, resource.settings.max_bulk)?;
    let ordered = match (asked, envelope.ordered) {
        (Some(a), Some(b)) if a != b => {
            return Err(Error::bad_request(
                "contradicting_parameters",
                "`ordered` is one thing in the query string and another in the body",
            ));
        }
        (a, b) => a.or(b).unwrap_or(false),
    };
    let place = envelope.place;
    let (read, operations) = read_items(resource, &envelope, ordered);
    drop(envelope);
    let sequence = match ordered {
        true => Sequence::StopAtError,
        false => Sequence::Independent,
    };
    let written = match operations.is_empty() {
        true => Vec::new(),
        false => {
            resource
                .store
                .write_each(&caller, operations, sequence)
                .await
        }
    };
    let fates = fates(read, written, ordered, place);
    let collection = &*resource.collection;
    Ok(respond::done(operation::write_results(
        fates.into_iter().map(|fate| (collection, fate)),
    )))
}

fn ordered_parameter(request: &Request) -> Result<Option<bool>> {
    let parameters = Parameters::read(request.uri().query(), &["ordered"])?;
    match parameters.get("ordered") {
        None => Ok(None),
        Some(_) => parameters.flag("ordered").map(Some),
    }
}

/// What reading an item gave.
enum Read {
    /// It is the next operation.
    Operation(Verb),
    Failed(Error),
    /// Nobody looked.
    Not,
}

fn read_items(
    resource: &Resource,
    envelope: &Envelope,
    ordered: bool,
) -> (Vec<Read>, Vec<nubo_core::write::Operation>) {
    let mut operations = Vec::with_capacity(envelope.items.len());
    let mut failed = false;
    let read = envelope.items.iter().enumerate().map(|(index, item)| {
        if failed && ordered {
            return Read::Not;
        }
        let operation = operation::verb(item, false).and_then(|(verb, json)| {
            let read = operation::read(&resource.catalog, &resource.collection, verb, json);
            read.map(|operation| (verb, operation))
        });
        match operation {
            Ok((verb, operation)) => {
                operations.push(operation);
                Read::Operation(verb)
            }
            Err(error) => {
                failed = true;
                Read::Failed(error.nested(&format!("{}/{index}", envelope.place)))
            }
        }
    });
    (read.collect(), operations)
}

/// Puts what was read and what was written together again, item by item.
fn fates(read: Vec<Read>, written: Vec<Result<Outcome>>, ordered: bool, place: &str) -> Vec<Fate> {
    let mut written = written.into_iter();
    let mut failed = false;
    let fates = read.into_iter().enumerate().map(|(index, read)| {
        let result = match read {
            Read::Operation(verb) => written.next().map(|result| {
                result.map_err(|error| error.nested(&format!("{place}/{index}{}", verb.place())))
            }),
            Read::Failed(error) => Some(Err(error)),
            Read::Not => None,
        };
        match result {
            _ if failed && ordered => Fate::NotTried,
            Some(Ok(outcome)) => Fate::Done(outcome),
            Some(Err(error)) => {
                failed = true;
                Fate::Failed(error)
            }
            None => Fate::Failed(Error::internal("the store gave no outcome")),
        }
    });
    fates.collect()
}
