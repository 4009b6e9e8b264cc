//! The comparison: every workload, several rounds, the two servers in turn.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::dataset::{CONVERSATIONS, Dataset, Workload};
use crate::external::target_dir;
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::peer::{Nubo, Peer, PocketBase};
use crate::report::{self, Row};
use crate::round::{Effort, Round, play};

/// Options of the comparison.
#[derive(Args)]
pub struct Options {
    /// Seconds each round is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each round is measured.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Rounds per workload and server.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Workloads to run: a create, b read by id, c list, d mix.
    #[arg(long, value_delimiter = ',', default_value = "a,b,c,d")]
    only: Vec<Workload>,
    /// Servers to run; with one of them there is no ratio.
    #[arg(long, value_delimiter = ',', default_value = "nubo,pocketbase")]
    peers: Vec<Which>,
    /// Documents loaded before the workloads b, c and d.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(CONVERSATIONS as u64..))]
    documents: u64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// A round in which others (and the hypervisor) took more than this percentage of the machine
    /// is played again.
    #[arg(long, default_value_t = 10)]
    tolerate: u8,
    /// How often it is played again before the quietest attempt counts.
    #[arg(long, default_value_t = 2)]
    retries: u8,
    /// Writes the figures of every round here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the servers' data goes, in a temporary folder; should be a real disk, not memory.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// A server, by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Which {
    /// This workspace's.
    Nubo,
    /// Its peer.
    #[value(name = "pocketbase")]
    PocketBase,
}

impl Which {
    /// Finds, builds or installs it.
    pub fn obtain(self, interrupt: &Interrupt) -> Result<Box<dyn Peer>> {
        Ok(match self {
            Self::Nubo => Box::new(Nubo::obtain(interrupt)?),
            Self::PocketBase => Box::new(PocketBase::obtain(interrupt)?),
        })
    }
}

/// A folder below cargo's target folder (or `parent`) that vanishes with the value.
///
/// Not the system's temporary folder: that may lie in memory, where an fsync costs nothing.
pub fn data_folder(parent: Option<PathBuf>) -> Result<tempfile::TempDir> {
    let parent = parent.unwrap_or_else(target_dir);
    std::fs::create_dir_all(&parent)?;
    tempfile::Builder::new()
        .prefix("nubo-bench-")
        .tempdir_in(parent)
        .context("cannot make a data folder")
}

/// Runs the comparison and prints its table.
///
/// # Errors
/// When a server does not start, answers wrongly, or fails any request.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let (mut peers, mut workloads) = (options.peers.clone(), options.only.clone());
    peers.sort();
    peers.dedup();
    workloads.sort();
    workloads.dedup();
    let dataset = Dataset::new(usize::try_from(options.documents)?);
    let with_documents = workloads.iter().any(|workload| workload.needs_documents());
    let effort = Effort {
        warmup: Duration::from_secs(options.warmup),
        span: Duration::from_secs(options.seconds.max(1)),
        concurrency: usize::from(options.concurrency),
    };

    let root = data_folder(options.data_dir)?;
    let mut sides = Vec::new();
    for which in peers {
        let peer = which.obtain(interrupt)?;
        let fixture = Fixture::prepare(&*peer, root.path(), &dataset, with_documents, interrupt)?;
        sides.push((which, peer, fixture));
    }

    let mut rounds: BTreeMap<(Workload, Which), Vec<Round>> = BTreeMap::new();
    for &workload in &workloads {
        for number in 0..options.rounds.max(1) {
            for (which, peer, fixture) in &sides {
                let attempt = || {
                    play(
                        &**peer, fixture, &dataset, workload, number, &effort, interrupt,
                    )
                    .with_context(|| format!("{}, {}", peer.name(), workload.title()))
                };
                let mut round = attempt()?;
                announce(workload, &**peer, number, &round, &effort);
                // The choice looks at what others did, never at the server's own figures.
                let tolerated = f64::from(options.tolerate) / 100.0;
                for _ in 0..options.retries {
                    if round.foreign <= tolerated || round.outcome.failures() > 0 {
                        break;
                    }
                    let again = attempt()?;
                    announce(workload, &**peer, number, &again, &effort);
                    if again.foreign < round.foreign || again.outcome.failures() > 0 {
                        round = again;
                    }
                }
                rounds.entry((workload, *which)).or_default().push(round);
            }
        }
    }

    let rows: Vec<Row> = workloads
        .iter()
        .map(|&workload| Row {
            workload,
            nubo: rounds.remove(&(workload, Which::Nubo)),
            pocketbase: rounds.remove(&(workload, Which::PocketBase)),
        })
        .collect();
    report::print(&rows);
    if let Some(file) = options.json {
        let text = serde_json::to_string_pretty(&report::json(&rows))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failures = report::failures(&rows);
    if !failures.is_empty() {
        bail!("requests failed:\n{}", failures.join("\n"));
    }
    Ok(())
}

/// A line per round on the error output, while the table is still to come.
fn announce(workload: Workload, peer: &dyn Peer, number: u64, round: &Round, effort: &Effort) {
    eprintln!(
        "{} {:<10} round {}: {:>8.0}/s, p99 {:>7.2} ms, generator {:>3.0}% of a core, others {:>2.0}%, core speed {:.0}",
        workload.letter(),
        peer.name(),
        number + 1,
        round.outcome.rate(),
        round.outcome.latency_us(0.99) as f64 / 1000.0,
        100.0 * round.generator_cpu.as_secs_f64() / effort.span.as_secs_f64(),
        100.0 * round.foreign,
        round.core_speed,
    );
}
