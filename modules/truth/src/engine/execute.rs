//! What one operation does to documents.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
};

use nubo_core::{
    Error, Result,
    access::Permit,
    change::Change,
    declare::Trigger,
    document::Document,
    field::FieldType,
    id::{Id, Revision},
    schema::{Collection, CollectionId},
    time::Timestamp,
    value::Value,
    write::{Guard, Operation, Outcome, Target, Transaction},
};

use super::{Engine, attempt::Entry, walk::Deed};
use crate::{
    fault::Refusal,
    session::{Lock, Session},
};

/// How far effects may cause effects.
pub(super) const MAX_DEPTH: u32 = 16;

/// On whose account and how deep in a chain of effects something happens.
#[derive(Clone, Copy)]
pub(super) struct Cause {
    /// The batch's time in microseconds, for revisions.
    pub micros: i64,
    /// The transaction's time.
    pub now: Timestamp,
    pub depth: u32,
}

impl Cause {
    /// One effect further, as far as that goes.
    pub fn deeper(self) -> Result<Self> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Conflict {
                code: "effect_loop",
                detail: "the effects of this write cause each other without end".into(),
                errors: Vec::new(),
            });
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

fn is_creation_in(operation: &Operation, wanted: CollectionId) -> bool {
    matches!(operation, Operation::Create { collection, .. } if *collection == wanted)
}

/// Whether a create in this collection is a row and nothing else: no effect, and no list of
/// references, which the database does not guard.
pub(super) fn create_is_plain(collection: &Collection) -> bool {
    !collection.effects.iter().any(|effect| effect.on == Trigger::Create)
        && !collection.fields().iter().any(|field| {
            matches!(&field.kind, FieldType::List(item) if matches!(**item, FieldType::Ref(_)))
        })
}

impl<S: Session> Engine<S> {
    /// Executes a transaction, operation by operation. Where it fails, whoever calls takes back
    /// what was done.
    pub(super) async fn execute(
        &mut self,
        transaction: Transaction,
        micros: i64,
    ) -> Result<Vec<Outcome>> {
        let cause = Cause {
            micros,
            now: transaction.now,
            depth: 0,
        };
        let several = transaction.operations.len() > 1;
        let new_ids = transaction.new_ids;
        let mut permits = transaction.permits.into_iter();
        let mut outcomes = Vec::with_capacity(transaction.operations.len());
        let mut operations = transaction.operations.into_iter().peekable();
        while let Some(operation) = operations.next() {
            let permit = permits.next().unwrap_or_default();
            let index = outcomes.len();
            let nested = |error: Error, index: usize| match several {
                true => error.nested(&format!("/{index}")),
                false => error,
            };
            let Some((collection, document)) = self.bare_row(&operation, &permit, new_ids) else {
                let outcome = match new_ids {
                    true => Ok(()),
                    false => self.recall_created(&operation).await,
                };
                let outcome = match outcome {
                    Ok(()) => self.operation(operation, &permit, cause).await,
                    Err(error) => Err(error),
                };
                outcomes.push(outcome.map_err(|error| nested(error, index))?);
                continue;
            };
            // Rows of one collection go together, as those of imports do.
            let mut documents = vec![document];
            let most = self.session.rows_at_once(self.catalog.get(collection));
            while documents.len() < most
                && permits.as_slice().first().is_none_or(Permit::is_everything)
                && let Some(Operation::Create { document, .. }) =
                    operations.next_if(|next| is_creation_in(next, collection))
            {
                permits.next();
                documents.push(document);
            }
            let created = self.create_run(collection, documents, cause).await;
            let created = created.map_err(|(place, error)| nested(error, index + place))?;
            outcomes.extend(created.into_iter().map(Outcome::Created));
        }
        Ok(outcomes)
    }

    /// What an operation creates, where it does nothing else.
    fn bare_row(
        &self,
        operation: &Operation,
        permit: &Permit,
        new_ids: bool,
    ) -> Option<(CollectionId, Document)> {
        let Operation::Create {
            collection,
            document,
        } = operation
        else {
            return None;
        };
        let schema = self.catalog.get(*collection);
        let is_bare = permit.is_everything()
            && create_is_plain(schema)
            && (new_ids || !self.may_have_left(schema));
        is_bare.then(|| (*collection, document.clone()))
    }

    /// Takes in the document whose id a new one has that was not made up just now.
    async fn recall_created(&mut self, operation: &Operation) -> Result<()> {
        let Operation::Create {
            collection,
            document,
        } = operation
        else {
            return Ok(());
        };
        let schema = self.catalog.get(*collection).clone();
        let id = document.id();
        self.recall(&schema, id.as_slice()).await
    }

    /// Rows of one collection that are nothing but rows. Where one is refused, halves are tried
    /// until it is found; its place comes with the reason.
    async fn create_run(
        &mut self,
        collection: CollectionId,
        mut documents: Vec<Document>,
        cause: Cause,
    ) -> Result<Vec<Document>, (usize, Error)> {
        let schema = self.catalog.get(collection).clone();
        for document in &mut documents {
            document.begin_revision(Revision::new(cause.micros));
            document.normalize();
        }
        self.raise_above_tombstones(&schema, &mut documents, cause.micros)
            .await
            .map_err(|error| (0, error))?;
        // What is left to try: from where, and how many at once.
        let mut waiting = vec![(0, documents.len())];
        while let Some((start, count)) = waiting.pop() {
            self.written += count as u64;
            let rows: Vec<&Document> = documents[start..start + count].iter().collect();
            match self.session.insert(&schema, &rows).await {
                Ok(()) => {}
                Err(refusal) if count == 1 || self.session.is_in_trouble() => {
                    let accepted = self.accepted(Err(refusal), &schema, &documents[start]);
                    accepted.await.map_err(|error| (start, error))?;
                }
                Err(Refusal::Other(error)) => return Err((start, error)),
                Err(_) => {
                    waiting.push((start + count / 2, count - count / 2));
                    waiting.push((start, count / 2));
                }
            }
        }
        self.correct_revisions(&schema, documents.iter_mut(), cause.micros)
            .await
            .map_err(|error| (0, error))?;
        for document in &documents {
            self.touched.note(collection, None, Some(document));
        }
        Ok(documents)
    }

    async fn operation(
        &mut self,
        operation: Operation,
        permit: &Permit,
        cause: Cause,
    ) -> Result<Outcome> {
        match operation {
            Operation::Create {
                collection,
                document,
            } => {
                let schema = self.catalog.get(collection).clone();
                self.check_after(permit, None, &document, &schema).await?;
                let read_at = self.written;
                let document = self.create(collection, document, cause).await?;
                self.outcome(collection, document, read_at)
                    .await
                    .map(Outcome::Created)
            }
            Operation::Update {
                collection,
                target: Target::One { id, guard },
                change,
            } => {
                let guarded = self.guarded(collection, id, &guard, permit, Lock::Change);
                let before = guarded.await?;
                let read_at = self.written;
                let updated = self.update(collection, before, &change, permit, cause);
                let (document, _) = updated.await?;
                self.outcome(collection, document, read_at)
                    .await
                    .map(Outcome::Updated)
            }
            Operation::Update {
                collection,
                target: Target::Matching(filter),
                change,
            } => {
                let deed = Deed::Update(&change, permit);
                let walked = self.walk(collection, &filter, deed, cause).await?;
                Ok(Outcome::Changed {
                    matched: walked.matched,
                    modified: walked.done,
                })
            }
            Operation::Delete {
                collection,
                target: Target::One { id, guard },
            } => {
                let guarded = self.guarded(collection, id, &guard, permit, Lock::Removal);
                let document = guarded.await?;
                self.delete(collection, document, cause).await?;
                Ok(Outcome::Deleted)
            }
            Operation::Delete {
                collection,
                target: Target::Matching(filter),
            } => {
                let walked = self.walk(collection, &filter, Deed::Delete, cause);
                Ok(Outcome::Removed(walked.await?.done))
            }
        }
    }

    /// A document that was written, as it is now: its effects may have come back to it.
    async fn outcome(
        &mut self,
        collection: CollectionId,
        document: Document,
        read_at: u64,
    ) -> Result<Document> {
        let (Some(id), true) = (document.id(), self.written > read_at + 1) else {
            return Ok(document);
        };
        let schema = self.catalog.get(collection).clone();
        let found = self.session.load(&schema, id, Lock::Change).await?;
        Ok(found.unwrap_or(document))
    }

    /// The document with an id, if it may be touched and its revision is one that is asked for.
    async fn guarded(
        &mut self,
        collection: CollectionId,
        id: Id,
        guard: &Guard,
        permit: &Permit,
        lock: Lock,
    ) -> Result<Document> {
        let schema = self.catalog.get(collection).clone();
        let mut found = self.session.load(&schema, id, lock).await?;
        if found.is_none() && self.may_have_left(&schema) {
            self.recall(&schema, &[id]).await?;
            found = self.session.load(&schema, id, lock).await?;
        }
        let document = found.ok_or_else(|| Error::no_document(&schema.name))?;
        self.check_before(permit, &document, &schema).await?;
        match &guard.revisions {
            Some(revisions) if !revisions.contains(&document.revision()) => {
                Err(Error::PreconditionFailed {
                    current: document.revision().number(),
                })
            }
            _ => Ok(document),
        }
    }

    /// A new document and its effects.
    pub(super) async fn create(
        &mut self,
        collection: CollectionId,
        mut document: Document,
        cause: Cause,
    ) -> Result<Document> {
        let schema = self.catalog.get(collection).clone();
        document.begin_revision(Revision::new(cause.micros));
        document.normalize();
        let mut row = [document];
        self.raise_above_tombstones(&schema, &mut row, cause.micros)
            .await?;
        let [mut document] = row;
        self.check_listed_references(&schema, &document, None)
            .await?;
        self.written += 1;
        let inserted = self.session.insert(&schema, &[&document]).await;
        self.accepted(inserted, &schema, &document).await?;
        let row = std::iter::once(&mut document);
        self.correct_revisions(&schema, row, cause.micros).await?;
        self.touched.note(collection, None, Some(&document));
        self.effects(&schema, Trigger::Create, &document, cause)
            .await?;
        Ok(document)
    }

    /// A change and its effects. Says whether anything is different now.
    pub(super) async fn update(
        &mut self,
        collection: CollectionId,
        before: Document,
        change: &Change,
        permit: &Permit,
        cause: Cause,
    ) -> Result<(Document, bool)> {
        let schema = self.catalog.get(collection).clone();
        let mut after = before.clone();
        let applied = match cause.depth {
            0 => change.apply(&mut after, &schema, cause.now),
            _ => change.apply_saturating(&mut after, &schema, cause.now),
        };
        applied.map_err(Error::Invalid)?;
        self.check_after(permit, Some(&before), &after, &schema)
            .await?;
        self.replace(collection, before, after, cause).await
    }

    /// Writes a document over what it was before, with the effects of that.
    pub(super) async fn replace(
        &mut self,
        collection: CollectionId,
        before: Document,
        mut after: Document,
        cause: Cause,
    ) -> Result<(Document, bool)> {
        let schema = self.catalog.get(collection).clone();
        after.normalize();
        let mut changed: Vec<usize> = schema
            .declared_fields()
            .map(|(index, _)| index)
            .filter(|index| after.value(*index) != before.value(*index))
            .collect();
        // A stamp alone is no change.
        let real = changed.iter().any(|index| !schema.fields()[*index].stamped);
        if !real {
            return Ok((before, false));
        }
        after.touch(cause.now);
        after.set_revision(before.revision().next(cause.micros));
        changed.extend([schema.updated_at(), schema.revision()]);
        self.check_listed_references(&schema, &after, Some(&before))
            .await?;
        self.written += 1;
        let updated = self.session.update(&schema, &after, &changed).await;
        self.accepted(updated, &schema, &after).await?;
        self.touched.note(collection, Some(&before), Some(&after));
        self.effects(&schema, Trigger::Update, &after, cause)
            .await?;
        Ok((after, true))
    }

    /// Gives the reason where a row was refused.
    pub(super) async fn accepted(
        &mut self,
        result: Result<(), Refusal>,
        schema: &Collection,
        document: &Document,
    ) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            // The transaction has ended; the next attempt finds out.
            Err(_) if self.session.is_in_trouble() => Err(Error::internal("refused")),
            Err(refusal) => Err(self.explain(refusal, schema, document).await?),
        }
    }

    /// Gets the documents ready that transactions name, all with one question each collection.
    pub(super) async fn prefetch(&mut self, entries: &[Entry]) -> Result<()> {
        let mut wanted: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
        let operations = entries
            .iter()
            .flat_map(|entry| &entry.transaction.operations);
        for operation in operations {
            if let Operation::Update {
                collection,
                target: Target::One { id, .. },
                ..
            } = operation
            {
                wanted.entry(collection.index()).or_default().push(*id);
            }
        }
        let catalog = Arc::clone(&self.catalog);
        for (collection, mut ids) in wanted {
            // Locked in one order everywhere, so that nobody waits in a circle.
            ids.sort_unstable();
            ids.dedup();
            if ids.len() > 1 {
                let schema = &catalog.collections()[collection];
                self.session.prefetch(schema, ids).await?;
            }
        }
        Ok(())
    }

    /// Whether any id was ever given up, as far as that matters before a row is written.
    pub(super) fn has_tombstones(&self) -> bool {
        !S::CONCURRENT && self.shared.tombstones.load(Ordering::Relaxed)
    }

    /// Lifts the revisions of new documents above those at which their ids ended before.
    pub(super) async fn raise_above_tombstones(
        &mut self,
        schema: &Collection,
        documents: &mut [Document],
        now: i64,
    ) -> Result<()> {
        if !self.has_tombstones() || documents.is_empty() {
            return Ok(());
        }
        self.raise(schema, documents.iter_mut(), now)
            .await
            .map(drop)
    }

    /// The same for rows that are written already: where others delete at the same time, only who
    /// has the row can be sure that its id is not about to end.
    pub(super) async fn correct_revisions<'a>(
        &mut self,
        schema: &Collection,
        documents: impl Iterator<Item = &'a mut Document>,
        now: i64,
    ) -> Result<()> {
        if !S::CONCURRENT {
            return Ok(());
        }
        for document in self.raise(schema, documents, now).await? {
            let changed = [schema.revision()];
            let updated = self.session.update(schema, &document, &changed).await;
            self.accepted(updated, schema, &document).await?;
        }
        Ok(())
    }

    /// Raises revisions and gives the documents whose are others now.
    async fn raise<'a>(
        &mut self,
        schema: &Collection,
        documents: impl Iterator<Item = &'a mut Document>,
        now: i64,
    ) -> Result<Vec<Document>> {
        let documents: Vec<&mut Document> = documents.collect();
        let ids: Vec<Value> = documents
            .iter()
            .map(|document| document.value(Collection::ID).clone())
            .collect();
        let found = self.session.tombstones(schema, &ids).await?;
        let ended: HashMap<Id, i64> = found.into_iter().collect();
        let mut raised = Vec::new();
        for document in documents {
            let revision = document.id().and_then(|id| ended.get(&id));
            if let Some(revision) = revision {
                document.set_revision(Revision::new(*revision).next(now));
                raised.push(document.clone());
            }
        }
        Ok(raised)
    }
}
