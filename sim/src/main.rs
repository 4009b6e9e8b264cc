//! `nubo-sim`: many seeds, or one of them step by step.

use std::time::Instant;

use clap::Parser;
use nubo_sim::{Failure, Mutant, Run, run, shortest};

/// Runs the store and the cache under drawn orders and failures, and checks every answer.
#[derive(Parser)]
#[command(name = "nubo-sim", version)]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many seeds are run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Goes on until so many steps were made, however many seeds that takes.
    #[arg(long)]
    steps: Option<u64>,
    /// Runs this seed alone, and shows its shortest failing history.
    #[arg(long, conflicts_with_all = ["first", "seeds", "steps"])]
    seed: Option<u64>,
    /// With several processes that share a cache, and what goes wrong with them.
    #[arg(long)]
    together: bool,
    /// With a process that is alone with a shared cache now and then.
    #[arg(long, conflicts_with_all = ["together", "recent"])]
    owned: bool,
    /// With a recent tier, and what goes wrong with that.
    #[arg(long)]
    recent: bool,
    /// With a deliberate mistake, which is to be found.
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
    /// Without a look for the shortest history.
    #[arg(long)]
    quick: bool,
    /// Shows the whole history instead of the shortest.
    #[arg(long, conflicts_with = "quick")]
    whole: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let started = Instant::now();
    let (first, last) = match options.seed {
        Some(seed) => (seed, seed),
        None if options.steps.is_some() => (options.first, u64::MAX),
        None => (
            options.first,
            options.first.saturating_add(options.seeds - 1),
        ),
    };
    let (mut steps, mut answers, mut cached, mut recent, mut runs) = (0, 0, 0, 0, 0);
    for seed in first..=last {
        let drawn = match (options.recent, options.together) {
            (true, together) => Run::recent(seed, options.mutant, together),
            (false, false) if options.owned => Run::owned(seed, options.mutant),
            (false, true) => Run::together(seed, options.mutant),
            (false, false) => Run::of(seed, options.mutant),
        };
        match run(&drawn, false) {
            Ok(report) => {
                steps += report.steps;
                answers += report.answers;
                cached += report.cached;
                recent += report.recent;
                runs += 1;
            }
            Err(failure) => {
                match options.quick {
                    true => println!("seed {seed}: {}", failure.what),
                    false => show(*failure, options.whole),
                }
                anyhow::bail!("seed {seed} fails after {runs} seeds that do not");
            }
        }
        if options.steps.is_some_and(|most| steps >= most) {
            break;
        }
    }
    println!(
        "{runs} seeds, {steps} steps, {answers} answers ({cached} from the cache, {recent} from the \
         recent tier) in {:.1?}: nothing found",
        started.elapsed()
    );
    Ok(())
}

/// Shows the shortest history that fails as this one does, or this one.
fn show(mut failure: Failure, whole: bool) {
    println!("seed {}: {}", failure.run.seed, failure.what);
    if !whole {
        failure = shortest(failure);
        println!("the shortest that fails: {}", failure.what);
    }
    if let Err(failure) = run(&failure.run, true) {
        for line in &failure.log {
            println!("  {line}");
        }
    }
}
