//! Documents that have left the truth for the recent tier ([`nubo_core::alone`]): they are taken in
//! again before anything is done to them.
//!
//! From the question to the end of the transaction none of the collection leaves, so that what is asked
//! of the tier and what is here are all of them. What is here, or has ended, is what the truth says it
//! is; the rest is taken in as it was.

use std::{collections::HashMap, sync::Arc};

use nubo_core::{
    Error, Result,
    alone::{Alone, UNAVAILABLE},
    document::Document,
    filter::Expr,
    id::Id,
    query::{Query, Start},
    schema::Collection,
    value::Value,
};

use super::Engine;
use crate::{rows::Rows, session::Session, sql::select};

/// How many documents are taken in at once.
const STRETCH: u32 = 500;

/// Whether a failure concerns one transaction alone, and not the database.
pub(super) fn concerns_one(error: &Error) -> bool {
    match error {
        Error::Unavailable { code, .. } => *code == UNAVAILABLE,
        _ => true,
    }
}

impl<S: Session> Engine<S> {
    /// Where documents of a collection may be that are not here.
    fn elsewhere(&self, schema: &Collection) -> Option<Arc<dyn Alone>> {
        self.alone.clone().filter(|_| schema.is_alone())
    }

    /// Whether documents of a collection may be elsewhere.
    pub(super) fn may_have_left(&self, schema: &Collection) -> bool {
        self.alone.is_some() && schema.is_alone()
    }

    /// Takes in the documents with these ids.
    pub(super) async fn recall(&mut self, schema: &Collection, ids: &[Id]) -> Result<()> {
        let Some(elsewhere) = self.elsewhere(schema) else {
            return Ok(());
        };
        self.session.hold(schema).await?;
        let values: Vec<Value> = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let rows = self.session.rows(select::existing(schema, &values)).await?;
        let here = (0..rows.count()).map(|row| rows.id(row, 0));
        let here = here.collect::<Result<Vec<Id>>>()?;
        let missing: Vec<Id> = ids
            .iter()
            .filter(|id| !here.contains(id))
            .copied()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found = elsewhere.find(&Query::by_ids(schema, &missing)).await?;
        self.take_in(schema, found).await
    }

    /// Takes in all documents that may match.
    pub(super) async fn recall_matching(
        &mut self,
        schema: &Collection,
        filter: &Expr,
    ) -> Result<()> {
        let Some(elsewhere) = self.elsewhere(schema) else {
            return Ok(());
        };
        self.session.hold(schema).await?;
        let filter = Expr::All(filter.by_itself());
        let mut query = Query {
            limit: STRETCH,
            ..Query::in_order_of_ids(schema, filter)
        };
        loop {
            let found = elsewhere.find(&query).await?;
            let is_last = found.len() < STRETCH as usize;
            if let Some(last) = found.last() {
                query.start = Start::After(vec![last.value(Collection::ID).clone()]);
            }
            self.take_in(schema, found).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Documents in the order of their ids, so that nobody waits in a circle.
    async fn take_in(&mut self, schema: &Collection, mut documents: Vec<Document>) -> Result<()> {
        let ids = documents.iter();
        let ids: Vec<Value> = ids
            .map(|document| document.value(Collection::ID).clone())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let ended = self.session.tombstones(schema, &ids).await?;
        let ended: HashMap<Id, i64> = ended.into_iter().collect();
        documents.retain(|document| {
            let end = document.id().and_then(|id| ended.get(&id));
            end.is_none_or(|end| *end < document.revision().number())
        });
        let Some(first) = documents.first() else {
            return Ok(());
        };
        let rows: Vec<&Document> = documents.iter().collect();
        let taken = self.session.take_in(schema, &rows).await;
        self.accepted(taken, schema, first).await
    }
}
