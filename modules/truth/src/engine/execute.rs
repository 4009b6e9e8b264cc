//! What one operation does to documents.

use std::collections::HashMap;

use nubo_core::{
    Error, Result, Violation,
    change::Change,
    declare::Trigger,
    document::Document,
    field::FieldType,
    filter::{Expr, Path, Test},
    id::{Id, Revision},
    schema::{Collection, CollectionId},
    time::Timestamp,
    value::Value,
    write::{Guard, Operation, Outcome, Target, Transaction},
};

use super::Engine;
use crate::{
    fault::{self, Refusal},
    sql::{Statement, write},
};

/// How many documents of a walk are in memory at once.
const STRETCH: u32 = 500;
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

/// Whether a create in this collection is a row and nothing else: no effect, and no list of
/// references, which the database does not guard.
pub(super) fn create_is_plain(collection: &Collection) -> bool {
    !collection.effects.iter().any(|effect| effect.on == Trigger::Create)
        && !collection.fields().iter().any(|field| {
            matches!(&field.kind, FieldType::List(item) if matches!(**item, FieldType::Ref(_)))
        })
}

impl Engine {
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
        let mut outcomes = Vec::with_capacity(transaction.operations.len());
        for (index, operation) in transaction.operations.into_iter().enumerate() {
            let outcome = self.operation(operation, cause).await;
            outcomes.push(match several {
                true => outcome.map_err(|error| error.nested(&format!("/{index}")))?,
                false => outcome?,
            });
        }
        Ok(outcomes)
    }

    async fn operation(&mut self, operation: Operation, cause: Cause) -> Result<Outcome> {
        match operation {
            Operation::Create {
                collection,
                document,
            } => {
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
                let before = self.guarded(collection, id, &guard).await?;
                let read_at = self.written;
                let (document, _) = self.update(collection, before, &change, cause).await?;
                self.outcome(collection, document, read_at)
                    .await
                    .map(Outcome::Updated)
            }
            Operation::Update {
                collection,
                target: Target::Matching(filter),
                change,
            } => self.update_all(collection, &filter, &change, cause).await,
            Operation::Delete {
                collection,
                target: Target::One { id, guard },
            } => {
                let document = self.guarded(collection, id, &guard).await?;
                self.delete(collection, document, cause).await?;
                Ok(Outcome::Deleted)
            }
            Operation::Delete {
                collection,
                target: Target::Matching(filter),
            } => self
                .delete_all(collection, &filter, cause)
                .await
                .map(Outcome::Removed),
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
        let found = self.session.load(&schema, id).await?;
        Ok(found.unwrap_or(document))
    }

    /// A document of a stretch that was read a while ago, as it is now; none where it does not
    /// match any longer.
    pub(super) async fn current(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        document: Document,
        read_at: u64,
    ) -> Result<Option<Document>> {
        if self.written == read_at {
            return Ok(Some(document));
        }
        let catalog = self.catalog.clone();
        let schema = catalog.get(collection);
        let itself = Expr::Test {
            path: Path::to_field(Collection::ID, &schema.fields()[Collection::ID]),
            test: Test::Equal(document.value(Collection::ID).clone()),
        };
        let filter = filter.clone().and(itself);
        let found = self
            .session
            .walk(schema, &catalog, &filter, None, 1)
            .await?;
        Ok(found.into_iter().next())
    }

    /// The document with an id, if its revision is one that is asked for.
    async fn guarded(
        &mut self,
        collection: CollectionId,
        id: Id,
        guard: &Guard,
    ) -> Result<Document> {
        let schema = self.catalog.get(collection).clone();
        let document = self
            .session
            .load(&schema, id)
            .await?
            .ok_or_else(|| Error::no_document(&schema.name))?;
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
        document.set_revision(Revision::new(cause.micros));
        let mut row = [document];
        self.raise_above_tombstones(&schema, &mut row, cause.micros)
            .await?;
        let [document] = row;
        self.check_listed_references(&schema, &document, None)
            .await?;
        let statement = write::insert(&schema, [&document]);
        self.write(statement, &schema, &document).await?;
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
        cause: Cause,
    ) -> Result<(Document, bool)> {
        let schema = self.catalog.get(collection).clone();
        let mut after = before.clone();
        change
            .apply(&mut after, &schema, cause.now)
            .map_err(Error::Invalid)?;
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
        let statement = write::update(&schema, &after, &changed);
        self.write(statement, &schema, &after).await?;
        self.effects(&schema, Trigger::Update, &after, cause)
            .await?;
        Ok((after, true))
    }

    /// Executes a statement that writes one document.
    pub(super) async fn write(
        &mut self,
        statement: Statement,
        schema: &Collection,
        document: &Document,
    ) -> Result<()> {
        self.written += 1;
        match self.session.execute(statement).await {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.explain(refusal, schema, document).await?),
        }
    }

    /// Changes every document that matches. Each is visited once: the walk follows the ids, which
    /// no change touches.
    pub(super) async fn update_all(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        change: &Change,
        cause: Cause,
    ) -> Result<Outcome> {
        let (mut matched, mut modified, mut after) = (0, 0, None);
        loop {
            let documents = self.stretch(collection, filter, after).await?;
            let last = documents.len() < STRETCH as usize;
            let mut read_at = self.written;
            for document in documents {
                after = document.id();
                let current = self.current(collection, filter, document, read_at).await?;
                let Some(document) = current else { continue };
                matched += 1;
                let written = self.written;
                let (_, changed) =
                    Box::pin(self.update(collection, document, change, cause)).await?;
                modified += u64::from(changed);
                // Its own row is behind the walk; what it caused may lie ahead.
                if self.written <= written + 1 && read_at == written {
                    read_at = self.written;
                }
            }
            if last {
                return Ok(Outcome::Changed { matched, modified });
            }
        }
    }

    /// Deletes every document that matches.
    pub(super) async fn delete_all(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        cause: Cause,
    ) -> Result<u64> {
        let (mut deleted, mut after) = (0, None);
        loop {
            let documents = self.stretch(collection, filter, after).await?;
            let last = documents.len() < STRETCH as usize;
            let mut read_at = self.written;
            for document in documents {
                after = document.id();
                // One that went as a consequence of another is gone already.
                let current = self.current(collection, filter, document, read_at).await?;
                let Some(document) = current else { continue };
                let written = self.written;
                deleted += u64::from(Box::pin(self.delete(collection, document, cause)).await?);
                if self.written <= written + 1 && read_at == written {
                    read_at = self.written;
                }
            }
            if last {
                return Ok(deleted);
            }
        }
    }

    /// The next documents of a walk.
    pub(super) async fn stretch(
        &mut self,
        collection: CollectionId,
        filter: &Expr,
        after: Option<Id>,
    ) -> Result<Vec<Document>> {
        let catalog = self.catalog.clone();
        let schema = catalog.get(collection);
        self.session
            .walk(schema, &catalog, filter, after, STRETCH)
            .await
    }

    /// Lifts the revisions of new documents above those at which their ids ended before.
    pub(super) async fn raise_above_tombstones(
        &mut self,
        schema: &Collection,
        documents: &mut [Document],
        now: i64,
    ) -> Result<()> {
        if !self.tombstones || documents.is_empty() {
            return Ok(());
        }
        let found = self.session.tombstones(schema, documents.iter()).await?;
        let ended: HashMap<String, i64> = found.into_iter().collect();
        for document in documents.iter_mut().filter(|_| !ended.is_empty()) {
            let id = document.id().map(|id| id.to_string()).unwrap_or_default();
            if let Some(revision) = ended.get(&id) {
                document.set_revision(Revision::new(*revision).next(now));
            }
        }
        Ok(())
    }

    /// Checks that every reference in a list leads somewhere: foreign keys do not reach into lists.
    /// A document may name itself.
    async fn check_listed_references(
        &mut self,
        schema: &Collection,
        document: &Document,
        before: Option<&Document>,
    ) -> Result<()> {
        let mut violations = Vec::new();
        for (index, field) in schema.declared_fields() {
            let FieldType::List(item) = &field.kind else {
                continue;
            };
            let FieldType::Ref(reference) = &**item else {
                continue;
            };
            let value = document.value(index);
            if before.is_some_and(|before| before.value(index) == value) {
                continue;
            }
            let Value::List(items) = value else { continue };
            let listed = |item: &Value| match item {
                Value::Uuid(uuid) => Some(Id::from_uuid(*uuid)),
                _ => None,
            };
            let target = self.catalog.get(reference.collection).clone();
            let mut wanted: Vec<Id> = items.iter().filter_map(listed).collect();
            wanted.sort_unstable();
            wanted.dedup();
            if target.id == schema.id {
                wanted.retain(|id| Some(*id) != document.id());
            }
            if wanted.is_empty() {
                continue;
            }
            let found = self.session.existing(&target, &wanted).await?;
            wanted.retain(|id| !found.contains(id));
            let unknown = items.iter().enumerate().filter(|(_, item)| {
                listed(item).is_some_and(|id| wanted.binary_search(&id).is_ok())
            });
            violations.extend(unknown.map(|(position, _)| {
                unknown_reference(&format!("{}/{position}", field.name), &target.name)
            }));
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(())
    }

    /// Turns a refused row into what its sender did wrong. The outer error is a failure to find
    /// out.
    pub(super) async fn explain(
        &mut self,
        refusal: Refusal,
        schema: &Collection,
        document: &Document,
    ) -> Result<Error> {
        match refusal {
            Refusal::Other(error) => Err(error),
            Refusal::Unfit(error) => Ok(error),
            Refusal::Duplicate(fields) => Ok(fault::duplicate(schema, &fields)),
            Refusal::Reference => {
                let mut violations = Vec::new();
                for (index, field) in schema.declared_fields() {
                    let (FieldType::Ref(reference), Value::Uuid(uuid)) =
                        (&field.kind, document.value(index))
                    else {
                        continue;
                    };
                    let target = self.catalog.get(reference.collection).clone();
                    let id = Id::from_uuid(*uuid);
                    let itself = target.id == schema.id && document.id() == Some(id);
                    if !itself && self.session.existing(&target, &[id]).await?.is_empty() {
                        violations.push(unknown_reference(&field.name, &target.name));
                    }
                }
                if !violations.is_empty() {
                    return Ok(Error::Invalid(violations));
                }
                Ok(Error::Conflict {
                    code: "referenced",
                    detail: format!("other documents refer to this one of {}", schema.name),
                    errors: Vec::new(),
                })
            }
        }
    }
}

/// A reference that leads nowhere.
fn unknown_reference(place: &str, target: &str) -> Violation {
    Violation::new(
        format!("/{place}"),
        "unknown_reference",
        format!("refers to a document that does not exist in {target}"),
    )
}
