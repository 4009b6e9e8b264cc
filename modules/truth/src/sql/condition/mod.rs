//! Filters as SQL. The meaning is that of `core::filter`: every test is TRUE exactly where it
//! passes; where it does not it may be FALSE or NULL, which is why a negation asks `IS NOT TRUE`.
//!
//! Here stands the logic between tests and where a path leads; [`scalar`] tests one SQL value,
//! [`list`] typed lists and untyped json.

mod list;
mod scalar;
mod sub_query;

use nubo_core::{
    field::FieldType,
    filter::{Expr, Path, Root, Select, Test},
    schema::{Catalog, Collection},
    value::Value,
};

use self::scalar::Scalar;
use super::{Argument, Statement, column_of, table_of};

/// From how many parts on a chain of AND or OR is made a tree: SQLite refuses expressions that are
/// deeper than 1000.
const CHAIN: usize = 8;

/// Appends a filter on the documents of a collection.
pub(crate) fn push(
    statement: &mut Statement,
    expr: &Expr,
    collection: &Collection,
    catalog: &Catalog,
) {
    Builder::new(statement, expr, collection, catalog).expr(expr);
}

/// Appends whether some document that a sub-query finds has a value in its field.
pub(crate) fn contains(
    statement: &mut Statement,
    select: &Select,
    value: &Value,
    catalog: &Catalog,
) {
    let collection = catalog.get(select.collection);
    Builder::new(statement, &Expr::always(), collection, catalog).contains(select, value);
}

struct Builder<'a> {
    statement: &'a mut Statement,
    catalog: &'a Catalog,
    scope: Scope<'a>,
    /// How many aliases were given out.
    aliases: usize,
    /// The list item that paths with [`Root::Item`] start at.
    item: Option<Item>,
    /// Whether what is written now stands under a negation.
    negated: bool,
}

/// The documents that fields belong to: those of the statement, or of a sub-query.
struct Scope<'a> {
    collection: &'a Collection,
    /// What columns are qualified with: `json_each` has columns called `value`, `type`, `path`, and
    /// a sub-query may be about the same table as what is around it.
    qualifier: String,
    /// What holds of every document that matters here.
    pins: &'a Expr,
}

/// The item that `$elemMatch` looks at.
#[derive(Clone)]
struct Item {
    /// Alias of the `json_each` it comes from.
    alias: String,
    /// The JSON that `json_each` goes through.
    source: Json,
}

/// A place in JSON: an SQL expression of JSON text, and one of a path into it.
#[derive(Clone)]
struct Json {
    text: String,
    /// Path as SQL: a column to start from, where there is one, and a bound rest.
    base: Option<String>,
    rest: String,
}

/// Where a path leads.
enum Place {
    /// One value of a declared type.
    Scalar(Scalar),
    /// A typed list.
    List(Json),
    /// A typed object, or untyped json.
    Json(Json),
}

impl<'a> Builder<'a> {
    fn new(
        statement: &'a mut Statement,
        pins: &'a Expr,
        collection: &'a Collection,
        catalog: &'a Catalog,
    ) -> Self {
        Self {
            statement,
            catalog,
            scope: Scope {
                collection,
                qualifier: table_of(collection).to_string(),
                pins,
            },
            aliases: 0,
            item: None,
            negated: false,
        }
    }

    fn push(&mut self, text: impl std::fmt::Display) {
        self.statement.push(text);
    }

    fn bind(&mut self, argument: Argument) {
        self.statement.bind(argument);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::All(parts) => self.parts(parts, "AND", "TRUE"),
            Expr::Any(parts) => self.parts(parts, "OR", "FALSE"),
            Expr::Not(part) => {
                self.push("((");
                self.negated = !self.negated;
                self.expr(part);
                self.negated = !self.negated;
                self.push(") IS NOT TRUE)");
            }
            Expr::Test { path, test } => self.test(path, test),
        }
    }

    fn parts(&mut self, parts: &[Expr], between: &str, empty: &str) {
        match parts {
            [] => self.push(empty),
            [part] => self.expr(part),
            parts => {
                self.push("(");
                self.joined(parts, between, &mut |builder, part| builder.expr(part));
                self.push(")");
            }
        }
    }

    /// Parts with AND or OR between them, as a tree where there are many.
    fn joined<T>(&mut self, parts: &[T], between: &str, each: &mut dyn FnMut(&mut Self, &T)) {
        if parts.len() > CHAIN {
            let (left, right) = parts.split_at(parts.len() / 2);
            self.push("(");
            self.joined(left, between, each);
            self.push(format_args!(") {between} ("));
            self.joined(right, between, each);
            return self.push(")");
        }
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(format_args!(" {between} "));
            }
            each(self, part);
        }
    }

    /// The column of a field, qualified.
    fn column(&self, field: usize) -> String {
        let column = column_of(self.scope.collection, field);
        format!("{}.{column}", self.scope.qualifier)
    }

    fn place(&self, path: &Path) -> Place {
        let rest: String = path
            .segments
            .iter()
            .map(|segment| format!(".\"{segment}\""))
            .collect();
        let json = match (path.root, &self.item) {
            (Root::Field(field), _) => Json {
                text: self.column(field),
                base: None,
                rest,
            },
            (Root::Item, Some(item)) => Json {
                text: item.source.text.clone(),
                base: Some(format!("{}.fullkey", item.alias)),
                rest,
            },
            // A path into an item outside of any list matches nothing.
            (Root::Item, None) => return Place::Scalar(Scalar::nothing()),
        };
        match (&path.leaf, path.root, path.segments.is_empty()) {
            (FieldType::List(_), ..) => Place::List(json),
            (FieldType::Json | FieldType::Object(_), ..) => Place::Json(json),
            (_, Root::Field(_), true) => Place::Scalar(Scalar::column(json.text)),
            (kind, Root::Item, _) => {
                let alias = self.item.as_ref().map_or("", |item| item.alias.as_str());
                Place::Scalar(Scalar::item(kind, &json.text, alias))
            }
            (kind, ..) => Place::Scalar(Scalar::inside(kind, &json.text, &json.rest)),
        }
    }

    fn test(&mut self, path: &Path, test: &Test) {
        self.push("(");
        match self.place(path) {
            Place::Scalar(scalar) => match test {
                Test::InSelect(select) => {
                    let field = path.whole_field();
                    let pins = self.scope.pins;
                    let pinned = field.and_then(|field| sub_query::pin(pins, field));
                    self.select(&scalar.sql, pinned, select);
                }
                test => self.scalar(&scalar, test),
            },
            Place::List(json) => self.list(&json, &path.leaf, test),
            Place::Json(json) => self.json(&json, test),
        }
        self.push(")");
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("j{}", self.aliases)
    }
}
