//! Telling those who listen what was committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use nubo_core::{
    bus::{Bus, Event, What},
    observe::{BatchId, Foreign, Observer, Touched},
    schema::{Catalog, CollectionId},
};

/// Publishes every commit on the channels of what it has touched.
///
/// Of what somebody else has written it is known what it is now, not what it was: which channels it
/// was on, and who has seen it. So it is published that those who listen to the collection must read
/// again.
pub struct Publisher {
    catalog: Arc<Catalog>,
    bus: Arc<dyn Bus>,
}

impl Publisher {
    /// Publishes what is committed in these collections.
    pub fn new(catalog: Arc<Catalog>, bus: Arc<dyn Bus>) -> Self {
        Self { catalog, bus }
    }

    fn tell_overtaken(&self, what: impl Iterator<Item = What>) {
        if !self.bus.is_heard() {
            return;
        }
        let events = what.map(|what| Event {
            channels: Vec::new(),
            what,
        });
        self.bus.publish(events.collect());
    }
}

#[async_trait]
impl Observer for Publisher {
    fn observes(&self, collection: CollectionId) -> bool {
        self.catalog.get(collection).realtime.announced
    }

    fn committed(&self, changes: &[Arc<Touched>]) {
        if !self.bus.is_heard() {
            return;
        }
        let events = changes.iter().map(|touched| {
            let collection = self.catalog.get(touched.collection);
            Event {
                channels: collection.channels(touched.before.as_ref(), touched.after.as_ref()),
                what: What::Changed(Arc::clone(touched)),
            }
        });
        self.bus.publish(events.collect());
    }
    async fn resolve(&self, _: BatchId, foreign: &[Foreign]) {
        let mut transactions: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        for document in foreign {
            let of = transactions.entry(document.collection).or_default();
            of.insert(document.transaction);
        }
        let overtaken = transactions.into_iter().map(|(of, by)| What::Overtaken {
            collection: Some(of),
            transactions: by.into_iter().collect(),
        });
        self.tell_overtaken(overtaken);
    }

    async fn overtaken(&self) {
        self.tell_overtaken(std::iter::once(What::Overtaken {
            collection: None,
            transactions: Vec::new(),
        }));
    }
}
