//! A server with a module of one's own. This is all that a plug-in's `main` does: take the server as
//! it ships, add modules, run. The command line, the configuration and the shipped modules come
//! with it.
//!
//! Start with [`manners`], the module; its route is in [`greeting`], its hook in [`house_rules`].

#![forbid(unsafe_code)]

mod greeting;
mod house_rules;
mod manners;

use std::process::ExitCode;

fn main() -> ExitCode {
    nubo::Nubo::new().module(manners::Manners).run()
}
