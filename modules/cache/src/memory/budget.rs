//! How much memory the cache takes, and the task that looks at it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::{Memory, machine::Machine};

/// How often the memory is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// What is assumed where nobody says how much memory there is.
const UNKNOWN: u64 = 256 << 20;

/// How much the cache may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that it holds at most; 0 is half of the memory there is.
    pub max_memory: u64,
    /// Bytes that stay available to everything else: where less is, the cache gives some up.
    pub margin: u64,
}

impl Budget {
    /// What it may take at the start, when nothing is known of what else will be needed.
    pub fn first(self) -> usize {
        self.with(0, Machine::now())
    }

    /// What it may take when it holds so much.
    fn with(self, held: u64, machine: Option<Machine>) -> usize {
        let Some(machine) = machine else {
            let most = match self.max_memory {
                0 => UNKNOWN,
                max => max,
            };
            return clamp(most);
        };
        let most = match self.max_memory {
            0 => machine.total / 2,
            max => max,
        };
        // If it took all that is available and left the margin.
        let room = held.saturating_add(machine.available);
        clamp(most.min(room.saturating_sub(self.margin)))
    }
}

fn clamp(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The task that looks at the memory from time to time.
pub struct MemoryWatch {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    /// Keeps the cache within its budget until it is stopped.
    pub fn start(memory: Arc<Memory>, budget: Budget) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                let bytes = budget.with(memory.bytes() as u64, Machine::now());
                memory.set_budget(bytes);
                let stop = stopped.wait_for(|stop| *stop);
                // The channel closes when its owner is gone; that is a stop too.
                if tokio::time::timeout(PERIOD, stop).await.is_ok() {
                    return;
                }
            }
        });
        Self { stop, task }
    }

    /// Ends the task.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the watch over the cache's memory has failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_margin_stays_available() {
        let budget = |max_memory, held, total, available| {
            let budget = Budget {
                max_memory,
                margin: 200 * MIB,
            };
            let machine = Machine {
                total: total * MIB,
                available: available * MIB,
            };
            budget.with(held * MIB, Some(machine)) as u64 / MIB
        };
        // Enough for everybody.
        assert_eq!(budget(100 * MIB, 0, 4096, 2048), 100);
        assert_eq!(budget(0, 0, 4096, 3000), 2048);
        // Somebody else needs memory: the cache gives up what is missing to the margin.
        assert_eq!(budget(0, 1000, 4096, 150), 950);
        assert_eq!(budget(0, 1000, 4096, 200), 1000);
        assert_eq!(budget(0, 100, 4096, 50), 0);
        // Nobody says.
        let budget = Budget {
            max_memory: 0,
            margin: 0,
        };
        assert_eq!(budget.with(0, None) as u64, 256 * MIB);
    }
}
