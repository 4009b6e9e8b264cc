//! One text for each filter, the same on every instance and after every restart, by which lists are
//! told apart.

use std::fmt::Write;

use super::{Comparison, Expr, Path, Root, Test, TextMatch};
use crate::{
    field::{Field, to_json},
    value::Value,
};

impl Expr<Value> {
    /// The filter as text. Two filters that say the same in another order have different texts;
    /// fields go by their names, so that a new one changes nothing.
    pub fn spell(&self, fields: &[Field]) -> String {
        let mut text = String::new();
        self.write(fields, &mut text);
        text
    }

    fn write(&self, fields: &[Field], text: &mut String) {
        let mut several = |name: &str, parts: &[Self]| {
            text.push_str(name);
            text.push('(');
            for part in parts {
                part.write(fields, text);
                text.push(';');
            }
            text.push(')');
        };
        match self {
            Self::All(parts) => several("all", parts),
            Self::Any(parts) => several("any", parts),
            Self::Not(part) => several("not", std::slice::from_ref(part)),
            Self::Test { path, test } => {
                write_path(path, fields, text);
                test.write(path, fields, text);
            }
        }
    }
}

impl Test<Value> {
    fn write(&self, path: &Path, fields: &[Field], text: &mut String) {
        let mut said = |word: &str, values: &[Value]| {
            text.push_str(word);
            for value in values {
                text.push(' ');
                text.push_str(&to_json(&path.leaf, value).to_string());
            }
        };
        match self {
            Self::Equal(value) => said("=", std::slice::from_ref(value)),
            Self::Compare(comparison, value) => {
                let word = match comparison {
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                said(word, std::slice::from_ref(value));
            }
            Self::In(values) => said("in", values),
            Self::HasAll(values) => said("all", values),
            Self::Exists => said("exists", &[]),
            Self::Size(size) => {
                // Writing into a string cannot fail.
                let written = write!(text, "size {size}");
                debug_assert!(written.is_ok());
            }
            Self::ElemMatch(inner) => {
                text.push_str("elem ");
                inner.write(fields, text);
            }
            Self::Text(how, value) => {
                let TextMatch {
                    at_start,
                    ignore_case,
                } = how;
                let word = match (at_start, ignore_case) {
                    (true, true) => "istarts",
                    (true, false) => "starts",
                    (false, true) => "icontains",
                    (false, false) => "contains",
                };
                said(word, std::slice::from_ref(value));
            }
            // Only rules have them, and rules are no part of what a list is.
            Self::InSelect(_) => said("select", &[]),
        }
    }
}

fn write_path(path: &Path, fields: &[Field], text: &mut String) {
    match path.root {
        Root::Field(index) => {
            text.push_str(fields.get(index).map_or("?", |field| &field.name));
        }
        Root::Item => text.push('@'),
    }
    for segment in &path.segments {
        text.push('.');
        text.push_str(segment);
    }
}
