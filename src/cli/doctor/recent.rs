//! Comparing the recent tier.

use std::sync::Arc;

use nubo_core::schema::Catalog;
use nubo_sync::{RecentAudit, RecentComparison, RecentFault, RecentRepair, Wrong};

use super::{Finding, SHOWN, error, ok, warning};
use crate::{cli::causes::with_causes, config::Loaded, server::Both};

/// What was looked at.
const CHECK: &str = "recent tier";

/// Compares the recent tier with the truth, where there is one.
pub(super) async fn compare(
    loaded: &Loaded,
    catalog: Arc<Catalog>,
    most: usize,
    repairs: bool,
) -> Vec<Finding> {
    let advice = "see whether the database and MongoDB can be reached";
    let both = match Both::open(loaded, catalog.clone()).await {
        Ok(Some(both)) => both,
        Ok(None) => return Vec::new(),
        Err(failure) => return vec![error(CHECK, with_causes(&failure), advice)],
    };
    let audit = RecentAudit {
        catalog: both.catalog.clone(),
        truth: both.truth.clone(),
        recent: both.recent.clone(),
        clock: both.clock.clone(),
    };
    let compared = audit.run(most, repairs).await;
    both.close().await;
    vec![match compared {
        Ok(Ok(comparison)) => finding(&comparison, &catalog),
        Ok(Err(doubt)) => warning(
            CHECK,
            format!("it is not used, so that nothing was compared: {doubt}"),
            "a server that has it sees to that; `nubo sync status` tells how far it is",
        ),
        Err(failure) => error(CHECK, with_causes(&failure), advice),
    }]
}

fn finding(comparison: &RecentComparison, catalog: &Catalog) -> Finding {
    let RecentComparison {
        looked_for,
        held,
        unsettled,
        faults,
        repair,
    } = comparison;
    let looked =
        format!("{looked_for} documents of the database and {held} in MongoDB were compared");
    let (looked, all) = match unsettled {
        0 => (looked, "all is"),
        unsettled => (
            format!("{looked}, of which {unsettled} are on their way"),
            "all else is",
        ),
    };
    if faults.is_empty() {
        return ok(CHECK, format!("{looked}: {all} as in the database"));
    }
    let advice = match repair {
        Some(RecentRepair::Brought) => {
            "they were brought now; where nobody has changed MongoDB by hand this is a bug of the \
             server, please tell of it"
        }
        Some(RecentRepair::GivenUp) => {
            "the recent tier begins anew now, as soon as a server looks at it; then `nubo recent \
             backfill` brings what is older. Where nobody has changed MongoDB by hand this is a bug \
             of the server, please tell of it"
        }
        None => {
            "`nubo doctor --tiers --repair` brings them, or has the tier begin anew where that would \
             not help; where nobody has changed MongoDB by hand this is a bug of the server, please \
             tell of it"
        }
    };
    let shown = faults.iter().take(SHOWN).map(|fault| line(fault, catalog));
    let message = format!(
        "{looked}, {} differ:\n{}",
        faults.len(),
        shown.collect::<Vec<_>>().join("\n")
    );
    error(CHECK, message, advice)
}

fn line(fault: &RecentFault, catalog: &Catalog) -> String {
    let what = match fault.wrong {
        Wrong::Missing => "is missing",
        Wrong::Outdated => "is out of date",
        Wrong::Deleted => "is there still, and was deleted",
        Wrong::Different => "differs in the same version",
    };
    let collection = &catalog.get(fault.collection).name;
    format!("{collection}/{} {what}", fault.id)
}
