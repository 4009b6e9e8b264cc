//! The queue of writes that are acknowledged before they are carried out: what comes, goes and is
//! set aside.
//!
//! Who carries out locks the writes first and deletes them in the same database transaction as what
//! they do. So each happens once, whoever dies when, and whoever else tries the same.

use std::collections::HashSet;

use nubo_core::{
    Error, Result,
    queue::{BUSY, Number, Refused, Which},
    write::{Outcome, Transaction},
};

use super::{
    Engine,
    attempt::{Entry, Fates},
    batch, creates,
};
use crate::{
    fault::Refusal,
    rows::Rows,
    session::{Lock, Session},
    sql::{Dialect, Statement, queue},
};

/// How many writes one statement appends at most: arguments have their limits.
const ROWS: usize = 1024;

/// What is done to the queue itself.
#[derive(Clone)]
pub(crate) enum Order {
    /// Appends a write in its packed form.
    Append(Vec<u8>),
    SetAside(Refused),
    Retry(Which),
    Forget(Which),
}

/// An order and where its fate goes.
#[derive(Clone)]
pub(super) struct OrderEntry {
    pub job: usize,
    pub place: usize,
    pub order: Order,
}

/// A write that waits, and where its fate goes.
#[derive(Clone)]
pub(super) struct QueuedEntry {
    pub number: Number,
    pub entry: Entry,
}

/// Carries out orders. An outcome says how many dead letters it was about.
pub(super) async fn orders<S: Session>(
    engine: &mut Engine<S>,
    orders: Vec<OrderEntry>,
    fates: &mut Fates,
    now: i64,
) -> Result<()> {
    let millis = now.div_euclid(1000);
    let mut appended = Vec::new();
    for OrderEntry { job, place, order } in orders {
        let count = match order {
            Order::Append(packed) => {
                appended.push(packed);
                if appended.len() == ROWS {
                    append(engine, std::mem::take(&mut appended), millis).await?;
                }
                1
            }
            Order::SetAside(refused) => set_aside(engine, &refused, millis).await?,
            Order::Retry(which) => {
                let numbers = letters(engine, &which).await?;
                for numbers in numbers.chunks(ROWS) {
                    execute(engine, queue::requeue(numbers)).await?;
                    execute(engine, queue::forget(numbers)).await?;
                }
                numbers.len()
            }
            Order::Forget(which) => {
                let numbers = letters(engine, &which).await?;
                for numbers in numbers.chunks(ROWS) {
                    execute(engine, queue::forget(numbers)).await?;
                }
                numbers.len()
            }
        };
        fates[job][place] = Some(Ok(vec![Outcome::Removed(count as u64)]));
    }
    append(engine, appended, millis).await
}

async fn append<S: Session>(
    engine: &mut Engine<S>,
    packed: Vec<Vec<u8>>,
    millis: i64,
) -> Result<()> {
    match packed.is_empty() {
        true => Ok(()),
        false => execute(engine, S::Dialect::enqueue(packed, millis)).await,
    }
}

async fn set_aside<S: Session>(
    engine: &mut Engine<S>,
    refused: &Refused,
    millis: i64,
) -> Result<usize> {
    let number = [refused.number];
    let waits = !present(engine, &number).await?.is_empty();
    if waits {
        execute(engine, queue::bury(refused, millis)).await?;
        execute(engine, queue::remove(&number)).await?;
    }
    Ok(usize::from(waits))
}

/// The dead letters that are meant and there, locked.
async fn letters<S: Session>(engine: &mut Engine<S>, which: &Which) -> Result<Vec<Number>> {
    let rows = engine.session.locked(queue::lettered(which), Lock::Removal);
    numbers(&rows.await?)
}

/// Which of these writes wait, locked until the transaction ends.
async fn present<S: Session>(engine: &mut Engine<S>, asked: &[Number]) -> Result<HashSet<Number>> {
    let rows = engine.session.locked(queue::present(asked), Lock::Removal);
    Ok(numbers(&rows.await?)?.into_iter().collect())
}

fn numbers(rows: &impl Rows) -> Result<Vec<Number>> {
    (0..rows.count())
        .map(|row| rows.integer(row, 0).map(Number))
        .collect()
}

async fn execute<S: Session>(
    engine: &mut Engine<S>,
    statement: Statement<S::Dialect>,
) -> Result<()> {
    match engine.session.execute(statement).await {
        Ok(()) => Ok(()),
        Err(Refusal::Other(error) | Refusal::Unfit(error)) => Err(error),
        Err(Refusal::Duplicate(_) | Refusal::Reference) => {
            Err(Error::internal("the queue has refused a row"))
        }
    }
}

/// Carries out writes that wait, in their order, and takes off the queue those that succeed.
pub(super) async fn carry_out<S: Session>(
    engine: &mut Engine<S>,
    writes: Vec<QueuedEntry>,
    fates: &mut Fates,
    now: i64,
) -> Result<()> {
    if writes.is_empty() {
        return Ok(());
    }
    if !engine.session.take_turn().await? {
        return Err(Error::unavailable(
            BUSY,
            "another server carries out what is queued",
        ));
    }
    let asked: Vec<Number> = writes.iter().map(|write| write.number).collect();
    let waits = present(engine, &asked).await?;
    let mut places = Vec::with_capacity(writes.len());
    let mut entries = Vec::with_capacity(writes.len());
    for QueuedEntry { number, entry } in writes {
        if waits.contains(&number) {
            places.push((number, entry.job, entry.place));
            entries.push(entry);
        } else {
            // Another server was faster.
            fates[entry.job][entry.place] = Some(Ok(Vec::new()));
        }
    }
    each_in_order(engine, entries, fates, now).await?;
    if engine.session.is_in_trouble() {
        return Ok(());
    }
    let done = places
        .into_iter()
        .filter(|(_, job, place)| matches!(fates[*job][*place], Some(Ok(_))))
        .map(|(number, _, _)| number);
    let done: Vec<Number> = done.collect();
    match done.is_empty() {
        true => Ok(()),
        false => execute(engine, queue::remove(&done)).await,
    }
}

/// One after the other, each for itself. Runs of plain creates in one collection go as rows of one
/// statement, and as halves of it where that is refused.
async fn each_in_order<S: Session>(
    engine: &mut Engine<S>,
    entries: Vec<Entry>,
    fates: &mut Fates,
    now: i64,
) -> Result<()> {
    let mut entries = entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        let plain = |engine: &Engine<S>, transaction: &Transaction| {
            creates::plain_create(engine, transaction)
        };
        if let Some(collection) = plain(engine, &entry.transaction) {
            let rows = engine.session.rows_at_once(engine.catalog.get(collection));
            let mut run = vec![entry];
            while run.len() < rows
                && let Some(next) =
                    entries.next_if(|next| plain(engine, &next.transaction) == Some(collection))
            {
                run.push(next);
            }
            creates::create_group(engine, collection, run, fates, now).await?;
        } else {
            let (job, place) = (entry.job, entry.place);
            let fate = batch::transaction(engine, entry.transaction, now).await?;
            fates[job][place] = Some(fate);
        }
        if engine.session.is_in_trouble() {
            return Ok(());
        }
    }
    Ok(())
}
