//! Times: `timestamp`, `date`, `duration`. Their texts are read by [`crate::time`].

use std::{fmt::Display, str::FromStr};

use serde_json::Value as Json;

use super::{Reading, Refusal};
use crate::value::Value;

pub(super) fn read_timestamp(json: &Json) -> Reading {
    parse(json, "invalid_timestamp", "a timestamp as text").map(Value::Timestamp)
}

pub(super) fn read_date(json: &Json) -> Reading {
    parse(json, "invalid_date", "a date as text").map(Value::Date)
}

pub(super) fn read_duration(json: &Json) -> Reading {
    parse(json, "invalid_duration", "a duration as text").map(Value::Duration)
}

fn parse<T: FromStr<Err: Display>>(
    json: &Json,
    code: &'static str,
    expected: &str,
) -> Result<T, Refusal> {
    json.as_str()
        .ok_or_else(|| Refusal::kind(expected, json))?
        .parse()
        .map_err(|error: T::Err| Refusal::new(code, error.to_string()))
}
