//! How far the recent tier lags behind while creates come, and what becomes of that when MongoDB stands
//! still for a while: notes pile up in PostgreSQL and are worked off afterwards. All the while a client
//! creates messages and reads each back, by its id and as the newest of its conversation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{LIMIT, LONG, Site};
use crate::client::Client;
use crate::dataset::{Requests, Workload, uuid};
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::Peer;
use crate::process::cpu_time;
use crate::server::Server;

/// How often it is looked how far the tier lags behind.
const LOOK: Duration = Duration::from_secs(1);
/// How long the tier may take to catch up after MongoDB is back. The load goes on for so long.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// How old the oldest note is where the tier has caught up, in milliseconds: as under the load before.
const CALM: u64 = 2000;

/// How far the tier lags behind at a moment.
struct Lag {
    /// Seconds since the load began.
    at: f64,
    /// Documents that were noted and have not arrived.
    documents: u64,
    /// How old the oldest note is, in milliseconds.
    oldest: u64,
    /// How much of a processor Nubo, PostgreSQL and MongoDB have taken since the moment before.
    cores: [f64; 3],
}

impl Site {
    pub(super) fn keeping_up(&self, interrupt: &Interrupt) -> Result<Value> {
        let side = &self.sides[0];
        self.database.empty("main.messages")?;
        let server = Server::start(side, &self.data, interrupt)?;
        self.wait_for_tier(side, interrupt)?;
        let routes = side.nubo.routes();
        let outage = Duration::from_secs(self.options.outage);
        let stop = AtomicBool::new(false);
        let checked = AtomicU64::new(0);
        let began = Instant::now();
        let mut figures = json!({});
        thread::scope(|scope| -> Result<()> {
            let checker = scope.spawn(|| read_own_writes(&server, routes.list, &stop, &checked));
            let looker = scope.spawn(|| self.look(&server, began, &stop));
            let work = || -> Result<(f64, f64, f64)> {
                let mut requests = Requests::new(&self.dataset, &[], &routes, 0)?;
                let mut next = |out: &mut Vec<u8>| requests.next(Workload::Create, out);
                let concurrency = usize::from(self.options.concurrency);
                let mut generator = Generator::connect(server.address, concurrency)?;
                let rate = self.options.creates;
                let mut play = |span| -> Result<f64> {
                    let paced = generator.pace(rate, span, interrupt, &mut next)?;
                    let outcome = paced.outcome;
                    ensure!(outcome.failures() == 0, "{}", outcome.failure_text());
                    Ok(outcome.requests() as f64 / span.as_secs_f64())
                };
                let calm = play(outage)?;
                eprintln!(
                    "{:.0} s: MongoDB stands still",
                    began.elapsed().as_secs_f64()
                );
                self.database.signal("mongo", "STOP")?;
                let away = play(outage);
                self.database.signal("mongo", "CONT")?;
                let away = away?;
                let back = began.elapsed().as_secs_f64();
                eprintln!("{back:.0} s: MongoDB goes on");
                let after = play(CAUGHT_UP)?;
                eprintln!(
                    "creates per second: {calm:.0}, {away:.0} without MongoDB, {after:.0} after"
                );
                interrupt.wait_for("catching up", LONG, Duration::from_millis(200), || {
                    Ok((self.behind()?.0 == 0).then_some(()))
                })?;
                Ok((calm, away, back))
            };
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            let lags = looker.join().ok().context("the one who looks")??;
            checker.join().ok().context("the one who checks")??;
            let (calm, away, back) = worked?;
            let mut after = lags.iter().filter(|lag| lag.at > back);
            let caught_up = after.find(|lag| lag.oldest < CALM);
            let caught_up = caught_up.map_or(f64::NAN, |lag| lag.at - back);
            println!(
                "\n| s | documents on their way | oldest, ms | processors: Nubo | PostgreSQL | MongoDB |\n\
                 |--:|--:|--:|--:|--:|--:|"
            );
            for Lag {
                at,
                documents,
                oldest,
                cores: [nubo, postgres, mongo],
            } in &lags
            {
                println!(
                    "| {at:.0} | {documents} | {oldest} | {nubo:.2} | {postgres:.2} | {mongo:.2} |"
                );
            }
            println!(
                "\n{calm:.0} creates per second, {away:.0} while MongoDB stood still for {outage:?}. \
                 The tier had caught up {caught_up:.0} s after it went on, under the load (at most \
                 {CAUGHT_UP:?}). {} messages were read back meanwhile, none wrong.\n",
                checked.load(Ordering::Relaxed)
            );
            figures = json!({
                "creates_per_second": calm,
                "without_mongodb": away,
                "caught_up_after_s": caught_up,
                "lag": lags.iter()
                    .map(|lag| json!([lag.at, lag.documents, lag.oldest, lag.cores]))
                    .collect::<Vec<_>>(),
            });
            Ok(())
        })?;
        server.stop()?;
        Ok(figures)
    }

    /// How many documents are on their way, and how old the oldest note is, in milliseconds.
    fn behind(&self) -> Result<(u64, u64)> {
        let said = self.database.execute(
            "SELECT coalesce(sum(cardinality(ids)), 0), \
             coalesce((extract(epoch FROM clock_timestamp() - min(at)) * 1000)::bigint, 0) \
             FROM nubo.outbox",
        )?;
        let (documents, oldest) = said.split_once('|').context("two numbers")?;
        Ok((documents.parse()?, oldest.parse()?))
    }

    fn look(&self, server: &Server, began: Instant, stop: &AtomicBool) -> Result<Vec<Lag>> {
        let processes = [
            server.pid(),
            self.database.process("postgres")?,
            self.database.process("mongo")?,
        ];
        let mut spent = [Duration::ZERO; 3];
        for (spent, process) in spent.iter_mut().zip(processes) {
            *spent = cpu_time(process)?;
        }
        let mut lags: Vec<Lag> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
            let (documents, oldest) = self.behind()?;
            let at = began.elapsed().as_secs_f64();
            let since = at - lags.last().map_or(0.0, |lag| lag.at);
            let mut cores = [0.0; 3];
            for ((core, spent), process) in cores.iter_mut().zip(&mut spent).zip(processes) {
                let now = cpu_time(process)?;
                *core = now.saturating_sub(*spent).as_secs_f64() / since;
                *spent = now;
            }
            lags.push(Lag {
                at,
                documents,
                oldest,
                cores,
            });
        }
        Ok(lags)
    }
}

/// Creates messages, each in a conversation of its own or one with another, and reads them back.
fn read_own_writes(
    server: &Server,
    list: &str,
    stop: &AtomicBool,
    checked: &AtomicU64,
) -> Result<()> {
    let mut client = Client::connect(server.address, LIMIT)?;
    let mut rng = fastrand::Rng::with_seed(5);
    while !stop.load(Ordering::Relaxed) {
        let conversation = uuid(rng.u128(..), 4);
        let path = list.replace("{}", &conversation);
        for count in 1..=3 {
            let message = json!({
                "conversation_id": conversation, "sender_id": uuid(rng.u128(..), 4),
                "content": format!("message {count}"),
            });
            let created = client.json("POST", "/messages", Some(&message))?;
            let id = created["id"].as_str().context("no id")?;
            let read = client.json("GET", &format!("/messages/{id}"), None)?;
            ensure!(read == created, "{read} was created as {created}");
            let newest = client.json("GET", &path, None)?;
            let newest = newest["data"].as_array().context("no list")?;
            ensure!(
                newest.len() == count && newest[0] == created,
                "a list of {} lacks what was just created",
                newest.len()
            );
            checked.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
