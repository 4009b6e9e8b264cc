//! What is done to a value of a column before the field reads it.

use nubo_core::kind_of;
use serde_json::{Number, Value as Json};

use super::moment::Pattern;

/// How a value is converted. Null stays null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// Not at all.
    None,
    /// Numbers and booleans become text.
    Text,
    /// Text becomes a number.
    Number,
    /// Words for yes and no become booleans.
    Bool,
    /// Text becomes a date.
    Date(Pattern),
    /// Text becomes a point in time.
    Timestamp(Pattern),
}

impl Conversion {
    /// The converted value.
    ///
    /// # Errors
    /// Why that is impossible, without a full stop.
    pub fn apply(&self, value: &Json) -> Result<Json, String> {
        match (self, value) {
            (Self::None, _) | (_, Json::Null) => return Ok(value.clone()),
            (_, Json::Array(_) | Json::Object(_)) => {
                return Err(format!("cannot be converted from {}", kind_of(value)));
            }
            _ => {}
        }
        let text = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        if *self == Self::Text {
            return Ok(Json::String(text));
        }
        // Where text stands for something else, none of it stands for nothing.
        let text = text.trim();
        if text.is_empty() {
            return Ok(Json::Null);
        }
        Ok(match self {
            Self::None | Self::Text => value.clone(),
            Self::Number => text
                .parse::<Number>()
                .map(Json::Number)
                .map_err(|_| format!("must be a number, not `{text}`"))?,
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Json::Bool(true),
                "false" | "no" | "0" => Json::Bool(false),
                _ => return Err(format!("must be true or false, not `{text}`")),
            },
            Self::Date(pattern) => {
                let date = pattern
                    .date(text)
                    .map_err(|mismatch| mismatch.to_string())?;
                Json::String(date.to_string())
            }
            Self::Timestamp(pattern) => {
                let time = pattern.timestamp(text);
                let time = time.map_err(|mismatch| mismatch.to_string())?;
                Json::String(time.to_string())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_what_is_asked_for() {
        let date = Conversion::Date(Pattern::parse("%b %d %Y").unwrap());
        let time = Conversion::Timestamp(Pattern::parse("%s").unwrap());
        for (conversion, value, expected) in [
            (&Conversion::None, json!([1]), json!([1])),
            (&Conversion::Text, json!(1776), json!("1776")),
            (&Conversion::Text, json!(0.5), json!("0.5")),
            (&Conversion::Text, json!(true), json!("true")),
            (&Conversion::Text, json!(" x "), json!(" x ")),
            (&Conversion::Text, json!(""), json!("")),
            (&Conversion::Text, json!(null), json!(null)),
            (&Conversion::Number, json!(" 12 "), json!(12)),
            (&Conversion::Number, json!("-1.5"), json!(-1.5)),
            (&Conversion::Number, json!(""), json!(null)),
            (&Conversion::Bool, json!("Yes"), json!(true)),
            (&Conversion::Bool, json!(0), json!(false)),
            (&date, json!("Jun 12 1998"), json!("1998-06-12")),
            (&date, json!(" "), json!(null)),
            (&time, json!(0), json!("1970-01-01T00:00:00.000Z")),
        ] {
            assert_eq!(
                conversion.apply(&value),
                Ok(expected),
                "{conversion:?} {value}"
            );
        }
        for (conversion, value) in [
            (&Conversion::Text, json!({})),
            (&Conversion::Number, json!("1,000")),
            (&Conversion::Number, json!("NaN")),
            (&Conversion::Bool, json!("maybe")),
            (&date, json!(1998)),
        ] {
            assert!(conversion.apply(&value).is_err(), "{conversion:?} {value}");
        }
    }
}
