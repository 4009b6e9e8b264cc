//! The truth: every collection as a table of a SQL database.
//!
//! * [`sql`] builds statements: conditions, lists, writes, tables. Text from outside is only ever a
//!   bound argument; identifiers come from the checked schema.
//! * [`engine`] is the writer: it takes whatever transactions wait, executes them as one database
//!   transaction and answers when that is durable.
//! * [`migrate`] compares the schema that is there with the one that is declared, and leads from one
//!   to the other.
//! * [`sqlite`] and [`postgres`] are the drivers: connections, readers, the [`session`] in which the
//!   engine works.
//!
//! It never decides what a request means (that is `sync`'s task) and never speaks HTTP. Start
//! reading at [`sqlite::SqliteTruth`] or [`postgres::PostgresTruth`].

#![forbid(unsafe_code)]

mod engine;
mod fault;
mod migrate;
mod pages;
mod postgres;
mod rows;
mod session;
mod sql;
mod sqlite;
mod waiting;

pub use migrate::{
    AtStart, Change, DroppedIndexes, Facts, Migrations, Planned, Policy, Queued, Raised, Risk,
    State, Status, Target,
};
pub use postgres::{
    IndexRebuild, PostgresCoordination, PostgresSettings, PostgresTruth, Rebuilt, Tls,
    is_postgres_address,
};
pub use sqlite::{SqliteSettings, SqliteTruth};
