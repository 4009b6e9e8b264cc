//! One batch: the transactions of several jobs in one database transaction.
//!
//! Creates that cause nothing else go first to the database as rows of one statement. Should it
//! refuse them, halves are tried until the bad one stands alone; it fails, the others do not
//! notice. Every other transaction runs behind a savepoint of its own.

use nubo_core::{
    Error, Result,
    document::Document,
    id::Revision,
    observe::Fate as BatchFate,
    schema::{Collection, CollectionId},
    write::{Operation, Outcome, Sequence, Transaction},
};

use super::{Engine, Job};
use crate::{fault::Refusal, sql::write};

/// How many rows go into one statement at most: its arguments must stay below 32,766.
const ROWS: usize = 128;
const MAX_ARGUMENTS: usize = 30_000;
/// How long the revision of a deleted document is kept: a day, in microseconds.
const TOMBSTONE_AGE: i64 = 86_400_000_000;
/// How often old ones are cleared away: an hour.
const SWEEP: i64 = 3_600_000_000;

type Fate = Result<Vec<Outcome>>;

/// A transaction of the batch and where its fate goes.
struct Entry {
    job: usize,
    place: usize,
    transaction: Transaction,
}

/// Executes jobs and answers them.
pub(super) async fn commit(engine: &mut Engine, jobs: Vec<Job>) {
    let now = engine.clock.micros();
    let mut fates: Vec<Vec<Option<Fate>>> = jobs
        .iter()
        .map(|job| job.transactions.iter().map(|_| None).collect())
        .collect();
    let mut answers = Vec::with_capacity(jobs.len());
    let mut independent = Vec::new();
    let mut ordered = Vec::new();
    for (job, taken) in jobs.into_iter().enumerate() {
        answers.push(taken.answer);
        let entries = taken
            .transactions
            .into_iter()
            .enumerate()
            .map(|(place, transaction)| Entry {
                job,
                place,
                transaction,
            });
        match taken.sequence {
            Sequence::Independent => independent.extend(entries),
            Sequence::StopAtError => ordered.push(entries.collect::<Vec<_>>()),
        }
    }
    let result = execute_all(engine, independent, ordered, &mut fates, now).await;
    // Before anybody is told.
    match &result {
        Ok(()) => engine.touched.committed(),
        Err(_) => engine.touched.forget_since(0),
    }
    let fate = match &result {
        Ok(()) => BatchFate::Committed,
        Err(_) => BatchFate::Aborted,
    };
    let failure = result.err();
    for (answer, fates) in answers.into_iter().zip(fates) {
        let fates = fates.into_iter().map(|fate| match (&failure, fate) {
            // Nothing is durable when the commit failed, whatever each thought of itself.
            (Some(error), None | Some(Ok(_))) => Err(copy(error)),
            (_, Some(fate)) => fate,
            (None, None) => Err(Error::internal("a transaction was forgotten")),
        });
        // Who has gone away meanwhile does not need to know.
        answer.send(fates.collect()).ok();
    }
    engine.touched.settle(fate).await;
}

/// The same failure for several; only what a client can see is copied.
fn copy(error: &Error) -> Error {
    match error {
        Error::Unavailable {
            code,
            detail,
            retry_after,
        } => Error::Unavailable {
            code,
            detail: detail.clone(),
            retry_after: *retry_after,
        },
        other => {
            let mut words = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                words = format!("{words}: {error}");
                cause = error.source();
            }
            Error::internal(words)
        }
    }
}

async fn execute_all(
    engine: &mut Engine,
    independent: Vec<Entry>,
    ordered: Vec<Vec<Entry>>,
    fates: &mut [Vec<Option<Fate>>],
    now: i64,
) -> Result<()> {
    let (mut plain, others): (Vec<Entry>, Vec<Entry>) = independent
        .into_iter()
        .partition(|entry| plain_create(engine, &entry.transaction).is_some());
    plain.sort_by_key(|entry| plain_create(engine, &entry.transaction).map(CollectionId::index));
    let mut groups: Vec<(CollectionId, Vec<Entry>)> = Vec::new();
    for entry in plain {
        let Some(collection) = plain_create(engine, &entry.transaction) else {
            continue;
        };
        let rows = rows_at_once(engine.catalog.get(collection));
        match groups.last_mut() {
            Some((last, entries)) if *last == collection && entries.len() < rows => {
                entries.push(entry);
            }
            _ => groups.push((collection, vec![entry])),
        }
    }
    // The most frequent batch by far: creates in one collection and nothing else.
    if others.is_empty()
        && ordered.is_empty()
        && !engine.tombstones
        && let [(collection, entries)] = &mut groups[..]
        && let Some(result) = create_alone(engine, *collection, entries, fates, now).await
    {
        return result;
    }
    engine.session.begin().await?;
    let mut result = execute_in_turn(engine, groups, others, ordered, fates, now).await;
    if result.is_ok() {
        result = engine.touched.announce().await;
    }
    if result.is_ok() {
        result = engine.session.commit().await;
    }
    if result.is_err() {
        // Some failures have ended the transaction already; the next `begin` tells if any is left.
        if let Err(error) = engine.session.rollback().await {
            tracing::warn!(%error, "a batch could not be rolled back");
        }
    }
    result
}

async fn execute_in_turn(
    engine: &mut Engine,
    groups: Vec<(CollectionId, Vec<Entry>)>,
    others: Vec<Entry>,
    ordered: Vec<Vec<Entry>>,
    fates: &mut [Vec<Option<Fate>>],
    now: i64,
) -> Result<()> {
    for (collection, entries) in groups {
        create_group(engine, collection, entries, fates, now).await?;
    }
    for entry in others {
        let fate = transaction(engine, entry.transaction, now).await?;
        fates[entry.job][entry.place] = Some(fate);
    }
    for entries in ordered {
        in_order(engine, entries, fates, now).await?;
    }
    sweep(engine, now).await
}

/// The collection of a transaction that is one create and causes nothing else.
fn plain_create(engine: &Engine, transaction: &Transaction) -> Option<CollectionId> {
    if transaction
        .permits
        .iter()
        .any(|permit| !permit.is_everything())
    {
        return None;
    }
    match &transaction.operations[..] {
        [Operation::Create { collection, .. }]
            if super::execute::create_is_plain(engine.catalog.get(*collection)) =>
        {
            Some(*collection)
        }
        _ => None,
    }
}

fn rows_at_once(collection: &Collection) -> usize {
    ROWS.min(MAX_ARGUMENTS / collection.fields().len()).max(1)
}

/// Takes the documents out of entries that are plain creates, with the revision they get.
fn documents(entries: &mut [Entry], now: i64) -> Vec<Document> {
    entries
        .iter_mut()
        .filter_map(|entry| match entry.transaction.operations.pop() {
            Some(Operation::Create { mut document, .. }) => {
                document.set_revision(Revision::new(now));
                Some(document)
            }
            _ => None,
        })
        .collect()
}

/// Creates in one collection, begun and committed in one exchange. None where it is refused and
/// must be taken apart; the documents are back in their entries then.
async fn create_alone(
    engine: &mut Engine,
    collection: CollectionId,
    entries: &mut [Entry],
    fates: &mut [Vec<Option<Fate>>],
    now: i64,
) -> Option<Result<()>> {
    let schema = engine.catalog.get(collection).clone();
    let documents = documents(entries, now);
    let statement = write::insert(&schema, &documents);
    for document in &documents {
        engine.touched.note(collection, None, Some(document));
    }
    // Nothing stands between the statement and its commit, so it is announced before both.
    if let Err(error) = engine.touched.announce().await {
        return Some(Err(error));
    }
    match engine.session.execute_alone(statement).await {
        Ok(()) => {
            for (entry, document) in entries.iter().zip(documents) {
                fates[entry.job][entry.place] = Some(Ok(vec![Outcome::Created(document)]));
            }
            Some(Ok(()))
        }
        Err(Refusal::Other(error)) => Some(Err(error)),
        Err(Refusal::Duplicate(_) | Refusal::Reference | Refusal::Unfit(_)) => {
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
async fn create_group(
    engine: &mut Engine,
    collection: CollectionId,
    mut entries: Vec<Entry>,
    fates: &mut [Vec<Option<Fate>>],
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
        let statement = write::insert(&schema, part.iter().map(|(_, document)| document));
        match engine.session.execute(statement).await {
            Ok(()) => {
                for (entry, document) in part {
                    engine.touched.note(collection, None, Some(&document));
                    fates[entry.job][entry.place] = Some(Ok(vec![Outcome::Created(document)]));
                }
            }
            Err(Refusal::Other(error)) => return Err(error),
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

/// Transactions that stop at the first that fails. Runs of plain creates are tried as one first.
async fn in_order(
    engine: &mut Engine,
    entries: Vec<Entry>,
    fates: &mut [Vec<Option<Fate>>],
    now: i64,
) -> Result<()> {
    let mut entries = entries.into_iter().peekable();
    let mut stopped = false;
    while let Some(entry) = entries.next() {
        if stopped {
            fates[entry.job][entry.place] = Some(Err(Error::Conflict {
                code: "not_tried",
                detail: "an operation before this one has failed".into(),
                errors: Vec::new(),
            }));
            continue;
        }
        let Some(collection) = plain_create(engine, &entry.transaction) else {
            let fate = transaction(engine, entry.transaction, now).await?;
            stopped = fate.is_err();
            fates[entry.job][entry.place] = Some(fate);
            continue;
        };
        let rows = rows_at_once(engine.catalog.get(collection));
        let mut run = vec![entry];
        while run.len() < rows
            && let Some(next) =
                entries.next_if(|next| plain_create(engine, &next.transaction) == Some(collection))
        {
            run.push(next);
        }
        let schema = engine.catalog.get(collection).clone();
        let mut rows = documents(&mut run, now);
        engine
            .raise_above_tombstones(&schema, &mut rows, now)
            .await?;
        let refusal = engine.session.execute(write::insert(&schema, &rows)).await;
        if let Err(Refusal::Other(error)) = refusal {
            return Err(error);
        }
        for (entry, document) in run.into_iter().zip(rows) {
            let fate = match (&refusal, stopped) {
                (Ok(()), _) => {
                    engine.touched.note(collection, None, Some(&document));
                    Ok(vec![Outcome::Created(document)])
                }
                (Err(_), true) => Err(Error::Conflict {
                    code: "not_tried",
                    detail: "an operation before this one has failed".into(),
                    errors: Vec::new(),
                }),
                (Err(_), false) => {
                    let statement = write::insert(&schema, [&document]);
                    match engine.session.execute(statement).await {
                        Ok(()) => {
                            engine.touched.note(collection, None, Some(&document));
                            Ok(vec![Outcome::Created(document)])
                        }
                        Err(Refusal::Other(error)) => return Err(error),
                        Err(refusal) => Err(engine.explain(refusal, &schema, &document).await?),
                    }
                }
            };
            stopped |= fate.is_err();
            fates[entry.job][entry.place] = Some(fate);
        }
    }
    Ok(())
}

/// One transaction behind a savepoint. The outer error is the end of the batch, the inner one that
/// of the transaction alone.
async fn transaction(engine: &mut Engine, transaction: Transaction, now: i64) -> Result<Fate> {
    engine.session.savepoint().await?;
    let mark = engine.touched.mark();
    let result = engine.execute(transaction, now).await;
    match &result {
        Ok(_) => engine.session.keep().await?,
        Err(Error::Unavailable { .. }) => {}
        Err(_) => {
            engine.touched.forget_since(mark);
            engine.session.undo().await?;
        }
    }
    match result {
        Err(error @ Error::Unavailable { .. }) => Err(error),
        fate => Ok(fate),
    }
}

/// Forgets the revisions of documents that were deleted long ago.
async fn sweep(engine: &mut Engine, now: i64) -> Result<()> {
    if !engine.tombstones || now - engine.swept < SWEEP {
        return Ok(());
    }
    engine.swept = now;
    let statement = write::forget_tombstones(now - TOMBSTONE_AGE);
    match engine.session.execute(statement).await {
        Err(Refusal::Other(error) | Refusal::Unfit(error)) => Err(error),
        _ => Ok(()),
    }
}
