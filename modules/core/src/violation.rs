//! What is wrong with something a client sent, place by place.

use std::fmt;

use serde::Serialize;
use serde_json::{Value as Json, json};

/// One thing wrong with an input. An answer carries all of them at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the input.
    pub path: String,
    /// Stable word for programs, for example `too_long`.
    pub code: &'static str,
    /// Sentence for people, without a full stop.
    pub message: String,
}

impl Violation {
    /// A violation at a place.
    pub fn new(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            code,
            message: message.into(),
        }
    }

    /// A reference that leads nowhere. `place` is the field, with the number of the item in a list.
    pub fn unknown_reference(place: &str, target: &str) -> Self {
        Self::new(
            format!("/{place}"),
            "unknown_reference",
            format!("refers to a document that does not exist in {target}"),
        )
    }

    /// What it looks like in the API's documentation.
    pub fn json_schema() -> Json {
        let text = |description: &str| json!({ "type": "string", "description": description });
        json!({
            "type": "object",
            "description": "One thing wrong with an input.",
            "properties": {
                "path": text("Where, as a JSON Pointer (RFC 6901) into the input."),
                "code": text("Stable word for programs."),
                "message": text("What is wrong, for people."),
            },
            "required": ["path", "code", "message"],
        })
    }
}

/// A place inside an input, as it is walked: a JSON Pointer that grows and shrinks.
#[derive(Debug, Clone, Default)]
pub struct Pointer(String);

impl Pointer {
    /// The whole input.
    pub fn root() -> Self {
        Self::default()
    }

    /// Runs `visit` one key further in.
    pub fn at<T>(&mut self, key: impl fmt::Display, visit: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push('/');
        let key = key.to_string();
        if key.contains(['~', '/']) {
            self.0.push_str(&key.replace('~', "~0").replace('/', "~1"));
        } else {
            self.0.push_str(&key);
        }
        let result = visit(self);
        self.0.truncate(length);
        result
    }

    /// A violation at this place.
    pub fn violation(&self, code: &'static str, message: impl Into<String>) -> Violation {
        Violation::new(self.0.clone(), code, message)
    }

    /// The pointer's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an input is, in a word that a person understands.
pub fn kind_of(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_and_shrink() {
        let mut pointer = Pointer::root();
        let inner = pointer.at("a/b~c", |p| p.at(3, |p| p.as_str().to_owned()));
        assert_eq!(inner, "/a~1b~0c/3");
        assert_eq!(pointer.as_str(), "");
    }
}
