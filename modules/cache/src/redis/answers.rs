//! What Redis answers, taken apart.

use nubo_core::Result;
use redis::Value;

use super::failure::unexpected;

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::VerbatimString { text, .. } => Ok(text.into()),
        _ => Err(unexpected("bytes")),
    }
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(unexpected("a list")),
    }
}

/// The lists of several answers as one, which has so many.
pub(super) fn flat(answers: Vec<Value>, count: usize) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(count);
    for answer in answers {
        values.extend(array(answer)?);
    }
    match values.len() == count {
        true => Ok(values),
        false => Err(unexpected("as many as it was asked for")),
    }
}

/// Answers each of which says yes or no.
pub(super) fn are_yes(answers: &[Value]) -> Result<Vec<bool>> {
    answers
        .iter()
        .map(|value| Ok(number(value)? == 1))
        .collect()
}

pub(super) fn number(value: &Value) -> Result<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| unexpected("a number")),
        _ => Err(unexpected("a number")),
    }
}
