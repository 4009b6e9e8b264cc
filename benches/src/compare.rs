//! The comparison: every workload, several rounds, the two servers in turn.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::dataset::{CONVERSATIONS, Dataset, Workload};
use crate::external::target_dir;
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::peer::{Nubo, Peer, PocketBase};
use crate::report::{self, Row};
use crate::round::{Effort, Plan, Round, play};

/// Options of the comparison.
#[derive(Args)]
pub struct Options {
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
    #[command(flatten)]
    plan: Plan,
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
    let plan = &options.plan;
    let effort = Effort {
        plan,
        concurrency: usize::from(options.concurrency),
    };

    let root = data_folder(plan.data_dir.clone())?;
    let mut sides = Vec::new();
    for which in peers {
        let peer = which.obtain(interrupt)?;
        let fixture = Fixture::prepare(&*peer, root.path(), &dataset, with_documents, interrupt)?;
        sides.push((which, peer, fixture));
    }

    let mut rounds: BTreeMap<(Workload, Which), Vec<Round>> = BTreeMap::new();
    for &workload in &workloads {
        for number in 0..plan.rounds {
            for (which, peer, fixture) in &sides {
                let (round, ()) = plan.quietest(|| {
                    let round = play(
                        &**peer, fixture, &dataset, workload, number, &effort, interrupt,
                    )
                    .with_context(|| format!("{}, {}", peer.name(), workload.title()))?;
                    let what = format!("{} {:<10}", workload.letter(), peer.name());
                    report::announce(&what, number, &round, plan);
                    Ok((round, ()))
                })?;
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
    report::write(plan, &report::json(&rows))?;
    let failures = report::failures(&rows);
    if !failures.is_empty() {
        bail!("requests failed:\n{}", failures.join("\n"));
    }
    Ok(())
}
