//! What a transaction does to the tables, with its declared effects and with what the end of a
//! document means for those that refer to it.
//!
//! It is written plainly and on its own, from what the declarations promise. The engine of the real
//! truths has tests of its own.

use std::collections::BTreeMap;

use nubo_core::{
    Error, Result,
    change::Change,
    clock::{Clock, Random, new_id},
    declare::{OnDelete, Trigger},
    document::Document,
    filter::{Expr, Operand},
    id::{Id, Revision},
    schema::{Catalog, Circumstances, Collection, CollectionId, EffectAction},
    time::Timestamp,
    value::Value,
    write::{Operation, Outcome, Target, Transaction},
};

use super::{LookUp, Tables};
use crate::history::Key;

/// How far effects may cause effects. Those of the world end sooner.
const DEEPEST: u32 = 8;

/// A transaction that is carried out on a copy of the tables.
pub(super) struct Work<'a> {
    pub catalog: &'a Catalog,
    pub clock: &'a dyn Clock,
    pub random: &'a dyn Random,
    /// The revisions at which documents ended.
    pub ended: &'a BTreeMap<Key, i64>,
    pub now: Timestamp,
    pub tables: Tables,
    /// Each document that is different afterwards: before and after.
    pub touched: BTreeMap<Key, (Option<Document>, Option<Document>)>,
}

impl Work<'_> {
    /// Carries out all of a transaction.
    pub fn carry_out(&mut self, transaction: &Transaction) -> Result<Vec<Outcome>> {
        let operations = transaction.operations.iter();
        let outcomes = operations.map(|operation| self.apply(operation));
        let outcomes = outcomes.collect::<Result<_>>()?;
        // What came and went in the same transaction was never there.
        self.touched
            .retain(|_, (before, after)| before.is_some() || after.is_some());
        Ok(outcomes)
    }

    fn apply(&mut self, operation: &Operation) -> Result<Outcome> {
        let collection = operation.collection();
        match operation {
            Operation::Create { document, .. } => {
                let key = self.create(collection, document.clone(), DEEPEST)?;
                Ok(match self.tables.get(&key) {
                    Some(document) => Outcome::Created(document.clone()),
                    None => Outcome::Deleted,
                })
            }
            Operation::Update { target, change, .. } => {
                let keys = self.targets(collection, target)?;
                for key in &keys {
                    self.update(*key, change, DEEPEST)?;
                }
                let last = keys.last().and_then(|key| self.tables.get(key));
                Ok(match (target, last) {
                    (Target::One { .. }, Some(document)) => Outcome::Updated(document.clone()),
                    _ => Outcome::Changed {
                        matched: keys.len() as u64,
                        modified: keys.len() as u64,
                    },
                })
            }
            Operation::Delete { target, .. } => {
                let keys = self.targets(collection, target)?;
                for key in &keys {
                    self.delete(*key, DEEPEST)?;
                }
                Ok(match target {
                    Target::One { .. } => Outcome::Deleted,
                    Target::Matching(_) => Outcome::Removed(keys.len() as u64),
                })
            }
        }
    }

    fn targets(&self, collection: CollectionId, target: &Target) -> Result<Vec<Key>> {
        match target {
            Target::One { id, guard } => {
                let key = (collection, *id);
                let schema = self.catalog.get(collection);
                let found = self.tables.get(&key);
                let document = found.ok_or_else(|| Error::no_document(&schema.name))?;
                match &guard.revisions {
                    Some(revisions) if !revisions.contains(&document.revision()) => {
                        Err(Error::internal("another revision"))
                    }
                    _ => Ok(vec![key]),
                }
            }
            Target::Matching(filter) => Ok(self.matching(collection, filter)),
        }
    }

    fn matching(&self, collection: CollectionId, filter: &Expr) -> Vec<Key> {
        let fields = self.catalog.get(collection).fields();
        let tables = &self.tables;
        let look_up = LookUp {
            catalog: self.catalog,
            tables,
        };
        let matching = tables.iter().filter(|((of, _), document)| {
            *of == collection && filter.matches(*document, fields, &look_up)
        });
        matching.map(|(key, _)| *key).collect()
    }

    fn put(&mut self, key: Key, after: Option<Document>) {
        let before = match &after {
            Some(document) => self.tables.insert(key, document.clone()),
            None => self.tables.remove(&key),
        };
        self.touched.entry(key).or_insert((before, None)).1 = after;
    }

    fn next_revision(&self, key: &Key, last: i64) -> Revision {
        let ended = self.ended.get(key).copied().unwrap_or(0);
        Revision::new(last.max(ended)).next(self.clock.micros())
    }

    fn create(
        &mut self,
        collection: CollectionId,
        mut document: Document,
        depth: u32,
    ) -> Result<Key> {
        let id = document.id().ok_or_else(|| Error::internal("no id"))?;
        let key = (collection, id);
        if self.tables.contains_key(&key) {
            return Err(Error::Conflict {
                code: "duplicate",
                detail: "is there".into(),
                errors: Vec::new(),
            });
        }
        // It may have ended in this very transaction.
        let before = self
            .touched
            .get(&key)
            .and_then(|(before, _)| before.as_ref());
        let last = before.map_or(0, |before| before.revision().number() + 1);
        document.set_revision(self.next_revision(&key, last));
        self.put(key, Some(document.clone()));
        self.effects(collection, Trigger::Create, &document, depth)?;
        Ok(key)
    }

    fn update(&mut self, key: Key, change: &Change<Value>, depth: u32) -> Result<()> {
        let Some(mut document) = self.tables.get(&key).cloned() else {
            return Ok(());
        };
        let schema = self.catalog.get(key.0);
        change
            .apply(&mut document, schema, self.now)
            .map_err(Error::Invalid)?;
        let last = document.revision().number();
        document.set_revision(self.next_revision(&key, last));
        document.touch(self.now);
        self.put(key, Some(document.clone()));
        self.effects(key.0, Trigger::Update, &document, depth)
    }

    /// Those that refer to it go first, or let go.
    fn delete(&mut self, key: Key, depth: u32) -> Result<()> {
        let catalog = self.catalog;
        for reverse in &catalog.get(key.0).referenced_by {
            let of = catalog.get(reverse.collection);
            let refers = |document: &Document| matches!(document.value(reverse.field), Value::Uuid(to) if *to == key.1.uuid());
            let referring: Vec<Key> = self
                .tables
                .iter()
                .filter(|((collection, _), document)| *collection == of.id && refers(document))
                .map(|(key, _)| *key)
                .collect();
            for other in referring {
                match reverse.on_delete {
                    OnDelete::Cascade => self.delete(other, depth)?,
                    OnDelete::SetNull => self.let_go(other, reverse.field, depth)?,
                    OnDelete::Restrict => return Err(Error::internal("is referred to")),
                }
            }
        }
        let Some(document) = self.tables.get(&key).cloned() else {
            return Ok(());
        };
        self.put(key, None);
        self.effects(key.0, Trigger::Delete, &document, depth)
    }

    fn let_go(&mut self, key: Key, field: usize, depth: u32) -> Result<()> {
        let Some(mut document) = self.tables.get(&key).cloned() else {
            return Ok(());
        };
        document.set(field, Value::Null);
        let last = document.revision().number();
        document.set_revision(self.next_revision(&key, last));
        document.touch(self.now);
        self.put(key, Some(document.clone()));
        self.effects(key.0, Trigger::Update, &document, depth)
    }

    /// What a write causes elsewhere.
    fn effects(
        &mut self,
        collection: CollectionId,
        on: Trigger,
        doc: &Document,
        depth: u32,
    ) -> Result<()> {
        let catalog = self.catalog;
        let schema: &Collection = catalog.get(collection);
        let depth = depth.checked_sub(1);
        for effect in schema.effects.iter().filter(|effect| effect.on == on) {
            let depth = depth.ok_or_else(|| Error::internal("effects without end"))?;
            let when = self.bound(&effect.when, doc, None);
            if !when.is_some_and(|when| when.matches(doc, schema.fields(), &())) {
                continue;
            }
            let Some((through, condition)) = &effect.for_each else {
                self.act(&effect.action, doc, None, depth)?;
                continue;
            };
            let Some(condition) = self.bound(condition, doc, None) else {
                continue;
            };
            for key in self.matching(*through, &condition) {
                if let Some(each) = self.tables.get(&key).cloned() {
                    self.act(&effect.action, doc, Some(&each), depth)?;
                }
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        action: &EffectAction,
        doc: &Document,
        each: Option<&Document>,
        depth: u32,
    ) -> Result<()> {
        let now = self.now;
        let new_id = || self.new_id();
        let circumstances = Circumstances {
            doc,
            each,
            now,
            new_id: &new_id,
        };
        match action {
            EffectAction::Create { collection, values } => {
                let schema = self.catalog.get(*collection);
                let mut document = Document::empty(schema);
                for (field, operand) in values {
                    document.set(*field, operand.value(&circumstances));
                }
                schema.complete(&mut document, now, None, new_id)?;
                self.create(*collection, document, depth).map(drop)
            }
            EffectAction::Update {
                collection,
                condition,
                change,
            } => {
                let change = change.bind(&circumstances);
                let condition = condition.bind(&circumstances);
                for key in condition.map_or_else(Vec::new, |c| self.matching(*collection, &c)) {
                    self.update(key, &change, depth)?;
                }
                Ok(())
            }
            EffectAction::Delete {
                collection,
                condition,
            } => {
                let condition = condition.bind(&circumstances);
                for key in condition.map_or_else(Vec::new, |c| self.matching(*collection, &c)) {
                    self.delete(key, depth)?;
                }
                Ok(())
            }
        }
    }

    /// A condition with values for its variables; none where one has no value.
    fn bound(
        &self,
        condition: &Expr<Operand>,
        doc: &Document,
        each: Option<&Document>,
    ) -> Option<Expr> {
        condition.bind(&Circumstances {
            doc,
            each,
            now: self.now,
            new_id: &|| self.new_id(),
        })
    }

    fn new_id(&self) -> Id {
        new_id(self.clock, self.random)
    }
}
