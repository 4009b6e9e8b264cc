//! Deciding about one document where the answers to sub-queries must be fetched.
//!
//! The matcher runs as often as it takes: the first thing it needs to know and nobody has asked yet
//! is noted, asked for, and known at the next run. So only those sub-queries are asked that the
//! outcome hangs on, and there is only one matcher.

use std::cell::RefCell;

use super::{Expr, Select, SubQueries};
use crate::{field::Field, record::Record, value::Value};

/// A filter held against one document, as far as it has got.
#[derive(Default)]
pub struct Decision {
    known: Vec<(Select, Value, bool)>,
}

/// How far a decision has got.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Whether the document matches.
    Decided(bool),
    /// It must be known first whether some document that the sub-query finds has this value.
    Ask(Box<Select>, Value),
}

impl Decision {
    /// As far as it goes with what is known.
    pub fn step(&self, expr: &Expr, record: &impl Record, fields: &[Field]) -> Step {
        let notes = Notes {
            known: &self.known,
            missing: RefCell::new(None),
        };
        let matches = expr.matches(record, fields, &notes);
        match notes.missing.into_inner() {
            None => Step::Decided(matches),
            Some((select, value)) => Step::Ask(Box::new(select), value),
        }
    }

    /// Notes the answer to what [`Decision::step`] asked.
    pub fn answer(&mut self, select: Select, value: Value, found: bool) {
        self.known.push((select, value, found));
    }
}

/// Answers from what is known, and notes the first thing that is not.
struct Notes<'a> {
    known: &'a [(Select, Value, bool)],
    missing: RefCell<Option<(Select, Value)>>,
}

impl SubQueries for Notes<'_> {
    fn contains(&self, select: &Select, value: &Value) -> bool {
        let answer = self
            .known
            .iter()
            .find(|(known, of, _)| known == select && of == value);
        match answer {
            Some((_, _, found)) => *found,
            None => {
                self.missing
                    .borrow_mut()
                    .get_or_insert_with(|| (select.clone(), value.clone()));
                false
            }
        }
    }
}
