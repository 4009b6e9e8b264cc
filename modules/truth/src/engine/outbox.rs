//! What a batch notes of itself for the recent tier: which documents it has written there.

use std::collections::HashSet;

use nubo_core::{
    id::Id,
    observe::{BatchId, Touched},
    schema::{Catalog, CollectionId},
};
use std::sync::Arc;

use crate::{
    migrate::{declared, model},
    sql::postgres::{Postgres, outbox::Note},
};

/// Which collections are noted, and what their tables are called.
pub(crate) struct Outbox {
    tables: Vec<Option<(String, String)>>,
}

impl Outbox {
    /// Of the collections that the recent tier has.
    pub fn new(catalog: &Catalog) -> Self {
        let tables = catalog.collections().iter().map(|collection| {
            collection.tiers.recent.as_ref()?;
            let model::Place { schema, table } = declared::place::<Postgres>(collection);
            Some((schema, table))
        });
        Self {
            tables: tables.collect(),
        }
    }

    /// What a batch notes, where it has written anything that is noted.
    pub fn note(&self, instance: Id, batch: BatchId, touched: &[Arc<Touched>]) -> Option<Note> {
        let mut documents: Vec<(CollectionId, HashSet<Id>, Vec<Id>)> = Vec::new();
        for touched in touched {
            let Some(id) = touched.id() else { continue };
            let of = touched.collection;
            if self.tables.get(of.index()).is_none_or(Option::is_none) {
                continue;
            }
            let known = documents.iter().position(|(known, ..)| *known == of);
            let at = known.unwrap_or_else(|| {
                documents.push((of, HashSet::new(), Vec::new()));
                documents.len() - 1
            });
            let (_, seen, ids) = &mut documents[at];
            if seen.insert(id) {
                ids.push(id);
            }
        }
        let documents = documents.into_iter().filter_map(|(of, _, ids)| {
            let table = self.tables.get(of.index())?.clone()?;
            Some((table, ids))
        });
        let documents: Vec<_> = documents.collect();
        (!documents.is_empty()).then_some(Note {
            instance,
            batch,
            documents,
        })
    }
}
