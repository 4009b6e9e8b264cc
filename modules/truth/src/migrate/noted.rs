//! Types of fields as they are noted in the database: its own types are fewer, so that it could not
//! tell later whether what it holds can be read.

use nubo_core::{field::FieldType, schema::Catalog};
use serde_json::{Value as Json, json};

/// A type as it is noted: a word, a list of one, or an object of those inside.
pub(crate) fn noted(kind: &FieldType, catalog: &Catalog) -> Json {
    match kind {
        FieldType::List(item) => json!([noted(item, catalog)]),
        FieldType::Object(fields) => fields
            .iter()
            .map(|field| (field.name.clone(), noted(&field.kind, catalog)))
            .collect(),
        FieldType::Ref(reference) => {
            json!(reference_to(&catalog.get(reference.collection).tiers.table))
        }
        kind => json!(kind.word()),
    }
}

/// How a reference to a table is noted.
pub(super) fn reference_to(table: &str) -> String {
    format!("ref({table})")
}

/// The note with references to one table made references to another.
pub(super) fn redirected(noted: &Json, from: &str, to: &str) -> Json {
    match noted {
        Json::String(word) if *word == reference_to(from) => json!(reference_to(to)),
        Json::Array(items) => items
            .iter()
            .map(|item| redirected(item, from, to))
            .collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(name, inner)| (name.clone(), redirected(inner, from, to)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether what was stored as one type can be read as another. An id may become a reference and
/// back: whether it leads anywhere is for the foreign key.
pub(super) fn is_readable(from: &Json, to: &Json) -> bool {
    let is_id = |noted: &Json| {
        let word = noted.as_str();
        word.is_some_and(|word| word == "uuid" || word.starts_with("ref("))
    };
    match (from, to) {
        (Json::Array(from), Json::Array(to)) => {
            from.iter().zip(to).all(|(from, to)| is_readable(from, to))
        }
        (Json::Object(from), Json::Object(to)) => to.iter().all(|(name, to)| {
            let from = from.get(name);
            from.is_none_or(|from| is_readable(from, to))
        }),
        (Json::Array(_) | Json::Object(_), Json::String(word)) => word == "json",
        (Json::String(from), Json::String(to)) => {
            from == to
                || (from == "int" && to == "bigint")
                || (to == "text"
                    && ["email", "url", "uuid", "timestamp", "date", "ip"].contains(&from.as_str()))
                || (is_id(&json!(from)) && is_id(&json!(to)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_only_where_every_value_can_be() {
        for (from, to, readable) in [
            (json!("int"), json!("bigint"), true),
            (json!("bigint"), json!("int"), false),
            (json!("date"), json!("text"), true),
            (json!("text"), json!("date"), false),
            (json!("uuid"), json!("ref(users)"), true),
            (json!("ref(users)"), json!("ref(people)"), true),
            (json!("ref(users)"), json!("text"), false),
            (json!(["int"]), json!(["bigint"]), true),
            (json!(["text"]), json!("json"), true),
            (json!("json"), json!(["text"]), false),
            (
                json!({ "a": "int" }),
                json!({ "a": "int", "b": "text" }),
                true,
            ),
            (json!({ "a": "int" }), json!({ "a": "text" }), false),
        ] {
            assert_eq!(is_readable(&from, &to), readable, "{from} as {to}");
        }
    }

    #[test]
    fn references_follow_their_table() {
        assert_eq!(
            redirected(&json!({ "a": ["ref(x)"], "b": "ref(xy)" }), "x", "z"),
            json!({ "a": ["ref(z)"], "b": "ref(xy)" })
        );
    }
}
