//! `GET /c`: documents by filter, in an order, from a cursor on or page by page.

use std::borrow::Cow;

use nubo_core::{
    Error, Result,
    access::Action,
    caller::Caller,
    filter::Expr,
    query::{Cursor, Query, Start},
    store::{Answer, Expansion},
    truth::Page,
};
use poem::{Request, Response};

use crate::{
    expand, filter,
    parameters::{Parameters, invalid},
    projection,
    resource::{Resource, admitted},
    respond::{self, Told},
};

/// The parameters of a list, as a query string or a body names them.
pub(crate) const PARAMETERS: [&str; 10] = [
    "filter",
    "sort",
    "limit",
    "cursor",
    "fields",
    "expand",
    "page",
    "page_size",
    "consistent",
    "explain",
];

/// What a list is asked for, not yet held against the collection.
pub(crate) struct Asked<'a> {
    pub filter: Expr,
    pub sort: Option<Cow<'a, str>>,
    pub limit: Option<u64>,
    pub cursor: Option<Cow<'a, str>>,
    pub fields: Option<Cow<'a, str>>,
    pub expand: Option<Cow<'a, str>>,
    pub page: Option<u64>,
    pub page_size: Option<u64>,
    pub consistent: bool,
    pub explain: bool,
}

/// Which part of the list.
enum Span {
    /// A stretch behind a cursor.
    Stretch,
    /// A numbered page.
    Page { number: u32, size: u32 },
}

pub(crate) async fn list(resource: &Resource, request: &Request) -> Result<Response> {
    let caller = admitted(resource, request, Action::Read)?;
    let parameters = Parameters::read(request.uri().query(), &PARAMETERS)?;
    let text = |name| parameters.get(name).map(Cow::Borrowed);
    let asked = Asked {
        filter: filter::read(resource, &parameters)?,
        sort: text("sort"),
        limit: parameters.number("limit")?,
        cursor: text("cursor"),
        fields: text("fields"),
        expand: text("expand"),
        page: parameters.number("page")?,
        page_size: parameters.number("page_size")?,
        consistent: parameters.flag("consistent")?,
        explain: parameters.flag("explain")?,
    };
    answer(resource, &caller, asked).await
}

/// Holds the question against the collection, asks the store, and writes the answer.
pub(crate) async fn answer(
    resource: &Resource,
    caller: &Caller,
    asked: Asked<'_>,
) -> Result<Response> {
    let consistent = asked.consistent;
    let explain = resource.explains(caller, asked.explain)?;
    let (query, span, expansions) = check(resource, asked)?;
    if consistent && (!expansions.is_empty() || matches!(span, Span::Page { .. })) {
        return Err(invalid(
            "consistent",
            "holds for lists by cursor without related documents only",
        ));
    }
    match span {
        Span::Stretch => {
            // The cursor of the answer belongs to the same question.
            let asked = query.clone();
            let answer = match consistent {
                true => resource.store.list_at_once(caller, query).await?,
                false => resource.store.list(caller, query, &expansions).await?,
            };
            Ok(stretch(resource, &asked, answer, explain))
        }
        Span::Page { number, size } => {
            let filter = query.filter.clone();
            let answer = resource.store.list(caller, query, &expansions).await?;
            let collection = resource.collection.id;
            let total = resource.store.count(caller, collection, filter).await?;
            let told = Told::of(&answer, explain);
            Ok(page(&answer.content, total, number, size, told))
        }
    }
}

fn check(resource: &Resource, asked: Asked<'_>) -> Result<(Query, Span, Vec<Expansion>)> {
    let collection = &*resource.collection;
    let paged = asked.page.is_some() || asked.page_size.is_some();
    if paged && (asked.cursor.is_some() || asked.limit.is_some()) {
        return Err(Error::bad_request(
            "contradicting_parameters",
            "`page` and `page_size` go with neither `cursor` nor `limit`",
        ));
    }
    let most = resource.settings.max_limit;
    let usual = resource.settings.default_limit;
    let span = if paged {
        Span::Page {
            number: within("page", asked.page, 1, u32::MAX)?,
            size: within("page_size", asked.page_size, usual, most)?,
        }
    } else {
        Span::Stretch
    };
    let (start, limit) = match span {
        Span::Stretch => (Start::First, within("limit", asked.limit, usual, most)?),
        Span::Page { number, size } => {
            (Start::Offset(u64::from(number - 1) * u64::from(size)), size)
        }
    };
    let mut query = Query {
        collection: collection.id,
        filter: asked.filter,
        sort: match &asked.sort {
            Some(text) => collection.read_sort(text)?,
            None => collection.order.clone(),
        },
        start,
        limit,
        fields: match &asked.fields {
            Some(text) => Some(projection::read(collection, text)?),
            None => None,
        },
    };
    let expansions = match &asked.expand {
        Some(text) => expand::read(&resource.catalog, collection, text)?,
        None => Vec::new(),
    };
    if let Some(cursor) = &asked.cursor {
        query.start = Cursor::decode(cursor, &query, collection)?;
    }
    Ok((query, span, expansions))
}

fn within(name: &str, given: Option<u64>, usual: u32, most: u32) -> Result<u32> {
    match given.map(u32::try_from) {
        None => Ok(usual),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(invalid(name, format!("must be from 1 to {most}"))),
    }
}

fn stretch(resource: &Resource, asked: &Query, answer: Answer<Page>, explain: bool) -> Response {
    let told = Told::of(&answer, explain);
    let page = answer.content;
    let cursor = page
        .next
        .map(|keys| Cursor::encode_keys(asked, &resource.collection, &keys));
    let room = 64 + cursor.as_ref().map_or(0, String::len);
    let mut json = open(&page.documents, room);
    json.extend_from_slice(b"],\"next_cursor\":");
    match cursor {
        // Base64 needs no escaping.
        Some(cursor) => {
            json.push(b'"');
            json.extend_from_slice(cursor.as_bytes());
            json.push(b'"');
        }
        None => json.extend_from_slice(b"null"),
    }
    json.push(b'}');
    respond::read(json, told)
}

fn page(page: &Page, total: u64, number: u32, size: u32, told: Told) -> Response {
    let mut json = open(&page.documents, 160);
    json.push(b']');
    for (name, value) in [
        ("total", total),
        ("page", number.into()),
        ("page_size", size.into()),
        ("total_pages", total.div_ceil(size.into())),
    ] {
        json.extend_from_slice(b",\"");
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        json.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    json.push(b'}');
    respond::read(json, told)
}

/// `{"data":[…`, with room for what follows.
fn open(documents: &[u8], room: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(documents.len() + room);
    json.extend_from_slice(b"{\"data\":[");
    json.extend_from_slice(documents);
    json
}
