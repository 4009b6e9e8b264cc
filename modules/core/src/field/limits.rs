//! The limits a field sets its values: bounds, lengths, a pattern, an enumeration.

use std::{cmp::Ordering, fmt};

use regex::Regex;
use serde_json::Value as Json;

use crate::{
    time::{Date, Timestamp},
    value::Value,
    violation::{Pointer, Violation},
};

/// What values are allowed beyond those of the type.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub min: Option<Bound>,
    pub max: Option<Bound>,
    /// Characters, bytes or items.
    pub min_length: Option<u32>,
    /// Characters, bytes or items.
    pub max_length: Option<u32>,
    pub pattern: Option<Regex>,
    /// The values allowed; empty where every value is.
    pub choices: Vec<Choice>,
}

impl PartialEq for Limits {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |limits: &Self| limits.pattern.as_ref().map(|p| p.as_str().to_owned());
        self.min == other.min
            && self.max == other.max
            && self.min_length == other.min_length
            && self.max_length == other.max_length
            && pattern(self) == pattern(other)
            && self.choices == other.choices
    }
}

/// A value of an enumeration.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its name, accepted in input and filters.
    pub name: Option<String>,
    /// What is stored and sent.
    pub value: Value,
}

/// A bound on a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    Fixed(Value),
    /// For dates: this many years from today, `-18y`.
    YearsFromToday(i32),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(value) => write!(f, "{value:?}"),
            Self::YearsFromToday(years) => write!(f, "{years} years from today"),
        }
    }
}

impl Limits {
    /// The choice whose name this is.
    pub fn choice_named(&self, json: &Json) -> Option<&Choice> {
        let name = json.as_str()?;
        self.choices
            .iter()
            .find(|choice| choice.name.as_deref() == Some(name))
    }

    /// Checks a value that is not null. A relative bound is checked by [`Limits::check_relative`],
    /// which knows what day it is.
    pub(super) fn check(&self, value: &Value, at: &mut Pointer, violations: &mut Vec<Violation>) {
        self.check_length(value, at, violations);
        if let Value::List(items) = value {
            for (index, item) in items.iter().enumerate() {
                at.at(index, |at| self.check_one(item, at, violations));
            }
        } else {
            self.check_one(value, at, violations);
        }
    }

    /// Checks a date against bounds that depend on the day.
    pub fn check_relative(
        &self,
        value: &Value,
        now: Timestamp,
        at: &mut Pointer,
        violations: &mut Vec<Violation>,
    ) {
        let Value::Date(date) = value else { return };
        let bound = |bound: &Option<Bound>| match bound {
            Some(Bound::YearsFromToday(years)) => Some(now.date().add_years(*years)),
            _ => None,
        };
        if bound(&self.min).is_some_and(|min: Date| *date < min) {
            violations.push(at.violation("too_small", "is too long ago"));
        }
        if bound(&self.max).is_some_and(|max: Date| *date > max) {
            violations.push(at.violation("too_large", "is too late"));
        }
    }

    fn check_length(&self, value: &Value, at: &Pointer, violations: &mut Vec<Violation>) {
        let (length, unit) = match value {
            Value::Text(text) | Value::Secret(text) => (text.chars().count(), "characters"),
            Value::Bytes(bytes) => (bytes.len(), "bytes"),
            Value::List(items) => (items.len(), "items"),
            _ => return,
        };
        if let Some(min) = self.min_length.filter(|min| length < *min as usize) {
            violations.push(at.violation("too_short", format!("must have at least {min} {unit}")));
        }
        if let Some(max) = self.max_length.filter(|max| length > *max as usize) {
            violations.push(at.violation("too_long", format!("must have at most {max} {unit}")));
        }
    }

    fn check_one(&self, value: &Value, at: &Pointer, violations: &mut Vec<Violation>) {
        let beyond = |bound: &Option<Bound>, side: Ordering| match bound {
            Some(Bound::Fixed(bound)) => {
                (value.compare(bound) == Some(side)).then(|| bound.clone())
            }
            _ => None,
        };
        if let Some(min) = beyond(&self.min, Ordering::Less) {
            violations.push(at.violation("too_small", format!("must be at least {min:?}")));
        }
        if let Some(max) = beyond(&self.max, Ordering::Greater) {
            violations.push(at.violation("too_large", format!("must be at most {max:?}")));
        }
        if let (Some(pattern), Value::Text(text) | Value::Secret(text)) = (&self.pattern, value)
            && !pattern.is_match(text)
        {
            violations.push(at.violation(
                "pattern",
                format!("must match the pattern {}", pattern.as_str()),
            ));
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|c| c.value.same(value)) {
            violations.push(self.not_a_choice(at));
        }
    }

    /// What is said of a value that is none of the choices.
    pub(super) fn not_a_choice(&self, at: &Pointer) -> Violation {
        let allowed: Vec<String> = self
            .choices
            .iter()
            .map(|choice| match &choice.name {
                Some(name) => format!("{:?} ({name})", choice.value),
                None => format!("{:?}", choice.value),
            })
            .collect();
        at.violation(
            "not_allowed",
            format!("must be one of {}", allowed.join(", ")),
        )
    }
}
