//! Thousands of seeds in which nothing may be found, and mistakes that must be.

use nubo_sim::{Mutant, Run, run, shortest};

/// How many seeds are run where nobody says.
const SEEDS: u64 = 3_000;
/// How many seeds a mistake may take.
const PATIENCE: u64 = 4_000;

#[test]
fn no_seed_finds_anything() {
    let seeds = std::env::var("NUBO_SIM_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let (mut steps, mut cached) = (0, 0);
    for seed in 1..=seeds {
        match run(&Run::of(seed, None), false) {
            Ok(report) => {
                steps += report.steps;
                cached += report.cached;
            }
            Err(failure) => {
                let failure = shortest(*failure);
                let log = run(&failure.run, true).map_or_else(|f| f.log, |_| Vec::new());
                panic!("seed {seed}: {}\n{}", failure.what, log.join("\n"));
            }
        }
    }
    println!("{seeds} seeds, {steps} steps, {cached} answers from the cache");
    assert!(cached as u64 > seeds, "the cache must have been asked");
}

/// Which seed finds a mistake.
fn found(mutant: Mutant) -> u64 {
    for seed in 1..=PATIENCE {
        if let Err(failure) = run(&Run::of(seed, Some(mutant)), false) {
            println!("{mutant:?} is found by seed {seed}: {}", failure.what);
            return seed;
        }
    }
    panic!("{mutant:?} is not found by {PATIENCE} seeds");
}

#[test]
fn every_mistake_is_found() {
    for mutant in Mutant::ALL {
        found(mutant);
    }
}

#[test]
fn a_failing_run_becomes_shorter_and_is_the_same_every_time() {
    let mutant = Mutant::AnnounceAfterCommit;
    let seed = found(mutant);
    let first = run(&Run::of(seed, Some(mutant)), false).unwrap_err();
    let again = run(&Run::of(seed, Some(mutant)), false).unwrap_err();
    assert_eq!(first.what, again.what);
    let actions = |run: &Run| run.clients.iter().map(|c| c.actions.len()).sum::<usize>();
    let short = shortest((*first).clone());
    assert!(actions(&short.run) < actions(&first.run));
    let again = run(&short.run, true).unwrap_err();
    assert_eq!(again.what, short.what);
    assert!(!again.log.is_empty());
}
