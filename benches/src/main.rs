//! Benchmarks of Nubo, and the comparison with PocketBase that its goals are stated in.
//!
//! `pocketbase` runs the same four workloads on both servers in turn, `startup` measures how soon
//! they answer, `cache` and `cache-budget` what the cache gives, `rules` what an access rule costs,
//! `logins` what reads feel of people who sign in, `fanout` how messages reach thousands of
//! WebSockets, `postgres` compares with what is written by hand on PostgreSQL, `recent` measures the
//! recent tier, `load` loads any local
//! address. This crate never links Nubo: it starts the binary
//! and speaks HTTP, as a client would. Start reading at [`compare`]; the generator is [`load`],
//! and what differs between the servers is in [`peer`]. The README says what is fair about it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounts;
mod cache;
mod client;
mod compare;
mod dataset;
mod external;
mod fanout;
mod fixture;
mod interrupt;
mod load;
mod logins;
mod peer;
mod postgres;
mod process;
mod raw;
mod recent;
mod report;
mod round;
mod rules;
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
    /// Measure what the cache gives and costs: beside PocketBase, a bare route, and no cache.
    Cache(rules::Options),
    /// Measure the cache with far more documents than it may hold.
    CacheBudget(cache::budget::Options),
    /// The route that `cache` measures others against; it starts it itself.
    #[command(hide = true)]
    BareRoute(cache::BareOptions),
    /// Measure Nubo's lists under an access rule that asks for membership, and without one.
    Rules(rules::Options),
    /// Measure Nubo's reads while people sign in, and while nobody does.
    Logins(logins::Options),
    /// Measure how messages reach thousands of WebSocket clients, beside ws and socket.io.
    Fanout(fanout::Options),
    /// The loop that `fanout` measures others against; it starts it itself.
    #[command(hide = true)]
    BareFanout(fanout::BareOptions),
    /// Measure Nubo on PostgreSQL beside a hand-written server, pgbench and COPY.
    Postgres(postgres::Options),
    /// Measure what the recent tier spares PostgreSQL, and how it keeps up.
    Recent(recent::Options),
    /// Load one local URL.
    Load(raw::Options),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    // It serves until it is told to end, like any other server, and notes no signal.
    if let Command::BareFanout(options) = cli.command {
        return fanout::serve_bare(&options);
    }
    if let Command::BareRoute(options) = cli.command {
        return cache::serve_bare(&options);
    }
    let interrupt = interrupt::Interrupt::install()?;
    match cli.command {
        Command::PocketBase(options) => compare::run(options, &interrupt),
        Command::Startup(options) => startup::run(options, &interrupt),
        Command::Rules(options) => rules::run(options, &interrupt),
        Command::Logins(options) => logins::run(options, &interrupt),
        Command::Fanout(options) => fanout::run(options, &interrupt),
        Command::Postgres(options) => postgres::run(options, &interrupt),
        Command::Recent(options) => recent::run(options, &interrupt),
        Command::Cache(options) => cache::run(options, &interrupt),
        Command::CacheBudget(options) => cache::budget::run(options, &interrupt),
        Command::BareFanout(_) | Command::BareRoute(_) => Ok(()),
        Command::Load(options) => raw::run(options, &interrupt),
    }
}
