//! The command line: what there is to say, and who does it. One file for each command.

pub mod cache;
mod causes;
pub mod check;
pub mod collections;
pub mod dlq;
pub mod doctor;
pub mod export;
pub mod health;
pub mod import;
mod layout;
pub mod migrate;
mod orders;
mod progress;
mod recent;
pub mod schema;
mod sync;
pub mod users;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::{
    Nubo,
    config::{self, Flag, LoadOptions, Loaded, LogLevel},
    logs,
    server::{self, Assembly, Modules},
};

/// A backend server that you configure instead of program.
///
/// Collections are declared in collections/*.yaml; out come REST routes, their documentation at
/// /docs, and storage. Without a command, the server starts.
#[derive(Debug, Parser)]
#[command(name = "nubo", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Configuration file [default: nubo.yaml where there is one]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Profile: nubo.<PROFILE>.yaml is put over the configuration file
    #[arg(long, global = true, value_name = "PROFILE")]
    profile: Option<String>,
    /// Folder for everything the server keeps
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Address and port to listen on, for example 127.0.0.1:8080
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the server; this is what happens without a command
    Serve,
    Check(check::Check),
    Schema(schema::Schema),
    /// Prints the OpenAPI document of the server
    Openapi,
    /// Prints the AsyncAPI document of the server: what is said over its WebSocket
    Asyncapi,
    #[command(subcommand)]
    Collections(collections::Collections),
    Import(import::Import),
    Export(export::Export),
    Health(health::Health),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    #[command(subcommand)]
    Users(users::Users),
    #[command(subcommand)]
    Cache(cache::Cache),
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    #[command(subcommand)]
    Sync(sync::Sync),
    #[command(subcommand)]
    Recent(recent::Recent),
    /// Prints the version
    Version,
}

impl Options {
    fn load_options(&self) -> LoadOptions {
        let data = self.data.as_ref().map(|folder| Flag {
            name: "--data",
            path: &["data"],
            value: json!(folder),
        });
        let listen = self.listen.as_ref().map(|address| Flag {
            name: "--listen",
            path: &["server", "listen"],
            value: json!(address),
        });
        LoadOptions {
            file: self.config.clone(),
            profile: self.profile.clone(),
            flags: data.into_iter().chain(listen).collect(),
            ..LoadOptions::of_process()
        }
    }
}

/// Does what the command line says.
pub(crate) fn run(nubo: Nubo) -> ExitCode {
    let arguments = Arguments::parse();
    let modules = Modules::new(nubo.shipped, nubo.added);
    match execute(arguments, modules) {
        Ok(code) => code,
        // Whoever reads our output has heard enough, as in `nubo schema | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn execute(arguments: Arguments, modules: Modules) -> anyhow::Result<ExitCode> {
    let options = arguments.options.load_options();
    let mut out = io::stdout().lock();
    let sections = modules.sections();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Check(check) => return Ok(check.run(&options, &sections, &mut out)?),
        Command::Schema(schema) => schema.run(&sections, &mut out)?,
        Command::Version => writeln!(out, "nubo {}", env!("CARGO_PKG_VERSION"))?,
        Command::Collections(command) => match load(&options, &modules)? {
            Some(loaded) => command.run(&loaded, &mut out)?,
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Openapi => match load(&options, &modules)? {
            Some(loaded) => out.write_all(Assembly::new(loaded, modules)?.document().as_bytes())?,
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Asyncapi => match load(&options, &modules)? {
            Some(loaded) => match Assembly::new(loaded, modules)?.asyncapi() {
                Some(document) => out.write_all(document.as_bytes())?,
                None => anyhow::bail!("the module `hub` is switched off"),
            },
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Import(import) => match load(&options, &modules)? {
            Some(loaded) => {
                drop(out);
                let assembly = Assembly::new(loaded, modules)?;
                return runtime()?.block_on(import.run(&assembly));
            }
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Export(export) => match load(&options, &modules)? {
            Some(loaded) => {
                drop(out);
                let assembly = Assembly::new(loaded, modules)?;
                return runtime()?.block_on(export.run(&assembly));
            }
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Health(health) => match load_quietly(&options, &modules)? {
            Some(loaded) => health.run(&loaded.settings.server, &mut out)?,
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Doctor(doctor) => {
            let outcome = config::load(&options, &sections);
            return Ok(runtime()?.block_on(doctor.run(outcome, &mut out))?);
        }
        Command::Migrate(migrate) => match load_quietly(&options, &modules)? {
            Some(loaded) => return runtime()?.block_on(migrate.run(loaded, &mut out)),
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Users(users) => match load_quietly(&options, &modules)? {
            Some(loaded) => {
                let assembly = Assembly::new(loaded, modules)?;
                return runtime()?.block_on(users.run(&assembly, &mut out));
            }
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Cache(cache) => match load_quietly(&options, &modules)? {
            Some(loaded) => {
                let data = loaded.settings.data;
                return runtime()?.block_on(cache.run(&data, &mut out));
            }
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Dlq(dlq) => match load_quietly(&options, &modules)? {
            Some(loaded) => {
                let assembly = Assembly::new(loaded, modules)?;
                return runtime()?.block_on(dlq.run(&assembly, &mut out));
            }
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Sync(sync) => match load_quietly(&options, &modules)? {
            Some(loaded) => return runtime()?.block_on(sync.run(&loaded, &mut out)),
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Recent(recent) => match load_quietly(&options, &modules)? {
            Some(loaded) => return runtime()?.block_on(recent.run(loaded, &mut out)),
            None => return Ok(ExitCode::FAILURE),
        },
        Command::Serve => match load(&options, &modules)? {
            Some(loaded) => {
                let assembly = Assembly::new(loaded, modules)?;
                runtime()?.block_on(server::serve(assembly))?;
            }
            None => return Ok(ExitCode::FAILURE),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads the configuration and starts the log. None, and all mistakes on standard error, where
/// there are any.
fn load(options: &LoadOptions, modules: &Modules) -> io::Result<Option<Loaded>> {
    load_with(options, modules, LogLevel::Trace)
}

/// The same for a command whose own words are all that somebody wants to read.
fn load_quietly(options: &LoadOptions, modules: &Modules) -> io::Result<Option<Loaded>> {
    load_with(options, modules, LogLevel::Warn)
}

fn load_with(
    options: &LoadOptions,
    modules: &Modules,
    most: LogLevel,
) -> io::Result<Option<Loaded>> {
    match config::load(options, &modules.sections()) {
        Ok(mut loaded) => {
            let log = &mut loaded.settings.log;
            log.level = log.level.min(most);
            logs::start(&loaded.settings.log);
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            Ok(Some(loaded))
        }
        problems => {
            check::write_text(&problems, &mut io::stderr().lock())?;
            Ok(None)
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
