//! Far more documents than the cache may hold, and readers who prefer some of them: what it takes,
//! how often it has what is asked for, and how fast that is, over time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use fastrand::Rng;

use crate::client::write_request;
use crate::compare::data_folder;
use crate::dataset::{CONVERSATIONS, Dataset};
use crate::external::workspace;
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::{Nubo, Peer, Program};
use crate::process::own_memory;
use crate::server::Server;

/// Documents that are read to learn what one takes.
const SAMPLE: usize = 2_000;
/// How long is measured between two looks.
const SLICE: Duration = Duration::from_secs(2);
/// A mebibyte.
const MIB: f64 = 1_048_576.0;

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    /// Documents stored.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(CONVERSATIONS as u64..))]
    documents: u64,
    /// For which share of them there is room, in percent.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    room: u8,
    /// How much some documents are preferred: the one in place n is read 1/n^skew times as often as
    /// the first.
    #[arg(long, default_value_t = 1.0)]
    skew: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Where the server's data goes, in a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<std::path::PathBuf>,
}

/// What `nubo cache stats` says.
struct Look {
    documents: u64,
    bytes: u64,
    hits: u64,
    misses: u64,
    evictions: u64,
}

/// Measures, and prints a line for every two seconds.
///
/// # Errors
/// When the server does not start, fails a request, or takes more than it may.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let dataset = Dataset::new(usize::try_from(options.documents)?);
    let root = data_folder(options.data_dir)?;
    let nubo = Nubo::obtain(interrupt)?;
    let fixture = Fixture::prepare(&nubo, root.path(), &dataset, true, interrupt)?;
    let each = bytes_each(&nubo, &fixture, interrupt)?;
    let budget = each * options.documents * u64::from(options.room) / 100;
    let nubo = nubo
        .with_environment(("NUBO_TIERS__CACHE__MAX_MEMORY", &format!("{budget}B")))
        .with_environment(("NUBO_TIERS__CACHE__MARGIN", "0B"));
    println!(
        "{} documents, {each} bytes each, room for {}%: {:.1} MiB",
        options.documents,
        options.room,
        budget as f64 / MIB
    );

    let mut ids = fixture.ids.clone();
    let mut rng = Rng::with_seed(3);
    rng.shuffle(&mut ids);
    let skewed = Skewed::new(ids.len(), options.skew);
    let data = fixture.fresh(true)?;
    let server = Server::start(&nubo, &data, interrupt)?;
    let empty = own_memory(server.pid())?;
    let mut generator = Generator::connect(server.address, usize::from(options.concurrency))?;
    let mut next = request_of(&nubo, &ids, move || skewed.draw(&mut rng))?;
    println!("| second | requests/s | hits | documents | cache MiB | process MiB | evictions |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let mut before = look(&nubo, &data)?;
    for slice in 1..=options.seconds.div_ceil(SLICE.as_secs()) {
        let outcome = generator.drive(SLICE, interrupt, &mut next)?;
        ensure!(outcome.failures() == 0, "{}", outcome.failure_text());
        let now = look(&nubo, &data)?;
        let asked = (now.hits + now.misses - before.hits - before.misses).max(1);
        println!(
            "| {} | {:.0} | {:.1}% | {} | {:.1} | {:.0} | {} |",
            slice * SLICE.as_secs(),
            outcome.rate(),
            (now.hits - before.hits) as f64 * 100.0 / asked as f64,
            now.documents,
            now.bytes as f64 / MIB,
            own_memory(server.pid())? as f64 / MIB,
            now.evictions,
        );
        ensure!(
            now.bytes <= budget,
            "the cache takes {} bytes and may take {budget}",
            now.bytes
        );
        before = now;
    }
    let process = own_memory(server.pid())?.saturating_sub(empty);
    println!(
        "\nThe process's own memory, without mapped files, grew by {:.1} MiB. The cache says {:.1}.",
        process as f64 / MIB,
        before.bytes as f64 / MIB
    );
    drop(generator);
    server.stop()
}

/// What the cache counts for a document, on average.
fn bytes_each(nubo: &Nubo, fixture: &Fixture, interrupt: &Interrupt) -> Result<u64> {
    let data = fixture.fresh(true)?;
    let server = Server::start(nubo, &data, interrupt)?;
    let mut client = crate::client::Client::connect(server.address, Duration::from_secs(30))?;
    for id in fixture
        .ids
        .iter()
        .step_by((fixture.ids.len() / SAMPLE).max(1))
    {
        client.json("GET", &nubo.routes().read.replace("{}", id), None)?;
    }
    let look = look(nubo, &data)?;
    server.stop()?;
    ensure!(look.documents > 0, "nothing was cached");
    Ok(look.bytes / look.documents)
}

/// Requests for documents that are drawn.
fn request_of(
    nubo: &Nubo,
    ids: &[String],
    mut draw: impl FnMut() -> usize,
) -> Result<impl FnMut(&mut Vec<u8>)> {
    let requests = ids.iter().map(|id| {
        let mut request = Vec::new();
        let path = nubo.routes().read.replace("{}", id);
        write_request(&mut request, "GET", &path, None, b"")?;
        Ok(request.into_boxed_slice())
    });
    let requests = requests.collect::<Result<Vec<_>>>()?;
    Ok(move |out: &mut Vec<u8>| out.extend_from_slice(&requests[draw()]))
}

/// Asks the running server what it holds of `messages`.
fn look(nubo: &Nubo, data: &Path) -> Result<Look> {
    let mut command: Command = nubo.command(data, 0);
    // The same configuration; another command.
    let program = command.get_program().to_owned();
    let environment: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new(program);
    command
        .args(["--config", "benches/nubo.yaml", "cache", "stats"])
        .current_dir(workspace())
        .envs(environment);
    let output = command.output().context("cannot run `nubo cache stats`")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "`nubo cache stats`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |first: &str| {
        let found = rows.iter().find(|row| row.first() == Some(&first));
        found.with_context(|| format!("`nubo cache stats` shows no {first}: {said}"))
    };
    let (head, messages) = (row("collection")?, row("messages")?);
    let number = |name: &str| -> Result<u64> {
        let at = head.iter().position(|cell| *cell == name);
        let cell = at.and_then(|at| messages.get(at)).context("no column")?;
        Ok(cell.parse()?)
    };
    Ok(Look {
        documents: number("documents")?,
        bytes: number("bytes")?,
        hits: number("hits")?,
        misses: number("misses")?,
        evictions: number("evictions")?,
    })
}

/// Draws places of which the first are preferred (Zipf's law).
struct Skewed {
    /// For each place, the share of it and those before it.
    shares: Vec<f64>,
}

impl Skewed {
    fn new(count: usize, skew: f64) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=count)
            .map(|place| {
                sum += (place as f64).powf(-skew);
                sum
            })
            .collect();
        for share in &mut shares {
            *share /= sum;
        }
        Self { shares }
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let drawn = rng.f64();
        let at = self.shares.partition_point(|share| *share < drawn);
        at.min(self.shares.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_preferred() {
        let skewed = Skewed::new(1000, 1.0);
        let mut rng = Rng::with_seed(1);
        let mut counts = vec![0_u32; 1000];
        for _ in 0..100_000 {
            counts[skewed.draw(&mut rng)] += 1;
        }
        let tenth: u32 = counts[..100].iter().sum();
        assert!((60_000..80_000).contains(&tenth), "{tenth}");
        assert!(counts[0] > 5 * counts[9] && counts[999] < counts[99]);
    }
}
