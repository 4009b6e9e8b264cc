//! How much memory there is, as Linux tells it: for the container where there is one that has a
//! limit, else for the machine.

use std::{fs, path::Path};

/// Memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    pub total: u64,
    /// What could still be taken without anybody else having to give anything up.
    pub available: u64,
}

/// Where Linux shows a container (cgroup version 2) itself.
const CONTAINER: &str = "/sys/fs/cgroup";
const MACHINE: &str = "/proc/meminfo";

impl Machine {
    /// What there is now. None where nobody says.
    pub fn now() -> Option<Self> {
        let machine = Self::of_meminfo(&fs::read_to_string(MACHINE).ok()?)?;
        let container = Self::of_container(Path::new(CONTAINER));
        Some(container.map_or(machine, |container| machine.least(container)))
    }

    fn of_meminfo(text: &str) -> Option<Self> {
        let kib = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let number = line.trim_start_matches(':').trim().strip_suffix("kB")?;
            number.trim().parse().ok()
        };
        Some(Self {
            total: kib("MemTotal")? * 1024,
            available: kib("MemAvailable")? * 1024,
        })
    }

    /// The limit of a container and what is below it. What the kernel would give back counts as
    /// available.
    fn of_container(folder: &Path) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            text.trim().parse().ok()
        };
        // `max` where there is no limit, which is no number.
        let total = number("memory.max")?;
        let used = number("memory.current")?;
        let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let inactive = statistics
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok())
            .unwrap_or(0);
        Some(Self {
            total,
            available: total.saturating_sub(used.saturating_sub(inactive)),
        })
    }

    fn least(self, other: Self) -> Self {
        Self {
            total: self.total.min(other.total),
            available: self.available.min(other.available),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read() {
        let text = "MemTotal:        1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n";
        let expected = Machine {
            total: 1_024_000,
            available: 409_600,
        };
        assert_eq!(Machine::of_meminfo(text), Some(expected));
        assert_eq!(Machine::of_meminfo("nothing"), None);
    }

    #[test]
    fn a_container_has_a_limit_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("memory.max", "max\n");
        write("memory.current", "300\n");
        assert_eq!(Machine::of_container(folder.path()), None);
        write("memory.max", "1000\n");
        write("memory.stat", "anon 1\ninactive_file 100\n");
        let expected = Machine {
            total: 1000,
            available: 800,
        };
        assert_eq!(Machine::of_container(folder.path()), Some(expected));
    }
}
