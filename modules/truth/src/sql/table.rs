//! Tables: what a collection looks like in SQL, and what an existing table lacks.

use nubo_core::{
    declare::IndexKind,
    field::{DefaultValue, FieldType},
    filter::Expr,
    schema::{Catalog, Collection, Index, IndexColumn},
};
use serde_json::{Value as Json, json};

use super::{
    Argument, Quoted, Statement, column_of, condition,
    encode::{DECIMAL_COLLATION, column_type, encode_field},
    table_of,
    write::TOMBSTONES,
};

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
        let target = table_of(catalog.get(reference.collection));
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
            Some(literal(&encode_field(field, value)))
        }
        _ => None,
    };
    match default {
        Some(default) => Ok(format!(
            "ALTER TABLE {} ADD COLUMN {column} DEFAULT {default}",
            table_of(collection)
        )),
        None if field.required => Err(format!(
            "the new field `{}` of `{}` is required and has no default, \
             so the documents that exist would have no value",
            field.name, collection.name
        )),
        None => Ok(format!(
            "ALTER TABLE {} ADD COLUMN {column}",
            table_of(collection)
        )),
    }
}

/// A value as SQL text. Only for values of the configuration, and only in DDL, which takes no
/// arguments.
fn literal(argument: &Argument) -> String {
    match argument {
        Argument::Null => "NULL".into(),
        Argument::Integer(number) => number.to_string(),
        Argument::Real(number) => format!("{number:e}"),
        Argument::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Argument::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}

/// The indexes of a collection: name and statement. Declared ones, one for each unique field, and
/// one for each reference that nothing else begins with, since deletions look them up.
pub(crate) fn indexes(collection: &Collection, catalog: &Catalog) -> Vec<(String, String)> {
    let table = &collection.tiers.table;
    let mut found: Vec<(String, String)> = Vec::new();
    let mut covered: Vec<usize> = Vec::new();
    for (index, field) in collection
        .declared_fields()
        .filter(|(_, field)| field.unique)
    {
        let name = format!("{table}_{}_key", field.name);
        let text = format!(
            "CREATE UNIQUE INDEX {} ON {} ({})",
            Quoted(&name),
            table_of(collection),
            column_of(collection, index)
        );
        covered.push(index);
        found.push((name, text));
    }
    for index in collection
        .indexes
        .iter()
        .filter(|index| index.kind == IndexKind::Btree)
    {
        let declared = declared(collection, catalog, index);
        if !found.iter().any(|(name, _)| *name == declared.0) {
            covered.extend(index.columns.first().map(|column| column.field));
            found.push(declared);
        }
    }
    // The default order of lists, which every list without a filter has.
    let order: Vec<IndexColumn> = collection
        .order
        .iter()
        .map(|key| IndexColumn {
            field: key.field,
            descending: key.descending,
        })
        .collect();
    let first = order[0].field;
    if first != Collection::ID && !covered.contains(&first) {
        covered.push(first);
        let index = Index {
            columns: order,
            unique: false,
            condition: Expr::always(),
            kind: IndexKind::Btree,
        };
        found.push(declared(collection, catalog, &index));
    }
    for (index, field) in collection.declared_fields() {
        if matches!(field.kind, FieldType::Ref(_)) && !covered.contains(&index) {
            let name = format!("{table}_{}_ref", field.name);
            let text = format!(
                "CREATE INDEX {} ON {} ({})",
                Quoted(&name),
                table_of(collection),
                column_of(collection, index)
            );
            found.push((name, text));
        }
    }
    found
}

fn declared(collection: &Collection, catalog: &Catalog, index: &Index) -> (String, String) {
    let mut columns: Vec<(usize, bool)> = index
        .columns
        .iter()
        .map(|column| (column.field, column.descending))
        .collect();
    let last_descending = columns.last().is_some_and(|(_, descending)| *descending);
    if !index.unique && !columns.iter().any(|(field, _)| *field == Collection::ID) {
        columns.push((Collection::ID, last_descending));
    }
    let mut name = collection.tiers.table.clone();
    for column in &index.columns {
        name.push('_');
        name.push_str(&collection.fields()[column.field].name);
        if column.descending {
            name.push_str("_desc");
        }
    }
    name.push_str(if index.unique { "_key" } else { "_idx" });
    let parts: Vec<String> = columns
        .into_iter()
        .map(|(field, descending)| {
            let direction = if descending { " DESC" } else { "" };
            format!("{}{direction}", column_of(collection, field))
        })
        .collect();
    let mut statement = Statement::default();
    if !index.condition.is_always() {
        condition::push(&mut statement, &index.condition, collection, catalog);
        name.push_str(&format!(
            "_{:08x}",
            fingerprint(&format!("{:?}", index.condition))
        ));
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        Quoted(&name),
        table_of(collection),
        parts.join(", ")
    );
    if !statement.text.is_empty() {
        text.push_str(&format!(" WHERE {}", inlined(&statement)));
    }
    (name, text)
}

/// A statement with its arguments written out, for the condition of a partial index.
fn inlined(statement: &Statement) -> String {
    let mut arguments = statement.arguments.iter();
    let mut text = String::with_capacity(statement.text.len());
    for part in statement.text.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                text.push_str(before);
                text.push_str(&arguments.next().map_or_else(|| "NULL".into(), literal));
            }
            None => text.push_str(part),
        }
    }
    text
}

/// FNV-1a, 32 bit: tells partial indexes over the same columns apart, the same in every version.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
