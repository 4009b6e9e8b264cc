//! What the recent tier spares PostgreSQL, how far it lags behind under a load of creates, and how it
//! catches up after MongoDB was away.
//!
//! Nothing is cached, so that every list is asked of the recent tier or of PostgreSQL.

mod keeping_up;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::compare::data_folder;
use crate::dataset::{CONVERSATIONS, Dataset, Requests, Workload};
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::{Nubo, Peer, Program};
use crate::postgres::database::Database;
use crate::process::cpu_time;
use crate::report::{self, Summary, ratio_range};
use crate::round::{Plan, Round, measure};
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a backfill may take, or the tier to catch up.
const LONG: Duration = Duration::from_secs(600);

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_value = "list,lag")]
    only: Vec<What>,
    /// Messages that are stored.
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Creates per second while it is measured how the tier keeps up.
    #[arg(long, default_value_t = 10_000)]
    creates: u32,
    /// Seconds of that before MongoDB is stopped, and for how long it is.
    #[arg(long, default_value_t = 60)]
    outage: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The newest 20 of a conversation, with the recent tier and without.
    List,
    /// How far the tier lags behind under creates, and how it catches up.
    Lag,
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
    let database = Database::start_with_mongo(root.path())?;
    let mongo = database.mongo.clone().context("there is no MongoDB")?;
    let data = root.path().join("data");
    fs::create_dir(&data)?;
    let site = Site {
        sides: [
            Side::new("Nubo + recent tier", &database.url, Some(&mongo), interrupt)?,
            Side::new("Nubo", &database.url, None, interrupt)?,
        ],
        dataset: Dataset::new(usize::try_from(options.documents)?),
        data,
        database,
        options,
    };
    // The tables appear at the first start.
    Server::start(&site.sides[1], &site.data, interrupt)?.stop()?;
    let mut figures = Map::new();
    if site.options.only.contains(&What::List) {
        figures.insert("list".into(), site.lists(interrupt)?);
    }
    if site.options.only.contains(&What::Lag) {
        figures.insert("lag".into(), site.keeping_up(interrupt)?);
    }
    report::write(&site.options.plan, &figures.into())
}

/// Everything that the measurements share.
struct Site {
    /// With the recent tier and without.
    sides: [Side; 2],
    dataset: Dataset,
    data: PathBuf,
    database: Database,
    options: Options,
}

/// Nubo on PostgreSQL, without a cache.
struct Side {
    nubo: Nubo,
    name: &'static str,
    has_recent: bool,
}

impl Side {
    fn new(
        name: &'static str,
        url: &str,
        mongo: Option<&str>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut nubo = Nubo::with_config("benches/recent/nubo.yaml", interrupt)?
            .with_environment(("NUBO_TIERS__TRUTH__DRIVER", "postgres"))
            .with_environment(("NUBO_TIERS__TRUTH__MIGRATE", "auto"))
            .with_environment(("NUBO_TIERS__CACHE__DRIVER", "memory"))
            .with_environment(("DATABASE_URL", url));
        if let Some(mongo) = mongo {
            nubo = nubo.with_environment(("MONGODB_URI", mongo));
        }
        Ok(Self {
            nubo,
            name,
            has_recent: mongo.is_some(),
        })
    }
}

impl Program for Side {
    fn name(&self) -> &'static str {
        self.name
    }

    fn command(&self, data: &std::path::Path, port: u16) -> Command {
        self.nubo.command(data, port)
    }

    fn ready_path(&self) -> &'static str {
        self.nubo.ready_path()
    }
}

impl Site {
    fn lists(&self, interrupt: &Interrupt) -> Result<Value> {
        self.fill()?;
        self.attach(interrupt)?;
        let mut rounds: [Vec<Round>; 2] = [Vec::new(), Vec::new()];
        let mut shares: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for number in 0..self.options.plan.rounds {
            for (at, side) in self.sides.iter().enumerate() {
                let (round, share) = self.play(side, number, interrupt)?;
                rounds[at].push(round);
                shares[at].push(share);
            }
        }
        let [with, without] = [Summary::of(&rounds[0]), Summary::of(&rounds[1])];
        let (with, without) = with.zip(without).context("no rounds")?;
        println!(
            "\n| newest 20 of {} messages, a tenth of them recent | requests/s | p50 ms | p99 ms | \
             CPU of PostgreSQL, ms per 1,000 |",
            self.options.documents
        );
        println!("|---|--:|--:|--:|--:|");
        for (side, (summary, shares)) in
            self.sides.iter().zip([&with, &without].iter().zip(&shares))
        {
            println!(
                "| {} | {:.0} | {:.2} | {:.2} | {:.1} |",
                side.name,
                summary.rate,
                summary.latency_ms(0.5),
                summary.latency_ms(0.99),
                report::median(shares.clone())
            );
        }
        let ratio = with.rate / without.rate;
        let (least, most) = ratio_range(&rounds[0], &rounds[1]).context("no rounds")?;
        println!(
            "\nWith the recent tier the rate is {ratio:.2} times the one without ({least:.2} to {most:.2}).\n"
        );
        Ok(json!({
            "ratio": ratio,
            "with": with.json(&rounds[0]),
            "without": without.json(&rounds[1]),
            "postgres_ms_per_1000": shares,
        }))
    }

    /// Stores messages over a year, a tenth of them within 30 days, each conversation alike.
    fn fill(&self) -> Result<()> {
        let documents = self.options.documents;
        let started = Instant::now();
        let conversations = self.dataset.conversations().iter();
        let conversations: Vec<String> = conversations.map(|id| format!("'{id}'")).collect();
        // As the server itself, whose rows nobody has to note.
        self.database.execute(&format!(
            "SET nubo.hand = 'own'; \
             INSERT INTO main.messages (id, conversation_id, sender_id, message_type, state, content, \
             created_at, updated_at, _rev) \
             SELECT gen_random_uuid(), (ARRAY[{}]::uuid[])[1 + n % {CONVERSATIONS}], \
             gen_random_uuid(), 0, 0, repeat('words of a message ', 4 + (n % 5)::int), at, at, \
             (extract(epoch FROM at) * 1000000)::bigint \
             FROM (SELECT n, date_trunc('milliseconds', now() - CASE WHEN n < {documents} / 10 \
             THEN n * interval '29 days' / ({documents} / 10) \
             ELSE interval '31 days' + n * interval '330 days' / {documents} END) AS at \
             FROM generate_series(0, {documents} - 1) AS n) AS messages",
            conversations.join(",")
        ))?;
        self.database.execute("VACUUM ANALYZE main.messages")?;
        self.database.execute("CHECKPOINT")?;
        eprintln!("{documents} messages in {:.0?}", started.elapsed());
        Ok(())
    }

    /// Has the tier have everything that is recent.
    fn attach(&self, interrupt: &Interrupt) -> Result<()> {
        let side = &self.sides[0];
        let server = Server::start(side, &self.data, interrupt)?;
        let started = Instant::now();
        let pause = Duration::from_millis(200);
        let said = interrupt.wait_for("the backfill", LONG, pause, || {
            let done = side
                .nubo
                .order(&self.data, &["recent", "backfill"])
                .output()?;
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            Ok(done.status.success().then_some(said))
        })?;
        eprintln!(
            "{} ({:.0?})",
            said.lines().next().unwrap_or_default(),
            started.elapsed()
        );
        server.stop()
    }

    /// A round of lists, and the processor time of PostgreSQL for a thousand of them, in milliseconds.
    fn play(&self, side: &Side, number: u64, interrupt: &Interrupt) -> Result<(Round, f64)> {
        let plan = &self.options.plan;
        let server = Server::start(side, &self.data, interrupt)?;
        self.check(side, &server, interrupt)?;
        let routes = side.nubo.routes();
        let mut requests = Requests::new(&self.dataset, &[], &routes, number)?;
        let mut next = |out: &mut Vec<u8>| requests.next(Workload::List, out);
        let concurrency = usize::from(self.options.concurrency);
        let mut generator = Generator::connect(server.address, concurrency)?;
        let warm = generator.drive(plan.warmup(), interrupt, &mut next)?;
        let postgres = self.database.process("postgres")?;
        let before = cpu_time(postgres)?;
        let mut round = measure(&server, || {
            generator.drive(plan.span(), interrupt, &mut next)
        })?;
        let spent = cpu_time(postgres)?.saturating_sub(before);
        round.outcome.adopt_failures(&warm);
        drop(generator);
        server.stop()?;
        report::announce(&format!("list {:<18}", side.name), number, &round, plan);
        ensure!(
            round.outcome.failures() == 0,
            "{}",
            round.outcome.failure_text()
        );
        let each = spent.as_secs_f64() * 1e6 / round.outcome.requests().max(1) as f64;
        Ok((round, each))
    }

    /// Waits until the server that was just started answers from the recent tier, if it has one.
    fn wait_for_tier(&self, side: &Side, interrupt: &Interrupt) -> Result<()> {
        if !side.has_recent {
            return Ok(());
        }
        let log = self.data.join("server.log");
        let pause = Duration::from_millis(50);
        interrupt.wait_for("the recent tier", LONG, pause, || {
            let is_there = fs::read_to_string(&log)?.contains("the recent tier is up to date");
            Ok(is_there.then_some(()))
        })
    }

    /// Makes sure that a list is the one of the database.
    fn check(&self, side: &Side, server: &Server, interrupt: &Interrupt) -> Result<()> {
        self.wait_for_tier(side, interrupt)?;
        let mut client = Client::connect(server.address, LIMIT)?;
        let conversation = &self.dataset.conversations()[3];
        let path = side.nubo.routes().list.replace("{}", conversation);
        let list = client.json("GET", &path, None)?;
        let found = list["data"].as_array().context("no list")?.iter();
        let found: Vec<&str> = found.filter_map(|one| one["id"].as_str()).collect();
        let expected = self.database.execute(&format!(
            "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM main.messages WHERE \
             conversation_id = '{conversation}' ORDER BY created_at DESC, id DESC LIMIT 20) AS newest"
        ))?;
        ensure!(found.join(" ") == expected, "the list is another one");
        Ok(())
    }
}
