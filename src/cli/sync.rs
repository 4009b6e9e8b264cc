//! `nubo sync`: how the servers on one database stand to each other.

use std::{io::Write, process::ExitCode, sync::Arc};

use clap::Subcommand;
use nubo_core::{
    coordination::{Coordination, Gate, Look},
    id::Id,
};
use nubo_truth::Queued;
use serde_json::json;
use uuid::Uuid;

use super::recent::RecentStatus;
use crate::{
    config::{CacheDriver, Loaded},
    server::{self, Both},
};

/// Shows how the servers on one database stand to each other
#[derive(Debug, Subcommand)]
pub enum Sync {
    /// Shows whether the shared cache is in use, which servers there are, and how the recent tier stands
    Status {
        /// Write one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl Sync {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn run(self, loaded: &Loaded, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let Self::Status { json } = self;
        if loaded.settings.tiers.cache_driver() != CacheDriver::Redis {
            anyhow::bail!("nothing is shared: Redis does not hold the cache (tiers.cache.driver)");
        }
        let coordination = server::coordination(loaded)?;
        // Whoever only looks is nobody.
        let look = coordination.look(Id::from_uuid(Uuid::nil()), None).await;
        coordination.stop().await;
        let look = look?;
        let migrations = server::migrations(loaded, Arc::new(loaded.catalog.clone()))?;
        let queued = migrations.facts().await?.queued;
        let recent = recent_status(loaded).await?;
        match json {
            true => {
                let mut found = as_json(&look, queued);
                found["recent"] = recent.as_ref().map(RecentStatus::json).into();
                serde_json::to_writer_pretty(&mut *out, &found)?;
                writeln!(out)?;
            }
            false => {
                write_text(&look, queued, out)?;
                if let Some(recent) = recent {
                    writeln!(out)?;
                    recent.write_text(out)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How the recent tier stands, where there is one.
async fn recent_status(loaded: &Loaded) -> anyhow::Result<Option<RecentStatus>> {
    let Some(both) = Both::open(loaded, Arc::new(loaded.catalog.clone())).await? else {
        return Ok(None);
    };
    let status = RecentStatus::of(loaded, &both).await;
    both.close().await;
    status.map(Some)
}

/// What a gate is called.
const fn name(gate: &Gate) -> &'static str {
    match gate {
        Gate::Open { .. } => "open",
        Gate::Closing(_) => "closing",
        Gate::Closed(_) => "closed",
    }
}

fn as_json(look: &Look, queued: Queued) -> serde_json::Value {
    let instances = look.peers.iter().map(|peer| {
        json!({
            "instance": peer.instance.to_string(),
            "silent_ms": peer.silent / 1000,
            "reaches": peer.reaches.as_ref().map(|server| server.name()),
            "fenced": peer.fenced,
        })
    });
    let incarnation = match &look.gate {
        Gate::Open { incarnation, .. } => Some(incarnation.name()),
        Gate::Closing(_) | Gate::Closed(_) => None,
    };
    json!({
        "cache": name(&look.gate),
        "epoch": look.gate.epoch().to_string(),
        "server": incarnation,
        "owner": look.gate.owner().map(|owner| owner.to_string()),
        "instances": instances.collect::<Vec<_>>(),
        "queued": queued.waiting,
        "dead_letters": queued.dead_letters,
    })
}

fn write_text(look: &Look, queued: Queued, out: &mut impl Write) -> std::io::Result<()> {
    let epoch = look.gate.epoch();
    match &look.gate {
        Gate::Open {
            incarnation, owner, ..
        } => {
            let by = match owner {
                Some(_) => " by one instance alone",
                None => "",
            };
            writeln!(
                out,
                "the shared cache is in use{by}: epoch {epoch} on {incarnation}"
            )?;
        }
        Gate::Closing(_) => writeln!(
            out,
            "the shared cache is being switched off (epoch {epoch})"
        )?,
        Gate::Closed(_) => writeln!(
            out,
            "the shared cache is not in use (epoch {epoch} was the last): it is as soon as every \
             server reaches the same Redis"
        )?,
    }
    for peer in &look.peers {
        let reaches = match &peer.reaches {
            Some(server) => format!("reaches {server}"),
            None => "does not reach Redis".to_owned(),
        };
        let fenced = if peer.fenced { ", counts as dead" } else { "" };
        writeln!(
            out,
            "{}  heard of {} ms ago, {reaches}{fenced}",
            peer.instance,
            peer.silent / 1000
        )?;
    }
    if let Some(since) = queued.since {
        let waiting = queued.waiting;
        writeln!(out, "{waiting} writes are queued, the first since {since}")?;
    }
    if queued.dead_letters > 0 {
        let refused = queued.dead_letters;
        writeln!(out, "{refused} dead letters: see `nubo dlq list`")?;
    }
    Ok(())
}
