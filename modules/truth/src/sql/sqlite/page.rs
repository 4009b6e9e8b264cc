//! Documents as SQLite builds them: the JSON that is sent, made in the database.
//!
//! Each row that SQLite hands over changes threads, so that a list is quickest as one.

use nubo_core::{
    access::View,
    field::{Field, FieldType},
    query::Query,
    schema::{Catalog, Collection},
    value::{MAX_SAFE_INTEGER, Value},
};

use super::{Sqlite, encode::is_sent_as_stored};
use crate::sql::{
    Dialect, column_of,
    select::{one_more, push_list, push_masked, push_seen},
};

type Statement = crate::sql::Statement<Sqlite>;

/// The most fields whose JSON is built in one call of `json_object`, which takes 127 arguments in
/// every build of SQLite.
pub(crate) const MAX_JSON_FIELDS: usize = 63;

/// Whether the database can build the collection's documents as they are sent, byte for byte.
pub(crate) fn builds_json(collection: &Collection) -> bool {
    let sent = collection.sent_fields();
    sent.len() <= MAX_JSON_FIELDS
        && sent
            .iter()
            .all(|index| is_sent_as_stored(&collection.fields()[*index].kind))
}

/// An expression that builds a document as it is sent.
pub(crate) fn json_expression(collection: &Collection) -> String {
    let parts: Vec<String> = collection
        .sent_fields()
        .iter()
        .map(|&index| {
            format!(
                "'{}', {}",
                collection.fields()[index].name,
                sent(collection, index)
            )
        })
        .collect();
    format!("json_object({})", parts.join(", "))
}

/// Appends the same expression with null in the place of what the view masks.
fn push_masked_json(
    statement: &mut Statement,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    statement.push("json_object(");
    statement.join(collection.sent_fields(), ", ", |statement, &index| {
        statement.push(format_args!("'{}', ", collection.fields()[index].name));
        let value = sent(collection, index);
        push_masked(statement, &value, index, collection, catalog, view);
    });
    statement.push(")");
}

/// The value of a field as it is sent.
fn sent(collection: &Collection, index: usize) -> String {
    let field = &collection.fields()[index];
    let column = column_of(collection, index);
    match &field.kind {
        FieldType::Bool => {
            format!("CASE {column} WHEN 1 THEN json('true') WHEN 0 THEN json('false') END")
        }
        FieldType::BigInt if !field.system => format!(
            "CASE WHEN {column} BETWEEN -{MAX_SAFE_INTEGER} AND {MAX_SAFE_INTEGER} \
             THEN {column} ELSE CAST({column} AS TEXT) END"
        ),
        FieldType::Json | FieldType::List(_) => format!("json({column})"),
        FieldType::Object(fields) => object_expression(fields, &column, "$"),
        _ => column,
    }
}

/// An expression that builds the object at a path field by field: what is stored may be older than
/// the fields that are declared inside. `->` yields what stands there as it stands.
fn object_expression(fields: &[Field], column: &str, path: &str) -> String {
    let parts: Vec<String> = fields
        .iter()
        .filter(|field| field.is_sent())
        .map(|field| {
            let path = format!("{path}.{}", field.name);
            let value = match &field.kind {
                FieldType::Object(fields) => object_expression(fields, column, &path),
                _ => format!("{column} -> '{path}'"),
            };
            format!("'{}', {value}", field.name)
        })
        .collect();
    format!(
        "CASE json_type({column}, '{path}') WHEN 'object' THEN json_object({}) END",
        parts.join(", ")
    )
}

/// One document by its id, where the view has it: its JSON and its revision.
pub(crate) fn seen_json(
    id: &Value,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let mut statement = Statement::new("SELECT ");
    push_masked_json(&mut statement, collection, catalog, view);
    statement.push(format_args!(
        ", \"_rev\" FROM {}",
        Sqlite::table(collection)
    ));
    push_seen(&mut statement, id, collection, catalog, view);
    statement
}

/// A list as one row: its documents joined by `,\n`, one more than the limit so that the end can
/// be told, and their number.
///
/// `head` comes from [`page_head`]; it is the same for every list of the collection that masks
/// nothing.
pub(crate) fn page(
    head: &str,
    query: &Query,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let mut statement = Statement::new("");
    statement.text.reserve(head.len() + 256);
    if view.masks.is_empty() {
        statement.push(head);
    } else {
        statement.push(PAGE);
        push_masked_json(&mut statement, collection, catalog, view);
        statement.push(" AS d");
    }
    push_list(
        &mut statement,
        query,
        one_more(query),
        collection,
        catalog,
        view,
    );
    statement.push(")");
    statement
}

const PAGE: &str = "SELECT group_concat(d, char(44, 10)), count(*) FROM (SELECT ";

/// How the statement of a page begins.
pub(crate) fn page_head(collection: &Collection) -> String {
    format!("{PAGE}{} AS d", json_expression(collection))
}
