//! Reading: lists as ready JSON, documents, counts.

use nubo_core::{
    access::View,
    field::{Field, FieldType},
    filter::{Expr, Path, Select, Test},
    query::{Query, Related, Start},
    schema::{Catalog, Collection, SortKey},
    value::Value,
};

use super::{
    Argument, Statement, column_of, condition,
    encode::{encode, is_sent_as_stored},
    table_of,
};
use nubo_core::value::MAX_SAFE_INTEGER;

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

/// Appends an SQL expression of a field, which is null where the view masks it.
fn push_masked(
    statement: &mut Statement,
    value: &str,
    field: usize,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    match view.mask(field) {
        None => {
            statement.push(value);
        }
        Some(mask) if mask.shown.is_never() => {
            statement.push("NULL");
        }
        Some(mask) => {
            statement.push("CASE WHEN ");
            condition::push(statement, &mask.shown, collection, catalog);
            statement.push(format_args!(" THEN {value} END"));
        }
    }
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

/// All columns of a collection, in the order of its fields.
pub(crate) fn columns(collection: &Collection) -> String {
    (0..collection.fields().len())
        .map(|index| column_of(collection, index))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One document by its id, as `what`.
pub(crate) fn by_id(collection: &Collection, what: &str) -> String {
    format!(
        "SELECT {what} FROM {} WHERE \"id\" = ?",
        table_of(collection)
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
    statement.push(format_args!(", \"_rev\" FROM {}", table_of(collection)));
    push_seen(&mut statement, id, collection, catalog, view);
    statement
}

/// The same as a row of all columns.
pub(crate) fn seen_columns(
    id: &Value,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let mut statement = Statement::new("SELECT ");
    push_columns(&mut statement, collection, catalog, view);
    statement.push(format_args!(" FROM {}", table_of(collection)));
    push_seen(&mut statement, id, collection, catalog, view);
    statement
}

fn push_seen(
    statement: &mut Statement,
    id: &Value,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    let path = Path::to_field(Collection::ID, &collection.fields()[Collection::ID]);
    let itself = Expr::field(path, Test::Equal(id.clone()));
    statement.push(" WHERE ");
    let condition = itself.and(view.condition.clone());
    condition::push(statement, &condition, collection, catalog);
}

/// All columns in the order of the fields, null where the view masks them.
fn push_columns(
    statement: &mut Statement,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    let fields = 0..collection.fields().len();
    statement.join(fields, ", ", |statement, index| {
        let column = format!("{}.{}", table_of(collection), column_of(collection, index));
        push_masked(statement, &column, index, collection, catalog, view);
        statement.push(format_args!(" AS {}", column_of(collection, index)));
    });
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
    let mut statement = Statement::default();
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

/// A list as rows of all columns, so many at most.
pub(crate) fn documents(
    query: &Query,
    rows: i64,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let mut statement = Statement::new("SELECT ");
    push_columns(&mut statement, collection, catalog, view);
    push_list(&mut statement, query, rows, collection, catalog, view);
    statement
}

/// How many documents match.
pub(crate) fn count(
    filter: &Expr,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let mut statement = Statement::new(format!("SELECT count(*) FROM {}", table_of(collection)));
    let condition = filter.clone().and(view.condition.clone());
    if !condition.is_always() {
        statement.push(" WHERE ");
        condition::push(&mut statement, &condition, collection, catalog);
    }
    statement
}

/// Whether some document that the sub-query finds has this value.
pub(crate) fn contains(select: &Select, value: &Value, catalog: &Catalog) -> Statement {
    let mut statement = Statement::new("SELECT ");
    condition::contains(&mut statement, select, value, catalog);
    statement
}

/// Documents that reference others, at most so many for each.
pub(crate) fn related(
    related: &Related,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement {
    let names = columns(collection);
    let table = table_of(collection);
    let field = format!("{table}.{}", column_of(collection, related.field));
    let list = matches!(collection.fields()[related.field].kind, FieldType::List(_));
    let (source, key) = match list {
        true => (
            format!("{table}, json_each({field}) AS item"),
            "item.value".to_owned(),
        ),
        false => (table.to_string(), field),
    };
    let mut statement = Statement::new(format!("SELECT {names} FROM (SELECT "));
    push_columns(&mut statement, collection, catalog, view);
    let order = order(&related.sort, |field| {
        format!("{table}.{}", column_of(collection, field))
    });
    statement.push(format_args!(
        ", row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS place FROM {source} WHERE {key} IN ("
    ));
    statement.join(&related.values, ", ", |statement, value| {
        statement.bind(encode(value));
    });
    statement.push(")");
    if !view.condition.is_always() {
        statement.push(" AND ");
        condition::push(&mut statement, &view.condition, collection, catalog);
    }
    statement.push(") WHERE place <= ");
    statement.bind(Argument::Integer(i64::from(related.limit_each)));
    statement.push(format_args!(
        " ORDER BY {}",
        self::order(&related.sort, |field| column_of(collection, field))
    ));
    statement
}

/// The limit of a page and one document more, which tells whether the list goes on.
pub(crate) fn one_more(query: &Query) -> i64 {
    i64::from(query.limit) + 1
}

/// `FROM … WHERE … ORDER BY … LIMIT …` of a list.
fn push_list(
    statement: &mut Statement,
    query: &Query,
    rows: i64,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    statement.push(format_args!(" FROM {}", table_of(collection)));
    let condition = query.filter.clone().and(view.condition.clone());
    let after = match &query.start {
        Start::After(values) => Some(values),
        Start::First | Start::Offset(_) => None,
    };
    if !condition.is_always() || after.is_some() {
        statement.push(" WHERE ");
    }
    if !condition.is_always() {
        condition::push(statement, &condition, collection, catalog);
    }
    if let Some(values) = after {
        if !condition.is_always() {
            statement.push(" AND ");
        }
        push_keyset(statement, &query.sort, values, collection);
    }
    // Qualified, because a masked column goes under the same name.
    let order = order(&query.sort, |field| {
        format!("{}.{}", table_of(collection), column_of(collection, field))
    });
    // Written out: SQLite prepares a statement anew whenever the argument of its limit may have
    // changed, which takes longer than a short list itself.
    statement.push(format_args!(" ORDER BY {order} LIMIT {rows}"));
    if let Start::Offset(offset) = query.start {
        statement.push(" OFFSET ");
        statement.bind(Argument::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
    }
}

/// SQLite sorts nulls first ascending and last descending, which is what is meant.
fn order(sort: &[SortKey], column: impl Fn(usize) -> String) -> String {
    sort.iter()
        .map(|key| {
            format!(
                "{}{}",
                column(key.field),
                if key.descending { " DESC" } else { "" }
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Only what comes behind the document with these values (keyset pagination).
fn push_keyset(
    statement: &mut Statement,
    sort: &[SortKey],
    values: &[Value],
    collection: &Collection,
) {
    let one_direction = sort
        .windows(2)
        .all(|pair| pair[0].descending == pair[1].descending);
    let never_null = sort
        .iter()
        .all(|key| collection.fields()[key.field].required);
    if one_direction && never_null {
        // A row value is one range of the index.
        let comparison = if sort.first().is_some_and(|key| key.descending) {
            "<"
        } else {
            ">"
        };
        statement.push("(");
        statement.join(sort, ", ", |statement, key| {
            statement.push(column_of(collection, key.field));
        });
        statement.push(format_args!(") {comparison} ("));
        statement.join(values, ", ", |statement, value| {
            statement.bind(encode(value));
        });
        statement.push(")");
        return;
    }
    // Behind in the first key; or equal in it and behind in the second; and so on.
    statement.push("(");
    statement.join(0..sort.len(), " OR ", |statement, last| {
        statement.push("(");
        statement.join(0..=last, " AND ", |statement, position| {
            let column = column_of(collection, sort[position].field);
            let value = &values[position];
            if position < last {
                statement.push(format_args!("{column} IS "));
                statement.bind(encode(value));
            } else {
                push_behind(statement, &column, sort[position].descending, value);
            }
        });
        statement.push(")");
    });
    statement.push(")");
}

/// Behind a value in one key, nulls being smallest.
fn push_behind(statement: &mut Statement, column: &str, descending: bool, value: &Value) {
    match (descending, value.is_null()) {
        (false, true) => {
            statement.push(format_args!("{column} IS NOT NULL"));
        }
        (false, false) => {
            statement.push(format_args!("{column} > "));
            statement.bind(encode(value));
        }
        (true, true) => {
            statement.push("FALSE");
        }
        (true, false) => {
            statement.push(format_args!("({column} IS NULL OR {column} < "));
            statement.bind(encode(value));
            statement.push(")");
        }
    }
}
