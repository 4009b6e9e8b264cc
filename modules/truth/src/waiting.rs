//! What waits in the queue and what was set aside, from rows.

use nubo_core::{
    Result,
    queue::{DeadLetter, Number, Standing, Waiting},
    time::Timestamp,
};

use crate::rows::Rows;

pub(crate) fn standing(rows: &impl Rows) -> Result<Option<Standing>> {
    let (first, last) = (rows.integer(0, 0)?, rows.integer(0, 1)?);
    // Numbers begin at one.
    if first == 0 || last == 0 {
        return Ok(None);
    }
    Ok(Some(Standing {
        first: Number(first),
        last: Number(last),
        since: Timestamp::from_millis(rows.integer(0, 2)?),
    }))
}

pub(crate) fn writes(rows: &impl Rows) -> Result<Vec<Waiting>> {
    let write = |row| {
        Ok(Waiting {
            number: Number(rows.integer(row, 0)?),
            packed: rows.blob(row, 1)?,
        })
    };
    (0..rows.count()).map(write).collect()
}

pub(crate) fn letters(rows: &impl Rows) -> Result<Vec<DeadLetter>> {
    let letter = |row| {
        Ok(DeadLetter {
            number: Number(rows.integer(row, 0)?),
            queued_at: Timestamp::from_millis(rows.integer(row, 1)?),
            refused_at: Timestamp::from_millis(rows.integer(row, 2)?),
            problem: rows.text(row, 3)?,
            packed: rows.blob(row, 4)?,
        })
    };
    (0..rows.count()).map(letter).collect()
}
