//! PostgreSQL that fails, and what people are told meanwhile: the server stopped and started again
//! ([`restart`]), the connection cut around a COMMIT ([`commits`], by means of [`proxy`]).

#![allow(clippy::unwrap_used)]

mod commits;
mod load;
mod proxy;
mod restart;
#[path = "../http/server.rs"]
#[allow(dead_code)] // It serves more tests than these.
mod server;
