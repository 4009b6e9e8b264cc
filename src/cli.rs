//! The commands of `nubo`, one file each: its arguments and what it does.

pub mod check;
pub mod collections;
mod layout;
pub mod schema;
