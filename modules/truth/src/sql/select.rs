//! Reading: lists, documents, counts.

use nubo_core::{
    access::View,
    field::FieldType,
    filter::{Expr, Path, Select, Test},
    query::{Query, Related, Start},
    schema::{Catalog, Collection, SortKey},
    value::Value,
};

use super::{Dialect, Statement, column_of, condition, item_kind};

/// Appends an SQL expression of a field, which is null where the view masks it.
pub(super) fn push_masked<D: Dialect>(
    statement: &mut Statement<D>,
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

/// All columns of a collection, in the order of its fields.
pub(crate) fn columns(collection: &Collection) -> String {
    (0..collection.fields().len())
        .map(|index| column_of(collection, index))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One document by its id, as `what`.
pub(crate) fn by_id<D: Dialect>(collection: &Collection, what: &str) -> String {
    let mut text = format!(
        "SELECT {what} FROM {} WHERE \"id\" = ",
        D::table(collection)
    );
    D::push_place(&mut text, 1);
    text
}

/// Which of these ids belong to a document.
pub(crate) fn existing<D: Dialect>(collection: &Collection, ids: &[Value]) -> Statement<D> {
    let mut statement = Statement::new(format!(
        "SELECT \"id\" FROM {} WHERE ",
        D::table(collection)
    ));
    D::among(&mut statement, "\"id\"", &FieldType::Uuid, ids);
    statement
}

/// One document by its id, where the view has it, as a row of all columns.
pub(crate) fn seen_columns<D: Dialect>(
    id: &Value,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement<D> {
    let mut statement = Statement::new("SELECT ");
    push_columns(&mut statement, collection, catalog, view);
    statement.push(format_args!(" FROM {}", D::table(collection)));
    push_seen(&mut statement, id, collection, catalog, view);
    statement
}

pub(super) fn push_seen<D: Dialect>(
    statement: &mut Statement<D>,
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
fn push_columns<D: Dialect>(
    statement: &mut Statement<D>,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    let fields = 0..collection.fields().len();
    statement.join(fields, ", ", |statement, index| {
        let column = format!("{}.{}", D::table(collection), column_of(collection, index));
        push_masked(statement, &column, index, collection, catalog, view);
        statement.push(format_args!(" AS {}", column_of(collection, index)));
    });
}

/// A list as rows of all columns, so many at most.
pub(crate) fn documents<D: Dialect>(
    query: &Query,
    rows: i64,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement<D> {
    let mut statement = Statement::new("SELECT ");
    push_columns(&mut statement, collection, catalog, view);
    push_list(&mut statement, query, rows, collection, catalog, view);
    statement
}

/// How many documents match.
pub(crate) fn count<D: Dialect>(
    filter: &Expr,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement<D> {
    let mut statement = Statement::new(format!("SELECT count(*) FROM {}", D::table(collection)));
    let condition = filter.clone().and(view.condition.clone());
    if !condition.is_always() {
        statement.push(" WHERE ");
        condition::push(&mut statement, &condition, collection, catalog);
    }
    statement
}

/// Whether some document that the sub-query finds has this value.
pub(crate) fn contains<D: Dialect>(
    select: &Select,
    value: &Value,
    catalog: &Catalog,
) -> Statement<D> {
    let mut statement = Statement::new("SELECT ");
    condition::contains(&mut statement, select, value, catalog);
    statement
}

/// Documents that reference others, at most so many for each.
pub(crate) fn related<D: Dialect>(
    related: &Related,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) -> Statement<D> {
    let names = columns(collection);
    let table = D::table(collection);
    let field = format!("{table}.{}", column_of(collection, related.field));
    let kind = &collection.fields()[related.field].kind;
    let (source, key) = match kind {
        FieldType::List(_) => {
            let (items, item) = D::items(&field, "item");
            (format!("{table}, {items}"), item)
        }
        _ => (table.clone(), field),
    };
    let mut statement = Statement::new(format!("SELECT {names} FROM (SELECT "));
    push_columns(&mut statement, collection, catalog, view);
    let order = order::<D>(&related.sort, collection, &format!("{table}."));
    statement.push(format_args!(
        ", row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS nubo_place FROM {source} WHERE "
    ));
    D::among(&mut statement, &key, item_kind(kind), &related.values);
    if !view.condition.is_always() {
        statement.push(" AND ");
        condition::push(&mut statement, &view.condition, collection, catalog);
    }
    statement.push(") AS related WHERE nubo_place <= ");
    statement.bind(D::integer(i64::from(related.limit_each)));
    statement.push(format_args!(
        " ORDER BY {}",
        self::order::<D>(&related.sort, collection, "")
    ));
    statement
}

/// The limit of a page and one document more, which tells whether the list goes on.
pub(crate) fn one_more(query: &Query) -> i64 {
    i64::from(query.limit) + 1
}

/// `FROM … WHERE … ORDER BY … LIMIT …` of a list.
pub(super) fn push_list<D: Dialect>(
    statement: &mut Statement<D>,
    query: &Query,
    rows: i64,
    collection: &Collection,
    catalog: &Catalog,
    view: &View,
) {
    statement.push(format_args!(" FROM {}", D::table(collection)));
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
    let order = order::<D>(
        &query.sort,
        collection,
        &format!("{}.", D::table(collection)),
    );
    // Written out: SQLite prepares a statement anew whenever the argument of its limit may have
    // changed, which takes longer than a short list itself.
    statement.push(format_args!(" ORDER BY {order} LIMIT {rows}"));
    if let Start::Offset(offset) = query.start {
        statement.push(" OFFSET ");
        statement.bind(D::integer(i64::try_from(offset).unwrap_or(i64::MAX)));
    }
}

/// The columns of an order, qualified by what stands before them.
fn order<D: Dialect>(sort: &[SortKey], collection: &Collection, before: &str) -> String {
    let keys: Vec<String> = sort
        .iter()
        .map(|key| {
            let direction = D::direction(collection, key.field, key.descending);
            format!("{before}{}{direction}", column_of(collection, key.field))
        })
        .collect();
    keys.join(", ")
}

/// Only what comes behind the document with these values (keyset pagination).
fn push_keyset<D: Dialect>(
    statement: &mut Statement<D>,
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
        statement.join(sort.iter().zip(values), ", ", |statement, (key, value)| {
            statement.bind(D::argument(&collection.fields()[key.field].kind, value));
        });
        statement.push(")");
        return;
    }
    // Behind in the first key; or equal in it and behind in the second; and so on.
    statement.push("(");
    statement.join(0..sort.len(), " OR ", |statement, last| {
        statement.push("(");
        statement.join(0..=last, " AND ", |statement, position| {
            let key = &sort[position];
            let column = column_of(collection, key.field);
            let value = &values[position];
            let argument = D::argument(&collection.fields()[key.field].kind, value);
            let null = value.is_null();
            match (position < last, key.descending) {
                (true, _) if null => statement.push(format_args!("{column} IS NULL")),
                (true, _) => statement.push(format_args!("{column} = ")).bind(argument),
                // Behind it, nulls being smallest.
                (false, false) if null => statement.push(format_args!("{column} IS NOT NULL")),
                (false, false) => statement.push(format_args!("{column} > ")).bind(argument),
                (false, true) if null => statement.push("FALSE"),
                (false, true) => statement
                    .push(format_args!("({column} IS NULL OR {column} < "))
                    .bind(argument)
                    .push(")"),
            };
        });
        statement.push(")");
    });
    statement.push(")");
}
