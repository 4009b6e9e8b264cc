//! Changes: what a write does to a document that exists, as a value.
//!
//! [`parse`] reads them from requests (operators, merge patches, whole documents) and effects;
//! [`apply`] carries them out on a document that the truth has locked.

mod apply;
#[cfg(test)]
mod change_test;
mod parse;

pub use parse::{read_effect, read_patch, read_replacement};

use crate::{
    filter::{Bindings, Expr, Operand, Path},
    value::Value,
};

/// What is done to one document: steps in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<V = Value> {
    pub steps: Vec<Step<V>>,
}

/// One step: something is done to the value at a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<V = Value> {
    pub path: Path,
    pub action: Action<V>,
    /// Where the request said so, as a JSON Pointer.
    pub pointer: String,
}

/// What can be done to a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<V = Value> {
    /// `$set`
    Set(V),
    /// `$unset`
    Unset,
    /// `$inc`: nothing counts as zero.
    Increment(V),
    /// `$mul`: nothing counts as zero.
    Multiply(V),
    /// `$min`: the smaller of the two; nothing gives way.
    Minimum(V),
    /// `$max`: the larger of the two; nothing gives way.
    Maximum(V),
    /// `$push`
    Push(Vec<V>),
    /// `$addToSet`: only what is not there yet.
    AddToSet(Vec<V>),
    /// `$pull`: every item that passes goes. The expression's paths start at the item.
    Pull(Expr<V>),
    /// `$currentDate`
    CurrentDate,
    /// JSON merge patch (RFC 7396) into json.
    Merge(serde_json::Value),
}

impl<V> Action<V> {
    /// Whether what comes out depends on what was there.
    pub const fn looks(&self) -> bool {
        !matches!(self, Self::Set(_) | Self::Unset | Self::CurrentDate)
    }
}

impl Change<Operand> {
    /// Puts values in the place of variables; one without a value becomes null. A `$pull` that
    /// mentions nothing removes nothing.
    pub fn bind(&self, bindings: &impl Bindings) -> Change<Value> {
        let one = |operand: &Operand| operand.value(bindings);
        let many = |operands: &[Operand]| operands.iter().map(one).collect();
        let steps = self.steps.iter().map(|step| Step {
            path: step.path.clone(),
            pointer: step.pointer.clone(),
            action: match &step.action {
                Action::Set(operand) => Action::Set(one(operand)),
                Action::Unset => Action::Unset,
                Action::Increment(operand) => Action::Increment(one(operand)),
                Action::Multiply(operand) => Action::Multiply(one(operand)),
                Action::Minimum(operand) => Action::Minimum(one(operand)),
                Action::Maximum(operand) => Action::Maximum(one(operand)),
                Action::Push(operands) => Action::Push(many(operands)),
                Action::AddToSet(operands) => Action::AddToSet(many(operands)),
                Action::Pull(expr) => Action::Pull(expr.bind(bindings).unwrap_or(Expr::never())),
                Action::CurrentDate => Action::CurrentDate,
                Action::Merge(json) => Action::Merge(json.clone()),
            },
        });
        Change {
            steps: steps.collect(),
        }
    }

    /// The fields that are set and their operands, for effects that create.
    pub(crate) fn into_values(self) -> Vec<(usize, Operand)> {
        self.steps
            .into_iter()
            .filter_map(|step| match step.action {
                Action::Set(operand) => Some((step.path.whole_field()?, operand)),
                _ => None,
            })
            .collect()
    }
}

impl<V> Change<V> {
    /// Indexes of the fields it may touch.
    pub fn fields(&self) -> impl Iterator<Item = usize> + '_ {
        self.steps.iter().filter_map(|step| step.path.field())
    }
}
