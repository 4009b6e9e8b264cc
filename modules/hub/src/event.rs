//! What the server says, as frames: answers to messages, and events.

use nubo_core::{
    Error,
    bus::{Channel, Position},
    document::Document,
    id::{Id, Revision},
    schema::Collection,
    time::Timestamp,
    value::Value,
};
use serde_json::{Map, Value as Json, json};

use crate::frame::{self, Frame};

/// Version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;
/// Bytes an event has room for before its buffer grows.
const CAPACITY: usize = 512;

/// Who one is, to a new connection.
pub(crate) fn welcome(connection: Id, account: Option<Id>, expires_at: Option<Timestamp>) -> Frame {
    of_json(&json!({
        "event": "welcome",
        "protocol": PROTOCOL,
        "connection": connection.to_string(),
        "account": account.map(|id| id.to_string()),
        "expires_at": expires_at.map(|moment| moment.to_string()),
    }))
}

/// The token ends soon.
pub(crate) fn expiring(expires_at: Timestamp) -> Frame {
    of_json(&json!({ "event": "expiring", "expires_at": expires_at.to_string() }))
}

/// What may be seen on a channel must be read again.
pub(crate) fn reload(channel: &Channel, position: Position, reason: &str) -> Frame {
    of_json(&json!({
        "event": "reload",
        "channel": channel.name(),
        "position": position.to_string(),
        "reason": reason,
    }))
}

/// An account has come to a channel, or has left it.
pub(crate) fn presence(channel: &Channel, position: Position, account: Id, joined: bool) -> Frame {
    of_json(&json!({
        "event": "presence",
        "channel": channel.name(),
        "position": position.to_string(),
        "account": account.to_string(),
        "state": if joined { "joined" } else { "left" },
    }))
}

/// The answer to a message that was carried out.
pub(crate) fn answer(id: Option<&Json>, ok: Map<String, Json>) -> Option<Frame> {
    let id = id?;
    Some(of_json(&json!({ "id": id, "ok": ok })))
}

/// The same with a document.
pub(crate) fn answer_document(
    id: Option<&Json>,
    collection: &Collection,
    document: &Document,
) -> Option<Frame> {
    let mut json = Vec::with_capacity(CAPACITY);
    json.extend_from_slice(format!("{{\"id\":{},\"ok\":{{\"document\":", id?).as_bytes());
    document.write_json(collection, &mut json);
    json.extend_from_slice(b"}}");
    Some(frame::text(&json))
}

/// The answer to a message that failed.
pub(crate) fn refusal(id: Option<&Json>, error: &Error) -> Frame {
    let mut problem = serde_json::to_value(error.problem()).unwrap_or_default();
    if let (
        Error::TooManyRequests { retry_after } | Error::Unavailable { retry_after, .. },
        Json::Object(problem),
    ) = (error, &mut problem)
    {
        problem.insert("retry_after".into(), (*retry_after).into());
    }
    of_json(&json!({ "id": id, "error": problem }))
}

fn of_json(json: &Json) -> Frame {
    frame::text(json.to_string().as_bytes())
}

/// What has happened to a document in somebody's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Updated,
    /// It was there, and can be seen now.
    Entered,
    Left,
    Deleted,
    /// A message without storage.
    Published,
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated | Self::Entered => "updated",
            Self::Left => "left",
            Self::Deleted => "deleted",
            Self::Published => "published",
        }
    }
}

/// An event about a document on a channel, for some of those who listen.
pub(crate) struct Notice<'a> {
    pub change: Change,
    pub channel: &'a Channel,
    pub position: Position,
    pub collection: &'a Collection,
    pub before: Option<&'a Document>,
    pub after: Option<&'a Document>,
    /// The fields that are wanted; all that are sent where none is given.
    pub fields: Option<&'a [usize]>,
    /// Fields that are not to be seen.
    pub hidden: &'a [usize],
}

impl Notice<'_> {
    pub fn frame(&self) -> Frame {
        let mut json = Vec::with_capacity(CAPACITY);
        json.extend_from_slice(b"{\"event\":\"");
        json.extend_from_slice(self.change.word().as_bytes());
        json.extend_from_slice(b"\",\"channel\":");
        // Text as it is written becomes JSON text.
        json.extend_from_slice(Json::from(self.channel.name()).to_string().as_bytes());
        json.extend_from_slice(b",\"position\":\"");
        json.extend_from_slice(self.position.to_string().as_bytes());
        json.extend_from_slice(b"\",\"collection\":\"");
        json.extend_from_slice(self.collection.name.as_bytes());
        json.push(b'"');
        let (revision, previous) = match self.change {
            Change::Published => (None, None),
            Change::Created | Change::Entered => (self.after, None),
            Change::Updated => (self.after, self.before),
            Change::Left | Change::Deleted => (None, self.before),
        };
        if self.change != Change::Published {
            push_revision(&mut json, ",\"revision\":", revision);
            push_revision(&mut json, ",\"previous\":", previous);
        }
        json.extend_from_slice(b",\"document\":");
        match (self.change, self.after) {
            (Change::Left | Change::Deleted, _) | (_, None) => {
                let id = self.before.and_then(Document::id);
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                json.extend_from_slice(format!("{{\"id\":\"{id}\"}}").as_bytes());
            }
            (_, Some(document)) => self.push_document(&mut json, document),
        }
        json.push(b'}');
        frame::text(&json)
    }

    fn push_document(&self, json: &mut Vec<u8>, document: &Document) {
        let fields = self.fields.unwrap_or(self.collection.announced_fields());
        if self.hidden.is_empty() {
            return document.write_fields(self.collection, fields, json);
        }
        let mut seen = document.clone();
        for field in self.hidden {
            seen.set(*field, Value::Null);
        }
        seen.write_fields(self.collection, fields, json);
    }
}

fn push_revision(json: &mut Vec<u8>, key: &str, of: Option<&Document>) {
    json.extend_from_slice(key.as_bytes());
    match of.map(Document::revision).map(Revision::number) {
        Some(number) => json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        None => json.extend_from_slice(b"null"),
    }
}

/// What one device of an account tells the others.
pub(crate) fn told(channel: &Channel, position: Position, document: &str) -> Frame {
    let channel = Json::from(channel.name());
    frame::text(
        format!(
            "{{\"event\":\"published\",\"channel\":{channel},\"position\":\"{position}\",\
             \"document\":{document}}}"
        )
        .as_bytes(),
    )
}
