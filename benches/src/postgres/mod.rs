//! Nubo on PostgreSQL beside what one writes by hand, `pgbench` and `COPY`: all on one server with
//! fsync on, and all on one table, the one that Nubo made.
//!
//! [`database`] is the server, [`sides`] what differs between those that speak HTTP, [`import`] the
//! comparison with `COPY`, [`shared`] the one with the cache in Redis. The README says what is fair about it.

pub mod database;
mod import;
mod shared;
mod sides;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::compare::data_folder;
use crate::dataset::{CONVERSATIONS, Dataset, Requests, Workload};
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::{Nubo, Peer, Program};
use crate::report::{self, Summary, median, ratio_range};
use crate::round::{Plan, Round, measure};
use crate::server::Server;
use database::Database;
use sides::Side;

const LIMIT: Duration = Duration::from_secs(60);
/// Times the rate of the hand-written server that Nubo is meant to reach.
const TARGET: f64 = 3.0;
/// Share of the rate of `pgbench` that Nubo's creates are meant to reach.
const PGBENCH_TARGET: f64 = 0.6;

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// What to measure.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "create,list,import,redis"
    )]
    only: Vec<What>,
    /// Messages that are stored before lists are read.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(CONVERSATIONS as u64..))]
    documents: u64,
    /// Messages that are imported.
    #[arg(long, default_value_t = 1_000_000)]
    imported: u64,
    /// Keep-alive connections, each with one request under way; clients of `pgbench`.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// One message per request, beside the hand-written server and `pgbench`.
    Create,
    /// The newest 20 of a conversation, beside the hand-written server.
    List,
    /// Many messages from a file, beside `COPY`.
    Import,
    /// Reads and creates with the cache in Redis, beside the same without.
    Redis,
}

/// Runs the measurement and prints its tables.
///
/// # Errors
/// When a server does not start, answers wrongly, or fails any request.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let root = data_folder(options.plan.data_dir.clone())?;
    // Whoever runs PostgreSQL must get through.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(root.path(), permissions)?;
    let database = Database::start(root.path())?;
    let nubo = Side::nubo(&database.url, interrupt)?;
    let data = root.path().join("data");
    fs::create_dir(&data)?;
    // The table appears at the first start.
    Server::start(&nubo, &data, interrupt)?.stop()?;
    let table = database.table("messages")?;
    let site = Site {
        sides: [nubo, Side::fastify(&database.url, &table, interrupt)?],
        dataset: Dataset::new(usize::try_from(options.documents)?),
        data,
        table,
        database,
        options,
    };
    let mut figures = Map::new();
    if site.options.only.contains(&What::Create) {
        figures.insert("create".into(), site.creates(interrupt)?);
    }
    if site.options.only.contains(&What::List) {
        figures.insert("list".into(), site.lists(interrupt)?);
    }
    if site.options.only.contains(&What::Import) {
        figures.insert("import".into(), site.import(root.path(), interrupt)?);
    }
    if site.options.only.contains(&What::Redis) {
        figures.insert("redis".into(), site.shared(interrupt)?);
    }
    report::write(&site.options.plan, &figures.into())
}

/// Everything that the measurements share.
struct Site {
    /// Nubo and the hand-written server.
    sides: [Side; 2],
    dataset: Dataset,
    data: std::path::PathBuf,
    table: String,
    database: Database,
    options: Options,
}

impl Site {
    fn creates(&self, interrupt: &Interrupt) -> Result<Value> {
        let script = self.data.join("insert.sql");
        fs::write(&script, self.pgbench_script())?;
        let plan = &self.options.plan;
        let clients = usize::from(self.options.concurrency);
        let mut rounds: [Vec<Round>; 2] = [Vec::new(), Vec::new()];
        let mut bare = Vec::new();
        for number in 0..plan.rounds {
            for (side, rounds) in self.sides.iter().zip(&mut rounds) {
                self.database.empty(&self.table)?;
                rounds.push(self.play(side, Workload::Create, &[], number, interrupt)?);
            }
            self.database.empty(&self.table)?;
            let (rate, latency) =
                self.database
                    .pgbench(&script, clients, plan.span(), interrupt)?;
            eprintln!(
                "create pgbench      round {}: {rate:>8.0}/s, mean {latency:.2} ms",
                number + 1
            );
            bare.push(rate);
        }
        let pgbench = median(bare.clone());
        let mut figures = print("create", &self.sides, &rounds)?;
        let share = figures["rate"].as_f64().context("a rate")? / pgbench;
        println!(
            "\npgbench, a prepared INSERT of one row into the same table, {clients} clients: \
             {pgbench:.0}/s. Nubo's creates over HTTP reach {:.0}% of it (target {:.0}%).\n",
            share * 100.0,
            PGBENCH_TARGET * 100.0
        );
        figures["pgbench"] =
            json!({ "transactions_per_second": pgbench, "rounds": bare, "share": share });
        Ok(figures)
    }

    /// A row like those that are created over HTTP.
    fn pgbench_script(&self) -> String {
        let mut message = Vec::new();
        self.dataset
            .write_new(&mut message, &mut fastrand::Rng::with_seed(7));
        let message: Value = serde_json::from_slice(&message).unwrap_or_default();
        let content = message["content"]
            .as_str()
            .unwrap_or_default()
            .replace('\'', "''");
        format!(
            "INSERT INTO {} (id, conversation_id, sender_id, message_type, state, content, \
             created_at, updated_at, _rev) VALUES (gen_random_uuid(), gen_random_uuid(), \
             gen_random_uuid(), 0, 0, '{content}', date_trunc('milliseconds', now()), \
             date_trunc('milliseconds', now()), \
             (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);\n",
            self.table
        )
    }

    fn lists(&self, interrupt: &Interrupt) -> Result<Value> {
        self.database.empty(&self.table)?;
        let ids = self.fill(interrupt)?;
        self.database
            .execute(&format!("VACUUM ANALYZE {}", self.table))?;
        self.database.execute("CHECKPOINT")?;
        let mut rounds: [Vec<Round>; 2] = [Vec::new(), Vec::new()];
        for number in 0..self.options.plan.rounds {
            for (side, rounds) in self.sides.iter().zip(&mut rounds) {
                rounds.push(self.play(side, Workload::List, &ids, number, interrupt)?);
            }
        }
        print("list newest 20", &self.sides, &rounds)
    }

    /// Stores messages, through Nubo.
    fn fill(&self, interrupt: &Interrupt) -> Result<Vec<String>> {
        let Side::Nubo(nubo, ..) = &self.sides[0] else {
            bail!("Nubo comes first");
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let ids: Vec<String> = (0..self.dataset.documents)
            .map(|index| Nubo::id(nubo, index, &mut rng))
            .collect();
        let server = Server::start(&self.sides[0], &self.data, interrupt)?;
        nubo.load(server.address, &self.dataset, &ids, interrupt)?;
        server.stop()?;
        Ok(ids)
    }

    fn play(
        &self,
        side: &Side,
        workload: Workload,
        ids: &[String],
        number: u64,
        interrupt: &Interrupt,
    ) -> Result<Round> {
        let plan = &self.options.plan;
        let server = Server::start(side, &self.data, interrupt)?;
        self.check(side, &server, workload)
            .with_context(|| format!("the answers of {}", side.name()))?;
        let mut requests = Requests::new(&self.dataset, ids, &side.routes(), number)?;
        let mut next = |out: &mut Vec<u8>| requests.next(workload, out);
        let concurrency = usize::from(self.options.concurrency);
        let mut generator = Generator::connect(server.address, concurrency)?;
        let warm = generator.drive(plan.warmup(), interrupt, &mut next)?;
        let before = self.rows()?;
        let mut round = measure(&server, || {
            generator.drive(plan.span(), interrupt, &mut next)
        })?;
        round.outcome.adopt_failures(&warm);
        drop(generator);
        server.stop()?;
        if workload == Workload::Create {
            let stored = self.rows()? - before;
            let answered = round.outcome.requests();
            ensure!(
                stored >= answered,
                "{answered} creates were answered and {stored} are stored"
            );
        }
        let title = workload.title();
        report::announce(
            &format!("{title} {:<12}", side.name()),
            number,
            &round,
            plan,
        );
        ensure!(
            round.outcome.failures() == 0,
            "{}, {title}: {}",
            side.name(),
            round.outcome.failure_text()
        );
        Ok(round)
    }

    fn rows(&self) -> Result<u64> {
        let count = self
            .database
            .execute(&format!("SELECT count(*) FROM {}", self.table))?;
        Ok(count.parse()?)
    }

    /// Makes sure that what is about to be counted is right: one create is stored as it was sent, and
    /// a list has the newest of its conversation, in order.
    fn check(&self, side: &Side, server: &Server, workload: Workload) -> Result<()> {
        let mut client = Client::connect(server.address, LIMIT)?;
        let routes = side.routes();
        if workload == Workload::List {
            let conversation = &self.dataset.conversations()[3];
            let answer = client.json("GET", &routes.list.replace("{}", conversation), None)?;
            let list = answer["data"].as_array().context("no list")?;
            let there = self.dataset.documents_in(3).min(20);
            let expected = self.database.execute(&format!(
                "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM {} WHERE conversation_id = \
                 '{conversation}' ORDER BY created_at DESC, id DESC LIMIT 20) AS newest",
                self.table
            ))?;
            let found: Vec<&str> = list.iter().filter_map(|one| one["id"].as_str()).collect();
            ensure!(
                found.len() == there && found.join(" ") == expected,
                "the list is another one"
            );
            return Ok(());
        }
        let mut body = Vec::new();
        self.dataset
            .write_new(&mut body, &mut fastrand::Rng::with_seed(0));
        let sent: Value = serde_json::from_slice(&body)?;
        let created = client.json("POST", routes.create, Some(&sent))?;
        let id = created["id"].as_str().context("a create answered no id")?;
        let stored = client.json("GET", &routes.read.replace("{}", id), None)?;
        crate::round::same(&sent, &stored)?;
        crate::round::same(&created, &stored)
    }
}

/// Prints the rounds of both sides and what they come to.
fn print(title: &str, sides: &[Side; 2], rounds: &[Vec<Round>; 2]) -> Result<Value> {
    let [nubo, peer] = [Summary::of(&rounds[0]), Summary::of(&rounds[1])];
    let (nubo, peer) = nubo.zip(peer).context("no rounds")?;
    print_table(title, sides, [&nubo, &peer]);
    let ratio = nubo.rate / peer.rate;
    let (least, most) = ratio_range(&rounds[0], &rounds[1]).context("no rounds")?;
    println!(
        "\nNubo's rate is {ratio:.1} times the other's ({least:.1} to {most:.1}; target {TARGET}), its \
         p99 {:.2} of the other's.",
        nubo.latency_ms(0.99) / peer.latency_ms(0.99)
    );
    Ok(json!({
        "rate": nubo.rate,
        "ratio": ratio,
        "nubo": nubo.json(&rounds[0]),
        "fastify": peer.json(&rounds[1]),
    }))
}

/// Prints what both sides came to. Their databases are not counted.
fn print_table(title: &str, sides: &[Side; 2], summaries: [&Summary; 2]) {
    println!("\n| {title} | requests/s | p50 ms | p99 ms | CPU s per 1,000, of the server alone |");
    println!("|---|--:|--:|--:|--:|");
    for (side, summary) in sides.iter().zip(summaries) {
        println!(
            "| {} | {:.0} | {:.2} | {:.2} | {:.3} |",
            side.name(),
            summary.rate,
            summary.latency_ms(0.5),
            summary.latency_ms(0.99),
            summary.cpu_per_1000
        );
    }
}
