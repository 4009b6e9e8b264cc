//! `nubo export`: the documents of a collection, as the API would send them, to a file.
//!
//! Documents go out in the order of their ids, page after page, so that memory stays bounded. A
//! file appears under its name only when it is complete: whoever finds it can rely on it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Args, ValueEnum};
use nubo_core::{
    caller::Caller,
    filter::{Expr, Reader},
    query::{Query, Start},
    schema::{Catalog, Collection, SortKey},
    store::Store,
};
use tempfile::NamedTempFile;

use super::{
    import::{named, reason},
    progress::Progress,
};
use crate::server::Assembly;

/// How many documents are fetched at once.
const PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  nubo export --collection movies > movies.ndjson
      One document per line.
  nubo export --collection movies --format json --output movies.json
      A JSON array. The file appears when it is complete.
  nubo export --collection movies --filter '{\"release_date\": {\"$lt\": \"1960-01-01\"}}'
      Only what matches; the language is that of the API.
  nubo export --all backup
      Every collection, in files of its own: backup/movies.ndjson and so on.

`nubo import` reads what was exported. The server must not be running on the same data folder.";

/// Exports documents as JSON or NDJSON
///
/// Documents are written as the API sends them, in the order of their ids. Passwords and hidden
/// fields never leave the server, not even here: to keep everything, copy the data folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Collection to export
    #[arg(long, value_name = "NAME", required_unless_present = "all")]
    collection: Option<String>,
    /// How the documents are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only documents that match this filter, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "all")]
    filter: Option<String>,
    /// File to write; `-` is standard output
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "-",
        conflicts_with = "all"
    )]
    output: PathBuf,
    /// Export every collection into files of this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "collection")]
    all: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One document per line
    #[default]
    Ndjson,
    /// One JSON array
    Json,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Json => "json",
        }
    }
}

/// Why nothing could be exported.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--filter: {0}")]
    Filter(String),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Output(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("the export of {collection} failed")]
    Store {
        collection: String,
        source: nubo_core::Error,
    },
}

/// One collection and the file it goes to.
struct Job<'a> {
    collection: &'a Collection,
    filter: Expr,
    output: PathBuf,
}

impl Export {
    /// Exports what was asked for.
    ///
    /// # Errors
    /// When the filter is wrong, or store or file cannot be used.
    pub async fn run(&self, assembly: &Assembly) -> anyhow::Result<ExitCode> {
        let jobs = self.jobs(assembly.catalog())?;
        if let Some(folder) = &self.all {
            let failed = |source| Failure::Write {
                path: folder.clone(),
                source,
            };
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let open = assembly.open().await?;
        let result = tokio::select! {
            result = self.export(&jobs, &*open.store) => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        assembly.close(open).await;
        match result {
            Ok(()) => Ok(ExitCode::SUCCESS),
            // On its own, so that whoever runs the command can tell a closed pipe.
            Err(Failure::Output(error)) => Err(error.into()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn jobs<'a>(&self, catalog: &'a Catalog) -> anyhow::Result<Vec<Job<'a>>> {
        if let Some(folder) = &self.all {
            let job = |collection: &'a Collection| Job {
                collection,
                filter: Expr::always(),
                output: folder.join(format!("{}.{}", collection.name, self.format.extension())),
            };
            return Ok(catalog
                .collections()
                .iter()
                .map(|collection| job(collection))
                .collect());
        }
        let collection = named(catalog, self.collection.as_deref().unwrap_or_default())?;
        let filter = match &self.filter {
            None => Expr::always(),
            Some(text) => {
                let json = serde_json::from_str(text)
                    .map_err(|error| Failure::Filter(format!("is no JSON: {error}")))?;
                let filter = Reader::of_client(catalog, collection).read(&json);
                filter.map_err(|error| Failure::Filter(reason(&error)))?
            }
        };
        Ok(vec![Job {
            collection,
            filter,
            output: self.output.clone(),
        }])
    }

    async fn export(&self, jobs: &[Job<'_>], store: &dyn Store) -> Result<(), Failure> {
        for job in jobs {
            let started = Instant::now();
            let mut target = Target::open(&job.output)?;
            let count = self.write(job, store, target.writer()).await?;
            target.finish()?;
            let (name, seconds) = (&job.collection.name, started.elapsed().as_secs_f64());
            let word = if count == 1 { "document" } else { "documents" };
            writeln!(io::stderr(), "{name}: {count} {word} in {seconds:.2} s")?;
        }
        Ok(())
    }

    /// Writes the documents of a collection and says how many there were.
    async fn write(
        &self,
        job: &Job<'_>,
        store: &dyn Store,
        mut out: impl Write,
    ) -> Result<u64, Failure> {
        let failed = |source| Failure::Store {
            collection: job.collection.name.clone(),
            source,
        };
        let cannot = |error| cannot_write(&job.output, error);
        let caller = Caller::Server;
        let mut query = Query {
            collection: job.collection.id,
            filter: job.filter.clone(),
            sort: vec![SortKey {
                field: Collection::ID,
                descending: false,
            }],
            start: Start::First,
            limit: PAGE,
            fields: None,
        };
        let total = store.count(&caller, query.collection, query.filter.clone());
        let progress = Progress::of_documents(Some(total.await.map_err(failed)?));
        progress.doing(&job.collection.name);

        let (begin, between, end) = match self.format {
            Format::Ndjson => ("", "\n", "\n"),
            Format::Json => ("[\n", ",\n", "\n]\n"),
        };
        out.write_all(begin.as_bytes()).map_err(cannot)?;
        let mut count = 0;
        loop {
            let page = store
                .list_at_once(&caller, query.clone())
                .await
                .map_err(failed)?
                .content;
            // The page has `,\n` between its documents, and a line break nowhere else.
            for document in page.documents.split(|byte| *byte == b'\n') {
                let document = document.strip_suffix(b",").unwrap_or(document);
                if document.is_empty() {
                    continue;
                }
                if count > 0 {
                    out.write_all(between.as_bytes()).map_err(cannot)?;
                }
                out.write_all(document).map_err(cannot)?;
                count += 1;
            }
            progress.at(count);
            match page.next {
                Some(keys) => query.start = Start::After(keys),
                None => break,
            }
        }
        if count > 0 || self.format == Format::Json {
            out.write_all(end.as_bytes()).map_err(cannot)?;
        }
        out.flush().map_err(cannot)?;
        Ok(count)
    }
}

/// Where an export goes.
enum Target {
    /// Standard output, or something that is no file, such as a named pipe.
    Stream(Box<dyn Write>),
    /// A file that gets its name at the end.
    File {
        path: PathBuf,
        file: BufWriter<NamedTempFile>,
    },
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stream(Box::new(BufWriter::new(io::stdout()))));
        }
        let cannot = |error| cannot_write(path, error);
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).map_err(cannot)?;
            return Ok(Self::Stream(Box::new(BufWriter::new(file))));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".nubo-export-");
        #[cfg(unix)]
        {
            // As any new file has it; less whatever the umask takes away.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(cannot)?;
        Ok(Self::File {
            path: path.to_owned(),
            file: BufWriter::with_capacity(256 << 10, file),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stream(stream) => stream,
            Self::File { file, .. } => file,
        }
    }

    /// Makes the file durable and gives it its name.
    fn finish(self) -> Result<(), Failure> {
        let Self::File { path, file } = self else {
            return Ok(());
        };
        let cannot = |error| cannot_write(&path, error);
        let file = file
            .into_inner()
            .map_err(|error| cannot(error.into_error()))?;
        file.as_file().sync_all().map_err(cannot)?;
        file.persist(&path).map_err(|error| cannot(error.error))?;
        Ok(())
    }
}

fn cannot_write(path: &Path, source: io::Error) -> Failure {
    match path == Path::new("-") {
        true => Failure::Output(source),
        false => Failure::Write {
            path: path.to_owned(),
            source,
        },
    }
}
