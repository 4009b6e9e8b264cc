//! Effects: derived data, written in the transaction that causes it.

use super::CollectionId;
use crate::{
    change::Change,
    declare::Trigger,
    filter::{Expr, Operand},
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
