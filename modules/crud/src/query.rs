//! `POST /c/query`: a list whose question is in the body, under the same names as in a query
//! string. For filters that are long, or that should not stand in a log.

use std::borrow::Cow;

use nubo_core::{Error, Result, Violation, access::Action, filter::Expr, filter::Reader, kind_of};
use poem::{Request, Response};
use serde_json::{Map, Value as Json};

use crate::{
    body::{self, Accepts},
    list::{self, Asked, PARAMETERS},
    parameters::{Parameters, invalid, unknown},
    resource::{Resource, admitted},
};

pub(crate) async fn query(resource: &Resource, request: &mut Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Read)?;
    Parameters::none(request.uri().query())?;
    let limit = resource.settings.body_limit;
    let json = body::read(request, Accepts::Json, limit).await?;
    let asked = read(resource, &json)?;
    list::answer(resource, &caller, asked).await
}

fn read<'a>(resource: &Resource, json: &'a Json) -> Result<Asked<'a>> {
    let Json::Object(entries) = json else {
        return Err(Error::bad_request(
            "invalid_query",
            format!("the body must be an object, not {}", kind_of(json)),
        ));
    };
    let strangers: Vec<Violation> = entries
        .keys()
        .filter(|key| !PARAMETERS.contains(&key.as_str()))
        .map(|key| unknown(key, &PARAMETERS))
        .collect();
    if let Some(first) = strangers.first() {
        return Err(Error::BadRequest {
            code: first.code,
            detail: first.message.clone(),
            errors: strangers,
        });
    }
    let filter = match given(entries, "filter") {
        None => Expr::always(),
        Some(filter) => Reader::of_client(&resource.catalog, &resource.collection)
            .read(filter)
            .map_err(|error| error.nested("/filter"))?,
    };
    Ok(Asked {
        filter,
        sort: text(entries, "sort")?,
        limit: number(entries, "limit")?,
        cursor: text(entries, "cursor")?,
        fields: text(entries, "fields")?,
        expand: text(entries, "expand")?,
        page: number(entries, "page")?,
        page_size: number(entries, "page_size")?,
        consistent: flag(entries, "consistent")?,
        explain: flag(entries, "explain")?,
    })
}

/// Null is the same as nothing.
fn given<'a>(entries: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    entries.get(name).filter(|json| !json.is_null())
}

/// Text, or a list of texts, which is the same as the texts with commas between them.
fn text<'a>(entries: &'a Map<String, Json>, name: &'static str) -> Result<Option<Cow<'a, str>>> {
    match given(entries, name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Json::Array(items)) if name != "cursor" && !items.is_empty() => {
            let texts: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
            let texts = texts.ok_or_else(|| invalid(name, "must list texts only"))?;
            Ok(Some(Cow::Owned(texts.join(","))))
        }
        Some(other) => Err(invalid(
            name,
            format!("must be text, not {}", kind_of(other)),
        )),
    }
}

fn number(entries: &Map<String, Json>, name: &'static str) -> Result<Option<u64>> {
    let Some(json) = given(entries, name) else {
        return Ok(None);
    };
    match json.as_u64() {
        Some(number) => Ok(Some(number)),
        None => Err(invalid(name, "must be a whole number, 1 or more")),
    }
}

fn flag(entries: &Map<String, Json>, name: &'static str) -> Result<bool> {
    match given(entries, name) {
        None => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(_) => Err(invalid(name, "must be true or false")),
    }
}
