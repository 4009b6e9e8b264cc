//! The queue of writes that are carried out behind their acknowledgement, and what was refused by
//! then: two tables.
//!
//! Numbers are given by the database as rows come, so that of two writes, the second of which was
//! asked for when the first was durable, the first has the lower number.

use nubo_core::{
    field::FieldType,
    queue::{Number, Refused, Which},
    value::Value,
};

use super::{Dialect, Statement};

/// The columns of a dead letter, as they are read.
const LETTER: &str = "number, queued_at, refused_at, problem, packed";

/// Where the queue begins and ends, and when the first write came; zero where nothing waits.
pub(crate) fn standing<D: Dialect>() -> Statement<D> {
    let queue = D::QUEUE;
    Statement::new(format!(
        "SELECT coalesce((SELECT min(number) FROM {queue}), 0), \
         coalesce((SELECT max(number) FROM {queue}), 0), \
         coalesce((SELECT queued_at FROM {queue} ORDER BY number LIMIT 1), 0)"
    ))
}

/// The first writes: number and packed form.
pub(crate) fn waiting<D: Dialect>(most: u32) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "SELECT number, packed FROM {} ORDER BY number LIMIT ",
        D::QUEUE
    ));
    statement.bind(D::integer(i64::from(most)));
    statement
}

/// Which of these writes wait.
pub(crate) fn present<D: Dialect>(numbers: &[Number]) -> Statement<D> {
    let mut statement = Statement::new(format!("SELECT number FROM {} WHERE ", D::QUEUE));
    among(&mut statement, numbers);
    statement.push(" ORDER BY number");
    statement
}

/// Takes writes off the queue.
pub(crate) fn remove<D: Dialect>(numbers: &[Number]) -> Statement<D> {
    let mut statement = Statement::new(format!("DELETE FROM {} WHERE ", D::QUEUE));
    among(&mut statement, numbers);
    statement
}

/// Makes a dead letter of a write that waits. `now` in milliseconds.
pub(crate) fn bury<D: Dialect>(refused: &Refused, now: i64) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "INSERT INTO {} ({LETTER}) SELECT number, queued_at, ",
        D::DEAD_LETTERS
    ));
    statement.bind(D::integer(now));
    statement.push(", ");
    statement.bind(D::text_argument(&refused.problem));
    statement.push(format_args!(", packed FROM {} WHERE number = ", D::QUEUE));
    statement.bind(D::integer(refused.number.0));
    statement
}

/// Dead letters above a number, oldest first.
pub(crate) fn letters<D: Dialect>(above: Number, most: u32) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "SELECT {LETTER} FROM {} WHERE number > ",
        D::DEAD_LETTERS
    ));
    statement.bind(D::integer(above.0));
    statement.push(" ORDER BY number LIMIT ");
    statement.bind(D::integer(i64::from(most)));
    statement
}

/// One dead letter.
pub(crate) fn letter<D: Dialect>(number: Number) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "SELECT {LETTER} FROM {} WHERE number = ",
        D::DEAD_LETTERS
    ));
    statement.bind(D::integer(number.0));
    statement
}

/// The numbers of dead letters.
pub(crate) fn lettered<D: Dialect>(which: &Which) -> Statement<D> {
    let mut statement = Statement::new(format!("SELECT number FROM {}", D::DEAD_LETTERS));
    narrow(&mut statement, which);
    statement.push(" ORDER BY number");
    statement
}

/// How many dead letters there are.
pub(crate) fn count_letters<D: Dialect>() -> Statement<D> {
    Statement::new(format!("SELECT count(*) FROM {}", D::DEAD_LETTERS))
}

/// Appends dead letters to the queue again, oldest first. Each is as old as it was.
pub(crate) fn requeue<D: Dialect>(numbers: &[Number]) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "INSERT INTO {} (queued_at, packed) SELECT queued_at, packed FROM {} WHERE ",
        D::QUEUE,
        D::DEAD_LETTERS
    ));
    among(&mut statement, numbers);
    statement.push(" ORDER BY number");
    statement
}

/// Forgets dead letters.
pub(crate) fn forget<D: Dialect>(numbers: &[Number]) -> Statement<D> {
    let mut statement = Statement::new(format!("DELETE FROM {} WHERE ", D::DEAD_LETTERS));
    among(&mut statement, numbers);
    statement
}

fn narrow<D: Dialect>(statement: &mut Statement<D>, which: &Which) {
    if let Which::These(numbers) = which {
        statement.push(" WHERE ");
        among(statement, numbers);
    }
}

fn among<D: Dialect>(statement: &mut Statement<D>, numbers: &[Number]) {
    let numbers: Vec<Value> = numbers.iter().map(|number| Value::Int(number.0)).collect();
    D::among(statement, "number", &FieldType::BigInt, &numbers);
}
