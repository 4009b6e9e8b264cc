//! Filters as SQL. The meaning is that of `core::filter`: every test is TRUE exactly where it
//! passes; where it does not it may be FALSE or NULL, which is why a negation asks `IS NOT TRUE`.
//!
//! Here stands the logic between tests and where a path leads; [`scalar`] tests one SQL value,
//! [`list`] typed lists and untyped json.

mod list;
mod scalar;

use nubo_core::{
    field::FieldType,
    filter::{Expr, Path, Root, Test},
    schema::{Catalog, Collection},
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
    Builder {
        statement,
        collection,
        catalog,
        aliases: 0,
        item: None,
    }
    .expr(expr);
}

struct Builder<'a> {
    statement: &'a mut Statement,
    collection: &'a Collection,
    catalog: &'a Catalog,
    /// How many aliases of `json_each` were given out.
    aliases: usize,
    /// The list item that paths with [`Root::Item`] start at.
    item: Option<Item>,
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

impl Builder<'_> {
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
                self.expr(part);
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

    /// The column of a field, qualified: `json_each` has columns called `value`, `type`, `path`.
    fn column(&self, field: usize) -> String {
        format!(
            "{}.{}",
            table_of(self.collection),
            column_of(self.collection, field)
        )
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
            Place::Scalar(scalar) => self.scalar(&scalar, test),
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
