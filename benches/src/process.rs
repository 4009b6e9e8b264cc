//! What /proc tells about a process and its descendants, and about the whole machine.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Processor time of a process and its descendants, user and system, living and reaped.
pub fn cpu_time(root: u32) -> Result<Duration> {
    let mut ticks = 0;
    for pid in tree(root)? {
        // A descendant may end between listing and reading; its parent's sum then has it.
        if let Some(stat) = Stat::read(pid) {
            ticks += stat.ticks;
        }
    }
    Ok(from_ticks(ticks))
}

/// Processor time of this process alone, without its children.
pub fn own_cpu_time() -> Result<Duration> {
    let stat = Stat::read(std::process::id()).context("cannot read /proc/self/stat")?;
    Ok(from_ticks(stat.own))
}

/// Sum of the peak resident memory (`VmHWM`) of a process and its descendants, in bytes.
pub fn peak_memory(root: u32) -> Result<u64> {
    memory(root, "VmHWM:")
}

/// Sum of the memory of a process and its descendants that is their own now (`RssAnon`), without
/// pages of files that they have mapped, in bytes.
pub fn own_memory(root: u32) -> Result<u64> {
    memory(root, "RssAnon:")
}

/// Sum of a figure of `/proc/PID/status` (proc(5)) over a process and its descendants, in bytes.
fn memory(root: u32, figure: &str) -> Result<u64> {
    let kib_of = |status: &str| -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(figure))?;
        value.trim().trim_end_matches("kB").trim().parse().ok()
    };
    let mut kib = 0;
    for pid in tree(root)? {
        // One that has ended meanwhile takes nothing.
        if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            kib += kib_of(&status).unwrap_or(0);
        }
    }
    Ok(kib * 1024)
}

/// Time all processors together have spent on anything but idling and waiting for I/O.
pub fn machine_busy() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // user nice system idle iowait irq softirq steal; guest time is within user (proc(5)).
    let busy = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .enumerate()
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum();
    Ok(from_ticks(busy))
}

/// How fast one processor is right now, in million steps of a fixed chain of dependent
/// multiplications per second, over about 20 ms.
///
/// On a rented machine it changes by a factor of two without any trace in the time accounting,
/// when a neighbour uses the other half of the core. Figures of two rounds compare only when this
/// was alike.
pub fn core_speed() -> f64 {
    const STEPS: u32 = 10_000_000;
    let started = Instant::now();
    let mut value = 1u64;
    for step in 0..STEPS {
        value =
            std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005)) ^ u64::from(step);
    }
    std::hint::black_box(value);
    f64::from(STEPS) / started.elapsed().as_secs_f64() / 1e6
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

struct Stat {
    parent: u32,
    /// utime + stime.
    own: u64,
    /// The same with that of children already reaped (cutime + cstime).
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may itself hold blanks and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        let ticks = |from, to| {
            Some(
                fields
                    .get(from..to)?
                    .iter()
                    .filter_map(|field| field.parse::<u64>().ok())
                    .sum(),
            )
        };
        Some(Self {
            parent,
            own: ticks(11, 13)?,
            ticks: ticks(11, 15)?,
        })
    }
}

/// `root` and all its living descendants.
fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = Stat::read(pid) {
            parents.push((pid, stat.parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_its_own_process() {
        let own = std::process::id();
        assert!(own_memory(own).unwrap() > 100_000);
        assert!(peak_memory(own).unwrap() > own_memory(own).unwrap());
        assert!(machine_busy().unwrap() >= cpu_time(own).unwrap());
        assert!(tree(1).unwrap().contains(&own) || tree(own).unwrap() == [own]);
    }
}
