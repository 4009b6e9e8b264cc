//! The collections as the server knows them: every name resolved, every rule parsed.
//!
//! [`Catalog::compile`] makes a [`Catalog`] from [declarations](crate::declare), or says everything
//! that is wrong with them. What comes out needs no further checks.

mod cache;
mod collection;
mod compile;
#[cfg(test)]
mod compile_test;
mod describe;
mod effect;
mod fields;
mod realtime;
mod rule;

use std::{collections::HashMap, sync::Arc};

pub use cache::CacheTier;
pub use collection::{Collection, Index, IndexColumn, RecentTier, Reverse, SortKey, Tiers};
pub use compile::parse_period;
pub use describe::DocumentSchemas;
pub use effect::{Circumstances, Effect, EffectAction};
pub use realtime::{ACCOUNT_CHANNELS, ChannelTemplate, Realtime};
pub use rule::{Access, FieldRules, Rule};

/// Which collection: its place in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(pub(crate) u16);

impl CollectionId {
    /// Its place in [`Catalog::collections`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All collections of a server.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Those without storage come last.
    collections: Vec<Arc<Collection>>,
    /// How many are stored.
    stored: usize,
    by_name: HashMap<String, CollectionId>,
}

impl Catalog {
    /// The collection with this name, if it is stored.
    pub fn named(&self, name: &str) -> Option<&Arc<Collection>> {
        self.any_named(name).filter(|found| !found.is_flux)
    }

    /// The collection without storage that has this name.
    pub fn flux_named(&self, name: &str) -> Option<&Arc<Collection>> {
        self.any_named(name).filter(|found| found.is_flux)
    }

    /// The collection with this name, whether it is stored or not.
    pub fn any_named(&self, name: &str) -> Option<&Arc<Collection>> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// The collection with this id. Ids come from the same catalog.
    pub fn get(&self, id: CollectionId) -> &Arc<Collection> {
        &self.collections[id.index()]
    }

    /// Those that are stored, in the order of their declarations.
    pub fn collections(&self) -> &[Arc<Collection>] {
        &self.collections[..self.stored]
    }

    /// Those that are not, in the order of their declarations.
    pub fn flux(&self) -> &[Arc<Collection>] {
        &self.collections[self.stored..]
    }

    /// The names of those that are stored, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.collections().iter().map(|c| c.name.as_str())
    }
}
