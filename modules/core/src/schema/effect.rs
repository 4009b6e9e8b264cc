//! Effects: derived data, written in the transaction that causes it.

use super::CollectionId;
use crate::{
    change::Change,
    declare::Trigger,
    document::Document,
    filter::{Bindings, Expr, Operand, Variable},
    id::Id,
    time::Timestamp,
    value::Value,
};

/// What happens elsewhere when a document of this collection is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub on: Trigger,
    /// The causing document must match this.
    pub when: Expr<Operand>,
    /// Once for each document of a collection that matches; it is `$each`.
    pub for_each: Option<(CollectionId, Expr<Operand>)>,
    pub action: EffectAction,
}

/// What an effect does.
#[derive(Debug, Clone, PartialEq)]
pub enum EffectAction {
    Create {
        collection: CollectionId,
        /// Field indexes and their values.
        values: Vec<(usize, Operand)>,
    },
    Update {
        collection: CollectionId,
        condition: Expr<Operand>,
        change: Change<Operand>,
    },
    Delete {
        collection: CollectionId,
        condition: Expr<Operand>,
    },
}

/// What the variables of an effect stand for.
pub struct Circumstances<'a> {
    /// The document that causes it.
    pub doc: &'a Document,
    /// The one that it goes through.
    pub each: Option<&'a Document>,
    /// When the write was asked for.
    pub now: Timestamp,
    /// Makes up what `$uuid` stands for.
    pub new_id: &'a dyn Fn() -> Id,
}

impl Bindings for Circumstances<'_> {
    fn value_of(&self, variable: &Variable) -> Value {
        match variable {
            Variable::Doc(field) => self.doc.value(*field).clone(),
            Variable::Each(field) => self
                .each
                .map_or(Value::Null, |each| each.value(*field).clone()),
            Variable::Now => Value::Timestamp(self.now),
            Variable::Uuid => Value::Uuid((self.new_id)().uuid()),
            Variable::Auth(_) => Value::Null,
        }
    }
}
