//! What keeps a server in operation: whether it lives and is ready, and the edge every request
//! passes on its way in and out.
//!
//! [`Ops`] is the module with `/ping`, `/health` and `/ready`. [`edge()`] wraps the routes of all
//! modules; start there for what happens to a request. [`Drain`] counts requests under way, so that
//! the server can stop without cutting one off.

#![forbid(unsafe_code)]

mod drain;
mod edge;
mod settings;
mod status;

use std::sync::Arc;

use nubo_core::{
    Result,
    module::{Context, Contribution, Module, Route, Section, SetupError},
};

pub use drain::Drain;
pub use edge::{Edge, EdgeOptions, edge};
pub use settings::{AccessLog, Settings};

/// The module `ops`.
pub struct Ops {
    drain: Drain,
}

impl Ops {
    /// The module. `/ready` says no as soon as the drain closes.
    pub const fn new(drain: Drain) -> Self {
        Self { drain }
    }
}

impl Module for Ops {
    fn name(&self) -> &'static str {
        "ops"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        settings.timeout()?;
        let status = Arc::new(status::Status::new(
            context.store.clone(),
            context.clock.clone(),
            self.drain.clone(),
        ));
        let routes = status::PATHS.map(|path| Route {
            path: path.to_owned(),
            endpoint: status::endpoint(status.clone()),
        });
        Ok(Contribution {
            routes: routes.into(),
            openapi: vec![status::openapi(status)?],
            ..Contribution::default()
        })
    }
}
