//! How messages reach thousands of WebSocket clients, beside `ws`, `socket.io` and a bare loop.
//!
//! [`peers`] is what differs between the servers, [`crowd`] listens, [`bare`] is the least that a
//! fan-out can cost. The README says what is fair about it.

mod bare;
mod crowd;
mod peers;
mod socket;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::compare::data_folder;
use crate::interrupt::Interrupt;
use crate::process::{cpu_time, machine_busy, own_cpu_time};
use crate::server::Server;
use crowd::{Crowd, Heard};
use peers::{Kind, Target};
use socket::{Socket, write_frame};

pub use bare::{Options as BareOptions, serve as serve_bare};

/// Bytes of a message as it arrives, about.
const SIZE: usize = 300;
/// Connections that are idle while memory is measured.
const IDLE: usize = 5_000;
const LIMIT: Duration = Duration::from_secs(120);

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    /// Workloads to run, of e, f, g, h and i.
    #[arg(long, value_delimiter = ',')]
    only: Vec<char>,
    /// Servers to run: nubo, stored, ws, socketio, bare.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Seconds that a paced workload lasts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Rounds of each workload and server; they alternate.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Where to write all figures as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

/// Who says how much to whom.
#[derive(Clone, Copy)]
struct Workload {
    key: char,
    title: &'static str,
    rooms: usize,
    subscribers: usize,
    /// Messages per second; a burst of so many messages with none.
    rate: Option<u32>,
    burst: u64,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        key: 'e',
        title: "1 to 1,000, 100/s",
        rooms: 1,
        subscribers: 1_000,
        rate: Some(100),
        burst: 0,
    },
    Workload {
        key: 'f',
        title: "1 to 5,000, 20/s",
        rooms: 1,
        subscribers: 5_000,
        rate: Some(20),
        burst: 0,
    },
    Workload {
        key: 'g',
        title: "100 rooms of 10, 5,000/s",
        rooms: 100,
        subscribers: 1_000,
        rate: Some(5_000),
        burst: 0,
    },
    Workload {
        key: 'h',
        title: "burst of 1,000 to 1,000",
        rooms: 1,
        subscribers: 1_000,
        rate: None,
        burst: 1_000,
    },
];

/// What a round found.
struct Figures {
    heard: Heard,
    cpu: Duration,
    /// Of the generator, in parts of one core.
    generator: f64,
    /// Of others, in parts of the machine.
    others: f64,
}

impl Figures {
    fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() / self.heard.deliveries as f64 * 1e6
    }

    fn rate(&self) -> f64 {
        self.heard.deliveries as f64 / self.heard.span.as_secs_f64()
    }

    fn p(&self, quantile: f64) -> f64 {
        self.heard.latency.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// Runs all workloads on all servers by turns and prints tables.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    allow_many_files()?;
    let wanted = |kind: &(Kind, &str)| {
        options.peers.is_empty() || options.peers.iter().any(|name| name == kind.1)
    };
    let kinds = [
        (Kind::Nubo, "nubo"),
        (Kind::NuboStored, "stored"),
        (Kind::Ws, "ws"),
        (Kind::SocketIo, "socketio"),
        (Kind::Bare, "bare"),
    ];
    let targets: Vec<Target> = kinds
        .iter()
        .filter(|kind| wanted(kind))
        .map(|(kind, _)| Target::obtain(*kind, interrupt))
        .collect::<Result<_>>()?;
    let is_on = |key: char| options.only.is_empty() || options.only.contains(&key);
    let mut all = Vec::new();
    println!(
        "| workload | server | deliveries/s | p50 ms | p99 ms | CPU s per million | \
         bytes each | deliveries per read |\n|---|---|--:|--:|--:|--:|--:|--:|"
    );
    for workload in WORKLOADS.iter().filter(|workload| is_on(workload.key)) {
        let mut found: Vec<Vec<Figures>> = targets.iter().map(|_| Vec::new()).collect();
        for round in 1..=options.rounds {
            for (target, found) in targets.iter().zip(&mut found) {
                // The bare loop knows no rooms, and a disk cannot take so much in an instant.
                if target.kind == Kind::Bare && workload.rooms > 1 {
                    continue;
                }
                let figures = play(target, workload, options.seconds, interrupt)
                    .with_context(|| format!("{}: {}", target.kind.title(), workload.title))?;
                eprintln!(
                    "{} {:12} round {round}: {:9.0}/s, p99 {:8.2} ms, {:5.2} CPU s per million, \
                     generator {:3.0}% of a core, others {:2.0}%",
                    workload.key,
                    target.kind.title(),
                    figures.rate(),
                    figures.p(0.99),
                    figures.cpu_per_million(),
                    figures.generator * 100.0,
                    figures.others * 100.0,
                );
                found.push(figures);
            }
        }
        for (target, mut found) in targets.iter().zip(found) {
            found.sort_by(|a, b| a.cpu_per_million().total_cmp(&b.cpu_per_million()));
            let Some(middle) = found.get(found.len() / 2) else {
                continue;
            };
            println!(
                "| ({}) {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {:.1} |",
                workload.key,
                workload.title,
                target.kind.title(),
                middle.rate(),
                middle.p(0.5),
                middle.p(0.99),
                middle.cpu_per_million(),
                middle.heard.bytes / middle.heard.deliveries,
                middle.heard.deliveries as f64 / middle.heard.reads as f64,
            );
            all.push(json!({
                "workload": workload.key.to_string(),
                "server": target.kind.title(),
                "deliveries_per_second": middle.rate(),
                "p50_ms": middle.p(0.5),
                "p99_ms": middle.p(0.99),
                "cpu_seconds_per_million": middle.cpu_per_million(),
            }));
        }
    }
    if is_on('i') {
        println!("\n| server | KiB per idle connection |\n|---|--:|");
        for target in targets.iter().filter(|target| target.kind != Kind::Bare) {
            let memory = idle_memory(target, interrupt)
                .with_context(|| format!("{}: idle connections", target.kind.title()))?;
            println!("| {} | {:.1} |", target.kind.title(), memory / 1024.0);
            all.push(json!({
                "workload": "i",
                "server": target.kind.title(),
                "bytes_per_connection": memory,
            }));
        }
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

fn play(
    target: &Target,
    workload: &Workload,
    seconds: u64,
    interrupt: &Interrupt,
) -> Result<Figures> {
    let folder = data_folder(None)?;
    let server = Server::start(target.program(), folder.path(), interrupt)?;
    let account = target.account(server.address)?;
    let room = |number: usize| format!("room{number:03}");
    let mut sockets = Vec::with_capacity(workload.subscribers);
    for number in 0..workload.subscribers {
        let at = number % workload.rooms;
        let socket = target.subscribe(server.address, account.as_ref(), &room(at))?;
        sockets.push((socket, at));
    }
    let mut publishers: Vec<Socket> = (0..workload.rooms)
        .map(|at| target.publisher(server.address, account.as_ref(), &room(at)))
        .collect::<Result<_>>()?;
    let mut crowd = Crowd::new(sockets)?;
    ensure!(crowd.len() == workload.subscribers, "everybody is there");
    let mut say = |at: usize, time: u64, number: u64| {
        let mut frame = Vec::new();
        let message = target.message(&room(at), time, number, SIZE);
        write_frame(&mut frame, message.as_bytes())?;
        Ok(frame)
    };
    let much = match workload.rate {
        Some(rate) => (u64::from(rate) * seconds, Some(rate)),
        None => (workload.burst, None),
    };
    let warm = match workload.rate {
        Some(rate) => (u64::from(rate), Some(rate)),
        None => (100, None),
    };
    crowd.listen(&mut publishers, warm, LIMIT, interrupt, &mut say)?;

    let before = (cpu_time(server.pid())?, own_cpu_time()?, machine_busy()?);
    let heard = crowd.listen(&mut publishers, much, LIMIT, interrupt, &mut say)?;
    let after = (cpu_time(server.pid())?, own_cpu_time()?, machine_busy()?);
    let (cpu, own) = (after.0 - before.0, after.1 - before.1);
    let span = heard.span.as_secs_f64();
    let cores = std::thread::available_parallelism()?.get() as f64;
    let others = (after.2 - before.2).saturating_sub(cpu + own).as_secs_f64() / span / cores;
    drop(crowd);
    server.stop()?;
    Ok(Figures {
        cpu,
        generator: own.as_secs_f64() / span,
        others,
        heard,
    })
}

/// Bytes of memory that one idle connection takes.
fn idle_memory(target: &Target, interrupt: &Interrupt) -> Result<f64> {
    let folder = data_folder(None)?;
    let server = Server::start(target.program(), folder.path(), interrupt)?;
    let account = target.account(server.address)?;
    let subscribe = || target.subscribe(server.address, account.as_ref(), "room000");
    // What the first ones take is for all.
    let mut held: Vec<Socket> = (0..100).map(|_| subscribe()).collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_secs(1));
    let before = memory(server.pid())?;
    for _ in 0..IDLE {
        interrupt.check()?;
        held.push(subscribe()?);
    }
    std::thread::sleep(Duration::from_secs(3));
    let after = memory(server.pid())?;
    drop(held);
    server.stop()?;
    Ok(after.saturating_sub(before) as f64 / IDLE as f64)
}

/// Memory of a process that is its own (`Pss` of `smaps_rollup`), in bytes.
fn memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        });
    Ok(kib.context("no Pss in smaps_rollup")? * 1024)
}

/// Thousands of connections need as many files, here and in the servers, which inherit the limit.
fn allow_many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(65_536, |most| most.min(65_536));
    ensure!(
        wanted >= 12_000,
        "this system allows {wanted} open files; 12,000 are needed"
    );
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        },
    )
    .context("raising the limit of open files")
}
