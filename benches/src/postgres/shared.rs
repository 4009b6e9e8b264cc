//! What a cache in Redis gives and costs: Nubo with it beside Nubo without, on the same database.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::{Side, Site, print_table};
use crate::dataset::{Requests, Workload};
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::report::{Summary, ratio_range};
use crate::round::Round;
use crate::server::Server;

/// Times the rate without Redis that reads are meant to reach, and the share that creates are.
const READS: f64 = 2.0;
const CREATES: f64 = 0.8;
/// How much longer reads may take while Redis stands still, in milliseconds of their p99.
const SLOWER: f64 = 5.0;
/// What is not counted after Redis was stopped.
const FIRST: Duration = Duration::from_secs(1);

impl Site {
    /// Reads by id, the newest 20 of a conversation, creates; and reads while Redis stands still.
    pub(super) fn shared(&self, interrupt: &Interrupt) -> Result<Value> {
        self.database.empty(&self.table)?;
        let ids = self.fill(interrupt)?;
        self.database
            .execute(&format!("VACUUM ANALYZE {}", self.table))?;
        self.database.execute("CHECKPOINT")?;
        let sides = [
            Side::nubo_with_redis(&self.database.url, &self.database.redis, interrupt)?,
            Side::nubo(&self.database.url, interrupt)?,
        ];
        let mut figures = Map::new();
        for (workload, target) in [
            (Workload::Read, READS),
            (Workload::List, READS),
            (Workload::Create, CREATES),
        ] {
            let mut rounds: [Vec<Round>; 2] = [Vec::new(), Vec::new()];
            for number in 0..self.options.plan.rounds {
                for (side, rounds) in sides.iter().zip(&mut rounds) {
                    rounds.push(self.play(side, workload, &ids, number, interrupt)?);
                }
            }
            let title = workload.title();
            figures.insert(title.into(), compare(title, &sides, &rounds, target)?);
        }
        figures.insert(
            "redis stopped".into(),
            self.stopped(&sides, &ids, interrupt)?,
        );
        Ok(figures.into())
    }

    /// Reads by id while Redis stands still, after the first second, beside reads without Redis.
    fn stopped(&self, sides: &[Side; 2], ids: &[String], interrupt: &Interrupt) -> Result<Value> {
        let plan = &self.options.plan;
        let mut p99 = [0.0; 2];
        for (side, p99) in sides.iter().zip(&mut p99) {
            let server = Server::start(side, &self.data, interrupt)?;
            let mut requests = Requests::new(&self.dataset, ids, &side.routes(), 0)?;
            let mut next = |out: &mut Vec<u8>| requests.next(Workload::Read, out);
            let concurrency = usize::from(self.options.concurrency);
            let mut generator = Generator::connect(server.address, concurrency)?;
            generator.drive(plan.warmup(), interrupt, &mut next)?;
            self.database.signal_redis("STOP")?;
            let measured = generator
                .drive(FIRST, interrupt, &mut next)
                .and_then(|_| generator.drive(plan.span(), interrupt, &mut next));
            self.database.signal_redis("CONT")?;
            let outcome = measured?;
            ensure!(outcome.failures() == 0, "{}", outcome.failure_text());
            *p99 = outcome.latency_us(0.99) as f64 / 1000.0;
            drop(generator);
            server.stop()?;
        }
        let [with, without] = p99;
        println!(
            "\nWhile Redis stands still, from its second second on, the p99 of reads by id is {with:.2} \
             ms; without Redis it is {without:.2} ms (at most {SLOWER} ms more).\n"
        );
        Ok(json!({ "p99_ms": with, "p99_ms_without": without }))
    }
}

fn compare(title: &str, sides: &[Side; 2], rounds: &[Vec<Round>; 2], target: f64) -> Result<Value> {
    let [with, without] = [Summary::of(&rounds[0]), Summary::of(&rounds[1])];
    let (with, without) = with.zip(without).context("no rounds")?;
    print_table(title, sides, [&with, &without]);
    let ratio = with.rate / without.rate;
    let (least, most) = ratio_range(&rounds[0], &rounds[1]).context("no rounds")?;
    println!(
        "\nWith Redis the rate is {ratio:.2} times the one without ({least:.2} to {most:.2}; target \
         {target})."
    );
    Ok(json!({
        "ratio": ratio,
        "with": with.json(&rounds[0]),
        "without": without.json(&rounds[1]),
    }))
}
