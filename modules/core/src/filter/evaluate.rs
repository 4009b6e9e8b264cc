//! The executor for documents in memory, and the reference for all others.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{
    Comparison, Expr, Select, Test, TextMatch,
    path::{Found, Path, Root},
};
use crate::{field::Field, record::Record, value::Value};

/// Answers sub-queries while a filter is evaluated in memory.
pub trait SubQueries {
    /// Whether some document that matches the sub-query has this value in its field.
    fn contains(&self, select: &Select, value: &Value) -> bool;
}

/// For filters of clients, which have no sub-queries: none contains anything.
impl SubQueries for () {
    fn contains(&self, _: &Select, _: &Value) -> bool {
        false
    }
}

impl Expr<Value> {
    /// Whether a document of the collection with these fields matches.
    pub fn matches(
        &self,
        record: &impl Record,
        fields: &[Field],
        sub_queries: &impl SubQueries,
    ) -> bool {
        self.holds(&|path| path.find(record, fields), sub_queries)
    }

    /// Whether the item of a list matches an expression whose paths start at the item.
    pub fn matches_item(&self, item: &Value) -> bool {
        let found = || match item {
            Value::Json(json) => Found::Json(json),
            value => Found::Typed(value),
        };
        self.holds(&|path| at_item(path, found()), &())
    }

    fn holds<'a>(&self, find: &dyn Fn(&Path) -> Found<'a>, sub_queries: &impl SubQueries) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(find, sub_queries)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(find, sub_queries)),
            Self::Not(part) => !part.holds(find, sub_queries),
            Self::Test { path, test } => test.passes(find(path), sub_queries),
        }
    }
}

impl Test<Value> {
    fn passes(&self, found: Found<'_>, sub_queries: &impl SubQueries) -> bool {
        match self {
            Self::Exists => !matches!(found, Found::Nothing),
            Self::Size(size) => match found {
                Found::Typed(Value::List(items)) => items.len() as u64 == *size,
                Found::Json(Json::Array(items)) => items.len() as u64 == *size,
                _ => false,
            },
            Self::HasAll(operands) => {
                !operands.is_empty()
                    && operands.iter().all(|operand| match &found {
                        Found::Typed(Value::List(items)) => {
                            items.iter().any(|item| item_equals(item, operand))
                        }
                        Found::Json(Json::Array(items)) => {
                            items.iter().any(|item| json_equals(item, operand))
                        }
                        _ => false,
                    })
            }
            Self::ElemMatch(inner) => match found {
                Found::Typed(Value::List(items)) => items.iter().any(|item| {
                    inner.holds(&|path| at_item(path, Found::Typed(item)), sub_queries)
                }),
                Found::Json(Json::Array(items)) => items
                    .iter()
                    .any(|item| inner.holds(&|path| at_item(path, Found::Json(item)), sub_queries)),
                _ => false,
            },
            // A whole list is asked for, not one of its items.
            Self::Equal(whole @ Value::List(_)) => {
                matches!(found, Found::Typed(value) if value.same(whole))
            }
            test => match found {
                Found::Nothing => test.passes_null(),
                Found::Typed(Value::List(items)) => {
                    items.iter().any(|item| test.passes_one(item, sub_queries))
                }
                Found::Typed(value) => test.passes_one(value, sub_queries),
                Found::Json(Json::Array(items)) => items.iter().any(|item| {
                    Value::from_json_scalar(item)
                        .is_some_and(|value| test.passes_one(&value, sub_queries))
                }),
                Found::Json(json) => Value::from_json_scalar(json)
                    .is_some_and(|value| test.passes_one(&value, sub_queries)),
            },
        }
    }

    fn passes_null(&self) -> bool {
        match self {
            Self::Equal(operand) => operand.is_null(),
            Self::In(operands) => operands.iter().any(Value::is_null),
            _ => false,
        }
    }

    fn passes_one(&self, value: &Value, sub_queries: &impl SubQueries) -> bool {
        if value.is_null() {
            return self.passes_null();
        }
        if let Value::Json(json) = value {
            return Value::from_json_scalar(json)
                .is_some_and(|scalar| self.passes_one(&scalar, sub_queries));
        }
        match self {
            Self::Equal(operand) => value.same(operand),
            Self::In(operands) => operands.iter().any(|operand| value.same(operand)),
            Self::InSelect(select) => sub_queries.contains(select, value),
            Self::Compare(comparison, operand) => value
                .compare(operand)
                .is_some_and(|order| comparison.accepts(order)),
            Self::Text(how, Value::Text(wanted)) => {
                matches!(value, Value::Text(text) if how.finds(text, wanted))
            }
            _ => false,
        }
    }
}

fn at_item<'a>(path: &Path, item: Found<'a>) -> Found<'a> {
    match path.root {
        Root::Item => path.walk(item, None),
        Root::Field(_) => Found::Nothing,
    }
}

fn item_equals(item: &Value, operand: &Value) -> bool {
    match item {
        Value::Json(json) => json_equals(json, operand),
        item => item.same(operand),
    }
}

fn json_equals(json: &Json, operand: &Value) -> bool {
    Value::from_json_scalar(json).is_some_and(|value| value.same(operand))
}

impl Comparison {
    /// Whether a value that stands in this order to the operand passes.
    pub fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl TextMatch {
    /// Whether the wanted text is there.
    pub fn finds(self, text: &str, wanted: &str) -> bool {
        let (text, wanted) = match self.ignore_case {
            true => (text.to_ascii_lowercase(), wanted.to_ascii_lowercase()),
            false => (text.to_owned(), wanted.to_owned()),
        };
        if self.at_start {
            text.starts_with(&wanted)
        } else {
            text.contains(&wanted)
        }
    }
}
