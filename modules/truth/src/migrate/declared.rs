//! The schema that the collections want.

use nubo_core::{
    declare::IndexKind,
    field::{DefaultValue, FieldType},
    schema::{Catalog, Collection},
};

use super::{
    model::{Column, ForeignKey, Index, IndexedColumn, Place, Schema, Table},
    noted::noted,
};
use crate::sql::{
    Dialect, Statement, bare_column, condition,
    index::{self, PlannedIndex},
};

/// How a database names and types what is declared.
pub(crate) trait Declares: Dialect {
    /// The schema of what belongs to no collection, where there are schemas.
    const OWN_SCHEMA: Option<&'static str>;

    /// Whether the database notes what others write to a table.
    const WATCHES: bool;

    /// The type of a column.
    fn column_type(kind: &FieldType) -> String;

    /// Whether there are indexes of this kind.
    fn has_index(kind: IndexKind) -> bool;

    /// A name of an index or a key that the database takes whole.
    fn limited(name: String) -> String;
}

/// Everything that a catalog wants.
pub(crate) fn schema<D: Declares>(catalog: &Catalog) -> Schema {
    let collections = catalog.collections();
    let domains = collections.iter().map(|c| c.domain.as_str());
    let schemas = D::OWN_SCHEMA.map(|own| domains.chain([own]).map(str::to_owned).collect());
    Schema {
        schemas: schemas.unwrap_or_default(),
        tables: collections
            .iter()
            .map(|collection| table::<D>(collection, catalog))
            .collect(),
        own: true,
    }
}

/// Where the table of a collection is.
pub(crate) fn place<D: Declares>(collection: &Collection) -> Place {
    Place {
        schema: match D::OWN_SCHEMA {
            Some(_) => collection.domain.clone(),
            None => String::new(),
        },
        table: collection.tiers.table.clone(),
    }
}

fn table<D: Declares>(collection: &Collection, catalog: &Catalog) -> Table {
    let place = place::<D>(collection);
    // The table was called as the collection, unless it has a name of its own now as then.
    let former = collection.renamed_from.as_ref().map(|former| {
        let place = Place {
            table: former.clone(),
            ..place.clone()
        };
        (place, former.clone())
    });
    let fields = 0..collection.fields().len();
    let indexes = index::planned(collection).into_iter();
    Table {
        label: collection.name.clone(),
        former,
        columns: fields
            .map(|field| column::<D>(collection, catalog, field))
            .collect(),
        indexes: indexes
            .filter(|index| D::has_index(index.kind))
            .map(|index| self::index::<D>(collection, catalog, index))
            .collect(),
        keys: keys::<D>(collection, catalog),
        primary_key: primary_key::<D>(collection),
        triggers: Vec::new(),
        watched: D::WATCHES,
        place,
    }
}

fn column<D: Declares>(collection: &Collection, catalog: &Catalog, index: usize) -> Column {
    let field = &collection.fields()[index];
    let name = bare_column(collection, index);
    let former = field.renamed_from.as_ref().map(|former| {
        let suffix = name.strip_prefix(&field.name).unwrap_or_default();
        (format!("{former}{suffix}"), former.clone())
    });
    let fill = match &field.default {
        Some(DefaultValue::Literal(value)) if !matches!(field.kind, FieldType::Ref(_)) => {
            Some(D::literal(&D::field_argument(field, value)))
        }
        _ => None,
    };
    Column {
        name,
        label: field.name.clone(),
        former,
        kind: D::column_type(&field.kind),
        not_null: field.required,
        noted: Some(noted(&field.kind, catalog)),
        fill,
    }
}

fn index<D: Declares>(collection: &Collection, catalog: &Catalog, index: PlannedIndex) -> Index {
    let columns = index.columns.iter().map(|column| {
        let order = match index.kind {
            IndexKind::Btree => D::direction(collection, column.field, column.descending),
            IndexKind::Gin => "",
        };
        let descending = order.contains(" DESC");
        IndexedColumn {
            name: bare_column(collection, column.field),
            descending,
            nulls_first: order.contains(" NULLS FIRST")
                || (descending && !order.contains(" NULLS LAST")),
        }
    });
    let condition = (!index.condition.is_always()).then(|| {
        let mut condition = Statement::<D>::written_out();
        condition::push(&mut condition, &index.condition, collection, catalog);
        condition.text
    });
    Index {
        columns: columns.collect(),
        name: D::limited(index.name),
        unique: index.unique,
        kind: index.kind,
        condition,
        text: None,
    }
}

/// The guards of references. The server performs `on_delete` itself.
fn keys<D: Declares>(collection: &Collection, catalog: &Catalog) -> Vec<ForeignKey> {
    let fields = collection.declared_fields();
    fields
        .filter_map(|(index, field)| {
            let FieldType::Ref(reference) = &field.kind else {
                return None;
            };
            let name = match D::OWN_SCHEMA {
                Some(_) => D::limited(format!("{}_{}_fkey", collection.tiers.table, field.name)),
                None => String::new(),
            };
            Some(ForeignKey {
                name,
                column: bare_column(collection, index),
                target: place::<D>(catalog.get(reference.collection)),
            })
        })
        .collect()
}

/// The name of a collection's primary key.
pub(crate) fn primary_key<D: Declares>(collection: &Collection) -> String {
    match D::OWN_SCHEMA {
        Some(_) => D::limited(format!("{}_pkey", collection.tiers.table)),
        None => String::new(),
    }
}
