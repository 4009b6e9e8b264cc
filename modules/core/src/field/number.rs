//! Numbers: `int`, `bigint`, `float`, `decimal`.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::{Reading, Refusal, Source};
use crate::value::Value;

/// A whole number between two bounds. Accepts `3.0` for 3, and text beyond what JSON numbers hold
/// exactly.
pub(super) fn read_int(json: &Json, source: Source, min: i64, max: i64) -> Reading {
    let number = match json {
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Some(integer),
            // Beyond 2⁵³ a float names several integers.
            (None, Some(float))
                if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 =>
            {
                Some(float as i64)
            }
            (None, Some(float)) if float.fract() != 0.0 => {
                return Err(Refusal::new("wrong_type", "must be a whole number"));
            }
            _ => None,
        },
        Json::String(text) if source == Source::Plain || max > i64::from(i32::MAX) => {
            match text.parse::<i64>() {
                Ok(integer) => Some(integer),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
                    ) =>
                {
                    None
                }
                Err(_) => return Err(Refusal::new("wrong_type", "must be a whole number")),
            }
        }
        _ => return Err(Refusal::kind("a whole number", json)),
    };
    number
        .filter(|number| (min..=max).contains(number))
        .map(Value::Int)
        .ok_or_else(|| Refusal::new("out_of_range", format!("must be from {min} to {max}")))
}

pub(super) fn read_float(json: &Json, source: Source) -> Reading {
    let number = match (json, source) {
        (Json::Number(number), _) => number.as_f64(),
        (Json::String(text), Source::Plain) => text.parse().ok(),
        _ => return Err(Refusal::kind("a number", json)),
    };
    number
        .filter(|number: &f64| number.is_finite())
        // Zero has one sign, so that equal values are sent alike.
        .map(|number| Value::Float(if number == 0.0 { 0.0 } else { number }))
        .ok_or_else(|| Refusal::new("wrong_type", "must be a finite number"))
}

/// Accepts text, which is exact, and JSON numbers as their shortest decimal form.
pub(super) fn read_decimal(json: &Json) -> Reading {
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return Err(Refusal::kind("a decimal number as text", json)),
    };
    let decimal = if text.contains(['e', 'E']) {
        Decimal::from_scientific(&text).ok()
    } else {
        Decimal::from_str_exact(&text).ok()
    };
    decimal
        .filter(|_| !text.contains('_'))
        .map(|decimal| Value::Decimal(decimal.normalize()))
        .ok_or_else(|| {
            Refusal::new(
                "wrong_type",
                "must be a decimal number of at most 28 digits, such as \"12.50\"",
            )
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn int(json: Json) -> Option<Value> {
        read_int(&json, Source::Json, i64::MIN, i64::MAX).ok()
    }

    #[test]
    fn integers_are_exact() {
        assert_eq!(int(json!(3.0)), Some(Value::Int(3)));
        assert_eq!(
            int(json!("9223372036854775807")),
            Some(Value::Int(i64::MAX))
        );
        assert_eq!(int(json!("9223372036854775808")), None);
        assert_eq!(int(json!(9_223_372_036_854_775_808u64)), None);
        assert_eq!(int(json!(1e300)), None);
        assert_eq!(int(json!(0.5)), None);
        assert_eq!(int(json!(true)), None);
    }

    #[test]
    fn decimals_have_one_spelling() {
        let read = |json: Json| read_decimal(&json).ok().map(|value| format!("{value:?}"));
        assert_eq!(read(json!("1.50")).as_deref(), Some("\"1.5\""));
        assert_eq!(read(json!(0.1)).as_deref(), Some("\"0.1\""));
        assert_eq!(read(json!("-0")).as_deref(), Some("\"0\""));
        assert_eq!(read(json!("1e3")).as_deref(), Some("\"1000\""));
        assert_eq!(read(json!("1_000")), None);
        assert_eq!(read(json!("12345678901234567890123456789.5")), None);
    }
}
