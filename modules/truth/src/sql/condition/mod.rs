//! Filters as SQL. The meaning is that of `core::filter`: every test is TRUE exactly where it
//! passes; where it does not it may be FALSE or NULL, which is why a negation asks `IS NOT TRUE`.
//!
//! Here stands the logic between tests; [`scalar`] tests one SQL value, [`sub_query`] asks other
//! documents. Where a path leads, and how lists and json are tested, is for each dialect.

mod scalar;
mod sub_query;

use nubo_core::{
    filter::{Expr, Path, Select, Test},
    schema::{Catalog, Collection},
    value::Value,
};

pub(crate) use self::scalar::{Scalar, present, symbol};
use super::{Dialect, Statement, column_of};

/// From how many parts on a chain of AND or OR is made a tree: SQLite refuses expressions that are
/// deeper than 1000.
const CHAIN: usize = 8;

/// Appends a filter on the documents of a collection.
pub(crate) fn push<D: Dialect>(
    statement: &mut Statement<D>,
    expr: &Expr,
    collection: &Collection,
    catalog: &Catalog,
) {
    Builder::new(statement, expr, collection, catalog).expr(expr);
}

/// Appends whether some document that a sub-query finds has a value in its field.
pub(crate) fn contains<D: Dialect>(
    statement: &mut Statement<D>,
    select: &Select,
    value: &Value,
    catalog: &Catalog,
) {
    let collection = catalog.get(select.collection);
    Builder::new(statement, &Expr::always(), collection, catalog).contains(select, value);
}

/// Writes a condition down.
pub(crate) struct Builder<'a, D: Dialect> {
    statement: &'a mut Statement<D>,
    catalog: &'a Catalog,
    scope: Scope<'a>,
    /// How many aliases were given out.
    aliases: usize,
    /// The list item that paths start at which start at an item: the one `$elemMatch` looks at.
    pub(super) item: Option<D::Item>,
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

/// Where a path leads.
pub(crate) enum Place<D: Dialect> {
    /// One value of a declared type.
    Scalar(Scalar<D>),
    /// A typed list.
    List(D::Json),
    /// A typed object, or untyped json.
    Json(D::Json),
}

impl<'a, D: Dialect> Builder<'a, D> {
    fn new(
        statement: &'a mut Statement<D>,
        pins: &'a Expr,
        collection: &'a Collection,
        catalog: &'a Catalog,
    ) -> Self {
        Self {
            statement,
            catalog,
            scope: Scope {
                collection,
                qualifier: D::table(collection),
                pins,
            },
            aliases: 0,
            item: None,
            negated: false,
        }
    }

    pub(super) fn push(&mut self, text: impl std::fmt::Display) {
        self.statement.push(text);
    }

    pub(super) fn bind(&mut self, argument: D::Argument) {
        self.statement.bind(argument);
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
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
    pub(super) fn joined<T>(
        &mut self,
        parts: &[T],
        between: &str,
        each: &mut dyn FnMut(&mut Self, &T),
    ) {
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

    /// Arguments with commas between them.
    pub(super) fn bind_all(&mut self, arguments: impl IntoIterator<Item = D::Argument>) {
        self.statement.join(arguments, ", ", |statement, argument| {
            statement.bind(argument);
        });
    }

    /// The column of a field, qualified.
    pub(super) fn column(&self, field: usize) -> String {
        let column = column_of(self.scope.collection, field);
        format!("{}.{column}", self.scope.qualifier)
    }

    fn test(&mut self, path: &Path, test: &Test) {
        self.push("(");
        match D::place(self, path) {
            Place::Scalar(scalar) => match test {
                Test::InSelect(select) => {
                    let field = path.whole_field();
                    let pins = self.scope.pins;
                    let pinned = field.and_then(|field| sub_query::pin(pins, field));
                    self.select(&scalar, pinned, select);
                }
                test => self.scalar(&scalar, test),
            },
            Place::List(json) => D::list(self, &json, &path.leaf, test),
            Place::Json(json) => D::json(self, &json, test),
        }
        self.push(")");
    }

    pub(super) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("j{}", self.aliases)
    }
}
