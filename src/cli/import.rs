//! `nubo import`: a file of rows becomes documents of a collection.
//!
//! [`rows`] takes the file apart, [`mapping`] turns columns into fields ([`convert`], [`moment`]),
//! [`key`] gives each row its id, [`load`] makes writes of rows, [`report`] tells what became of
//! them. Unless asked to keep going, everything is one transaction: a row that is wrong, a crash or
//! ctrl-c leaves the collection as it was.

mod convert;
mod indexes;
mod key;
mod load;
mod mapping;
mod moment;
mod order;
mod report;
mod rows;

use std::{
    fs::File,
    io::{self, Read, Write},
    mem,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;
use nubo_core::{
    clock::Random,
    module::SetupError,
    schema::{Catalog, Collection},
    store::Store,
};

pub(super) use self::report::reason;
use self::{
    indexes::Indexes,
    key::Key,
    load::{Candidate, Loader, Prepared},
    mapping::Plan,
    report::Report,
    rows::{Format, Row, Rows},
};
use super::{causes::with_causes, progress::Progress};
use crate::{config::Problem, server::Assembly, system::SystemRandom};

/// What one transaction may hold. All of it is in memory until it is written: a row of six fields
/// takes 2 KB if it is new and 5 KB if it replaces a document.
const MAX_ROWS: u64 = 250_000;
const MAX_BYTES: u64 = 256 << 20;

const EXAMPLES: &str = "\
Examples:
  nubo import people.ndjson --collection people
      Keys are the names of fields. Rows without an `id` get a new one.
  nubo import movies.json --collection movies --key title,release_date
      The same film has the same id, however often it is imported: what is there already is
      updated where it differs.
  nubo import movies.json --collection movies --mapping mapping.yaml
      For files whose columns have other names or write dates in their own way:
        key: [title, release_date]
        fields:
          title: { from: \"Title\", as: text }
          release_date: { from: \"Release Date\", date: \"%b %d %Y\" }
          director: Director
  zcat events.ndjson.gz | nubo import - --collection events --keep-going
      From standard input; rows that are wrong are reported and left out.
  nubo import events.ndjson --collection events --keep-going --rebuild-indexes
      On PostgreSQL, for a file that is large beside what the collection has: indexes are dropped
      before and built again afterwards. Without a file, builds what a killed import has left.

The server must not be running on the same data folder.";

/// Imports documents from a JSON or NDJSON file
///
/// Every row is checked first. If one is wrong, all that are wrong are listed with their lines and
/// nothing is imported; --keep-going imports the others. A row whose id is in the collection
/// replaces that document, passwords excepted; any other row becomes a new document. created_at,
/// updated_at and _rev in a row are ignored: the server gives them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// File to read; `-` is standard input
    #[arg(
        value_name = "FILE",
        requires = "collection",
        required_unless_present = "rebuild_indexes"
    )]
    file: Option<PathBuf>,
    /// Collection that gets the documents
    #[arg(
        long,
        value_name = "NAME",
        requires = "file",
        required_unless_present = "rebuild_indexes"
    )]
    collection: Option<String>,
    /// File that says which column becomes which field
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Fields that tell rows apart, for rows without an id; instead of the mapping's key
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    key: Vec<String>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Import what is right and leave out what is wrong, instead of all or nothing
    #[arg(long)]
    keep_going: bool,
    /// How many rows are looked up at once and, with --keep-going, written at once
    #[arg(long, value_name = "ROWS", default_value_t = 500,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Give new documents without a required password one that nobody knows
    #[arg(long)]
    random_passwords: bool,
    /// Drop the collection's indexes meanwhile and build them again at the end (PostgreSQL)
    #[arg(long)]
    rebuild_indexes: bool,
}

/// Why an import came to nothing, where no row is to blame.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no collection `{name}`{suggestion}")]
    NoCollection { name: String, suggestion: String },
    #[error("--key: {0}")]
    Key(String),
    #[error("cannot read {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error(
        "{source_name} has more than {MAX_ROWS} rows or {} MiB, too much for one transaction; \
         import it in parts, or with --keep-going, which imports whatever it can",
        MAX_BYTES >> 20
    )]
    TooMuch { source_name: String },
    #[error("interrupted")]
    Interrupted,
    #[error("the import failed")]
    Store(#[from] nubo_core::Error),
    #[error(transparent)]
    Indexes(#[from] SetupError),
}

impl Import {
    /// Imports the file. The exit code is 1 if a row was rejected.
    ///
    /// # Errors
    /// When the file, the store or the terminal cannot be used.
    pub async fn run(&self, assembly: &Assembly) -> anyhow::Result<ExitCode> {
        let (Some(file), Some(name)) = (&self.file, &self.collection) else {
            let indexes = Indexes::to_rebuild(assembly).await?;
            return Ok(match indexes.build().await?.write(&mut io::stdout())? {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            });
        };
        let started = Instant::now();
        let catalog = assembly.catalog();
        let collection = named(catalog, name)?;
        let mut plan = match self.plan(collection)? {
            Ok(plan) => plan,
            Err(problems) => {
                write_problems(&problems)?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let (input, size) = open(file)?;
        let rows = Rows::new(input, self.format);
        let progress = Progress::of_bytes(size);

        let mut indexes = match self.rebuild_indexes {
            true => Indexes::to_rebuild(assembly).await?,
            false => Indexes::to_keep(assembly).await?,
        };
        let open = assembly.open().await?;
        let loader = self.loader(&*open.store, catalog, collection);
        let loading = self.load(loader, &mut plan, rows, &progress, &mut indexes);
        let result = self.until_interrupted(loading).await;
        // Whatever is still being written holds the table until then.
        assembly.close(open).await;
        if self.rebuild_indexes {
            progress.wait("building indexes");
        }
        let rebuilt = indexes.build().await;
        drop(progress);
        let all_built = match rebuilt {
            Ok(rebuilt) => rebuilt.write(&mut io::stderr())?,
            Err(error) => {
                writeln!(io::stderr(), "{}", with_causes(&error))?;
                false
            }
        };
        let report = result?;

        write_problems(&plan.unseen_columns())?;
        report.write_rejected(&source_name(file), &mut io::stderr().lock())?;
        let mut out = io::stdout().lock();
        if report.rejected > 0 && !self.keep_going {
            let rejected = report.rejected;
            writeln!(out, "{name}: nothing was imported, {rejected} rejected")?;
        } else {
            report.write_summary(name, started.elapsed(), &mut out)?;
        }
        Ok(match report.rejected == 0 && all_built {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    /// Without indexes to build again, ctrl-c just ends the process.
    async fn until_interrupted(
        &self,
        loading: impl Future<Output = Result<Report, Failure>>,
    ) -> Result<Report, Failure> {
        if !self.rebuild_indexes {
            return loading.await;
        }
        tokio::select! {
            biased;
            () = indexes::interruption() => Err(Failure::Interrupted),
            result = loading => result,
        }
    }

    fn plan(&self, collection: &Collection) -> Result<Result<Plan, Vec<Problem>>, Failure> {
        let mut plan = match &self.mapping {
            None => Plan::default(),
            Some(path) => match Plan::read(path, collection) {
                Ok(plan) => plan,
                Err(problems) => return Ok(Err(problems)),
            },
        };
        if !self.key.is_empty() {
            let fields = self
                .key
                .iter()
                .map(|name| Key::field(collection, name.trim()));
            plan.key = Key::new(fields.collect::<Result<_, _>>().map_err(Failure::Key)?);
        }
        Ok(Ok(plan))
    }

    fn loader<'a>(
        &self,
        store: &'a dyn Store,
        catalog: &'a Catalog,
        collection: &'a Collection,
    ) -> Loader<'a> {
        let passwords = self
            .random_passwords
            .then_some(&SystemRandom as &dyn Random);
        Loader::new(store, catalog, collection, passwords)
    }

    async fn load(
        &self,
        mut loader: Loader<'_>,
        plan: &mut Plan,
        mut rows: Rows<impl Read>,
        progress: &Progress,
        indexes: &mut Indexes,
    ) -> Result<Report, Failure> {
        let mut report = Report::default();
        let mut read = Extent::default();
        let (mut waiting, mut ready) = (Vec::new(), Vec::new());
        progress.doing("reading");
        loop {
            // The database writes a batch while the next one is read.
            let (written, prepared) = tokio::join!(
                load::write_apart(loader.store, loader.collection, mem::take(&mut ready)),
                self.next_batch(&mut loader, plan, &mut rows, &mut read, &mut report),
            );
            written.count(&mut report)?;
            let Some(prepared) = prepared? else { break };
            if self.keep_going {
                if !prepared.is_empty() {
                    indexes.drop_of(loader.collection).await?;
                }
                ready = prepared;
            } else if report.rejected == 0 {
                waiting.extend(prepared);
            } else {
                // Nothing will be written any more.
                waiting = Vec::new();
            }
            progress.at(rows.offset());
        }
        if report.rejected == 0 {
            if !waiting.is_empty() {
                indexes.drop_of(loader.collection).await?;
            }
            progress.wait(format!("writing {} documents", waiting.len()));
            loader.write_together(waiting, &mut report).await?;
        }
        Ok(report)
    }

    /// The next rows, ready to be written, unless there are no more.
    async fn next_batch(
        &self,
        loader: &mut Loader<'_>,
        plan: &mut Plan,
        rows: &mut Rows<impl Read>,
        read: &mut Extent,
        report: &mut Report,
    ) -> Result<Option<Vec<Prepared>>, Failure> {
        let mut batch = Vec::with_capacity(self.batch.into());
        let before = read.rows;
        for row in rows.take(self.batch.into()) {
            read.rows += 1;
            read.bytes += row.bytes as u64;
            batch.extend(candidate(row, plan, loader.collection, report));
        }
        if read.rows == before {
            return Ok(None);
        }
        if !self.keep_going && (read.rows > MAX_ROWS || read.bytes > MAX_BYTES) {
            let source_name = self.file.as_deref().map(source_name).unwrap_or_default();
            return Err(Failure::TooMuch { source_name });
        }
        Ok(Some(loader.prepare(batch, report).await?))
    }
}

/// A file, and its size where it has one.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |source| Failure::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let size = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), size))
}

/// A file in messages about its rows.
fn source_name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "<stdin>".to_owned(),
        false => path.display().to_string(),
    }
}

/// How much has been read.
#[derive(Default)]
struct Extent {
    rows: u64,
    bytes: u64,
}

/// A row under the names of fields, unless that is impossible.
fn candidate(
    row: Row,
    plan: &mut Plan,
    collection: &Collection,
    report: &mut Report,
) -> Option<Candidate> {
    let line = row.line;
    let fields = row.content.and_then(|content| {
        let fields = plan.fields_of(content, collection);
        fields.map_err(|violations| report::reason(&nubo_core::Error::Invalid(violations)))
    });
    match fields {
        Ok(row) => {
            let own = row.get("id").filter(|id| !id.is_null());
            let id = match own {
                Some(own) => own.as_str().and_then(|id| id.parse().ok()),
                None => plan
                    .key
                    .as_ref()
                    .and_then(|key| key.id_of(&row, collection)),
            };
            Some(Candidate { line, row, id })
        }
        Err(reason) => {
            report.reject(line, reason);
            None
        }
    }
}

/// The collection of a command.
pub(super) fn named<'a>(catalog: &'a Catalog, name: &str) -> anyhow::Result<&'a Collection> {
    let unknown = || Failure::NoCollection {
        name: name.to_owned(),
        suggestion: nubo_core::nearest(name, catalog.names())
            .map(|word| format!(" (did you mean `{word}`?)"))
            .unwrap_or_default(),
    };
    Ok(catalog.named(name).ok_or_else(unknown)?)
}

fn write_problems(problems: &[Problem]) -> io::Result<()> {
    let mut out = io::stderr().lock();
    problems
        .iter()
        .try_for_each(|problem| writeln!(out, "{problem}"))
}

#[cfg(test)]
#[path = "import/fixture.rs"]
pub(in crate::cli) mod fixture;
