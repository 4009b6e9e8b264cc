//! Creates that cause nothing else: by far the most frequent writes.
//!
//! They go to the database as rows of one statement. Should it refuse them, halves are tried until the
//! bad one stands alone; it fails, the others do not notice.

use nubo_core::{
    Result,
    document::Document,
    id::Revision,
    observe::Fate as BatchFate,
    schema::CollectionId,
    write::{Operation, Outcome, Transaction},
};

use super::{
    Engine,
    attempt::{Entry, Fates},
    batch::was_committed_after_all,
};
use crate::{fault::Refusal, session::Session};

/// The collection of a transaction that is one create and causes nothing else.
pub(super) fn plain_create<S: Session>(
    engine: &Engine<S>,
    transaction: &Transaction,
) -> Option<CollectionId> {
    if transaction
        .permits
        .iter()
        .any(|permit| !permit.is_everything())
    {
        return None;
    }
    match &transaction.operations[..] {
        [Operation::Create { collection, .. }] => {
            let schema = engine.catalog.get(*collection);
            // An id that the client gave may be one that has left.
            let may_be_taken = !transaction.new_ids && engine.may_have_left(schema);
            let is_plain = super::execute::create_is_plain(schema) && !may_be_taken;
            is_plain.then_some(*collection)
        }
        _ => None,
    }
}

/// Whether plain creates may go in one exchange, without a look at the revisions at which their ids
/// ended before. Where others delete at the same time only who has the row could look, so that ids
/// must be new; and what was refused in company needs care.
pub(super) fn may_go_alone<S: Session>(engine: &Engine<S>, entries: &[Entry]) -> bool {
    match S::CONCURRENT {
        true => !engine.care && entries.len() <= S::ALONE && have_new_ids(entries.iter()),
        false => !engine.has_tombstones(),
    }
}

/// Whether the ids of these creates were never anybody's.
fn have_new_ids<'a>(mut entries: impl Iterator<Item = &'a Entry>) -> bool {
    entries.all(|entry| entry.transaction.new_ids)
}

/// Takes the documents out of entries that are plain creates, with the revision they get.
pub(super) fn documents(entries: &mut [Entry], now: i64) -> Vec<Document> {
    entries
        .iter_mut()
        .filter_map(|entry| match entry.transaction.operations.pop() {
            Some(Operation::Create { mut document, .. }) => {
                document.begin_revision(Revision::new(now));
                document.normalize();
                Some(document)
            }
            _ => None,
        })
        .collect()
}

/// Creates in one collection, begun and committed in one exchange. None where it is refused and
/// must be taken apart; the documents are back in their entries then.
pub(super) async fn create_alone<S: Session>(
    engine: &mut Engine<S>,
    collection: CollectionId,
    entries: &mut [Entry],
    fates: &mut Fates,
    now: i64,
) -> Option<Result<()>> {
    let schema = engine.catalog.get(collection).clone();
    let documents = documents(entries, now);
    for document in &documents {
        engine.touched.note(collection, None, Some(document));
    }
    // Nothing stands between the statement and its commit, so it is announced before both.
    let ending = match engine.touched.announce().await {
        Ok(ending) => ending,
        Err(error) => return Some(Err(error)),
    };
    let ticket = engine.touched.ticket();
    let rows: Vec<&Document> = documents.iter().collect();
    let mut inserted = engine.session.insert_alone(&schema, &rows, ending).await;
    if was_committed_after_all(engine).await {
        inserted = Ok(());
    }
    match inserted {
        Ok(()) => {
            for (entry, document) in entries.iter().zip(documents) {
                fates[entry.job][entry.place] = Some(Ok(vec![Outcome::Created(document)]));
            }
            ticket.committed(engine.touched.take()).await;
            Some(Ok(()))
        }
        Err(Refusal::Other(error)) => Some(Err(error)),
        Err(Refusal::Duplicate(_) | Refusal::Reference | Refusal::Unfit(_)) => {
            engine.session.take_trouble();
            // The bad one is looked for at once.
            engine.care = true;
            engine.touched.forget_since(0);
            engine.touched.settle(BatchFate::Aborted).await;
            for (entry, document) in entries.iter_mut().zip(documents) {
                entry.transaction.operations.push(Operation::Create {
                    collection,
                    document,
                });
            }
            None
        }
    }
}

/// Creates in one collection, inside the batch's transaction.
pub(super) async fn create_group<S: Session>(
    engine: &mut Engine<S>,
    collection: CollectionId,
    mut entries: Vec<Entry>,
    fates: &mut Fates,
    now: i64,
) -> Result<()> {
    let schema = engine.catalog.get(collection).clone();
    let mut documents = documents(&mut entries, now);
    engine
        .raise_above_tombstones(&schema, &mut documents, now)
        .await?;
    // Halves of what was refused wait here, in their order.
    let mut waiting = vec![entries.into_iter().zip(documents).collect::<Vec<_>>()];
    while let Some(mut part) = waiting.pop() {
        let rows: Vec<&Document> = part.iter().map(|(_, document)| document).collect();
        match engine.session.insert(&schema, &rows).await {
            Ok(()) => {
                if !have_new_ids(part.iter().map(|(entry, _)| entry)) {
                    let rows = part.iter_mut().map(|(_, document)| document);
                    engine.correct_revisions(&schema, rows, now).await?;
                }
                for (entry, document) in part {
                    engine.touched.note(collection, None, Some(&document));
                    fates[entry.job][entry.place] = Some(Ok(vec![Outcome::Created(document)]));
                }
            }
            Err(Refusal::Other(error)) => return Err(error),
            Err(_) if engine.session.is_in_trouble() => return Ok(()),
            Err(refusal) => {
                if part.len() > 1 {
                    let second = part.split_off(part.len() / 2);
                    waiting.push(second);
                    waiting.push(part);
                } else if let Some((entry, document)) = part.pop() {
                    let error = engine.explain(refusal, &schema, &document).await?;
                    fates[entry.job][entry.place] = Some(Err(error));
                }
            }
        }
    }
    Ok(())
}
