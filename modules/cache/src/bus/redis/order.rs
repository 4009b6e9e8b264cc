//! What Redis must know of an event to tell it in its order, and once.

use nubo_core::{
    document::Document,
    observe::Touched,
    schema::{Catalog, Collection},
};
use redis::ScriptInvocation;

/// When an event is told, and whether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// At once.
    AsItComes,
    /// Behind the event before it of the same document.
    Step(Step),
    /// Where no other instance has told of all these.
    Once(Vec<String>),
}

/// From one version of a document to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Collection and id.
    document: String,
    /// None where it is new.
    before: Option<i64>,
    /// None where it is gone.
    after: Option<i64>,
}

impl Order {
    /// Of a change of a document. One without an id is never stored.
    pub fn of(touched: &Touched, catalog: &Catalog) -> Self {
        let Some(id) = touched.id() else {
            return Self::AsItComes;
        };
        let collection = catalog.get(touched.collection);
        let revision = |document: &Document| document.revision().number();
        Self::Step(Step {
            document: format!("{}/{id}", collection.name),
            before: touched.before.as_ref().map(revision),
            after: touched.after.as_ref().map(revision),
        })
    }

    /// Of what somebody else's transactions have done to a collection.
    pub fn once(collection: &Collection, transactions: &[u64]) -> Self {
        let transactions = transactions.iter();
        Self::Once(
            transactions
                .map(|transaction| format!("{}:{transaction}", collection.name))
                .collect(),
        )
    }

    /// Adds it to the arguments of a script.
    pub fn add_to(&self, call: &mut ScriptInvocation<'_>) {
        match self {
            Self::AsItComes => {
                call.arg("");
            }
            Self::Step(step) => {
                call.arg("step").arg(&step.document);
                for revision in [step.before, step.after] {
                    match revision {
                        Some(revision) => call.arg(revision),
                        None => call.arg(""),
                    };
                }
            }
            Self::Once(of) => {
                call.arg("once").arg(of.len()).arg(of);
            }
        }
    }
}
