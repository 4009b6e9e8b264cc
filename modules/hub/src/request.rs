//! What clients say: messages, read strictly.

use nubo_core::{
    Error, Result, Violation,
    bus::Position,
    id::{Id, Revision},
    kind_of, nearest,
    request::json,
    with_hint,
};
use serde_json::{Map, Value as Json};

/// A message.
#[derive(Debug)]
pub(crate) struct Request {
    /// By which its answer is known.
    pub id: Option<Json>,
    /// What is asked for, or why that cannot be said.
    pub op: Result<Op>,
}

/// What a client asks for.
#[derive(Debug)]
pub(crate) enum Op {
    Auth {
        token: String,
    },
    Subscribe(Subscribe),
    Unsubscribe {
        channel: String,
    },
    Create {
        collection: String,
        document: Json,
    },
    Update {
        collection: String,
        id: Id,
        change: Json,
        revisions: Option<Vec<Revision>>,
    },
    Delete {
        collection: String,
        id: Id,
        revisions: Option<Vec<Revision>>,
    },
    Publish(Publish),
    Presence {
        channel: String,
    },
    Ping,
}

#[derive(Debug)]
pub(crate) struct Subscribe {
    pub channel: String,
    pub collection: Option<String>,
    pub filter: Option<Json>,
    pub fields: Option<Vec<String>>,
    pub since: Option<Position>,
    pub presence: bool,
}

#[derive(Debug)]
pub(crate) struct Publish {
    pub collection: Option<String>,
    pub channel: Option<String>,
    pub document: Json,
    /// In milliseconds.
    pub expires_in: Option<i64>,
}

/// How long a message without storage may be of interest at most, in milliseconds.
pub(crate) const MOST_EXPIRES_IN: i64 = 60_000;

pub(crate) const OPS: [&str; 9] = [
    "auth",
    "subscribe",
    "unsubscribe",
    "create",
    "update",
    "delete",
    "publish",
    "presence",
    "ping",
];

/// Reads a message. None where the text is no JSON object.
pub(crate) fn read(text: &str) -> Option<Request> {
    // Most of what is no message is told apart by its first letter.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut entries = match json::read_text(text, "the message") {
        Ok(Json::Object(entries)) => entries,
        Ok(_) => return None,
        Err(error) => {
            return Some(Request {
                id: None,
                op: Err(error),
            });
        }
    };
    let id = match entries.remove("id") {
        None | Some(Json::Null) => None,
        Some(id @ (Json::String(_) | Json::Number(_))) => Some(id),
        Some(other) => {
            let message = format!("must be text or a number, not {}", kind_of(&other));
            return Some(Request {
                id: None,
                op: Err(wrong("/id", "wrong_type", message)),
            });
        }
    };
    let op = read_op(Keys(entries));
    Some(Request { id, op })
}

fn read_op(mut keys: Keys) -> Result<Op> {
    let op = keys.text("op")?;
    let read = match op.as_str() {
        "auth" => Op::Auth {
            token: keys.text("token")?,
        },
        "subscribe" => Op::Subscribe(Subscribe {
            channel: keys.text("channel")?,
            collection: keys.optional_text("collection")?,
            filter: keys.optional("filter"),
            fields: keys.names("fields")?,
            since: keys.position("since")?,
            presence: keys.flag("presence")?,
        }),
        "unsubscribe" => Op::Unsubscribe {
            channel: keys.text("channel")?,
        },
        "create" => Op::Create {
            collection: keys.text("collection")?,
            document: keys.required("document")?,
        },
        "update" => Op::Update {
            collection: keys.text("collection")?,
            id: keys.id("document_id")?,
            change: keys.required("change")?,
            revisions: keys.revisions("if_match")?,
        },
        "delete" => Op::Delete {
            collection: keys.text("collection")?,
            id: keys.id("document_id")?,
            revisions: keys.revisions("if_match")?,
        },
        "publish" => Op::Publish(Publish {
            collection: keys.optional_text("collection")?,
            channel: keys.optional_text("channel")?,
            document: keys.required("document")?,
            expires_in: keys.millis("expires_in")?,
        }),
        "presence" => Op::Presence {
            channel: keys.text("channel")?,
        },
        "ping" => Op::Ping,
        other => {
            let message = with_hint(format!("unknown operation `{other}`"), nearest(other, OPS));
            return Err(wrong("/op", "unknown_operation", message));
        }
    };
    keys.finish(&op)?;
    Ok(read)
}

/// The keys of a message that were not read yet.
struct Keys(Map<String, Json>);

impl Keys {
    fn optional(&mut self, key: &str) -> Option<Json> {
        self.0.remove(key).filter(|json| !json.is_null())
    }

    fn required(&mut self, key: &str) -> Result<Json> {
        let found = self.optional(key);
        found.ok_or_else(|| wrong(&format!("/{key}"), "required", "is required"))
    }

    fn text(&mut self, key: &str) -> Result<String> {
        match self.required(key)? {
            Json::String(text) => Ok(text),
            other => Err(mistyped(key, "text", &other)),
        }
    }

    fn optional_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.optional(key) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(mistyped(key, "text", &other)),
        }
    }

    fn flag(&mut self, key: &str) -> Result<bool> {
        match self.optional(key) {
            None => Ok(false),
            Some(Json::Bool(flag)) => Ok(flag),
            Some(other) => Err(mistyped(key, "true or false", &other)),
        }
    }

    fn names(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        let names = match self.optional(key) {
            None => return Ok(None),
            Some(Json::Array(names)) => names,
            Some(other) => return Err(mistyped(key, "a list of names", &other)),
        };
        let names = names.into_iter().map(|name| match name {
            Json::String(name) => Ok(name),
            other => Err(mistyped(key, "a list of names", &other)),
        });
        names.collect::<Result<_>>().map(Some)
    }

    fn position(&mut self, key: &str) -> Result<Option<Position>> {
        let Some(text) = self.optional_text(key)? else {
            return Ok(None);
        };
        let position = text.parse();
        position
            .map(Some)
            .map_err(|error: nubo_core::bus::NotAPosition| {
                wrong(&format!("/{key}"), "invalid_position", error.to_string())
            })
    }

    fn id(&mut self, key: &str) -> Result<Id> {
        let text = self.text(key)?;
        text.parse().map_err(|_| Error::BadRequest {
            code: "invalid_id",
            detail: "the id is not a UUID".into(),
            errors: vec![Violation::new(
                format!("/{key}"),
                "invalid_id",
                "is not a UUID",
            )],
        })
    }

    /// One revision, or a list of which one must be it.
    fn revisions(&mut self, key: &str) -> Result<Option<Vec<Revision>>> {
        let read = |json: &Json| match json.as_i64() {
            Some(number) => Ok(Revision::new(number)),
            None => Err(mistyped(key, "a revision or a list of revisions", json)),
        };
        match self.optional(key) {
            None => Ok(None),
            Some(Json::Array(items)) => items.iter().map(read).collect::<Result<_>>().map(Some),
            Some(one) => Ok(Some(vec![read(&one)?])),
        }
    }

    fn millis(&mut self, key: &str) -> Result<Option<i64>> {
        match self.optional(key) {
            None => Ok(None),
            Some(json) => match json.as_i64() {
                Some(millis) if (1..=MOST_EXPIRES_IN).contains(&millis) => Ok(Some(millis)),
                _ => {
                    let message = format!("must be milliseconds from 1 to {MOST_EXPIRES_IN}");
                    Err(wrong(&format!("/{key}"), "out_of_range", message))
                }
            },
        }
    }

    /// Nothing may be left that nobody has asked for.
    fn finish(&self, op: &str) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => {
                let place = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                let message = format!("`{op}` takes no `{key}`");
                Err(wrong(&place, "unknown_key", message))
            }
        }
    }
}

fn mistyped(key: &str, expected: &str, found: &Json) -> Error {
    let message = format!("must be {expected}, not {}", kind_of(found));
    wrong(&format!("/{key}"), "wrong_type", message)
}

/// 422 about one place in a message.
pub(crate) fn wrong(place: &str, code: &'static str, message: impl Into<String>) -> Error {
    Error::Invalid(vec![Violation::new(place, code, message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, &'static str) {
        match read(text).unwrap().op {
            Err(Error::Invalid(violations)) => (violations[0].path.clone(), violations[0].code),
            Err(error) => (String::new(), error.code()),
            Ok(op) => panic!("{op:?}"),
        }
    }

    #[test]
    fn what_is_no_object_is_no_message() {
        for text in ["hello", "", " ", "[1]", "\"x\"", "17"] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn messages_are_read_with_all_they_bring() {
        let request = read(
            r#"{"id":"a","op":"subscribe","channel":"posts","filter":{"x":1},"fields":["id"],
                "since":"1a-2","presence":true}"#,
        )
        .unwrap();
        assert_eq!(request.id, Some("a".into()));
        let Ok(Op::Subscribe(subscribe)) = request.op else {
            panic!("{:?}", request.op);
        };
        assert_eq!(subscribe.channel, "posts");
        assert_eq!(subscribe.fields, Some(vec!["id".to_owned()]));
        assert_eq!(subscribe.since.unwrap().sequence, 2);
        assert!(subscribe.presence);
        assert!(matches!(read(r#"{"op":"ping"}"#).unwrap().op, Ok(Op::Ping)));
    }

    #[test]
    fn mistakes_are_named_at_their_place() {
        for (text, place, code) in [
            (r#"{"op":"ping""#, "", "malformed_json"),
            (r#"{"op":"ping","op":"ping"}"#, "", "duplicate_key"),
            (r#"{}"#, "/op", "required"),
            (r#"{"op":1}"#, "/op", "wrong_type"),
            (r#"{"op":"pnig"}"#, "/op", "unknown_operation"),
            (r#"{"op":"ping","x":1}"#, "/x", "unknown_key"),
            (r#"{"op":"ping","id":{}}"#, "/id", "wrong_type"),
            (r#"{"op":"subscribe"}"#, "/channel", "required"),
            (
                r#"{"op":"subscribe","channel":"c","since":"x"}"#,
                "/since",
                "invalid_position",
            ),
            (
                r#"{"op":"subscribe","channel":"c","fields":[1]}"#,
                "/fields",
                "wrong_type",
            ),
            (
                r#"{"op":"delete","collection":"c","document_id":"x"}"#,
                "",
                "invalid_id",
            ),
            (
                r#"{"op":"publish","document":{},"expires_in":60001}"#,
                "/expires_in",
                "out_of_range",
            ),
        ] {
            assert_eq!(refused(text), (place.to_owned(), code), "{text}");
        }
    }
}
