//! The door of the queue: who is let in, and what is looked at there.
//!
//! A transaction is let in where nothing is left to decide: it creates documents, under ids that
//! nobody had before, and the rules have been held against them. References are looked up here. One
//! that leads to what is queued itself is found when that has been carried out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use nubo_core::{
    Error, Result, Violation,
    access::{Permit, View},
    caller::Caller,
    document::Document,
    field::FieldType,
    id::{Id, Revision},
    queue::QueuedWrite,
    schema::{Collection, CollectionId},
    value::Value,
    write::{Operation, Outcome, Sequence, Transaction},
};

use super::Behind;
use crate::{Tiers, write::not_tried};

/// How many documents are looked for at once.
const CHUNK: usize = 200;

/// A reference: where in its document it stands, and where it leads.
struct Leads {
    place: String,
    to: CollectionId,
    id: Id,
}

impl Behind {
    /// Whether a transaction can be answered before it is carried out.
    pub(crate) fn lets_in(&self, transaction: &Transaction) -> bool {
        let mut operations = transaction.operations.iter();
        transaction.caller != Caller::Server
            && transaction.new_ids
            && transaction.permits.iter().all(Permit::is_everything)
            && operations.all(|operation| match operation {
                Operation::Create { collection, .. } => self.catalog.get(*collection).is_behind(),
                Operation::Update { .. } | Operation::Delete { .. } => false,
            })
    }
}

impl Tiers {
    /// Puts transactions into the queue, each for itself or up to the first that fails.
    pub(crate) async fn accept(
        &self,
        behind: &Behind,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        let count = transactions.len();
        let missing = match self.missing(behind, &transactions).await {
            Ok(missing) => missing,
            Err(error) => return (0..count).map(|_| Err(error.copied())).collect(),
        };
        let revision = Revision::new(self.clock.micros());
        let mut answers = Vec::with_capacity(count);
        let mut writes = Vec::with_capacity(count);
        let mut stopped = false;
        for transaction in transactions {
            if stopped {
                answers.push(Err(not_tried()));
                continue;
            }
            match self.check_references(&transaction, &missing) {
                Ok(()) => {
                    let write = queued(transaction, revision);
                    let documents = write.documents.iter();
                    let outcomes =
                        documents.map(|(_, document)| Outcome::Accepted(document.clone()));
                    answers.push(Ok(outcomes.collect()));
                    writes.push(write);
                }
                Err(error) => {
                    stopped = sequence == Sequence::StopAtError;
                    answers.push(Err(error));
                }
            }
        }
        if !writes.is_empty()
            && let Err(error) = behind.append(writes).await
        {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(error.copied());
            }
        }
        answers
    }

    /// The documents that are referred to and not there.
    async fn missing(
        &self,
        behind: &Behind,
        transactions: &[Transaction],
    ) -> Result<HashSet<(CollectionId, Id)>> {
        let mut wanted: BTreeMap<CollectionId, BTreeSet<Id>> = BTreeMap::new();
        for transaction in transactions {
            for (collection, document) in creations(transaction) {
                for leads in references(self.catalog.get(collection), document) {
                    wanted.entry(leads.to).or_default().insert(leads.id);
                }
            }
            for (collection, document) in creations(transaction) {
                if let (Some(ids), Some(id)) = (wanted.get_mut(&collection), document.id()) {
                    ids.remove(&id);
                }
            }
        }
        let mut missing = HashSet::new();
        for (collection, ids) in wanted {
            let mut ids: Vec<Id> = ids.into_iter().collect();
            self.remove_existing(collection, &mut ids).await?;
            // What was acknowledged may be on its way.
            if !ids.is_empty() && behind.touches(collection) {
                behind.caught_up().await?;
                self.remove_existing(collection, &mut ids).await?;
            }
            missing.extend(ids.into_iter().map(|id| (collection, id)));
        }
        Ok(missing)
    }

    async fn remove_existing(&self, collection: CollectionId, ids: &mut Vec<Id>) -> Result<()> {
        let collection = self.catalog.get(collection).clone();
        let mut found = HashSet::new();
        for ids in ids.chunks(CHUNK) {
            let read = self.read_by_ids(&collection, ids, &View::all()).await?;
            found.extend(read.content.iter().filter_map(Document::id));
        }
        ids.retain(|id| !found.contains(id));
        Ok(())
    }

    /// 422 where a document refers to one that is missing, as the truth would say.
    fn check_references(
        &self,
        transaction: &Transaction,
        missing: &HashSet<(CollectionId, Id)>,
    ) -> Result<()> {
        let several = transaction.operations.len() > 1;
        for (index, (collection, document)) in creations(transaction).enumerate() {
            let references = references(self.catalog.get(collection), document);
            let lost = references.filter(|leads| missing.contains(&(leads.to, leads.id)));
            let violations = lost.map(|leads| {
                let target = &self.catalog.get(leads.to).name;
                Violation::unknown_reference(&leads.place, target)
            });
            let violations: Vec<Violation> = violations.collect();
            if !violations.is_empty() {
                let error = Error::Invalid(violations);
                return Err(match several {
                    true => error.nested(&format!("/{index}")),
                    false => error,
                });
            }
        }
        Ok(())
    }
}

/// The documents that a transaction creates.
fn creations(transaction: &Transaction) -> impl Iterator<Item = (CollectionId, &Document)> {
    let operations = transaction.operations.iter();
    operations.filter_map(|operation| match operation {
        Operation::Create {
            collection,
            document,
        } => Some((*collection, document)),
        Operation::Update { .. } | Operation::Delete { .. } => None,
    })
}

/// The references of a document, those in lists one by one.
fn references<'a>(
    collection: &'a Collection,
    document: &'a Document,
) -> impl Iterator<Item = Leads> + 'a {
    collection.declared_fields().flat_map(|(index, field)| {
        let value = document.value(index);
        let one = |place: String, to, value: &Value| match value {
            Value::Uuid(uuid) => Some(Leads {
                place,
                to,
                id: Id::from_uuid(*uuid),
            }),
            _ => None,
        };
        match (&field.kind, value) {
            (FieldType::Ref(reference), value) => {
                one(field.name.clone(), reference.collection, value)
                    .into_iter()
                    .collect()
            }
            (FieldType::List(item), Value::List(items)) => match &**item {
                FieldType::Ref(reference) => {
                    let items = items.iter().enumerate();
                    let listed = items.filter_map(|(at, item)| {
                        one(format!("{}/{at}", field.name), reference.collection, item)
                    });
                    listed.collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    })
}

/// What is queued of a transaction. Its documents have the revision now that they are going to have.
fn queued(transaction: Transaction, revision: Revision) -> QueuedWrite {
    let documents = transaction.operations.into_iter();
    let documents = documents.filter_map(|operation| match operation {
        Operation::Create {
            collection,
            mut document,
        } => {
            document.set_revision(revision);
            document.normalize();
            Some((collection, document))
        }
        Operation::Update { .. } | Operation::Delete { .. } => None,
    });
    QueuedWrite {
        now: transaction.now,
        documents: documents.collect(),
    }
}
