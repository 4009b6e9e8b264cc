//! Collections with `truth: none`, where there is a recent tier: their documents stay there alone
//! ([`nubo_core::alone`] says how).
//!
//! [`read`] puts the truth and the tier together as one truth, which everything above asks. [`place`]
//! is the tier as those ask it who need whole documents. [`bring`] says what is brought of documents
//! that the truth has not any more, and [`leave`] is the task that has them leave the truth.

mod bring;
mod leave;
mod place;
mod read;
#[cfg(test)]
mod tests;

pub use leave::{Leaver, LeavingTask};
pub(crate) use place::Absence;
pub(crate) use read::Composed;
