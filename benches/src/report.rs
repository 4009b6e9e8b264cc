//! The comparison's figures as a table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dataset::Workload;
use crate::load::Outcome;
use crate::round::Round;

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
        let ratios = || {
            let pairs = self
                .nubo
                .iter()
                .flatten()
                .zip(self.pocketbase.iter().flatten());
            pairs.map(|(nubo, pocketbase)| nubo.outcome.rate() / pocketbase.outcome.rate())
        };
        Some((ratios().reduce(f64::min)?, ratios().reduce(f64::max)?))
    }
}

/// Several rounds of one server as one.
struct Summary {
    /// Median of the rounds: one disturbed round does not move it.
    rate: f64,
    /// All rounds' latencies together.
    merged: Outcome,
    /// The largest of the rounds.
    peak_memory: u64,
    /// Seconds of processor time per 1,000 requests, all rounds together.
    cpu_per_1000: f64,
    /// The worst round's.
    foreign: f64,
    /// The rounds' slowest.
    core_speed: f64,
}

impl Summary {
    fn of(rounds: &[Round]) -> Option<Self> {
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
    let fastest = rows
        .iter()
        .flat_map(Row::sides)
        .map(|(_, side)| side.core_speed)
        .fold(0.0, f64::max);
    let mut noisy = false;
    for row in rows {
        for (name, side) in row.sides() {
            let mark = if side.foreign > NOISY || side.core_speed < SLOW * fastest {
                " (!)"
            } else {
                ""
            };
            noisy |= !mark.is_empty();
            println!(
                "| ({}) {} | {name}{mark} | {:.0} | {:.2} | {:.2} | {:.0} | {:.3} | {:.0} |",
                row.workload.letter(),
                row.workload.title(),
                side.rate,
                side.merged.latency_us(0.5) as f64 / 1000.0,
                side.merged.latency_us(0.99) as f64 / 1000.0,
                side.peak_memory as f64 / f64::from(1 << 20),
                side.cpu_per_1000,
                side.merged.mean_body(),
            );
        }
    }
    if noisy {
        println!(
            "\n(!) more than {:.0}% of the machine was in others' hands in some round",
            NOISY * 100.0
        );
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
            value[name] = json!({
                "requests_per_second": side.rate,
                "p50_us": side.merged.latency_us(0.5),
                "p99_us": side.merged.latency_us(0.99),
                "peak_memory_bytes": side.peak_memory,
                "cpu_seconds_per_1000_requests": side.cpu_per_1000,
                "rounds": rounds.iter().map(round_json).collect::<Vec<_>>(),
            });
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
