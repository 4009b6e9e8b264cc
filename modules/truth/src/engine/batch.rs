//! One batch: the transactions of several jobs in one database transaction, [creates](super::creates)
//! that cause nothing else first.

use std::sync::atomic::Ordering;

use nubo_core::{
    Error, Result,
    document::Document,
    observe::Fate as BatchFate,
    schema::CollectionId,
    write::{Outcome, Transaction},
};

use super::{
    Engine,
    attempt::{Batch, Entry, Fate, Fates},
    creates::{create_alone, create_group, documents, may_go_alone, plain_create},
    queued, recall,
};
use crate::{
    fault::Refusal,
    session::{Session, Trouble},
    sql::write,
};

/// How long the revision of a deleted document is kept: a day, in microseconds.
const TOMBSTONE_AGE: i64 = 86_400_000_000;
/// How often old ones are cleared away: an hour.
const SWEEP: i64 = 3_600_000_000;

/// Executes a batch in one database transaction. Where that fails nothing of it is left.
pub(super) async fn execute<S: Session>(
    engine: &mut Engine<S>,
    batch: Batch,
    fates: &mut Fates,
) -> Result<()> {
    // A batch before this one whose answers are not sent yet, as when jobs are tried one by one.
    engine.touched.settle(BatchFate::Committed).await;
    engine.touched.forget_since(0);
    let now = engine.clock.micros();
    let is_usual = batch.is_usual();
    let (mut plain, others): (Vec<Entry>, Vec<Entry>) = batch
        .independent
        .into_iter()
        .partition(|entry| plain_create(engine, &entry.transaction).is_some());
    plain.sort_by_key(|entry| plain_create(engine, &entry.transaction).map(CollectionId::index));
    let mut groups: Vec<(CollectionId, Vec<Entry>)> = Vec::new();
    for entry in plain {
        let Some(collection) = plain_create(engine, &entry.transaction) else {
            continue;
        };
        let rows = engine.session.rows_at_once(engine.catalog.get(collection));
        match groups.last_mut() {
            Some((last, entries)) if *last == collection && entries.len() < rows => {
                entries.push(entry);
            }
            _ => groups.push((collection, vec![entry])),
        }
    }
    // The most frequent batch by far: creates in one collection and nothing else.
    if is_usual
        && others.is_empty()
        && batch.ordered.is_empty()
        && let [(collection, entries)] = &mut groups[..]
        && may_go_alone(engine, entries)
        && let Some(result) = create_alone(engine, *collection, entries, fates, now).await
    {
        if result.is_err() {
            let fate = fate_of_failed(engine);
            engine.touched.settle(fate).await;
        }
        return result;
    }
    let care = engine.care;
    engine.session.begin(care).await?;
    let usual = Usual {
        groups,
        others,
        ordered: batch.ordered,
    };
    let mut result = queued::orders(engine, batch.orders, fates, now).await;
    if result.is_ok() {
        result = queued::carry_out(engine, batch.queued, fates, now).await;
    }
    if result.is_ok() && !engine.session.is_in_trouble() {
        result = execute_in_turn(engine, usual, fates, now).await;
    }
    if result.is_ok() && !engine.session.is_in_trouble() {
        match finish(engine).await {
            Ok(()) => return Ok(()),
            Err(error) => result = Err(error),
        }
    }
    engine.touched.forget_since(0);
    // Some failures have ended the transaction already; the next `begin` tells if any is left.
    if engine.session.is_connected()
        && let Err(error) = engine.session.rollback().await
    {
        tracing::warn!(%error, "a batch could not be rolled back");
    }
    // What may have been committed is in doubt, and not announced any longer as far as this knows.
    let fate = fate_of_failed(engine);
    engine.touched.settle(fate).await;
    result
}

/// What has become of the attempt that has failed.
fn fate_of_failed<S: Session>(engine: &Engine<S>) -> BatchFate {
    match engine.session.trouble() {
        Some(Trouble::Terms) => BatchFate::Refused,
        _ => BatchFate::Aborted,
    }
}

/// Announces, commits, and tells of it.
async fn finish<S: Session>(engine: &mut Engine<S>) -> Result<()> {
    match engine.session.complete().await {
        Ok(()) => {}
        Err(Refusal::Other(error) | Refusal::Unfit(error)) => return Err(error),
        Err(Refusal::Duplicate(_) | Refusal::Reference) => {
            engine.session.set_trouble(Trouble::Refused);
            return Ok(());
        }
    }
    let ending = engine.touched.announce().await?;
    let ticket = engine.touched.ticket();
    let mut result = engine.session.commit(ending).await;
    if was_committed_after_all(engine).await {
        result = Ok(());
    }
    if result.is_ok() {
        ticket.committed(engine.touched.take()).await;
    }
    result
}

/// Finds out what became of a commit that was not answered, where that is so. Meanwhile this lane
/// does not count: should no other be connected, what waits is not kept waiting. What cannot be
/// found out stays in doubt.
pub(super) async fn was_committed_after_all<S: Session>(engine: &mut Engine<S>) -> bool {
    if engine.session.trouble() != Some(Trouble::Unknown) {
        return false;
    }
    engine.shared.connected.fetch_sub(1, Ordering::SeqCst);
    let committed = engine.session.was_committed().await;
    engine.shared.connected.fetch_add(1, Ordering::SeqCst);
    match committed {
        Some(true) => {
            engine.session.take_trouble();
        }
        Some(false) => engine.session.set_trouble(Trouble::Lost),
        None => engine.doubtful = Some(engine.touched.take_doubtful()),
    }
    committed == Some(true)
}

/// Transactions that were asked for just now.
struct Usual {
    /// Plain creates by collection.
    groups: Vec<(CollectionId, Vec<Entry>)>,
    others: Vec<Entry>,
    ordered: Vec<Vec<Entry>>,
}

async fn execute_in_turn<S: Session>(
    engine: &mut Engine<S>,
    usual: Usual,
    fates: &mut Fates,
    now: i64,
) -> Result<()> {
    let Usual {
        groups,
        others,
        ordered,
    } = usual;
    for (collection, entries) in groups {
        create_group(engine, collection, entries, fates, now).await?;
        if engine.session.is_in_trouble() {
            return Ok(());
        }
    }
    if !engine.care {
        engine.prefetch(&others).await?;
    }
    for entry in others {
        let fate = transaction(engine, entry.transaction, now).await?;
        if engine.session.is_in_trouble() {
            return Ok(());
        }
        fates[entry.job][entry.place] = Some(fate);
    }
    for entries in ordered {
        in_order(engine, entries, fates, now).await?;
        if engine.session.is_in_trouble() {
            return Ok(());
        }
    }
    sweep(engine, now).await
}

/// Transactions that stop at the first that fails. Runs of plain creates are tried as one first.
async fn in_order<S: Session>(
    engine: &mut Engine<S>,
    entries: Vec<Entry>,
    fates: &mut Fates,
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
            if engine.session.is_in_trouble() {
                return Ok(());
            }
            stopped = fate.is_err();
            fates[entry.job][entry.place] = Some(fate);
            continue;
        };
        let rows = engine.session.rows_at_once(engine.catalog.get(collection));
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
        let together: Vec<&Document> = rows.iter().collect();
        let refusal = engine.session.insert(&schema, &together).await;
        if engine.session.is_in_trouble() {
            return Ok(());
        }
        match refusal {
            Ok(()) => {
                engine
                    .correct_revisions(&schema, rows.iter_mut(), now)
                    .await?;
            }
            Err(Refusal::Other(error)) => return Err(error),
            Err(_) => {}
        }
        for (entry, mut document) in run.into_iter().zip(rows) {
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
                (Err(_), false) => match engine.session.insert(&schema, &[&document]).await {
                    Ok(()) => {
                        let row = std::iter::once(&mut document);
                        engine.correct_revisions(&schema, row, now).await?;
                        engine.touched.note(collection, None, Some(&document));
                        Ok(vec![Outcome::Created(document)])
                    }
                    Err(Refusal::Other(error)) => return Err(error),
                    Err(refusal) => Err(engine.explain(refusal, &schema, &document).await?),
                },
            };
            stopped |= fate.is_err();
            fates[entry.job][entry.place] = Some(fate);
        }
    }
    Ok(())
}

/// One transaction. The outer error is the end of the batch, the inner one that of the transaction
/// alone.
///
/// With care it stands behind a savepoint. Without, it must have failed before it wrote anything,
/// as most that fail do, or the whole batch is spoilt.
pub(super) async fn transaction<S: Session>(
    engine: &mut Engine<S>,
    transaction: Transaction,
    now: i64,
) -> Result<Fate> {
    if engine.care {
        engine.session.savepoint().await?;
    }
    let mark = engine.touched.mark();
    let written = engine.written;
    let result = engine.execute(transaction, now).await;
    match &result {
        _ if engine.session.is_in_trouble() => {}
        Ok(_) if engine.care => engine.session.keep().await?,
        Ok(_) => {}
        Err(error) if !recall::concerns_one(error) => {}
        Err(_) => {
            engine.touched.forget_since(mark);
            match engine.care {
                true => engine.session.undo().await?,
                false if engine.written > written => engine.session.set_trouble(Trouble::Refused),
                false => {}
            }
        }
    }
    match result {
        Err(error) if !recall::concerns_one(&error) => Err(error),
        fate => Ok(fate),
    }
}

/// Forgets the revisions of documents that were deleted long ago.
async fn sweep<S: Session>(engine: &mut Engine<S>, now: i64) -> Result<()> {
    let swept = engine.shared.swept.load(Ordering::Relaxed);
    if !(engine.has_tombstones() || S::CONCURRENT) || now - swept < SWEEP {
        return Ok(());
    }
    // Another lane may have come first.
    let mine =
        engine
            .shared
            .swept
            .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed);
    if mine.is_err() {
        return Ok(());
    }
    // What the recent tier has alone would come back where it has not heard of the end yet.
    let collections = engine.catalog.collections().iter();
    let kept = collections.filter(|collection| engine.may_have_left(collection));
    let kept: Vec<&str> = kept.map(|collection| collection.name.as_str()).collect();
    let statement = write::forget_tombstones(now - TOMBSTONE_AGE, &kept);
    match engine.session.execute(statement).await {
        Err(Refusal::Other(error) | Refusal::Unfit(error)) => Err(error),
        _ => Ok(()),
    }
}
