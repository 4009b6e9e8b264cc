//! `nubo cache`: what the cache of a running server holds and has done.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde_json::Value as Json;

use super::{
    orders,
    users::{in_words, show_table},
};
use crate::control::{CacheOrder, Order};

/// Looks at the cache of the running server, or empties it
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Shows what it holds and how often it had what was asked for, by collection
    Stats,
    /// Forgets what it holds; what is read from then on comes back
    Clear,
}

impl Cache {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Where no server runs on the data folder, or it has no cache.
    pub async fn run(self, data: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let order = match self {
            Self::Stats => CacheOrder::Statistics,
            Self::Clear => CacheOrder::Clear,
        };
        let nothing = || anyhow!("no server runs on {}, so nothing is cached", data.display());
        let answer = orders::by_server(data, &Order::Cache(order)).await?;
        let answer = answer.ok_or_else(nothing)?;
        match answer {
            Ok(answer) if answer.is_object() => show(&answer, out)?,
            Ok(_) => {}
            Err(problem) => bail!(in_words(&problem)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(statistics: &Json, out: &mut impl Write) -> io::Result<()> {
    let mib = |name: &str| statistics[name].as_u64().unwrap_or_default() as f64 / 1_048_576.0;
    writeln!(
        out,
        "{:.1} MiB of {:.1} MiB are taken",
        mib("bytes"),
        mib("budget")
    )?;
    show_table(&statistics["collections"], out)
}
