//! Query strings. Each parameter is known to its route and stands at most once; everything else is
//! refused, all of it at once, because a parameter that is silently ignored is a wrong answer.

use std::borrow::Cow;

use crate::{
    error::{Error, Result},
    mistake::nearest,
    violation::Violation,
};

/// The parameters of one request, decoded.
#[derive(Debug, Default)]
pub struct Parameters<'a> {
    named: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// `filter[…]…`: what is in brackets, and the value.
    brackets: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Parameters<'a> {
    /// Reads a query string (`application/x-www-form-urlencoded`, so that `+` is a space).
    pub fn read(query: Option<&'a str>, known: &[&str]) -> Result<Self> {
        let mut parameters = Self::default();
        let mut violations = Vec::new();
        let parts = query.unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let is_bracket = name.starts_with("filter[") && known.contains(&"filter");
            if is_bracket {
                parameters.brackets.push((name, value));
            } else if !known.contains(&&*name) {
                violations.push(unknown(&name, known));
            } else if parameters.get(&name).is_some() {
                violations.push(Violation::new(
                    pointer(&name),
                    "duplicate_parameter",
                    format!("the parameter `{name}` stands twice"),
                ));
            } else {
                parameters.named.push((name, value));
            }
        }
        match violations.first() {
            None => Ok(parameters),
            Some(first) => Err(Error::BadRequest {
                code: first.code,
                detail: first.message.clone(),
                errors: violations,
            }),
        }
    }

    /// Refuses every parameter.
    pub fn none(query: Option<&str>) -> Result<()> {
        match query {
            None => Ok(()),
            query => Parameters::read(query, &[]).map(|_| ()),
        }
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.named.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| &**value)
    }

    /// The parameters that begin with `filter[`.
    pub fn brackets(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.brackets
    }

    /// The value of a parameter that is a number.
    pub fn number(&self, name: &'static str) -> Result<Option<u64>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ if digits => Ok(Some(u64::MAX)),
            _ => Err(invalid(name, "must be a whole number")),
        }
    }

    /// The value of a parameter that is `true` or `false`; false where it is absent.
    pub fn flag(&self, name: &'static str) -> Result<bool> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }
}

/// 400 about the value of a parameter.
pub fn invalid(name: &str, message: impl Into<String>) -> Error {
    let message = message.into();
    Error::BadRequest {
        code: "invalid_parameter",
        detail: format!("`{name}` {message}"),
        errors: vec![Violation::new(pointer(name), "invalid_parameter", message)],
    }
}

/// What is said of a name that the route does not know.
pub fn unknown(name: &str, known: &[&str]) -> Violation {
    let hint = nearest(name, known.iter().copied())
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default();
    Violation::new(
        pointer(name),
        "unknown_parameter",
        format!("unknown parameter `{name}`{hint}"),
    )
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Decodes percent-encoding: 400 where it is broken or hides something that is no text.
fn decode(text: &str) -> Result<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let broken = |detail| Error::bad_request("invalid_encoding", detail);
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                // Two hexadecimal digits are one byte.
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(broken(
                            "the query string has a `%` that is not followed by two digits",
                        ));
                    }
                }
            }
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| broken("the query string is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["filter", "limit", "sort"];

    fn refusal(query: &str) -> (String, Vec<String>) {
        let error = Parameters::read(Some(query), &KNOWN).unwrap_err();
        let places = error.errors().iter().map(|v| v.path.clone()).collect();
        (format!("{}: {error}", error.code()), places)
    }

    #[test]
    fn decodes_names_and_values() {
        let query = "limit=5&sor%74=a%2Cb+c&&filter%5Bprice%5D%5B%24gt%5D=%C3%BC";
        let parameters = Parameters::read(Some(query), &KNOWN).unwrap();
        assert_eq!(parameters.number("limit").unwrap(), Some(5));
        assert_eq!(parameters.get("sort"), Some("a,b c"));
        assert_eq!(parameters.get("filter"), None);
        assert_eq!(parameters.brackets()[0].0, "filter[price][$gt]");
        assert_eq!(parameters.brackets()[0].1, "ü");
    }

    #[test]
    fn names_all_unknown_and_repeated_parameters() {
        let (message, places) = refusal("limt=5&sort=a&x~/y=1&sort=b");
        assert_eq!(
            message,
            "unknown_parameter: unknown parameter `limt`; did you mean `limit`?"
        );
        assert_eq!(places, ["/limt", "/x~0~1y", "/sort"]);
        assert!(Parameters::none(Some("a=1")).is_err());
        assert!(Parameters::none(Some("")).is_ok());
        assert!(Parameters::read(Some("filter[a]=1"), &["limit"]).is_err());
    }

    #[test]
    fn refuses_broken_encodings() {
        for query in ["limit=%", "limit=%4", "limit=%zz", "%ff=1", "limit=%+1"] {
            let (message, _) = refusal(query);
            assert!(
                message.starts_with("invalid_encoding"),
                "{query}: {message}"
            );
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        for text in ["", "+1", "-1", "1.0", "0x1", "１"] {
            let query = format!("limit={text}").replace('+', "%2B");
            let parameters = Parameters::read(Some(&query), &KNOWN).unwrap();
            assert!(parameters.number("limit").is_err(), "{text}");
        }
        let huge = Parameters::read(Some("limit=99999999999999999999"), &KNOWN).unwrap();
        assert_eq!(huge.number("limit").unwrap(), Some(u64::MAX));
    }
}
