//! `nubo recent`: what the recent tier has, and bringing what it has not.

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Subcommand;
use nubo_core::{clock::Clock, schema::CollectionId};
use nubo_sync::{Backfill, Filled};
use serde_json::json;

use super::progress::Progress;
use crate::{
    config::Loaded,
    server,
    system::{SystemClock, SystemRandom},
};

/// Looks at the recent tier, and brings what it has not
#[derive(Debug, Subcommand)]
pub enum Recent {
    /// Shows since when the tier has every document of each collection
    Status {
        /// Write one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Brings what is older than the tier, as far as the windows of the collections reach
    ///
    /// Servers may run meanwhile. What was interrupted goes on where it was.
    Backfill {
        /// These collections; all that the tier has where none is named
        collections: Vec<String>,
    },
}

impl Recent {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Where the database or MongoDB cannot be asked, or no server uses the tier.
    pub async fn run(self, mut loaded: Loaded, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let catalog = Arc::new(std::mem::take(&mut loaded.catalog));
        let Some(mongo) = server::mongo(&loaded, &catalog)? else {
            bail!("there is no recent tier: MongoDB does not hold it (tiers.recent.driver)");
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random = Arc::new(SystemRandom) as _;
        let truth = server::truth(&loaded, &catalog, &clock, &random, None)?;
        truth.start(Vec::new()).await?;
        let mongo = Arc::new(mongo);
        let backfill = Backfill {
            catalog,
            truth: truth.clone(),
            recent: mongo.clone(),
            clock,
        };
        let result = async {
            mongo.start().await?;
            match self {
                Self::Status { json } => status(&backfill, json, out).await,
                Self::Backfill { collections } => fill(&backfill, &collections, out).await,
            }
        };
        let result = result.await;
        mongo.stop().await;
        truth.stop().await;
        result.map(|()| ExitCode::SUCCESS)
    }
}

async fn status(backfill: &Backfill, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let covered = backfill.covered().await?;
    let mut collections = serde_json::Map::new();
    for id in backfill.collections() {
        let name = &backfill.catalog.get(id).name;
        let since = covered.get(&id).map(ToString::to_string);
        match json {
            true => {
                collections.insert(name.clone(), json!({ "since": since }));
            }
            false => match since {
                Some(since) => writeln!(out, "{name}: everything since {since}")?,
                None => writeln!(out, "{name}: not known yet")?,
            },
        }
    }
    if json {
        serde_json::to_writer_pretty(&mut *out, &collections)?;
        writeln!(out)?;
    }
    Ok(())
}

async fn fill(backfill: &Backfill, names: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let mut collections: Vec<CollectionId> = Vec::new();
    for name in names {
        let collection = backfill.catalog.named(name);
        let collection = collection.with_context(|| format!("there is no collection `{name}`"))?;
        if collection.tiers.recent.is_none() {
            bail!("`{name}` is not in the recent tier");
        }
        collections.push(collection.id);
    }
    if names.is_empty() {
        collections = backfill.collections();
    }
    let progress = Progress::of_documents(None);
    let mut lines = Vec::new();
    let filling = backfill.run(&collections, |filled| {
        let line = line(backfill, filled);
        progress.doing(line.clone());
        if filled.is_complete {
            lines.push(line);
        }
    });
    let filled = filling.await;
    drop(progress);
    for line in lines {
        writeln!(out, "{line}")?;
    }
    filled?;
    writeln!(out, "the recent tier has everything that its windows reach")?;
    Ok(())
}

fn line(backfill: &Backfill, filled: Filled) -> String {
    let name = &backfill.catalog.get(filled.collection).name;
    format!(
        "{name}: brought {} documents, everything since {}",
        filled.documents, filled.since
    )
}
