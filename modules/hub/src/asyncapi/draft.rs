//! The document while it is put together.

use serde_json::{Map, Value as Json, json};

/// Name of the channel that is the connection.
const CONNECTION: &str = "connection";
/// The answer to whatever could not be carried out.
pub(super) const REFUSAL: &str = "refusal";

/// Channels, operations, messages and schemas so far.
#[derive(Default)]
pub(super) struct Draft {
    /// Messages of the connection.
    on_connection: Vec<String>,
    channels: Map<String, Json>,
    operations: Map<String, Json>,
    messages: Map<String, Json>,
    schemas: Map<String, Json>,
}

impl Draft {
    pub fn schema(&mut self, name: &str, schema: Json) {
        self.schemas.insert(name.to_owned(), schema);
    }

    /// A message of the server that belongs to channels.
    pub fn event(&mut self, name: &str, summary: impl Into<String>, payload: Json) {
        self.message(name, summary.into(), payload);
    }

    /// A message of the connection.
    pub fn said(&mut self, name: &str, summary: impl Into<String>, payload: Json) {
        self.message(name, summary.into(), payload);
        self.on_connection.push(name.to_owned());
    }

    fn message(&mut self, name: &str, summary: String, payload: Json) {
        let mut message = json!({ "name": name, "summary": summary });
        match payload["properties"].get("id") {
            Some(_) => {
                message["correlationId"] = json!({ "location": "$message.payload#/id" });
            }
            // Text that is not JSON.
            None if payload["type"] == "string" => message["contentType"] = "text/plain".into(),
            None => {}
        }
        message["payload"] = payload;
        self.messages.insert(name.to_owned(), message);
    }

    /// An operation that clients ask for over the connection, and its answers: one where it was
    /// carried out, and the refusal.
    pub fn asked(&mut self, name: &str, summary: impl Into<String>, request: &str, answer: &str) {
        let operation = json!({
            "action": "receive",
            "channel": reference(&["channels", CONNECTION]),
            "summary": summary.into(),
            "messages": [on(CONNECTION, request)],
            "reply": {
                "channel": reference(&["channels", CONNECTION]),
                "messages": [on(CONNECTION, answer), on(CONNECTION, REFUSAL)],
            },
        });
        self.operations.insert(name.to_owned(), operation);
    }

    /// What one side says over the connection without being asked, or without being answered.
    pub fn told(&mut self, name: &str, action: &str, summary: &str, messages: &[&str]) {
        let messages: Vec<Json> = messages.iter().map(|name| on(CONNECTION, name)).collect();
        let operation = json!({
            "action": action,
            "channel": reference(&["channels", CONNECTION]),
            "summary": summary,
            "messages": messages,
        });
        self.operations.insert(name.to_owned(), operation);
    }

    /// The connection, of which everything is known but its messages.
    pub fn connection(&mut self, channel: Json) {
        let messages = std::mem::take(&mut self.on_connection);
        self.channel(CONNECTION, channel, &messages);
    }

    /// A channel that is subscribed to, and that its events are heard there.
    pub fn heard(&mut self, name: &str, channel: Json, summary: &str, messages: &[String]) {
        self.channel(name, channel, messages);
        let messages: Vec<Json> = messages.iter().map(|message| on(name, message)).collect();
        let operation = json!({
            "action": "send",
            "channel": reference(&["channels", name]),
            "summary": summary,
            "messages": messages,
        });
        self.operations.insert(format!("hear.{name}"), operation);
    }

    fn channel(&mut self, name: &str, mut channel: Json, messages: &[String]) {
        let messages: Map<String, Json> = messages
            .iter()
            .map(|message| {
                (
                    message.clone(),
                    reference(&["components", "messages", message]),
                )
            })
            .collect();
        channel["messages"] = messages.into();
        self.channels.insert(name.to_owned(), channel);
    }

    /// Whether there is a channel of this name already.
    pub fn has_channel(&self, name: &str) -> bool {
        self.channels.contains_key(name)
    }

    /// Channels, operations and components.
    pub fn finish(self) -> (Json, Json, Json) {
        let components = json!({ "messages": self.messages, "schemas": self.schemas });
        (self.channels.into(), self.operations.into(), components)
    }
}

/// A message where a channel has it.
fn on(channel: &str, message: &str) -> Json {
    reference(&["channels", channel, "messages", message])
}

fn reference(path: &[&str]) -> Json {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

/// Where a schema is.
pub(super) fn schema_ref(name: &str) -> Json {
    reference(&["components", "schemas", name])
}

/// A message of a client.
pub(super) fn request(op: &str, required: &[&str], properties: Json) -> Json {
    let mut all = json!({ "id": schema_ref("RequestId"), "op": { "const": op } });
    let required: Vec<&str> = std::iter::once("op")
        .chain(required.iter().copied())
        .collect();
    extend(&mut all, properties);
    object(&required, all)
}

/// The answer to a message that was carried out.
pub(super) fn answer(required: &[&str], properties: Json) -> Json {
    object(
        &["id", "ok"],
        json!({ "id": schema_ref("RequestId"), "ok": object(required, properties) }),
    )
}

/// An event on a channel. All of its properties are always there.
pub(super) fn event(event: &str, properties: Json) -> Json {
    let mut all = json!({
        "event": { "const": event },
        "channel": { "type": "string", "description": "Where it is heard." },
        "position": schema_ref("Position"),
    });
    extend(&mut all, properties);
    whole(all)
}

/// An object in which all properties are always there.
pub(super) fn whole(properties: Json) -> Json {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let names: Vec<String> = names.cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    object(&names, properties)
}

/// An object of these properties and no others.
pub(super) fn object(required: &[&str], properties: Json) -> Json {
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn extend(properties: &mut Json, more: Json) {
    if let (Json::Object(properties), Json::Object(more)) = (properties, more) {
        properties.extend(more);
    }
}
