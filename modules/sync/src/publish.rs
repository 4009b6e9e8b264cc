//! Telling those who listen what was committed.

use std::sync::Arc;

use nubo_core::{
    bus::{Bus, Event, What},
    observe::{Observer, Touched},
    schema::{Catalog, CollectionId},
};

/// Publishes every commit on the channels of what it has touched.
pub struct Publisher {
    catalog: Arc<Catalog>,
    bus: Arc<dyn Bus>,
}

impl Publisher {
    /// Publishes what is committed in these collections.
    pub fn new(catalog: Arc<Catalog>, bus: Arc<dyn Bus>) -> Self {
        Self { catalog, bus }
    }
}

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
}
