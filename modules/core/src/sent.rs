//! Documents as the bytes that are sent, taken apart without being parsed.
//!
//! Nubo wrote them itself ([`crate::document::Document::write_json`], or the database in the same
//! form): an object without white space, whose keys are field names and need no escaping. So a field
//! can be found, left out or emptied by walking over the bytes once.

use serde_json::Value as Json;

use crate::{
    document::Document,
    error::{Error, Result},
    field::{Field, Source},
    record::{Excerpt, Excerpts},
    schema::Collection,
    value::Value,
    violation::Pointer,
};

/// The members of a document, in their order.
pub struct Members<'a> {
    rest: &'a [u8],
}

/// One member: its name and its value, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of this document.
    pub fn of(json: &'a [u8]) -> Self {
        let inner = json
            .strip_prefix(b"{")
            .and_then(|json| json.strip_suffix(b"}"));
        Self {
            rest: inner.unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let rest = self.rest.strip_prefix(b",").unwrap_or(self.rest);
        let rest = rest.strip_prefix(b"\"")?;
        let name_end = rest.iter().position(|byte| *byte == b'"')?;
        let after = rest.get(name_end + 1..)?.strip_prefix(b":")?;
        let end = value_end(after);
        self.rest = &after[end..];
        Some(Member {
            name: &rest[..name_end],
            value: &after[..end],
        })
    }
}

/// Where the value ends with which this text begins.
fn value_end(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return at,
            },
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where the closing quotation mark of the string stands that opens at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// Appends a document with some members left out or emptied: `shown` says of each field whether it
/// is sent as it is (`Some(true)`), as null (`Some(false)`) or not at all.
pub fn write_shaped(json: &[u8], shown: impl Fn(&str) -> Option<bool>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for member in Members::of(json) {
        let Some(shown) = std::str::from_utf8(member.name).ok().and_then(&shown) else {
            continue;
        };
        if !first {
            out.push(b',');
        }
        first = false;
        out.push(b'"');
        out.extend_from_slice(member.name);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(if shown { member.value } else { b"null" });
    }
    out.push(b'}');
}

impl Collection {
    /// A document from what was sent of it. What is never sent is null in it.
    ///
    /// # Errors
    /// Where the bytes are no document of this collection.
    pub fn read_sent(&self, json: &[u8]) -> Result<Document> {
        let mut document = Document::empty(self);
        for member in Members::of(json) {
            let name = std::str::from_utf8(member.name).map_err(Error::internal)?;
            if let Some((index, field)) = self.field_named(name) {
                document.set(index, read(field, member.value)?);
            }
        }
        match document.id() {
            Some(_) => Ok(document),
            None => Err(Error::internal("what was sent has no id")),
        }
    }

    /// The excerpt of a document from what was sent of it.
    ///
    /// # Errors
    /// Where the bytes are no document of this collection.
    pub fn read_excerpt(&self, excerpts: &Excerpts, json: &[u8]) -> Result<Excerpt> {
        // Both are in the order of the fields.
        let mut members = Members::of(json);
        let mut values = Vec::with_capacity(excerpts.fields().len());
        for index in excerpts.fields() {
            let field = &self.fields()[*index];
            let member = members
                .find(|member| member.name == field.name.as_bytes())
                .ok_or_else(|| Error::internal(format!("`{}` was not sent", field.name)))?;
            values.push(read(field, member.value)?);
        }
        Ok(excerpts.from_values(values))
    }
}

fn read(field: &Field, text: &[u8]) -> Result<Value> {
    let json: Json = serde_json::from_slice(text).map_err(Error::internal)?;
    if json.is_null() {
        return Ok(Value::Null);
    }
    let mut violations = Vec::new();
    let value = field
        .kind
        .read(&json, Source::Json, &mut Pointer::root(), &mut violations);
    value.ok_or_else(|| Error::internal(format!("`{}` cannot be read back", field.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str =
        r#"{"id":"a","text":"x\"},{\\","list":[1,{"a":","}],"none":null,"n":-1.5e3}"#;

    #[test]
    fn members_are_found_whatever_is_inside() {
        let members: Vec<(String, String)> = Members::of(SENT.as_bytes())
            .map(|member| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(member.name), text(member.value))
            })
            .collect();
        let expected = [
            ("id", "\"a\""),
            ("text", r#""x\"},{\\""#),
            ("list", r#"[1,{"a":","}]"#),
            ("none", "null"),
            ("n", "-1.5e3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(members, expected);
        assert_eq!(Members::of(b"{}").count(), 0);
        assert_eq!(Members::of(b"").count(), 0);
    }

    #[test]
    fn fields_are_emptied_and_left_out() {
        let mut out = Vec::new();
        let shown = |name: &str| match name {
            "id" => Some(true),
            "text" => Some(false),
            "n" => Some(true),
            _ => None,
        };
        write_shaped(SENT.as_bytes(), shown, &mut out);
        let expected = r#"{"id":"a","text":null,"n":-1.5e3}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
