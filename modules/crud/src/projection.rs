//! `fields=title,created_at`: which fields of a document are wanted.

use nubo_core::{Error, Result, Violation, schema::Collection};

/// Reads the names: indexes in the collection's order, the id always among them.
pub(crate) fn read(collection: &Collection, text: &str) -> Result<Vec<usize>> {
    let mut wanted = vec![Collection::ID];
    let mut violations = Vec::new();
    for name in text.split(',').map(str::trim) {
        match collection.readable_named(name) {
            Some(index) => wanted.push(index),
            None => violations.push(Violation::new(
                "/fields",
                "unknown_field",
                collection.unknown_field(name),
            )),
        }
    }
    if !violations.is_empty() {
        return Err(Error::BadRequest {
            code: "invalid_fields",
            detail: "the fields cannot be read".into(),
            errors: violations,
        });
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}
