//! Orders and indexes: fields with a direction.

use crate::{
    declare::{CollectionDeclaration, IndexDeclaration, IndexKind, IndexOptions},
    field::FieldType,
    filter::{Expr, NoVariables, Variables},
    mistake::nearest,
    schema::{Catalog, Collection, Index, IndexColumn, SortKey},
};

use super::{Report, rule::filter};

pub(super) fn field_index(
    collection: &Collection,
    name: &str,
    report: &mut Report<'_>,
) -> Option<usize> {
    let found = collection.field_named(name).map(|(index, _)| index);
    if found.is_none() {
        let names = collection.fields.iter().map(|field| field.name.as_str());
        let suggestion = nearest(name, names).map(str::to_owned);
        report.value(
            format!("`{}` has no field `{name}`", collection.name),
            suggestion,
        );
    }
    found
}

/// A field with its direction: `-created_at`.
fn directed(collection: &Collection, text: &str, report: &mut Report<'_>) -> Option<SortKey> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    field_index(collection, name, report).map(|field| SortKey { field, descending })
}

pub(super) fn order(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Vec<SortKey> {
    let keys = match &declaration.order {
        None => vec![SortKey {
            field: collection.created_at(),
            descending: true,
        }],
        Some(names) => report.inside("order", |report| {
            names
                .as_slice()
                .iter()
                .filter_map(|text| {
                    let key = directed(collection, text, report)?;
                    let field = &collection.fields[key.field];
                    if !field.kind.is_ordered() && !report.is_broken(field) {
                        report.value(
                            format!(
                                "`{}` is a {}, which has no order",
                                field.name,
                                field.kind.word()
                            ),
                            None,
                        );
                        return None;
                    }
                    Some(key)
                })
                .collect()
        }),
    };
    Collection::total_order(keys)
}

pub(super) fn indexes(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Vec<Index> {
    report.inside("indexes", |report| {
        declaration
            .indexes
            .iter()
            .enumerate()
            .filter_map(|(position, index)| {
                report.inside(position, |report| {
                    self::index(index, collection, catalog, report)
                })
            })
            .collect()
    })
}

fn index(
    declaration: &IndexDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Option<Index> {
    let short;
    let (options, key) = match declaration {
        IndexDeclaration::Fields(fields) => {
            short = IndexOptions {
                fields: fields.clone(),
                ..IndexOptions::default()
            };
            (&short, None)
        }
        IndexDeclaration::Options(options) => (options, Some("fields")),
    };
    let columns = |report: &mut Report<'_>| -> Vec<Option<IndexColumn>> {
        if options.fields.is_empty() {
            report.value("names no field", None);
        }
        options
            .fields
            .iter()
            .enumerate()
            .map(|(position, text)| {
                report.inside(position, |report| {
                    let SortKey { field, descending } = directed(collection, text, report)?;
                    let kind = &collection.fields[field].kind;
                    let gin = options.using == Some(IndexKind::Gin);
                    let needs_gin = matches!(
                        kind,
                        FieldType::Json | FieldType::List(_) | FieldType::Object(_)
                    );
                    if gin != needs_gin && !report.is_broken(&collection.fields[field]) {
                        let message = match gin {
                            true => "a gin index is for json and lists".to_owned(),
                            false => format!("a {} needs `using: gin`", kind.word()),
                        };
                        report.value(message, None);
                    }
                    Some(IndexColumn { field, descending })
                })
            })
            .collect()
    };
    let columns = match key {
        Some(key) => report.inside(key, columns),
        None => columns(report),
    };
    let condition = match &options.condition {
        None => Expr::always(),
        Some(json) => report.inside("where", |report| {
            filter(json, collection, catalog, Variables::None, report)
                .and_then(|expr| expr.bind(&NoVariables))
                .filter(|expr| {
                    let plain = expr.is_plain();
                    if !plain {
                        report.value(
                            "an index is bound to plain fields, not to json, lists or what is \
                             inside an object",
                            None,
                        );
                    }
                    plain
                })
        })?,
    };
    Some(Index {
        columns: columns.into_iter().collect::<Option<_>>()?,
        unique: options.unique,
        condition,
        kind: options.using.unwrap_or_default(),
    })
}
