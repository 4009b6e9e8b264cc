//! `POST /batch`: operations over any collections, all of them or none.

use std::sync::Arc;

use nubo_core::{
    Error, Result, Violation, nearest,
    schema::{Catalog, Collection},
    sessions,
    store::Store,
    write::Operation,
};
use poem::{Request, Response};
use serde_json::Value as Json;

use crate::{
    body::{self, Accepts},
    operation::{self, Fate, Verb, wrong},
    parameters::Parameters,
    respond,
    settings::Settings,
};

/// What the route works with.
pub(crate) struct Batch {
    pub catalog: Arc<Catalog>,
    pub store: Arc<dyn Store>,
    pub settings: Arc<Settings>,
}

impl Batch {
    pub async fn execute(&self, request: &mut Request) -> Result<Response> {
        let caller = sessions::caller(request)?;
        Parameters::none(request.uri().query())?;
        let limit = self.settings.bulk_limit;
        let json = body::read(request, Accepts::Json, limit).await?;
        let envelope = operation::open(json, false, self.settings.max_batch)?;
        let (items, operations) = self.read_all(&envelope.items, envelope.place)?;
        if operations.is_empty() {
            return Ok(respond::done(&b"{\"results\":[]}"[..]));
        }
        let outcomes = self
            .store
            .write(&caller, operations)
            .await
            .map_err(|error| located(error, &items, envelope.place))?;
        if outcomes.len() != items.len() {
            return Err(Error::internal(
                "the store gave an outcome too few or too many",
            ));
        }
        let results = items
            .iter()
            .zip(outcomes)
            .map(|((collection, _), outcome)| (&***collection, Fate::Done(outcome)));
        Ok(respond::done(operation::write_results(results)))
    }

    /// Reads every item, or says everything that is wrong with any of them.
    fn read_all(&self, items: &[Json], place: &str) -> Result<(Vec<Item<'_>>, Vec<Operation>)> {
        let mut read = Vec::with_capacity(items.len());
        let mut operations = Vec::with_capacity(items.len());
        let mut violations: Vec<Violation> = Vec::new();
        for (index, json) in items.iter().enumerate() {
            match self.read(json) {
                Ok((item, operation)) => {
                    read.push(item);
                    operations.push(operation);
                }
                Err(error) => match error.nested(&format!("{place}/{index}")) {
                    Error::Invalid(found) => violations.extend(found),
                    other => return Err(other),
                },
            }
        }
        match violations.is_empty() {
            true => Ok((read, operations)),
            false => Err(Error::Invalid(violations)),
        }
    }

    fn read(&self, json: &Json) -> Result<(Item<'_>, Operation)> {
        let (verb, inner) = operation::verb(json, true)?;
        let name = match json.get("collection") {
            Some(Json::String(name)) => name,
            Some(Json::Null) | None => return Err(wrong("/collection", "required", "is required")),
            Some(_) => return Err(wrong("/collection", "wrong_type", "must be text")),
        };
        let Some(collection) = self.catalog.named(name) else {
            let hint = nearest(name, self.catalog.names())
                .map(|word| format!("; did you mean `{word}`?"))
                .unwrap_or_default();
            let message = format!("unknown collection `{name}`{hint}");
            return Err(wrong("/collection", "unknown_collection", message));
        };
        let operation = operation::read(&self.catalog, collection, verb, inner)?;
        Ok(((collection, verb), operation))
    }
}

/// The collection of an item and what it asks for.
type Item<'a> = (&'a Arc<Collection>, Verb);

/// The store names the operation by its number, and then the place in what is written. In the body
/// the operation's word stands between them: `/3/title` is `/operations/3/create/title`.
fn located(mut error: Error, items: &[Item<'_>], place: &str) -> Error {
    if let Error::BadRequest { errors, .. }
    | Error::Conflict { errors, .. }
    | Error::Invalid(errors) = &mut error
    {
        for violation in errors {
            let path = violation.path.strip_prefix('/').unwrap_or_default();
            let (first, rest) = match path.split_once('/') {
                Some((first, rest)) => (first, format!("/{rest}")),
                None => (path, String::new()),
            };
            let named = first.parse().ok().filter(|index| *index < items.len());
            let (index, rest) = match (named, items) {
                (Some(index), _) => (index, rest),
                // A transaction of one operation needs no number.
                (None, [_]) => (0, violation.path.clone()),
                (None, _) => continue,
            };
            violation.path = format!("{place}/{index}{}{rest}", items[index].1.place());
        }
    }
    error
}
