//! Whether what could be lost is there: the database is asked before a step counts as risky.
//!
//! The questions are about the rows as they are, under the names that tables and columns have now.

use nubo_core::module::SetupError;

use super::{
    database::Database,
    difference::Change,
    model::{Column, ForeignKey, Index, Place, Schema},
    step::Step,
};
use crate::sql::Quoted;

/// Takes risks back that do not come true with the rows that there are: of values that are missing,
/// the same, or lead nowhere. What a change loses it loses wherever its file is applied, even if
/// nothing is stored here.
pub(super) async fn examine(
    database: &mut dyn Database,
    actual: &Schema,
    changes: &mut [Change],
) -> Result<(), SetupError> {
    let steps: Vec<Step> = changes.iter().map(|change| change.step.clone()).collect();
    let asked = |change: &&mut Change| change.risk.is_some() && hangs_on_rows(&change.step);
    for change in changes.iter_mut().filter(asked) {
        let found = match question(&change.step, actual, &steps) {
            Some(question) => database.text(question).await?,
            None => None,
        };
        match (found, &mut change.risk) {
            (None, risk) => *risk = None,
            (Some(id), Some(risk)) if names_a_document(&change.step) => {
                risk.problem.push_str(&format!(", such as {id}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn hangs_on_rows(step: &Step) -> bool {
    names_a_document(step) || matches!(step, Step::AddColumn { .. })
}

/// Whether it is single documents that are in the way, and not all of them.
fn names_a_document(step: &Step) -> bool {
    matches!(
        step,
        Step::Require { .. } | Step::CreateIndex { .. } | Step::AddKey { .. }
    )
}

/// What finds the id of a document that is in a step's way; none where there cannot be one, because
/// the table is new.
fn question(step: &Step, actual: &Schema, steps: &[Step]) -> Option<String> {
    let place = step.place()?;
    let rows = rows(place, actual, steps)?;
    Some(match step {
        Step::Require { column, .. } => format!(
            "SELECT CAST(\"id\" AS text) FROM {rows} WHERE {} IS NULL LIMIT 1",
            Quoted(&column.name)
        ),
        Step::CreateIndex { index, .. } => duplicates(place, index, &rows),
        Step::AddKey { key, .. } => astray(place, key, &rows, actual, steps),
        _ => format!("SELECT CAST(\"id\" AS text) FROM {rows} LIMIT 1"),
    })
}

fn duplicates(place: &Place, index: &Index, rows: &str) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| Quoted(&column.name).to_string())
        .collect();
    let mut conditions: Vec<String> = columns
        .iter()
        .map(|column| format!("{column} IS NOT NULL"))
        .collect();
    conditions.extend(index.condition.as_ref().map(|condition| {
        // The rows stand under the table's name alone.
        let table = Quoted(&place.table).to_string();
        let whole = format!("{}.{table}.", Quoted(&place.schema));
        format!("({})", condition.replace(&whole, &format!("{table}.")))
    }));
    format!(
        "SELECT min(CAST(\"id\" AS text)) FROM {rows} WHERE {} GROUP BY {} HAVING count(*) > 1 \
         LIMIT 1",
        conditions.join(" AND "),
        columns.join(", ")
    )
}

fn astray(place: &Place, key: &ForeignKey, rows: &str, actual: &Schema, steps: &[Step]) -> String {
    let column = format!("{}.{}", Quoted(&place.table), Quoted(&key.column));
    let target = place_before(&key.target, steps);
    let leads_somewhere = match actual.table(target) {
        Some(_) => format!(
            " AND NOT EXISTS (SELECT 1 FROM {} AS target WHERE target.\"id\" = {column})",
            named(target)
        ),
        None => String::new(),
    };
    format!(
        "SELECT CAST(\"id\" AS text) FROM {rows} WHERE {column} IS NOT NULL{leads_somewhere} LIMIT 1"
    )
}

/// The rows of a table, as something to select from that has the names of after the steps.
fn rows(place: &Place, actual: &Schema, steps: &[Step]) -> Option<String> {
    let before = place_before(place, steps);
    let table = actual.table(before)?;
    let names = table.columns.iter().map(|column| column.name.clone());
    let mut columns: Vec<(String, String)> = names
        .map(|name| (name.clone(), Quoted(&name).to_string()))
        .collect();
    let filled = |column: &Column| match &column.fill {
        Some(fill) => fill.clone(),
        None => format!("CAST(NULL AS {})", column.kind),
    };
    for step in steps.iter().filter(|step| step.place() == Some(place)) {
        match step {
            Step::RenameColumn { from, to, .. } => {
                for (name, _) in columns.iter_mut().filter(|(name, _)| name == from) {
                    name.clone_from(to);
                }
            }
            Step::AddColumn { column, .. } => {
                columns.push((column.name.clone(), filled(column)));
            }
            Step::ReplaceColumn { to, .. } => {
                for (_, value) in columns.iter_mut().filter(|(name, _)| *name == to.name) {
                    *value = filled(to);
                }
            }
            _ => {}
        }
    }
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, value)| format!("{value} AS {}", Quoted(name)))
        .collect();
    Some(format!(
        "(SELECT {} FROM {}) AS {}",
        columns.join(", "),
        named(before),
        Quoted(&place.table)
    ))
}

/// A table with its schema, where there are schemas.
fn named(place: &Place) -> String {
    match place.schema.as_str() {
        "" => Quoted(&place.table).to_string(),
        schema => format!("{}.{}", Quoted(schema), Quoted(&place.table)),
    }
}

fn place_before<'a>(place: &'a Place, steps: &'a [Step]) -> &'a Place {
    let renamed = steps.iter().find_map(|step| match step {
        Step::RenameTable { from, to, .. } if to == place => Some(from),
        _ => None,
    });
    renamed.unwrap_or(place)
}
