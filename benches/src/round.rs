//! One round: one server, alone on the machine, under one workload.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::client::{Client, write_request};
use crate::dataset::{CONVERSATIONS, Dataset, Requests, Workload};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::{Generator, Outcome};
use crate::peer::{Names, Peer};
use crate::process::{core_speed, cpu_time, machine_busy, peak_memory};
use crate::server::Server;

/// How long, how often and how patiently; the same options for every command that plays rounds.
#[derive(Args)]
pub struct Plan {
    /// Seconds each round is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Seconds of load before each round is measured.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Rounds of each kind.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// A round in which others (and the hypervisor) took more than this percentage of the machine
    /// is played again.
    #[arg(long, default_value_t = 10)]
    tolerate: u8,
    /// How often it is played again before the quietest attempt counts.
    #[arg(long, default_value_t = 2)]
    retries: u8,
    /// Writes the figures of every round here, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the servers' data goes, in a temporary folder; should be a real disk, not memory.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

impl Plan {
    /// How long a round lasts before it is measured.
    pub fn warmup(&self) -> Duration {
        Duration::from_secs(self.warmup)
    }

    /// How long it is measured.
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Plays a round until it was quiet around it, or often enough; the quietest attempt counts.
    ///
    /// The choice looks at what others did, never at the server's own figures.
    pub fn quietest<T>(
        &self,
        mut attempt: impl FnMut() -> Result<(Round, T)>,
    ) -> Result<(Round, T)> {
        let mut best = attempt()?;
        for _ in 0..self.retries {
            let round = &best.0;
            if round.foreign <= f64::from(self.tolerate) / 100.0 || round.outcome.failures() > 0 {
                break;
            }
            let again = attempt()?;
            if again.0.foreign < round.foreign || again.0.outcome.failures() > 0 {
                best = again;
            }
        }
        Ok(best)
    }
}

/// How long and how hard a round loads the server.
pub struct Effort<'a> {
    /// How long.
    pub plan: &'a Plan,
    /// Connections.
    pub concurrency: usize,
}

/// What a round found.
pub struct Round {
    /// Rate and latencies, and the failures of the warm-up too.
    pub outcome: Outcome,
    /// Processor time of the server during the measured span.
    pub server_cpu: Duration,
    /// Processor time of this generator during the measured span.
    pub generator_cpu: Duration,
    /// Share (0 to 1) of all processors that neither of the two used but somebody did.
    pub foreign: f64,
    /// Speed of one processor around the measured span; see [`core_speed`].
    pub core_speed: f64,
    /// Peak resident memory of the server since its start, in bytes.
    pub peak_memory: u64,
}

/// Starts the server on fresh data, checks one answer of each kind, warms up, measures, stops.
pub fn play(
    peer: &dyn Peer,
    fixture: &Fixture,
    dataset: &Dataset,
    workload: Workload,
    number: u64,
    effort: &Effort<'_>,
    interrupt: &Interrupt,
) -> Result<Round> {
    let data = fixture.fresh(workload.needs_documents())?;
    let server = Server::start(peer, &data, interrupt)?;
    check(peer, &server, dataset, &fixture.ids, workload)
        .context("the answers are not as they must be")?;

    let mut requests = Requests::new(dataset, &fixture.ids, &peer.routes(), number)?;
    let mut next = |out: &mut Vec<u8>| requests.next(workload, out);
    let mut generator = Generator::connect(server.address, effort.concurrency)?;
    let warm = generator.drive(effort.plan.warmup(), interrupt, &mut next)?;
    let mut round = measure(&server, || {
        generator.drive(effort.plan.span(), interrupt, &mut next)
    })?;
    round.outcome.adopt_failures(&warm);
    drop(generator);
    server.stop()?;
    Ok(round)
}

/// Measures what `load` does to the server.
pub fn measure(server: &Server, load: impl FnOnce() -> Result<Outcome>) -> Result<Round> {
    let speed_before = core_speed();
    let before = Reading::take(server)?;
    let outcome = load()?;
    let after = Reading::take(server)?;
    let core_speed = f64::midpoint(speed_before, core_speed());
    let peak_memory = peak_memory(server.pid())?;

    let server_cpu = after.server.saturating_sub(before.server);
    let generator_cpu = after.generator.saturating_sub(before.generator);
    let busy = after.machine.saturating_sub(before.machine);
    let processors = std::thread::available_parallelism()?.get() as f64;
    let available = (after.at - before.at).as_secs_f64() * processors;
    let foreign = busy
        .saturating_sub(server_cpu + generator_cpu)
        .as_secs_f64()
        / available;
    Ok(Round {
        outcome,
        server_cpu,
        generator_cpu,
        foreign,
        core_speed,
        peak_memory,
    })
}

struct Reading {
    at: Instant,
    server: Duration,
    generator: Duration,
    machine: Duration,
}

impl Reading {
    fn take(server: &Server) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            // Only this process: the server is its child, but counts for itself.
            generator: crate::process::own_cpu_time()?,
            server: cpu_time(server.pid())?,
            machine: machine_busy()?,
        })
    }
}

/// Makes sure that the fast answers about to be counted are also the right ones.
fn check(
    peer: &dyn Peer,
    server: &Server,
    dataset: &Dataset,
    ids: &[String],
    workload: Workload,
) -> Result<()> {
    let mut client = Client::connect(server.address, Duration::from_secs(30))?;
    let (routes, names) = (peer.routes(), peer.names());
    if workload.needs_documents() {
        let index = ids.len() / 2;
        let mut expected = Vec::new();
        dataset.write_loaded(&mut expected, index, &ids[index]);
        let stored = client.json("GET", &routes.read.replace("{}", &ids[index]), None)?;
        same(&serde_json::from_slice(&expected)?, &stored)?;

        let conversation = dataset.conversation_of(index);
        let answer = client.json("GET", &routes.list.replace("{}", conversation), None)?;
        let there = dataset.documents_in(index % CONVERSATIONS);
        check_list(&answer, &names, conversation, there.min(20))?;
    }

    let mut body = Vec::new();
    dataset.write_new(&mut body, &mut fastrand::Rng::with_seed(0));
    let mut request = Vec::new();
    write_request(&mut request, "POST", routes.create, None, &body)?;
    let (status, answer) = client.exchange(&request)?;
    ensure!(
        (200..300).contains(&status),
        "a create answered {status}: {}",
        String::from_utf8_lossy(&answer)
    );
    let created: Value = serde_json::from_slice(&answer)?;
    let id = created["id"].as_str().context("a create answered no id")?;
    let stored = client.json("GET", &routes.read.replace("{}", id), None)?;
    same(&serde_json::from_slice(&body)?, &stored)?;
    same(&created, &stored)
}

/// The documents of a list, which must be there, of one conversation and newest first.
pub fn check_list<'a>(
    answer: &'a Value,
    names: &Names,
    conversation: &str,
    expected: usize,
) -> Result<&'a [Value]> {
    let list = answer[names.list]
        .as_array()
        .context("a list answered no array")?;
    ensure!(
        list.len() == expected,
        "a list answered {} documents instead of {expected}",
        list.len()
    );
    ensure!(
        list.iter()
            .all(|message| message["conversation_id"] == *conversation),
        "a list answered a message of another conversation"
    );
    let times: Vec<&str> = list
        .iter()
        .filter_map(|message| message[names.created].as_str())
        .collect();
    ensure!(
        times.len() == list.len() && times.is_sorted_by(|newer, older| newer >= older),
        "a list is not in order, newest first"
    );
    Ok(list)
}

/// Every field of `expected` must be in `stored` with the same value.
pub fn same(expected: &Value, stored: &Value) -> Result<()> {
    for (field, value) in expected.as_object().context("no object")? {
        ensure!(
            stored[field] == *value,
            "`{field}` is {} and should be {value}",
            stored[field]
        );
    }
    Ok(())
}
