//! Small bodies: objects whose keys the route knows. Everything that is wrong is said at once.

use nubo_core::{
    Error, Pointer, Result, Violation, kind_of, nearest,
    request::body::{self, Accepts},
    with_hint,
};
use poem::Request;
use serde_json::{Map, Value as Json};

/// Most bytes of a body that holds a few words.
pub(crate) const SMALL: u64 = 64 * 1024;
/// Most bytes of a body that holds an account.
pub(crate) const ACCOUNT: u64 = 1024 * 1024;
/// Most bytes of what a client says of its device.
const MAX_DEVICE: usize = 4096;

/// Reads a body that is JSON.
pub(crate) async fn read(request: &mut Request, limit: u64) -> Result<Json> {
    body::read(request, Accepts::Json, limit).await
}

/// An object that is being read.
pub(crate) struct Input {
    entries: Map<String, Json>,
    violations: Vec<Violation>,
}

impl Input {
    /// An object: 422 where it is something else.
    pub fn of(json: Json) -> Result<Self> {
        match json {
            Json::Object(entries) => Ok(Self {
                entries,
                violations: Vec::new(),
            }),
            other => Err(Error::Invalid(vec![Violation::new(
                "",
                "wrong_type",
                format!("must be an object, not {}", kind_of(&other)),
            )])),
        }
    }

    /// Refuses keys that the route does not know.
    pub fn only(&mut self, known: &[&str]) {
        for key in self
            .entries
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
        {
            let sentence = format!("unknown field `{key}`");
            let message = with_hint(sentence, nearest(key, known.iter().copied()));
            let violation = Pointer::root().at(key, |at| at.violation("unknown_field", message));
            self.violations.push(violation);
        }
    }

    /// Whether there is something under the key.
    pub fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|json| !json.is_null())
    }

    /// A text that must be there; empty where it is not, which `finish` will say.
    pub fn text(&mut self, key: &str) -> String {
        match self.entries.remove(key) {
            Some(Json::String(text)) => text,
            None | Some(Json::Null) => {
                self.refuse(key, "required", "is required");
                String::new()
            }
            Some(other) => {
                let message = format!("must be text, not {}", kind_of(&other));
                self.refuse(key, "wrong_type", message);
                String::new()
            }
        }
    }

    /// True or false; false where it is not there.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.entries.remove(key) {
            Some(Json::Bool(flag)) => flag,
            None | Some(Json::Null) => false,
            Some(other) => {
                let message = format!("must be true or false, not {}", kind_of(&other));
                self.refuse(key, "wrong_type", message);
                false
            }
        }
    }

    /// What a client says of its device: any object, within limits.
    pub fn device(&mut self) -> Option<Json> {
        let device = self
            .entries
            .shift_remove("device")
            .filter(|json| !json.is_null())?;
        if !device.is_object() {
            let message = format!("must be an object, not {}", kind_of(&device));
            self.refuse("device", "wrong_type", message);
        } else if device.to_string().len() > MAX_DEVICE {
            let message = format!("must have at most {MAX_DEVICE} bytes");
            self.refuse("device", "too_long", message);
        } else if has_nul(&device) {
            self.refuse(
                "device",
                "invalid_character",
                "must not contain the character U+0000",
            );
        }
        Some(device)
    }

    /// Notes that something is wrong.
    pub fn refuse(&mut self, key: &str, code: &'static str, message: impl Into<String>) {
        let violation = Pointer::root().at(key, |at| at.violation(code, message));
        self.violations.push(violation);
    }

    /// The rest of the object: 422 where something was wrong.
    pub fn finish(self) -> Result<Map<String, Json>> {
        match self.violations.is_empty() {
            true => Ok(self.entries),
            false => Err(Error::Invalid(self.violations)),
        }
    }
}

/// PostgreSQL's json has no U+0000.
fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(entries) => entries
            .iter()
            .any(|(key, item)| key.contains('\0') || has_nul(item)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}
