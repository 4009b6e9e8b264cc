//! The task that brings what is older than the tier without being asked to, one server for all.
//!
//! Servers do not agree on who it is. Whoever sees for a while that nobody gets ahead begins, and whoever
//! finds that marks are moved by somebody else leaves it to them. Work that was done twice does no harm.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nubo_core::{clock::Random, schema::CollectionId, time::Timestamp};
use tokio::sync::watch;

use super::{
    RecentStore,
    backfill::{Backfill, REFUSED},
};
use crate::stop;

/// For how long it is seen whether somebody gets ahead, at least, and how much longer at most.
const WATCHED: Duration = Duration::from_secs(5);

/// Brings what is older than the tier, until it is stopped.
pub(super) async fn fill(store: Arc<RecentStore>, mut stopped: watch::Receiver<bool>) {
    let filling = Backfill::beside(&store).resting();
    let work = async {
        let mut before = HashMap::new();
        // Those of which the tier cannot hold some document.
        let mut refused: Vec<CollectionId> = Vec::new();
        loop {
            tokio::time::sleep(WATCHED + share_of(WATCHED, &*store.random)).await;
            let mut now = missing(&store);
            now.retain(|id, _| !refused.contains(id));
            let is_idle = now.iter().all(|(id, since)| before.get(id) == Some(since));
            if is_idle {
                for id in now.into_keys() {
                    let tell =
                        |filled| tracing::debug!(?filled, "the recent tier reaches further back");
                    match filling.run(&[id], tell).await {
                        Ok(()) => {}
                        Err(error) if error.code() == REFUSED => {
                            tracing::warn!(%error, "the recent tier does not reach back further");
                            refused.push(id);
                        }
                        Err(error) => {
                            // Somebody else does it, or the tier is away.
                            tracing::debug!(%error, "the recent tier is not filled");
                            break;
                        }
                    }
                }
            }
            before = missing(&store);
        }
    };
    tokio::select! {
        () = work => {}
        () = stop::asked(&mut stopped) => {}
    }
}

/// The collections that the tier does not have as far back as it should, and since when it does.
fn missing(store: &RecentStore) -> HashMap<CollectionId, Timestamp> {
    let now = store.clock.now().millis();
    let known = store.known();
    let begins = |id: CollectionId| store.tier(id).map(|tier| now.saturating_sub(tier.window));
    let is_missing = |(id, since): &(&CollectionId, &Timestamp)| {
        begins(**id).is_some_and(|begins| since.millis() > begins)
    };
    let covered = known.covered.iter().filter(is_missing);
    covered.map(|(id, since)| (*id, *since)).collect()
}

/// Some part of a time, by chance.
fn share_of(time: Duration, random: &dyn Random) -> Duration {
    let mut byte = [0];
    random.fill(&mut byte);
    time * u32::from(byte[0]) / u32::from(u8::MAX)
}
