//! Where paths lead in SQLite, and tests of typed lists and of untyped json, where lists may stand
//! anywhere. `json_each` yields the items of a list, and a value that is no list as its only item.

use nubo_core::{
    field::FieldType,
    filter::{Expr, Path, Root, Test},
    value::Value,
};

use super::{
    Argument, Sqlite,
    encode::{DECIMAL_COLLATION, NUMBER_COLLATION, encode, number_text, whole_list},
};
use crate::sql::{
    condition::{Builder, Place, present},
    stored_json,
};

type Scalar = crate::sql::condition::Scalar<Sqlite>;

/// The item that `$elemMatch` looks at.
#[derive(Clone)]
pub(crate) struct Item {
    /// Alias of the `json_each` it comes from.
    alias: String,
    /// The JSON that `json_each` goes through.
    source: Json,
}

/// A place in JSON: an SQL expression of JSON text, and one of a path into it.
#[derive(Clone)]
pub(crate) struct Json {
    text: String,
    /// Path as SQL: a column to start from, where there is one, and a bound rest.
    base: Option<String>,
    rest: String,
}

/// How a value is held at the place where it stands.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As a column holds it.
    Column,
    /// As JSON holds it.
    Json,
    /// The text of a JSON number: SQLite reads decimals to fifteen digits only, so that numbers in
    /// JSON are compared by their text, under a collation that knows numbers.
    Number,
}

/// The argument for a place that has this form.
pub(super) fn operand(form: Form, value: &Value) -> Argument {
    match (form, value) {
        (Form::Number, Value::Int(_) | Value::Float(_)) => Argument::Text(number_text(value)),
        (Form::Json, Value::Bytes(_)) => Argument::Text(stored_json::text_of(value)),
        (_, value) => encode(value),
    }
}

/// Where a path leads.
pub(super) fn place(builder: &Builder<'_, Sqlite>, path: &Path) -> Place<Sqlite> {
    let rest: String = path
        .segments
        .iter()
        .map(|segment| format!(".\"{segment}\""))
        .collect();
    let json = match (path.root, &builder.item) {
        (Root::Field(field), _) => Json {
            text: builder.column(field),
            base: None,
            rest,
        },
        (Root::Item, Some(item)) => Json {
            text: item.source.text.clone(),
            base: Some(format!("{}.fullkey", item.alias)),
            rest,
        },
        // A path into an item outside of any list matches nothing.
        (Root::Item, None) => return Place::Scalar(column("NULL".into())),
    };
    match (&path.leaf, path.root, path.segments.is_empty()) {
        (FieldType::List(_), ..) => Place::List(json),
        (FieldType::Json | FieldType::Object(_), ..) => Place::Json(json),
        (_, Root::Field(_), true) => Place::Scalar(column(json.text)),
        (kind, Root::Item, _) => {
            let alias = builder.item.as_ref().map_or("", |item| item.alias.as_str());
            Place::Scalar(item(kind, &json.text, alias))
        }
        (kind, ..) => Place::Scalar(inside(kind, &json.text, &json.rest)),
    }
}

/// A column.
fn column(sql: String) -> Scalar {
    Scalar {
        sql,
        form: Form::Column,
    }
}

/// The value in a typed object at a path of declared names, which hold no quotes.
fn inside(kind: &FieldType, text: &str, rest: &str) -> Scalar {
    let rest = rest.replace('\'', "''");
    match kind {
        FieldType::Float => number(format!("nullif({text} -> '${rest}', 'null')")),
        kind => collated(kind, format!("json_extract({text}, '${rest}')")),
    }
}

/// The item of a typed list that `json_each` yields.
fn item(kind: &FieldType, text: &str, alias: &str) -> Scalar {
    match kind {
        FieldType::Float => number(format!("nullif({text} -> {alias}.fullkey, 'null')")),
        kind => collated(kind, format!("{alias}.value")),
    }
}

/// A value in untyped json that `json_each` yields, to be compared with this one.
fn untyped(operand: &Value, text: &str, alias: &str) -> Scalar {
    match operand {
        Value::Int(_) | Value::Float(_) => item(&FieldType::Float, text, alias),
        _ => item(&FieldType::Json, text, alias),
    }
}

fn number(text: String) -> Scalar {
    Scalar {
        sql: format!("({text}) COLLATE {NUMBER_COLLATION}"),
        form: Form::Number,
    }
}

fn collated(kind: &FieldType, sql: String) -> Scalar {
    Scalar {
        sql: match kind {
            FieldType::Decimal => format!("({sql}) COLLATE {DECIMAL_COLLATION}"),
            _ => sql,
        },
        form: Form::Json,
    }
}

/// Closes what [`Builder::each`] opens. The limit changes nothing in the meaning of EXISTS, but
/// keeps SQLite from making a join of it: SQLite 3.51 then lets OFFSET count a document once for
/// each item that passes.
const END_OF_EACH: &str = " LIMIT 1)";

impl Builder<'_, Sqlite> {
    /// A test of a typed list: some item passes, or the list as a whole does.
    pub(super) fn list(&mut self, json: &Json, kind: &FieldType, test: &Test) {
        let FieldType::List(item_kind) = kind else {
            return self.push("FALSE");
        };
        match test {
            // Untyped items compare as they do anywhere in json.
            test if **item_kind == FieldType::Json => self.json(json, test),
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
            // No item is null; what `json_each` makes of a list that is not there would be.
            Test::HasAll(values) if values.is_empty() || values.iter().any(Value::is_null) => {
                self.push("FALSE");
            }
            Test::HasAll(values) => self.joined(values, "AND", &mut |builder, value| {
                builder.some_item(json, item_kind, &Test::Equal(value.clone()));
            }),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.extract(json);
                self.push(" IS NULL OR ");
                self.list(json, kind, &Test::In(present(values)));
            }
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            test => self.some_item(json, item_kind, test),
        }
    }

    fn some_item(&mut self, json: &Json, item_kind: &FieldType, test: &Test) {
        let alias = self.alias();
        self.each(json, &alias);
        self.scalar(&item(item_kind, &json.text, &alias), test);
        self.push(END_OF_EACH);
    }

    fn elem_match(&mut self, json: &Json, inner: &Expr) {
        let alias = self.alias();
        self.is_array(json);
        self.push(" AND ");
        self.each(json, &alias);
        let before = self.item.replace(Item {
            alias,
            source: json.clone(),
        });
        self.expr(inner);
        self.item = before;
        self.push(END_OF_EACH);
    }

    /// Opens a sub-query over the items at a place.
    fn each(&mut self, json: &Json, alias: &str) {
        self.push("EXISTS (SELECT 1 FROM json_each(");
        self.json_place(json);
        self.push(format_args!(") {alias} WHERE "));
    }

    fn is_array(&mut self, json: &Json) {
        self.json_type(json);
        self.push(" = 'array'");
    }

    fn json_type(&mut self, json: &Json) {
        self.push("json_type(");
        self.json_place(json);
        self.push(")");
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
        self.is_array(json);
        self.push(" AND json_array_length(");
        self.json_place(json);
        self.push(") = ");
        self.bind(Argument::Integer(i64::try_from(size).unwrap_or(i64::MAX)));
    }

    /// A test of untyped json (or the presence of an object): values of one JSON type compare, and
    /// a list passes where an item does.
    pub(super) fn json(&mut self, json: &Json, test: &Test) {
        match test {
            Test::Exists => {
                self.push("coalesce(");
                self.json_type(json);
                self.push(", 'null') <> 'null'");
            }
            Test::Equal(Value::Null) => self.json_null(json),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.json_null(json);
                self.push(" OR ");
                self.json(json, &Test::In(present(values)));
            }
            Test::Size(size) => self.size(json, *size),
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            Test::HasAll(values) if values.is_empty() => self.push("FALSE"),
            Test::HasAll(values) => {
                self.is_array(json);
                self.push(" AND (");
                self.joined(values, "AND", &mut |builder, value| {
                    builder.json_item(json, &Test::Equal(value.clone()));
                });
                self.push(")");
            }
            test => {
                self.json_type(json);
                self.push(" <> 'object' AND ");
                self.json_item(json, test);
            }
        }
    }

    /// No value there, or a list with a null in it.
    fn json_null(&mut self, json: &Json) {
        self.push("coalesce(");
        self.json_type(json);
        self.push(", 'null') = 'null' OR (");
        self.is_array(json);
        self.push(" AND ");
        let alias = self.alias();
        self.each(json, &alias);
        self.push(format_args!("{alias}.type = 'null'{END_OF_EACH})"));
    }

    /// Some value passes: the items of a list, or the value itself, which `json_each` yields alike.
    fn json_item(&mut self, json: &Json, test: &Test) {
        let alias = self.alias();
        self.each(json, &alias);
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{alias}.type = 'null'")),
            Test::In(values) => self.json_within(json, &alias, values),
            Test::Equal(value) | Test::Compare(_, value) | Test::Text(_, value) => {
                self.of_type(&alias, value);
                self.scalar(&untyped(value, &json.text, &alias), test);
            }
            // A sub-query's values are texts: ids, as a rule.
            test => {
                self.push(format_args!("{alias}.type = 'text' AND "));
                self.scalar(&item(&FieldType::Json, &json.text, &alias), test);
            }
        }
        self.push(END_OF_EACH);
    }

    /// One of several values: those of one type together.
    fn json_within(&mut self, json: &Json, alias: &str, values: &[Value]) {
        let kinds: [fn(&Value) -> bool; 3] = [
            |value| matches!(value, Value::Int(_) | Value::Float(_)),
            |value| matches!(value, Value::Bool(_)),
            |value| matches!(value, Value::Text(_)),
        ];
        self.push("(FALSE");
        for kind in kinds {
            let alike: Vec<Value> = values.iter().filter(|value| kind(value)).cloned().collect();
            let Some(first) = alike.first() else { continue };
            self.push(" OR (");
            self.of_type(alias, first);
            let scalar = untyped(first, &json.text, alias);
            self.scalar(&scalar, &Test::In(alike));
            self.push(")");
        }
        self.push(")");
    }

    /// `… AND`: the item has the JSON type of this operand. Both booleans do: false is before true.
    fn of_type(&mut self, alias: &str, operand: &Value) {
        let types = match operand {
            Value::Bool(_) => "'true', 'false'",
            Value::Int(_) | Value::Float(_) => "'integer', 'real'",
            _ => "'text'",
        };
        self.push(format_args!("{alias}.type IN ({types}) AND "));
    }
}
