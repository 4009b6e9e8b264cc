//! What is done now and then: new collections are covered, and what nobody needs any more is deleted.

use nubo_core::{
    Result,
    access::View,
    coordination::Epoch,
    filter::Expr,
    outbox::{Outbox, Standing},
    query::{Query, Start},
    schema::CollectionId,
    time::Timestamp,
};

use super::Keeping;
use crate::recent::backfill::{created_at, newest_first};

/// How often the tier is cleaned, in milliseconds.
const CLEANED: i64 = 6 * 3600 * 1000;
/// How much longer than the window documents stay, in milliseconds: as long as clocks may differ, and
/// more.
const GRACE: i64 = 24 * 3600 * 1000;
/// Since ever.
const ALWAYS: i64 = -62_135_596_800_000;

impl Keeping {
    /// Notes since when the tier has collections of which that is not known: what there is by now is
    /// older.
    pub(super) async fn cover(&self, outbox: &dyn Outbox, standing: &Standing) -> Result<()> {
        let collections = self.store.catalog.collections().iter();
        let uncovered = collections.filter(|collection| {
            collection.tiers.recent.is_some() && !standing.covered.contains_key(&collection.id)
        });
        for collection in uncovered {
            let latest = self.latest(collection.id).await?;
            let since = latest.map_or(ALWAYS, |latest| latest.millis() + 1);
            let since = Timestamp::from_millis(since);
            outbox.cover(standing.epoch, collection.id, since).await?;
        }
        Ok(())
    }

    /// When the newest document of a collection was created.
    async fn latest(&self, collection: CollectionId) -> Result<Option<Timestamp>> {
        let schema = self.store.catalog.get(collection);
        let query = Query {
            collection,
            filter: Expr::All(Vec::new()),
            sort: newest_first(schema),
            start: Start::First,
            limit: 1,
            fields: None,
        };
        let found = self.store.truth.find(query, &View::all()).await?;
        let newest = found.first();
        Ok(newest.and_then(|document| created_at(schema, document)))
    }

    /// Deletes what nobody needs any more, unless somebody else has done so of late.
    pub(super) async fn clean(&self, outbox: &dyn Outbox, epoch: Epoch) -> Result<()> {
        if !outbox.may_clean(CLEANED).await? {
            return Ok(());
        }
        let now = self.store.clock.now().millis();
        for collection in self.store.catalog.collections() {
            let Some(tier) = &collection.tiers.recent else {
                continue;
            };
            let used = now.saturating_sub(tier.window).saturating_sub(GRACE);
            let used_before = collection.tiers.truth.then(|| Timestamp::from_millis(used));
            let deleted = self.store.recent.clean(epoch, collection.id, used_before);
            let deleted = deleted.await?;
            tracing::info!(
                collection = collection.name,
                deleted,
                "deleted what was not used for long from the recent tier"
            );
        }
        Ok(())
    }
}
