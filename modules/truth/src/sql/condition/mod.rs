//! Filters as SQL. The meaning is that of `core::filter`: every test is TRUE exactly where it
//! passes; where it does not it may be FALSE or NULL, which is why a negation asks `IS NOT TRUE`.

use nubo_core::{
    field::FieldType,
    filter::{Comparison, Expr, Path, Root, Select, Test, TextMatch},
    schema::{Catalog, Collection},
    value::Value,
};

use super::{
    Argument, Statement, column_of,
    encode::{DECIMAL_COLLATION, encode, whole_list},
    table_of,
};

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
    /// An SQL expression of the value itself, with its type.
    Scalar(String),
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
            Expr::All(parts) => self.parts(parts, " AND ", "TRUE"),
            Expr::Any(parts) => self.parts(parts, " OR ", "FALSE"),
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
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        self.push(between);
                    }
                    self.expr(part);
                }
                self.push(")");
            }
        }
    }

    fn place(&self, path: &Path) -> Place {
        let rest: String = path
            .segments
            .iter()
            .map(|segment| format!(".\"{segment}\""))
            .collect();
        let json = match (path.root, &self.item) {
            (Root::Field(field), _) => Json {
                text: column_of(self.collection, field),
                base: None,
                rest,
            },
            (Root::Item, Some(item)) => Json {
                text: item.source.text.clone(),
                base: Some(format!("{}.fullkey", item.alias)),
                rest,
            },
            // A path into an item outside of any list matches nothing.
            (Root::Item, None) => return Place::Scalar("NULL".into()),
        };
        match (&path.leaf, path.root, path.segments.is_empty()) {
            (FieldType::List(_), ..) => Place::List(json),
            (FieldType::Json | FieldType::Object(_), ..) => Place::Json(json),
            (_, Root::Field(_), true) => Place::Scalar(json.text),
            (kind, Root::Item, true) => {
                let alias = self.item.as_ref().map_or("", |item| item.alias.as_str());
                Place::Scalar(collated(kind, format!("{alias}.value")))
            }
            (kind, ..) => {
                // A declared path holds no quotes: names are identifiers.
                let rest = json.rest.replace('\'', "''");
                let scalar = format!("json_extract({}, '${rest}')", json.text);
                Place::Scalar(collated(kind, scalar))
            }
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

    /// A test of one SQL value.
    fn scalar(&mut self, scalar: &str, test: &Test) {
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{scalar} IS NULL")),
            Test::Equal(value) => {
                self.push(format_args!("{scalar} = "));
                self.bind(encode(value));
            }
            Test::In(values) => self.within(scalar, values, |value| encode(value)),
            Test::InSelect(select) => self.select(scalar, select),
            Test::Exists => self.push(format_args!("{scalar} IS NOT NULL")),
            Test::Compare(comparison, value) => {
                self.push(format_args!("{scalar} {} ", symbol(*comparison)));
                self.bind(encode(value));
            }
            Test::Text(how, value) => self.text(scalar, *how, value),
            Test::HasAll(_) | Test::Size(_) | Test::ElemMatch(_) => self.push("FALSE"),
        }
    }

    /// `IN` with nulls asked for apart, since SQL's `IN` does not find them.
    fn within(&mut self, scalar: &str, values: &[Value], argument: impl Fn(&Value) -> Argument) {
        let present: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
        if present.len() < values.len() {
            self.push(format_args!("{scalar} IS NULL OR "));
        }
        if present.is_empty() {
            return self.push("FALSE");
        }
        self.push(format_args!("{scalar} IN ("));
        for (index, value) in present.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(argument(value));
        }
        self.push(")");
    }

    fn select(&mut self, scalar: &str, select: &Select) {
        let catalog = self.catalog;
        let collection = catalog.get(select.collection);
        self.push(format_args!(
            "{scalar} IN (SELECT {} FROM {} WHERE ",
            column_of(collection, select.field),
            table_of(collection),
        ));
        push(self.statement, &select.condition, collection, catalog);
        self.push(")");
    }

    fn text(&mut self, scalar: &str, how: TextMatch, value: &Value) {
        let Value::Text(wanted) = value else {
            return self.push("FALSE");
        };
        // SQLite's lower() knows ASCII letters only, which is what is meant.
        let (scalar, wanted) = match how.ignore_case {
            true => (format!("lower({scalar})"), wanted.to_ascii_lowercase()),
            false => (scalar.to_owned(), wanted.clone()),
        };
        if how.at_start {
            self.push(format_args!(
                "substr({scalar}, 1, {}) = ",
                wanted.chars().count()
            ));
            self.bind(Argument::Text(wanted));
        } else {
            self.push(format_args!("instr({scalar}, "));
            self.bind(Argument::Text(wanted));
            self.push(") > 0");
        }
    }

    /// A test of a typed list: some item passes, or the list as a whole does.
    fn list(&mut self, json: &Json, kind: &FieldType, test: &Test) {
        let FieldType::List(item_kind) = kind else {
            return self.push("FALSE");
        };
        match test {
            Test::Equal(Value::Null) => {
                self.extract(json);
                self.push(" IS NULL");
            }
            Test::Exists => {
                self.extract(json);
                self.push(" IS NOT NULL");
            }
            Test::Equal(Value::List(items)) => {
                self.extract(json);
                self.push(" = ");
                self.bind(whole_list(items));
            }
            Test::Size(size) => self.size(json, *size),
            Test::HasAll(values) if values.is_empty() => self.push("FALSE"),
            Test::HasAll(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.push(" AND ");
                    }
                    self.some_item(json, item_kind, |builder, item| {
                        builder.scalar(item, &Test::Equal(stored(value)));
                    });
                }
            }
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.extract(json);
                self.push(" IS NULL OR ");
                let rest = values
                    .iter()
                    .filter(|value| !value.is_null())
                    .cloned()
                    .collect();
                self.list(json, kind, &Test::In(rest));
            }
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            test => {
                let test = stored_test(test);
                self.some_item(json, item_kind, |builder, item| builder.scalar(item, &test));
            }
        }
    }

    fn some_item(
        &mut self,
        json: &Json,
        item_kind: &FieldType,
        test: impl FnOnce(&mut Self, &str),
    ) {
        let alias = self.alias();
        self.each(json, &alias);
        let item = collated(item_kind, format!("{alias}.value"));
        test(self, &item);
        self.push(")");
    }

    fn elem_match(&mut self, json: &Json, inner: &Expr) {
        let alias = self.alias();
        self.push("json_type(");
        self.json_place(json);
        self.push(") = 'array' AND ");
        self.each(json, &alias);
        let before = self.item.replace(Item {
            alias,
            source: json.clone(),
        });
        self.expr(inner);
        self.item = before;
        self.push(")");
    }

    /// Opens a sub-query over the items at a place.
    fn each(&mut self, json: &Json, alias: &str) {
        self.push("EXISTS (SELECT 1 FROM json_each(");
        self.json_place(json);
        self.push(format_args!(") {alias} WHERE "));
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("j{}", self.aliases)
    }

    /// The two arguments of a JSON function: text and path.
    fn json_place(&mut self, json: &Json) {
        self.push(format_args!("{}, ", json.text));
        match &json.base {
            Some(base) => {
                self.push(format_args!("{base} || "));
                self.bind(Argument::Text(json.rest.clone()));
            }
            None => self.bind(Argument::Text(format!("${}", json.rest))),
        }
    }

    /// What stands at a place; the column itself where the place is all of it.
    fn extract(&mut self, json: &Json) {
        if json.base.is_none() && json.rest.is_empty() {
            return self.push(&json.text);
        }
        self.push("json_extract(");
        self.json_place(json);
        self.push(")");
    }

    fn size(&mut self, json: &Json, size: u64) {
        self.push("json_type(");
        self.json_place(json);
        self.push(") = 'array' AND json_array_length(");
        self.json_place(json);
        self.push(") = ");
        self.bind(Argument::Integer(i64::try_from(size).unwrap_or(i64::MAX)));
    }

    /// A test of untyped json (or the presence of an object): values of one JSON type compare, and
    /// a list passes where an item does.
    fn json(&mut self, json: &Json, test: &Test) {
        match test {
            Test::Exists => {
                self.push("coalesce(json_type(");
                self.json_place(json);
                self.push("), 'null') <> 'null'");
            }
            Test::Equal(Value::Null) => self.json_null(json),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.json_null(json);
                self.push(" OR ");
                let rest = values
                    .iter()
                    .filter(|value| !value.is_null())
                    .cloned()
                    .collect();
                self.json(json, &Test::In(rest));
            }
            Test::In(values) => {
                if values.is_empty() {
                    return self.push("FALSE");
                }
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.push(" OR ");
                    }
                    self.push("(");
                    self.json(json, &Test::Equal(value.clone()));
                    self.push(")");
                }
            }
            Test::Size(size) => self.size(json, *size),
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            Test::HasAll(values) if values.is_empty() => self.push("FALSE"),
            Test::HasAll(values) => {
                self.push("json_type(");
                self.json_place(json);
                self.push(") = 'array'");
                for value in values {
                    self.push(" AND ");
                    self.json_item(json, &Test::Equal(value.clone()));
                }
            }
            test => {
                self.push("json_type(");
                self.json_place(json);
                self.push(") <> 'object' AND ");
                self.json_item(json, test);
            }
        }
    }

    /// No value there, or a list with a null in it.
    fn json_null(&mut self, json: &Json) {
        self.push("coalesce(json_type(");
        self.json_place(json);
        self.push("), 'null') = 'null' OR (json_type(");
        self.json_place(json);
        self.push(") = 'array' AND ");
        let alias = self.alias();
        self.each(json, &alias);
        self.push(format_args!("{alias}.type = 'null'))"));
    }

    /// Some value passes: the items of a list, or the value itself, which `json_each` yields alike.
    fn json_item(&mut self, json: &Json, test: &Test) {
        let operand = match test {
            Test::Equal(value) | Test::Compare(_, value) | Test::Text(_, value) => Some(value),
            _ => None,
        };
        let types = match operand {
            Some(Value::Null) => "'null'",
            Some(Value::Bool(true)) => "'true'",
            Some(Value::Bool(false)) => "'false'",
            Some(Value::Int(_) | Value::Float(_)) => "'integer', 'real'",
            _ => "'text'",
        };
        let alias = self.alias();
        self.each(json, &alias);
        match (operand, test) {
            (Some(Value::Null), Test::Equal(_)) => {
                return self.push(format_args!("{alias}.type = 'null')"));
            }
            // Both booleans have an order: false before true.
            (Some(Value::Bool(_)), _) => {
                self.push(format_args!("{alias}.type IN ('true', 'false') AND "));
            }
            _ => self.push(format_args!("{alias}.type IN ({types}) AND ")),
        }
        self.scalar(&format!("{alias}.value"), &stored_test(test));
        self.push(")");
    }
}

/// SQL's operator for a comparison.
pub(crate) fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A value taken out of JSON compares as its type does.
fn collated(kind: &FieldType, scalar: String) -> String {
    match kind {
        FieldType::Decimal => format!("({scalar}) COLLATE {DECIMAL_COLLATION}"),
        _ => scalar,
    }
}

/// A value in the form that `json_each` yields for it: bytes are base64 inside JSON.
fn stored(value: &Value) -> Value {
    match value {
        Value::Bytes(_) => {
            let mut out = Vec::new();
            value.write_scalar_json(&mut out);
            let text = String::from_utf8_lossy(&out);
            Value::Text(text.trim_matches('"').to_owned())
        }
        value => value.clone(),
    }
}

fn stored_test(test: &Test) -> Test {
    match test {
        Test::Equal(value) => Test::Equal(stored(value)),
        Test::In(values) => Test::In(values.iter().map(stored).collect()),
        test => test.clone(),
    }
}
