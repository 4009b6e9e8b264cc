//! What an event does to a document, by which Redis knows in which order events are to be told.

use nubo_core::{document::Document, observe::Touched, schema::Catalog};
use redis::ScriptInvocation;

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

impl Step {
    /// None where the document has no id, which none has that is stored.
    pub fn of(touched: &Touched, catalog: &Catalog) -> Option<Self> {
        let collection = catalog.get(touched.collection);
        let revision = |document: &Document| document.revision().number();
        Some(Self {
            document: format!("{}/{}", collection.name, touched.id()?),
            before: touched.before.as_ref().map(revision),
            after: touched.after.as_ref().map(revision),
        })
    }

    /// Adds it to the arguments of a script.
    pub fn add_to(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(&self.document);
        for revision in [self.before, self.after] {
            match revision {
                Some(revision) => call.arg(revision),
                None => call.arg(""),
            };
        }
    }

    /// Adds that there is none.
    pub fn add_none_to(call: &mut ScriptInvocation<'_>) {
        call.arg("").arg("").arg("");
    }
}
