//! Thousands of seeds in which nothing may be found, and mistakes that must be.

#![allow(clippy::unwrap_used)]

use nubo_sim::{Mutant, Run, run, shortest};

/// How many seeds are run where nobody says.
const SEEDS: u64 = 3_000;
/// How many seeds a mistake may take.
const PATIENCE: u64 = 2_000;

#[test]
fn no_seed_finds_anything() {
    nothing_is_found(SEEDS, |seed| Run::of(seed, None));
}

#[test]
fn no_seed_finds_anything_where_several_share_a_cache() {
    nothing_is_found(SEEDS / 4, |seed| Run::together(seed, None));
}

#[test]
fn no_seed_finds_anything_where_one_is_alone_now_and_then() {
    nothing_is_found(SEEDS / 4, |seed| Run::owned(seed, None));
}

#[test]
fn no_seed_finds_anything_where_there_is_a_recent_tier() {
    let recent = nothing_is_found(SEEDS / 8, |seed| Run::recent(seed, None, false));
    assert!(recent > SEEDS / 8, "the recent tier must have been asked");
}

#[test]
fn no_seed_finds_anything_where_several_share_a_cache_and_a_recent_tier() {
    let recent = nothing_is_found(SEEDS / 20, |seed| Run::recent(seed, None, true));
    assert!(recent > SEEDS / 20, "the recent tier must have been asked");
}

/// Gives how many answers came from the recent tier.
fn nothing_is_found(seeds: u64, drawn: impl Fn(u64) -> Run) -> u64 {
    let wanted = std::env::var("NUBO_SIM_SEEDS").ok();
    let seeds = wanted.map_or(seeds, |seeds| seeds.parse().unwrap());
    let (mut steps, mut cached, mut recent) = (0, 0, 0);
    for seed in 1..=seeds {
        match run(&drawn(seed), false) {
            Ok(report) => {
                steps += report.steps;
                cached += report.cached;
                recent += report.recent as u64;
            }
            Err(failure) => {
                let failure = shortest(*failure);
                let log = run(&failure.run, true).map_or_else(|f| f.log, |_| Vec::new());
                panic!("seed {seed}: {}\n{}", failure.what, log.join("\n"));
            }
        }
    }
    println!(
        "{seeds} seeds, {steps} steps, {cached} answers from the cache, {recent} from the recent tier"
    );
    assert!(cached as u64 > seeds, "the cache must have been asked");
    recent
}

/// Which seed finds a mistake.
fn found(mutant: Mutant, drawn: impl Fn(u64, Option<Mutant>) -> Run) -> u64 {
    for seed in 1..=PATIENCE {
        if let Err(failure) = run(&drawn(seed, Some(mutant)), false) {
            println!("{mutant:?} is found by seed {seed}: {}", failure.what);
            return seed;
        }
    }
    panic!("{mutant:?} is not found by {PATIENCE} seeds");
}

#[test]
fn every_mistake_of_one_process_is_found() {
    for mutant in Mutant::ALONE {
        found(mutant, Run::of);
    }
}

#[test]
fn every_mistake_in_how_several_agree_is_found() {
    for mutant in Mutant::TOGETHER {
        found(mutant, Run::together);
    }
}

#[test]
fn every_mistake_of_one_who_is_alone_is_found() {
    for mutant in Mutant::OWNED {
        found(mutant, Run::owned);
    }
}

#[test]
fn every_mistake_about_those_who_write_by_hand_is_found() {
    for mutant in Mutant::BY_HAND {
        found(mutant, Run::together);
    }
}

#[test]
fn every_mistake_about_the_recent_tier_is_found() {
    for mutant in Mutant::RECENT {
        found(mutant, |seed, mutant| Run::recent(seed, mutant, false));
    }
}

#[test]
fn mistakes_about_the_recent_tier_are_found_where_several_share_a_cache() {
    for mutant in Mutant::RECENT_TOGETHER {
        found(mutant, |seed, mutant| Run::recent(seed, mutant, true));
    }
}

#[test]
fn a_failing_run_becomes_shorter_and_is_the_same_every_time() {
    let mutant = Mutant::AnnounceAfterCommit;
    let seed = found(mutant, Run::of);
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
