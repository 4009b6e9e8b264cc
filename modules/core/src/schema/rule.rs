//! Access rules: who may do what.

use super::CollectionId;
use crate::filter::{Expr, Operand};

/// Who may do something.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Everyone.
    Public,
    /// Everyone who is logged in.
    Authenticated,
    /// The account that the collection's owner field names.
    Owner,
    /// Accounts with this role.
    Role(String),
    /// Nobody, admins included.
    Nobody,
    /// Whoever fits the document, as a filter with `$auth.…` says.
    Filter(Expr<Operand>),
    /// Whoever one of these lets.
    Any(Vec<Rule>),
}

impl Rule {
    /// Whether whom it lets through follows from the document and the account's id alone.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Public | Self::Authenticated | Self::Owner | Self::Nobody => true,
            Self::Role(_) | Self::Filter(_) => false,
            Self::Any(rules) => rules.iter().all(Self::is_lasting),
        }
    }

    /// Calls `each` with every collection that it looks into.
    pub fn for_each_selected(&self, each: &mut impl FnMut(CollectionId)) {
        match self {
            Self::Filter(expr) => expr.for_each_selected(each),
            Self::Any(rules) => {
                for rule in rules {
                    rule.for_each_selected(each);
                }
            }
            Self::Public | Self::Authenticated | Self::Owner | Self::Role(_) | Self::Nobody => {}
        }
    }
}

/// The rules of a collection. An action without one is for admins only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    pub read: Option<Rule>,
    pub create: Option<Rule>,
    pub update: Option<Rule>,
    pub delete: Option<Rule>,
    /// Rules of single fields.
    pub fields: Vec<FieldRules>,
}

/// The rules of a field that has any.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldRules {
    /// Index of the field.
    pub field: usize,
    pub readable_by: Option<Rule>,
    pub writable_by: Option<Rule>,
}
