//! One round: one server, alone on the machine, under one workload.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Client, write_request};
use crate::dataset::{Dataset, Requests, Workload};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::{Generator, Outcome};
use crate::peer::Peer;
use crate::process::{core_speed, cpu_time, machine_busy, peak_memory};
use crate::server::Server;

/// How long and how hard a round loads the server.
pub struct Effort {
    /// Not measured, before it.
    pub warmup: Duration,
    /// Measured.
    pub span: Duration,
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
    effort: &Effort,
    interrupt: &Interrupt,
) -> Result<Round> {
    let data = fixture.fresh(workload.needs_documents())?;
    let server = Server::start(peer, &data, interrupt)?;
    check(peer, &server, dataset, &fixture.ids, workload)
        .context("the answers are not as they must be")?;

    let mut requests = Requests::new(dataset, &fixture.ids, &peer.routes(), number)?;
    let mut next = |out: &mut Vec<u8>| requests.next(workload, out);
    let mut generator = Generator::connect(server.address, effort.concurrency)?;
    let warm = generator.drive(effort.warmup, interrupt, &mut next)?;

    let speed_before = core_speed();
    let before = Reading::take(&server)?;
    let mut outcome = generator.drive(effort.span, interrupt, &mut next)?;
    let after = Reading::take(&server)?;
    let core_speed = f64::midpoint(speed_before, core_speed());
    let peak_memory = peak_memory(server.pid())?;
    drop(generator);
    server.stop()?;

    outcome.adopt_failures(&warm);
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
        let list = answer[names.list]
            .as_array()
            .context("a list answered no array")?;
        let there = (0..ids.len())
            .filter(|other| dataset.conversation_of(*other) == conversation)
            .count();
        ensure!(
            list.len() == there.min(20),
            "a list answered {} of {there} documents",
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

/// Every field of `expected` must be in `stored` with the same value.
fn same(expected: &Value, stored: &Value) -> Result<()> {
    for (field, value) in expected.as_object().context("no object")? {
        ensure!(
            stored[field] == *value,
            "`{field}` is {} and should be {value}",
            stored[field]
        );
    }
    Ok(())
}
