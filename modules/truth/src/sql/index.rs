//! Which indexes a collection has, whatever the database.

use nubo_core::{
    declare::IndexKind,
    field::FieldType,
    filter::Expr,
    schema::{Collection, Index, IndexColumn},
};

/// An index as the database is to have it.
pub(crate) struct PlannedIndex {
    pub name: String,
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
    pub condition: Expr,
    pub kind: IndexKind,
}

/// The indexes of a collection: one for each unique field, those that were declared, one for the
/// default order, and one for each reference that nothing else begins with, since deletions look
/// them up.
pub(crate) fn planned(collection: &Collection) -> Vec<PlannedIndex> {
    let table = &collection.tiers.table;
    let mut found: Vec<PlannedIndex> = Vec::new();
    let mut covered: Vec<usize> = Vec::new();
    for (field, declared) in collection.declared_fields() {
        if declared.unique {
            covered.push(field);
            found.push(of_field(
                format!("{table}_{}_key", declared.name),
                field,
                true,
            ));
        }
    }
    for index in &collection.indexes {
        let declared = self::declared(collection, index);
        if !found.iter().any(|other| other.name == declared.name) {
            if index.kind == IndexKind::Btree {
                covered.extend(index.columns.first().map(|column| column.field));
            }
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
        found.push(declared(collection, &index));
    }
    for (field, declared) in collection.declared_fields() {
        if matches!(declared.kind, FieldType::Ref(_)) && !covered.contains(&field) {
            found.push(of_field(
                format!("{table}_{}_ref", declared.name),
                field,
                false,
            ));
        }
    }
    found
}

fn of_field(name: String, field: usize, unique: bool) -> PlannedIndex {
    PlannedIndex {
        name,
        columns: vec![IndexColumn {
            field,
            descending: false,
        }],
        unique,
        condition: Expr::always(),
        kind: IndexKind::Btree,
    }
}

fn declared(collection: &Collection, index: &Index) -> PlannedIndex {
    let mut columns = index.columns.clone();
    let last_descending = columns.last().is_some_and(|column| column.descending);
    let has_id = columns.iter().any(|column| column.field == Collection::ID);
    if !index.unique && index.kind == IndexKind::Btree && !has_id {
        columns.push(IndexColumn {
            field: Collection::ID,
            descending: last_descending,
        });
    }
    let mut name = collection.tiers.table.clone();
    for column in &index.columns {
        name.push('_');
        name.push_str(&collection.fields()[column.field].name);
        if column.descending {
            name.push_str("_desc");
        }
    }
    name.push_str(match (index.unique, index.kind) {
        (true, _) => "_key",
        (false, IndexKind::Btree) => "_idx",
        (false, IndexKind::Gin) => "_gin",
    });
    if !index.condition.is_always() {
        let fingerprint = fingerprint(&index.condition.spell(collection.fields()));
        name.push_str(&format!("_{fingerprint:08x}"));
    }
    PlannedIndex {
        name,
        columns,
        unique: index.unique,
        condition: index.condition.clone(),
        kind: index.kind,
    }
}

/// FNV-1a, 32 bit: tells partial indexes over the same columns apart, the same in every version.
pub(crate) fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
