//! What is noted beside the tables: which types their fields have, and who was deleted. It follows
//! the tables; both databases say that alike.

use serde_json::Value as Json;

use crate::migrate::model::Place;

/// Notes which types fields have, and forgets the others.
pub(super) fn note(fields: &str, place: &Place, to: &[(String, Option<Json>)]) -> Vec<String> {
    let mut statements = Vec::new();
    let rows: Vec<String> = to
        .iter()
        .filter_map(|(field, kind)| {
            let kind = kind.as_ref()?.to_string();
            let (table, field, kind) = (text(&place.table), text(field), text(&kind));
            Some(format!("  ({table}, {field}, {kind})"))
        })
        .collect();
    if !rows.is_empty() {
        statements.push(format!(
            "INSERT INTO {fields} (\"table\", field, kind) VALUES\n{}\n  \
             ON CONFLICT (\"table\", field) DO UPDATE SET kind = excluded.kind",
            rows.join(",\n")
        ));
    }
    let gone = to.iter().filter(|(_, kind)| kind.is_none());
    statements.extend(gone.map(|(field, _)| {
        let table = text(&place.table);
        let field = text(field);
        format!("DELETE FROM {fields} WHERE \"table\" = {table} AND field = {field}")
    }));
    statements
}

/// Forgets a table.
pub(super) fn forget(fields: &str, place: &Place) -> String {
    let table = text(&place.table);
    format!("DELETE FROM {fields} WHERE \"table\" = {table}")
}

/// A field has another name.
pub(super) fn rename_field(fields: &str, place: &Place, labels: &(String, String)) -> String {
    format!(
        "UPDATE {fields} SET field = {} WHERE \"table\" = {} AND field = {}",
        text(&labels.1),
        text(&place.table),
        text(&labels.0)
    )
}

/// A table has another name, and so has its collection.
pub(super) fn rename_table(
    fields: &str,
    tombstones: &str,
    (from, to): (&Place, &Place),
    labels: &(String, String),
) -> Vec<String> {
    let mut statements = Vec::new();
    if from.table != to.table {
        statements.push(format!(
            "UPDATE {fields} SET \"table\" = {} WHERE \"table\" = {}",
            text(&to.table),
            text(&from.table)
        ));
        statements.push(format!(
            "UPDATE {fields} SET kind = replace(kind, '\"ref({})\"', '\"ref({})\"')",
            from.table, to.table
        ));
    }
    if labels.0 != labels.1 {
        statements.push(format!(
            "UPDATE {tombstones} SET collection = {} WHERE collection = {}",
            text(&labels.1),
            text(&labels.0)
        ));
    }
    statements
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
