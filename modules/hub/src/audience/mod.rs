//! For whom an event is: a rule held against a document, with the caller left open.
//!
//! The store asks for one caller which documents may be seen. The hub asks for one document who may
//! see it, and may have thousands to ask for. So a rule is compiled once ([`compile`]) into a
//! [`Gate`], in which everything that hangs on the document is told apart from what hangs on the
//! caller. Held against a document ([`evaluate`]) it becomes an [`Audience`], and whether that
//! includes a caller takes a look or two into a table.
//!
//! What a rule looks up elsewhere (`$select … $where`) is kept in [`lookups`]: the members of a
//! conversation are fetched once and kept right by every commit that touches them, in the order in
//! which the hub hears of commits. So an answer is never older than the event it is about.

mod ask;
mod compile;
mod evaluate;
mod lookups;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nubo_core::{
    caller::Caller,
    document::Document,
    filter::{Expr, Operand, Path},
    id::Id,
    schema::{Catalog, CollectionId},
    time::Timestamp,
};

pub(crate) use ask::decide;
pub(crate) use compile::Gates;
pub(crate) use lookups::{Affected, Lookups};

/// A rule, compiled.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    Everyone,
    Nobody,
    /// Whoever has an account.
    Authenticated,
    Role(String),
    /// The account in the owner's field.
    Owner,
    /// Whoever fits the document. For somebody who lacks one of `needs`, it is false as a whole.
    Filter {
        needs: Vec<String>,
        node: Box<Node>,
    },
    Any(Vec<Gate>),
}

/// A part of a rule's filter.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// The document alone decides.
    Document(Expr),
    /// The caller's id stands at the path.
    IsCaller(Path),
    /// The caller's other attributes decide too.
    Attributes(Expr<Operand>),
    /// The value at the path is found by a look-up; `test` is how it was written.
    Found {
        path: Path,
        lookup: usize,
        test: Expr<Operand>,
    },
    /// To be asked for each caller: rare, and slow.
    Ask(Expr<Operand>),
}

/// Who may see something.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    Everyone,
    Nobody,
    Authenticated,
    Role(String),
    Account(Id),
    /// The accounts in a table.
    Members(Arc<HashMap<Id, u32>>),
    /// Those who have all of these attributes and whom the rest lets through.
    Having(Vec<String>, Box<Audience>),
    All(Vec<Audience>),
    Any(Vec<Audience>),
    Not(Box<Audience>),
    /// Those whose attributes fit the document.
    Fitting(Arc<Fitting>),
    /// The same with look-ups that must be made for each. [`Audience::ask`] takes its place.
    Asking(Arc<Fitting>),
    /// Those who were found by asking.
    Asked {
        accounts: Arc<HashSet<Id>>,
        anonymous: bool,
    },
}

/// A filter that is to be held against a document for each caller.
#[derive(Debug)]
pub(crate) struct Fitting {
    pub expr: Expr<Operand>,
    pub document: Document,
    pub collection: CollectionId,
}

impl Audience {
    /// Whether everybody is in it.
    pub const fn is_everyone(&self) -> bool {
        matches!(self, Self::Everyone)
    }

    /// Whether a caller is in it. Nobody is in what has yet to be asked.
    pub fn includes(&self, caller: &Caller, now: Timestamp, catalog: &Catalog) -> bool {
        let account = caller.account_id();
        match self {
            Self::Everyone => true,
            Self::Nobody | Self::Asking(_) => false,
            Self::Authenticated => account.is_some(),
            Self::Role(role) => caller.has_role(role),
            Self::Account(id) => account == Some(*id),
            Self::Members(members) => account.is_some_and(|id| members.contains_key(&id)),
            Self::Having(needs, part) => {
                let has = |name: &String| match name.as_str() {
                    // Most rules mention nothing else.
                    "id" => account.is_some(),
                    name => !caller.auth(name).is_null(),
                };
                needs.iter().all(has) && part.includes(caller, now, catalog)
            }
            Self::All(parts) => parts.iter().all(|part| part.includes(caller, now, catalog)),
            Self::Any(parts) => parts.iter().any(|part| part.includes(caller, now, catalog)),
            Self::Not(part) => !part.includes(caller, now, catalog),
            Self::Fitting(fitting) => {
                let fields = catalog.get(fitting.collection).fields();
                let bound = caller.bind(&fitting.expr, now);
                bound.is_some_and(|bound| bound.matches(&fitting.document, fields, &()))
            }
            Self::Asked {
                accounts,
                anonymous,
            } => match account {
                Some(id) => accounts.contains(&id),
                None => *anonymous,
            },
        }
    }

    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Everyone => {}
                Self::Nobody => return Self::Nobody,
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Everyone,
            1 => kept.swap_remove(0),
            _ => Self::All(kept),
        }
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Nobody => {}
                Self::Everyone => return Self::Everyone,
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Nobody,
            1 => kept.swap_remove(0),
            _ => Self::Any(kept),
        }
    }

    pub(super) fn not(part: Self) -> Self {
        match part {
            Self::Everyone => Self::Nobody,
            Self::Nobody => Self::Everyone,
            part => Self::Not(Box::new(part)),
        }
    }
}
