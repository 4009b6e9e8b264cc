//! Nubo: a backend server that is configured instead of programmed.
//!
//! This crate knows all modules and puts them together: [`Nubo`] is the server as a plug-in author
//! sees it, [`config`] what people set, [`cli`] the commands, [`server`] the life of a running
//! server. Everything that modules share is in [`core`].
//!
//! A third party adds a module and owns its `main`:
//!
//! ```no_run
//! # use nubo::core::module::{Context, Contribution, Module, SetupError};
//! # struct Greeting;
//! # impl Module for Greeting {
//! #     fn name(&self) -> &'static str { "greeting" }
//! #     fn setup(&mut self, _: &Context) -> Result<Contribution, SetupError> { Ok(Contribution::default()) }
//! # }
//! fn main() -> std::process::ExitCode {
//!     nubo::Nubo::new().module(Greeting).run()
//! }
//! ```

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
mod control;
pub mod logs;
pub mod server;
pub mod system;

use std::process::ExitCode;

pub use nubo_core as core;
use nubo_core::module::Module;

use crate::server::Shipped;

/// A server that is being put together: the modules that ship, and those that are added.
#[derive(Default)]
pub struct Nubo {
    shipped: Shipped,
    added: Vec<Box<dyn Module>>,
}

impl Nubo {
    /// The modules that ship.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more module. Its routes and hooks come after those that ship, in the order of adding.
    #[must_use]
    pub fn module(mut self, module: impl Module) -> Self {
        self.added.push(Box::new(module));
        self
    }

    /// Does what the command line says; without a command, serves. Returns when that is done.
    pub fn run(self) -> ExitCode {
        cli::run(self)
    }
}
