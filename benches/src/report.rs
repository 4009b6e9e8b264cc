//! Figures as tables and as JSON.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::dataset::Workload;
use crate::load::Outcome;
use crate::round::{Plan, Round};

/// More of the machine than this in others' hands makes a round doubtful.
const NOISY: f64 = 0.10;

/// A processor slower than this share of the fastest row's makes a round doubtful.
const SLOW: f64 = 0.8;

/// One workload's rounds.
pub struct Row {
    /// The workload.
    pub workload: Workload,
    /// Nubo's rounds, if it took part.
    pub nubo: Option<Vec<Round>>,
    /// PocketBase's rounds, if it took part.
    pub pocketbase: Option<Vec<Round>>,
}

impl Row {
    fn sides(&self) -> impl Iterator<Item = (&'static str, Summary)> {
        [("Nubo", &self.nubo), ("PocketBase", &self.pocketbase)]
            .into_iter()
            .filter_map(|(name, rounds)| Some((name, Summary::of(rounds.as_ref()?)?)))
    }

    fn both(&self) -> Option<(Summary, Summary)> {
        Some((
            Summary::of(self.nubo.as_ref()?)?,
            Summary::of(self.pocketbase.as_ref()?)?,
        ))
    }

    /// Smallest and largest ratio of two rounds that followed each other.
    fn ratio_range(&self) -> Option<(f64, f64)> {
        ratio_range(self.nubo.as_ref()?, self.pocketbase.as_ref()?)
    }
}

/// Smallest and largest ratio of the rates of rounds that followed each other.
pub fn ratio_range(upper: &[Round], lower: &[Round]) -> Option<(f64, f64)> {
    let ratios = || {
        let pairs = upper.iter().zip(lower);
        pairs.map(|(upper, lower)| upper.outcome.rate() / lower.outcome.rate())
    };
    Some((ratios().reduce(f64::min)?, ratios().reduce(f64::max)?))
}

/// Several rounds of one kind as one.
pub struct Summary {
    /// Median of the rounds: one disturbed round does not move it.
    pub rate: f64,
    /// All rounds' latencies together.
    pub merged: Outcome,
    /// The largest of the rounds.
    pub peak_memory: u64,
    /// Seconds of processor time per 1,000 requests, all rounds together.
    pub cpu_per_1000: f64,
    /// The worst round's.
    foreign: f64,
    /// The rounds' slowest.
    core_speed: f64,
}

impl Summary {
    /// None where there is no round.
    pub fn of(rounds: &[Round]) -> Option<Self> {
        let (first, rest) = rounds.split_first()?;
        let mut merged = first.outcome.clone();
        for round in rest {
            merged.merge(&round.outcome);
        }
        let cpu: Duration = rounds.iter().map(|round| round.server_cpu).sum();
        Some(Self {
            rate: median(rounds.iter().map(|round| round.outcome.rate()).collect()),
            peak_memory: rounds
                .iter()
                .map(|round| round.peak_memory)
                .max()
                .unwrap_or(0),
            cpu_per_1000: cpu.as_secs_f64() * 1000.0 / merged.requests().max(1) as f64,
            foreign: rounds.iter().map(|round| round.foreign).fold(0.0, f64::max),
            core_speed: rounds
                .iter()
                .map(|round| round.core_speed)
                .fold(f64::INFINITY, f64::min),
            merged,
        })
    }

    /// The latency in milliseconds that the given share of requests (0 to 1) did not exceed.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.merged.latency_us(quantile) as f64 / 1000.0
    }

    /// Its figures and those of its rounds, for other programs.
    pub fn json(&self, rounds: &[Round]) -> Value {
        json!({
            "requests_per_second": self.rate,
            "p50_us": self.merged.latency_us(0.5),
            "p99_us": self.merged.latency_us(0.99),
            "peak_memory_bytes": self.peak_memory,
            "cpu_seconds_per_1000_requests": self.cpu_per_1000,
            "rounds": rounds.iter().map(round_json).collect::<Vec<_>>(),
        })
    }

    /// What marks a row that compares badly with the others, of which the fastest is given.
    pub fn mark(&self, fastest: f64) -> &'static str {
        match self.foreign > NOISY || self.core_speed < SLOW * fastest {
            true => " (!)",
            false => "",
        }
    }
}

/// How fast a processor was at best; see [`Summary::mark`].
pub fn fastest<'a>(sides: impl IntoIterator<Item = &'a Summary>) -> f64 {
    let speeds = sides.into_iter().map(|side| side.core_speed);
    speeds.fold(0.0, f64::max)
}

/// What the mark means; printed below a table that has one.
pub fn print_legend() {
    println!(
        "\n(!) more than {:.0}% of the machine was in others' hands in some round, or its processors \
         were slower than in other rows",
        NOISY * 100.0
    );
}

/// A line per round on the error output, while the table is still to come.
pub fn announce(what: &str, number: u64, round: &Round, plan: &Plan) {
    eprintln!(
        "{what} round {}: {:>8.0}/s, p99 {:>7.2} ms, generator {:>3.0}% of a core, others {:>2.0}%, core speed {:.0}",
        number + 1,
        round.outcome.rate(),
        round.outcome.latency_us(0.99) as f64 / 1000.0,
        100.0 * round.generator_cpu.as_secs_f64() / plan.span().as_secs_f64(),
        100.0 * round.foreign,
        round.core_speed,
    );
}

/// Writes the figures where the plan wants them.
pub fn write(plan: &Plan, figures: &Value) -> Result<()> {
    let Some(file) = &plan.json else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(figures)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The middle value; the mean of the two middle ones when their number is even; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Prints the table to standard output.
pub fn print(rows: &[Row]) {
    println!();
    println!(
        "| workload | server | requests/s | p50 ms | p99 ms | peak memory MiB | CPU s per 1,000 | body bytes |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    let sides: Vec<Summary> = rows
        .iter()
        .flat_map(Row::sides)
        .map(|(_, side)| side)
        .collect();
    let fastest = fastest(&sides);
    let mut noisy = false;
    for row in rows {
        for (name, side) in row.sides() {
            let mark = side.mark(fastest);
            noisy |= !mark.is_empty();
            println!(
                "| ({}) {} | {name}{mark} | {:.0} | {:.2} | {:.2} | {:.0} | {:.3} | {:.0} |",
                row.workload.letter(),
                row.workload.title(),
                side.rate,
                side.latency_ms(0.5),
                side.latency_ms(0.99),
                side.peak_memory as f64 / f64::from(1 << 20),
                side.cpu_per_1000,
                side.merged.mean_body(),
            );
        }
    }
    if noisy {
        print_legend();
    }
    if rows.iter().all(|row| row.both().is_none()) {
        return;
    }
    println!();
    println!("| workload | Nubo / PocketBase | rounds | target | p99 lower | verdict |");
    println!("|---|--:|--:|--:|:-:|---|");
    for row in rows {
        let (Some((nubo, pocketbase)), Some((low, high))) = (row.both(), row.ratio_range()) else {
            continue;
        };
        let ratio = nubo.rate / pocketbase.rate;
        let lower = nubo.merged.latency_us(0.99) < pocketbase.merged.latency_us(0.99);
        let met = ratio >= row.workload.target() && lower;
        println!(
            "| ({}) {} | {ratio:.2}x | {low:.2} to {high:.2} | {:.1}x | {} | {} |",
            row.workload.letter(),
            row.workload.title(),
            row.workload.target(),
            if lower { "yes" } else { "no" },
            if met { "met" } else { "missed" },
        );
    }
}

/// Every figure, for other programs.
pub fn json(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        let mut value = json!({
            "workload": row.workload.letter(),
            "title": row.workload.title(),
            "target_ratio": row.workload.target(),
        });
        for (name, rounds) in [("nubo", &row.nubo), ("pocketbase", &row.pocketbase)] {
            let Some((rounds, side)) = rounds
                .as_ref()
                .and_then(|rounds| Some((rounds, Summary::of(rounds)?)))
            else {
                continue;
            };
            value[name] = side.json(rounds);
        }
        if let Some((nubo, pocketbase)) = row.both() {
            value["ratio"] = json!(nubo.rate / pocketbase.rate);
        }
        value
    });
    Value::Array(rows.collect())
}

fn round_json(round: &Round) -> Value {
    json!({
        "requests": round.outcome.requests(),
        "requests_per_second": round.outcome.rate(),
        "p50_us": round.outcome.latency_us(0.5),
        "p90_us": round.outcome.latency_us(0.9),
        "p99_us": round.outcome.latency_us(0.99),
        "p999_us": round.outcome.latency_us(0.999),
        "mean_body_bytes": round.outcome.mean_body(),
        "failures": round.outcome.failures(),
        "server_cpu_seconds": round.server_cpu.as_secs_f64(),
        "generator_cpu_seconds": round.generator_cpu.as_secs_f64(),
        "foreign_cpu_share": round.foreign,
        "core_speed": round.core_speed,
        "peak_memory_bytes": round.peak_memory,
    })
}

/// A line per server and workload with failed requests.
pub fn failures(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        for (name, side) in row.sides() {
            if side.merged.failures() > 0 {
                lines.push(format!(
                    "{name}, {}: {}",
                    row.workload.title(),
                    side.merged.failure_text()
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
