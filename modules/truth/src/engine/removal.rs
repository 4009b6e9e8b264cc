//! The end of a document and what that means for those that refer to it: children first, then
//! those that only let go, then the document itself.
//!
//! Children may have children without end, so that the way down is a list and not the stack; and
//! references may lead in circles, which are broken where they close.

use std::sync::atomic::Ordering;

use nubo_core::{
    Error, Result, Violation,
    declare::{OnDelete, Trigger},
    document::Document,
    filter::{Expr, Path, Test},
    id::Id,
    schema::{Collection, CollectionId, Reverse},
    value::Value,
};

use super::{Engine, execute::Cause};
use crate::{
    fault::Refusal,
    session::{Lock, Session},
    sql::write,
};

/// A document that goes as soon as those that refer to it have gone or let go.
struct Leaving {
    collection: CollectionId,
    id: Id,
    /// How many of the fields that may refer to it were dealt with.
    done: usize,
    /// Documents that go before it.
    children: Vec<(CollectionId, Id)>,
    /// References of its own that were cleared to break a circle, as they were.
    cleared: Vec<(usize, Value)>,
}

impl Leaving {
    fn new(collection: CollectionId, id: Id) -> Self {
        Self {
            collection,
            id,
            done: 0,
            children: Vec::new(),
            cleared: Vec::new(),
        }
    }
}

impl<S: Session> Engine<S> {
    /// Deletes a document, its consequences and effects. Says whether it was still there.
    pub(super) async fn delete(
        &mut self,
        collection: CollectionId,
        document: Document,
        cause: Cause,
    ) -> Result<bool> {
        let Some(id) = document.id() else {
            return Ok(false);
        };
        let mut way = vec![Leaving::new(collection, id)];
        let mut was_there = false;
        while let Some(top) = way.last_mut() {
            let schema = self.catalog.get(top.collection).clone();
            if let Some((child, id)) = top.children.pop() {
                let known = way.iter().position(|l| l.collection == child && l.id == id);
                match known {
                    // A document may refer to itself, and takes that along.
                    Some(position) if position + 1 == way.len() => {}
                    Some(position) => self.break_circle(&mut way, position).await?,
                    None => way.push(Leaving::new(child, id)),
                }
                continue;
            }
            let id = top.id;
            if S::CONCURRENT && top.done == 0 {
                // From now on nobody else refers to it anew.
                self.session.load(&schema, id, Lock::Removal).await?;
            }
            if let Some(reverse) = schema.referenced_by.get(top.done).copied() {
                top.done += 1;
                match reverse.on_delete {
                    OnDelete::Cascade => top.children = self.referring(&reverse, id).await?,
                    OnDelete::SetNull => {
                        for (collection, other) in self.referring(&reverse, id).await? {
                            if (collection, other) != (schema.id, id) {
                                self.let_go(&reverse, other, id, cause).await?;
                            }
                        }
                    }
                    OnDelete::Restrict => {}
                }
                continue;
            }
            let Some(top) = way.pop() else { break };
            was_there = self.remove(&schema, top, cause).await?;
        }
        Ok(was_there)
    }

    /// Removes a document that nobody holds any longer.
    async fn remove(
        &mut self,
        schema: &Collection,
        leaving: Leaving,
        cause: Cause,
    ) -> Result<bool> {
        for reverse in &schema.referenced_by {
            if reverse.on_delete == OnDelete::Restrict {
                self.refuse_if_referred(schema, reverse, leaving.id).await?;
            }
        }
        // Effects on the way may have changed or removed it.
        let Some(mut document) = self.session.load(schema, leaving.id, Lock::Removal).await? else {
            return Ok(false);
        };
        for (field, value) in leaving.cleared {
            document.set(field, value);
        }
        self.shared.tombstones.store(true, Ordering::Relaxed);
        self.written += 1;
        let deletion = write::delete(schema, leaving.id);
        let deleted = self.session.execute(deletion).await;
        self.accepted(deleted, schema, &document).await?;
        let tombstone = write::bury(schema, &document, cause.micros);
        let buried = self.session.execute(tombstone).await;
        self.accepted(buried, schema, &document).await?;
        self.touched.note(schema.id, Some(&document), None);
        Box::pin(self.effects(schema, Trigger::Delete, &document, cause)).await?;
        Ok(true)
    }

    /// The documents that refer to one through a field.
    async fn referring(&mut self, reverse: &Reverse, id: Id) -> Result<Vec<(CollectionId, Id)>> {
        let filter = self.reference_filter(reverse, id);
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let stretch = self.stretch(reverse.collection, &filter, after).await?;
            let ids = stretch.iter().filter_map(Document::id);
            let before = found.len();
            found.extend(ids.map(|id| (reverse.collection, id)));
            if found.len() == before {
                return Ok(found);
            }
            after = found.last().map(|(_, id)| *id);
        }
    }

    fn reference_filter(&self, reverse: &Reverse, id: Id) -> Expr {
        let field = &self.catalog.get(reverse.collection).fields()[reverse.field];
        Expr::Test {
            path: Path::to_field(reverse.field, field),
            test: Test::Equal(Value::Uuid(id.uuid())),
        }
    }

    /// Empties a reference, or takes it out of its list. What a field says of itself (that it is
    /// immutable, how long its list is) is for people.
    async fn let_go(&mut self, reverse: &Reverse, of: Id, id: Id, cause: Cause) -> Result<()> {
        let schema = self.catalog.get(reverse.collection).clone();
        let Some(before) = self.session.load(&schema, of, Lock::Change).await? else {
            return Ok(());
        };
        let mut after = before.clone();
        match after.value_mut(reverse.field) {
            Some(Value::List(items)) => items.retain(|item| *item != Value::Uuid(id.uuid())),
            Some(value) => *value = Value::Null,
            None => {}
        }
        Box::pin(self.replace(reverse.collection, before, after, cause))
            .await
            .map(drop)
    }

    /// The last document on the way is referred to by one that waits for it: that one's row lets go
    /// now, since it goes anyway. Where it must not be empty it refers to itself instead.
    async fn break_circle(&mut self, way: &mut [Leaving], position: usize) -> Result<()> {
        let Some(last) = way.last() else {
            return Ok(());
        };
        let reverse = self.catalog.get(last.collection).referenced_by[last.done - 1];
        let waiting = &mut way[position];
        let schema = self.catalog.get(waiting.collection).clone();
        let Some(mut document) = self
            .session
            .load(&schema, waiting.id, Lock::Removal)
            .await?
        else {
            return Ok(());
        };
        let old = document.value(reverse.field).clone();
        let own = Value::Uuid(waiting.id.uuid());
        let required = schema.fields()[reverse.field].required;
        document.set(reverse.field, if required { own } else { Value::Null });
        waiting.cleared.push((reverse.field, old));
        let changed = [reverse.field];
        let updated = self.session.update(&schema, &document, &changed).await;
        match updated {
            // A circle of required references over several collections cannot come about here.
            Err(Refusal::Reference) if !self.session.is_in_trouble() => {
                Err(referenced(&schema, &schema, reverse.field))
            }
            result => self.accepted(result, &schema, &document).await,
        }
    }

    async fn refuse_if_referred(
        &mut self,
        schema: &Collection,
        reverse: &Reverse,
        id: Id,
    ) -> Result<()> {
        let catalog = self.catalog.clone();
        let other = catalog.get(reverse.collection);
        let filter = self.reference_filter(reverse, id);
        self.recall_matching(other, &filter).await?;
        let found = self.session.walk(other, &catalog, &filter, None, 2).await?;
        // It may refer to itself, and takes that along.
        let others = found
            .iter()
            .any(|found| reverse.collection != schema.id || found.id() != Some(id));
        match others {
            true => Err(referenced(schema, other, reverse.field)),
            false => Ok(()),
        }
    }
}

/// 409: who still refers to a document that was to go.
fn referenced(schema: &Collection, other: &Collection, field: usize) -> Error {
    let field = &other.fields()[field].name;
    Error::Conflict {
        code: "referenced",
        detail: format!(
            "documents in {} still refer to this one of {} by `{field}`",
            other.name, schema.name
        ),
        errors: vec![Violation::new(
            "",
            "referenced",
            format!("is referred to by {}.{field}", other.name),
        )],
    }
}
