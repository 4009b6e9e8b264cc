//! The vocabulary of Nubo: what a collection, a document, a filter, a change and a transaction are,
//! and the traits through which modules know each other.
//!
//! `core` does no I/O and reads neither clock nor randomness except through [`clock::Clock`] and
//! [`clock::Random`]. It does not execute anything against a database; that is what the modules are
//! for. Its one outside opinion is poem's endpoint type.
//!
//! Start with [`declare`] (what people write), go on to [`schema`] (what the server makes of it),
//! [`filter`] and [`change`] (the two languages of clients), [`write`](mod@write) and [`query`]
//! (what is asked of the store), and end with the traits: [`store::Store`], [`truth::Truth`],
//! [`module::Module`], [`hook::Hook`], [`sessions::Sessions`],
//! [`bus::Bus`], [`throttle::TokenBuckets`], [`queue::WriteQueue`]. [`access`] is where rules and callers meet.

#![forbid(unsafe_code)]

pub mod access;
pub mod alone;
pub mod bus;
pub mod cache;
pub mod caller;
pub mod change;
pub mod clock;
pub mod coordination;
pub mod declare;
pub mod document;
pub mod error;
pub mod field;
pub mod filter;
pub mod hook;
pub mod id;
mod mistake;
pub mod module;
pub mod observe;
pub mod outbox;
pub mod packed;
pub mod passwords;
pub mod position;
pub mod query;
#[cfg(test)]
mod query_test;
pub mod queue;
pub mod recent;
pub mod record;
pub mod request;
pub mod schema;
pub mod sent;
pub mod served_text;
pub mod sessions;
pub mod store;
pub mod throttle;
pub mod time;
pub mod truth;
pub mod value;
mod violation;
pub mod write;

pub use error::{Error, Problem, Result};
pub use mistake::{Mistake, nearest, with_hint};
pub use violation::{Pointer, Violation, kind_of};
