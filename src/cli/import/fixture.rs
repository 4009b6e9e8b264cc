//! A collection that the tests import into.

use std::sync::Arc;

use nubo_core::schema::{Catalog, Collection};
use serde_json::{Value as Json, json};

/// A catalog with films, and the films.
pub fn films() -> (Arc<Catalog>, Arc<Collection>) {
    let catalog = catalog(json!({
        "title": "text",
        "released": "date",
        "seen_at": "timestamp",
        "country": { "type": "text", "normalize": ["trim", "lower"] },
        "rating": "float",
        "votes": { "type": "int", "default": 0, "min": 0 },
        "notes": "json",
        "secret": "password",
        "hidden": { "type": "text", "hidden": true },
        "sequel_of": "ref(films)",
    }));
    let films = catalog.named("films").unwrap().clone();
    (catalog, films)
}

/// A catalog with films that have these fields.
pub fn catalog(fields: Json) -> Arc<Catalog> {
    let declaration = json!({"name": "films", "fields": fields});
    let declaration = serde_json::from_value(declaration).unwrap();
    Arc::new(Catalog::compile(&[declaration], &[]).unwrap())
}
