//! JSON as it comes from clients, read strictly: a key that stands twice in one object is refused
//! (serde_json would keep the last without a word), and nothing nests deeper than a stack can take.

use std::{cell::Cell, fmt};

use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json, map::Entry};

/// How many levels of objects and lists may be inside each other.
const MAX_DEPTH: u32 = 64;

/// Reads a body or parameter; `what` is named in the error. 400 with line and column.
pub fn read(bytes: &[u8], what: &str) -> Result<Json> {
    // Checked at once, which is faster than string by string.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = error.valid_up_to() + 1;
        Error::bad_request(
            "malformed_json",
            format!("{what} is not UTF-8: byte {place} belongs to no character"),
        )
    })?;
    read_text(text, what)
}

/// The same for what is known to be text.
pub fn read_text(text: &str, what: &str) -> Result<Json> {
    let refusal = Cell::new("malformed_json");
    let strict = Strict {
        depth: 0,
        refusal: &refusal,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    strict
        .deserialize(&mut deserializer)
        .and_then(|json| deserializer.end().map(|()| json))
        .map_err(|error| {
            let detail = format!("{what} is not acceptable JSON: {error}");
            Error::bad_request(refusal.get(), detail)
        })
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u32,
    /// The code of the error, where it is not one of syntax.
    refusal: &'a Cell<&'static str>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            self.refusal.set("too_deep");
            return Err(E::custom(format_args!(
                "nests deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            match map.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(entries.next_value_seed(inner)?);
                }
                Entry::Occupied(taken) => {
                    self.refusal.set("duplicate_key");
                    let key = taken.key();
                    return Err(A::Error::custom(format_args!(
                        "the key `{key}` stands twice"
                    )));
                }
            }
        }
        Ok(Json::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(text: &[u8]) -> (&'static str, String) {
        let error = read(text, "the body").unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#" {"a":[1,-2,3.5,"x\n",null,true],"b":{},"ü":18446744073709551615} "#;
        let expected = serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(read(text.as_bytes(), "").unwrap(), expected);
        assert_eq!(read(b"0", "").unwrap(), json!(0));
    }

    #[test]
    fn says_where_the_mistake_is() {
        let (code, detail) = refusal(b"{\n  \"a\": 1,\n  b\n}");
        assert_eq!(code, "malformed_json");
        assert!(detail.contains("line 3 column 3"), "{detail}");
        assert_eq!(refusal(b"{} {}").0, "malformed_json");
        assert_eq!(refusal(b"{").0, "malformed_json");
        assert_eq!(refusal(b"[1e999]").0, "malformed_json");
        assert_eq!(refusal(b"[NaN]").0, "malformed_json");
    }

    #[test]
    fn refuses_keys_that_stand_twice() {
        let (code, detail) = refusal(br#"[{"a":1,"b":{"c":1,"c":2}}]"#);
        assert_eq!(code, "duplicate_key");
        assert!(
            detail.contains("`c`") && detail.contains("line 1"),
            "{detail}"
        );
        assert!(read(br#"[{"a":1},{"a":2}]"#, "").is_ok());
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(64).as_bytes(), "").is_ok());
        assert_eq!(refusal(nested(65).as_bytes()).0, "too_deep");
        assert_eq!(refusal("[".repeat(100_000).as_bytes()).0, "too_deep");
    }

    #[test]
    fn refuses_what_is_no_text() {
        let (code, detail) = refusal(b"\"\xff\"");
        assert_eq!(code, "malformed_json");
        assert!(detail.contains("byte 2"), "{detail}");
        assert_eq!(refusal(br#""\ud800""#).0, "malformed_json");
    }
}
