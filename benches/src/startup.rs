//! From starting a server's process to its first answer with status 200.

use anyhow::Result;
use clap::Args;

use crate::compare::{Which, data_folder};
use crate::dataset::Dataset;
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::process::peak_memory;
use crate::report::median;
use crate::server::Server;

/// Options of the start-up measurement.
#[derive(Args)]
pub struct Options {
    /// Starts per server.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    times: u16,
    /// Servers to start.
    #[arg(long, value_delimiter = ',', default_value = "nubo,pocketbase")]
    peers: Vec<Which>,
}

/// Starts the servers in turn, each time on fresh data with the collection already defined.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let dataset = Dataset::new(0);
    let root = data_folder(None)?;
    let mut sides = Vec::new();
    for which in options.peers {
        let peer = which.obtain(interrupt)?;
        let fixture = Fixture::prepare(&*peer, root.path(), &dataset, false, interrupt)?;
        sides.push((peer, fixture, Vec::new(), Vec::new()));
    }
    for _ in 0..options.times {
        for (peer, fixture, times, memory) in &mut sides {
            let data = fixture.fresh(false)?;
            let server = Server::start(&**peer, &data, interrupt)?;
            times.push(server.startup.as_secs_f64() * 1000.0);
            memory.push(peak_memory(server.pid())? as f64 / f64::from(1 << 20));
            server.stop()?;
        }
    }
    println!(
        "| server | start to first answer, median ms | fastest | slowest | memory then, median MiB |"
    );
    println!("|---|--:|--:|--:|--:|");
    for (peer, _, times, memory) in sides {
        let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
        let slowest = times.iter().copied().fold(0.0, f64::max);
        println!(
            "| {} | {:.1} | {fastest:.1} | {slowest:.1} | {:.0} |",
            peer.name(),
            median(times),
            median(memory)
        );
    }
    Ok(())
}
