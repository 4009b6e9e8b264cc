//! What reads feel of people who sign in. Hashing a password is meant to cost processor time, and
//! whoever reads meanwhile should not pay for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::accounts::{Account, LIMIT, OPEN, authorization, count, nubo, sign_up};
use crate::client::{Client, write_request};
use crate::compare::data_folder;
use crate::dataset::{CONVERSATIONS, Dataset};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::{Generator, Outcome, Paced};
use crate::peer::{Peer, load_nubo};
use crate::report::{self, Summary};
use crate::round::{Plan, Round, measure, same};
use crate::server::Server;

/// Accounts that sign in by turns.
const ACCOUNTS: usize = 20;
/// Connections for logins: more than the server lets wait for a password's turn, so that it is the
/// server that turns some away, and never this program that keeps them back.
const LOGIN_CONNECTIONS: usize = 512;
/// Connections for reads at a fixed rate, so that a slow answer does not hold the next read up.
const READ_CONNECTIONS: usize = 256;
/// Too many tries, and too many that wait: what an overloaded server may answer to a login.
const TURNED_AWAY: [u16; 2] = [429, 503];
const SEED: u64 = 0x6c6f_6769;

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// Logins per second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Reads per second where their rate is fixed.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    reads: u32,
    /// Connections that read as fast as they are answered, where the rate is not fixed.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Messages that are stored.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(CONVERSATIONS as u64..))]
    documents: u64,
}

/// How often somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reads {
    /// At a fixed rate.
    Paced,
    /// As fast as the answers come.
    Closed,
}

/// What a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    reads: Reads,
    logins: bool,
}

impl Case {
    const ALL: [Self; 4] = [
        Self::new(Reads::Paced, false),
        Self::new(Reads::Paced, true),
        Self::new(Reads::Closed, false),
        Self::new(Reads::Closed, true),
    ];

    const fn new(reads: Reads, logins: bool) -> Self {
        Self { reads, logins }
    }

    fn title(self, options: &Options) -> String {
        let reads = match self.reads {
            Reads::Paced => format!("{} reads/s", options.reads),
            Reads::Closed => format!("reads on {} connections", options.concurrency),
        };
        match self.logins {
            true => format!("{reads}, {} logins/s", options.rate),
            false => format!("{reads}, no logins"),
        }
    }
}

/// What a round found beside its figures of the server and of the reads.
struct Beside {
    /// How late reads at a fixed rate were sent.
    reads: Option<Paced>,
    logins: Option<Paced>,
}

/// A case's rounds.
#[derive(Default)]
struct Found {
    rounds: Vec<Round>,
    reads: Option<Paced>,
    logins: Option<Paced>,
}

impl Found {
    fn add(&mut self, round: Round, beside: Beside) {
        self.rounds.push(round);
        for (all, one) in [
            (&mut self.reads, beside.reads),
            (&mut self.logins, beside.logins),
        ] {
            match (all.as_mut(), one) {
                (Some(all), Some(one)) => all.merge(&one),
                (None, one) => *all = one,
                (Some(_), None) => {}
            }
        }
    }
}

/// Everything a round needs.
struct Site<'a> {
    nubo: &'a dyn Peer,
    fixture: &'a Fixture,
    dataset: &'a Dataset,
    /// Ids of the messages, in the order of the dataset.
    ids: &'a [String],
    accounts: &'a [Account],
    options: &'a Options,
}

impl Site<'_> {
    fn reads(&self) -> Result<Vec<Vec<u8>>> {
        let request = |id: &String| {
            let mut request = Vec::new();
            write_request(&mut request, "GET", &format!("/{OPEN}/{id}"), None, b"")?;
            Ok(request)
        };
        self.ids.iter().map(request).collect()
    }

    fn logins(&self) -> Result<Vec<Vec<u8>>> {
        let request = |account: &Account| {
            let mut request = Vec::new();
            let body = account.credentials().to_string();
            write_request(&mut request, "POST", "/login", None, body.as_bytes())?;
            Ok(request)
        };
        self.accounts.iter().map(request).collect()
    }

    /// Makes sure that the answers about to be counted are the right ones.
    fn check(&self, address: SocketAddr, rng: &mut Rng) -> Result<()> {
        let mut client = Client::connect(address, LIMIT)?;
        let index = rng.usize(..self.ids.len());
        let mut expected = Vec::new();
        self.dataset
            .write_loaded(&mut expected, index, &self.ids[index]);
        let stored = client.json("GET", &format!("/{OPEN}/{}", self.ids[index]), None)?;
        same(&serde_json::from_slice(&expected)?, &stored)?;

        let account = &self.accounts[rng.usize(..self.accounts.len())];
        let answer = client.json("POST", "/login", Some(&account.credentials()))?;
        ensure!(
            answer["user"]["id"] == *account.id,
            "a login answered another account: {answer}"
        );
        let token = authorization(&answer)?;
        count(&mut client, "sessions", Some(&token)).context("with the token of a login")?;

        let mut wrong = account.credentials();
        wrong["password"] = json!("not the password");
        let (status, answer) = client.ask("POST", "/login", None, Some(&wrong))?;
        ensure!(
            status == 401,
            "a wrong password was answered {status}: {answer}"
        );
        Ok(())
    }

    /// How many sessions there are.
    fn sessions(&self, address: SocketAddr) -> Result<u64> {
        let mut client = Client::connect(address, LIMIT)?;
        let own = |account: &Account| {
            count(&mut client, "sessions", Some(&account.authorization))
                .context("counting sessions")
        };
        self.accounts.iter().map(own).sum()
    }

    fn play(&self, case: Case, number: u64, interrupt: &Interrupt) -> Result<(Round, Beside)> {
        let (options, plan) = (self.options, &self.options.plan);
        let mut rng = Rng::with_seed(SEED + number);
        let server = Server::start(self.nubo, &self.fixture.fresh(true)?, interrupt)?;
        self.check(server.address, &mut rng)
            .context("the answers are not as they must be")?;
        let sessions = self.sessions(server.address)?;

        let (reads, logins) = (self.reads()?, self.logins()?);
        let mut read = |out: &mut Vec<u8>| {
            out.extend_from_slice(&reads[rng.usize(..reads.len())]);
        };
        let mut by_turns = logins.iter().cycle();
        let mut login = |out: &mut Vec<u8>| {
            out.extend_from_slice(by_turns.next().map_or(b"", Vec::as_slice));
        };
        let connections = match case.reads {
            Reads::Paced => READ_CONNECTIONS,
            Reads::Closed => usize::from(options.concurrency),
        };
        let mut readers = Generator::connect(server.address, connections)?;
        let mut people = match case.logins {
            true => Some(Generator::connect(server.address, LOGIN_CONNECTIONS)?),
            false => None,
        };
        let mut load = |span: Duration| {
            thread::scope(|scope| -> Result<(Outcome, Beside)> {
                // A thread of its own: fifty logins per second are no work for the generator, and
                // must not wait for the reads.
                let logins = people.as_mut().map(|people| {
                    let login = &mut login;
                    scope.spawn(move || people.pace(options.rate, span, interrupt, login))
                });
                let read = match case.reads {
                    Reads::Closed => readers.drive(span, interrupt, &mut read).map(|o| (o, None)),
                    Reads::Paced => readers
                        .pace(options.reads, span, interrupt, &mut read)
                        .map(|paced| (paced.outcome.clone(), Some(paced))),
                };
                let logins = logins.map(|logins| match logins.join() {
                    Ok(found) => found.context("logins"),
                    Err(_) => Err(anyhow!("the thread of the logins panicked")),
                });
                let (outcome, reads) = read.context("reads")?;
                let logins = logins.transpose()?;
                Ok((outcome, Beside { reads, logins }))
            })
        };

        let (warm, warm_beside) = load(plan.warmup())?;
        let mut beside = None;
        let mut round = measure(&server, || {
            let (outcome, found) = load(plan.span())?;
            beside = Some(found);
            Ok(outcome)
        })?;
        let beside = beside.context("nothing was measured")?;
        round.outcome.adopt_failures(&warm);

        if let (Some(warm), Some(logins)) = (&warm_beside.logins, &beside.logins) {
            for outcome in [&warm.outcome, &logins.outcome] {
                let other = outcome.failures() - turned_away(outcome).iter().sum::<u64>();
                ensure!(other == 0, "logins failed: {}", outcome.failure_text());
            }
            let made = self.sessions(server.address)?.saturating_sub(sessions);
            let answered = warm.outcome.requests() + logins.outcome.requests();
            ensure!(
                made == answered,
                "{answered} logins succeeded and made {made} sessions"
            );
        }
        drop((readers, people));
        server.stop()?;
        report::announce(
            &format!("{:<40}", case.title(options)),
            number,
            &round,
            plan,
        );
        Ok((round, beside))
    }
}

/// How many were answered with each of the statuses that an overloaded server may answer.
fn turned_away(outcome: &Outcome) -> [u64; 2] {
    TURNED_AWAY.map(|status| outcome.refusals(status))
}

/// Measures, and prints the tables.
///
/// # Errors
/// When the server does not start or answers wrongly, when a read fails, or a login in any other
/// way than 429 or 503.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let plan = &options.plan;
    let dataset = Dataset::new(usize::try_from(options.documents)?);
    let nubo = nubo(interrupt)?;
    let root = data_folder(plan.data_dir.clone())?;
    let mut rng = Rng::with_seed(1);
    let ids: Vec<String> = (0..dataset.documents)
        .map(|index| nubo.id(index, &mut rng))
        .collect();
    let fixture = Fixture::empty(&nubo, root.path(), interrupt)?;
    let mut accounts = Vec::new();
    fixture.fill(&nubo, interrupt, |address| {
        accounts = sign_up(address, ACCOUNTS)?;
        load_nubo(address, OPEN, ids.len(), interrupt, |out, index| {
            dataset.write_loaded(out, index, &ids[index]);
        })
    })?;
    let site = Site {
        nubo: &nubo,
        fixture: &fixture,
        dataset: &dataset,
        ids: &ids,
        accounts: &accounts,
        options: &options,
    };

    let mut found: BTreeMap<Case, Found> = BTreeMap::new();
    for number in 0..plan.rounds {
        for case in Case::ALL {
            let attempt = || site.play(case, number, interrupt);
            let (round, beside) = plan
                .quietest(attempt)
                .with_context(|| case.title(&options))?;
            found.entry(case).or_default().add(round, beside);
        }
    }

    print(&found, &options);
    report::write(plan, &json(&found, &options))?;
    let failed: Vec<String> = found
        .iter()
        .flat_map(|(case, found)| found.rounds.iter().map(move |round| (case, &round.outcome)))
        .filter(|(_, outcome)| outcome.failures() > 0)
        .map(|(case, outcome)| format!("{}: {}", case.title(&options), outcome.failure_text()))
        .collect();
    if !failed.is_empty() {
        bail!("reads failed:\n{}", failed.join("\n"));
    }
    Ok(())
}

fn print(found: &BTreeMap<Case, Found>, options: &Options) {
    let rows: Vec<(Case, &Found, Summary)> = found
        .iter()
        .filter_map(|(case, found)| Some((*case, found, Summary::of(&found.rounds)?)))
        .collect();
    let fastest = report::fastest(rows.iter().map(|(_, _, row)| row));
    println!("\n| reads by id | reads/s | p50 ms | p99 ms | p99.9 ms | sent late, p99 ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (case, found, row) in &rows {
        let late = found.reads.as_ref().map_or_else(String::new, |reads| {
            format!("{:.2}", milliseconds(reads.lateness_us(0.99)))
        });
        println!(
            "| {}{} | {:.0} | {:.2} | {:.2} | {:.2} | {late} |",
            case.title(options),
            row.mark(fastest),
            row.rate,
            row.latency_ms(0.5),
            row.latency_ms(0.99),
            row.latency_ms(0.999),
        );
    }
    if rows.iter().any(|(_, _, row)| !row.mark(fastest).is_empty()) {
        report::print_legend();
    }

    println!("\n| logins during | due | succeeded | 429 | 503 | p50 ms | p99 ms |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (case, found, _) in &rows {
        let Some(logins) = &found.logins else {
            continue;
        };
        let [too_many, unavailable] = turned_away(&logins.outcome);
        println!(
            "| {} | {} | {} | {too_many} | {unavailable} | {:.1} | {:.1} |",
            case.title(options),
            logins.due,
            logins.outcome.requests(),
            milliseconds(logins.outcome.latency_us(0.5)),
            milliseconds(logins.outcome.latency_us(0.99)),
        );
    }

    let p99 = |logins| {
        let found = found.get(&Case::new(Reads::Paced, logins))?;
        Some(Summary::of(&found.rounds)?.latency_ms(0.99))
    };
    if let (Some(without), Some(with)) = (p99(false), p99(true)) {
        println!(
            "\np99 of {} reads/s: {without:.2} ms without logins, {with:.2} ms with {} logins/s",
            options.reads, options.rate
        );
    }
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn json(found: &BTreeMap<Case, Found>, options: &Options) -> Value {
    let cases = found.iter().filter_map(|(case, found)| {
        let mut value = Summary::of(&found.rounds)?.json(&found.rounds);
        value["title"] = json!(case.title(options));
        if let Some(reads) = &found.reads {
            value["sent_late_p99_us"] = json!(reads.lateness_us(0.99));
        }
        if let Some(logins) = &found.logins {
            let [too_many, unavailable] = turned_away(&logins.outcome);
            value["logins"] = json!({
                "due": logins.due,
                "succeeded": logins.outcome.requests(),
                "status_429": too_many,
                "status_503": unavailable,
                "p50_us": logins.outcome.latency_us(0.5),
                "p99_us": logins.outcome.latency_us(0.99),
                "sent_late_p99_us": logins.lateness_us(0.99),
            });
        }
        Some(value)
    });
    json!({
        "logins_per_second": options.rate,
        "reads_per_second": options.reads,
        "cases": cases.collect::<Vec<_>>(),
    })
}
