//! The items of `/c/bulk` and `/batch`: operations as requests spell them, and what is answered to
//! each.
//!
//! ```json
//! [{ "create":  { "title": "Hello" } },
//!  { "update":  { "id": "…", "change": { "$inc": { "views": 1 } } } },
//!  { "update":  { "filter": { "state": 1 }, "change": { "state": 2 } } },
//!  { "replace": { "id": "…", "document": { "title": "Hi" } } },
//!  { "delete":  { "id": "…" } }]
//! ```

use nubo_core::{
    Error, Result, Violation,
    change::{read_patch, read_replacement},
    error::Problem,
    field::Source,
    filter::Reader,
    id::Id,
    kind_of, nearest,
    schema::{Catalog, Collection},
    write::{Guard, Operation, Outcome, Target},
};
use serde_json::{Map, Value as Json};

use crate::{change::check_same_id, many};

/// What an item asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Replace,
    Delete,
}

const VERBS: [(&str, Verb); 4] = [
    ("create", Verb::Create),
    ("update", Verb::Update),
    ("replace", Verb::Replace),
    ("delete", Verb::Delete),
];

impl Verb {
    /// Where in the item that stands which the store may find fault with.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Create => "/create",
            Self::Update => "/update/change",
            Self::Replace => "/replace/document",
            Self::Delete => "/delete",
        }
    }
}

/// The body of a request with many operations: a list, or an object around one.
pub(crate) struct Envelope {
    pub items: Vec<Json>,
    /// Whether to stop at the first failure, where the body says so.
    pub ordered: Option<bool>,
    /// JSON Pointer of the list.
    pub place: &'static str,
}

/// Opens the body. `ordered` is a key of bulk alone.
pub(crate) fn open(body: Json, takes_ordered: bool, most: usize) -> Result<Envelope> {
    let envelope = match body {
        Json::Array(items) => Envelope {
            items,
            ordered: None,
            place: "",
        },
        Json::Object(entries) => open_object(entries, takes_ordered)?,
        other => {
            let message = format!("must be a list of operations, not {}", kind_of(&other));
            return Err(wrong("", "wrong_type", message));
        }
    };
    if envelope.items.len() > most {
        return Err(Error::bad_request(
            "too_many_operations",
            format!("a request takes at most {most} operations"),
        ));
    }
    Ok(envelope)
}

fn open_object(entries: Map<String, Json>, takes_ordered: bool) -> Result<Envelope> {
    let mut items = None;
    let mut ordered = None;
    for (key, json) in entries {
        match (key.as_str(), json) {
            ("operations", Json::Array(list)) => items = Some(list),
            ("operations", other) => {
                let message = format!("must be a list, not {}", kind_of(&other));
                return Err(wrong("/operations", "wrong_type", message));
            }
            ("ordered", Json::Bool(flag)) if takes_ordered => ordered = Some(flag),
            ("ordered", other) if takes_ordered => {
                let message = format!("must be true or false, not {}", kind_of(&other));
                return Err(wrong("/ordered", "wrong_type", message));
            }
            _ => {
                let known = ["operations", "ordered"];
                let known = &known[..1 + usize::from(takes_ordered)];
                return Err(unknown_key(&key, known));
            }
        }
    }
    match items {
        Some(items) => Ok(Envelope {
            items,
            ordered,
            place: "/operations",
        }),
        None => Err(wrong("/operations", "required", "is required")),
    }
}

/// Which operation an item is, and what it brings. In a batch the key `collection` stands beside.
pub(crate) fn verb(item: &Json, in_batch: bool) -> Result<(Verb, &Json)> {
    let entries = object("", item)?;
    let mut found = None;
    for (key, json) in entries {
        match VERBS.iter().find(|(name, _)| name == key) {
            Some((_, verb)) if found.is_none() => found = Some((*verb, json)),
            Some(_) => return Err(wrong("", "ambiguous", "holds more than one operation")),
            None if in_batch && key == "collection" => {}
            None => {
                let known = ["create", "update", "replace", "delete", "collection"];
                return Err(unknown_key(key, &known[..4 + usize::from(in_batch)]));
            }
        }
    }
    found.ok_or_else(|| {
        let message = "must have one of `create`, `update`, `replace` and `delete`";
        wrong("", "required", message)
    })
}

/// Reads what an item brings. Places in errors start at the item.
pub(crate) fn read(
    catalog: &Catalog,
    collection: &Collection,
    verb: Verb,
    json: &Json,
) -> Result<Operation> {
    if collection.append_only && verb != Verb::Create {
        return Err(Error::Forbidden {
            code: "append_only",
            detail: format!("documents of {} stay as they are", collection.name),
        });
    }
    let id = collection.id;
    let inside = |error: Error| error.nested(verb.place());
    Ok(match verb {
        Verb::Create => Operation::Create {
            collection: id,
            document: collection
                .read_document(json, Source::Json)
                .map_err(inside)?,
        },
        Verb::Update => {
            let entries = known(json, "/update", &["id", "filter", "all", "change"])?;
            Operation::Update {
                collection: id,
                target: target(catalog, collection, entries, "/update")?,
                change: read_patch(
                    catalog,
                    collection,
                    needed(entries, "change", verb.place())?,
                )
                .map_err(inside)?,
            }
        }
        Verb::Replace => {
            let entries = known(json, "/replace", &["id", "document"])?;
            let replaced = read_id(needed(entries, "id", "/replace/id")?, "/replace/id")?;
            let document = needed(entries, "document", verb.place())?;
            check_same_id(document, replaced).map_err(inside)?;
            Operation::Update {
                collection: id,
                target: one(replaced),
                change: read_replacement(catalog, collection, document).map_err(inside)?,
            }
        }
        Verb::Delete => {
            let entries = known(json, "/delete", &["id", "filter", "all"])?;
            Operation::Delete {
                collection: id,
                target: target(catalog, collection, entries, "/delete")?,
            }
        }
    })
}

/// Which documents: `id`, or `filter` (with `all` where it says nothing).
fn target(
    catalog: &Catalog,
    collection: &Collection,
    entries: &Map<String, Json>,
    place: &str,
) -> Result<Target> {
    let all = match entries.get("all") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(flag)) => *flag,
        Some(_) => {
            let place = format!("{place}/all");
            return Err(wrong(&place, "wrong_type", "must be true or false"));
        }
    };
    match (given(entries, "id"), given(entries, "filter")) {
        (Some(id), None) => Ok(one(read_id(id, &format!("{place}/id"))?)),
        (None, Some(filter)) => {
            let filter = Reader::of_client(catalog, collection)
                .read(filter)
                .map_err(|error| error.nested(&format!("{place}/filter")))?;
            many::matching(filter, all)
        }
        _ => Err(wrong(
            place,
            "required",
            "must have either `id` or `filter`",
        )),
    }
}

fn one(id: Id) -> Target {
    Target::One {
        id,
        guard: Guard::default(),
    }
}

fn read_id(json: &Json, place: &str) -> Result<Id> {
    let parsed = json.as_str().map(str::parse);
    match parsed {
        Some(Ok(id)) => Ok(id),
        _ => Err(Error::BadRequest {
            code: "invalid_id",
            detail: "the id is not a UUID".into(),
            errors: vec![Violation::new(place, "invalid_id", "is not a UUID")],
        }),
    }
}

fn object<'a>(place: &str, json: &'a Json) -> Result<&'a Map<String, Json>> {
    json.as_object().ok_or_else(|| {
        let message = format!("must be an object, not {}", kind_of(json));
        wrong(place, "wrong_type", message)
    })
}

/// The entries of an object that has these keys at most.
fn known<'a>(json: &'a Json, place: &str, keys: &[&str]) -> Result<&'a Map<String, Json>> {
    let entries = object(place, json)?;
    match entries.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(stranger) => Err(unknown_key(stranger, keys).nested(place)),
        None => Ok(entries),
    }
}

fn given<'a>(entries: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
    entries.get(key).filter(|json| !json.is_null())
}

fn needed<'a>(entries: &'a Map<String, Json>, key: &str, place: &str) -> Result<&'a Json> {
    given(entries, key).ok_or_else(|| wrong(place, "required", "is required"))
}

fn unknown_key(key: &str, known: &[&str]) -> Error {
    let hint = nearest(key, known.iter().copied())
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default();
    let place = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    wrong(&place, "unknown_key", format!("unknown key `{key}`{hint}"))
}

pub(crate) fn wrong(place: &str, code: &'static str, message: impl Into<String>) -> Error {
    Error::Invalid(vec![Violation::new(place, code, message)])
}

/// What became of an item.
pub(crate) enum Fate {
    Done(Outcome),
    Failed(Error),
    /// An item before it failed, and the order matters.
    NotTried,
}

/// `{"results":[…]}`
pub(crate) fn write_results<'a>(
    results: impl ExactSizeIterator<Item = (&'a Collection, Fate)>,
) -> Vec<u8> {
    let mut json = Vec::with_capacity(32 + results.len() * 256);
    json.extend_from_slice(b"{\"results\":[");
    for (index, (collection, fate)) in results.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        match fate {
            Fate::Done(outcome) => write_outcome(collection, &outcome, &mut json),
            Fate::Failed(error) => {
                if let Error::Internal(cause) = &error {
                    tracing::error!(cause = ?cause, "an operation failed");
                }
                write_problem(&error.problem(), &mut json);
            }
            Fate::NotTried => write_problem(&NOT_TRIED, &mut json),
        }
    }
    json.extend_from_slice(b"]}");
    json
}

fn write_outcome(collection: &Collection, outcome: &Outcome, json: &mut Vec<u8>) {
    let (status, document) = match outcome {
        Outcome::Created(document) => (&b"201"[..], document),
        Outcome::Accepted(document) => (&b"202"[..], document),
        Outcome::Updated(document) => (&b"200"[..], document),
        Outcome::Deleted => return json.extend_from_slice(b"{\"status\":204}"),
        Outcome::Changed { matched, modified } => {
            let text = format!("{{\"status\":200,\"matched\":{matched},\"modified\":{modified}}}");
            return json.extend_from_slice(text.as_bytes());
        }
        Outcome::Removed(deleted) => {
            let text = format!("{{\"status\":200,\"deleted\":{deleted}}}");
            return json.extend_from_slice(text.as_bytes());
        }
    };
    json.extend_from_slice(b"{\"status\":");
    json.extend_from_slice(status);
    json.extend_from_slice(b",\"document\":");
    document.write_json(collection, json);
    json.push(b'}');
}

const NOT_TRIED: Problem<'static> = Problem {
    kind: "about:blank",
    title: "Failed Dependency",
    status: 424,
    code: "not_tried",
    detail: std::borrow::Cow::Borrowed("an operation before this one failed"),
    errors: &[],
};

fn write_problem(problem: &Problem<'_>, json: &mut Vec<u8>) {
    json.extend_from_slice(format!("{{\"status\":{},\"error\":", problem.status).as_bytes());
    let length = json.len();
    // Writing plain data into memory cannot fail.
    if serde_json::to_writer(&mut *json, problem).is_err() {
        json.truncate(length);
        json.extend_from_slice(b"null");
    }
    json.push(b'}');
}
