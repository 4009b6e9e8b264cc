//! What the cache gives and what it costs: warm reads by id and warm lists beside PocketBase and
//! beside a bare route, lists under a rule, and creates with and without it.

mod bare;
pub mod budget;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::write_request;
use crate::compare::{Which, data_folder};
use crate::dataset::{Dataset, Workload};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::{Nubo, Peer};
use crate::report::{self, Summary, ratio_range};
use crate::round::{Effort, Round, measure, play};
use crate::rules::{self, Members};
use crate::server::Server;

pub use bare::{Options as BareOptions, serve as serve_bare};

/// The setting that switches the cache off.
const WITHOUT: (&str, &str) = ("NUBO_TIERS__CACHE__DRIVER", "none");

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Nubo,
    Uncached,
    PocketBase,
    Bare,
    /// Nubo with accounts, in the name of a member.
    Member,
}

/// What a round measures.
type Case = (Workload, Side);

/// A ratio that is to be reached.
struct Goal {
    title: &'static str,
    upper: Case,
    lower: Case,
    target: f64,
}

const GOALS: [Goal; 7] = [
    Goal {
        title: "warm reads by id / PocketBase",
        upper: (Workload::Read, Side::Nubo),
        lower: (Workload::Read, Side::PocketBase),
        target: 6.0,
    },
    Goal {
        title: "warm reads by id / a bare route",
        upper: (Workload::Read, Side::Nubo),
        lower: (Workload::Read, Side::Bare),
        target: 0.65,
    },
    Goal {
        title: "newest 20 / PocketBase",
        upper: (Workload::List, Side::Nubo),
        lower: (Workload::List, Side::PocketBase),
        target: 9.0,
    },
    Goal {
        title: "newest 20 as a member / PocketBase, public",
        upper: (Workload::List, Side::Member),
        lower: (Workload::List, Side::PocketBase),
        target: 6.0,
    },
    Goal {
        title: "creates / without the cache",
        upper: (Workload::Create, Side::Nubo),
        lower: (Workload::Create, Side::Uncached),
        target: 0.9,
    },
    // What the cache is worth by itself; nothing was promised.
    Goal {
        title: "warm reads by id / without the cache",
        upper: (Workload::Read, Side::Nubo),
        lower: (Workload::Read, Side::Uncached),
        target: 1.0,
    },
    Goal {
        title: "newest 20 / without the cache",
        upper: (Workload::List, Side::Nubo),
        lower: (Workload::List, Side::Uncached),
        target: 1.0,
    },
];

/// The rounds, in the order in which they follow each other.
const CASES: [Case; 10] = [
    (Workload::Read, Side::Nubo),
    (Workload::Read, Side::Uncached),
    (Workload::Read, Side::PocketBase),
    (Workload::Read, Side::Bare),
    (Workload::List, Side::Nubo),
    (Workload::List, Side::Member),
    (Workload::List, Side::Uncached),
    (Workload::List, Side::PocketBase),
    (Workload::Create, Side::Nubo),
    (Workload::Create, Side::Uncached),
];

fn title((workload, side): Case) -> String {
    let side = match side {
        Side::Nubo => "Nubo",
        Side::Uncached => "Nubo without the cache",
        Side::PocketBase => "PocketBase",
        Side::Bare => "a bare poem route",
        Side::Member => "Nubo, a member with a token",
    };
    format!("{}, {side}", workload.title())
}

/// Measures, and prints the table.
///
/// # Errors
/// When a server does not start, answers wrongly, or fails any request.
pub fn run(options: rules::Options, interrupt: &Interrupt) -> Result<()> {
    let plan = &options.plan;
    let dataset = Dataset::new(usize::try_from(options.documents)?);
    let root = data_folder(plan.data_dir.clone())?;
    let (with, without) = (root.path().join("with"), root.path().join("without"));
    let cached: Box<dyn Peer> = Box::new(Nubo::obtain(interrupt)?);
    let uncached: Box<dyn Peer> = Box::new(Nubo::obtain(interrupt)?.with_environment(WITHOUT));
    let pocketbase = Which::PocketBase.obtain(interrupt)?;
    let mut sides: BTreeMap<Side, (Box<dyn Peer>, Fixture)> = BTreeMap::new();
    for (side, peer, folder) in [
        (Side::Nubo, cached, &with),
        (Side::Uncached, uncached, &without),
        (Side::PocketBase, pocketbase, &with),
    ] {
        let fixture = Fixture::prepare(&*peer, folder, &dataset, true, interrupt)?;
        sides.insert(side, (peer, fixture));
    }
    let members = Members::prepare(root.path(), &dataset, interrupt)?;

    let effort = Effort {
        plan,
        concurrency: usize::from(options.concurrency),
    };
    let mut rounds: BTreeMap<Case, Vec<Round>> = BTreeMap::new();
    for number in 0..plan.rounds {
        for case in CASES {
            let (workload, side) = case;
            let attempt = || {
                let round = match side {
                    Side::Bare => bare_round(&effort, &root, interrupt)?,
                    Side::Member => members.round(&dataset, number, &options, interrupt)?,
                    side => {
                        let (peer, fixture) = sides.get(&side).context("a server is missing")?;
                        let peer = &**peer;
                        play(
                            peer, fixture, &dataset, workload, number, &effort, interrupt,
                        )?
                    }
                };
                // That one has been announced already.
                if side != Side::Member {
                    report::announce(&format!("{:<45}", title(case)), number, &round, plan);
                }
                Ok((round, ()))
            };
            let (round, ()) = plan.quietest(attempt).with_context(|| title(case))?;
            rounds.entry(case).or_default().push(round);
        }
    }
    members.stop()?;

    print(&rounds);
    report::write(plan, &as_json(&rounds))?;
    let failed: Vec<String> = rounds
        .iter()
        .flat_map(|(case, rounds)| rounds.iter().map(move |round| (case, &round.outcome)))
        .filter(|(_, outcome)| outcome.failures() > 0)
        .map(|(case, outcome)| format!("{}: {}", title(*case), outcome.failure_text()))
        .collect();
    if !failed.is_empty() {
        bail!("requests failed:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// A round of the bare route.
fn bare_round(
    effort: &Effort<'_>,
    root: &tempfile::TempDir,
    interrupt: &Interrupt,
) -> Result<Round> {
    let folder = root.path().join("bare");
    std::fs::create_dir_all(&folder)?;
    let server = Server::start(&bare::Bare, &folder, interrupt)?;
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/messages/1", None, b"")?;
    let mut next = |out: &mut Vec<u8>| out.extend_from_slice(&request);
    let mut generator = Generator::connect(server.address, effort.concurrency)?;
    let warm = generator.drive(Duration::from_secs(1), interrupt, &mut next)?;
    let mut round = measure(&server, || {
        generator.drive(effort.plan.span(), interrupt, &mut next)
    })?;
    round.outcome.adopt_failures(&warm);
    drop(generator);
    server.stop()?;
    Ok(round)
}

fn print(rounds: &BTreeMap<Case, Vec<Round>>) {
    let rows: Vec<(Case, Summary)> = rounds
        .iter()
        .filter_map(|(case, rounds)| Some((*case, Summary::of(rounds)?)))
        .collect();
    let fastest = report::fastest(rows.iter().map(|(_, row)| row));
    println!("\n| | requests/s | p50 ms | p99 ms | CPU s per 1,000 | peak MiB | body bytes |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (case, row) in &rows {
        println!(
            "| {}{} | {:.0} | {:.2} | {:.2} | {:.3} | {:.0} | {:.0} |",
            title(*case),
            row.mark(fastest),
            row.rate,
            row.latency_ms(0.5),
            row.latency_ms(0.99),
            row.cpu_per_1000,
            row.peak_memory as f64 / f64::from(1 << 20),
            row.merged.mean_body(),
        );
    }
    if rows.iter().any(|(_, row)| !row.mark(fastest).is_empty()) {
        report::print_legend();
    }
    println!("\n| | ratio | rounds | target | verdict |");
    println!("|---|--:|--:|--:|---|");
    for goal in &GOALS {
        let Some((ratio, (low, high))) = ratio(rounds, goal) else {
            continue;
        };
        let verdict = match ratio >= goal.target {
            true => "met",
            false => "missed",
        };
        println!(
            "| {} | {ratio:.2} | {low:.2} to {high:.2} | {:.2} | {verdict} |",
            goal.title, goal.target
        );
    }
}

/// A ratio of medians, and its range over the rounds.
fn ratio(rounds: &BTreeMap<Case, Vec<Round>>, goal: &Goal) -> Option<(f64, (f64, f64))> {
    let (upper, lower) = (rounds.get(&goal.upper)?, rounds.get(&goal.lower)?);
    let ratio = Summary::of(upper)?.rate / Summary::of(lower)?.rate;
    Some((ratio, ratio_range(upper, lower)?))
}

fn as_json(rounds: &BTreeMap<Case, Vec<Round>>) -> Value {
    let cases = rounds.iter().filter_map(|(case, rounds)| {
        let mut value = Summary::of(rounds)?.json(rounds);
        value["title"] = title(*case).into();
        Some(value)
    });
    let goals = GOALS.iter().map(|goal| {
        let ratio = ratio(rounds, goal).map(|(ratio, _)| ratio);
        json!({ "title": goal.title, "ratio": ratio, "target": goal.target })
    });
    json!({
        "cases": cases.collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
    })
}
