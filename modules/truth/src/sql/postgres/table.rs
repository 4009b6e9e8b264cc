//! What a catalog looks like in PostgreSQL: schemas, tables, keys and indexes.
//!
//! Tables come first and their foreign keys after all of them, since references may lead in
//! circles.

use std::collections::BTreeMap;

use nubo_core::{
    declare::IndexKind,
    field::{DefaultValue, FieldType},
    schema::{Catalog, Collection},
};

use super::{Postgres, literal, types::Type};
use crate::sql::{
    Dialect, Quoted, Statement, bare_column, column_of, condition,
    index::{self, PlannedIndex, fingerprint},
};

/// The schema of what belongs to no collection.
pub(crate) const OWN_SCHEMA: &str = "nubo";

/// The longest name, in bytes; PostgreSQL cuts off what is beyond.
const MAX_NAME: usize = 63;

/// A column as the database is to have it.
pub(crate) struct PlannedColumn {
    pub name: String,
    /// As `format_type` of PostgreSQL gives it.
    pub kind: String,
    /// What follows the type: a collation, or nothing.
    pub collation: &'static str,
    pub not_null: bool,
    /// The default that existing rows get where the column is new, as SQL.
    pub default: Option<String>,
}

/// A constraint or an index: its name, and the statement that makes it.
pub(crate) struct Named {
    pub name: String,
    pub statement: String,
}

/// The schemas, by name: one for each domain, and Nubo's own.
pub(crate) fn schemas(catalog: &Catalog) -> BTreeMap<String, String> {
    let collections = catalog.collections().iter();
    let domains = collections.map(|collection| collection.domain.as_str());
    domains
        .chain([OWN_SCHEMA])
        .map(|name| {
            let statement = format!("CREATE SCHEMA IF NOT EXISTS {}", Quoted(name));
            (name.to_owned(), statement)
        })
        .collect()
}

/// The tables that belong to no collection.
pub(crate) fn own_tables() -> Vec<String> {
    let tombstones = Postgres::TOMBSTONES;
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {tombstones} (\n  \
             collection text COLLATE \"C\" NOT NULL,\n  \
             id uuid NOT NULL,\n  \
             revision bigint NOT NULL,\n  \
             deleted_at bigint NOT NULL,\n  \
             PRIMARY KEY (id, collection)\n)"
        ),
        format!(
            "CREATE INDEX IF NOT EXISTS tombstones_deleted_at_idx ON {tombstones} (deleted_at)"
        ),
    ]
}

/// The table of a collection, without what refers to other tables.
pub(crate) fn create(collection: &Collection) -> String {
    let mut parts: Vec<String> = columns(collection)
        .iter()
        .map(|column| {
            let not_null = if column.not_null { " NOT NULL" } else { "" };
            format!(
                "{} {}{}{not_null}",
                Quoted(&column.name),
                column.kind,
                column.collation
            )
        })
        .collect();
    parts.push(format!(
        "CONSTRAINT {} PRIMARY KEY (\"id\")",
        Quoted(&primary_key(collection))
    ));
    format!(
        "CREATE TABLE {} (\n  {}\n)",
        Postgres::table(collection),
        parts.join(",\n  ")
    )
}

/// The columns of a collection, in the order of its fields.
pub(crate) fn columns(collection: &Collection) -> Vec<PlannedColumn> {
    let fields = collection.fields().iter().enumerate();
    fields
        .map(|(index, field)| {
            let kind = Type::of(&field.kind);
            let default = match &field.default {
                Some(DefaultValue::Literal(value)) if !matches!(field.kind, FieldType::Ref(_)) => {
                    Some(literal(&Postgres::field_argument(field, value)))
                }
                _ => None,
            };
            PlannedColumn {
                name: bare_column(collection, index),
                kind: kind.name(),
                collation: kind.collation(),
                not_null: field.required || index == Collection::ID,
                default,
            }
        })
        .collect()
}

/// What adds one column to a table that has rows, or why it cannot be added.
pub(crate) fn add_column(collection: &Collection, index: usize) -> Result<String, String> {
    let field = &collection.fields()[index];
    let columns = columns(collection);
    let column = &columns[index];
    let mut text = format!(
        "ALTER TABLE {} ADD COLUMN {} {}{}",
        Postgres::table(collection),
        Quoted(&column.name),
        column.kind,
        column.collation
    );
    match (&column.default, column.not_null) {
        (None, true) => {
            return Err(format!(
                "the new field `{}` of `{}` is required and has no default, \
                 so the documents that exist would have no value",
                field.name, collection.name
            ));
        }
        (Some(default), not_null) => {
            if not_null {
                text.push_str(" NOT NULL");
            }
            text.push_str(&format!(" DEFAULT {default}"));
        }
        (None, false) => {}
    }
    Ok(text)
}

/// The guards of a collection's references. The server performs `on_delete` itself.
pub(crate) fn foreign_keys(collection: &Collection, catalog: &Catalog) -> Vec<Named> {
    let mut keys = Vec::new();
    for (index, field) in collection.declared_fields() {
        let FieldType::Ref(reference) = &field.kind else {
            continue;
        };
        let name = limited(format!("{}_{}_fkey", collection.tiers.table, field.name));
        let statement = format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} (\"id\")",
            Postgres::table(collection),
            Quoted(&name),
            column_of(collection, index),
            Postgres::table(catalog.get(reference.collection))
        );
        keys.push(Named { name, statement });
    }
    keys
}

/// The indexes of a collection.
pub(crate) fn indexes(collection: &Collection, catalog: &Catalog) -> Vec<Named> {
    index::planned(collection)
        .into_iter()
        .map(|index| {
            let statement = create_index(collection, catalog, &index);
            let name = limited(index.name);
            Named { name, statement }
        })
        .collect()
}

/// What is unique in a collection: the name of the key, and its fields.
pub(crate) fn unique_keys(collection: &Collection) -> Vec<(String, Vec<usize>)> {
    let unique = index::planned(collection)
        .into_iter()
        .filter(|index| index.unique);
    let mut keys: Vec<(String, Vec<usize>)> = unique
        .map(|index| {
            let fields = index.columns.iter().map(|column| column.field).collect();
            (limited(index.name), fields)
        })
        .collect();
    keys.push((primary_key(collection), vec![Collection::ID]));
    keys
}

fn primary_key(collection: &Collection) -> String {
    limited(format!("{}_pkey", collection.tiers.table))
}

fn create_index(collection: &Collection, catalog: &Catalog, index: &PlannedIndex) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| {
            let name = column_of(collection, column.field);
            let order = match index.kind {
                IndexKind::Btree => {
                    Postgres::direction(collection, column.field, column.descending)
                }
                IndexKind::Gin => "",
            };
            format!("{name}{order}")
        })
        .collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let using = match index.kind {
        IndexKind::Btree => "",
        IndexKind::Gin => " USING gin",
    };
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {}{using} ({})",
        Quoted(&limited(index.name.clone())),
        Postgres::table(collection),
        columns.join(", ")
    );
    if !index.condition.is_always() {
        let mut condition = Statement::<Postgres>::written_out();
        condition::push(&mut condition, &index.condition, collection, catalog);
        text.push_str(&format!(" WHERE {}", condition.text));
    }
    text
}

/// A name that PostgreSQL takes whole: the end of one that is too long becomes a fingerprint.
fn limited(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let fingerprint = fingerprint(&name);
    let mut end = MAX_NAME - 9;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{fingerprint:08x}", &name[..end])
}
