//! `nubo recent`: what the recent tier has, and bringing what it has not.

mod status;

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Subcommand;
use nubo_core::schema::{Catalog, CollectionId};
use nubo_sync::{Backfill, Filled};

pub(super) use self::status::RecentStatus;
use super::progress::Progress;
use crate::{config::Loaded, server::Both};

/// Looks at the recent tier, and brings what it has not
#[derive(Debug, Subcommand)]
pub enum Recent {
    /// Shows whether the tier is in use, what is on its way there, and since when it has every document
    /// of each collection
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
        let Some(both) = Both::open(&loaded, catalog).await? else {
            bail!("there is no recent tier: MongoDB does not hold it (tiers.recent.driver)");
        };
        let result = match self {
            Self::Status { json } => show(&loaded, &both, json, out).await,
            Self::Backfill { collections } => fill(&both, &collections, out).await,
        };
        both.close().await;
        result.map(|()| ExitCode::SUCCESS)
    }
}

async fn show(
    loaded: &Loaded,
    both: &Both,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let status = RecentStatus::of(loaded, both).await?;
    match json {
        true => {
            serde_json::to_writer_pretty(&mut *out, &status.json())?;
            writeln!(out)?;
        }
        false => status.write_text(out)?,
    }
    Ok(())
}

async fn fill(both: &Both, names: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let backfill = &Backfill::new(
        both.catalog.clone(),
        both.truth.clone(),
        both.recent.clone(),
        both.clock.clone(),
    );
    let mut collections: Vec<CollectionId> = Vec::new();
    for name in names {
        let collection = both.catalog.named(name);
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
        let line = line(&both.catalog, filled);
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

fn line(catalog: &Catalog, filled: Filled) -> String {
    let name = &catalog.get(filled.collection).name;
    format!(
        "{name}: brought {} documents, everything since {}",
        filled.documents, filled.since
    )
}
