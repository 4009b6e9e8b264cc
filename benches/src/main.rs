//! Benchmarks of Nubo, and the comparison with PocketBase that its goals are stated in.
//!
//! `pocketbase` runs the same four workloads on both servers in turn, `startup` measures how soon
//! they answer, `load` loads any local address. This crate never links Nubo: it starts the binary
//! and speaks HTTP, as a client would. Start reading at [`compare`]; the generator is [`load`],
//! and what differs between the servers is in [`peer`]. The README says what is fair about it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod compare;
mod dataset;
mod external;
mod fixture;
mod interrupt;
mod load;
mod peer;
mod process;
mod raw;
mod report;
mod round;
mod server;
mod startup;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "nubo-bench",
    version,
    about = "Measures Nubo, alone and against PocketBase"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare Nubo with PocketBase: four workloads, the servers in turn.
    #[command(name = "pocketbase")]
    PocketBase(compare::Options),
    /// Measure the time from starting a server to its first answer.
    Startup(startup::Options),
    /// Load one local URL.
    Load(raw::Options),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let interrupt = interrupt::Interrupt::install()?;
    match cli.command {
        Command::PocketBase(options) => compare::run(options, &interrupt),
        Command::Startup(options) => startup::run(options, &interrupt),
        Command::Load(options) => raw::run(options, &interrupt),
    }
}
