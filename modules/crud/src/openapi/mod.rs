//! The part of the OpenAPI document that the collections make: a fragment for each, and one for what
//! they share.
//!
//! A fragment is an object with `tags`, `paths` and `components`; whoever assembles the document
//! merges them. Start with [`operations`], which has the routes in their order; the schemas are in
//! [`schemas`], [`filters`] and [`changes`], what is common to all collections in [`shared`].

mod changes;
mod filters;
mod names;
mod operations;
mod schemas;
mod shared;

#[cfg(test)]
mod openapi_test;

use nubo_core::schema::{Catalog, Collection, DocumentSchemas};
use serde_json::{Map, Value as Json, json};

use crate::settings::Settings;
use names::Names;

/// The fragments of all collections, in the catalog's order, and at the end what they share.
pub(crate) fn fragments(catalog: &Catalog, settings: &Settings) -> Vec<Json> {
    let names = Names::of_all(catalog);
    let described: Vec<Described<'_>> = catalog
        .collections()
        .iter()
        .zip(&names)
        .map(|(collection, names)| Described {
            catalog,
            collection,
            names,
            settings,
        })
        .collect();
    let mut fragments: Vec<Json> = described.iter().map(Described::fragment).collect();
    fragments.push(shared::fragment(&described, settings));
    fragments
}

/// A collection as the document speaks of it.
struct Described<'a> {
    pub catalog: &'a Catalog,
    pub collection: &'a Collection,
    pub names: &'a Names,
    pub settings: &'a Settings,
}

impl Described<'_> {
    fn fragment(&self) -> Json {
        json!({
            "tags": [self.tag()],
            "paths": operations::paths(self),
            "components": { "schemas": self.schemas() },
        })
    }

    /// What a document is.
    fn documents(&self) -> DocumentSchemas<'_> {
        DocumentSchemas::new(self.catalog, self.collection)
    }

    fn tag(&self) -> Json {
        let mut tag = json!({
            "name": self.collection.name,
            "x-domain": self.collection.domain,
        });
        if let Some(description) = &self.collection.description {
            tag["description"] = description.as_str().into();
        }
        tag
    }

    fn schemas(&self) -> Map<String, Json> {
        let mut all = schemas::of(self);
        all.extend(filters::of(self));
        if !self.collection.append_only {
            all.extend(changes::of(self));
        }
        all
    }
}

/// Where a component is.
fn reference(kind: &str, name: &str) -> Json {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// Where a schema is.
fn schema_ref(name: &str) -> Json {
    reference("schemas", name)
}
