//! The collections as the server knows them: every name resolved, every rule parsed.
//!
//! [`Catalog::compile`] makes a [`Catalog`] from [declarations](crate::declare), or says everything
//! that is wrong with them. What comes out needs no further checks.

mod collection;
mod compile;
#[cfg(test)]
mod compile_test;
mod effect;
mod fields;
mod rule;

use std::{collections::HashMap, sync::Arc};

pub use collection::{Collection, Index, IndexColumn, Reverse, SortKey, Tiers};
pub use compile::parse_period;
pub use effect::{Effect, EffectAction};
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
    collections: Vec<Arc<Collection>>,
    by_name: HashMap<String, CollectionId>,
}

impl Catalog {
    /// The collection with this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Collection>> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// The collection with this id. Ids come from the same catalog.
    pub fn get(&self, id: CollectionId) -> &Arc<Collection> {
        &self.collections[id.index()]
    }

    /// All of them, in the order of their declarations.
    pub fn collections(&self) -> &[Arc<Collection>] {
        &self.collections
    }

    /// The names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.iter().map(|c| c.name.as_str())
    }
}
