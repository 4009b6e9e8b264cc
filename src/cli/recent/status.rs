//! How the recent tier stands: whether it is in use and why not, and what is on its way there.

use std::io::{self, Write};

use anyhow::Context;
use nubo_cache::Claims;
use nubo_core::{
    coordination::Epoch,
    outbox::Standing,
    recent::{Condition, Recent},
    schema::Collection,
    time::Timestamp,
};
use nubo_sync::Doubt;
use serde_json::{Value as Json, json};

use crate::{
    cli::causes::with_causes,
    config::{CacheDriver, Loaded},
    server::{self, Both},
};

/// How many documents of a collection are counted.
const COUNTED: usize = u32::MAX as usize;

/// How the recent tier stands.
pub(crate) struct RecentStatus {
    standing: Standing,
    /// Why it is not used.
    doubt: Option<String>,
    lists: Lists,
    collections: Vec<Stock>,
}

/// What can be said of the pending lists.
enum Lists {
    /// They are where servers share them.
    Shared(Condition),
    /// They are in the process of the server.
    InProcess,
    /// It is not known, for this reason.
    Unknown(String),
}

/// What the tier has of a collection.
struct Stock {
    name: String,
    /// Since when it has every document. None where that is not known.
    since: Option<Timestamp>,
    /// How many documents are on their way. None where that is not known.
    pending: Option<usize>,
}

impl RecentStatus {
    /// Looks at it.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn of(loaded: &Loaded, both: &Both) -> anyhow::Result<Self> {
        let outbox = both.truth.outbox();
        let outbox = outbox.context("the database notes nothing for MongoDB")?;
        let standing = outbox.standing().await?;
        let doubt = match both.recent.look().await {
            Ok(sight) => {
                let doubt = Doubt::of(outbox, &standing, &sight).await?;
                doubt.map(|doubt| doubt.to_string())
            }
            Err(error) => Some(format!("MongoDB does not answer: {}", with_causes(&error))),
        };
        let tiered = both.catalog.collections().iter();
        let tiered: Vec<&Collection> = tiered
            .map(|collection| &**collection)
            .filter(|collection| collection.tiers.recent.is_some())
            .collect();
        let (lists, pending) = match loaded.settings.tiers.cache_driver() {
            CacheDriver::Redis => match shared_lists(loaded, both, standing.epoch, &tiered).await {
                Ok((condition, pending)) => (Lists::Shared(condition), pending),
                Err(error) => (Lists::Unknown(format!("{error:#}")), Vec::new()),
            },
            CacheDriver::Auto | CacheDriver::Memory | CacheDriver::None => {
                (Lists::InProcess, Vec::new())
            }
        };
        let collections = tiered.iter().enumerate().map(|(at, collection)| Stock {
            name: collection.name.clone(),
            since: standing.covered.get(&collection.id).copied(),
            pending: pending.get(at).copied().flatten(),
        });
        let collections = collections.collect();
        Ok(Self {
            standing,
            doubt,
            lists,
            collections,
        })
    }

    /// The same for programs.
    pub fn json(&self) -> Json {
        let collections = self.collections.iter().map(|stock| {
            let since = stock.since.map(|since| since.to_string());
            let pending = stock.pending;
            (
                stock.name.clone(),
                json!({ "since": since, "pending": pending }),
            )
        });
        json!({
            "epoch": self.standing.epoch.to_string(),
            "trusted": self.doubt.is_none(),
            "why_not": self.doubt,
            "pending_lists": self.lists.name(self.standing.epoch),
            "notes": self.standing.notes,
            "oldest_note_ms": self.standing.oldest,
            "collections": collections.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// The same for people.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Standing {
            epoch,
            notes,
            oldest,
            ..
        } = self.standing;
        match &self.doubt {
            None => writeln!(out, "the recent tier is what it should be: epoch {epoch}")?,
            Some(why) => writeln!(out, "the recent tier is not used (epoch {epoch}): {why}")?,
        }
        match &self.lists {
            Lists::Shared(_) => {
                let name = self.lists.name(epoch).replace('_', " ");
                writeln!(out, "its pending lists are {name}")?;
            }
            Lists::InProcess => writeln!(out, "its pending lists are in the server's process")?,
            Lists::Unknown(why) => writeln!(out, "its pending lists cannot be looked at: {why}")?,
        }
        match notes {
            0 => writeln!(out, "nothing is noted as being on its way")?,
            notes => writeln!(out, "{notes} notes wait, the oldest for {oldest} ms")?,
        }
        for Stock {
            name,
            since,
            pending,
        } in &self.collections
        {
            let since = match since {
                Some(since) => format!("everything since {since}"),
                None => "not known yet".to_owned(),
            };
            match pending {
                Some(pending) => writeln!(out, "{name}: {since}, {pending} documents pending")?,
                None => writeln!(out, "{name}: {since}")?,
            }
        }
        Ok(())
    }
}

impl Lists {
    /// What they are, where they ought to be of this epoch.
    fn name(&self, epoch: Epoch) -> &'static str {
        match self {
            Self::Shared(Condition::Open(of)) if *of == epoch => "open",
            Self::Shared(Condition::Begun(of)) if *of == epoch => "being_opened",
            Self::Shared(Condition::Open(_) | Condition::Begun(_)) => "of_another_epoch",
            Self::Shared(Condition::Closed) => "closed",
            Self::Shared(Condition::Away) => "away_with_the_cache",
            Self::InProcess => "in_process",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What the lists in Redis are, and how many documents of each collection are in them.
async fn shared_lists(
    loaded: &Loaded,
    both: &Both,
    epoch: Epoch,
    collections: &[&Collection],
) -> anyhow::Result<(Condition, Vec<Option<usize>>)> {
    let Some(lists) = server::pending_lists(loaded, both.catalog.clone()).await? else {
        return Ok((Condition::Away, Vec::new()));
    };
    let mut pending = Vec::with_capacity(collections.len());
    for collection in collections {
        let ids = lists.pending(epoch, collection.id, COUNTED).await?;
        pending.push(ids.map(|ids| ids.len()));
    }
    Ok((lists.condition().await?, pending))
}
