//! The truth: every collection as a table of a SQL database.
//!
//! * [`sql`] builds statements: conditions, lists, writes, tables. Text from outside is only ever a
//!   bound argument; identifiers come from the checked schema.
//! * [`engine`] is the writer: it takes whatever transactions wait, executes them as one database
//!   transaction and answers when that is durable.
//! * [`sqlite`] is the driver: connections, readers, the session in which the engine works.
//!
//! It never decides what a request means (that is `sync`'s task) and never speaks HTTP. Start
//! reading at [`sqlite::SqliteTruth`].

#![forbid(unsafe_code)]

mod engine;
mod fault;
mod sql;
mod sqlite;

pub use sqlite::{SqliteSettings, SqliteTruth};
