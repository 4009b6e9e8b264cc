//! REST routes from collections.
//!
//! For each collection of the catalog this module contributes the routes to read, list, create,
//! change, replace and delete its documents, one by one, by filter or many at once, and `/batch`
//! over all of them. It reads requests and writes answers; it never looks into a tier. What a
//! filter, a change or a document means is `core`'s business, and what becomes of it is the store's.
//!
//! Start with [`paths`]: which path answers which method, and in which file. Each kind of route has
//! a file of its own ([`read`], [`list`], [`query`], [`count`], [`create`], [`change`], [`remove`],
//! [`many`], [`bulk`], [`batch`]). What they share is beside them, or in `core`: the query string
//! ([`parameters`], [`filter`], [`projection`], [`expand`]), bodies ([`body`], [`json`]), headers
//! ([`conditions`], [`respond`]) and the items of bulk and batch ([`operation`]).

#![forbid(unsafe_code)]

mod batch;
mod bulk;
mod change;
mod count;
mod create;
mod expand;
mod filter;
mod list;
mod many;
mod openapi;
mod operation;
mod paths;
mod projection;
mod query;
mod read;
mod remove;
mod resource;
mod respond;
mod settings;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod routes_test;

use std::sync::Arc;

use nubo_core::{
    module::{Context, Contribution, Module, Section, SetupError},
    // What is read of a request is the same in every module.
    request::{body, conditions, json, parameters},
};

pub use settings::Settings;

/// The module `crud`.
#[derive(Debug, Default)]
pub struct Crud;

impl Module for Crud {
    fn name(&self) -> &'static str {
        "crud"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        settings.check()?;
        Ok(Contribution {
            openapi: openapi::fragments(&context.catalog, &settings),
            routes: paths::routes(&context.catalog, &context.store, &Arc::new(settings)),
            ..Contribution::default()
        })
    }
}
