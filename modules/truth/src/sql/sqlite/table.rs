//! Tables: what a collection looks like in SQL, and what an existing table lacks.

use nubo_core::{
    declare::IndexKind,
    field::{DefaultValue, FieldType},
    schema::{Catalog, Collection},
};
use serde_json::{Value as Json, json};

use super::{
    Sqlite,
    encode::{DECIMAL_COLLATION, column_type, encode_field},
};
use crate::sql::{
    Dialect, Quoted, Statement, column_of, condition,
    index::{self, PlannedIndex},
};

const TOMBSTONES: &str = Sqlite::TOMBSTONES;

/// What type each column was declared with: SQLite's own types are fewer.
pub(crate) const FIELDS: &str = "nubo_fields";

/// The tables that belong to no collection.
pub(crate) fn own_tables() -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {TOMBSTONES} (collection TEXT NOT NULL, id TEXT NOT NULL, \
             revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, \
             PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {FIELDS} (\"table\" TEXT NOT NULL, field TEXT NOT NULL, \
             kind TEXT NOT NULL, PRIMARY KEY (\"table\", field)) STRICT, WITHOUT ROWID"
        ),
        format!("CREATE INDEX IF NOT EXISTS {TOMBSTONES}_deleted_at ON {TOMBSTONES} (deleted_at)"),
    ]
}

/// The table of a collection, under a name, with columns that nobody declares any longer.
pub(crate) fn create(
    collection: &Collection,
    catalog: &Catalog,
    name: &str,
    others: &[(&str, &str)],
) -> String {
    let mut columns: Vec<String> = (0..collection.fields().len())
        .map(|index| column(collection, catalog, index))
        .collect();
    let others = others
        .iter()
        .map(|(name, kind)| format!("{} {kind}", Quoted(name)));
    columns.extend(others);
    format!(
        "CREATE TABLE {} (\n  {}\n) STRICT",
        Quoted(name),
        columns.join(",\n  ")
    )
}

/// What makes the table anew with other constraints and all of its rows. Foreign keys must be off,
/// and must be checked afterwards: <https://sqlite.org/lang_altertable.html#otheralter>.
pub(crate) fn rebuild(
    collection: &Collection,
    catalog: &Catalog,
    columns: &[&str],
    others: &[(&str, &str)],
) -> [String; 4] {
    let name = &collection.tiers.table;
    let new = format!("{name}_nubo_new");
    let columns: Vec<String> = columns
        .iter()
        .map(|column| Quoted(column).to_string())
        .collect();
    let columns = columns.join(", ");
    [
        create(collection, catalog, &new, others),
        format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM {}",
            Quoted(&new),
            Quoted(name)
        ),
        format!("DROP TABLE {}", Quoted(name)),
        format!("ALTER TABLE {} RENAME TO {}", Quoted(&new), Quoted(name)),
    ]
}

/// A type as it is noted beside the table: a word, a list of one, or an object of those inside.
pub(crate) fn noted(kind: &FieldType, catalog: &Catalog) -> Json {
    match kind {
        FieldType::List(item) => json!([noted(item, catalog)]),
        FieldType::Object(fields) => fields
            .iter()
            .map(|field| (field.name.clone(), noted(&field.kind, catalog)))
            .collect(),
        FieldType::Ref(reference) => {
            json!(format!(
                "ref({})",
                catalog.get(reference.collection).tiers.table
            ))
        }
        kind => json!(kind.word()),
    }
}

/// Whether what was stored as the noted type can be read as this one.
pub(crate) fn is_readable_as(noted: &Json, kind: &FieldType, catalog: &Catalog) -> bool {
    match (noted, kind) {
        (Json::Array(items), FieldType::List(item)) => items
            .iter()
            .all(|noted| is_readable_as(noted, item, catalog)),
        (Json::Object(entries), FieldType::Object(fields)) => fields.iter().all(|field| {
            let noted = entries.get(&field.name);
            noted.is_none_or(|noted| is_readable_as(noted, &field.kind, catalog))
        }),
        (Json::Array(_) | Json::Object(_), FieldType::Json) => true,
        (Json::String(word), FieldType::BigInt) if word == "int" => true,
        (Json::String(word), FieldType::Text) => {
            ["text", "email", "url", "uuid", "timestamp", "date", "ip"].contains(&word.as_str())
        }
        (noted, kind) => *noted == self::noted(kind, catalog),
    }
}

/// A column with its constraints.
fn column(collection: &Collection, catalog: &Catalog, index: usize) -> String {
    let field = &collection.fields()[index];
    let mut text = format!(
        "{} {}",
        column_of(collection, index),
        column_type(&field.kind)
    );
    if field.kind == FieldType::Decimal {
        text.push_str(&format!(" COLLATE {DECIMAL_COLLATION}"));
    }
    if index == Collection::ID {
        text.push_str(" PRIMARY KEY");
    }
    if field.required {
        text.push_str(" NOT NULL");
    }
    if let FieldType::Ref(reference) = &field.kind {
        // A guard only: the server performs on_delete itself.
        let target = Sqlite::table(catalog.get(reference.collection));
        text.push_str(&format!(" REFERENCES {target} (\"id\")"));
    }
    if matches!(
        field.kind,
        FieldType::Json | FieldType::List(_) | FieldType::Object(_)
    ) {
        text.push_str(&format!(
            " CHECK (json_valid({}))",
            column_of(collection, index)
        ));
    }
    text
}

/// What can be added to a table without touching its rows, or why it cannot.
pub(crate) fn add_column(
    collection: &Collection,
    catalog: &Catalog,
    index: usize,
) -> Result<String, String> {
    let field = &collection.fields()[index];
    let column = column(collection, catalog, index);
    let default = match &field.default {
        Some(DefaultValue::Literal(value)) if !matches!(field.kind, FieldType::Ref(_)) => {
            Some(Sqlite::literal(&encode_field(field, value)))
        }
        _ => None,
    };
    match default {
        Some(default) => Ok(format!(
            "ALTER TABLE {} ADD COLUMN {column} DEFAULT {default}",
            Sqlite::table(collection)
        )),
        None if field.required => Err(format!(
            "the new field `{}` of `{}` is required and has no default, \
             so the documents that exist would have no value",
            field.name, collection.name
        )),
        None => Ok(format!(
            "ALTER TABLE {} ADD COLUMN {column}",
            Sqlite::table(collection)
        )),
    }
}

/// The indexes of a collection: name and statement.
pub(crate) fn indexes(collection: &Collection, catalog: &Catalog) -> Vec<(String, String)> {
    index::planned(collection)
        .into_iter()
        .filter(|index| index.kind == IndexKind::Btree)
        .map(|index| {
            let statement = create_index(collection, catalog, &index);
            (index.name, statement)
        })
        .collect()
}

fn create_index(collection: &Collection, catalog: &Catalog, index: &PlannedIndex) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| {
            let direction = Sqlite::direction(collection, column.field, column.descending);
            format!("{}{direction}", column_of(collection, column.field))
        })
        .collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        Quoted(&index.name),
        Sqlite::table(collection),
        columns.join(", ")
    );
    if !index.condition.is_always() {
        let mut condition = Statement::<Sqlite>::written_out();
        condition::push(&mut condition, &index.condition, collection, catalog);
        text.push_str(&format!(" WHERE {}", condition.text));
    }
    text
}
